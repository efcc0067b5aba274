"""Every storage test runs on both databases, and finds each migrated and empty.

The two are opened once and shared by all tests, with their event loop: opening takes longer than
most of the tests.
"""

import asyncio
import inspect
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa

from domain.tenant import Tenant
from storage import Database, KeyRing, OperatorStore, Storage
from storage.schema import (
    call_logs,
    dead_jobs,
    job_rates,
    job_workers,
    jobs,
    retention_marks,
    tenants,
)
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from tests.postgres import PostgresServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            function = getattr(item, "function", None)
            if inspect.iscoroutinefunction(function):
                item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def dialect(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture
def empty_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database, of this test alone."""
    if dialect == "sqlite":
        return f"sqlite:///{tmp_path}/empty.sqlite3"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def migrated_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database, of this test alone: even its schema may be changed."""
    if dialect == "sqlite":
        return migrated_file(tmp_path / "migrated.sqlite3")
    url: str = request.getfixturevalue("copied_postgres_url")
    return url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(
    dialect: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[str, Database]]:
    """The shared database and its address."""
    if dialect == "sqlite":
        url = migrated_file(tmp_path_factory.mktemp("shared") / "database.sqlite3")
        database = await Database.open(url)
        yield url, database
        await database.close()
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database(request.getfixturevalue("migrated_template")) as name:
        database = await Database.open(server.url(name))
        yield server.url(name), database
        await database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def url(shared: tuple[str, Database]) -> AsyncIterator[str]:
    """A migrated database without a row. Only its rows may be changed."""
    url, database = shared
    yield url
    # All else hangs on the first two. A test that left a transaction open fails here.
    async with asyncio.timeout(5), database.write() as connection:
        await connection.execute(sa.delete(tenants))
        await connection.execute(sa.delete(call_logs))
        await connection.execute(sa.delete(retention_marks))
        # The deployment's own jobs are no tenant's.
        queue = (jobs, job_workers, dead_jobs, job_rates)
        if connection.dialect.name == "postgresql":
            queue += (sa.table("procrastinate_jobs"), sa.table("procrastinate_workers"))
        for table in queue:
            await connection.execute(sa.delete(table))


@pytest.fixture
def database(url: str, shared: tuple[str, Database]) -> Database:
    """The same, opened. Leave it open."""
    return shared[1]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keyring() -> KeyRing:
    return KeyRing({1: secrets.token_bytes(32)})


@pytest.fixture
def storage(database: Database, clock: FakeClock, keyring: KeyRing) -> Storage:
    return Storage(database, clock, keyring)


@pytest.fixture
def operator(storage: Storage) -> OperatorStore:
    return storage.operator


@pytest_asyncio.fixture(loop_scope="session")
async def garage(operator: OperatorStore) -> Tenant:
    return await operator.create_tenant("Garage du Port", sector="automobile")


@pytest_asyncio.fixture(loop_scope="session")
async def dentist(operator: OperatorStore) -> Tenant:
    return await operator.create_tenant("Cabinet Molaire", timezone="America/Martinique")
