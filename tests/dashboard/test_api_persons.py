"""The rights of persons over the API, and what an audit line says of them."""

from typing import Any

from domain.tenant import Tenant
from storage import NewTicket, Storage
from tests.dashboard.api_client import Client, session

PHONE = "+33639981234"


async def _lea(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.contacts.person(name="Léa Martin", phone=PHONE, source="call")
        await rows.tickets.add(
            NewTicket(customer_name="Léa Martin", customer_phone=PHONE, subject="Embrayage"),
            source="call",
        )


async def _audited(owner: Client) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = (await owner.get("/api/v1/audit"))["entries"]
    return entries


async def test_export(owner: Client, storage: Storage, garage: Tenant) -> None:
    await _lea(storage, garage)
    answer = await owner.send("POST", "/api/v1/persons/export", json={"phone": "06 39 98 12 34"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["addresses"] == [{"kind": "phone", "value": PHONE}]
    assert told["records"]["tickets"][0]["subject"] == "Embrayage"
    assert told["counts"]["contacts"] == 1
    assert "attachment" in answer.headers["content-disposition"]
    (line,) = await _audited(owner)
    assert line["action"] == "person.exported"
    assert PHONE not in str(line)


async def test_erasure(owner: Client, storage: Storage, garage: Tenant) -> None:
    await _lea(storage, garage)
    body = {"phone": "06 39 98 12 34", "confirm": "06 39 98 12 34"}
    answer = await owner.send("POST", "/api/v1/persons/erase", json=body)
    assert answer.status_code == 200, answer.text
    erased = answer.json()
    assert erased["message"] == "Les données de cette personne ont été effacées."
    assert erased["erased"]["tickets"] == 1
    assert erased["kept"].keys() == {"audit_log"}
    again = (await owner.send("POST", "/api/v1/persons/erase", json=body)).json()
    assert (again["erased"], again["erasure_id"]) == ({}, None)
    assert [line["action"] for line in await _audited(owner)] == ["person.erased"] * 2
    assert (await owner.get("/api/v1/contacts"))["contacts"] == []


async def test_an_erasure_must_be_confirmed(owner: Client) -> None:
    for body in ({"phone": PHONE}, {"phone": PHONE, "confirm": "yes"}, {"confirm": ""}, {}):
        answer = await owner.send("POST", "/api/v1/persons/erase", json=body)
        assert answer.status_code == 422, body
        assert answer.json()["success"] is False


async def test_who_is_nobody_is_said(owner: Client) -> None:
    answer = await owner.send("POST", "/api/v1/persons/export", json={"whatsapp": "x"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "whatsapp"


async def test_only_owners_erase(http: Any, garage: Tenant) -> None:
    body = {"phone": PHONE, "confirm": PHONE}
    for role, export, erase in (("agent", 403, 403), ("manager", 200, 403), ("owner", 200, 200)):
        client = session(http, garage.id, role)
        exported = await client.send("POST", "/api/v1/persons/export", json={"phone": PHONE})
        erased = await client.send("POST", "/api/v1/persons/erase", json=body)
        assert (exported.status_code, erased.status_code) == (export, erase), role


async def test_another_business_finds_nothing(
    stranger: Client, storage: Storage, garage: Tenant
) -> None:
    await _lea(storage, garage)
    body = {"phone": PHONE, "confirm": PHONE}
    assert (await stranger.send("POST", "/api/v1/persons/erase", json=body)).json()["erased"] == {}
    told = (await stranger.send("POST", "/api/v1/persons/export", json={"phone": PHONE})).json()
    assert told["records"] == {}
