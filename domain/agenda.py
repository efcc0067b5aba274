"""What an agenda is made of: opening hours, resources, services, exceptions, rules.

Hours are wall-clock times of the tenant's zone. Durations, buffers, steps and notices are whole
minutes. Time is given in cells of GRID_MINUTES, which the database guards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time
from types import MappingProxyType
from typing import Final, Literal

#: How long an appointment is while nobody has said anything else.
DEFAULT_MINUTES: Final = 30
#: How far ahead appointments are given, in days, likewise.
HORIZON_DAYS: Final = 60
#: The furthest that a tenant may choose: two years, so that a yearly visit can be arranged.
MAX_HORIZON_DAYS: Final = 730
#: Appointments begin on this grid: the width of a cell that the database guards.
GRID_MINUTES: Final = 5

Kind = Literal["staff", "room", "vehicle"]
#: What public holidays are like: as any day, closed, or with hours of their own.
OnHolidays = Literal["open", "closed", "special"]


@dataclass(frozen=True, slots=True)
class OpeningRange:
    """One opening of one weekday. `day`: 1 is Monday, 7 Sunday. A range whose `closes` isn't after
    `opens` runs past midnight ("18:00–02:00"; closing at 00:00 is midnight)."""

    day: int
    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class DayRange:
    """One opening of a certain day; past midnight like `OpeningRange`."""

    opens: time
    closes: time


DEFAULT_HOURS: Final[tuple[OpeningRange, ...]] = tuple(
    OpeningRange(day, time(opens), time(closes))
    for day in range(1, 6)
    for opens, closes in ((9, 12), (14, 18))
)


@dataclass(frozen=True, slots=True)
class Resource:
    """Who or what is booked. `hours` None: those of the business. `name` is what people hear."""

    id: str
    name: str
    kind: Kind = "staff"
    hours: tuple[OpeningRange, ...] | None = None
    active: bool = True


#: What a business without resources books: itself.
ALONE: Final = Resource("", "")


@dataclass(frozen=True, slots=True)
class Service:
    """What is booked. `before` and `after` are kept free around the appointment; the appointment
    itself lies in the opening hours, its buffers needn't. None: what the agenda's rules say.

    `step`: starts follow one another by so much from each opening; None: by the service's own
    length, and a caller may ask for any other moment of the grid. `daily_cap`: the most
    appointments of this service a day, over all resources. `resources`: who can do it; none named
    means all.
    """

    id: str
    name: str
    minutes: int = DEFAULT_MINUTES
    before: int = 0
    after: int = 0
    step: int | None = None
    notice_minutes: int | None = None
    horizon_days: int | None = None
    daily_cap: int | None = None
    resources: tuple[str, ...] = ()
    active: bool = True


@dataclass(frozen=True, slots=True)
class DayException:
    """The days `first` to `last` differ from the week: closed without `ranges`, otherwise open as
    these say. `resource` None: for the whole business."""

    first: date
    last: date
    ranges: tuple[DayRange, ...] = ()
    resource: str | None = None
    label: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all services that say nothing themselves.

    `holiday_region`: whose public holidays count ("FR", "FR-6AE"); None: nobody's. `daily_cap`: the
    most appointments a day of each resource.
    """

    holiday_region: str | None = None
    on_holidays: OnHolidays = "closed"
    holiday_hours: tuple[DayRange, ...] = ()
    minutes: int = DEFAULT_MINUTES
    step: int | None = None
    notice_minutes: int = 0
    horizon_days: int = HORIZON_DAYS
    daily_cap: int | None = None


@dataclass(frozen=True, slots=True)
class Agenda:
    """A tenant's, as one reads it: `timezone` is an IANA name, `holidays` are the days of the
    rules' region with their names.

    Which hours count on a day: the resource's exception before all else. Then the business's
    exception, or its rule for public holidays; a resource with hours of its own is there when both
    agree. Otherwise the resource's week, or the business's. Of several exceptions for the same day
    one that closes wins, and the ranges of the others add up.
    """

    timezone: str
    hours: tuple[OpeningRange, ...] = DEFAULT_HOURS
    resources: tuple[Resource, ...] = ()
    services: tuple[Service, ...] = ()
    exceptions: tuple[DayException, ...] = ()
    holidays: Mapping[date, str] = field(default_factory=lambda: MappingProxyType({}))
    rules: Rules = field(default_factory=Rules)

    def plain(self) -> Service:
        """An appointment for nothing in particular."""
        return Service("", "", self.rules.minutes)

    def service(self, service_id: str) -> Service | None:
        """One that can be booked; None when there is none (any more)."""
        return next((each for each in self.services if each.id == service_id and each.active), None)

    def able(self, service: Service, resource: str | None = None) -> tuple[Resource, ...]:
        """Who can do it, in the agenda's order; only `resource` if it is named. A business without
        resources does everything itself."""
        able: Sequence[Resource] = [
            each
            for each in self.resources or (ALONE,)
            if each.active and (not service.resources or each.id in service.resources)
        ]
        return tuple(each for each in able if resource in (None, each.id))

    def step(self, service: Service) -> int | None:
        """Minutes between starts, if they were ever fixed."""
        return self.rules.step if service.step is None else service.step

    def notice(self, service: Service) -> int:
        """How soon it may begin, in minutes from now."""
        if service.notice_minutes is None:
            return self.rules.notice_minutes
        return service.notice_minutes

    def horizon(self, service: Service) -> int:
        """How many days ahead it may begin."""
        days = service.horizon_days
        return min(self.rules.horizon_days if days is None else days, MAX_HORIZON_DAYS)
