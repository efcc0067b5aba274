"""A week of opening hours as pages write and read it: one break a day, or any number of ranges."""

import re
from collections.abc import Mapping, Sequence
from datetime import time
from typing import Annotated, TypedDict

import msgspec

from domain.agenda import DayRange, OpeningRange
from domain.errors import Invalid

#: A close that isn't after its open is on the next day, as far as a night goes: beyond, the two
#: were more likely swapped.
LATEST_NIGHT_CLOSE = time(6)

DAYS = range(1, 8)
_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(:00)?")


class RangeBody(msgspec.Struct, frozen=True):
    """`open` and `close` as HH:MM, wall clock of the tenant."""

    open: str
    close: str


class DayBody(msgspec.Struct, frozen=True):
    """One day, 1 = Monday … 7 = Sunday; times as HH:MM, wall clock of the tenant."""

    day_of_week: int
    is_open: bool | Annotated[int, msgspec.Meta(ge=0, le=1)] = True
    open_time: str | None = None
    close_time: str | None = None
    break_start: str | None = None
    break_end: str | None = None
    ranges: Annotated[list[RangeBody], msgspec.Meta(max_length=24)] | None = None


class RangeJson(TypedDict):
    """HH:MM, wall clock of the tenant; past midnight when `close` isn't after `open`."""

    open: str
    close: str


class WeekdayJson(TypedDict):
    """`break_start` and `break_end` are set when there is exactly one break; `ranges` tell all."""

    day_of_week: int
    is_open: bool
    open_time: str | None
    close_time: str | None
    break_start: str | None
    break_end: str | None
    ranges: list[RangeJson]


def week_of(days: Sequence[DayBody]) -> Mapping[int, list[OpeningRange]]:
    """What each named day comes to; a closed day to nothing. Raises Invalid with the field."""
    week: dict[int, list[OpeningRange]] = {}
    for index, day in enumerate(days):
        where = f"hours[{index}]"
        if day.day_of_week not in DAYS or day.day_of_week in week:
            raise Invalid(
                "Days go from 1 (Monday) to 7 (Sunday), each once.",
                field=f"{where}.day_of_week",
                message_key="hours_day_invalid",
            )
        week[day.day_of_week] = _ranges_of(day, where) if day.is_open else []
    return week


def _ranges_of(day: DayBody, where: str) -> list[OpeningRange]:
    if day.ranges is None:
        return _with_break(day, where)
    parsed = _from_ranges(day, day.ranges, f"{where}.ranges")
    # A page that read a day and sends it back carries both; they must then say the same.
    meant = describe_day(day.day_of_week, parsed)
    for name in ("open_time", "close_time", "break_start", "break_end"):
        given: str | None = getattr(day, name)
        if given and _text(_time(given, f"{where}.{name}")) != meant[name]:
            raise Invalid(
                "Give either ranges or the other times; here they disagree.",
                field=f"{where}.{name}",
                message_key="hours_both",
            )
    return parsed


def _from_ranges(day: DayBody, ranges: Sequence[RangeBody], where: str) -> list[OpeningRange]:
    if not ranges:
        raise _missing(where)
    parsed: list[OpeningRange] = []
    for index, each in enumerate(ranges):
        field = f"{where}[{index}]"
        opens, closes = _time(each.open, f"{field}.open"), _time(each.close, f"{field}.close")
        if not _can_close(opens, closes):
            raise _order(f"{field}.close")
        opening = OpeningRange(day.day_of_week, opens, closes)
        if any(_overlap(opening, other) for other in parsed):
            raise Invalid(
                "This range overlaps another one of the same day.",
                field=field,
                message_key="hours_overlap",
            )
        parsed.append(opening)
    return sorted(parsed, key=lambda each: each.opens)


def day_ranges(ranges: Sequence[RangeBody], field: str) -> tuple[DayRange, ...]:
    """The ranges of a certain day; none at all is closed. Raises Invalid with the field."""
    if not ranges:
        return ()
    parsed = _from_ranges(DayBody(1, ranges=list(ranges)), ranges, field)
    return tuple(DayRange(each.opens, each.closes) for each in parsed)


def describe_ranges(ranges: Sequence[OpeningRange | DayRange]) -> list[RangeJson]:
    """As pages read them, in order."""
    ordered = sorted(ranges, key=lambda each: each.opens)
    return [{"open": _text(each.opens), "close": _text(each.closes)} for each in ordered]


def describe_week(ranges: Sequence[OpeningRange]) -> list[WeekdayJson]:
    """All seven days."""
    return [describe_day(day, [r for r in ranges if r.day == day]) for day in DAYS]


def _with_break(day: DayBody, where: str) -> list[OpeningRange]:
    opens = _time(day.open_time, f"{where}.open_time")
    closes = _time(day.close_time, f"{where}.close_time")
    if not _can_close(opens, closes):
        raise _order(f"{where}.close_time")
    if not day.break_start and not day.break_end:
        return [OpeningRange(day.day_of_week, opens, closes)]
    pause = _time(day.break_start, f"{where}.break_start")
    resumes = _time(day.break_end, f"{where}.break_end")
    if not pause < resumes:
        raise _order(f"{where}.break_end")
    whole = OpeningRange(day.day_of_week, opens, closes)
    if not opens < pause or _minute(resumes) >= _end(whole):
        raise Invalid(
            "The break must begin after open_time and end before close_time.",
            field=f"{where}.break_end" if opens < pause else f"{where}.break_start",
            message_key="hours_break",
        )
    return [
        OpeningRange(day.day_of_week, opens, pause),
        OpeningRange(day.day_of_week, resumes, closes),
    ]


def _can_close(opens: time, closes: time) -> bool:
    """Later the same day, or in the night that follows; any other order is a slip."""
    return opens < closes or (closes < opens and closes <= LATEST_NIGHT_CLOSE)


def _minute(wall: time) -> int:
    return wall.hour * 60 + wall.minute


def _end(opening: OpeningRange) -> int:
    """Minutes since the midnight before it opens."""
    past_midnight = opening.closes <= opening.opens
    return _minute(opening.closes) + (24 * 60 if past_midnight else 0)


def _overlap(one: OpeningRange, other: OpeningRange) -> bool:
    return _minute(one.opens) < _end(other) and _minute(other.opens) < _end(one)


def _time(text: str | None, field: str) -> time:
    if not text:
        raise _missing(field)
    match = _TIME.fullmatch(text)
    if match is None:
        raise Invalid(
            "Give a time as HH:MM, from 00:00 to 23:59.",
            field=field,
            message_key="hours_time_invalid",
        )
    return time(int(match[1]), int(match[2]))


def _order(field: str) -> Invalid:
    return Invalid(
        f"The end must follow the start; a night may last until {LATEST_NIGHT_CLOSE:%H:%M}.",
        field=field,
        message_key="hours_order",
    )


def _missing(field: str) -> Invalid:
    return Invalid(
        "An open day needs open_time and close_time, or ranges.",
        field=field,
        message_key="hours_missing",
    )


def describe_day(day: int, ranges: Sequence[OpeningRange]) -> WeekdayJson:
    """One day, 1 is Monday."""
    ordered = sorted(ranges, key=lambda each: each.opens)
    one_break = len(ordered) == 2
    return {
        "day_of_week": day,
        "is_open": bool(ordered),
        "open_time": _text(ordered[0].opens) if ordered else None,
        "close_time": _text(ordered[-1].closes) if ordered else None,
        "break_start": _text(ordered[0].closes) if one_break else None,
        "break_end": _text(ordered[1].opens) if one_break else None,
        "ranges": describe_ranges(ordered),
    }


def _text(value: time) -> str:
    return value.strftime("%H:%M")
