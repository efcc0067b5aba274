"""Calls, appointments, prospects and tickets, as their owner reads them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.outcome import Outcome
from domain.tenant import Tenant
from storage import Storage
from storage.appointments import NewAppointment
from storage.call_register import StreamToken
from storage.calls import CallRow, NewCall
from storage.functions import FunctionRun
from storage.journal import JournalEntry
from storage.prospects import NewProspect
from storage.tickets import NewTicket
from tests.dashboard.api_client import BOTH_DATABASES, Client, assert_problem
from tests.fakes.clock import START, FakeClock

NEVER = START + timedelta(days=365)


async def ring(storage: Storage, tenant: Tenant, number: int = 1, **more: Any) -> CallRow:
    new = NewCall(
        call_sid=f"CA{number:032x}",
        from_number="+33639980001",
        from_raw="+33639980001",
        to_number="+33939035760",
        stage="opened",
        forwarded_from="+33261910001",
        tenant_id=tenant.id,
        found_by="forwarded_from",
        **more,
    )
    token = StreamToken(new.call_sid, NEVER)
    return (await storage.operator.open_call(new, {}, token)).call


async def answer(storage: Storage, call: CallRow, at: datetime) -> None:
    assert await storage.operator.join_stream(call.call_sid, call.call_sid, "live", at)


async def talk(storage: Storage, tenant: Tenant, call: CallRow, clock: FakeClock) -> str:
    """A call in which a prospect was stored; the prospect's id."""
    await answer(storage, call, clock.now())
    entries: list[tuple[str, Mapping[str, Any]]] = [
        ("turn", {"who": "agent", "text": "Bonjour.", "heard_until_ms": 900, "cut": False}),
        ("turn", {"who": "caller", "text": "Je cherche une voiture."}),
        ("latency", {"stage": "first_sound", "ms": 412.5}),
        ("usage", {"input_tokens": 10, "output_tokens": 20}),
        ("event", {"name": "agent_connected", "agent": "realtime:m"}),
    ]
    for kind, data in entries:
        clock.advance(1)
        await storage.journal.append([JournalEntry(call.id, clock.now(), kind, data)])
    began = clock.now()
    clock.advance(0.25)
    async with storage.tenant(tenant.id).write() as rows:
        prospect_id = await rows.prospects.add(
            NewProspect(name="Jeanne  d'Arc Martin", phone="+33639980001", call_id=call.id)
        )
        await rows.functions.record(
            FunctionRun(
                occasion=call.id,
                function_call_id="fc_1",
                name="qualify_prospect",
                arguments={"name": "Jeanne d'Arc Martin"},
                arguments_hash="h",
                result={"status": "stored", "prospect_id": prospect_id, "missing": []},
                effect=Outcome.QUALIFIED.value,
                started_at=began,
                finished_at=clock.now(),
            )
        )
    return prospect_id


async def test_a_tenant_without_calls(owner: Client) -> None:
    assert await owner.get("/api/v1/calls") == {
        "success": True,
        "calls": [],
        "pagination": {"page": 1, "limit": 30, "total": 0, "total_pages": 0},
        "next_cursor": None,
    }


async def test_a_finished_call_in_the_list(
    owner: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    call = await ring(storage, garage)
    prospect_id = await talk(storage, garage, call, clock)
    clock.advance(10)
    await storage.journal.finish(call.id, Outcome.QUALIFIED, clock.now(), agent="realtime:m")
    (item,) = (await owner.get("/api/v1/calls"))["calls"]
    assert item == {
        "id": call.id,
        "retell_call_id": None,
        "call_sid": call.call_sid,
        "from_number": "+33639980001",
        "to_number": "+33939035760",
        "forwarded_from": "+33261910001",
        "direction": "inbound",
        "status": "completed",
        "outcome": "qualified",
        "found_by": "forwarded_from",
        "agent": "realtime:m",
        "duration": 15,
        "sentiment": None,
        "summary": None,
        "appointment_booked": 0,
        "prospect_id": prospect_id,
        "prospect_name": "Jeanne  d'Arc Martin",
        "started_at": "2026-11-23T09:00:00+00:00",
        "answered_at": "2026-11-23T09:00:00+00:00",
        "ended_at": "2026-11-23T09:00:15.250000+00:00",
        "created_at": "2026-11-23T09:00:00+00:00",
    }


@BOTH_DATABASES
async def test_a_call_in_full(
    owner: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    call = await ring(storage, garage)
    prospect_id = await talk(storage, garage, call, clock)
    await storage.journal.finish(call.id, Outcome.QUALIFIED, clock.now(), agent="realtime:m")
    full = (await owner.get(f"/api/v1/calls/{call.id}"))["call"]
    (item,) = (await owner.get("/api/v1/calls"))["calls"]
    assert {key: full[key] for key in item} == item
    assert full["transcript"] == "agent: Bonjour.\ncaller: Je cherche une voiture."
    assert full["message_count"] == 2
    assert full["analysis"] is None
    assert full["prospect"] == {
        "id": prospect_id,
        "first_name": "Jeanne",
        "last_name": "d'Arc Martin",
        "phone": "+33639980001",
        "email": None,
    }
    assert full["turns"] == [
        {
            "who": "agent",
            "text": "Bonjour.",
            "heard_until_ms": 900,
            "cut": False,
            "at": "2026-11-23T09:00:01+00:00",
        },
        {
            "who": "caller",
            "text": "Je cherche une voiture.",
            "heard_until_ms": None,
            "at": "2026-11-23T09:00:02+00:00",
        },
    ]
    (function,) = full["functions"]
    assert function == {
        "name": "qualify_prospect",
        "arguments": {"name": "Jeanne d'Arc Martin"},
        "result": {"status": "stored", "prospect_id": prospect_id, "missing": []},
        "effect": "qualified",
        "at": "2026-11-23T09:00:05+00:00",
        "duration_ms": 250,
    }
    (latency,) = full["latencies"]
    assert (latency["stage"], latency["ms"]) == ("first_sound", 412.5)
    assert full["usage"] == {"input_tokens": 10, "output_tokens": 20}
    assert [event["name"] for event in full["events"]] == ["agent_connected"]
    assert full["actions_performed"] == ["qualify_prospect"]


async def test_a_running_call_shows_what_has_been_said(
    owner: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    call = await ring(storage, garage)
    await talk(storage, garage, call, clock)
    full = (await owner.get(f"/api/v1/calls/{call.id}"))["call"]
    assert (full["status"], full["outcome"], full["ended_at"]) == ("in_progress", None, None)
    assert full["transcript"] == "agent: Bonjour.\ncaller: Je cherche une voiture."


@pytest.mark.parametrize("call_id", ["nothing", "a%00b", "x" * 300, "%20", "a%0Ab"])
async def test_an_unknown_call(owner: Client, call_id: str) -> None:
    assert_problem(await owner.send("GET", f"/api/v1/calls/{call_id}"), 404)


@BOTH_DATABASES
async def test_calls_by_pages_and_filters(
    owner: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    calls = []
    for number in range(5):
        calls.append(await ring(storage, garage, number))
        clock.advance(timedelta(hours=12))
    await answer(storage, calls[1], clock.now())
    await storage.journal.finish(calls[2].id, Outcome.ABANDONED, clock.now())
    await storage.journal.close_from_carrier(calls[3].call_sid, "no-answer")

    async def ids(query: str) -> list[int]:
        found = (await owner.get(f"/api/v1/calls?{query}"))["calls"]
        return [[each.id for each in calls].index(item["id"]) for item in found]

    assert await ids("") == [4, 3, 2, 1, 0]
    page = await owner.get("/api/v1/calls?page=2&limit=2")
    assert [item["id"] for item in page["calls"]] == [calls[2].id, calls[1].id]
    assert page["pagination"] == {"page": 2, "limit": 2, "total": 5, "total_pages": 3}
    assert await ids("page=4&limit=2") == []
    assert (await owner.get("/api/v1/calls?limit=100000"))["pagination"]["limit"] == 200
    for spelt in ("in_progress", "in-progress"):
        assert await ids(f"status={spelt}") == [1]
    assert await ids("status=no_answer") == [3]
    assert await ids("status=ended") == await ids("status=completed") == [2]
    assert await ids("status=all&direction=&outcome=") == [4, 3, 2, 1, 0]
    assert await ids("direction=outbound") == []
    assert await ids("outcome=abandoned") == [2]
    # Calls began on the 23rd at 10:00 and 22:00, the 24th at 10:00 and 22:00, the 25th at 10:00.
    assert await ids("date_from=2026-11-24&date_to=2026-11-24") == [3, 2]
    assert await ids("date_from=2026-11-24&date_to=2026-11-24T23:59:59") == [3, 2]
    assert await ids("date_to=2026-11-23T23:30:00Z") == [3, 2, 1, 0]  # the 24th in Paris
    assert await ids("date_from=2026-11-25T00:00:00+01:00") == [4]  # the + arrives as a space


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=x", "page"),
        ("page=٣", "page"),
        ("page=1000001", "page"),
        ("page=99999999999999999999", "page"),
        ("limit=0", "limit"),
        ("limit=1.5", "limit"),
        ("status=nonsense", "status"),
        ("status=%00", "status"),
        ("direction=up", "direction"),
        ("outcome=BOOKED", "outcome"),
        ("date_from=yesterday", "date_from"),
        ("date_from=2026-02-30", "date_from"),
        ("date_from=0001-01-01", "date_from"),
        ("date_to=9999-12-31", "date_to"),
        ("date_to=9999-12-31T23:59:59-12:00", "date_to"),
        ("date_to=2026-11-24T25:00:00", "date_to"),
        ("date_to=" + "2" * 5000, "date_to"),
    ],
)
async def test_a_wrong_query_is_named(owner: Client, query: str, field: str) -> None:
    assert_problem(await owner.send("GET", f"/api/v1/calls?{query}"), 422, field)


# -------------------------------------------------------------------------- appointments


async def book(storage: Storage, tenant: Tenant, start: str, **more: Any) -> str:
    new = NewAppointment(
        start=datetime.fromisoformat(start), minutes=30, customer_name="Ana", **more
    )
    async with storage.tenant(tenant.id).write() as rows:
        return (await rows.appointments.book(new)).id


@BOTH_DATABASES
async def test_an_appointment_has_what_the_page_reads(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    booked = await book(
        storage,
        garage,
        "2026-11-24T13:30:00+00:00",
        customer_phone="+33639980001",
        customer_email="ana@example.org",
        service="vidange",
        notes="Clio",
    )
    answer = await owner.get("/api/v1/appointments")
    assert answer["count"] == 1
    code = answer["appointments"][0]["code"]
    assert len(code) == 6
    assert answer["appointments"] == [
        {
            "id": booked,
            "tenant_id": garage.id,
            "prospect_id": None,
            "agent_id": None,
            "agent_name": "Sara",
            "scheduled_at": "2026-11-24T14:30:00",
            "start": "2026-11-24T14:30:00+01:00",
            "timezone": "Europe/Paris",
            "duration_minutes": 30,
            "status": "confirmed",
            "service": "vidange",
            "service_id": None,
            "contact_id": None,
            "notes": "Clio",
            "prospect_name": "Ana",
            "prospect_phone": "+33639980001",
            "prospect_email": "ana@example.org",
            "reminder_sent": False,
            "acknowledged": False,
            "cancel_reason": None,
            "code": code,
            "call_id": None,
            "created_by": "sara",
            "created_at": START.isoformat(),
            "updated_at": START.isoformat(),
        }
    ]


async def test_the_wall_clock_is_the_tenants(
    stranger: Client, storage: Storage, dentist: Tenant
) -> None:
    await book(storage, dentist, "2027-07-01T02:30:00+00:00")
    (appointment,) = (await stranger.get("/api/v1/appointments"))["appointments"]
    assert appointment["scheduled_at"] == "2027-06-30T22:30:00"
    assert appointment["start"] == "2027-06-30T22:30:00-04:00"
    for query, count in (("2027-06-30", 1), ("2027-07-01", 0)):
        found = await stranger.get(f"/api/v1/appointments?date_from={query}&date_to={query}")
        assert found["count"] == count


async def test_the_assistants_own_name(owner: Client, storage: Storage, garage: Tenant) -> None:
    await owner.put_phone(config={"sara": {"assistantName": "Léo"}})
    await book(storage, garage, "2026-11-24T12:30:00+00:00")
    await book(storage, garage, "2026-11-24T13:30:00+00:00", resource="Pont 2")
    found = (await owner.get("/api/v1/appointments"))["appointments"]
    assert {each["agent_name"] for each in found} == {"Léo", "Pont 2"}


async def test_appointments_by_status_and_pages(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    first = await book(storage, garage, "2026-11-24T13:30:00+00:00")
    second = await book(storage, garage, "2026-11-24T14:00:00+00:00")
    async with storage.tenant(garage.id).write() as rows:
        await rows.appointments.cancel(second)

    async def ids(query: str) -> list[str]:
        found = (await owner.get(f"/api/v1/appointments?{query}"))["appointments"]
        return [each["id"] for each in found]

    assert await ids("") == [first, second]
    assert await ids("status=confirmed") == [first]
    assert await ids("status=cancelled") == [second]
    assert await ids("status=scheduled") == await ids("status=pending") == []
    assert await ids("limit=1&page=2") == [second]
    assert_problem(await owner.send("GET", "/api/v1/appointments?status=x"), 422, "status")


# ----------------------------------------------------------------- prospects and tickets


@BOTH_DATABASES
async def test_prospects_latest_first(
    owner: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    for name in ("Ana", "Bob Dupont", ""):
        async with storage.tenant(garage.id).write() as rows:
            await rows.prospects.add(NewProspect(name=name, interest="achat", budget_max=100))
        clock.advance(1)
    found = await owner.get("/api/v1/prospects?limit=2")
    assert (found["count"], found["total"], found["limit"], found["offset"]) == (2, 3, 2, 0)
    names = [(each["first_name"], each["last_name"]) for each in found["prospects"]]
    assert names == [("", ""), ("Bob", "Dupont")]
    assert (found["prospects"][0]["status"], found["prospects"][0]["source"]) == (
        "new",
        "assistant",
    )
    rest = await owner.get("/api/v1/prospects?limit=2&offset=2")
    assert [each["name"] for each in rest["prospects"]] == ["Ana"]
    assert_problem(await owner.send("GET", "/api/v1/prospects?offset=-1"), 422, "offset")


async def test_tickets_latest_first(
    owner: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    for subject in ("first", "second"):
        async with storage.tenant(garage.id).write() as rows:
            await rows.tickets.add(
                NewTicket(customer_name="Ana", subject=subject, category="message")
            )
        clock.advance(1)
    found = await owner.get("/api/v1/tickets")
    assert [each["subject"] for each in found["tickets"]] == ["second", "first"]
    assert (found["total"], found["limit"], found["offset"]) == (2, 20, 0)
    ticket = found["tickets"][0]
    assert (ticket["status"], ticket["priority"], ticket["category"]) == (
        "open",
        "medium",
        "message",
    )
