"""Appointments over the API, as the pages ask for them."""

from typing import Any

from domain.tenant import Tenant
from storage import Storage
from storage.prospects import NewProspect
from storage.resources import NewResource
from tests.dashboard.api_client import BOTH_DATABASES, Client, assert_problem

TUESDAY = "2026-11-24T14:30:00"
CUSTOMER = {"name": "Léa Martin", "phone": "06 39 98 00 01", "email": "lea@example.org"}
WANTED = {"scheduled_at": TUESDAY, "customer": CUSTOMER, "notes": "Clio", "type": "vidange"}


async def _created(client: Client, **more: Any) -> dict[str, Any]:
    answer = await client.send("POST", "/api/v1/appointments", json={**WANTED, **more})
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()["appointment"]
    return created


@BOTH_DATABASES
async def test_booked_shown_moved_and_cancelled(owner: Client) -> None:
    it = await _created(owner)
    assert (it["scheduled_at"], it["status"], it["prospect_phone"]) == (
        TUESDAY,
        "confirmed",
        "+33639980001",
    )
    path = f"/api/v1/appointments/{it['id']}"
    assert (await owner.get(path))["appointment"] == it
    moved = await owner.send("PATCH", path, json={"scheduled_at": "2026-11-25T10:00:00"})
    assert moved.json()["appointment"]["start"] == "2026-11-25T10:00:00+01:00"
    done = await owner.send("PUT", path, json={"status": "completed", "notes": "payé"})
    assert (done.json()["appointment"]["status"], done.json()["appointment"]["notes"]) == (
        "completed",
        "payé",
    )
    assert_problem(await owner.send("DELETE", path), 409, "status")
    await owner.send("PATCH", path, json={"status": "scheduled"})
    gone = await owner.send("DELETE", path)
    assert gone.json()["appointment"]["status"] == "cancelled"
    history = (await owner.get(path))["history"]
    assert [each["action"] for each in history] == [
        "booked",
        "moved",
        "corrected",
        "completed",
        "reopened",
        "cancelled",
    ]
    assert {each["actor"] for each in history} == {"rest"}


@BOTH_DATABASES
async def test_a_taken_time_is_a_conflict_with_alternatives(owner: Client) -> None:
    it = await _created(owner)
    answer = await owner.send("POST", "/api/v1/appointments", json=WANTED)
    assert_problem(answer, 409, "start")
    body = answer.json()
    assert body["error"] == (
        "Ce créneau chevauche un rendez-vous existant. Veuillez choisir un autre horaire."
    )
    assert [each["scheduled_at"][11:16] for each in body["alternatives"]] == [
        "14:00",
        "15:00",
        "15:30",
    ]
    other = await _created(owner, scheduled_at="2026-11-24T16:00:00")
    refused = await owner.send(
        "PATCH", f"/api/v1/appointments/{other['id']}", json={"scheduled_at": TUESDAY}
    )
    assert_problem(refused, 409, "start")
    listed = (await owner.get("/api/v1/appointments?date_from=2026-11-24"))["appointments"]
    assert [each["id"] for each in listed] == [it["id"], other["id"]]


async def test_the_same_key_books_once(owner: Client, stranger: Client) -> None:
    headers = {"idempotency-key": "a-page-sent-it-twice"}
    answers = [
        await owner.send("POST", "/api/v1/appointments", json=WANTED, headers=headers)
        for _ in range(2)
    ]
    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    other = {**WANTED, "notes": "autre chose"}
    again = await owner.send("POST", "/api/v1/appointments", json=other, headers=headers)
    assert_problem(again, 409, "Idempotency-Key")
    theirs = await stranger.send("POST", "/api/v1/appointments", json=WANTED, headers=headers)
    assert theirs.status_code == 201


async def test_what_cant_be_booked(owner: Client) -> None:
    for more, status, field in (
        ({"scheduled_at": "2026-11-24T12:30:00"}, 409, "start"),
        ({"scheduled_at": "2020-01-06T10:00:00"}, 409, "start"),
        ({"scheduled_at": "2027-03-28T02:30:00"}, 422, "scheduled_at"),
        ({"scheduled_at": "demain"}, 422, "scheduled_at"),
        ({"customer": {}}, 422, "customer"),
        ({"customer": {"name": "Léa", "phone": "12"}}, 422, "customer.phone"),
        ({"agent_id": "nobody"}, 422, "agent_id"),
        ({"service_id": "nothing"}, 404, "service_id"),
        ({"prospect_id": "nobody"}, 404, "prospect_id"),
    ):
        answer = await owner.send("POST", "/api/v1/appointments", json={**WANTED, **more})
        assert_problem(answer, status, field)
    assert (await owner.get("/api/v1/appointments"))["count"] == 0


async def test_with_whom(owner: Client, storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        ana = await rows.resources.add(NewResource("Ana"))
        bob = await rows.resources.add(NewResource("Bob"))
    it = await _created(owner, agent_id=ana.id)
    assert (it["agent_id"], it["agent_name"]) == (ana.id, "Ana")
    path = f"/api/v1/appointments/{it['id']}"
    moved = await owner.send("PATCH", path, json={"agent_id": bob.id})
    assert moved.json()["appointment"]["agent_name"] == "Bob"
    assert (await owner.get(f"/api/v1/appointments?agent_id={ana.id}"))["count"] == 0
    assert (await owner.get(f"/api/v1/appointments?agent_id={bob.id}"))["count"] == 1


async def test_a_prospect_who_came_is_a_customer(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        added = await rows.prospects.add(NewProspect(name="Léa Martin", phone="+33639980001"))
    it = await _created(owner, prospect_id=added, customer=None)
    assert (it["prospect_id"], it["prospect_name"]) == (added, "Léa Martin")
    await owner.send("PATCH", f"/api/v1/appointments/{it['id']}", json={"status": "completed"})
    async with storage.tenant(garage.id).read() as rows:
        prospect = await rows.prospects.get(added)
    assert prospect is not None
    assert prospect.status == "converted"


async def test_settings_are_kept_as_they_were_sent(owner: Client, stranger: Client) -> None:
    path = "/api/v1/appointments/settings"
    assert (await owner.get(path))["settings"] == {}
    settings = {"notifications": {"emailConfirmation": True, "smsReminder": False}}
    for _ in range(2):
        await owner.send("PUT", path, json={"settings": settings})
        assert (await owner.get(path))["settings"] == settings
    assert (await stranger.get(path))["settings"] == {}
    large = {"settings": {"x": "y" * 20_000}}
    assert_problem(await owner.send("PUT", path, json=large), 422, "settings")
