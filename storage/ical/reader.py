"""Reads a calendar in a child process, and says what is busy or why it can't be said."""

import asyncio
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from storage.child_process import ask

_CHILD: Final = "storage.ical.child"
#: Over twice the child's processor time: it is niced, and shares a small machine with calls.
WALL_SECONDS: Final = 90.0
#: MAX_SPANS spans, each of at most 26 characters.
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
#: The largest calendar, bytes (`ical.child` says the same).
MAX_BYTES: Final = 10 * 1024 * 1024

#: Why a calendar can't be read. The owner's sentence stands in the catalogue under
#: `calendar_<reason>`.
REASONS: Final = ("not_a_calendar", "broken", "too_many", "too_large", "too_slow")

Span = tuple[datetime, datetime]


class CalendarUnreadable(Exception):
    """`reason` is one of REASONS. `passing`: the machine may have been at fault."""

    def __init__(self, reason: str, *, passing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.passing = passing


@dataclass(frozen=True, slots=True)
class ReadCalendar:
    """Spans in UTC, merged, by start; see `ical.busy.BusyTimes`."""

    spans: tuple[Span, ...] = ()
    events: int = 0
    notes: tuple[str, ...] = ()


class _Answer(msgspec.Struct, frozen=True):
    spans: tuple[tuple[int, int], ...] = ()
    events: int = 0
    notes: tuple[str, ...] = ()
    error: str = ""


class CalendarReader:
    """Reads calendars, one at a time. One for the process."""

    def __init__(self, *, wall_seconds: float = WALL_SECONDS) -> None:
        self._place = asyncio.Semaphore(1)
        self._wall_seconds = wall_seconds

    async def read(
        self, data: bytes, *, zone: str, start: datetime, end: datetime, ours: str
    ) -> ReadCalendar:
        """What is busy between two instants. Raises CalendarUnreadable; OperatorError when no
        process can be started."""
        if len(data) > MAX_BYTES:
            raise CalendarUnreadable("too_large")
        wanted = {
            "zone": zone,
            "start": int(start.timestamp()),
            "end": int(end.timestamp()),
            "ours": ours,
        }
        header = msgspec.json.encode(wanted) + b"\n"
        async with self._place:
            try:
                told, status = await ask(
                    _CHILD,
                    header,
                    data,
                    wall_seconds=self._wall_seconds,
                    max_answer=MAX_ANSWER_BYTES,
                )
            except TimeoutError:
                raise CalendarUnreadable("too_slow", passing=True) from None
        return _read(told, status)


def _read(told: bytes, status: int) -> ReadCalendar:
    if status == -signal.SIGXCPU:
        raise CalendarUnreadable("too_slow")
    if status != 0:
        raise CalendarUnreadable("too_many", passing=status == -signal.SIGKILL)
    try:
        answer = msgspec.json.decode(told, type=_Answer)
    except msgspec.DecodeError as error:
        raise CalendarUnreadable("too_many") from error
    if answer.error:
        raise CalendarUnreadable(answer.error if answer.error in REASONS else "broken")
    return ReadCalendar(_spans(answer.spans), answer.events, answer.notes)


def _spans(seconds: tuple[tuple[int, int], ...]) -> tuple[Span, ...]:
    return tuple(
        (datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC))
        for start, end in seconds
    )
