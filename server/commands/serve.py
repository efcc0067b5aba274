"""`coccinelle serve`: the server itself."""

import asyncio
import math
import signal
import socket
import sys
from collections.abc import Callable
from importlib.metadata import version
from types import FrameType

import structlog
import typer
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.errors import OperatorError
from server.app import create_app
from server.commands.session import env_file_of, settings_of
from server.drain import Drain
from server.http_protocol import HttpProtocol
from server.logs import logging_to
from server.media_protocol import MediaProtocol
from server.open_files import allow_files
from server.settings import Settings, unknown
from server.worker_child import WorkerChild, beside

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
        for mistake in unknown(env_file_of(context)):
            log.warning("setting is unknown", reason=mistake)
        allow_files(settings.max_calls_per_node)
        started = _serve(settings, beside(settings, env_file_of(context)))
    if not started:
        raise typer.Exit(NOT_STARTED)


def _serve(settings: Settings, worker: WorkerChild | None) -> bool:
    """Whether it came up."""
    with listening_socket(settings.host, settings.port) as listener:
        app = create_app(settings)
        config = _config(_SaysWhy(app), settings, MediaProtocol)
        server = _Server(config, settings, worker, lambda: app.state.drain)
        server.run(sockets=[listener])
    return server.started


class _SaysWhy:
    """The application, which tells in one line what the operator must mend when it can't start."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        phase = "startup"

        async def held_back(message: Message) -> None:
            nonlocal phase
            if message["type"] == "lifespan.startup.complete":
                phase = "shutdown"
            # Starlette's own message of a failure is a traceback; the exception follows it.
            if not message["type"].endswith(".failed"):
                await send(message)

        try:
            await self._app(scope, receive, held_back)
        except OperatorError as error:
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})


def _config(app: ASGIApp, settings: Settings, websocket: type[asyncio.Protocol]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=HttpProtocol,
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
    """uvicorn's, which says in a line of ours that it listens, has a worker beside it, and stops
    only when its calls are over.

    Until then it listens as before, for what Twilio asks about these calls. uvicorn itself would
    close the port and every websocket at once.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        settings: Settings,
        worker: WorkerChild | None,
        drain: Callable[[], Drain],
    ) -> None:
        super().__init__(config)
        self._settings = settings
        self._worker = worker
        self._drain = drain
        self._at_once = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM drains; another one, or SIGINT, doesn't wait for calls."""
        self._at_once |= self.should_exit or sig == signal.SIGINT
        super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: is it time to stop?"""
        if not await super().on_tick(counter):
            return False
        if not self._at_once:
            if self._worker is not None:
                self._worker.let_go()
            self._drain().begin()
        return self._at_once or self._drain().over

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        log.info(
            "listening",
            host=self._settings.host,
            port=self._settings.port,
            public_url=self._settings.public_url,
            database=self._settings.database_name,
            version=version("coccinelle"),
        )
        if self._worker is not None:
            self._worker.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Here and not after `run`, which ends the process by the signal that it was sent.
        if self._worker is None:
            await super().shutdown(sockets)
            return
        self._worker.let_go()
        await super().shutdown(sockets)
        await asyncio.to_thread(self._worker.finish)


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
