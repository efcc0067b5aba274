"""When somebody is reminded of an appointment."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.reminder_times import Due, QuietHours, reminders

PARIS = ZoneInfo("Europe/Paris")
QUIET = QuietHours()
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def paris(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=PARIS)  # type: ignore[misc,arg-type]


def walls(due: tuple[Due, ...]) -> list[tuple[str, str]]:
    return [(each.kind, each.at.astimezone(PARIS).strftime("%m-%d %H:%M")) for each in due]


def test_the_day_before_and_an_hour_before() -> None:
    due = reminders(paris(2026, 11, 24, 14, 30), "Europe/Paris", LONG_AGO, QUIET)
    assert walls(due) == [("24h", "11-23 14:30"), ("1h", "11-24 13:30")]
    assert not any(each.only_without_first for each in due)


@pytest.mark.parametrize(
    ("day", "elapsed"),
    [(paris(2027, 3, 28, 14, 0), 23), (paris(2026, 10, 25, 14, 0), 25)],
)
def test_the_day_before_is_the_same_wall_time_when_the_clocks_change(
    day: datetime, elapsed: int
) -> None:
    first, second = reminders(day, "Europe/Paris", LONG_AGO, QUIET)
    assert first.at.astimezone(PARIS).time() == day.time()
    assert day.astimezone(UTC) - first.at == timedelta(hours=elapsed)
    assert day.astimezone(UTC) - second.at == timedelta(hours=1)


def test_an_hour_before_is_a_real_hour_across_the_change() -> None:
    # At 02:00 the clocks go to 03:00: an hour before 03:30 is 01:30 on the wall.
    start = paris(2027, 3, 28, 3, 30)
    (_, second) = reminders(start, "Europe/Paris", LONG_AGO, QuietHours(time(0), time(23, 59)))
    assert second.at == start.astimezone(UTC) - timedelta(hours=1)
    assert second.at.astimezone(PARIS).strftime("%H:%M") == "01:30"


def test_a_wall_time_that_the_clocks_skip_is_reminded_of_all_the_same() -> None:
    # 29 March 02:30 exists, the day before it doesn't.
    start = paris(2027, 3, 29, 2, 30)
    first, _ = reminders(start, "Europe/Paris", LONG_AGO, QuietHours(time(0), time(23, 59)))
    assert first.at.astimezone(PARIS).strftime("%m-%d %H:%M") == "03-28 03:30"


def test_who_books_late_gets_no_first_reminder() -> None:
    start = paris(2026, 11, 24, 14, 30)
    due = reminders(start, "Europe/Paris", paris(2026, 11, 23, 15, 0), QUIET)
    assert walls(due) == [("1h", "11-24 13:30")]
    assert reminders(start, "Europe/Paris", paris(2026, 11, 24, 14, 0), QUIET) == ()


def test_quiet_hours_bring_a_reminder_forward() -> None:
    early = reminders(paris(2026, 11, 24, 8, 30), "Europe/Paris", LONG_AGO, QUIET)
    assert walls(early) == [("24h", "11-23 08:30"), ("1h", "11-23 19:59")]
    assert [each.only_without_first for each in early] == [False, True]
    late = reminders(paris(2026, 11, 24, 21, 0), "Europe/Paris", LONG_AGO, QUIET)
    assert walls(late) == [("24h", "11-23 19:59"), ("1h", "11-24 19:59")]


def test_holidays_and_sundays_are_quiet_all_day() -> None:
    quiet = QuietHours(holidays={date(2026, 11, 11)}, sundays=True)
    due = reminders(paris(2026, 11, 12, 10, 0), "Europe/Paris", LONG_AGO, quiet)
    assert walls(due)[0] == ("24h", "11-10 19:59")
    monday = reminders(paris(2026, 11, 23, 10, 0), "Europe/Paris", LONG_AGO, quiet)
    assert walls(monday)[0] == ("24h", "11-21 19:59")


# Hypothesis takes naive bounds and gives them the zone.
FIRST, LAST = datetime(2026, 1, 2), datetime(2027, 12, 30)  # noqa: DTZ001
ZONES = ["Europe/Paris", "Indian/Reunion", "America/Martinique", "Asia/Tokyo", "UTC"]


@given(
    start=st.datetimes(FIRST, LAST, timezones=st.just(UTC)),
    zone=st.sampled_from(ZONES),
    lead=st.integers(0, 5000),
    sundays=st.booleans(),
    holidays=st.sets(st.dates(date(2026, 1, 1), date(2027, 12, 31)), max_size=20),
)
def test_never_late_never_in_quiet_hours_never_before_the_booking(
    start: datetime, zone: str, lead: int, sundays: bool, holidays: set[date]
) -> None:
    quiet = QuietHours(holidays=holidays, sundays=sundays)
    booked = start - timedelta(minutes=lead)
    due = reminders(start, zone, booked, quiet)
    latest = {"24h": timedelta(hours=22), "1h": timedelta(hours=1)}
    for each in due:
        assert start - each.at >= latest[each.kind]
        assert each.at > booked
        assert not quiet.quiet(each.at.astimezone(ZoneInfo(zone)))
    assert len({each.kind for each in due}) == len(due)
