"""When somebody is reminded of an appointment. Pure.

"24 h before" is the same wall time the day before, whatever the clocks do in between; "1 h before"
is a real hour. Quiet hours and holidays bring a reminder forward and never put it off.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

Kind = Literal["24h", "1h"]
KINDS: Final[tuple[Kind, ...]] = ("24h", "1h")

#: Usual hours of texts that nobody asked for (text-channels.md §7): from eight to eight.
OPENS: Final = time(8)
CLOSES: Final = time(20)
#: How far back a day is looked for on which texts may go: no run of holidays is longer.
_MOST_DAYS: Final = 14
#: Sunday is quiet like a holiday; `isoweekday`.
_SUNDAY: Final = 7


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Texts may go from `opens` until before `closes`; not on `holidays`, nor on Sundays if
    `sundays` is set. `opens` < `closes`."""

    opens: time = OPENS
    closes: time = CLOSES
    holidays: Collection[date] = ()
    sundays: bool = False

    def quiet_day(self, day: date) -> bool:
        """Nothing goes on that day."""
        return day in self.holidays or (self.sundays and day.isoweekday() == _SUNDAY)

    def quiet(self, local: datetime) -> bool:
        """Nothing goes at that moment of the wall clock."""
        return self.quiet_day(local.date()) or not self.opens <= local.time() < self.closes

    def brought_forward(self, local: datetime) -> datetime:
        """The last moment, not later than `local`, at which a text may go: `local` itself, or a
        minute before the hours that were quiet began."""
        if not self.quiet(local):
            return local
        day = local.date()
        if self.quiet_day(day) or local.time() < self.opens:
            day -= timedelta(days=1)
        for _ in range(_MOST_DAYS):
            if not self.quiet_day(day):
                break
            day -= timedelta(days=1)
        end = datetime.combine(day, self.closes, tzinfo=local.tzinfo)
        return end - timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Due:
    """One reminder: `at` is an instant in UTC. `only_without_first`: it was brought forward out of
    quiet hours, and is dropped when the first one went out."""

    kind: Kind
    at: datetime
    only_without_first: bool = False


def reminders(
    start: datetime, timezone: str, booked_at: datetime, quiet: QuietHours
) -> tuple[Due, ...]:
    """The reminders of an appointment at `start` (aware) that was booked, or moved, at
    `booked_at`. None that would have been due before that: who has just booked knows."""
    zone = ZoneInfo(timezone)
    local = start.astimezone(zone)
    the_day_before = local.replace(fold=0) - timedelta(days=1)  # of the wall clock: PEP 495
    first = _instant(quiet.brought_forward(the_day_before))
    hour_before = start.astimezone(UTC) - timedelta(hours=1)
    wall = hour_before.astimezone(zone)
    second = _instant(quiet.brought_forward(wall))
    found = (
        Due("24h", first),
        Due("1h", second, only_without_first=quiet.quiet(wall)),
    )
    return tuple(due for due in found if due.at > booked_at)


def _instant(wall: datetime) -> datetime:
    """A wall time that the clocks skip is the same time by the old offset, an hour on."""
    return wall.astimezone(UTC)
