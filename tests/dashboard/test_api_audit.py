"""Every change leaves a line, with who made it; what failed and what was only read leaves none."""

from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api import routes
from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.operations import operation, resource
from domain.errors import Conflict, OperatorError
from domain.permissions import May
from domain.tenant import Tenant
from storage import NewTicket, Storage
from tests.dashboard.api_client import (
    BOTH_DATABASES,
    SETTINGS,
    Client,
    assert_problem,
    session,
)
from tests.fakes.clock import FakeClock

AUDIT = "/api/v1/audit"
SMS = "/api/v1/channels/sms"


async def log_of(http: httpx.AsyncClient, tenant: Tenant, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await session(http, tenant.id).get(AUDIT, params=query))[
        "entries"
    ]
    return found


@BOTH_DATABASES
async def test_a_change_leaves_a_line_without_its_contents(
    http: httpx.AsyncClient, garage: Tenant, dentist: Tenant
) -> None:
    secret = "sk-very-secret-and-personal"
    body = {"enabled": False, "config": {"note": secret}, "configSecret": {"authToken": secret}}
    answer = await session(http, garage.id, user_id="u-7").send("PUT", SMS, json=body)
    assert answer.status_code == 200, answer.text
    (line,) = await log_of(http, garage)
    assert line["action"] == "PUT /v1/channels/{type}"
    assert line["actor"] == {"kind": "user", "id": "u-7", "role": "owner"}
    assert (line["subject_type"], line["subject_id"]) == ("channels", "sms")
    assert sorted(line["changes"]["fields"]) == ["config", "configSecret", "enabled"]
    assert secret not in str(line)
    assert await log_of(http, dentist) == []


async def test_what_fails_and_what_is_read_leaves_none(
    http: httpx.AsyncClient, owner: Client, garage: Tenant
) -> None:
    assert_problem(await owner.send("PUT", SMS, json={"enabled": "yes"}), 422, "enabled")
    assert_problem(await session(http, garage.id, "agent").send("PUT", SMS, json={}), 403)
    await owner.get(SMS)
    await owner.get("/api/v1/tickets")
    assert await log_of(http, garage) == []


async def test_it_is_owners_who_read_it(http: httpx.AsyncClient, garage: Tenant) -> None:
    for role in ("manager", "agent"):
        assert_problem(await session(http, garage.id, role).send("GET", AUDIT), 403)


async def test_pages_and_filters(owner: Client, http: httpx.AsyncClient, garage: Tenant) -> None:
    for number in range(5):
        body = {"label": f"key {number}", "scopes": ["read"]}
        await owner.send("POST", "/api/v1/keys", json=body)
    await owner.send("PUT", SMS, json={"enabled": False})
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = await owner.get(AUDIT, params=query)
        seen += [each["id"] for each in page["entries"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 6
    assert len(await log_of(http, garage, action="key.created")) == 5
    assert len(await log_of(http, garage, actor_id="nobody")) == 0
    for wrong in ("x", "MjAyNg==", "é"):
        answer = await owner.send("GET", AUDIT, params={"cursor": wrong})
        assert_problem(answer, 422, "cursor")
    assert_problem(await owner.send("GET", AUDIT, params={"limit": 201}), 422, "limit")


class Made:
    """Handlers that change things in ways of their own."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def forgetful(self, request: Request) -> Response:
        """Declares nothing and records nothing."""
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            await rows.tickets.add(NewTicket("Paul", "Rappeler"))
        return json_response({})

    async def fails(self, request: Request) -> Response:
        """Its transaction is undone."""
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            await rows.tickets.add(NewTicket("Paul", "Rappeler"))
            await rows.audit.record("ticket.added")
            raise Conflict("no")

    @operation("Read", may=May.CALLS, audit_read="transcript.read")
    async def transcript(self, request: Request) -> Response:
        """Shows what somebody said."""
        return json_response({})


@pytest_asyncio.fixture(loop_scope="session")
async def client(storage: Storage, clock: FakeClock, garage: Tenant) -> Any:
    its = Made(storage)
    extra = [
        resource("/v1/forgetful", POST=its.forgetful),
        resource("/v1/fails", POST=its.fails),
        resource("/v1/words/{id}", GET=its.transcript),
    ]
    app = Starlette(routes=routes(storage, SETTINGS, clock, extra))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    key = await storage.operator.create_key(garage.id)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
        yield Client(http, {"authorization": f"Bearer {key}"})


async def test_no_handler_can_forget_it(client: Client) -> None:
    await client.send("POST", "/api/v1/forgetful")
    (line,) = (await client.get(AUDIT))["entries"]
    assert line["action"] == "POST /v1/forgetful"
    assert line["changes"]["created"] == [f"tickets:{line['subject_id']}"]
    assert line["actor"]["kind"] == "key"


async def test_what_is_undone_leaves_none(client: Client) -> None:
    assert (await client.send("POST", "/api/v1/fails")).status_code == 409
    assert (await client.get(AUDIT))["entries"] == []


async def test_each_reading_of_what_was_said_leaves_one(
    client: Client, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        assert (await client.send("GET", "/api/v1/words/c-1")).status_code == 200
    lines = (await client.get(AUDIT))["entries"]
    assert [(each["action"], each["subject_id"]) for each in lines] == [
        ("transcript.read", "c-1")
    ] * 2

    async def away(*_: object) -> None:
        raise OperatorError("the database is away")

    monkeypatch.setattr("storage.audit._write", away)
    answer = await client.send("GET", "/api/v1/words/c-1")
    assert_problem(answer, 503)  # what can't be noted isn't shown
