"""Contacts, prospects, tickets and notifications over HTTP, in the pages' shapes."""

import csv
import io

import pytest

from dashboard.api.csv_export import safe_cell
from domain.tenant import Tenant
from storage import NewProspect, NewTicket, Storage
from tests.dashboard.api_client import Client, assert_problem
from tests.fakes.clock import FakeClock

MOBILE = "+33639981234"


# ------------------------------------------------------------------------------ prospects


async def test_a_page_adds_a_prospect_once(owner: Client) -> None:
    """The form: first and last name, either address, and `source: manual`."""
    body = {"first_name": "Léa", "last_name": "Martin", "phone": "06 39 98 12 34", "email": ""}
    made = await owner.send("POST", "/api/v1/prospects", json={**body, "source": "manual"})
    assert made.status_code == 201
    assert made.json()["merged"] is False
    prospect = made.json()["prospect"]
    assert (prospect["first_name"], prospect["last_name"], prospect["phone"]) == (
        "Léa",
        "Martin",
        MOBILE,
    )
    assert (prospect["status"], prospect["source"]) == ("new", "manual")
    for phone in ("0639981234", "+33 6 39 98 12 34", "0033639981234"):
        again = {"first_name": "L.", "phone": phone, "email": "Lea@Example.fr"}
        merged = await owner.send("POST", "/api/v1/prospects", json=again)
        assert (merged.status_code, merged.json()["merged"]) == (200, True)
        assert merged.json()["prospect"]["id"] == prospect["id"]
        assert merged.json()["prospect"]["email"] == "lea@example.fr"  # was empty
        assert merged.json()["prospect"]["first_name"] == "Léa"  # wasn't
    by_mail = await owner.send("POST", "/api/v1/prospects", json={"email": "lea@example.fr"})
    assert by_mail.json()["merged"] is True
    assert (await owner.get("/api/v1/prospects"))["total"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [({"phone": "12"}, "phone"), ({"email": "x"}, "email"), ({"status": "gone"}, "status")],
)
async def test_what_cant_be_read_isnt_saved(
    owner: Client, body: dict[str, str], field: str
) -> None:
    answer = await owner.send("POST", "/api/v1/prospects", json={"first_name": "Léa", **body})
    assert_problem(answer, 422, field)
    assert (await owner.get("/api/v1/prospects"))["total"] == 0


async def test_a_prospect_is_worked_on(owner: Client, stranger: Client) -> None:
    made = await owner.send("POST", "/api/v1/prospects", json={"first_name": "Léa"})
    path = f"/api/v1/prospects/{made.json()['prospect']['id']}"
    for method in ("PUT", "PATCH"):
        changed = await owner.send(method, path, json={"status": "contacted"})
        assert changed.json()["prospect"]["status"] == "contacted"
    assert [p["id"] for p in (await owner.get("/api/v1/prospects?status=contacted"))["prospects"]]
    assert (await owner.get("/api/v1/prospects?status=new"))["total"] == 0
    stale = await owner.send("PATCH", path, json={"notes": "x", "version": 1})
    assert_problem(stale, 409)
    assert "modifier" in stale.json()["error"]
    converted = await owner.send("POST", f"{path}/convert")
    assert converted.json()["prospect"]["status"] == "converted"
    assert converted.json()["prospect"]["converted_at"]
    history = (await owner.get(f"{path}/history"))["history"]
    assert [it["action"] for it in history] == ["created", "updated", "updated"]
    for method, what in (("GET", ""), ("DELETE", ""), ("POST", "/convert"), ("GET", "/history")):
        assert_problem(await stranger.send(method, path + what), 404)
    assert (await owner.send("DELETE", path)).json() == {"success": True}
    assert_problem(await owner.send("GET", path), 404)


async def test_an_export_runs_nothing(owner: Client, storage: Storage, garage: Tenant) -> None:
    evil = '=HYPERLINK("http://evil.example";"x")'
    async with storage.tenant(garage.id).write() as rows:
        await rows.prospects.add(NewProspect(evil, MOBILE, notes='@SUM(1+1)\n-2;"x"'))
    answer = await owner.send("GET", "/api/v1/prospects/export?format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    text = answer.content.decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text), delimiter=";")
    assert row["Téléphone"] == f"'{MOBILE}"
    assert row["Notes"].startswith("'@")
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row.values())
    listed = await owner.get("/api/v1/prospects/export?format=json")
    assert listed["prospects"][0]["name"] == evil
    assert_problem(await owner.send("GET", "/api/v1/prospects/export?format=xls"), 422, "format")


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", " =1", "＝1"])
def test_formulas_are_text(cell: str) -> None:
    assert safe_cell(cell) == f"'{cell}"


def test_other_cells_are_as_they_are() -> None:
    assert [safe_cell(it) for it in ("Léa", "a=1", 12, None)] == ["Léa", "a=1", "12", ""]


# -------------------------------------------------------------------------------- tickets


async def test_a_ticket_is_worked_on(owner: Client, stranger: Client) -> None:
    body = {"subject": "Devis", "customer_phone": "06 39 98 12 34", "priority": "normal"}
    made = (await owner.send("POST", "/api/v1/tickets", json=body)).json()["ticket"]
    assert (made["status"], made["priority"], made["customer_phone"]) == ("open", "medium", MOBILE)
    path = f"/api/v1/tickets/{made['id']}"
    change = {"assigned_to": "Paul", "status": "in_progress", "version": made["version"]}
    changed = (await owner.send("PATCH", path, json=change)).json()["ticket"]
    assert (changed["assigned_to"], changed["status"]) == ("Paul", "in_progress")
    assert changed["assigned_at"]
    assert_problem(await owner.send("PATCH", path, json=change), 409)
    assert_problem(
        await owner.send("PATCH", path, json={"customer_phone": "x"}), 422, "customer_phone"
    )
    closed = (await owner.send("PATCH", path, json={"status": "closed"})).json()["ticket"]
    assert closed["closed_at"]
    again = (await owner.send("PUT", path, json={"status": "open"})).json()["ticket"]
    assert (again["status"], again["closed_at"]) == ("open", None)
    assert_problem(await stranger.send("DELETE", path), 404)
    for _ in range(2):
        closed = (await owner.send("DELETE", path)).json()["ticket"]
        assert closed["status"] == "closed"
    assert (await owner.get("/api/v1/tickets?status=unfinished"))["total"] == 0
    assert (await owner.get("/api/v1/tickets?assigned_to=Paul&search=devis"))["total"] == 1
    history = (await owner.get(f"{path}/history"))["history"]
    assert history[1]["changes"]["status"] == ["open", "in_progress"]
    assert history[1]["actor"].startswith("key:")
    for method, what in (("GET", ""), ("GET", "/history")):
        assert_problem(await stranger.send(method, path + what), 404)
    assert_problem(await stranger.send("PATCH", path, json={"status": "open"}), 404)
    export = await owner.send("GET", "/api/v1/tickets/export")
    assert "Devis" in export.text


# --------------------------------------------------------------------------- notifications


async def test_a_page_polls_notifications(
    owner: Client, stranger: Client, storage: Storage, garage: Tenant
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        for name in ("Léa", "Marc"):
            await rows.tickets.add(NewTicket(name, "Fuite d'eau", MOBILE))
    polled = await owner.get("/api/v1/notifications?unread=true&limit=1")
    assert (len(polled["notifications"]), polled["unread_count"]) == (1, 2)
    item = polled["notifications"][0]
    assert (item["type"], item["title"], item["read"]) == (
        "ticket_urgent",
        "Urgent : Fuite d'eau",
        0,
    )
    path = f"/api/v1/notifications/{item['id']}/read"
    assert_problem(await stranger.send("PUT", path), 404)
    assert (await owner.send("PUT", path)).json() == {"success": True}
    assert (await owner.get("/api/v1/notifications?unread=true"))["unread_count"] == 1
    assert (await owner.send("PUT", "/api/v1/notifications/read-all")).status_code == 200
    everything = await owner.get("/api/v1/notifications")
    assert [it["read"] for it in everything["notifications"]] == [1, 1]


async def test_how_the_owner_is_told(owner: Client) -> None:
    path = "/api/v1/notifications/settings"
    assert (await owner.get(path))["settings"]["channel"] == "none"
    body = {
        "channel": "sms",
        "address": "06 39 98 12 34",
        "kinds": ["ticket_urgent"],
        "quiet_from": "22:00",
        "quiet_until": "07:00",
    }
    saved = (await owner.send("PUT", path, json=body)).json()["settings"]
    assert (saved["address"], saved["verified"], saved["quiet_from"]) == (MOBILE, False, "22:00")
    assert_problem(await owner.send("POST", f"{path}/verify", json={"code": "000"}), 422, "code")
    no_address = await owner.send("PUT", path, json={"channel": "sms", "address": "x"})
    assert_problem(no_address, 422, "address")
    no_hour = await owner.send("PUT", path, json={"channel": "none", "quiet_from": "25:00"})
    assert_problem(no_hour, 422, "quiet_from")


# -------------------------------------------------------------------------------- contacts


async def test_contacts(
    owner: Client, stranger: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    made = await owner.send("POST", "/api/v1/contacts", json={"name": "Léa", "phone": "0639981234"})
    one = made.json()["contact"]
    clock.advance(1)
    made = await owner.send("POST", "/api/v1/contacts", json={"email": "lea@example.fr"})
    other = made.json()["contact"]
    async with storage.tenant(garage.id).write() as rows:
        await rows.tickets.add(NewTicket("Léa", "Devis", MOBILE))
        clock.advance(1)
        new = NewProspect("Léa", email="lea@example.fr", interest="achat")
        await rows.prospects.add(new)
    path = f"/api/v1/contacts/{one['id']}"
    assert_problem(await owner.send("POST", f"{path}/merge", json={"other_id": "nobody"}), 404)
    merged = await owner.send("POST", f"{path}/merge", json={"other_id": other["id"]})
    assert (merged.json()["contact"]["phone"], merged.json()["contact"]["email"]) == (
        MOBILE,
        "lea@example.fr",
    )
    timeline = await owner.get(f"{path}/timeline?limit=1")
    assert [it["kind"] for it in timeline["timeline"]] == ["prospect"]
    rest = await owner.get(f"{path}/timeline?cursor={timeline['next_cursor']}")
    assert [it["kind"] for it in rest["timeline"]] == ["ticket"]
    assert rest["next_cursor"] is None
    shown = await owner.get(f"/api/v1/contacts/{other['id']}")
    assert shown["contact"]["id"] == one["id"]
    assert [it["action"] for it in shown["history"]] == ["merged"]
    change = {"preferred_channel": "sms", "notes": "", "version": shown["contact"]["version"]}
    changed = await owner.send("PATCH", path, json=change)
    assert changed.json()["contact"]["preferred_channel"] == "sms"
    assert_problem(await owner.send("PATCH", path, json={**change, "notes": "x"}), 409)
    found = await owner.get("/api/v1/contacts?search=06%2039%2098%2012%2034")
    assert [it["id"] for it in found["contacts"]] == [one["id"]]
    for method, what in (("GET", ""), ("GET", "/timeline")):
        assert_problem(await stranger.send(method, path + what), 404)
    assert_problem(await stranger.send("PATCH", path, json={"name": "x"}), 404)
    assert_problem(await owner.send("POST", "/api/v1/contacts", json={"name": "x"}), 422, "phone")


async def test_two_who_may_be_one(owner: Client, storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.contacts.person(phone=MOBILE, source="call")
        await rows.contacts.person(email="lea@example.fr", source="message")
        await rows.contacts.person(phone=MOBILE, email="lea@example.fr", source="said")
    (proposal,) = (await owner.get("/api/v1/contacts/proposals"))["proposals"]
    path = f"/api/v1/contacts/proposals/{proposal['id']}/decline"
    assert (await owner.send("POST", path)).json()["proposals"] == []
