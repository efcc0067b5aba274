"""A tenant's own keys, and what the audit log says of what was done with them."""

from datetime import timedelta
from typing import Any

import httpx

from dashboard.api.auth import KEY_CACHE_SECONDS
from domain.tenant import Tenant
from storage import Storage
from storage.keys import MOST_KEYS
from storage.tenants import USED_NOTED_EVERY
from tests.dashboard.api_client import BOTH_DATABASES, Client, assert_problem, session
from tests.fakes.clock import FakeClock

KEYS = "/api/v1/keys"


async def made(owner: Client, *scopes: str, label: str = "caisse") -> tuple[dict[str, Any], Client]:
    answer = await owner.send("POST", KEYS, json={"label": label, "scopes": list(scopes)})
    assert answer.status_code == 201, answer.text
    secret = answer.json()["secret"]
    assert secret.startswith("cck_")
    return answer.json()["key"], Client(owner.http, {"authorization": f"Bearer {secret}"})


@BOTH_DATABASES
async def test_a_key_opens_what_its_scopes_say(owner: Client, garage: Tenant) -> None:
    key, reader = await made(owner, "read")
    assert key["scopes"] == ["read"]
    assert key["last_used_at"] is None
    await reader.get("/api/v1/appointments")
    assert_problem(await reader.send("POST", KEYS, json={}), 403)
    listed = (await owner.get(KEYS))["keys"]
    (seen,) = [each for each in listed if each["id"] == key["id"]]
    assert seen["last_used_at"] is not None
    assert "cck_" not in str(listed)


async def test_when_it_was_used_is_noted_now_and_then(
    owner: Client, storage: Storage, clock: FakeClock
) -> None:
    key, reader = await made(owner, "read")

    async def used() -> Any:
        listed = (await owner.get(KEYS))["keys"]
        return next(each["last_used_at"] for each in listed if each["id"] == key["id"])

    await reader.get("/api/v1/tickets")
    first = await used()
    clock.advance(USED_NOTED_EVERY / 2)
    await reader.get("/api/v1/tickets")
    assert await used() == first
    clock.advance(USED_NOTED_EVERY)
    await reader.get("/api/v1/tickets")
    assert await used() > first


async def test_wrong_scopes_and_labels_are_named(owner: Client) -> None:
    for body, field in (
        ({"label": "x", "scopes": []}, "scopes"),
        ({"label": "x", "scopes": ["root"]}, "scopes[0]"),
        ({"label": "x"}, "scopes"),
        ({"label": "", "scopes": ["read"]}, "label"),
        ({"label": "a\nb", "scopes": ["read"]}, "label"),
    ):
        assert_problem(await owner.send("POST", KEYS, json=body), 422, field)


@BOTH_DATABASES
async def test_rotation_overlaps(owner: Client, clock: FakeClock) -> None:
    key, old = await made(owner, "read")
    answer = await owner.send("POST", f"{KEYS}/{key['id']}/rotate", json={"overlap_hours": 2})
    assert answer.status_code == 201
    new = Client(owner.http, {"authorization": f"Bearer {answer.json()['secret']}"})
    assert answer.json()["key"]["scopes"] == ["read"]
    again = await owner.send("POST", f"{KEYS}/{key['id']}/rotate")
    assert assert_problem(again, 409)["code"] == "key_over"
    clock.advance(timedelta(hours=2) - timedelta(seconds=1))
    await old.get("/api/v1/tickets")
    clock.advance(1 + KEY_CACHE_SECONDS)
    assert_problem(await old.send("GET", "/api/v1/tickets"), 401)
    await new.get("/api/v1/tickets")
    statuses = {each["id"]: each["status"] for each in (await owner.get(KEYS))["keys"]}
    assert statuses[key["id"]] == "expired"


async def test_a_revoked_key_opens_nothing(
    owner: Client, stranger: Client, clock: FakeClock
) -> None:
    key, client = await made(owner, "read")
    await client.get("/api/v1/tickets")
    assert_problem(await stranger.send("DELETE", f"{KEYS}/{key['id']}"), 404)
    answer = await owner.send("DELETE", f"{KEYS}/{key['id']}")
    assert answer.json()["key"]["status"] == "revoked"
    clock.advance(KEY_CACHE_SECONDS)
    assert_problem(await client.send("GET", "/api/v1/tickets"), 401)
    assert_problem(await owner.send("POST", f"{KEYS}/{key['id']}/rotate"), 409)


async def test_keys_are_bounded(owner: Client, storage: Storage, garage: Tenant) -> None:
    for _ in range(MOST_KEYS - 1):
        await storage.operator.create_key(garage.id)
    answer = await owner.send("POST", KEYS, json={"label": "x", "scopes": ["read"]})
    assert assert_problem(answer, 409)["code"] == "keys_too_many"


async def test_the_operator_suspends_and_resumes(
    operator: Client, owner: Client, garage: Tenant, clock: FakeClock, http: httpx.AsyncClient
) -> None:
    path = f"/api/tenants/{garage.id}"
    answer = await operator.send("POST", f"{path}/suspend")
    assert answer.json()["status"] == "suspended"
    clock.advance(KEY_CACHE_SECONDS)
    assert_problem(await owner.send("GET", "/api/v1/tickets"), 401)
    await operator.send("POST", f"{path}/resume")
    clock.advance(1)
    await owner.get("/api/v1/tickets")
    listed = (await operator.get(f"{path}/keys"))["keys"]
    assert [each["scopes"] for each in listed] == [["admin"]]
    revoked = await operator.send("DELETE", f"{path}/keys/{listed[0]['id']}")
    assert revoked.json()["key"]["status"] == "revoked"
    assert_problem(await operator.send("DELETE", f"{path}/keys/nothing"), 404)
    log = (await session(http, garage.id).get("/api/v1/audit"))["entries"]
    done = [(each["action"], each["actor"]["kind"]) for each in reversed(log)]
    assert done == [
        ("POST /tenants/{id}/suspend", "operator"),
        ("POST /tenants/{id}/resume", "operator"),
        ("key.revoked", "operator"),
    ]
