"""What an agent is told of somebody's earlier calls and texts. Pure.

By text the answer goes to the owner of the number or address, so the agent may know what was said
from it. On the telephone a number proves nothing (it can be forged, and households share it): until
the second fact the agent hears only that there was something, never a name, a request or a word of
an appointment, which it could otherwise repeat, or use as the proof that it is to ask for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from domain.messages import text
from domain.spoken import calendar_day

#: Lines of one call's transcript: the beginning tells what was wanted, the end what came of it.
_FIRST: Final = 6
_LAST: Final = 6
#: Characters of one line, and lines in all: about a thousand tokens at most.
_LONGEST: Final = 200
MOST_LINES: Final = 30


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call from their number. `words`: its transcript, "caller: …" or "agent: …" a line."""

    at: datetime
    outcome: str
    summary: str = field(default="", repr=False)
    words: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class PastText:
    """What they wrote on another channel than this one."""

    at: datetime
    channel: str
    words: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A ticket that still waits for a person."""

    at: datetime
    subject: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Contacted:
    """That a number has called or written before, last at `at` by `channel`."""

    at: datetime
    channel: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """Latest first. `language` is a BCP 47 tag."""

    name: str = field(default="", repr=False)
    language: str = ""
    calls: Sequence[PastCall] = ()
    texts: Sequence[PastText] = ()
    requests: Sequence[OpenRequest] = ()


NOTHING: Final = Memory()


def remembered(memory: Memory, timezone: str, locale: str) -> tuple[str, ...]:
    """All of it, for an agent whose words reach nobody but them; () when nothing is known."""

    def day(at: datetime) -> str:
        return _day(at, timezone, locale)

    lines = []
    if memory.name:
        lines.append(text(locale, "memory_name", name=memory.name))
    if memory.language:
        lines.append(text(locale, "memory_language", language=memory.language))
    for request in memory.requests:
        lines.append(
            text(locale, "memory_request", day=day(request.at), subject=_cut(request.subject))
        )
    for index, call in enumerate(memory.calls):
        outcome = text(locale, f"memory_outcome_{call.outcome}")
        lines.append(text(locale, "memory_call", day=day(call.at), outcome=outcome))
        if call.summary:
            lines.append(f"– {_cut(call.summary)}")
        elif index == 0:  # of older ones their outcome is enough
            lines += [f"– {_cut(line)}" for line in _gist(call.words)]
    for each in memory.texts:
        lines.append(
            text(
                locale,
                "memory_text",
                day=day(each.at),
                channel=text(locale, f"memory_channel_{each.channel}"),
                words=_cut(each.words),
            )
        )
    if not lines:
        return ()
    return (text(locale, "memory_head"), *lines[: MOST_LINES - 1])


def hinted(contacted: Contacted | None, timezone: str, locale: str) -> tuple[str, ...]:
    """What may be known of a number alone; () when nothing is."""
    if contacted is None:
        return ()
    day = _day(contacted.at, timezone, locale)
    channel = text(locale, f"memory_channel_{contacted.channel}")
    lines = [text(locale, "memory_number", day=day, channel=channel)]
    if contacted.language:
        lines.append(text(locale, "memory_language", language=contacted.language))
    return tuple(lines)


def _gist(words: str) -> list[str]:
    lines = [line for line in words.splitlines() if line.strip()]
    if len(lines) <= _FIRST + _LAST:
        return lines
    return [*lines[:_FIRST], "…", *lines[-_LAST:]]


def _cut(words: str) -> str:
    plain = " ".join(words.split())
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1].rstrip()}…"


def _day(at: datetime, timezone: str, locale: str) -> str:
    local: date = at.astimezone(ZoneInfo(timezone)).date()
    return calendar_day(local, locale)
