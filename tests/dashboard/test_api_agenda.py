"""Availability, services, resources, exceptions and rules over HTTP."""

from typing import Any

import pytest

from tests.dashboard.api_client import BOTH_DATABASES, Client, assert_problem

# The clock stands at Monday, 23 November 2026, 10:00 in Paris.
RULES, EXCEPTIONS = "/api/v1/agenda/rules", "/api/v1/agenda/exceptions"
AVAILABILITY, SLOTS = "/api/v1/availability", "/api/v1/availability/slots"
SERVICES, TYPES, RESOURCES = (
    "/api/v1/services",
    "/api/v1/appointment-types",
    "/api/v1/resources",
)


async def made(client: Client, path: str, noun: str, **body: Any) -> Any:
    answer = await client.send("POST", path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()[noun]


async def starts(client: Client, day: str, **query: Any) -> list[str]:
    shown = await client.get(SLOTS, params={"date_from": day, "date_to": day, **query})
    return [slot["start"][11:16] for slot in shown["slots"]]


async def test_free_slots_of_a_tenant_with_nothing_set(owner: Client) -> None:
    shown = await owner.get(SLOTS)
    assert shown["timezone"] == "Europe/Paris"
    assert shown["count"] == len(shown["slots"])
    assert {slot["start"][:10] for slot in shown["slots"]} == {
        "2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27",
    }  # fmt: skip
    tuesday = next(slot for slot in shown["slots"] if slot["start"][:10] == "2026-11-24")
    assert tuesday == {
        "start": "2026-11-24T09:00:00+01:00",
        "end": "2026-11-24T09:30:00+01:00",
        "minutes": 30,
        "resource_id": None,
        "resource_name": None,
        "also_free": [],
        "spoken": "demain mardi 24 à neuf heures",
    }
    evening = await owner.get(SLOTS, params={"part_of_day": "evening"})
    assert evening["slots"] == []


@BOTH_DATABASES
async def test_a_service_its_people_and_its_free_slots(owner: Client) -> None:
    marie = await made(owner, RESOURCES, "resource", name="Marie", color="#AA00ff")
    assert marie["color"] == "#aa00ff"
    assert marie["hours"] is None
    tuesdays = [{"day_of_week": day, "is_open": False} for day in (1, 3, 4, 5)]
    paul = await made(owner, RESOURCES, "resource", name="Paul", hours=tuesdays)
    assert [day["is_open"] for day in paul["hours"]] == [False, True, *[False] * 5]
    cut = await made(
        owner,
        SERVICES,
        "service",
        name="Coupe",
        duration_minutes=60,
        buffer_after_minutes=15,
        price="45,50",
        resource_ids=[paul["id"]],
    )
    assert cut["price"] == 45.5
    assert await starts(owner, "2026-11-24", service_id=cut["id"]) == [
        "09:00", "10:00", "11:00", "14:00", "15:00", "16:00", "17:00",
    ]  # fmt: skip
    assert await starts(owner, "2026-11-25", service_id=cut["id"]) == []
    both = await owner.get(SLOTS, params={"date_from": "2026-11-24", "date_to": "2026-11-24"})
    slot = both["slots"][0]
    assert {slot["resource_id"], *slot["also_free"]} == {marie["id"], paul["id"]}
    assert slot["resource_name"] in ("Marie", "Paul")
    # Paul can't go while the service is his alone.
    refused = await owner.send("DELETE", f"{RESOURCES}/{paul['id']}")
    assert assert_problem(refused, 409)["code"] == "resource_only_one"
    anyone = {"resource_ids": [], "duration_minutes": 90}
    changed = await owner.send("PATCH", f"{TYPES}/{cut['id']}", json=anyone)
    assert changed.json()["service"] == {**cut, **anyone}
    assert (await owner.send("DELETE", f"{RESOURCES}/{paul['id']}")).status_code == 200
    assert [each["name"] for each in (await owner.get(RESOURCES))["resources"]] == ["Marie"]
    assert (await owner.send("DELETE", f"{SERVICES}/{cut['id']}")).status_code == 200
    assert (await owner.get(TYPES))["appointment_types"] == []
    assert_problem(await owner.send("GET", f"{SERVICES}/{cut['id']}"), 404)
    gone = await owner.send("GET", SLOTS, params={"service_id": cut["id"]})
    assert assert_problem(gone, 422, "service_id")["code"] == "service_unknown"


async def test_a_resources_week_a_day_at_a_time(owner: Client) -> None:
    marie = await made(owner, RESOURCES, "resource", name="Marie")
    before = await owner.get(AVAILABILITY, params={"agent_id": marie["id"]})
    assert before["is_default"] is True
    assert before["slots"][1] == {
        "day_of_week": 2,
        "is_available": True,
        "start_time": "09:00",
        "end_time": "18:00",
        "break_start": "12:00",
        "break_end": "14:00",
        "slot_duration": 30,
        "ranges": [{"open": "09:00", "close": "12:00"}, {"open": "14:00", "close": "18:00"}],
    }
    tuesday = {
        **before["slots"][1],
        "start_time": "10:00",
        "end_time": "16:00",
        "break_end": "13:00",
        "ranges": None,
        "agent_id": marie["id"],
    }
    answer = await owner.send("POST", AVAILABILITY, json=tuesday)
    assert answer.status_code == 200, answer.text
    after = await owner.get(AVAILABILITY, params={"agent_id": marie["id"]})
    assert after["is_default"] is False
    assert [day["start_time"] for day in after["slots"]] == [
        "09:00", "10:00", "09:00", "09:00", "09:00", None, None,
    ]  # fmt: skip
    assert (await starts(owner, "2026-11-24"))[0] == "10:00"
    # The business keeps its own.
    assert (await owner.get(AVAILABILITY))["slots"][1]["start_time"] == "09:00"
    sunday = {"day_of_week": 7, "start_time": "10:00", "end_time": "12:00", "slot_duration": 20}
    assert (await owner.send("POST", AVAILABILITY, json=sunday)).status_code == 200
    assert (await owner.get("/api/v1/business-hours"))["slot_minutes"] == 20
    back = await owner.send("PATCH", f"{RESOURCES}/{marie['id']}", json={"hours": None})
    assert back.json()["resource"]["hours"] is None


@BOTH_DATABASES
async def test_exceptions_and_public_holidays(owner: Client) -> None:
    closed = await made(owner, EXCEPTIONS, "exception", first="2026-11-24", label="Inventaire")
    assert (closed["last"], closed["is_closed"]) == ("2026-11-24", True)
    assert await starts(owner, "2026-11-24") == []
    late = {"ranges": [{"open": "17:00", "close": "18:00"}]}
    changed = await owner.send("PATCH", f"{EXCEPTIONS}/{closed['id']}", json=late)
    assert changed.json()["exception"]["label"] == "Inventaire"
    assert await starts(owner, "2026-11-24") == ["17:00", "17:30"]
    shown = await owner.get(EXCEPTIONS, params={"date_from": "2026-11-25"})
    assert shown["exceptions"] == []
    assert (await owner.get("/api/v1/business-hours"))["exceptions"][0]["id"] == closed["id"]
    assert (await owner.send("DELETE", f"{EXCEPTIONS}/{closed['id']}")).status_code == 200
    assert len(await starts(owner, "2026-11-24")) == 14
    assert_problem(await owner.send("DELETE", f"{EXCEPTIONS}/{closed['id']}"), 404)

    # Friday, 25 December; Saturday, 26 December is a holiday in Alsace and Moselle only.
    assert len(await starts(owner, "2026-12-25")) == 14
    answer = await owner.send("PUT", RULES, json={"holiday_region": "fr-68"})
    assert answer.json()["rules"]["holiday_region"] == "FR-6AE"
    assert answer.json()["holidays"][:2] == [
        {"date": "2026-12-25", "name": "Noël"},
        {"date": "2026-12-26", "name": "Saint-Étienne"},
    ]
    assert await starts(owner, "2026-12-25") == []
    special = {"on_holidays": "special", "holiday_hours": [{"open": "10:00", "close": "11:00"}]}
    assert (await owner.send("PUT", RULES, json=special)).status_code == 200
    assert await starts(owner, "2026-12-25") == ["10:00", "10:30"]
    assert {"code": "FR-974", "name": "La Réunion"} in (await owner.get(RULES))["regions"]


async def test_rules(owner: Client) -> None:
    rules = {"minutes": 20, "step_minutes": 60, "notice_minutes": 24 * 60, "horizon_days": 2}
    saved = (await owner.send("PATCH", RULES, json={**rules, "daily_cap": 8})).json()["rules"]
    assert saved == {**saved, **rules, "daily_cap": 8}
    assert (await owner.send("PATCH", RULES, json={"daily_cap": None})).status_code == 200
    assert (await owner.get(RULES))["rules"] == {**saved, "daily_cap": None}
    assert await starts(owner, "2026-11-23") == []
    assert await starts(owner, "2026-11-24") == [
        "10:00",
        "11:00",
        "14:00",
        "15:00",
        "16:00",
        "17:00",
    ]
    assert await starts(owner, "2026-11-26") == []


TUESDAY = {"day_of_week": 2, "start_time": "09:00", "end_time": "12:00"}


@pytest.mark.parametrize(
    ("method", "path", "body", "field", "code"),
    [
        (
            "POST",
            SERVICES,
            {"name": "A", "duration_minutes": 7},
            "duration_minutes",
            "agenda_number",
        ),
        ("POST", SERVICES, {"name": "A", "buffer_before_minutes": -5}, "buffer_before_minutes", ""),
        ("POST", SERVICES, {"name": "A", "price": "gratuit"}, "price", "price_invalid"),
        ("POST", SERVICES, {"name": "A", "price": 12.345}, "price", "price_invalid"),
        ("POST", SERVICES, {"name": "A", "color": "red"}, "color", "color_invalid"),
        (
            "POST",
            SERVICES,
            {"name": "A", "resource_ids": ["x"]},
            "resource_ids",
            "resource_unknown",
        ),
        ("POST", SERVICES, {"name": " "}, "name", ""),
        ("POST", TYPES, {}, "name", ""),
        ("POST", RESOURCES, {"name": "A", "kind": "dog"}, "kind", ""),
        (
            "POST",
            RESOURCES,
            {"name": "A", "hours": [{"day_of_week": 2, "open_time": "9"}]},
            "hours[0].open_time",
            "hours_time_invalid",
        ),
        ("POST", AVAILABILITY, {**TUESDAY, "end_time": "08:00"}, "end_time", "hours_order"),
        ("POST", AVAILABILITY, {**TUESDAY, "day_of_week": 8}, "day_of_week", "hours_day_invalid"),
        ("POST", AVAILABILITY, {**TUESDAY, "slot_duration": 7}, "slot_duration", "agenda_number"),
        (
            "POST",
            EXCEPTIONS,
            {"first": "2026-12-02", "last": "2026-12-01"},
            "last",
            "exception_order",
        ),
        ("POST", EXCEPTIONS, {"first": "hier"}, "first", ""),
        (
            "POST",
            EXCEPTIONS,
            {"first": "2026-12-02", "resource_id": "x"},
            "resource_id",
            "resource_unknown",
        ),
        (
            "POST",
            EXCEPTIONS,
            {
                "first": "2026-12-02",
                "ranges": [
                    {"open": "09:00", "close": "12:00"},
                    {"open": "11:00", "close": "13:00"},
                ],
            },
            "ranges[1]",
            "hours_overlap",
        ),
        ("PUT", RULES, {"holiday_region": "FR-75"}, "holiday_region", "holiday_region_unknown"),
        ("PUT", RULES, {"on_holidays": "special"}, "holiday_hours", "holiday_hours_missing"),
        ("PUT", RULES, {"horizon_days": 731}, "horizon_days", "agenda_number"),
        ("PUT", RULES, {"step_minutes": 3}, "step_minutes", "agenda_number"),
        ("GET", f"{SLOTS}?date_from=2026-02-30", None, "date_from", "filter_invalid"),
        ("GET", f"{SLOTS}?date_from=9999-12-31", None, "date_from", "date_invalid"),
        (
            "GET",
            f"{SLOTS}?date_from=2026-11-23&date_to=2027-11-24",
            None,
            "date_to",
            "period_too_long",
        ),
        ("GET", f"{SLOTS}?resource_id=x", None, "resource_id", "resource_unknown"),
    ],
)
async def test_what_is_wrong_is_named(
    owner: Client, method: str, path: str, body: Any, field: str, code: str
) -> None:
    problem = assert_problem(await owner.send(method, path, json=body), 422, field)
    assert code in ("", problem["code"])
    assert (await owner.get(SERVICES))["count"] == (await owner.get(RESOURCES))["count"] == 0
    assert (await owner.get(AVAILABILITY))["is_default"] is True


async def test_a_services_length_is_not_a_resources(owner: Client) -> None:
    marie = await made(owner, RESOURCES, "resource", name="Marie")
    body = {**TUESDAY, "slot_duration": 45, "agent_id": marie["id"]}
    refused = await owner.send("POST", AVAILABILITY, json=body)
    assert assert_problem(refused, 422, "slot_duration")["code"] == "length_is_the_services"
    same = await owner.send("POST", AVAILABILITY, json={**body, "slot_duration": 30})
    assert same.status_code == 200


async def test_another_business_has_its_own(owner: Client, stranger: Client) -> None:
    marie = await made(owner, RESOURCES, "resource", name="Marie")
    cut = await made(owner, SERVICES, "service", name="Coupe")
    closed = await made(owner, EXCEPTIONS, "exception", first="2026-11-24")
    for path, each in ((RESOURCES, marie), (SERVICES, cut), (EXCEPTIONS, closed)):
        for method in ("GET", "DELETE"):
            assert_problem(await stranger.send(method, f"{path}/{each['id']}"), 404)
    body = {"name": "A", "resource_ids": [marie["id"]]}
    assert_problem(await stranger.send("POST", SERVICES, json=body), 422, "resource_ids")
    assert_problem(await stranger.send("GET", AVAILABILITY, params={"agent_id": marie["id"]}), 404)
