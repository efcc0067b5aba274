"""A garage and a baker on a real database: SQLite, or whichever a test is parametrised with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage import Database, Storage
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from tests.voice.functions.shop import MONDAY, Shop


@pytest.fixture
def dialect() -> str:
    """Which database: `tests.voice.functions.shop.both_databases` overrides it."""
    return "sqlite"


@pytest.fixture
def database_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database, of this test alone."""
    if dialect == "sqlite":
        return migrated_file(tmp_path / "test.sqlite3")
    migrated: str = request.getfixturevalue("migrated_postgres_url")
    return migrated


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
