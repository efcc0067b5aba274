"""Free appointment slots from an agenda and what is already taken. Pure.

Opening hours are wall-clock times of the tenant's zone, slots are instants: on the nights of the
time change a range is as long as the clocks make it.

Fast enough to be asked during a call, and to be asked in parts: `days` yields one day at a time, so
that whoever shares a thread with audio can let it through in between (`storage.free_time`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Final, Literal

from domain.agenda import (
    GRID_MINUTES,
    Agenda,
    DayException,
    DayRange,
    OpeningRange,
    Resource,
    Service,
)
from domain.part_of_day import named_part, part_of
from domain.taken import Busy, Taken, up
from domain.wall_clock import Span, WallClock, common, merged, minute_after, minute_of

#: How many appointments there are, by day (the tenant's), resource and service ("" is none in
#: particular).
Booked = Mapping[tuple[date, str, str], int]
#: "soon": less than the notice ahead; "far": beyond the horizon; "unoffered": the business is open,
#: but appointments don't begin then.
Verdict = Literal["ok", "past", "soon", "far", "closed", "unoffered"]

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Slot:
    """A free appointment. `start` is aware, in the tenant's zone. `resource` is who would take it
    ("" where there is nobody else): of several, who has most time left that day; `others` are free
    as well, in that order."""

    start: datetime
    minutes: int
    resource: str = ""
    others: tuple[str, ...] = ()


def free_slots(  # noqa: PLR0913 - one question, all of it
    agenda: Agenda,
    service: Service,
    busy: Busy,
    now: datetime,
    first: date,
    last: date,
    *,
    resource: str | None = None,
    part_of_day: str | None = None,
    booked: Booked | None = None,
) -> list[Slot]:
    """What can still be booked on the days `first` to `last`, in order: `days`, in one list."""
    found = days(
        agenda,
        service,
        busy,
        now,
        first,
        last,
        resource=resource,
        part_of_day=part_of_day,
        booked=booked,
    )
    return list(chain.from_iterable(found))


def days(  # noqa: PLR0913 - one question, all of it
    agenda: Agenda,
    service: Service,
    busy: Busy,
    now: datetime,
    first: date,
    last: date,
    *,
    resource: str | None = None,
    part_of_day: str | None = None,
    booked: Booked | None = None,
) -> Iterator[list[Slot]]:
    """The free slots of each day from `first` to `last`, both included; nothing before the notice
    nor beyond the horizon. `busy` and `now` are aware instants; `busy` has the buffers of what is
    booked in it. A `part_of_day` that names none (or several) restricts nothing. Without `booked`
    no daily cap counts. Raises ValueError when the service takes no time.
    """
    plan = _Plan(agenda, service, agenda.able(service, resource))
    today = plan.clock.day_of(now)
    horizon = today + timedelta(days=agenda.horizon(service))
    first, last = max(first, today), min(last, horizon)
    earliest = minute_after(now + timedelta(minutes=agenda.notice(service)))
    taken = [Taken(busy, each.id) for each in plan.resources]
    caps = _Caps(agenda, service, booked or {})
    wanted = named_part(part_of_day)
    day = first
    while day <= last:
        slots = _slots(plan, day, earliest, taken, caps)
        yield slots if wanted is None else [s for s in slots if part_of(s.start.time()) == wanted]
        day += _DAY


def verdict(
    agenda: Agenda, service: Service, start: datetime, now: datetime, *, resource: str | None = None
) -> Verdict:
    """Whether the service may begin at `start` (aware), whoever else has come."""
    notice = timedelta(minutes=agenda.notice(service))
    if start < now + notice:
        return "past" if start < now else "soon"
    plan = _Plan(agenda, service, agenda.able(service, resource))
    day = plan.clock.day_of(start)
    if day > plan.clock.day_of(now) + timedelta(days=agenda.horizon(service)):
        return "far"
    judged = {plan.judge(each, day, start) for each in plan.resources}
    return "ok" if "ok" in judged else "unoffered" if "unoffered" in judged else "closed"


def able_at(
    agenda: Agenda, service: Service, start: datetime, *, resource: str | None = None
) -> tuple[str, ...]:
    """The resources that work at `start` (aware) and can do the service, whether free or not."""
    plan = _Plan(agenda, service, agenda.able(service, resource))
    day = plan.clock.day_of(start)
    return tuple(each.id for each in plan.resources if plan.judge(each, day, start) == "ok")


def slot_at(
    agenda: Agenda,
    service: Service,
    busy: Busy,
    start: datetime,
    now: datetime,
    *,
    resource: str | None = None,
    booked: Booked | None = None,
) -> Slot | None:
    """The slot at exactly this moment (aware), whether `free_slots` would name it or not; None
    when it can't be had."""
    if verdict(agenda, service, start, now, resource=resource) != "ok":
        return None
    able = able_at(agenda, service, start, resource=resource)
    plan = _Plan(agenda, service, tuple(each for each in agenda.able(service) if each.id in able))
    day, minute = plan.clock.day_of(start), minute_of(start)
    caps = _Caps(agenda, service, booked or {})
    if caps.full(day):
        return None
    taken = [Taken(busy, each.id) for each in plan.resources]
    free = [
        plan.resources[index].id
        for index in _by_load(plan, day, taken)
        if not caps.full_for(day, plan.resources[index].id)
        and taken[index].leaves((minute,), plan.before, plan.after)
    ]
    return plan.slot(minute, free) if free else None


def nearest(slots: Sequence[Slot], wanted: datetime, n: int = 3) -> list[Slot]:
    """The `n` slots closest to `wanted` (aware), nearest first; of two as close, the earlier."""
    moment = minute_of(wanted)

    def distance(slot: Slot) -> tuple[int, int]:
        start = minute_of(slot.start)
        return abs(start - moment), start

    return sorted(slots, key=distance)[: max(n, 0)]


class _Plan:
    """When each of these resources works, and what the service takes of it."""

    __slots__ = (
        "_exceptions",
        "_opened",
        "after",
        "agenda",
        "before",
        "clock",
        "fixed",
        "resources",
        "service",
        "step",
    )

    def __init__(self, agenda: Agenda, service: Service, resources: tuple[Resource, ...]) -> None:
        if service.minutes <= 0:
            raise ValueError(f"an appointment of {service.minutes} minutes")
        self.agenda = agenda
        self.service = service
        self.resources = resources
        self.clock = WallClock(agenda.timezone)
        #: None: a caller may have any moment of the grid.
        self.fixed = agenda.step(service)
        #: Minutes between two starts: a whole number of cells, or the next would begin in one that
        #: is taken.
        self.step = up(self.fixed or service.minutes)
        #: What an appointment takes around its start, in whole cells, its buffers included.
        self.before, self.after = up(service.before), up(service.minutes + service.after)
        self._opened: dict[tuple[date, str | None], list[Span]] = {}
        # Most agendas have few, most days none.
        self._exceptions: dict[str | None, list[DayException]] = {}
        for each in agenda.exceptions:
            self._exceptions.setdefault(each.resource, []).append(each)

    def slot(self, minute: int, free: Sequence[str]) -> Slot:
        """The slot, of these resources in this order."""
        return Slot(self.clock.at(minute), self.service.minutes, free[0], tuple(free[1:]))

    def judge(self, resource: Resource, day: date, start: datetime) -> Verdict:
        """Whether this resource is there, whatever it has to do."""
        minute = minute_of(start)
        # The night before may reach into this day, an appointment into the next.
        around = (day - _DAY, day, day + _DAY)
        openings = [opening for each in around for opening in self.openings(resource, each)]
        end = minute + self.service.minutes
        if not any(opens <= minute and end <= closes for opens, closes in merged(openings)):
            return "closed"
        if minute % GRID_MINUTES or start.second or start.microsecond:
            return "unoffered"
        if self.fixed is None or any(
            opens <= minute < closes and (minute - up(opens)) % self.step == 0
            for opens, closes in openings
        ):
            return "ok"
        return "unoffered"

    def openings(self, resource: Resource, day: date) -> list[Span]:
        """When it works, of the openings that begin on this day; they may end on the next."""
        # Those without hours or exceptions of their own share the business's.
        alone = resource.hours is not None or resource.id in self._exceptions
        key = (day, resource.id if alone else None)
        if key not in self._opened:
            self._opened[key] = self._openings(resource, day)
        return self._opened[key]

    def _openings(self, resource: Resource, day: date) -> list[Span]:
        own = self._exception(resource.id, day) if resource.id else None
        if own is not None:
            return self._spans(day, own)
        weekday = day.isoweekday()
        hours = self.agenda.hours if resource.hours is None else resource.hours
        week = self._spans(day, [each for each in hours if each.day == weekday])
        special = self._exception(None, day)
        if special is None:
            special = self._holiday(day)
        if special is None:
            return week
        opened = self._spans(day, special)
        return opened if resource.hours is None else common(opened, week)

    def _exception(self, resource: str | None, day: date) -> Sequence[DayRange] | None:
        found = [e for e in self._exceptions.get(resource, ()) if e.first <= day <= e.last]
        if not found:
            return None
        if any(not each.ranges for each in found):
            return ()
        return [each for exception in found for each in exception.ranges]

    def _holiday(self, day: date) -> Sequence[DayRange] | None:
        rules = self.agenda.rules
        if rules.on_holidays == "open" or day not in self.agenda.holidays:
            return None
        return rules.holiday_hours if rules.on_holidays == "special" else ()

    def _spans(self, day: date, ranges: Sequence[DayRange | OpeningRange]) -> list[Span]:
        spans = (self.clock.span(day, each.opens, each.closes) for each in ranges)
        return merged(span for span in spans if span is not None)


class _Caps:
    """How many more appointments a day may have."""

    __slots__ = ("_by_resource", "_of_service", "_resource_cap", "_service_cap")

    def __init__(self, agenda: Agenda, service: Service, booked: Booked) -> None:
        self._resource_cap = agenda.rules.daily_cap
        self._service_cap = service.daily_cap
        self._by_resource: Counter[tuple[date, str]] = Counter()
        self._of_service: Counter[date] = Counter()
        for (day, resource, of), count in booked.items():
            self._by_resource[day, resource] += count
            if of == service.id:
                self._of_service[day] += count

    def full(self, day: date) -> bool:
        """No more of this service."""
        return self._service_cap is not None and self._of_service[day] >= self._service_cap

    def full_for(self, day: date, resource: str) -> bool:
        """No more for this resource."""
        if self._resource_cap is None:
            return False
        return self._by_resource[day, resource] >= self._resource_cap


def _slots(
    plan: _Plan, day: date, earliest: int, taken: Sequence[Taken], caps: _Caps
) -> list[Slot]:
    if caps.full(day):
        return []
    begins, ends = plan.clock.midnight(day), plan.clock.midnight(day + _DAY)
    found: dict[int, list[str]] = {}
    for index in _by_load(plan, day, taken):
        resource = plan.resources[index]
        if caps.full_for(day, resource.id):
            continue
        openings = plan.openings(resource, day)
        night = plan.openings(resource, day - _DAY)
        if night and night[-1][1] > begins:
            openings = [*night, *openings]
        # A set, since a night may run into the morning and yield the same slot.
        starts = {
            start
            for opens, closes in openings
            for start in _starts(plan, opens, min(closes, ends + plan.service.minutes - 1))
            if start >= begins and start >= earliest
        }
        for start in taken[index].leaves(starts, plan.before, plan.after):
            found.setdefault(start, []).append(resource.id)
    return [plan.slot(start, found[start]) for start in sorted(found)]


def _starts(plan: _Plan, opens: int, closes: int) -> range:
    """The starts within an opening."""
    return range(up(opens), closes - plan.service.minutes + 1, plan.step)


def _by_load(plan: _Plan, day: date, taken: Sequence[Taken]) -> Sequence[int]:
    """The resources' indices, who has most time left that day first; of two alike, as they come."""
    if len(plan.resources) < 2:
        return range(len(plan.resources))
    begins, ends = plan.clock.midnight(day), plan.clock.midnight(day + _DAY)
    loads = [each.within(begins, ends) for each in taken]
    return sorted(range(len(loads)), key=loads.__getitem__)
