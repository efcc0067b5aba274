"""Between a zone's wall clock and instants, in whole minutes since 1970 (UTC)."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

#: From one minute to a later one; the later isn't part of it.
Span = tuple[int, int]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = _EPOCH.date().toordinal()
_MINUTE: Final = timedelta(minutes=1)
_DAY_MINUTES: Final = 24 * 60


def minute_of(instant: datetime) -> int:
    """The minute that an aware instant lies in."""
    return (instant - _EPOCH) // _MINUTE


def minute_after(instant: datetime) -> int:
    """The first minute that begins no sooner."""
    return -((_EPOCH - instant) // _MINUTE)


class WallClock:
    """One zone's clock. Remembers the offset of the days it was asked about."""

    __slots__ = ("_offsets", "zone")

    def __init__(self, timezone: str) -> None:
        self.zone = ZoneInfo(timezone)
        self._offsets: dict[int, int | None] = {}

    def at(self, minute: int) -> datetime:
        """The aware datetime, in the zone, of a minute."""
        return datetime.fromtimestamp(minute * 60, self.zone)

    def day_of(self, instant: datetime) -> date:
        """The day that the clock shows then."""
        return instant.astimezone(self.zone).date()

    def midnight(self, day: date) -> int:
        """When the day begins."""
        return self.minute(day, time.min, fold=0)

    def span(self, day: date, opens: time, closes: time) -> Span | None:
        """From `opens` on this day to the next `closes`. Of a time that comes twice, opening takes
        the later and closing the earlier; of one that is skipped, the moment of the jump. None
        when nothing is left in between."""
        closing_day = day if opens < closes else day + timedelta(days=1)
        span = self.minute(day, opens, fold=1), self.minute(closing_day, closes, fold=0)
        return span if span[0] < span[1] else None

    def minute(self, day: date, at: time, *, fold: int) -> int:
        """When the clock shows this. `fold` chooses when it does so twice; when it never does, the
        moment at which it jumps over it."""
        ordinal = day.toordinal()
        offset = self._offset(ordinal)
        if offset is None:
            return _searched(day, at, self.zone, fold)
        return (ordinal - _EPOCH_DAY) * _DAY_MINUTES + at.hour * 60 + at.minute - offset

    def _offset(self, ordinal: int) -> int | None:
        """The day's offset from UTC in minutes, or None on a day on which it changes."""
        if ordinal in self._offsets:
            return self._offsets[ordinal]
        # No zone changes twice within a day, so both ends tell; a quarter past what they may be
        # off by, since a change at midnight belongs to either day.
        ends = (
            datetime.combine(date.fromordinal(ordinal + ahead), time(hour), UTC)
            .astimezone(self.zone)
            .utcoffset()
            for ahead, hour in ((-1, 9), (1, 15))
        )
        first, last = ends
        assert first is not None
        whole = first // _MINUTE if first == last and not first % _MINUTE else None
        self._offsets[ordinal] = whole
        return whole


def _searched(day: date, at: time, zone: ZoneInfo, fold: int) -> int:
    wall = datetime.combine(day, at, tzinfo=zone)
    early, late = wall.replace(fold=0).astimezone(UTC), wall.replace(fold=1).astimezone(UTC)
    if early <= late:  # once, or twice (PEP 495)
        return minute_of(late if fold else early)
    before = late.astimezone(zone).utcoffset()
    while early - late > timedelta(seconds=1):
        middle = late + (early - late) // 2
        if middle.astimezone(zone).utcoffset() == before:
            late = middle
        else:
            early = middle
    return minute_of(early)


def merged(spans: Iterable[Span]) -> list[Span]:
    """Sorted, with spans that overlap or touch made one; what takes no time left out."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def common(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """What both have."""
    others = list(other)
    return merged(
        (max(start, begin), min(end, finish)) for start, end in one for begin, finish in others
    )
