"""A small HTTP/1.1 server on 127.0.0.1 whose connections can go wrong in every way a network knows.

What serves applications (uvicorn) is made to prevent just that.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_MAX_HEAD = 64 * 1024
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Reply:
    """`pieces` are sent as they come, each flushed. `length`: of the body, when it is known."""

    status: int
    content_type: str
    pieces: AsyncGenerator[bytes, None]
    length: int | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Broken(Exception):
    """The connection ends here. `reset`: with an RST, as when a machine dies."""

    def __init__(self, *, reset: bool = True) -> None:
        super().__init__("on purpose")
        self.reset = reset


class Dead(Exception):
    """From here on nothing is sent, and nobody notices that the other end has gone."""


Answerer = Callable[[HttpRequest], Awaitable[Reply]]


class HttpServer:
    """An async context manager; `port` while it runs. `largest`: bytes that a body may have."""

    def __init__(self, answer: Answerer, *, largest: int) -> None:
        self._answer = answer
        self._largest = largest
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    @property
    def port(self) -> int:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("the emulator is not running: use `async with`")
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=_MAX_HEAD)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task, writer in self._open.items():
            writer.transport.abort()
            task.cancel()
        if self._open:
            await asyncio.wait(tuple(self._open))
        await asyncio.sleep(0)  # the transports let go of their sockets
        self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            await self._converse(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # they went
        except asyncio.CancelledError:
            pass  # we do; asyncio would report the cancelled handler as an error
        except Broken as end:
            if end.reset:
                writer.transport.abort()
        finally:
            self._open.pop(task, None)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Requests and their answers, until one side has had enough."""
        while True:
            request = await self._read(reader)
            if request is None:
                return
            gone = False
            try:
                async with asyncio.TaskGroup() as tasks:
                    watch = tasks.create_task(_until_gone(reader))
                    reply = tasks.create_task(self._reply(request, writer))
                    await asyncio.wait((watch, reply), return_when=asyncio.FIRST_COMPLETED)
                    gone = watch.done() and not reply.done()
                    watch.cancel()
                    if gone:
                        reply.cancel()
            except* Dead:
                await asyncio.Event().wait()
            except* Broken as group:
                raise Broken(reset=_first(group).reset) from None
            except* ConnectionError:
                gone = True
            if gone:
                return

    async def _read(self, reader: asyncio.StreamReader) -> HttpRequest | None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        if length > self._largest:
            return None
        return HttpRequest(method, path, headers, await reader.readexactly(length))

    async def _reply(self, request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        reply = await self._answer(request)
        kind = (
            {"Transfer-Encoding": "chunked"}
            if reply.length is None
            else {"Content-Length": str(reply.length)}
        )
        headers = {"Content-Type": reply.content_type, **kind, **reply.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        reason = _REASONS.get(reply.status, "Status")
        writer.write(f"HTTP/1.1 {reply.status} {reason}\r\n{lines}\r\n".encode("latin-1"))
        await writer.drain()
        async with contextlib.aclosing(reply.pieces) as pieces:
            async for piece in pieces:
                if piece:
                    chunk = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
                    writer.write(chunk if reply.length is None else piece)
                    await writer.drain()
        if reply.length is None:
            writer.write(b"0\r\n\r\n")
            await writer.drain()


async def _until_gone(reader: asyncio.StreamReader) -> None:
    """Until the client has closed: nobody sends a second request before the answer to the first."""
    while not reader.at_eof() and reader.exception() is None:  # noqa: ASYNC110 - it isn't read
        await asyncio.sleep(0.01)


def _first(group: BaseExceptionGroup[Broken]) -> Broken:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
