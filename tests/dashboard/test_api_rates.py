"""A tenant's requests are limited, over all nodes, and nobody else's with them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from starlette.applications import Starlette

from dashboard.api import routes
from domain.tenant import Tenant
from storage import Database, Storage
from tests.dashboard.api_client import ADMIN_KEY, BOTH_DATABASES, SETTINGS, assert_problem
from tests.fakes.clock import FakeClock

FIVE = replace(SETTINGS, requests_per_minute=5)


@asynccontextmanager
async def node(url: str, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    """One server's API, with connections of its own."""
    database = await Database.open(url)
    app = Starlette(routes=routes(Storage(database, clock), FIVE, clock))
    transport = httpx.ASGITransport(app)
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
