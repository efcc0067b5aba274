"""Free slots against a model that looks at the clock minute by minute and does no arithmetic on
wall times, under five time zones of the process: whose machine it runs on changes nothing."""

import time as system_time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from domain.agenda import (
    Agenda,
    DayException,
    DayRange,
    OnHolidays,
    OpeningRange,
    Resource,
    Rules,
    Service,
)
from domain.availability import able_at, free_slots, verdict

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)

# Days around a time change, and ordinary ones; each with its zone.
PLACES = [
    ("Europe/Paris", date(2027, 3, 28)),
    ("Europe/Paris", date(2026, 10, 25)),
    ("Europe/Paris", date(2026, 7, 14)),
    ("Indian/Reunion", date(2026, 10, 25)),
    ("America/Martinique", date(2026, 12, 31)),
    ("America/Los_Angeles", date(2026, 11, 1)),
    ("America/St_Johns", date(2026, 3, 8)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Africa/Cairo", date(2026, 4, 24)),  # midnight doesn't exist
    ("Asia/Tokyo", date(2026, 6, 1)),
]

Span = tuple[datetime, datetime]
Minutes = frozenset[datetime]


@pytest.fixture(
    params=["Europe/Paris", "Indian/Reunion", "America/Martinique", "America/Los_Angeles", "UTC"]
)
def process_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TZ", request.param)
    system_time.tzset()
    yield request.param
    monkeypatch.undo()
    system_time.tzset()


class Model:
    """What the docstrings of `domain.agenda` say, the slow way."""

    def __init__(self, agenda: Agenda, service: Service, first: date, last: date) -> None:
        self.agenda, self.service = agenda, service
        self.zone = ZoneInfo(agenda.timezone)
        begin = datetime.combine(first - 2 * DAY, time(), tzinfo=UTC) - timedelta(hours=15)
        self.clock: dict[datetime, datetime] = {}
        while begin < datetime.combine(last + 3 * DAY, time(), tzinfo=UTC):
            self.clock[begin] = begin.astimezone(self.zone)
            begin += MINUTE
        self.days = [first + DAY * n for n in range(-1, (last - first).days + 2)]
        everybody = agenda.resources or (Resource("", ""),)
        self.resources = [
            each
            for each in everybody
            if each.active and (not service.resources or each.id in service.resources)
        ]
        self.runs = {each.id: self.openings(each) for each in self.resources}

    def shows(self, day: date, ranges: Sequence[DayRange | OpeningRange]) -> Minutes:
        found = set()
        for minute, clock in self.clock.items():
            if not day <= clock.date() <= day + DAY:
                continue
            for each in ranges:
                night = each.closes <= each.opens
                if clock.date() == day:
                    is_open = each.opens <= clock.time() and (night or clock.time() < each.closes)
                else:
                    is_open = night and clock.time() < each.closes
                if is_open:
                    found.add(minute)
        return frozenset(found)

    def on(self, resource: Resource, day: date) -> Minutes:
        def exception(of: str | None) -> list[DayRange] | None:
            there = [
                e for e in self.agenda.exceptions if e.resource == of and e.first <= day <= e.last
            ]
            if not there:
                return None
            if any(e.ranges == () for e in there):
                return []
            return [r for e in there for r in e.ranges]

        own = exception(resource.id) if resource.id else None
        if own is not None:
            return self.shows(day, own)
        business = exception(None)
        if business is None and day in self.agenda.holidays:
            business = {
                "open": None,
                "closed": [],
                "special": list(self.agenda.rules.holiday_hours),
            }[self.agenda.rules.on_holidays]
        hours = self.agenda.hours if resource.hours is None else resource.hours
        week = self.shows(day, [each for each in hours if each.day == day.isoweekday()])
        if business is None:
            return week
        special = self.shows(day, business)
        return special if resource.hours is None else special & week

    def openings(self, resource: Resource) -> list[list[datetime]]:
        runs: list[list[datetime]] = []
        for day in self.days:
            run: list[datetime] = []
            for minute in sorted(self.on(resource, day)):
                if run and minute != run[-1] + MINUTE:
                    runs.append(run)
                    run = []
                run.append(minute)
            if run:
                runs.append(run)
        return runs

    def starts(self, resource: str) -> set[datetime]:
        rules, service = self.agenda.rules, self.service
        step = service.step or rules.step or service.minutes
        step = next(n for n in range(step, step + 5) if n % 5 == 0)
        found = set()
        for run in self.runs[resource]:
            first = next((at for at in run if at.minute % 5 == 0), None)
            inside = set(run)
            while first is not None and first in inside:
                if first + (service.minutes - 1) * MINUTE in inside:
                    found.add(first)
                first += step * MINUTE
        return found

    def taken(self, busy: Mapping[str, Sequence[Span]], resource: str) -> set[datetime]:
        spans = [
            span
            for of, each in busy.items()
            if of in ("", resource) or not resource
            for span in each
        ]
        return {cell for start, end in spans for cell in cells(start, end)}

    def slots(
        self,
        busy: Mapping[str, Sequence[Span]],
        booked: Mapping[tuple[date, str, str], int],
        now: datetime,
        days: Sequence[date],
    ) -> dict[datetime, set[str]]:
        rules, service = self.agenda.rules, self.service
        notice = rules.notice_minutes if service.notice_minutes is None else service.notice_minutes
        horizon = rules.horizon_days if service.horizon_days is None else service.horizon_days
        last = now.astimezone(self.zone).date() + DAY * horizon
        found: dict[datetime, set[str]] = {}
        for resource in self.resources:
            taken = self.taken(busy, resource.id)
            for start in self.starts(resource.id):
                day = self.clock[start].date()
                if day not in days or day > last or start < now + notice * MINUTE:
                    continue
                of_service = sum(
                    n for (d, _, s), n in booked.items() if d == day and s == service.id
                )
                of_resource = sum(
                    n for (d, r, _), n in booked.items() if d == day and r == resource.id
                )
                if service.daily_cap is not None and of_service >= service.daily_cap:
                    continue
                if rules.daily_cap is not None and of_resource >= rules.daily_cap:
                    continue
                begin = start - service.before * MINUTE
                end = start + (service.minutes + service.after) * MINUTE
                if not taken & cells(begin, end):
                    found.setdefault(start, set()).add(resource.id)
        return found

    def works(self, resource: str, start: datetime) -> bool:
        there = {minute for run in self.runs[resource] for minute in run}
        return all(start + MINUTE * n in there for n in range(self.service.minutes))

    def load(self, busy: Mapping[str, Sequence[Span]], resource: str, day: date) -> int:
        return sum(
            self.clock[cell].date() == day
            for cell in self.taken(busy, resource)
            if cell in self.clock
        )


def cells(start: datetime, end: datetime) -> set[datetime]:
    """The cells of five minutes that are touched."""
    cell = start.replace(minute=start.minute - start.minute % 5, second=0, microsecond=0)
    found = set()
    while cell < end and start < end:
        found.add(cell)
        cell += 5 * MINUTE
    return found


def repeated(day: date, at: time, zone: ZoneInfo) -> bool:
    moment = datetime.combine(day, at, tzinfo=zone)
    return moment.replace(fold=0).astimezone(UTC) < moment.replace(fold=1).astimezone(UTC)


wall = st.builds(time, st.integers(0, 23), st.sampled_from([0, 0, 15, 30, 37, 45]))
weeks = st.lists(st.builds(OpeningRange, st.integers(1, 7), wall, wall), max_size=6).map(tuple)
day_ranges = st.lists(st.builds(DayRange, wall, wall), max_size=2).map(tuple)
maybe_cap = st.none() | st.integers(1, 2)


@st.composite
def agendas(draw: st.DrawFn, zone: str, day: date) -> Agenda:
    resources = draw(
        st.sampled_from([(), ("m",), ("m", "p")]).map(
            lambda names: tuple(Resource(name, name.upper()) for name in names)
        )
    )
    resources = tuple(
        Resource(each.id, each.name, hours=draw(st.none() | weeks), active=draw(st.just(True)))
        for each in resources
    )
    around = st.integers(-2, 2).map(lambda n: day + DAY * n)
    exceptions = tuple(
        DayException(
            first,
            first + DAY * draw(st.integers(0, 1)),
            draw(day_ranges),
            draw(st.sampled_from([None, None, *(each.id for each in resources)])),
        )
        for first in draw(st.lists(around, max_size=2))
    )
    treatment: OnHolidays = draw(st.sampled_from(["open", "closed", "special"]))
    return Agenda(
        zone,
        (*draw(weeks), OpeningRange(day.isoweekday(), time(0), time(9, 30))),
        resources,
        (),
        exceptions,
        dict.fromkeys(draw(st.lists(around, max_size=1)), "Fête"),
        Rules(
            "FR",
            treatment,
            draw(day_ranges),
            step=draw(st.none() | st.sampled_from([5, 15, 40])),
            notice_minutes=draw(st.sampled_from([0, 0, 61, 1500])),
            horizon_days=draw(st.sampled_from([1, 60, 60])),
            daily_cap=draw(maybe_cap),
        ),
    )


services = st.builds(
    Service,
    st.just("s"),
    st.just("Coupe"),
    st.sampled_from([10, 30, 45, 62, 95]),
    before=st.sampled_from([0, 0, 10, 17]),
    after=st.sampled_from([0, 0, 5, 33]),
    step=st.none() | st.sampled_from([20]),
    notice_minutes=st.none() | st.just(0),
    horizon_days=st.none() | st.just(3),
    daily_cap=maybe_cap,
    resources=st.sampled_from([(), ("m",), ("p", "m")]),
)


@pytest.mark.usefixtures("process_zone")
@settings(
    deadline=None,
    max_examples=25,
    # The zone of the process is the same for all examples, and meant to be.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
@given(st.data(), st.sampled_from(PLACES), services)
def test_free_slots_are_those_of_the_naive_model(
    data: st.DataObject, place: tuple[str, date], service: Service
) -> None:
    name, day = place
    agenda = data.draw(agendas(name, day))
    zone = ZoneInfo(name)
    # An edge in the hour that comes twice is a matter of taste: test_availability.py has it.
    assume(not any(repeated(each, edge, zone) for each, edge in edges(agenda, day)))
    midnight = datetime.combine(day, time(), tzinfo=UTC)
    now = midnight + MINUTE * data.draw(st.integers(-1500, 700))
    days = [day, day + DAY][: data.draw(st.integers(1, 2))]
    spans = st.tuples(st.integers(-1000, 3500), st.integers(0, 200)).map(
        lambda pair: (midnight + MINUTE * pair[0], midnight + MINUTE * sum(pair))
    )
    busy = data.draw(
        st.dictionaries(st.sampled_from(["", "m", "p", "x"]), st.lists(spans, max_size=4))
    )
    keys = st.tuples(st.sampled_from(days), st.sampled_from(["", "m", "p"]), st.sampled_from("st"))
    booked = data.draw(st.dictionaries(keys, st.integers(1, 2), max_size=2))

    model = Model(agenda, service, days[0], days[-1])
    slots = free_slots(agenda, service, busy, now, days[0], days[-1], booked=booked)
    found = {slot.start.astimezone(UTC): {slot.resource, *slot.others} for slot in slots}
    today = now.astimezone(zone).date()
    assert found == model.slots(busy, booked, now, [each for each in days if each >= today])
    # In UTC: one zone's times are compared by what the clock shows, which an hour may do twice.
    starts = [slot.start.astimezone(UTC) for slot in slots]
    assert all(one < other for one, other in pairwise(starts))
    for slot in slots[:: max(1, len(slots) // 5)]:
        assert verdict(agenda, service, slot.start, now) == "ok"
        order = [
            model.load(busy, each, slot.start.date()) for each in (slot.resource, *slot.others)
        ]
        assert order == sorted(order)
    if (service.step or agenda.rules.step) is None:
        for ahead in data.draw(st.lists(st.integers(0, 287), max_size=5)):
            start = midnight + 5 * MINUTE * ahead
            if model.clock[start].date() in days:
                able = {each.id for each in model.resources if model.works(each.id, start)}
                assert set(able_at(agenda, service, start)) == able


def edges(agenda: Agenda, day: date) -> Iterator[tuple[date, time]]:
    """All that opens or closes around the day."""
    ranges: list[DayRange | OpeningRange] = [*agenda.hours, *agenda.rules.holiday_hours]
    for resource in agenda.resources:
        ranges += resource.hours or ()
    for exception in agenda.exceptions:
        ranges += exception.ranges
    for around in range(-2, 5):
        for each in ranges:
            yield day + DAY * around, each.opens
            yield day + DAY * around, each.closes


@pytest.mark.usefixtures("process_zone")
@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2027-03-28", "00:00+01:00 01:00+01:00 03:00+02:00"),
        ("2026-10-25", "00:00+02:00 01:00+02:00 02:00+02:00 02:00+01:00 03:00+01:00"),
    ],
)
def test_the_nights_of_the_time_change_wherever_the_server_stands(day: str, expected: str) -> None:
    sunday = date.fromisoformat(day)
    agenda = Agenda("Europe/Paris", (OpeningRange(7, time(0), time(4)),))
    now = datetime.combine(sunday - 20 * DAY, time(), tzinfo=UTC)
    slots = free_slots(agenda, Service("s", "", 60), {}, now, sunday, sunday)
    assert " ".join(slot.start.isoformat(timespec="minutes")[11:] for slot in slots) == expected
