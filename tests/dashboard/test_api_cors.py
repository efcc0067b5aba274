"""Which pages may ask from a browser, and in which language they are refused."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dashboard.api import routes
from dashboard.api.problem import preferred
from domain.tenant import Tenant
from server.settings import Settings, SettingsError
from storage import Storage
from tests.dashboard.api_client import SETTINGS, Client, assert_problem
from tests.fakes.clock import FakeClock

PAGE = "https://app.example.fr"
ORIGINS = (PAGE, "https://coccinelle-*.vercel.app")


async def broken(_request: Request) -> Response:
    raise RuntimeError("nobody expected this")


@pytest_asyncio.fixture(loop_scope="session")
async def client(storage: Storage, clock: FakeClock) -> AsyncIterator[httpx.AsyncClient]:
    settings = replace(SETTINGS, cors_origins=ORIGINS)
    app = Starlette(routes=routes(storage, settings, clock, [Route("/v1/broken", broken)]))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
        yield client


def preflight(origin: str, method: str = "PATCH", headers: str = "authorization") -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": headers,
    }


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_a_page_of_ours_may_ask(client: httpx.AsyncClient, method: str) -> None:
    asked = "authorization, content-type, x-api-key, X-Tenant-Id, X-VoixIA-Key, X-VoixIA-Tenant"
    for origin in (PAGE, "https://coccinelle-git-main-x1.vercel.app"):
        answer = await client.options("/api/v1/calls", headers=preflight(origin, method, asked))
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert method in answer.headers["access-control-allow-methods"].split(", ")


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example.fr",
        "https://app.example.fr.evil.example",
        "https://app.example.fr:8443",
        "https://coccinelle-.vercel.app",
        "https://coccinelle-x.vercel.app.evil.example",
        "https://evil.example/https://coccinelle-x.vercel.app",
        "https://coccinelle-x.evil.vercel.app",
        "https://coccinelle-xXvercelYapp",
        "https://evil-coccinelle-x.vercel.app",
        "https://coccinelle-x.vercel.app\n",
        "null",
        "",
    ],
)
async def test_nobody_elses(client: httpx.AsyncClient, origin: str) -> None:
    answer = await client.options("/api/v1/calls", headers=preflight(origin))
    assert answer.status_code in (401, 403)
    assert "access-control-allow-origin" not in answer.headers
    answer = await client.get("/api/v1/calls", headers={"origin": origin})
    assert "access-control-allow-origin" not in answer.headers


async def test_a_page_can_read_every_refusal(
    client: httpx.AsyncClient, storage: Storage, garage: Tenant
) -> None:
    key = await storage.operator.create_key(garage.id)
    headers = {"origin": PAGE, "authorization": f"Bearer {key}"}
    for path, status in (
        ("/api/v1/broken", 500),
        ("/api/v1/nothing", 404),
        ("/api/v1/calls", 200),
    ):
        answer = await client.get(path, headers=headers)
        assert answer.status_code == status
        assert answer.headers["access-control-allow-origin"] == PAGE
    answer = await client.get("/api/v1/calls", headers={"origin": PAGE})
    assert_problem(answer, 401)
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "retry-after" in answer.headers["access-control-expose-headers"]


async def test_without_a_list_nobody_may(http: httpx.AsyncClient) -> None:
    answer = await http.options("/api/v1/calls", headers=preflight(PAGE))
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "origins", ["https://*.com", "*", "https://*", "https://a.*.fr", "https://x.fr/a", "ftp://x.fr"]
)
def test_patterns_that_are_nearly_everybody_arent_taken(origins: str) -> None:
    with pytest.raises(SettingsError):
        Settings.of(cors_origins=origins)


def test_origins_are_written_as_browsers_do() -> None:
    settings = Settings.of(cors_origins="https://App.example.fr/, http://localhost:3000")
    assert settings.cors_origins == ("https://app.example.fr", "http://localhost:3000")


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", None),
        ("fr-FR,fr;q=0.9,en;q=0.8", "fr"),
        ("en-US,en;q=0.9", "en"),
        ("de,en;q=0.5", "en"),
        ("en;q=0, fr;q=0.1", "fr"),
        ("de", None),
        ("*", None),
        ("en;q=x", None),
        ("," * 10_000, None),
    ],
)
def test_languages_by_weight(accepted: str, language: str | None) -> None:
    assert preferred(accepted) == language


async def test_the_reader_chooses_the_language(owner: Client, stranger: Client) -> None:
    async def said(client: Client, accepted: str) -> str:
        headers = {"accept-language": accepted}
        answer = await client.send("GET", "/api/v1/nothing", headers=headers)
        return str(assert_problem(answer, 404)["error"])

    assert await said(owner, "en-GB") == "This can't be found."
    assert await said(owner, "fr") == "Cet élément est introuvable."
    assert await said(stranger, "de") == "This can't be found."  # the tenant's own language
    assert await said(stranger, "fr") == "Cet élément est introuvable."
