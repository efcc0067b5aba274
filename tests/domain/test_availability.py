from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.agenda import (
    DEFAULT_HOURS,
    HORIZON_DAYS,
    Agenda,
    OpeningRange,
    Rules,
)
from domain.availability import Slot, nearest
from domain.availability import free_slots as slots_of
from domain.availability import verdict as verdict_of
from domain.part_of_day import named_part

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
PARIS = ZoneInfo("Europe/Paris")


def instant(text: str, zone: str = "Europe/Paris") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def free_slots(
    hours: Sequence[OpeningRange],
    timezone: str,
    busy: Sequence[tuple[datetime, datetime]],
    now: datetime,
    first: date,
    last: date,
    minutes: int = 30,
    part_of_day: str | None = None,
) -> list[Slot]:
    """Of a business that has opening hours and nothing else."""
    agenda = Agenda(timezone, tuple(hours), rules=Rules(minutes=minutes))
    plain = agenda.plain()
    return slots_of(agenda, plain, {"": busy}, now, first, last, part_of_day=part_of_day)


def verdict(
    start: datetime, hours: Sequence[OpeningRange], timezone: str, now: datetime, minutes: int
) -> str:
    agenda = Agenda(timezone, tuple(hours), rules=Rules(minutes=minutes))
    return verdict_of(agenda, agenda.plain(), start, now)


def shown(slots: Sequence[Slot]) -> list[str]:
    return [slot.start.isoformat(timespec="minutes") for slot in slots]


# --------------------------------------------------------------------------------- tables


def test_the_default_week() -> None:
    monday = date(2026, 11, 23)
    now = instant("2026-11-22T23:00")
    slots = free_slots(DEFAULT_HOURS, "Europe/Paris", [], now, monday, monday + 6 * DAY)
    assert len(slots) == 5 * 14
    assert shown(slots)[:7] == [
        f"2026-11-23T{at}+01:00"
        for at in ("09:00", "09:30", "10:00", "10:30", "11:00", "11:30", "14:00")
    ]
    assert {slot.start.isoweekday() for slot in slots} == {1, 2, 3, 4, 5}
    assert {slot.minutes for slot in slots} == {30}
    assert all(slot.start.tzinfo == PARIS and slot.resource == "" for slot in slots)


def test_now_and_what_is_taken_are_left_out() -> None:
    day = date(2026, 11, 24)
    busy = [
        (instant("2026-11-24T10:10"), instant("2026-11-24T10:40")),
        (instant("2026-11-24T14:00"), instant("2026-11-24T16:00")),
        (instant("2026-11-24T16:30"), instant("2026-11-24T18:00")),
        (instant("2026-11-24T11:40"), instant("2026-11-24T11:40")),  # takes no time
    ]
    now = instant("2026-11-24T09:00")
    slots = free_slots(DEFAULT_HOURS, "Europe/Paris", busy, now, day, day)
    assert [slot.start.strftime("%H:%M") for slot in slots] == [
        "09:00",
        "09:30",
        "11:00",
        "11:30",
        "16:00",
    ]
    later = free_slots(DEFAULT_HOURS, "Europe/Paris", busy, now + MINUTE, day, day)
    assert later == slots[1:]


def test_an_appointment_must_end_before_closing() -> None:
    day = date(2026, 11, 24)
    now = instant("2026-11-24T00:00")
    slots = free_slots(DEFAULT_HOURS, "Europe/Paris", [], now, day, day, minutes=80)
    assert [slot.start.strftime("%H:%M") for slot in slots] == [
        "09:00",
        "10:20",
        "14:00",
        "15:20",
        "16:40",
    ]


@pytest.mark.parametrize(
    ("part", "first", "last"),
    [
        ("morning", "09:00", "11:30"),
        ("matin", "09:00", "11:30"),
        ("afternoon", "14:00", "17:30"),
        ("l'après-midi", "14:00", "17:30"),
        ("evening", "18:00", "20:30"),
        ("en soirée", "18:00", "20:30"),
        (None, "09:00", "20:30"),
        ("", "09:00", "20:30"),
        ("n'importe quand", "09:00", "20:30"),
        ("matin ou soir", "09:00", "20:30"),
    ],
)
def test_part_of_day(part: str | None, first: str, last: str) -> None:
    hours = [OpeningRange(2, time(9), time(12)), OpeningRange(2, time(14), time(21))]
    day = date(2026, 11, 24)
    slots = free_slots(
        hours, "Europe/Paris", [], instant("2026-11-24T00:00"), day, day, part_of_day=part
    )
    assert slots[0].start.strftime("%H:%M") == first
    assert slots[-1].start.strftime("%H:%M") == last


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("Matin", "morning"),
        ("demain matin", "morning"),
        ("en matinée", "morning"),
        ("a.m.", None),
        ("après-midi", "afternoon"),
        ("apres-midi", "afternoon"),
        ("cet aprèm", "afternoon"),
        ("Afternoon", "afternoon"),
        ("ce soir", "evening"),
        ("tonight", "evening"),
        ("midi", None),
        ("matinal" * 100, None),
        ("le matin ou l'après-midi", None),
        (None, None),
    ],
)
def test_named_part(text: str | None, part: str | None) -> None:
    assert named_part(text) == part


def test_the_horizon_bounds_any_question() -> None:
    now = instant("2026-11-24T10:00")
    slots = free_slots(DEFAULT_HOURS, "Europe/Paris", [], now, date.min, date.max)
    assert slots[0].start == now
    last = date(2026, 11, 24) + timedelta(days=HORIZON_DAYS)
    assert slots[-1].start.date() <= last
    assert len(slots) > HORIZON_DAYS
    assert free_slots(DEFAULT_HOURS, "Europe/Paris", [], now, last + DAY, date.max) == []
    assert (
        free_slots(DEFAULT_HOURS, "Europe/Paris", [], now, date(2026, 12, 2), last - 70 * DAY) == []
    )
    assert free_slots([], "Europe/Paris", [], now, date.min, date.max) == []


@pytest.mark.parametrize("minutes", [0, -30])
def test_an_appointment_takes_time(minutes: int) -> None:
    with pytest.raises(ValueError, match="minutes"):
        free_slots(
            DEFAULT_HOURS,
            "Europe/Paris",
            [],
            instant("2026-11-24T10:00"),
            date(2026, 11, 24),
            date(2026, 11, 24),
            minutes=minutes,
        )


def test_a_bar_that_closes_after_midnight() -> None:
    hours = [OpeningRange(5, time(22), time(1))]  # Friday night
    now = instant("2026-11-20T12:00")
    friday, saturday = date(2026, 11, 27), date(2026, 11, 28)
    both = free_slots(hours, "Europe/Paris", [], now, friday, saturday, minutes=60)
    assert shown(both) == [
        "2026-11-27T22:00+01:00",
        "2026-11-27T23:00+01:00",
        "2026-11-28T00:00+01:00",
    ]
    only_saturday = free_slots(hours, "Europe/Paris", [], now, saturday, saturday, minutes=60)
    assert shown(only_saturday) == ["2026-11-28T00:00+01:00"]
    for slot in both:
        assert verdict(slot.start, hours, "Europe/Paris", now, 60) == "ok"
    assert verdict(instant("2026-11-28T00:05"), hours, "Europe/Paris", now, 60) == "closed"


@pytest.mark.parametrize(
    ("day", "hours", "expected"),
    [
        # The clocks go forward at 2:00 and back at 3:00: the ranges are an hour shorter, longer.
        (
            "2026-03-29",
            ("00:00", "04:00"),
            ["00:00+01:00", "01:00+01:00", "03:00+02:00"],
        ),
        (
            "2026-10-25",
            ("00:00", "04:00"),
            ["00:00+02:00", "01:00+02:00", "02:00+02:00", "02:00+01:00", "03:00+01:00"],
        ),
        # Opening at a time that the clock jumps over is opening when it has jumped.
        ("2026-03-29", ("02:30", "05:00"), ["03:00+02:00", "04:00+02:00"]),
        ("2026-03-29", ("02:00", "03:00"), []),
        ("2026-03-29", ("01:00", "02:30"), ["01:00+01:00"]),
        # A time that comes twice: opened at the later, closed at the earlier.
        ("2026-10-25", ("02:00", "04:00"), ["02:00+01:00", "03:00+01:00"]),
        ("2026-10-25", ("01:00", "02:30"), ["01:00+02:00"]),
        ("2026-10-25", ("09:00", "11:00"), ["09:00+01:00", "10:00+01:00"]),
    ],
)
def test_the_nights_of_the_time_change(
    day: str, hours: tuple[str, str], expected: list[str]
) -> None:
    opens, closes = (time.fromisoformat(at) for at in hours)
    sunday = date.fromisoformat(day)
    now = datetime(2026, 3, 1, tzinfo=UTC) if day < "2026-06" else datetime(2026, 10, 1, tzinfo=UTC)
    slots = free_slots(
        [OpeningRange(7, opens, closes)], "Europe/Paris", [], now, sunday, sunday, minutes=60
    )
    assert shown(slots) == [f"{day}T{at}" for at in expected]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2026-11-24T09:00", "ok"),
        ("2026-11-24T09:05", "ok"),
        ("2026-11-24T11:30", "ok"),
        ("2026-11-24T11:35", "closed"),
        ("2026-11-24T09:03", "unoffered"),
        ("2026-11-24T09:00:30", "unoffered"),
        ("2026-11-24T08:55", "closed"),
        ("2026-11-24T12:00", "closed"),
        ("2026-11-24T17:30", "ok"),
        ("2026-11-22T10:00", "past"),
        ("2026-11-23T10:00", "ok"),
        ("2026-11-28T10:00", "closed"),
        ("2027-01-22T10:00", "ok"),
        ("2027-01-25T10:00", "far"),
    ],
)
@pytest.mark.parametrize("spelled_in", ["Europe/Paris", "UTC", "Asia/Tokyo"])
def test_verdict(start: str, expected: str, spelled_in: str) -> None:
    now = instant("2026-11-23T10:00")
    moment = instant(start).astimezone(ZoneInfo(spelled_in))
    assert verdict(moment, DEFAULT_HOURS, "Europe/Paris", now, 30) == expected


def test_ranges_that_touch_are_one_opening() -> None:
    hours = [OpeningRange(2, time(9), time(12)), OpeningRange(2, time(12), time(18))]
    now = instant("2026-11-23T10:00")
    assert verdict(instant("2026-11-24T11:45"), hours, "Europe/Paris", now, 30) == "ok"


def test_always_open() -> None:
    hours = [OpeningRange(day, time(), time()) for day in range(1, 8)]
    now = instant("2026-11-23T10:00")
    day = date(2026, 11, 24)
    assert verdict(instant("2026-11-24T23:45"), hours, "Europe/Paris", now, 30) == "ok"
    assert verdict(instant("2026-11-24T00:00"), hours, "Europe/Paris", now, 30) == "ok"
    # The grid begins with each day, whatever days are asked for.
    slots = free_slots(hours, "Europe/Paris", [], now, day, day, minutes=50)
    assert shown(slots)[:2] == ["2026-11-24T00:00+01:00", "2026-11-24T00:50+01:00"]
    two_days = free_slots(hours, "Europe/Paris", [], now, day - DAY, day, minutes=50)
    assert set(slots) < set(two_days)


def test_nearest() -> None:
    slots = [Slot(instant(f"2026-11-24T{at}"), 30) for at in ("09:00", "10:00", "11:00", "15:00")]
    wanted = instant("2026-11-24T10:30")
    assert nearest(slots, wanted) == [slots[1], slots[2], slots[0]]
    assert nearest(slots, wanted, 1) == [slots[1]]
    assert nearest(slots, wanted, 9) == [slots[1], slots[2], slots[0], slots[3]]
    assert nearest([], wanted) == []
    assert nearest(slots, wanted, 0) == []
