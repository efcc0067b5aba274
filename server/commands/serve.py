"""`coccinelle serve`: the server itself."""

import asyncio
import gc
import math
import socket
import sys
from importlib.metadata import version

import structlog
import typer
import uvicorn
from starlette.applications import Starlette

from domain.errors import OperatorError
from server.commands.session import settings_of
from server.logs import logging_to
from server.settings import Settings

#: Twilio's frames are below 1 KB; its documentation names no larger text than 64 KB (TwiML).
LARGEST_MESSAGE = 64 * 1024
#: Connections that may wait to be accepted: a burst of calls after a pause.
BACKLOG = 2048
#: What the process ends with when the application didn't start; as uvicorn's own command.
NOT_STARTED = 3

log = structlog.get_logger(__name__)


def serve(context: typer.Context) -> None:
    """Start the server. Creates and migrates the database; needs no vendor to be reachable."""
    settings = settings_of(context)
    with logging_to(
        sys.stderr, level=settings.log_level, form=settings.log_format, secrets=settings.secrets
    ):
        for missing in settings.missing():
            log.warning(
                "setting is missing",
                variable=missing.variable,
                meanwhile=missing.meanwhile,
                cure=missing.cure,
            )
        started = _serve(settings)
    if not started:
        raise typer.Exit(NOT_STARTED)


def _serve(settings: Settings) -> bool:
    """Whether it came up."""
    # Imported here: the other commands need none of it.
    from server.app import create_app
    from server.media_protocol import MediaProtocol

    with listening_socket(settings.host, settings.port) as listener:
        server = _Server(_config(create_app(settings), settings, MediaProtocol), settings)
        server.run(sockets=[listener])
    return server.started


def _config(
    app: Starlette, settings: Settings, websocket: type[asyncio.Protocol]
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws=websocket,
        ws_max_size=LARGEST_MESSAGE,
        ws_per_message_deflate=False,  # 2.7 µs per frame for nothing (engines.md §8)
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=math.ceil(settings.shutdown_seconds),
    )


class _Server(uvicorn.Server):
    """uvicorn's, which after its start puts what it has loaded out of the collector's sight."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        # A full collection over all that is imported takes 20 ms: audible (engines.md §8).
        gc.collect()
        gc.freeze()
        log.info(
            "listening",
            host=self._settings.host,
            port=self._settings.port,
            public_url=self._settings.public_url,
            database=self._settings.database_name,
            version=version("coccinelle"),
        )


def listening_socket(host: str, port: int) -> socket.socket:
    """Bound, before anything else is started. Raises OperatorError with the cure."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise OperatorError(
            f"can't listen on {host}:{port} ({error.strerror}). Cure: stop what listens there, or "
            "set HOST to an address of this machine and PORT to a free port."
        ) from error
    listener.set_inheritable(True)
    return listener
