"""What the page posts about a week, and what it comes to."""

from contextlib import nullcontext
from datetime import time
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.api.week import DayBody, RangeBody, week_of
from domain.agenda import OpeningRange
from domain.errors import Invalid


def day(**values: object) -> DayBody:
    return msgspec.convert({"day_of_week": 2, **values}, DayBody)


def test_a_day_with_a_break_is_two_ranges() -> None:
    posted = day(
        open_time="09:00", close_time="18:00:00", break_start="12:00", break_end="14:00", is_open=1
    )
    assert week_of([posted]) == {
        2: [OpeningRange(2, time(9), time(12)), OpeningRange(2, time(14), time(18))]
    }


def test_ranges_are_sorted_and_may_touch() -> None:
    posted = day(ranges=[{"open": "14:00", "close": "18:00"}, {"open": "08:00", "close": "14:00"}])
    assert week_of([posted])[2] == [
        OpeningRange(2, time(8), time(14)),
        OpeningRange(2, time(14), time(18)),
    ]


def test_a_closed_day_keeps_nothing_of_the_times_that_the_page_still_shows() -> None:
    assert week_of([day(is_open=False, open_time="09:00", close_time="nonsense")]) == {2: []}


@pytest.mark.parametrize(
    ("values", "field", "key"),
    [
        ({}, "hours[0].open_time", "hours_missing"),
        ({"open_time": "09:00"}, "hours[0].close_time", "hours_missing"),
        ({"ranges": []}, "hours[0].ranges", "hours_missing"),
        ({"open_time": "9h", "close_time": "18:00"}, "hours[0].open_time", "hours_time_invalid"),
        (
            {"open_time": "09:00", "close_time": "24:00"},
            "hours[0].close_time",
            "hours_time_invalid",
        ),
        ({"open_time": "18:00", "close_time": "09:00"}, "hours[0].close_time", "hours_order"),
        ({"open_time": "09:00", "close_time": "09:00"}, "hours[0].close_time", "hours_order"),
        (
            {"open_time": "09:00", "close_time": "18:00", "break_start": "12:00"},
            "hours[0].break_end",
            "hours_missing",
        ),
        (
            {
                "open_time": "09:00",
                "close_time": "18:00",
                "break_start": "14:00",
                "break_end": "12:00",
            },
            "hours[0].break_end",
            "hours_order",
        ),
        (
            {
                "open_time": "09:00",
                "close_time": "18:00",
                "break_start": "08:00",
                "break_end": "10:00",
            },
            "hours[0].break_start",
            "hours_break",
        ),
        (
            {
                "open_time": "09:00",
                "close_time": "18:00",
                "break_start": "12:00",
                "break_end": "18:00",
            },
            "hours[0].break_end",
            "hours_break",
        ),
        (
            {
                "ranges": [
                    {"open": "08:00", "close": "12:00"},
                    {"open": "11:59", "close": "18:00"},
                ]
            },
            "hours[0].ranges[1]",
            "hours_overlap",
        ),
        (
            {"ranges": [{"open": "08:00", "close": "12:00"}], "open_time": "09:00"},
            "hours[0].open_time",
            "hours_both",
        ),
        ({"day_of_week": 0}, "hours[0].day_of_week", "hours_day_invalid"),
        ({"day_of_week": 8}, "hours[0].day_of_week", "hours_day_invalid"),
    ],
)
def test_a_wrong_day_is_refused_with_its_field(
    values: dict[str, object], field: str, key: str
) -> None:
    with pytest.raises(Invalid) as caught:
        week_of([day(**values)])
    assert (caught.value.field, caught.value.message_key) == (field, key)


def test_a_day_twice_is_refused() -> None:
    open_day = day(open_time="09:00", close_time="18:00")
    with pytest.raises(Invalid) as caught:
        week_of([open_day, open_day])
    assert caught.value.field == "hours[1].day_of_week"


times = st.times().map(lambda value: value.replace(second=0, microsecond=0).strftime("%H:%M"))


@given(st.lists(st.builds(RangeBody, open=times, close=times), min_size=1, max_size=6))
def test_ranges_are_accepted_exactly_when_in_order_and_disjoint(ranges: list[RangeBody]) -> None:
    ordered = sorted(ranges, key=lambda each: each.open)
    by_day = all(each.open < each.close for each in ordered[:-1])
    last = ordered[-1].open < ordered[-1].close or "06:00" >= ordered[-1].close < ordered[-1].open
    disjoint = all(first.close <= second.open for first, second in pairwise(ordered))
    good = by_day and last and disjoint
    with nullcontext() if good else pytest.raises(Invalid, match=r"^hours\[0\]\.ranges\["):
        accepted = week_of([DayBody(1, ranges=ranges)])[1]
        assert [each.opens.strftime("%H:%M") for each in accepted] == [e.open for e in ordered]
