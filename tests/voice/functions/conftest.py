"""A garage and a baker on a real database."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from function_shop import FakeClock, Shop

from storage import Storage
from storage.database import Database


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database of today's schema, to be copied."""
    path: Path = tmp_path_factory.mktemp("functions") / "empty.sqlite3"

    async def make() -> None:
        database = await Database.open(f"sqlite:///{path}")
        await database.close()

    asyncio.run(make())
    return path


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """A SQLite database of the test's own."""
    return f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'test.sqlite3')}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def storage(sqlite_url: str, clock: FakeClock) -> AsyncIterator[Storage]:
    database = await Database.open(sqlite_url)
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
