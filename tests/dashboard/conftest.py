"""The API over HTTP, on a real database, with two tenants and the operator."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from dashboard.api import ApiSettings, routes
from dashboard.api.tokens import TokenRules, Tokens
from domain.tenant import Tenant
from storage import Database, KeyRing, Storage
from tests.dashboard.api_client import ADMIN_KEY, JWT_SECRET, SETTINGS, Client
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
def keyring() -> KeyRing | None:
    return KeyRing({1: secrets.token_bytes(32)})


@pytest.fixture
def storage(database: Database, clock: FakeClock, keyring: KeyRing | None) -> Storage:
    return Storage(database, clock, keyring)


@pytest.fixture
def settings() -> ApiSettings:
    return SETTINGS


@pytest.fixture
def tokens(clock: FakeClock) -> Tokens:
    return Tokens(TokenRules("HS256", JWT_SECRET), clock)


@pytest_asyncio.fixture(loop_scope="session")
async def http(
    storage: Storage, settings: ApiSettings, clock: FakeClock, tokens: Tokens
) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=routes(storage, settings, clock, tokens=tokens))
    # What escapes the API is raised again for the server's log; the client sees the answer.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield client


@pytest.fixture
def nobody(http: httpx.AsyncClient) -> Client:
    return Client(http, {})


@pytest.fixture
def operator(http: httpx.AsyncClient) -> Client:
    return Client(http, {"authorization": f"Bearer {ADMIN_KEY}"})


@pytest_asyncio.fixture(loop_scope="session")
async def garage(storage: Storage) -> Tenant:
    return await storage.operator.create_tenant("Garage du Port", sector="automobile")


@pytest_asyncio.fixture(loop_scope="session")
async def dentist(storage: Storage) -> Tenant:
    return await storage.operator.create_tenant(
        "Cabinet Molaire", timezone="America/Martinique", locale="en-GB"
    )


@pytest_asyncio.fixture(loop_scope="session")
async def owner(http: httpx.AsyncClient, storage: Storage, garage: Tenant) -> Client:
    """Of the garage."""
    key = await storage.operator.create_key(garage.id)
    return Client(http, {"authorization": f"Bearer {key}"})


@pytest_asyncio.fixture(loop_scope="session")
async def stranger(http: httpx.AsyncClient, storage: Storage, dentist: Tenant) -> Client:
    """The owner of another business."""
    key = await storage.operator.create_key(dentist.id)
    return Client(http, {"authorization": f"Bearer {key}"})
