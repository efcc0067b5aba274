"""What the cascade's language model is told: instructions, and the conversation as it was heard."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from domain.language_model import FunctionRequest, ModelMessage
from voice.ports import AgentSpec

#: Messages that are kept beside the instructions: an hour of conversation.
_KEPT: Final = 400


class Memory:
    """One conversation. What the agent said is changed when it turns out how much was heard."""

    def __init__(self, spec: AgentSpec) -> None:
        self._instructions = ModelMessage("system", spec.instructions)
        self._messages: dict[int, ModelMessage] = {}
        self._next = 0
        for role, text in spec.history:
            if text.strip():
                self._add(ModelMessage("user" if role == "user" else "assistant", text))

    def messages(self, asked: str = "") -> list[ModelMessage]:
        """For the model. `asked`: words of the caller that aren't on record yet."""
        said = [each for each in self._messages.values() if each.text or each.requests]
        more = [ModelMessage("user", asked)] if asked else []
        return [self._instructions, *said, *more]

    def caller(self, text: str) -> None:
        """The caller said it."""
        self._add(ModelMessage("user", text))

    def note(self, text: str, role: str) -> int:
        """A note of ours ("system"), or keys the caller pressed ("user"); its place."""
        return self._add(ModelMessage("system" if role == "system" else "user", text))

    def forget(self, places: Iterable[int]) -> None:
        """Notes that turned out to be wrong."""
        for place in places:
            self._messages.pop(place, None)

    def agent(self) -> int:
        """The agent begins to speak; the place to give its words to."""
        return self._add(ModelMessage("assistant"))

    def heard(self, place: int, text: str) -> None:
        """What the caller has heard of it, or will."""
        if place in self._messages:
            self._messages[place] = replace(self._messages[place], text=text)

    def called(self, place: int, requests: Sequence[FunctionRequest]) -> None:
        """With these words the agent asked for functions."""
        if place in self._messages:
            self._messages[place] = replace(self._messages[place], requests=tuple(requests))

    def result(self, function_call_id: str, output: str) -> None:
        """What a function answered: a JSON object."""
        self._add(ModelMessage("function", output, answers=function_call_id))

    def _add(self, message: ModelMessage) -> int:
        self._next += 1
        self._messages[self._next] = message
        while len(self._messages) > _KEPT:
            self._messages.pop(next(iter(self._messages)))
        return self._next
