from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

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
from domain.availability import Slot, able_at, days, free_slots, slot_at, verdict

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
PARIS = ZoneInfo("Europe/Paris")


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=PARIS).astimezone(UTC)


TUESDAY = date(2026, 11, 24)
MONDAY_NIGHT = instant("2026-11-23T20:00")
MARIE, PAUL = Resource("m", "Marie"), Resource("p", "Paul")


def times(slots: Sequence[Slot]) -> list[str]:
    return [slot.start.strftime("%H:%M") for slot in slots]


def on_tuesday(
    agenda: Agenda,
    service: Service | None = None,
    busy: Mapping[str, Sequence[tuple[datetime, datetime]]] | None = None,
    **more: Any,
) -> list[Slot]:
    wanted = service or agenda.plain()
    return free_slots(agenda, wanted, busy or {}, MONDAY_NIGHT, TUESDAY, TUESDAY, **more)


def span(start: str, end: str) -> tuple[datetime, datetime]:
    return instant(f"2026-11-24T{start}"), instant(f"2026-11-24T{end}")


PARIS_AGENDA = Agenda("Europe/Paris")


def test_buffers_are_kept_free_but_may_lie_outside_the_hours() -> None:
    service = Service("s", "Coupe", 60, before=15, after=15)
    assert times(on_tuesday(PARIS_AGENDA, service)) == [
        "09:00", "10:00", "11:00", "14:00", "15:00", "16:00", "17:00",
    ]  # fmt: skip
    busy = {"": [span("10:15", "10:30"), span("14:00", "14:50")]}
    # 9:00 ends at 10:00, and has until 10:15; 15:00 would need 14:45.
    assert times(on_tuesday(PARIS_AGENDA, service, busy)) == ["09:00", "11:00", "16:00", "17:00"]


def test_a_step_is_the_grid_of_starts() -> None:
    agenda = replace(PARIS_AGENDA, rules=Rules(step=15))
    long = Service("s", "Visite", 150)
    assert times(on_tuesday(agenda, long)) == [
        "09:00", "09:15", "09:30", "14:00", "14:15", "14:30", "14:45", "15:00", "15:15", "15:30",
    ]  # fmt: skip
    assert times(on_tuesday(agenda, replace(long, step=90))) == ["09:00", "14:00", "15:30"]
    start = instant("2026-11-24T14:10")
    assert verdict(agenda, long, start, MONDAY_NIGHT) == "unoffered"
    assert verdict(PARIS_AGENDA, long, start, MONDAY_NIGHT) == "ok"
    assert verdict(agenda, long, start + 5 * MINUTE, MONDAY_NIGHT) == "ok"


def test_starts_lie_on_the_grid_whatever_the_hours() -> None:
    agenda = Agenda("Europe/Paris", (OpeningRange(2, time(9, 7), time(10, 4)),))
    assert times(on_tuesday(agenda, Service("s", "", 13))) == ["09:10", "09:25", "09:40"]


@pytest.mark.parametrize(("minutes", "first"), [(0, "20:00"), (90, "21:30"), (91, "22:00")])
def test_minimum_notice(minutes: int, first: str) -> None:
    agenda = Agenda(
        "Europe/Paris",
        (OpeningRange(1, time(18), time(23)),),
        rules=Rules(notice_minutes=minutes),
    )
    monday = date(2026, 11, 23)
    found = free_slots(agenda, agenda.plain(), {}, MONDAY_NIGHT, monday, monday)
    assert times(found)[0] == first
    service = agenda.plain()
    at = MONDAY_NIGHT + timedelta(minutes=60)
    assert verdict(agenda, service, at, MONDAY_NIGHT) == ("soon" if minutes else "ok")
    assert verdict(agenda, service, MONDAY_NIGHT - MINUTE, MONDAY_NIGHT) == "past"
    sooner = replace(service, notice_minutes=0)
    assert verdict(agenda, sooner, at, MONDAY_NIGHT) == "ok"


def test_the_horizon_is_the_services_or_the_rules_and_two_years_at_most() -> None:
    agenda = replace(PARIS_AGENDA, rules=Rules(horizon_days=1))
    assert verdict(agenda, agenda.plain(), instant("2026-11-24T09:00"), MONDAY_NIGHT) == "ok"
    wednesday = instant("2026-11-25T09:00")
    assert verdict(agenda, agenda.plain(), wednesday, MONDAY_NIGHT) == "far"
    yearly = replace(agenda.plain(), horizon_days=10_000)
    assert verdict(agenda, yearly, wednesday, MONDAY_NIGHT) == "ok"
    found = free_slots(agenda, yearly, {}, MONDAY_NIGHT, date(2028, 11, 1), date.max)
    assert found[-1].start.date() == date(2028, 11, 22)


def test_daily_caps_of_a_service_and_of_each_resource() -> None:
    agenda = replace(PARIS_AGENDA, resources=(MARIE, PAUL), rules=Rules(daily_cap=2))
    service = Service("s", "Bilan", 60, daily_cap=3)
    booked = {(TUESDAY, "m", "s"): 1, (TUESDAY, "m", ""): 1, (TUESDAY, "p", "s"): 1}
    found = on_tuesday(agenda, service, booked=booked)
    assert {(slot.resource, slot.others) for slot in found} == {("p", ())}
    assert on_tuesday(agenda, service, booked={**booked, (TUESDAY, "p", "s"): 2}) == []
    yesterday = {(TUESDAY - DAY, "m", "s"): 5}
    assert len(on_tuesday(agenda, service, booked=yesterday)) == 7
    start = instant("2026-11-24T09:00")
    slot = slot_at(agenda, service, {}, start, MONDAY_NIGHT, booked=booked)
    assert slot is not None
    assert (slot.resource, slot.others) == ("p", ())
    full = {(TUESDAY, "p", "s"): 3}
    assert slot_at(agenda, service, {}, start, MONDAY_NIGHT, booked=full) is None


def test_anyone_is_whoever_has_most_time_left() -> None:
    agenda = replace(PARIS_AGENDA, resources=(MARIE, PAUL, Resource("x", "X", active=False)))
    busy = {"m": [span("09:00", "10:00")], "p": [span("15:00", "15:30")]}
    found = {
        slot.start.strftime("%H:%M"): (slot.resource, *slot.others)
        for slot in on_tuesday(agenda, Service("s", "", 60), busy)
    }
    assert found["09:00"] == ("p",)
    assert found["10:00"] == ("p", "m")
    assert found["15:00"] == ("m",)
    # Whatever is under "" is everybody's.
    busy[""] = [span("09:00", "18:00")]
    assert on_tuesday(agenda, Service("s", "", 60), busy) == []


def test_who_can_do_it() -> None:
    agenda = replace(PARIS_AGENDA, resources=(MARIE, PAUL))
    service = Service("s", "Coupe", resources=("p",))
    start = instant("2026-11-24T09:00")
    assert {slot.resource for slot in on_tuesday(agenda, service)} == {"p"}
    assert on_tuesday(agenda, service, resource="m") == []
    assert verdict(agenda, service, start, MONDAY_NIGHT, resource="m") == "closed"
    assert able_at(agenda, service, start) == ("p",)
    assert able_at(agenda, agenda.plain(), start) == ("m", "p")
    assert able_at(agenda, agenda.plain(), start, resource="m") == ("m",)
    assert able_at(agenda, agenda.plain(), start - DAY * 2) == ()
    nobody = replace(agenda, resources=(replace(MARIE, active=False),))
    assert on_tuesday(nobody) == []


def test_a_business_without_resources_has_no_time_for_what_anybody_took() -> None:
    busy = {"gone": [span("09:00", "12:00")], "": [span("14:00", "17:30")]}
    found = on_tuesday(PARIS_AGENDA, None, busy)
    assert times(found) == ["17:30"]
    assert (found[0].resource, found[0].others) == ("", ())


def test_a_week_of_ones_own() -> None:
    evening = replace(PAUL, hours=(OpeningRange(2, time(17), time(20)),))
    never = Resource("n", "Nobody", hours=())
    agenda = replace(PARIS_AGENDA, resources=(MARIE, evening, never))
    found = on_tuesday(agenda, Service("s", "", 60))
    assert times(found)[-3:] == ["17:00", "18:00", "19:00"]
    assert [slot.resource for slot in found][-3:] == ["m", "p", "p"]
    assert {"n"} & {name for slot in found for name in (slot.resource, *slot.others)} == set()


ten_to_noon = (DayRange(time(10), time(12)),)
late = (DayRange(time(16), time(19)),)


@pytest.mark.parametrize(
    ("exceptions", "holiday", "marie", "paul"),
    [
        # Marie has the business's hours, Paul works from 11 to 15 on Tuesdays.
        ([], None, "09:00-18:00", "11:00-15:00"),
        ([DayException(TUESDAY, TUESDAY)], None, None, None),
        ([DayException(TUESDAY - DAY, TUESDAY + DAY)], None, None, None),
        ([DayException(TUESDAY - DAY, TUESDAY - DAY)], None, "09:00-18:00", "11:00-15:00"),
        ([DayException(TUESDAY, TUESDAY, ten_to_noon)], None, "10:00-12:00", "11:00-12:00"),
        ([DayException(TUESDAY, TUESDAY, late)], None, "16:00-19:00", None),
        # The resource's own word is the last one.
        ([DayException(TUESDAY, TUESDAY, (), "p")], None, "09:00-18:00", None),
        ([DayException(TUESDAY, TUESDAY, late, "p")], None, "09:00-18:00", "16:00-19:00"),
        (
            [DayException(TUESDAY, TUESDAY), DayException(TUESDAY, TUESDAY, late, "p")],
            None,
            None,
            "16:00-19:00",
        ),
        # Of several for one day closing wins, ranges add up.
        (
            [DayException(TUESDAY, TUESDAY, ten_to_noon), DayException(TUESDAY, TUESDAY)],
            None,
            None,
            None,
        ),
        (
            [
                DayException(TUESDAY, TUESDAY, ten_to_noon),
                DayException(TUESDAY, TUESDAY, (DayRange(time(12), time(13)),)),
            ],
            None,
            "10:00-13:00",
            "11:00-13:00",
        ),
        # Public holidays.
        ([], "closed", None, None),
        ([], "open", "09:00-18:00", "11:00-15:00"),
        ([], "special", "10:00-12:00", "11:00-12:00"),
        ([DayException(TUESDAY, TUESDAY, late)], "closed", "16:00-19:00", None),
    ],
)
def test_which_hours_count_on_a_day(
    exceptions: list[DayException], holiday: OnHolidays | None, marie: str | None, paul: str | None
) -> None:
    mine = replace(PAUL, hours=(OpeningRange(2, time(11), time(15)),))
    agenda = replace(
        PARIS_AGENDA,
        resources=(MARIE, mine),
        exceptions=tuple(exceptions),
        holidays={TUESDAY: "Fête"} if holiday else {},
        rules=Rules("FR", holiday or "closed", ten_to_noon),
    )
    for name, expected in (("m", marie), ("p", paul)):
        found = on_tuesday(agenda, Service("s", "", 5), resource=name)
        first, last = (found[0].start, found[-1].start + 5 * MINUTE) if found else (None, None)
        shown = first and last and f"{first:%H:%M}-{last:%H:%M}"
        assert shown == expected, name


def test_an_exception_is_for_the_night_that_begins_then() -> None:
    hours = (OpeningRange(1, time(22), time(2)), OpeningRange(2, time(22), time(2)))
    agenda = Agenda("Europe/Paris", hours, exceptions=(DayException(TUESDAY, TUESDAY),))
    found = free_slots(agenda, Service("s", "", 60), {}, MONDAY_NIGHT, TUESDAY - DAY, TUESDAY + DAY)
    assert times(found) == ["22:00", "23:00", "00:00", "01:00"]


def test_a_moment_off_the_list_of_slots() -> None:
    start = instant("2026-11-24T14:10")
    slot = slot_at(PARIS_AGENDA, PARIS_AGENDA.plain(), {}, start, MONDAY_NIGHT)
    assert slot == Slot(start.astimezone(PARIS), 30)
    busy = {"": [span("14:35", "15:00")]}
    assert slot_at(PARIS_AGENDA, PARIS_AGENDA.plain(), busy, start, MONDAY_NIGHT) is None
    assert slot_at(PARIS_AGENDA, Service("s", "", 25), busy, start, MONDAY_NIGHT) is not None
    assert slot_at(PARIS_AGENDA, Service("s", "", 25, after=5), busy, start, MONDAY_NIGHT) is None
    night = instant("2026-11-24T22:00")
    assert slot_at(PARIS_AGENDA, PARIS_AGENDA.plain(), {}, night, MONDAY_NIGHT) is None


def test_days_come_one_by_one() -> None:
    each = list(days(PARIS_AGENDA, PARIS_AGENDA.plain(), {}, MONDAY_NIGHT, TUESDAY, TUESDAY + DAY))
    assert [len(slots) for slots in each] == [14, 14]
