"""Free appointment slots from opening hours and what is already taken. Pure.

Opening hours are wall-clock times of the tenant's zone, slots are instants: on the nights of the
time change a range is as long as the clocks make it. A range whose `closes` isn't after `opens`
runs past midnight ("18:00–02:00"; closing at 00:00 is midnight).
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

DEFAULT_MINUTES: Final = 30
#: How soon an appointment may begin.
MINIMUM_NOTICE: Final = timedelta(0)
#: How far ahead appointments are given, in days.
HORIZON_DAYS: Final = 60
#: Appointments begin on this grid: the width of a cell that the database guards.
GRID_MINUTES: Final = 5

Verdict = Literal["ok", "closed", "past"]
PartOfDay = Literal["morning", "afternoon", "evening"]
_Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class OpeningRange:
    """One opening of one weekday. `day`: 1 is Monday, 7 Sunday."""

    day: int
    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class Slot:
    """A free appointment. `start` is aware, in the tenant's zone."""

    start: datetime
    minutes: int
    resource: str | None = None


DEFAULT_HOURS: Final[tuple[OpeningRange, ...]] = tuple(
    OpeningRange(day, time(opens), time(closes))
    for day in range(1, 6)
    for opens, closes in ((9, 12), (14, 18))
)

_NOON: Final = time(12)
_EVENING: Final = time(18)
_PARTS: Final[tuple[tuple[PartOfDay, re.Pattern[str]], ...]] = (
    # "après-midi" before anything that "midi" might mean.
    ("afternoon", re.compile(r"\b(?:apres ?midi|aprem|afternoon|pm)\b")),
    ("evening", re.compile(r"\b(?:soir|soiree|evening|tonight|night|nuit)\b")),
    ("morning", re.compile(r"\b(?:matin|matinee|morning|am)\b")),
)


def named_part(text: str | None) -> PartOfDay | None:
    """ "ce matin", "l'après-midi", "evening" …; None when it names none, or several."""
    plain = unicodedata.normalize("NFKD", (text or "")[:80].casefold())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"[^a-z0-9]+", " ", plain)
    named = [part for part, words in _PARTS if words.search(plain)]
    return named[0] if len(named) == 1 else None


def free_slots(  # noqa: PLR0913 - one question, all of it
    hours: Sequence[OpeningRange],
    timezone: str,
    busy: Sequence[tuple[datetime, datetime]],
    now: datetime,
    first: date,
    last: date,
    minutes: int = DEFAULT_MINUTES,
    part_of_day: str | None = None,
) -> list[Slot]:
    """What can still be booked on the days `first` to `last`, in order.

    Slots of `minutes` follow one another from each opening. `busy` and `now` are aware instants.
    Nothing before `now` nor beyond the horizon. A `part_of_day` that names none (or several)
    restricts nothing. Raises ValueError when `minutes` isn't positive.
    """
    if minutes <= 0:
        raise ValueError(f"an appointment of {minutes} minutes")
    zone = ZoneInfo(timezone)
    today = now.astimezone(zone).date()
    first, last = max(first, today), min(last, today + timedelta(days=HORIZON_DAYS))
    length = timedelta(minutes=minutes)
    taken = _merged((start, end) for start, end in busy if start < end)
    wanted = named_part(part_of_day)
    # A set, since ranges that overlap may yield the same slot.
    starts = {
        start
        for opens, closes in _openings(hours, zone, first, last)
        for start in _steps(opens, closes, length)
        if start >= now + MINIMUM_NOTICE and not _overlaps(taken, start, start + length)
    }
    slots = [Slot(start.astimezone(zone), minutes) for start in sorted(starts)]
    return [
        slot
        for slot in slots
        if first <= slot.start.date() <= last and wanted in (None, _part(slot.start.time()))
    ]


def verdict(
    start: datetime, hours: Sequence[OpeningRange], timezone: str, now: datetime, minutes: int
) -> Verdict:
    """Whether an appointment of `minutes` may begin at `start` (aware), whoever else has come.

    "past" before now; "closed" outside the opening hours, beyond the horizon, or off the
    five-minute grid of the wall clock.
    """
    if start < now + MINIMUM_NOTICE:
        return "past"
    zone = ZoneInfo(timezone)
    local = start.astimezone(zone)
    horizon = now.astimezone(zone).date() + timedelta(days=HORIZON_DAYS)
    if local.date() > horizon or minutes <= 0:
        return "closed"
    if local.minute % GRID_MINUTES or local.second or local.microsecond:
        return "closed"
    begin = start.astimezone(UTC)
    end = begin + timedelta(minutes=minutes)
    openings = _merged(_openings(hours, zone, local.date(), local.date()))
    return "ok" if any(opens <= begin and end <= closes for opens, closes in openings) else "closed"


def nearest(slots: Sequence[Slot], wanted: datetime, n: int = 3) -> list[Slot]:
    """The `n` slots closest to `wanted` (aware), nearest first; of two as close, the earlier."""
    moment = wanted.astimezone(UTC)

    def distance(slot: Slot) -> tuple[timedelta, datetime]:
        start = slot.start.astimezone(UTC)
        return abs(start - moment), start

    return sorted(slots, key=distance)[: max(n, 0)]


def _part(at: time) -> PartOfDay:
    if at < _NOON:
        return "morning"
    return "afternoon" if at < _EVENING else "evening"


def _openings(
    hours: Sequence[OpeningRange], zone: ZoneInfo, first: date, last: date
) -> list[_Span]:
    """When the business is open on these days, as UTC spans, one per range and day.

    The days around them are looked at too: ranges run past midnight, appointments as well.
    """
    spans = []
    for offset in range(-1, (last - first).days + 2):
        day = first + timedelta(days=offset)
        for opening in hours:
            if opening.day == day.isoweekday():
                past_midnight = opening.closes <= opening.opens
                closing_day = day + timedelta(days=1) if past_midnight else day
                spans.append(
                    (
                        _instant(day, opening.opens, zone, fold=1),
                        _instant(closing_day, opening.closes, zone, fold=0),
                    )
                )
    return [span for span in spans if span[0] < span[1]]


def _instant(day: date, at: time, zone: ZoneInfo, *, fold: int) -> datetime:
    """When the wall clock shows this, in UTC. `fold` chooses when it does so twice; when it never
    does, the moment at which it jumps over it."""
    wall = datetime.combine(day, at, tzinfo=zone)
    early, late = wall.replace(fold=0).astimezone(UTC), wall.replace(fold=1).astimezone(UTC)
    if early <= late:  # once, or twice (PEP 495)
        return late if fold else early
    before = late.astimezone(zone).utcoffset()
    while early - late > timedelta(seconds=1):
        middle = late + (early - late) // 2
        if middle.astimezone(zone).utcoffset() == before:
            late = middle
        else:
            early = middle
    return early.replace(microsecond=0)


def _steps(opens: datetime, closes: datetime, length: timedelta) -> Iterable[datetime]:
    start = opens
    while start + length <= closes:
        yield start
        start += length


def _merged(spans: Iterable[_Span]) -> list[_Span]:
    """Sorted, with spans that overlap or touch made one."""
    merged: list[_Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _overlaps(taken: Sequence[_Span], start: datetime, end: datetime) -> bool:
    """`taken` is merged: only the last span that begins before `end` can reach `start`."""
    at = bisect_left(taken, end, key=lambda span: span[0])
    return at > 0 and taken[at - 1][1] > start
