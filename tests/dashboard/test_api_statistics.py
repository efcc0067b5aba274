"""Calls, figures, files and what was written, as their owner gets them."""

import csv
import io
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest

from dashboard.api.exports import Exports
from dashboard.api.operations import declared
from domain.outcome import Outcome
from domain.permissions import May
from domain.tenant import Tenant
from storage import NewText, Storage
from storage.appointments import NewAppointment
from storage.call_register import StreamToken
from storage.calls import CallRow, NewCall
from storage.conversations import Received
from storage.journal import JournalEntry
from tests.dashboard.api_client import BOTH_DATABASES, Client, assert_problem
from tests.fakes.clock import FakeClock

FORMULA = '=HYPERLINK("https://evil.example";"Facture")'


async def call_of(
    storage: Storage,
    tenant: Tenant,
    clock: FakeClock,
    number: int,
    said: str = "",
    outcome: Outcome | None = Outcome.INFORMED,
) -> CallRow:
    """One that is answered after a second, and ends after another minute unless `outcome` is
    None."""
    sid = f"CA{number:032x}"
    new = NewCall(
        sid, "+33639980001", "+33639980001", "+33939035760", "opened", tenant_id=tenant.id
    )
    token = StreamToken(sid, clock.now() + timedelta(minutes=1))
    call = (await storage.operator.open_call(new, {}, token)).call
    clock.advance(1)
    assert await storage.operator.join_stream(sid, sid, "live", clock.now())
    if said:
        turn = JournalEntry(call.id, clock.now(), "turn", {"who": "caller", "text": said})
        await storage.journal.append([turn])
    if outcome is not None:
        clock.advance(60)
        await storage.journal.finish(call.id, outcome, clock.now())
    return call


async def written(storage: Storage, tenant: Tenant, clock: FakeClock) -> None:
    """An SMS of ours, and its answer a minute later."""
    async with storage.tenant(tenant.id).write() as rows:
        conversation = await rows.conversations.open(
            "sms", "+33639980001", contact_id=None, our_address="", name="Anne"
        )
        await rows.outbox.put(
            NewText(
                "sms",
                "+33639980001",
                purpose="service",
                body="Bonjour",
                even_if_off=True,
                conversation_id=conversation.id,
            )
        )
        clock.advance(60)
        await rows.conversations.receive(conversation.id, Received(FORMULA, "SM1"))


async def exported(owner: Client, path: str) -> list[dict[str, str]]:
    response = await owner.send("GET", path)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/csv")
    text = response.content.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text), delimiter=";"))


# ------------------------------------------------------------------------------- calls


async def test_calls_are_found_by_what_was_said_and_go_on_behind_a_cursor(
    owner: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    ids = [
        (await call_of(storage, garage, clock, n, "Une vidange" if n % 2 else "Un pneu")).id
        for n in range(5)
    ]
    found = (await owner.get("/api/v1/calls?q=VIDANGE"))["calls"]
    assert [each["id"] for each in found] == [ids[3], ids[1]]
    first = await owner.get("/api/v1/calls?limit=2")
    assert first["pagination"]["total_pages"] == 3
    second = await owner.get(f"/api/v1/calls?limit=2&cursor={first['next_cursor']}")
    third = await owner.get(f"/api/v1/calls?limit=2&cursor={second['next_cursor']}")
    pages = [first, second, third]
    assert [each["id"] for page in pages for each in page["calls"]] == ids[::-1]
    assert third["next_cursor"] is None
    for wrong in ("cursor=nonsense", f"q={'x' * 201}", "period=often"):
        assert (await owner.send("GET", f"/api/v1/calls?{wrong}")).status_code == 422
    assert (await owner.get("/api/v1/calls?period=today"))["pagination"]["total"] == 5
    assert (await owner.get("/api/v1/calls?period=yesterday"))["pagination"]["total"] == 0


async def test_searching_what_was_said_is_reading_it(
    http: httpx.AsyncClient, storage: Storage, garage: Tenant
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        _, key = await rows.keys.create("view", ["read"])
    viewer = Client(http, {"authorization": f"Bearer {key}"})
    await viewer.get("/api/v1/calls")
    assert_problem(await viewer.send("GET", "/api/v1/calls?q=vidange"), 403)
    assert_problem(await viewer.send("GET", "/api/v1/calls/transcripts"), 403)
    assert_problem(await viewer.send("GET", "/api/v1/calls/export"), 403)


async def test_transcripts(
    owner: Client, stranger: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    await call_of(storage, garage, clock, 1)
    call = await call_of(storage, garage, clock, 2, "Une vidange")
    answer = await owner.get("/api/v1/calls/transcripts?limit=50")
    (item,) = answer["transcripts"]
    assert (answer["total"], item["id"]) == (1, call.id)
    assert item["transcript"] == "caller: Une vidange"
    one = await owner.get(f"/api/v1/calls/transcripts?call_id={call.id}")
    assert one["transcripts"] == [item]
    assert_problem(await stranger.send("GET", f"/api/v1/calls/transcripts?call_id={call.id}"), 404)
    lines = (await owner.get("/api/v1/audit?action=transcript.read"))["entries"]
    assert len(lines) == 2


async def test_calls_that_go_on(
    owner: Client, stranger: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    await call_of(storage, garage, clock, 1)
    call = await call_of(storage, garage, clock, 2, outcome=None)
    clock.advance(4.5)
    answer = await owner.get("/api/v1/calls/live")
    (item,) = answer["calls"]
    assert (item["id"], item["stage"], item["seconds"]) == (call.id, "live", 5)
    assert (await stranger.get("/api/v1/calls/live"))["count"] == 0
    # Nobody who could reach the carrier: said, and nothing is claimed.
    assert_problem(await owner.send("POST", f"/api/v1/calls/{call.id}/end"), 503)


# ------------------------------------------------------------------------------- figures


async def test_statistics(
    owner: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    today = clock.now().date()
    await call_of(storage, garage, clock, 1)
    await call_of(storage, garage, clock, 2, outcome=Outcome.BOOKED)
    await call_of(storage, garage, clock, 3, outcome=Outcome.FAILED)
    await written(storage, garage, clock)
    answer = await owner.get("/api/v1/stats?period=week")
    assert len(answer["days"]) == 7
    assert answer["days"][-1]["date"] == today.isoformat()
    total = answer["total"]
    assert answer["days"][-1] == {"date": today.isoformat(), **total}
    assert total["calls"]["outcomes"] == {"informed": 1, "booked": 1, "failed": 1}
    assert total["calls"]["answered_within"] == {"3": 3, "5": 3, "10": 3}
    assert total["calls"]["average_wait_seconds"] == 1.0
    assert (total["calls"]["cost_cents"], total["calls"]["vapi_cost_cents"]) == (None, None)
    (sms,) = total["texts"]
    assert sms == {
        "channel": "sms",
        "sent": {"queued": 1},
        "received": 1,
        "segments": 1,
        "costs": [],
    }
    for wrong in ("date_from=2024-01-01", "date_from=2026-02-02&date_to=2026-02-01"):
        refused = await owner.send("GET", f"/api/v1/stats?{wrong}")
        assert_problem(refused, 422, field="date_to")


async def test_figures_in_the_pages_shapes(
    owner: Client, stranger: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    empty = (await stranger.get("/api/v1/calls/stats"))["stats"]
    assert (empty["total_calls"], empty["conversion_rate"]) == (0, "0.0%")
    for number in range(3):
        await call_of(storage, garage, clock, number)
    await written(storage, garage, clock)
    assert (await owner.get("/api/v1/calls/stats"))["stats"] == {
        "total_calls": 3,
        "completed_calls": 3,
        "failed_calls": 0,
        "avg_duration_seconds": 60,
        "total_duration_seconds": 180,
        "inbound_calls": 3,
        "outbound_calls": 0,
        "appointments_created": 0,
        "conversion_rate": "0.0%",
    }
    assert await owner.get("/api/v1/channels/stats") == {
        "success": True,
        "period": "last_30_days",
        "messages": [
            {
                "channel_type": "sms",
                "total_messages": 1,
                "delivered": 0,
                "failed": 0,
                "total_cost_cents": 0,
            }
        ],
        "calls": {
            "total_calls": 3,
            "completed_calls": 3,
            "total_duration": 180,
            "total_cost_cents": 0,
        },
        "totalCostCents": 0,
    }


# --------------------------------------------------------------------------------- files


@BOTH_DATABASES
async def test_files_in_which_nothing_is_a_formula(
    owner: Client,
    storage: Storage,
    garage: Tenant,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dashboard.api.exports.BATCH", 2)
    for number in range(5):
        await call_of(storage, garage, clock, number, FORMULA)
    await written(storage, garage, clock)
    async with storage.tenant(garage.id).write() as rows:
        await rows.contacts.person(name=FORMULA, phone="+33639980009", source="web")
        await rows.appointments.book(
            NewAppointment(
                customer_name=FORMULA,
                start=clock.now().replace(minute=0, second=0) + timedelta(days=2),
                minutes=30,
            )
        )
    calls = await exported(owner, "/api/v1/calls/export")
    assert len({each["Identifiant"] for each in calls}) == 5
    assert calls[0]["Appelant"] == "'+33639980001"
    (appointment,) = await exported(owner, "/api/v1/appointments/export")
    assert appointment["Client"] == f"'{FORMULA}"
    (message,) = await exported(owner, "/api/v1/messages/export")
    assert message["Contenu"] == "Bonjour"
    answer, question = await exported(owner, "/api/v1/conversations/export")
    assert (answer["Sens"], answer["Contenu"]) == ("received", f"'{FORMULA}")
    assert question["Sens"] == "sent"
    people = await exported(owner, "/api/v1/contacts/export")
    assert f"'{FORMULA}" in {each["Nom"] for each in people}
    assert await exported(owner, "/api/v1/calls/export?period=yesterday") == []
    for line in ("calls", "appointments", "messages", "conversations", "contacts"):
        entries = (await owner.get(f"/api/v1/audit?action={line}.exported"))["entries"]
        assert entries, line


async def test_the_same_as_json(
    owner: Client,
    stranger: Client,
    storage: Storage,
    garage: Tenant,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dashboard.api.exports.BATCH", 2)
    for number in range(3):
        await call_of(storage, garage, clock, number, "Une vidange")

    async def read(client: Client, noun: str) -> Mapping[str, Any]:
        response = await client.send("GET", f"/api/v1/{noun}/export?format=json")
        assert response.headers["content-disposition"].endswith('.json"')
        found: Mapping[str, Any] = json.loads(response.content)
        return found

    found = await read(owner, "calls")
    assert [each["transcript"] for each in found["calls"]] == ["caller: Une vidange"] * 3
    for noun in ("calls", "appointments", "messages", "conversations", "contacts"):
        assert await read(stranger, noun) == {"success": True, noun: []}


# --------------------------------------------------------------- what was written, reminders


@BOTH_DATABASES
async def test_what_was_written_both_ways(
    owner: Client, stranger: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    await written(storage, garage, clock)
    answer = await owner.get("/api/v1/communications?canal=sms&limite=1")
    (received,) = answer["messages"]
    assert (received["sens"], received["statut"], received["contact"]) == (
        "recu",
        "received",
        "Anne",
    )
    assert (answer["total"], answer["par_canal"]) == (2, {"sms": 2, "email": 0, "whatsapp": 0})
    rest = await owner.get(f"/api/v1/communications?limite=1&cursor={answer['next_cursor']}")
    (sent,) = rest["messages"]
    assert (sent["sens"], sent["statut"], rest["next_cursor"]) == ("envoye", "queued", None)
    (day,) = (await owner.get("/api/v1/communications/frise"))["jours"]
    assert (day["date"], len(day["messages"])) == (clock.now().date().isoformat(), 2)
    assert (await owner.get("/api/v1/communications?canal=email"))["messages"] == []
    assert (await stranger.get("/api/v1/communications"))["total"] == 0


async def test_lists_of_ours_go_on_behind_a_cursor(
    owner: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        for number in range(3):
            clock.advance(1)
            address = f"+3363998000{number}"
            await rows.conversations.open("sms", address, contact_id=None, our_address="", name="")
            await rows.outbox.put(NewText("sms", address, body="Bonjour", even_if_off=True))
            await rows.notifications.tell("voicemail", subject_id=None, values={})
    for noun in ("conversations", "messages", "notifications"):
        seen, cursor = [], ""
        for _ in range(3):
            page = await owner.get(f"/api/v1/{noun}?limit=1{cursor}")
            seen += [each["id"] for each in page[noun]]
            cursor = f"&cursor={page['next_cursor']}"
        assert cursor == "&cursor=None"
        assert len(set(seen)) == 3
        assert (await owner.send("GET", f"/api/v1/{noun}?cursor=x")).status_code == 422


async def asked(client: Client, method: str) -> Any:
    response = await client.send(method, "/api/v1/reminders/send-tomorrow")
    assert response.status_code == 200, response.text
    return response.json()


@BOTH_DATABASES
async def test_tomorrow_is_reminded_of_now_and_once(
    owner: Client, stranger: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        for days, hours, phone in ((1, 0, "+33639980001"), (1, 1, None), (2, 0, "+33639980003")):
            start = clock.now() + timedelta(days=days, hours=hours)
            await rows.appointments.book(
                NewAppointment(customer_name="Anne", customer_phone=phone, start=start, minutes=30)
            )
    answer = await asked(owner, "POST")
    assert (answer["sent"], answer["errors"]) == (1, 1)
    assert [each["status"] for each in answer["details"]] == ["queued", "no_address"]
    async with storage.tenant(garage.id).read() as rows:
        (reminder,) = await rows.reminders.of(answer["details"][0]["appointment_id"])
    assert (reminder.kind, reminder.state, reminder.due_at) == ("24h", "planned", clock.now())
    async with storage.tenant(garage.id).write() as rows:
        await rows.reminders.trying(reminder.id, [("sms", "text")])
    again = await asked(owner, "PUT")
    assert (again["sent"], again["details"][0]["status"]) == (0, "already_sent")
    assert (await asked(stranger, "POST"))["details"] == []


def test_who_may_take_data_out() -> None:
    for name in ("calls", "appointments", "messages", "conversations", "contacts"):
        its = declared(getattr(Exports, name))
        assert its is not None
        assert its.may is May.EXPORT
