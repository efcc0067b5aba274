"""Texts on a real database, with two businesses."""

import secrets
from pathlib import Path

import pytest
import pytest_asyncio

from domain.tenant import Tenant
from storage import Database, KeyRing, Storage
from tests.fakes.clock import FakeClock
from tests.shared_database import database as database
from tests.shared_database import dialect as dialect
from tests.shared_database import opened_file as opened_file
from tests.shared_database import own_file as own_file
from tests.shared_database import share_loop
from tests.shared_database import shared as shared
from tests.shared_database import url as url


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    share_loop(items, Path(__file__).parent)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def storage(database: Database, clock: FakeClock) -> Storage:
    return Storage(database, clock, KeyRing({1: secrets.token_bytes(32)}))


@pytest_asyncio.fixture(loop_scope="session")
async def garage(storage: Storage) -> Tenant:
    return await storage.operator.create_tenant("Garage Martin", sector="automobile")


@pytest_asyncio.fixture(loop_scope="session")
async def dentist(storage: Storage) -> Tenant:
    return await storage.operator.create_tenant("Cabinet Léger", sector="dentiste")
