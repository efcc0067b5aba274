"""Requests are limited by tenant, by credential and by address, over all nodes."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from starlette.applications import Starlette

from dashboard.api import ApiSettings, routes
from dashboard.api.tokens import TokenRules, Tokens
from domain.tenant import Tenant
from storage import Database, Storage
from tests.dashboard.api_client import (
    ADMIN_KEY,
    BOTH_DATABASES,
    JWT_SECRET,
    SETTINGS,
    VAPI_SECRET,
    assert_problem,
    token,
)
from tests.fakes.clock import FakeClock

FIVE = replace(SETTINGS, requests_per_minute=5)


#: Somebody's, in the network that is for examples.
ADDRESS, NEIGHBOUR = "203.0.113.7", "203.0.113.8"


@asynccontextmanager
async def node(
    url: str, clock: FakeClock, settings: ApiSettings = FIVE, address: str = "127.0.0.1"
) -> AsyncIterator[httpx.AsyncClient]:
    """One server's API, with connections of its own, as somebody at `address` reaches it."""
    database = await Database.open(url)
    tokens = Tokens(TokenRules("HS256", JWT_SECRET), clock)
    app = Starlette(routes=routes(Storage(database, clock), settings, clock, tokens=tokens))
    transport = httpx.ASGITransport(app, client=(address, 40000))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield client
    await database.close()


async def statuses(key: str, *nodes: httpx.AsyncClient, times: int) -> list[int]:
    """Of so many requests, to the nodes in turn."""
    headers = {"authorization": f"Bearer {key}"}
    answers = [
        await nodes[at % len(nodes)].get("/api/v1/calls", headers=headers) for at in range(times)
    ]
    return [answer.status_code for answer in answers]


@pytest.mark.parametrize("dialect", ["postgresql"])
async def test_two_nodes_count_together(
    url: str, clock: FakeClock, storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    key, other = [await storage.operator.create_key(each.id) for each in (garage, dentist)]
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node(url, clock)) for _ in range(2)]
        assert await statuses(key, *nodes, times=8) == [200] * 5 + [429] * 3
        second_key = await storage.operator.create_key(garage.id)
        assert await statuses(second_key, *nodes, times=2) == [429] * 2
        assert await statuses(other, *nodes, times=5) == [200] * 5


@BOTH_DATABASES
async def test_who_asks_too_often_learns_when_to_come_again(
    url: str, clock: FakeClock, storage: Storage, garage: Tenant
) -> None:
    key = await storage.operator.create_key(garage.id)
    async with node(url, clock) as client:
        assert await statuses(key, client, times=5) == [200] * 5
        refused = await client.get("/api/v1/calls", headers={"authorization": f"Bearer {key}"})
        body = assert_problem(refused, 429)
        assert body["code"] == "too_many_requests"
        assert body["error"].startswith("Trop de demandes")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        # Nobody's requests count against the operator's, or against those without a key.
        admin = {"authorization": f"Bearer {ADMIN_KEY}"}
        for _ in range(7):
            assert (await client.get("/api/tenants", headers=admin)).status_code == 200
            assert (await client.get("/api/v1/calls")).status_code == 401


@BOTH_DATABASES
async def test_each_answer_says_what_is_left(
    url: str, clock: FakeClock, storage: Storage, garage: Tenant
) -> None:
    key, other = [await storage.operator.create_key(garage.id) for _ in range(2)]
    settings = replace(SETTINGS, requests_per_minute=10, key_requests_per_minute=3)
    async with node(url, clock, settings) as client:
        headers = {"authorization": f"Bearer {key}"}
        first = await client.get("/api/v1/calls", headers=headers)
        assert first.headers["ratelimit-policy"] == '"tenant";q=10;w=60, "key";q=3;w=60'
        assert '"tenant";r=9;t=' in first.headers["ratelimit"]
        assert first.headers["ratelimit-limit"] == "3"  # the nearest
        assert first.headers["ratelimit-remaining"] == "2"
        assert 1 <= int(first.headers["ratelimit-reset"]) <= 60
        assert await statuses(key, client, times=3) == [200, 200, 429]
        assert await statuses(other, client, times=2) == [200, 200]
        missing = await client.get("/api/v1/nothing", headers={"authorization": f"Bearer {other}"})
        assert missing.status_code == 404
        assert missing.headers["ratelimit-remaining"] == "0"


@BOTH_DATABASES
async def test_addresses_are_counted_whoever_asks(
    url: str, clock: FakeClock, storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    key, other = [await storage.operator.create_key(each.id) for each in (garage, dentist)]
    settings = replace(SETTINGS, address_requests_per_minute=4)
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(node(url, clock, settings, ADDRESS))
        assert await statuses(key, one, times=2) == [200] * 2
        assert (await one.get("/api/v1/calls")).status_code == 401
        assert await statuses(other, one, times=2) == [200, 429]
        forged = {"authorization": f"Bearer {key}", "x-forwarded-for": NEIGHBOUR}
        assert (await one.get("/api/v1/calls", headers=forged)).status_code == 429
        # The vendor's webhooks aren't: all its customers come from there.
        vapi = {"x-vapi-secret": VAPI_SECRET}
        answer = await one.post("/api/vapi/events", headers=vapi)
        assert answer.status_code == 404
        assert "ratelimit" not in answer.headers


async def test_a_network_of_one_customer_is_one_address(
    url: str, clock: FakeClock, storage: Storage, garage: Tenant
) -> None:
    key = await storage.operator.create_key(garage.id)
    settings = replace(SETTINGS, address_requests_per_minute=2)
    database = await Database.open(url)
    answers = []
    app = Starlette(routes=routes(Storage(database, clock), settings, clock))
    for address in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"):
        transport = httpx.ASGITransport(app, client=(address, 40000))
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            answers += await statuses(key, client, times=1)
    for address in ("127.0.0.1", "10.0.0.2", "::1", "unix"):
        transport = httpx.ASGITransport(app, client=(address, 40000))
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            answers += await statuses(key, client, times=3)
    await database.close()
    assert answers == [200, 200, 429, 200] + [200] * 12


@BOTH_DATABASES
async def test_who_tries_keys_is_refused_before_any_is_looked_at(
    url: str, clock: FakeClock, storage: Storage, garage: Tenant, dialect: str
) -> None:
    good = await storage.operator.create_key(garage.id)
    settings = replace(SETTINGS, refused_per_minute=3)
    guesses = ["cck_" + "A" * 43, "x.y.z", ADMIN_KEY[:-1], "cck_" + "B" * 43]
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(node(url, clock, settings, ADDRESS))
        # Who has nothing, or what is over, guesses nothing.
        over = token(garage.id, exp=1)
        for given in ["null", "undefined", "", over] * 2:
            assert await statuses(given, one, times=1) == [401]
        found = [(await statuses(given, one, times=1))[0] for given in guesses]
        assert found == [401, 401, 401, 429]
        assert await statuses(good, one, times=1) == [429]
        refused = await one.get("/api/v1/calls", headers={"authorization": f"Bearer {good}"})
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json()["code"] == "too_many_requests"
        neighbour = await stack.enter_async_context(node(url, clock, settings, NEIGHBOUR))
        assert await statuses(good, neighbour, times=1) == [200]
        if dialect == "postgresql":  # another node learns of it with the next guess
            another = await stack.enter_async_context(node(url, clock, settings, ADDRESS))
            assert await statuses(guesses[0], another, times=1) == [429]
            assert await statuses(good, another, times=1) == [429]
        clock.advance(61)
        assert await statuses(good, one, times=1) == [200]
