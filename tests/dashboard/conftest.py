"""The API over HTTP, on a real database, with two tenants and the operator."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from dashboard.api import ApiSettings, routes
from domain.tenant import Tenant
from storage import Database, KeyRing, Storage
from tests.dashboard.api_client import ADMIN_KEY, SETTINGS, Client
from tests.fakes.clock import FakeClock
from tests.postgres import PostgresServer


def migrate(url: str) -> None:
    async def open_and_close() -> None:
        await (await Database.open(url)).close()

    # In a thread of its own: this one's event loop belongs to pytest.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, open_and_close()).result()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dashboard") / "migrated.sqlite3"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    name = "migrated_for_dashboard"
    postgres_server.run(f"CREATE DATABASE {name}")
    migrate(postgres_server.url(name))
    return name


@pytest.fixture
def dialect() -> str:
    """SQLite, unless a test asks for both (`BOTH_DATABASES`)."""
    return "sqlite"


@pytest.fixture
def url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database, of this test alone."""
    if dialect == "sqlite":
        path = tmp_path / "database.sqlite3"
        shutil.copy(request.getfixturevalue("migrated_file"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database(request.getfixturevalue("migrated_template")) as name:
        yield server.url(name)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = await Database.open(url)
    yield database
    await database.close()


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
async def http(
    storage: Storage, settings: ApiSettings, clock: FakeClock
) -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=routes(storage, settings, clock))
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


@pytest.fixture
async def garage(storage: Storage) -> Tenant:
    return await storage.operator.create_tenant("Garage du Port", sector="automobile")


@pytest.fixture
async def dentist(storage: Storage) -> Tenant:
    return await storage.operator.create_tenant(
        "Cabinet Molaire", timezone="America/Martinique", locale="en-GB"
    )


@pytest.fixture
async def owner(http: httpx.AsyncClient, storage: Storage, garage: Tenant) -> Client:
    """Of the garage."""
    key = await storage.operator.create_key(garage.id)
    return Client(http, {"authorization": f"Bearer {key}"})


@pytest.fixture
async def stranger(http: httpx.AsyncClient, storage: Storage, dentist: Tenant) -> Client:
    """The owner of another business."""
    key = await storage.operator.create_key(dentist.id)
    return Client(http, {"authorization": f"Bearer {key}"})
