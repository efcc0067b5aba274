"""Opening hours over HTTP."""

from typing import Any

import pytest

from tests.dashboard.api_client import BOTH_DATABASES, Client, assert_problem

HOURS = "/api/v1/business-hours"


async def post(client: Client, *days: dict[str, Any], **more: Any) -> Any:
    return await client.send("POST", HOURS, json={"hours": list(days), **more})


def closed(day: int) -> dict[str, Any]:
    return {
        "day_of_week": day,
        "is_open": False,
        "open_time": None,
        "close_time": None,
        "break_start": None,
        "break_end": None,
        "ranges": [],
    }


def usual(day: int) -> dict[str, Any]:
    return {
        "day_of_week": day,
        "is_open": True,
        "open_time": "09:00",
        "close_time": "18:00",
        "break_start": "12:00",
        "break_end": "14:00",
        "ranges": [{"open": "09:00", "close": "12:00"}, {"open": "14:00", "close": "18:00"}],
    }


async def test_a_tenant_without_hours_sees_the_default(owner: Client) -> None:
    assert await owner.get(HOURS) == {
        "success": True,
        "hours": [*map(usual, range(1, 6)), closed(6), closed(7)],
        "is_default": True,
        "slot_minutes": 30,
        "exceptions": [],
        "holidays": [],
    }


@BOTH_DATABASES
async def test_what_was_read_can_be_sent_back(owner: Client) -> None:
    shown = await owner.get(HOURS)
    answer = await owner.send("POST", HOURS, json=shown)
    assert answer.status_code == 200
    again = await owner.get(HOURS)
    assert again == {**shown, "is_default": False}
    assert {key: answer.json()[key] for key in again} == again


async def test_days_that_arent_named_stay_as_they_are(owner: Client) -> None:
    saturday = {"day_of_week": 6, "is_open": 1, "open_time": "10:00", "close_time": "12:30:00"}
    assert (await post(owner, saturday, {"day_of_week": 1, "is_open": 0})).status_code == 200
    hours = (await owner.get(HOURS))["hours"]
    assert hours[0] == closed(1)
    assert hours[1:5] == [usual(day) for day in range(2, 6)]
    assert (hours[5]["open_time"], hours[5]["close_time"]) == ("10:00", "12:30")
    assert hours[5]["ranges"] == [{"open": "10:00", "close": "12:30"}]
    assert (hours[5]["break_start"], hours[5]["break_end"]) == (None, None)


async def test_three_ranges_have_no_single_break(owner: Client) -> None:
    ranges = [
        {"open": "18:00", "close": "20:00"},
        {"open": "08:00", "close": "10:00"},
        {"open": "12:00", "close": "14:00"},
    ]
    assert (await post(owner, {"day_of_week": 2, "ranges": ranges})).status_code == 200
    tuesday = (await owner.get(HOURS))["hours"][1]
    assert (tuesday["open_time"], tuesday["close_time"]) == ("08:00", "20:00")
    assert (tuesday["break_start"], tuesday["break_end"]) == (None, None)
    assert tuesday["ranges"] == [ranges[1], ranges[2], ranges[0]]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "hours"),
        ({"hours": []}, "hours"),
        ({"hours": [closed(1)] * 8}, "hours"),
        ({"hours": [{"day_of_week": 9, "is_open": False}]}, "hours[0].day_of_week"),
        ({"hours": [usual(1), {"day_of_week": 2}]}, "hours[1].open_time"),
        ({"hours": [{**usual(1), "open_time": "13:00"}]}, "hours[0].open_time"),
        ({"hours": [{**closed(1), "is_open": 2}]}, "hours[0].is_open"),
        ({"hours": [usual(1)], "slot_minutes": 22}, "slot_minutes"),
        (
            {
                "hours": [
                    {"day_of_week": 7, "open_time": "19:00", "close_time": "02:00"},
                    {"day_of_week": 1, "open_time": "01:00", "close_time": "10:00"},
                ]
            },
            "hours",
        ),
        ({"hours": [usual(1)], "is_default": "x\x00"}, "is_default"),
    ],
)
async def test_what_is_wrong_changes_nothing(
    owner: Client, body: dict[str, Any], field: str
) -> None:
    assert_problem(await owner.send("POST", HOURS, json=body), 422, field)
    assert (await owner.get(HOURS))["is_default"] is True


@BOTH_DATABASES
async def test_a_night_runs_past_midnight(owner: Client) -> None:
    night = {"open_time": "18:00", "close_time": "02:00", "break_start": "20:00"}
    answer = await post(owner, {"day_of_week": 6, **night, "break_end": "21:30"})
    assert answer.status_code == 200
    shown = await owner.get(HOURS)
    saturday = shown["hours"][5]
    assert saturday["ranges"] == [
        {"open": "18:00", "close": "20:00"},
        {"open": "21:30", "close": "02:00"},
    ]
    assert {key: saturday[key] for key in night} == night
    assert (await owner.send("POST", HOURS, json=shown)).status_code == 200
    assert await owner.get(HOURS) == shown


async def test_a_business_may_be_closed_for_good(owner: Client) -> None:
    week = [closed(day) for day in range(1, 8)]
    assert (await post(owner, *week)).status_code == 200
    shown = await owner.get(HOURS)
    assert (shown["hours"], shown["is_default"]) == (week, False)


async def test_the_length_of_appointments(owner: Client) -> None:
    answer = await post(owner, usual(1), slot_minutes=45)
    assert answer.status_code == 200
    assert (await owner.get(HOURS))["slot_minutes"] == 45
    assert (await post(owner, usual(1))).json()["slot_minutes"] == 45
