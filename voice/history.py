"""What is stored of a call so far: read when another stream, or its end, must know it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.outcome import Outcome
from storage.calls import TimelineEntry
from storage.functions import StoredResult
from storage.rows import TenantHandle
from voice.conclusion import FAREWELLS
from voice.events import FunctionFinished

#: The event that names the agent who took the call.
CONNECTED = "agent_connected"
#: The event that says that the business had the call ended.
END_ASKED = "end_asked"


@dataclass(frozen=True, slots=True)
class History:
    """`turns`: (who, text), who "caller" or "agent", oldest first, as heard. `ran`: what functions
    answered, oldest first."""

    turns: Sequence[tuple[str, str]] = ()
    ran: Sequence[FunctionFinished] = ()
    agent: str | None = None
    #: The last thing on the line was an answer of the agent, heard to its end.
    answered: bool = False
    #: What was achieved last, in the function's words, if no agent has said anything since.
    untold: str = ""
    #: The business hung up on the caller, from its dashboard.
    end_asked: bool = False

    @property
    def achieved(self) -> list[Outcome]:
        return achieved(self.ran)

    @property
    def caller_turns(self) -> int:
        return sum(who == "caller" for who, _ in self.turns)

    def greeted(self, disclosure: str) -> bool:
        """The caller has heard the agent's first words, and in them that an AI speaks."""
        first = next((text for who, text in self.turns if who == "agent"), "")
        return len(first) >= len(disclosure)

    @property
    def farewell(self) -> bool:
        """The caller's last words were a goodbye, after at least one answer."""
        said = [text.casefold() for who, text in self.turns if who == "caller"]
        return len(said) > 1 and any(word in said[-1] for word in FAREWELLS)


async def read_history(handle: TenantHandle, call_id: str) -> History:
    """All that was said and done on this call of this tenant."""
    async with handle.read() as rows:
        timeline = await rows.calls.timeline(call_id)
        functions = await rows.functions.of_call(call_id)
    spoken = [entry for entry in timeline if entry.kind == "turn"]
    # Lines of our own, while an agent was late, are nothing that the next one must know.
    conversation = [turn for turn in spoken if not turn.data.get("announced")]
    turns = sorted(conversation, key=lambda turn: turn.at)
    last = turns[-1].data if turns else {}
    # Of events only: a function's name, which a model makes up, may be any.
    events = [entry.data for entry in timeline if entry.kind == "event"]
    agents = [event["agent"] for event in events if event.get("name") == CONNECTED]
    return History(
        turns=[(turn.data["who"], turn.data["text"]) for turn in turns],
        agent=agents[-1] if agents else None,
        ran=[finished(function) for function in functions],
        answered=_is_answer(last),
        untold=_untold(functions, turns),
        end_asked=any(event.get("name") == END_ASKED for event in events),
    )


async def read_functions(
    handle: TenantHandle,
    call_id: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[FunctionFinished]:
    """What functions have answered on this call of this tenant, on whichever stream and node:
    after `since`, having begun before `until`."""
    async with handle.read() as rows:
        functions = await rows.functions.of_call(call_id)
    return [
        finished(function)
        for function in functions
        if (since is None or function.finished_at is None or function.finished_at > since)
        and (until is None or function.started_at is None or function.started_at < until)
    ]


def finished(stored: StoredResult) -> FunctionFinished:
    """As who asked for it was told."""
    effect = Outcome(stored.effect) if stored.effect else None
    return FunctionFinished(
        stored.function_call_id, stored.name, stored.result, effect, stored.then, stored.detail
    )


def achieved(ran: Iterable[FunctionFinished]) -> list[Outcome]:
    """What they came to."""
    return [each.effect for each in ran if each.effect is not None]


def _is_answer(turn: Mapping[str, Any]) -> bool:
    return turn.get("who") == "agent" and not turn.get("cut")


def _untold(functions: Sequence[StoredResult], turns: Sequence[TimelineEntry]) -> str:
    """Words that began before a result was there don't speak of it."""
    last = next((each for each in reversed(functions) if each.effect), None)
    if last is None or last.finished_at is None:
        return ""
    told = any(_is_answer(turn.data) and turn.at >= last.finished_at for turn in turns)
    return "" if told else str(last.result.get("spoken", ""))
