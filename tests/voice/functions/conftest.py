"""A garage and a baker on a real database: SQLite, or whichever a test is parametrised with."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage import Database, Storage
from tests.fakes.clock import FakeClock
from tests.postgres import PostgresServer
from tests.voice.functions.shop import MONDAY, Shop

_TEMPLATE = "functions_template"


def _migrate(url: str) -> None:
    async def open_and_close() -> None:
        await (await Database.open(url)).close()

    # In a thread of its own: this one's event loop belongs to pytest.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, open_and_close()).result()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite database of today's schema, to be copied."""
    path: Path = tmp_path_factory.mktemp("functions") / "migrated.sqlite3"
    _migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_server: PostgresServer) -> str:
    """A PostgreSQL database of today's schema, to be copied; its name."""
    postgres_server.run(f"CREATE DATABASE {_TEMPLATE}")
    _migrate(postgres_server.url(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture
def dialect() -> str:
    """Which database: `tests.voice.functions.shop.both_databases` overrides it."""
    return "sqlite"


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database, of this test alone."""
    if dialect == "sqlite":
        path = tmp_path / "test.sqlite3"
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database(request.getfixturevalue("migrated_postgres")) as name:
        yield server.url(name)


@pytest.fixture
def clock() -> FakeClock:
    """Monday 23 November 2026, 9:10 in Paris."""
    return FakeClock(MONDAY)


@pytest.fixture
async def storage(database_url: str, clock: FakeClock) -> AsyncIterator[Storage]:
    database = await Database.open(database_url)
    yield Storage(database, clock)
    await database.close()


@pytest.fixture
async def shop(storage: Storage, clock: FakeClock) -> Shop:
    """The garage that most tests call."""
    tenant = await storage.operator.create_tenant("Garage du Port", sector="automobile")
    return Shop(storage, tenant, clock)


@pytest.fixture
async def bakery(storage: Storage, clock: FakeClock) -> Shop:
    """Somebody else, whose rows are nobody's business."""
    tenant = await storage.operator.create_tenant("Boulangerie & Fils", sector="autre")
    return Shop(storage, tenant, clock)
