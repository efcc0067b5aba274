"""When a calendar says that its owner is busy, by tables; and the process that reads it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from storage.ical.busy import MAX_STEPS, BusyTimes, NotReadable, busy_times
from storage.ical.reader import CalendarReader, CalendarUnreadable

PARIS = ZoneInfo("Europe/Paris")
START = datetime(2026, 11, 22, tzinfo=UTC)
END = START + timedelta(days=30)
OURS = "@calendar.example.test"


def calendar(*events: str, before: str = "") -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//test//EN", *before.split("\n")]
    for number, event in enumerate(events):
        lines += ["BEGIN:VEVENT"]
        if "UID:" not in event:
            lines += [f"UID:{number}@elsewhere"]
        lines += [*event.strip().split("\n"), "END:VEVENT"]
    lines += ["END:VCALENDAR", ""]
    return "\r\n".join(line.strip() for line in lines if line.strip()).encode() + b"\r\n"


def read(*events: str, before: str = "", start: datetime = START, end: datetime = END) -> BusyTimes:
    return busy_times(calendar(*events, before=before), PARIS, start, end, OURS)


def spans(*events: str, before: str = "") -> list[str]:
    """`24T09:00/10:00`, in UTC."""
    found = read(*events, before=before)
    return [f"{s:%dT%H:%M}/{e:%H:%M}" for s, e in found.spans]


WEEKLY = "DTSTART;TZID=Europe/Paris:20260921T090000\nDTEND;TZID=Europe/Paris:20260921T100000\n"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("DTSTART:20261124T090000Z\nDTEND:20261124T100000Z", ["24T09:00/10:00"]),
        ("DTSTART:20261124T090000Z\nDURATION:PT90M", ["24T09:00/10:30"]),
        ("DTSTART;TZID=Europe/Paris:20261124T090000\nDURATION:PT1H", ["24T08:00/09:00"]),
        # Outlook's names, vendors' prefixes, quotes.
        ("DTSTART;TZID=Romance Standard Time:20261124T090000\nDURATION:PT1H", ["24T08:00/09:00"]),
        (
            'DTSTART;TZID="Eastern Standard Time":20261124T090000\nDURATION:PT1H',
            ["24T14:00/15:00"],
        ),
        (
            "DTSTART;TZID=/example.org/20050809/Europe/Paris:20261124T090000\nDURATION:PT1H",
            ["24T08:00/09:00"],
        ),
        # Floating: the tenant's clock.
        ("DTSTART:20261124T090000\nDTEND:20261124T100000", ["24T08:00/09:00"]),
        # Days begin and end at the tenant's midnight.
        ("DTSTART;VALUE=DATE:20261124\nDTEND;VALUE=DATE:20261125", ["23T23:00/23:00"]),
        ("DTSTART;VALUE=DATE:20261124", ["23T23:00/23:00"]),
        ("DTSTART;VALUE=DATE:20261124\nDTEND;VALUE=DATE:20261124", ["23T23:00/23:00"]),
        ("DTSTART:20261124T090000Z", []),  # a moment takes no time
        ("DTSTART:20261124T090000Z\nDTEND:20261124T080000Z", []),
        ("DTSTART:20200101T090000Z\nDTEND:20200101T100000Z", []),
        # Not busy.
        ("DTSTART:20261124T090000Z\nDURATION:PT1H\nSTATUS:CANCELLED", []),
        ("DTSTART:20261124T090000Z\nDURATION:PT1H\nTRANSP:TRANSPARENT", []),
        ("DTSTART:20261124T090000Z\nDURATION:PT1H\nX-MICROSOFT-CDO-BUSYSTATUS:FREE", []),
        (
            "DTSTART:20261124T090000Z\nDURATION:PT1H\nSTATUS:TENTATIVE\nTRANSP:OPAQUE",
            ["24T09:00/10:00"],
        ),
        # Recurring: on the wall clock, over the change of October.
        (WEEKLY + "RRULE:FREQ=WEEKLY;UNTIL=20261130T080000Z", ["23T08:00/09:00", "30T08:00/09:00"]),
        (WEEKLY + "RRULE:FREQ=WEEKLY;UNTIL=20261130T075959Z", ["23T08:00/09:00"]),
        (WEEKLY + "RRULE:FREQ=WEEKLY;COUNT=10", ["23T08:00/09:00"]),
        (
            WEEKLY + "RRULE:FREQ=WEEKLY;COUNT=11\nEXDATE;TZID=Europe/Paris:20261123T090000",
            ["30T08:00/09:00"],
        ),
        (WEEKLY + "RRULE:FREQ=WEEKLY;COUNT=11\nEXDATE:20261123T080000Z", ["30T08:00/09:00"]),
        (WEEKLY + "RRULE:FREQ=WEEKLY;COUNT=11\nEXDATE;VALUE=DATE:20261123", ["30T08:00/09:00"]),
        (
            WEEKLY + "RDATE;TZID=Europe/Paris:20261124T150000,20261125T150000",
            ["24T14:00/15:00", "25T14:00/15:00"],
        ),
        (
            WEEKLY + "RDATE;VALUE=PERIOD:20261124T150000Z/PT30M,20261125T150000Z/20261125T170000Z",
            ["24T15:00/15:30", "25T15:00/17:00"],
        ),
        (
            "DTSTART;VALUE=DATE:20261101\nRRULE:FREQ=MONTHLY;BYMONTHDAY=24",
            ["23T23:00/23:00"],
        ),
        # A long one, begun before the window and still going on.
        ("DTSTART:20261001T000000Z\nDTEND:20261123T120000Z", ["22T00:00/12:00"]),
    ],
)
def test_what_is_busy(event: str, expected: list[str]) -> None:
    assert spans(event) == expected


def test_one_of_a_series_that_was_moved_or_cancelled_replaces_its_own() -> None:
    series = "UID:a\n" + WEEKLY + "RRULE:FREQ=WEEKLY;COUNT=12"
    moved = (
        "UID:a\nRECURRENCE-ID;TZID=Europe/Paris:20261123T090000\n"
        "DTSTART:20261124T120000Z\nDURATION:PT30M"
    )
    gone = "UID:a\nRECURRENCE-ID:20261130T080000Z\nDTSTART:20261130T080000Z\nSTATUS:CANCELLED"
    for order in ((series, moved, gone), (gone, moved, series)):
        assert spans(*order) == ["24T12:00/12:30", "07T08:00/09:00"]


def test_the_days_of_a_change_of_clock() -> None:
    found = busy_times(
        calendar(
            "DTSTART;VALUE=DATE:20270328",  # 23 hours
            "DTSTART;TZID=Europe/Paris:20270328T023000\nDURATION:PT1H",  # a time that there isn't
            "DTSTART;VALUE=DATE:20271031",  # 25 hours
        ),
        PARIS,
        START,
        START + timedelta(days=400),
        OURS,
    )
    assert [(e - s) / timedelta(hours=1) for s, e in found.spans] == [23, 25]
    skipped = busy_times(
        calendar("DTSTART;TZID=Europe/Paris:20270328T023000\nDURATION:PT1H"),
        PARIS,
        START,
        START + timedelta(days=400),
        OURS,
    )
    at = datetime(2027, 3, 28, 1, 30, tzinfo=UTC)
    assert skipped.spans == [(at, at + timedelta(hours=1))]


CUSTOM = """BEGIN:VTIMEZONE
TZID:Cabinet
BEGIN:STANDARD
DTSTART:19701025T030000
TZOFFSETFROM:+0300
TZOFFSETTO:+0300
END:STANDARD
END:VTIMEZONE"""
IN_CUSTOM = "DTSTART;TZID=Cabinet:20261124T090000\nDURATION:PT1H"


def test_a_zone_that_the_calendar_defines_itself() -> None:
    assert spans(IN_CUSTOM, before=CUSTOM) == ["24T06:00/07:00"]


def test_an_unknown_zone_is_the_tenants_and_noted() -> None:
    found = read(IN_CUSTOM)
    assert found.notes == ["zone:Cabinet"]
    assert found.spans == [
        (datetime(2026, 11, 24, 8, tzinfo=UTC), datetime(2026, 11, 24, 9, tzinfo=UTC))
    ]


def test_our_own_events_are_no_news() -> None:
    found = read(
        f"UID:1{OURS}\nDTSTART:20261124T090000Z\nDURATION:PT1H",
        "UID:2@elsewhere\nDTSTART:20261124T110000Z\nDURATION:PT1H",
    )
    assert [span[0].hour for span in found.spans] == [11]


def test_overlapping_and_touching_times_are_one() -> None:
    assert spans(
        "DTSTART:20261124T090000Z\nDURATION:PT1H",
        "DTSTART:20261124T093000Z\nDURATION:PT15M",
        "DTSTART:20261124T100000Z\nDURATION:PT1H",
    ) == ["24T09:00/11:00"]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=NEVER",
        "BYDAY=MO",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=WEEKLY;INTERVAL=0",
    ],
)
def test_a_rule_that_cant_be_followed_leaves_the_first_time_and_a_note(rule: str) -> None:
    found = read(f"DTSTART:20261124T090000Z\nDURATION:PT1H\nRRULE:{rule}")
    assert len(found.spans) == 1
    assert found.notes == ["recurrence"]


def test_a_series_without_end_is_bounded() -> None:
    found = read("DTSTART:19010101T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY")
    assert found.spans == [], f"more than {MAX_STEPS} days ago"
    assert len(read("DTSTART:19900101T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY").spans) == 30


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not_a_calendar"),
        (b"<!doctype html><title>Sign in</title>", "not_a_calendar"),
        (calendar("DTSTART:20261124T090000Z")[:-40], "broken"),
        (b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\n" * 60_000, "too_many"),
        (b"BEGIN:VCALENDAR\r\n\xff\xfe\x00END:VCALENDAR", "broken"),
    ],
)
def test_what_is_no_calendar(data: bytes, reason: str) -> None:
    with pytest.raises(NotReadable) as refused:
        busy_times(data, PARIS, START, END, OURS)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "event",
    [
        "SUMMARY:no time at all",
        "DTSTART:yesterday",
        "DTSTART:99991231T235959Z\nDURATION:P9999D",
        "DTSTART:00010101T000000Z\nDTEND:20990101T000000Z",
        "DTSTART;VALUE=DATE:00010101\nRRULE:FREQ=DAILY",
        "DTSTART;VALUE=DATE:99991231",
        "DTSTART;TZID=../../etc/passwd:20261124T090000\nDURATION:PT1H",
        "DTSTART:20261124T090000Z\nDURATION:-PT1H",
        "RECURRENCE-ID:20261124T090000Z\nSUMMARY:of nothing",
        "DTSTART:20261124T090000Z\nDTSTART:20261125T090000Z\nDURATION:PT1H",
        "DTSTART:20261124T090000Z\nDURATION:P99999999999D",
    ],
)
def test_hostile_events_leave_the_others(event: str) -> None:
    found = read(event, "DTSTART:20261201T090000Z\nDURATION:PT1H")
    at = datetime(2026, 12, 1, 9, tzinfo=UTC)
    assert any(start <= at < end for start, end in found.spans)


# ----------------------------------------------------------------------- the child process


async def test_the_child_reads_with_nothing_left_to_open() -> None:
    """Zones are opened late, as a rule: they must be there before."""
    names = ("Europe/Paris", "Romance Standard Time", "Pacific/Auckland", "America/Cayenne")
    rule = "RRULE:FREQ=YEARLY;BYDAY=-1MO;BYMONTH=12"
    events = [f"DTSTART;TZID={name}:20261124T090000\nDURATION:PT1H\n{rule}" for name in names]
    data = calendar(*events, IN_CUSTOM, before=CUSTOM)
    found = await CalendarReader().read(
        data, zone="Indian/Reunion", start=START, end=END, ours=OURS
    )
    assert found.notes == (), "an unknown zone"
    assert found.events == 5
    assert list(found.spans) == busy_times(data, ZoneInfo("Indian/Reunion"), START, END, OURS).spans


async def test_the_child_is_killed_when_it_takes_too_long() -> None:
    # Each looks for a 30th of February until the year 9999.
    rule = "DTSTART:20260101T090000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"
    with pytest.raises(CalendarUnreadable) as refused:
        await CalendarReader(wall_seconds=1.0).read(
            calendar(*[rule] * 200), zone="Europe/Paris", start=START, end=END, ours=OURS
        )
    assert refused.value.reason == "too_slow"


async def test_what_the_child_cant_read_has_a_reason() -> None:
    with pytest.raises(CalendarUnreadable, match="not_a_calendar"):
        await CalendarReader().read(b"<html>", zone="Europe/Paris", start=START, end=END, ours=OURS)
