"""What a load balancer and Prometheus ask: live, ready, metrics."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog
from prometheus_client import start_http_server
from pydantic import SecretStr
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from domain.errors import CoccinelleError, OperatorError
from server.metrics import CONTENT_TYPE, Metrics

#: A database that doesn't answer within so long can't carry a call.
PING_SECONDS = 1.0

_FRESH = {"cache-control": "no-store"}

log = structlog.get_logger(__name__)


def health_routes(
    *,
    ping: Callable[[], Awaitable[None]],
    draining: Callable[[], bool],
    metrics: Metrics,
    metrics_token: SecretStr | None,
) -> list[Route]:
    """`/healthz`, `/readyz` and `/metrics`. `ping` asks the database and raises when it can't."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "live"}, headers=_FRESH)

    async def readyz(_request: Request) -> Response:
        if draining():
            return _not_ready("draining", "this server is stopping; send calls elsewhere")
        try:
            async with asyncio.timeout(PING_SECONDS):
                await ping()
        except (TimeoutError, CoccinelleError, SQLAlchemyError, OSError) as error:
            log.warning("database doesn't answer", error_type=type(error).__name__)
            return _not_ready("database", "the database doesn't answer; see DATABASE_URL")
        return JSONResponse({"status": "ready"}, headers=_FRESH)

    async def metrics_page(request: Request) -> Response:
        if metrics_token is None:
            return Response(status_code=404)
        if not _opens(request.headers.get("authorization", ""), metrics_token):
            return Response(status_code=401, headers={"www-authenticate": "Bearer"})
        return Response(metrics.render(), media_type=CONTENT_TYPE, headers=_FRESH)

    return [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/metrics", metrics_page, methods=["GET"]),
    ]


@contextmanager
def metrics_server(metrics: Metrics, port: int | None) -> Iterator[None]:
    """Serves `/metrics` without a token on this port of the loopback interface, if there is one.

    Runs in a thread of its own. Raises OperatorError when the port is taken.
    """
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=metrics.registry)
    except OSError as error:
        raise OperatorError(
            f"METRICS_PORT {port} can't be listened on ({error.strerror}): choose another one"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=2)


def _not_ready(status: str, detail: str) -> Response:
    problem = {"title": "Not ready", "status": 503, "detail": detail, "reason": status}
    return JSONResponse(problem, 503, headers=_FRESH, media_type="application/problem+json")


def _opens(header: str, token: SecretStr) -> bool:
    scheme, _, given = header.partition(" ")
    expected = token.get_secret_value().encode()
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), expected)
