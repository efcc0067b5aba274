"""A small Realtime server for the connector's tests: real sockets, the vendor's frames by hand."""

import asyncio
import contextlib
import http
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


@dataclass
class RealtimeServer:
    """What came, and the newest connection to answer on."""

    port: int = 0
    refuse: http.HTTPStatus | None = None
    configure: bool = True
    error: dict[str, Any] | None = None
    close: tuple[int, str] | None = None
    requests: list[Request] = field(default_factory=list)
    received: list[dict[str, Any]] = field(default_factory=list)
    connection: ServerConnection | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def on_request(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        if self.refuse is None:
            return None
        return connection.respond(self.refuse, "no\n")

    async def handle(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.closed.clear()
        await self.sends("session.created", session={"id": "sess_1"})
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                await self._received(json.loads(message))
        self.closed.set()

    async def _received(self, frame: dict[str, Any]) -> None:
        self.received.append(frame)
        if frame["type"] == "session.update" and self.error is not None:
            await self.sends("error", error=self.error)
        elif frame["type"] == "session.update" and self.close is not None:
            assert self.connection is not None
            await self.connection.close(*self.close)
        elif frame["type"] == "session.update" and self.configure:
            await self.sends("session.updated", session=frame["session"])
        async with self._arrived:
            self._arrived.notify_all()

    async def sends(self, kind: str, **fields: Any) -> None:
        assert self.connection is not None
        self.sent += 1
        event = {"type": kind, "event_id": f"event_{self.sent}", **fields}
        await self.connection.send(json.dumps(event))

    async def got(self, condition: Callable[[list[dict[str, Any]]], bool]) -> None:
        async with asyncio.timeout(5), self._arrived:
            await self._arrived.wait_for(lambda: condition(self.received))


@contextlib.asynccontextmanager
async def realtime_server(**options: Any) -> AsyncIterator[RealtimeServer]:
    state = RealtimeServer(**options)
    server: Server = await serve(
        state.handle,
        "127.0.0.1",
        0,
        process_request=state.on_request,
        compression=None,
        close_timeout=1,
        ping_interval=None,
    )
    state.port = next(iter(server.sockets)).getsockname()[1]
    try:
        yield state
    finally:
        server.close()
        await server.wait_closed()
