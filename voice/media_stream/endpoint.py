"""The door of the media streams: a websocket that nothing costly stands behind until `start`.

The handshake's signature was checked before this route runs (`server/app.py` mounts the guard).
What must still be true: `start` within 5 s, its one-time token consumed, the audio as expected.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import structlog
from starlette.types import Message, Receive, Scope, Send

from voice.media_stream.protocol import (
    Connected,
    ProtocolError,
    Start,
    StartDetails,
    is_telephone_audio,
    parse,
)
from voice.ports import CallMetrics, MediaSocket

log = structlog.get_logger(__name__)

#: The issue's rule.
START_SECONDS = 5.0
#: Twilio's frames are some 300 bytes; OpenAI's hardened sample allows this (twilio.md §3.3).
MAX_MESSAGE = 64 * 1024
#: `connected`, and what a future Twilio may send before `start`.
MESSAGES_BEFORE_START = 10
#: Frames waiting to be sent where the server offers no take-over: some seconds of audio.
PLAIN_QUEUE = 2000
#: … and how long a peer that doesn't read may keep us from sending our close.
CLOSE_SECONDS = 10.0
EXTENSION = "coccinelle.media"


class Stream(Protocol):
    """Who listens to an accepted stream."""

    def on_text(self, data: bytes) -> None: ...

    def on_closed(self) -> None: ...


#: Runs one stream to its end: gets the socket, and calls `listen` once with who shall hear the
#: frames. Returns when the stream is over.
RunStream = Callable[[MediaSocket, Callable[[Stream], None]], Awaitable[None]]
#: Uses the token up; None when it doesn't open this call.
OpenStream = Callable[[StartDetails], Awaitable[RunStream | None]]


class Refused(Exception):
    """The stream may not go on; `reason` for the metrics."""

    def __init__(self, reason: str, code: int = 1008) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class MediaStreamEndpoint:
    """The ASGI route."""

    def __init__(self, open_stream: OpenStream, metrics: CallMetrics) -> None:
        self._open_stream = open_stream
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (await receive())["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept"})
        try:
            run = await self._open_stream(await self._start(receive))
            if run is None:
                raise Refused("token")
        except Refused as refused:
            log.warning("stream.refused", reason=refused.reason)
            self._metrics.count("streams_refused", refused.reason)
            await send({"type": "websocket.close", "code": refused.code, "reason": refused.reason})
            return
        except _Gone:
            self._metrics.count("streams_refused", "left")
            return
        connection = scope.get("extensions", {}).get(EXTENSION)
        if connection is not None:
            await _taken_over(connection, run)
        else:
            await _plain(run, receive, send)

    async def _start(self, receive: Receive) -> StartDetails:
        try:
            async with asyncio.timeout(START_SECONDS):
                for _ in range(MESSAGES_BEFORE_START):
                    message = _parse(await receive())
                    if isinstance(message, Start):
                        return _checked(message.start)
                    if message is not None and not isinstance(message, Connected):
                        raise Refused("order")
        except TimeoutError:
            raise Refused("no_start") from None
        raise Refused("order")


async def _taken_over(connection: Any, run: RunStream) -> None:
    socket = _DirectSocket(connection)
    await run(socket, lambda stream: connection.take_over(stream.on_text, stream.on_closed))
    socket.close()


async def _plain(run: RunStream, receive: Receive, send: Send) -> None:
    socket = _PlainSocket()
    listening: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()

    def listen(stream: Stream) -> None:
        socket.on_closed = stream.on_closed
        listening.set_result(stream)

    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(socket.write(send))
        reader = tasks.create_task(_read(receive, listening))
        await run(socket, listen)
        socket.close()
        await asyncio.wait({writer}, timeout=CLOSE_SECONDS)
        writer.cancel()
        reader.cancel()


async def _read(receive: Receive, listening: "asyncio.Future[Stream]") -> None:
    stream = await listening
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            stream.on_closed()
            return
        text = message.get("text")
        if text is not None:
            stream.on_text(text.encode())


class _Gone(Exception):
    """The peer left before anything began."""


def _parse(message: Message) -> Any:
    if message["type"] == "websocket.disconnect":
        raise _Gone
    text = message.get("text")
    if text is None or len(text) > MAX_MESSAGE:
        raise Refused("binary" if text is None else "too_big", 1003 if text is None else 1009)
    try:
        return parse(text.encode())
    except ProtocolError as error:
        raise Refused("malformed", 1007) from error


def _checked(details: StartDetails) -> StartDetails:
    if not is_telephone_audio(details):
        raise Refused("media_format", 1003)
    return details


class _DirectSocket:
    """A MediaSocket over the taken-over connection."""

    __slots__ = ("_connection", "send")

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.send: Callable[[bytes], None] = connection.send_text

    def close(self, code: int = 1000) -> None:
        self._connection.close(code)

    @property
    def buffered(self) -> int:
        size: int = self._connection.buffered
        return size


class _PlainSocket:
    """A MediaSocket over ASGI's own send, for servers without the take-over (tests, others).

    As with the take-over, our own close is told to the stream at once.
    """

    def __init__(self) -> None:
        self.on_closed: Callable[[], None] = _nobody
        self._queue: asyncio.Queue[bytes | int] = asyncio.Queue(PLAIN_QUEUE)
        self._bytes = 0
        self._closing = False

    def send(self, text: bytes) -> None:
        if self._closing:
            return
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            self.close(1011)
        else:
            self._bytes += len(text)

    def close(self, code: int = 1000) -> None:
        if self._closing:
            return
        self._closing = True
        while self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(code)
        self.on_closed()

    @property
    def buffered(self) -> int:
        return self._bytes

    async def write(self, send: Send) -> None:
        while True:
            item = await self._queue.get()
            try:
                if isinstance(item, int):
                    await send({"type": "websocket.close", "code": item})
                    return
                await send({"type": "websocket.send", "text": item.decode()})
                self._bytes -= len(item)
            except (OSError, RuntimeError):  # the peer is gone; the reader tells the stream
                self._closing = True
                return


def _nobody() -> None:
    """Nobody listens yet."""
