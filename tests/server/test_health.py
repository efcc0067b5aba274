import asyncio
import socket
from collections.abc import Awaitable, Callable

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette

from domain.errors import OperatorError
from server import health
from server.health import health_routes, metrics_server
from server.metrics import Metrics


async def answers() -> None:
    """A database in good health."""


def client(
    *,
    ping: Callable[[], Awaitable[None]] = answers,
    draining: Callable[[], bool] = lambda: False,
    token: str | None = None,
    metrics: Metrics | None = None,
) -> httpx.AsyncClient:
    routes = health_routes(
        ping=ping,
        draining=draining,
        metrics=metrics or Metrics(),
        metrics_token=SecretStr(token) if token else None,
    )
    transport = httpx.ASGITransport(app=Starlette(routes=routes))
    return httpx.AsyncClient(transport=transport, base_url="http://test")


async def test_live_asks_nobody() -> None:
    async def never() -> None:
        raise AssertionError

    async with client(ping=never, draining=lambda: True) as http:
        response = await http.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "live"})


async def test_ready() -> None:
    async with client() as http:
        response = await http.get("/readyz")
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"


async def test_not_ready_while_draining() -> None:
    async with client(draining=lambda: True) as http:
        response = await http.get("/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"].startswith("application/problem+json")
    assert response.json()["reason"] == "draining"


@pytest.mark.parametrize(
    "error",
    [
        OSError("connection refused"),
        OperatorError("no database"),
        OperationalError("SELECT 1", {}, Exception("disk")),
    ],
)
async def test_not_ready_when_the_database_fails(error: Exception) -> None:
    async def fails() -> None:
        raise error

    async with client(ping=fails) as http:
        response = await http.get("/readyz")
    assert response.status_code == 503
    assert response.json()["reason"] == "database"


async def test_not_ready_when_the_database_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "PING_SECONDS", 0.05)

    async def hangs() -> None:
        await asyncio.sleep(30)

    async with client(ping=hangs) as http, asyncio.timeout(2):
        response = await http.get("/readyz")
    assert response.status_code == 503


async def test_a_bug_is_not_taken_for_a_database_failure() -> None:
    async def broken() -> None:
        raise RuntimeError("bug")

    async with client(ping=broken) as http:
        with pytest.raises(RuntimeError):
            await http.get("/readyz")


async def test_metrics_do_not_exist_without_a_token() -> None:
    async with client() as http:
        response = await http.get("/metrics", headers={"authorization": "Bearer "})
    assert response.status_code == 404


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Bearer wrong", "Basic secret", "secret", "Bearer secrète"]
)
async def test_metrics_need_the_token(header: str) -> None:
    async with client(token="secret") as http:
        response = await http.get("/metrics", headers={"authorization": header.encode()})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.content == b""


async def test_metrics_with_the_token() -> None:
    metrics = Metrics()
    metrics.count("calls_ended", "booked")
    async with client(token="secret", metrics=metrics) as http:
        response = await http.get("/metrics", headers={"authorization": "Bearer secret"})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'coccinelle_calls_ended_total{outcome="booked"} 1.0' in response.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_nothing_can_be_posted(path: str) -> None:
    async with client(token="secret") as http:
        assert (await http.post(path)).status_code == 405


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_metrics_on_a_port_of_their_own() -> None:
    metrics = Metrics()
    metrics.count("calls_ended", "booked")
    port = free_port()
    with metrics_server(metrics, port):
        response = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)
    assert 'outcome="booked"' in response.text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)


def test_a_taken_metrics_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        with pytest.raises(OperatorError, match="METRICS_PORT"), metrics_server(Metrics(), port):
            pass


def test_no_metrics_port_no_server() -> None:
    with metrics_server(Metrics(), None):
        pass
