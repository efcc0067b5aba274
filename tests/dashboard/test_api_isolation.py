"""A second tenant sees and changes nothing, at any address that the application has.

The addresses are the running application's, the rows are made from the tables, the requests from
the handlers' own structures: a new table or route is covered unasked.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
import sqlalchemy as sa
from sqlalchemy import Engine, event
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from dashboard.api import routes
from dashboard.api.auth import OPEN_PATHS
from domain.tenant import Tenant
from server.app import create_app
from storage import Database, Storage
from storage.schema import tenants, tickets
from tests.dashboard.api_client import ADMIN_KEY, BOTH_DATABASES, SETTINGS
from tests.dashboard.route_walk import RouteWalk, addresses, ask
from tests.fakes.clock import FakeClock
from tests.furniture import Rows, furnish
from tests.running import settings as server_settings
from tests.storage.method_walk import ids_of, read, statements_of, touched

#: Stands in everything that the garage has.
MARK = "Cigogne"
#: So far ahead that a running server has nothing to sweep, purge or bury.
AHEAD = datetime(2100, 1, 4, 9, 0, tzinfo=UTC)

Walk = Callable[[Any, list[Any], str], Awaitable[RouteWalk]]


@pytest_asyncio.fixture(loop_scope="session")
async def furnished(database: Database, garage: Tenant) -> Rows:
    async with database.write() as connection:
        statement = sa.select(tenants).where(tenants.c.id == garage.id)
        row = (await connection.execute(statement)).mappings().one()
        return await connection.run_sync(
            lambda sync: furnish(sync, row, MARK, copies=2, start=AHEAD)
        )


@pytest.fixture
def written() -> Iterator[list[str]]:
    """All statements of this process that don't just read."""
    seen: list[str] = []

    def see(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if not statement.lstrip().upper().startswith("SELECT"):
            seen.append(statement)

    event.listen(Engine, "before_cursor_execute", see)
    yield seen
    event.remove(Engine, "before_cursor_execute", see)


@pytest.fixture
def walk(storage: Storage, database: Database, furnished: Rows, written: list[str]) -> Walk:
    """Makes a walk through an application, as the owner of a tenant."""
    statements = statements_of(furnished)

    async def made(app: Any, its_routes: list[Any], tenant_id: str) -> RouteWalk:
        async def look(tables: Collection[str]) -> dict[str, list[str]]:
            async with database.read() as connection:
                return await read(connection, {name: statements[name] for name in tables})

        async def changed(everything: bool) -> list[str]:
            now = await look(statements if everything else touched(written))
            written.clear()
            return [table for table in now if now[table] != before[table]]

        key = await storage.operator.create_key(tenant_id)
        before = await look(statements)
        written.clear()
        headers = {"authorization": f"Bearer {key}"}
        return RouteWalk(app, its_routes, headers, furnished, MARK, ids_of(furnished), changed)

    return made


@asynccontextmanager
async def application(directory: Path, url: str) -> AsyncIterator[Starlette]:
    """The whole server, as it runs."""
    keys = f"1:{hashlib.sha256(b'a test').hexdigest()}"
    often = 1_000_000  # a walk is a flood
    limits = {
        "api_requests_per_minute": often,
        "api_key_requests_per_minute": often,
        "api_address_requests_per_minute": often,
        "api_refused_per_minute": often,
    }
    app = create_app(server_settings(directory, database_url=url, encryption_keys=keys, **limits))
    async with app.router.lifespan_context(app):
        yield app


@pytest.mark.timeout(240)
async def test_a_stranger_sees_and_changes_nothing(
    walk: Walk, dentist: Tenant, url: str, tmp_path: Path
) -> None:
    async with application(tmp_path, url) as app:
        visit = await walk(app, app.router.routes, dentist.id)
        visit.few = True
        walked = await visit.run()
    assert walked.asked > 500
    walked.assert_clean()


@pytest.mark.long
@BOTH_DATABASES
async def test_nor_by_any_id_that_there_is(
    walk: Walk, dentist: Tenant, url: str, tmp_path: Path
) -> None:
    """Ids of all tables at all addresses."""
    async with application(tmp_path, url) as app:
        visit = await walk(app, app.router.routes, dentist.id)
        walked = await visit.run()
    walked.assert_clean()


async def test_the_owner_sees_and_changes_its_own(
    walk: Walk, garage: Tenant, url: str, tmp_path: Path
) -> None:
    """The counter-proof: the walk would have found something."""
    nouns = ("appointments", "calls", "calls/{id}", "prospects", "tickets", "knowledge/documents")
    async with application(tmp_path, url) as app:
        visit = await walk(app, app.router.routes, garage.id)
        walked = await visit.run(lambda path: path.endswith((*nouns, "channels/{type}")))
    assert {f"GET /api/v1/{noun}" for noun in nouns} <= walked.shown
    its = {
        "PUT /api/v1/channels/{type}: channel_configurations",
        "POST /api/v1/prospects: qualified_prospects",
        "POST /api/v1/tickets: tickets",
        "all in all: tickets",
    }
    assert its <= set(walked.changes)


async def test_without_a_key_nothing_below_the_api_answers(
    url: str, tmp_path: Path, furnished: Rows
) -> None:
    async with application(tmp_path, url) as app:
        opened = {f"/api{path}" for path in OPEN_PATHS}
        there = [
            each
            for each in addresses(app.router.routes)
            if each.path.startswith("/api/") and each.path not in opened
        ]
        for address in there:
            for method in address.handlers:
                for headers in ({}, {"authorization": "Bearer null"}, {"x-api-key": ADMIN_KEY[1:]}):
                    path = address.filled(str(furnished["tenants"][0]["id"]))
                    answer = await ask(app, method, path, headers=headers)
                    assert answer.status == 401, (method, path)
                    assert MARK not in answer.text
    assert len(there) > 12


class _Renaming(msgspec.Struct):
    """What the leaky route below takes."""

    ticket_id: str
    subject: str


def _leaky(storage: Storage) -> list[Route]:
    """Routes that forgot whose rows they are about."""
    database = storage._database

    async def show(request: Request) -> Response:
        statement = sa.select(tickets.c.subject).where(tickets.c.id == request.path_params["id"])
        async with database.read() as connection:
            return JSONResponse({"subject": (await connection.execute(statement)).scalar()})

    async def claimed(request: Request) -> Response:
        statement = sa.select(tickets.c.subject).where(
            tickets.c.tenant_id == request.headers.get("x-tenant-id", "")
        )
        async with database.read() as connection:
            return JSONResponse(list((await connection.execute(statement)).scalars()))

    async def rename(request: Request) -> Response:
        body = msgspec.json.decode(await request.body(), type=_Renaming)
        statement = sa.update(tickets).where(tickets.c.id == body.ticket_id)
        async with database.write() as connection:
            await connection.execute(statement.values(subject=body.subject))
        return JSONResponse({})

    async def riddle(_request: Request) -> Response:
        return JSONResponse({}, status_code=422)

    async def broken(_request: Request) -> Response:
        raise RuntimeError("nobody expected this")

    return [
        Route("/v1/leaky/{id}", show),
        Route("/v1/claimed", claimed),
        Route("/v1/rename/{id}", rename, methods=["POST"]),
        Route("/v1/riddle", riddle, methods=["POST"]),
        Route("/v1/broken", broken),
    ]


async def test_the_walk_has_teeth(
    walk: Walk, storage: Storage, dentist: Tenant, clock: FakeClock
) -> None:
    leaky = _leaky(storage)
    app = Starlette(routes=routes(storage, SETTINGS, clock, extra=leaky))
    visit = await walk(app, [Mount("/api", routes=leaky)], dentist.id)
    walked = await visit.run()
    assert {"GET /api/v1/leaky/{id}", "GET /api/v1/claimed"} <= walked.shown
    assert "POST /api/v1/rename/{id}: tickets" in walked.changes
    unclear = {each.split(":")[0] for each in walked.unclear}
    assert unclear == {"POST /api/v1/riddle", "GET /api/v1/broken", "HEAD /api/v1/broken"}
    assert {each.split("?")[0] for each in walked.errors} >= {"GET /api/v1/broken"}
    assert all("leaky" in each or "claimed" in each for each in walked.shown)
