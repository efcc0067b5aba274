"""A small server under test for the carrier: scripted TwiML, scripted streams, and nothing else.

It checks signatures with Twilio's own library, so that both sides can't be wrong together.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from twilio.request_validator import RequestValidator

TOKEN = "the-auth-token"
ACCOUNT = "AC" + "0" * 32
NUMBER = "+33186000000"

Reply = str | Response | Callable[[dict[str, str]], "str | Response"]


@dataclass
class Stream:
    """One media stream as the server has it."""

    socket: WebSocket
    signed: bool
    sid: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def say(self, event: str, body: dict[str, Any] | None = None) -> None:
        message: dict[str, Any] = {"event": event, "streamSid": self.sid}
        if body is not None:
            message[event] = body
        await self.socket.send_text(json.dumps(message))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [each for each in self.messages if each["event"] == event]

    async def until(self, event: str, count: int = 1, seconds: float = 5.0) -> dict[str, Any]:
        """The count-th message of a kind."""
        async with asyncio.timeout(seconds):
            while len(self.of(event)) < count:
                await self.changed.wait()
                self.changed.clear()
        return self.of(event)[count - 1]


class TwimlServer:
    """`replies`: path → TwiML, by turns when it is a list. `on_stream`: what a stream does once
    started; the socket is closed when it returns."""

    def __init__(self) -> None:
        self.replies: dict[str, Reply | list[Reply]] = {}
        self.on_stream: Callable[[Stream], Awaitable[None]] | None = None
        self.requests: list[tuple[str, dict[str, str], bool]] = []
        self.streams: list[Stream] = []
        self.refuse_streams = False
        self.url = ""
        self._validator = RequestValidator(TOKEN)
        self._again: dict[str, int] = {}

    def fields(self, path: str) -> list[dict[str, str]]:
        return [fields for asked, fields, _ in self.requests if asked == path]

    @property
    def stream_url(self) -> str:
        return self.url.replace("http", "ws") + "/media-stream"

    def connect(self, action: str = "/continue", token: str = "secret") -> str:
        return (
            f'<Response><Connect action="{action}"><Stream url="{self.stream_url}">'
            f'<Parameter name="token" value="{token}"/></Stream></Connect></Response>'
        )

    async def _webhook(self, request: Request) -> Response:
        path = request.url.path
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True)
        form = FormData([*pairs])
        signature = request.headers.get("x-twilio-signature", "")
        signed = self._validator.validate(f"{self.url}{path}", form, signature)
        self.requests.append((path, {k: str(v) for k, v in form.items()}, signed))
        reply = self.replies.get(path, "<Response/>")
        if isinstance(reply, list):
            number = self._again.get(path, 0)
            self._again[path] = number + 1
            reply = reply[min(number, len(reply) - 1)]
        if callable(reply) and not isinstance(reply, Response):
            reply = reply(self.requests[-1][1])
        return reply if isinstance(reply, Response) else Response(reply, media_type="text/xml")

    async def _media(self, socket: WebSocket) -> None:
        if self.refuse_streams:
            await socket.close()
            return
        signature = socket.headers.get("x-twilio-signature", "")
        stream = Stream(socket, self._validator.validate(self.stream_url, {}, signature))
        self.streams.append(stream)
        await socket.accept()
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read(stream))
            with contextlib.suppress(TimeoutError):
                await stream.until("start", seconds=1.5)
                stream.sid = stream.of("start")[0]["streamSid"]
                if self.on_stream is not None:
                    await self.on_stream(stream)
                else:
                    await reader
            reader.cancel()
        with contextlib.suppress(RuntimeError):
            await socket.close()

    async def _read(self, stream: Stream) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                stream.messages.append(json.loads(await stream.socket.receive_text()))
                stream.changed.set()
        stream.messages.append({"event": "closed"})
        stream.changed.set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["TwimlServer"]:
        app = Starlette(
            routes=[
                WebSocketRoute("/media-stream", self._media),
                Route("/{path:path}", self._webhook, methods=["POST", "GET"]),
            ]
        )
        # With the protocol named, asyncio sets TCP_NODELAY.
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(app, log_config=None, ws="websockets-sansio", lifespan="off")
        server = _Server(config)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]))
            try:
                yield self
            finally:
                server.should_exit = True


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield
