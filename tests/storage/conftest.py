"""Every storage test runs on both databases, and finds each migrated and empty."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from domain.tenant import Tenant
from storage import Database, OperatorStore, Storage
from tests.fakes.clock import FakeClock
from tests.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
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


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "migrated.sqlite3"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as name:
        _migrate(postgres_server.url(name))
        yield name


def _migrate(url: str) -> None:
    async def open_and_close() -> None:
        await (await Database.open(url)).close()

    # In a thread of its own: this one's event loop belongs to pytest.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, open_and_close()).result()


@pytest.fixture
def url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database without a row. Only its rows may be changed: on PostgreSQL the tests
    have it one after the other, since making one takes longer than most of them."""
    if dialect == "sqlite":
        path = tmp_path / "database.sqlite3"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name: str = request.getfixturevalue("migrated_postgres")
    yield server.url(name)
    # All else hangs on these two. A test that left a transaction open fails here.
    server.run("SET lock_timeout = '5s'", "DELETE FROM tenants", "DELETE FROM call_logs", on=name)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url)
    yield database
    await database.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def storage(database: Database, clock: FakeClock) -> Storage:
    return Storage(database, clock)


@pytest.fixture
def operator(storage: Storage) -> OperatorStore:
    return storage.operator


@pytest.fixture
async def garage(operator: OperatorStore) -> Tenant:
    return await operator.create_tenant("Garage du Port", sector="automobile")


@pytest.fixture
async def dentist(operator: OperatorStore) -> Tenant:
    return await operator.create_tenant("Cabinet Molaire", timezone="America/Martinique")
