"""Texts on a real database, with two businesses."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from domain.tenant import Tenant
from storage import Database, KeyRing, Storage
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock


@pytest.fixture
def dialect() -> str:
    """SQLite, unless a test asks for both."""
    return "sqlite"


@pytest.fixture
def url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if dialect == "sqlite":
        return migrated_file(tmp_path / "database.sqlite3")
    migrated: str = request.getfixturevalue("migrated_postgres_url")
    return migrated


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url)
    yield database
    await database.close()


@pytest.fixture
def storage(database: Database, clock: FakeClock) -> Storage:
    return Storage(database, clock, KeyRing({1: secrets.token_bytes(32)}))


@pytest.fixture
async def garage(storage: Storage) -> Tenant:
    return await storage.operator.create_tenant("Garage Martin", sector="automobile")


@pytest.fixture
async def dentist(storage: Storage) -> Tenant:
    return await storage.operator.create_tenant("Cabinet Léger", sector="dentiste")
