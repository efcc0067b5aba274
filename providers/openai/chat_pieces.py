"""What a stream of chat completion chunks says, piece by piece. Pure.

Servers differ: ids and indexes of function calls may be missing, repeated or the same for all;
arguments may come as an object; content as a list of parts; the usage in a chunk of its own, in the
last one, or never.
"""

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from domain.language_model import FunctionRequest

#: Characters of text or of arguments that one answer may have: five minutes of speech. What is
#: beyond isn't an answer any more.
MAX_TEXT: Final = 8_000
MAX_ARGUMENTS: Final = 64_000
#: Functions that one answer may ask for.
MAX_REQUESTS: Final = 16

#: `finish_reason`s after which an answer isn't whole.
_CUT: Final = {"length": "length", "max_tokens": "length", "content_filter": "filtered"}

# What thinking models put before their answer when their server doesn't take it out. Templates of
# some (DeepSeek-R1, Qwen3-Thinking) put the first into the prompt: it isn't in the answer.
_THINK: Final = "<think>"
_THOUGHT: Final = "</think>"


class UnmarkedThoughts(ValueError):
    """Thoughts that were taken for the answer: only their end is marked."""


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class ChunkReader:
    """Fed with each chunk in turn. `taken`: ids of requests that the conversation holds already;
    `thinking`: the answer begins inside a thought.

    After the chunks: `requests()`, `why`, `usage`. `finished`: the model has said that it ended.
    """

    taken: Collection[str] = ()
    thinking: bool = False
    finished: str = ""
    usage: dict[str, int] = field(default_factory=dict)
    characters: int = 0
    _calls: list[_Call] = field(default_factory=list)
    _places: dict[int, _Call] = field(default_factory=dict)
    _thoughts: "_Thoughts" = field(init=False)

    def __post_init__(self) -> None:
        self._thoughts = _Thoughts(inside=self.thinking)

    def feed(self, chunk: Any) -> tuple[str, bool]:
        """The chunk's text, and whether it held anything of use. Raises ValueError for what is no
        chunk at all, or too much, and UnmarkedThoughts."""
        if not isinstance(chunk, Mapping):
            raise ValueError("no object")
        self._count(chunk.get("usage"))
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            return "", False
        if self.finished:
            return "", False  # a repeated end
        choice = choices[0]
        delta = choice.get("delta")
        text, useful = "", False
        if isinstance(delta, Mapping):
            text = self._text(delta.get("content"))
            useful = self._fragments(delta.get("tool_calls")) or bool(text)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self.finished = reason
            text += self._thoughts.rest()
            useful = True
        return text, useful

    @property
    def why(self) -> str:
        """As `ModelDone.why`. Some servers say `stop` although there are requests."""
        if not self.finished:
            return "length"  # it was left before its end
        cut = _CUT.get(self.finished)
        return cut or ("functions" if self._named() else "stop")

    def requests(self) -> list[FunctionRequest]:
        """The functions asked for, each with an id of its own. None of an answer that was cut
        short: its last arguments are half an order."""
        if self.why != "functions":
            return []
        seen = set(self.taken)
        found: list[FunctionRequest] = []
        for call in self._named():
            call_id = call.id if call.id and call.id not in seen else _new_id()
            seen.add(call_id)
            found.append(FunctionRequest(call_id, call.name, call.arguments or "{}"))
        return found

    def _named(self) -> list[_Call]:
        return [call for call in self._calls if call.name]

    # ------------------------------------------------------------------------------ parts

    def _text(self, content: Any) -> str:
        if isinstance(content, list):
            parts = [each for each in content if isinstance(each, Mapping)]
            content = "".join(
                part["text"]
                for part in parts
                if part.get("type") == "text" and isinstance(part.get("text"), str)
            )
        if not isinstance(content, str) or not content:
            return ""
        text = self._thoughts.without(content)
        self.characters += len(text)
        return text

    def _fragments(self, fragments: Any) -> bool:
        if not isinstance(fragments, list):
            return False
        known = [each for each in fragments if isinstance(each, Mapping)]
        for fragment in known:
            function = fragment.get("function")
            self._fragment(fragment, function if isinstance(function, Mapping) else {})
        return bool(known)

    def _fragment(self, fragment: Mapping[str, Any], function: Mapping[str, Any]) -> None:
        call_id, name = _word(fragment.get("id")), _word(function.get("name"))
        call = self._place(fragment.get("index"), call_id, name)
        call.id = call.id or call_id
        call.name = call.name or name
        arguments = function.get("arguments")
        if isinstance(arguments, Mapping):
            call.arguments = json.dumps(arguments, ensure_ascii=False)
        elif isinstance(arguments, str):
            call.arguments += arguments
        if len(call.arguments) > MAX_ARGUMENTS or len(self._calls) > MAX_REQUESTS:
            raise ValueError("too much")

    def _place(self, index: Any, call_id: str, name: str) -> _Call:
        """The call that a fragment belongs to. One that names a function under another id begins a
        new call, whatever its index."""
        at = index if isinstance(index, int) else None
        last = self._calls[-1] if self._calls else None
        call = self._places.get(at) if at is not None else last
        if call is None or (name and call.name and call_id != call.id):
            call = _Call()
            self._calls.append(call)
            self._places[len(self._calls) - 1 if at is None else at] = call
        return call

    def _count(self, usage: Any) -> None:
        if isinstance(usage, Mapping):
            self.usage = flat_usage(usage)


class _Thoughts:
    """Leaves out what stands between <think> and </think> at the beginning of an answer. `inside`:
    the thought has begun before it."""

    def __init__(self, *, inside: bool) -> None:
        self._held: str | None = ""  # None: it can't come any more
        self._inside = inside
        self._last = ""  # of what was let through: the beginning of an end, perhaps

    def without(self, text: str) -> str:
        """What of this text, and of what was held back, is meant to be heard."""
        if self._held is None:
            return self._heard(text)
        self._held += text
        if self._inside:
            return self._after()
        begun = self._held.lstrip()
        if begun.startswith(_THINK):
            self._inside = True
            return self._after()
        if _THINK.startswith(begun):
            return ""  # may yet become it
        return self.rest()

    def _after(self) -> str:
        assert self._held is not None
        _, end, answer = self._held.partition(_THOUGHT)
        if not end:
            self._held = self._held[-len(_THOUGHT) :]
            return ""
        answer = answer.lstrip()
        self._held, self._inside = (None, False) if answer else ("", False)
        return self._heard(answer)

    def rest(self) -> str:
        """What was held back, at the end."""
        held, self._held = self._held or "", None
        return "" if self._inside else self._heard(held.lstrip())

    def _heard(self, text: str) -> str:
        last = self._last + text
        if _THOUGHT in last:
            raise UnmarkedThoughts("thoughts of which only the end is marked")
        self._last = last[1 - len(_THOUGHT) :]
        return text


def flat_usage(raw: Mapping[str, Any]) -> dict[str, int]:
    """Token counts by the names that other agents' timelines use."""
    names = {
        "prompt_tokens": "input_tokens",
        "completion_tokens": "output_tokens",
        "total_tokens": "total_tokens",
    }
    found = {to: raw.get(name) for name, to in names.items()}
    details = raw.get("prompt_tokens_details")
    if isinstance(details, Mapping):
        found["input_cached_tokens"] = details.get("cached_tokens")
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0
    }


def _word(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _new_id() -> str:
    """Nine letters and digits: Mistral's servers take no other form."""
    return secrets.token_hex(5)[:9]
