"""A plain load balancer on loopback: it knows addresses and nothing of calls.

Each request goes to the next node, or with `by_count` to who has the fewest connections, also of
one client's: after the head of its request a
connection carries one answer and is closed. A node that can't be reached, or that closes without
an answer, is passed over. With `look_seconds` it asks each node's /readyz so often, and leaves out
who doesn't answer 200 within that time, unless nobody does. With `try_seconds` it keeps a request
for so long until some node takes it. `pins`
send requests whose path begins so to these nodes in turn, as long as they are there: what happens
by chance in a deployment happens in a test each time.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

HEAD_SECONDS = 10.0
CONNECT_SECONDS = 2.0
MAX_HEAD = 64 * 1024
CHUNK = 64 * 1024
AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Passed:
    """One request: where it went (an index of `nodes`)."""

    method: str
    path: str
    node: int


@dataclass(slots=True)
class Balancer:
    """An async context manager; `nodes` are ports on loopback."""

    nodes: Sequence[int]
    pins: dict[str, list[int]] = field(default_factory=dict)
    passed: list[Passed] = field(default_factory=list)
    port: int = 0
    look_seconds: float = 0.0
    try_seconds: float = 0.0
    by_count: bool = False
    _count: Counter[int] = field(default_factory=Counter)
    _ready: set[int] = field(default_factory=set)
    _looks: int = 0
    _looking: "asyncio.Task[None] | None" = None
    _next: int = 0
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=MAX_HEAD)
        self._server = server
        self.port = server.sockets[0].getsockname()[1]
        if self.look_seconds:
            self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        if self._looking is not None:
            self._looking.cancel()
        self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def where(self, part: str) -> list[int]:
        """To which nodes the requests with this in their path went, in order."""
        return [each.node for each in self.passed if part in each.path]

    async def looked(self) -> None:
        """Until all nodes have been asked once more."""
        seen = self._looks
        while self._looks < seen + 2:
            await asyncio.sleep(0.05)

    async def _look(self) -> None:
        while True:
            async with asyncio.TaskGroup() as all_of_them:
                for index in range(len(self.nodes)):
                    all_of_them.create_task(self._look_at(index))
            self._looks += 1
            await asyncio.sleep(self.look_seconds)

    async def _look_at(self, index: int) -> None:
        ready = False
        try:
            async with asyncio.timeout(self.look_seconds):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.nodes[index])
                try:
                    writer.write(b"GET /readyz HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
                    ready = b" 200 " in await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            pass
        (self._ready.add if ready else self._ready.discard)(index)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            async with asyncio.timeout(HEAD_SECONDS):
                request = await _read(reader)
            answered = await self._ask(request)
            until = asyncio.get_running_loop().time() + self.try_seconds
            while answered is None and asyncio.get_running_loop().time() < until:
                await asyncio.sleep(AGAIN_SECONDS)
                answered = await self._ask(request)
            if answered is None:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                return
            first, from_node, node, index = answered
            self._open.add(node)
            self._count[index] += 1
            try:
                writer.write(first)
                async with asyncio.TaskGroup() as both:
                    up = both.create_task(_copy(reader, node))
                    await _copy(from_node, writer)
                    up.cancel()
            finally:
                self._count[index] -= 1
        except* (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # somebody has left: so does the other one
        finally:
            self._open.discard(writer)
            writer.close()

    async def _ask(
        self, request: bytes
    ) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter, int] | None:
        """The first bytes of the answer, the connection that they came by, and whose it is."""
        method, path, _ = request.split(b"\r\n", 1)[0].decode().split(" ", 2)
        for index in self._order(path):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.nodes[index])
            except (OSError, TimeoutError):
                continue
            self.passed.append(Passed(method, path, index))
            try:
                writer.write(request)
                if first := await reader.read(CHUNK):
                    return first, reader, writer, index
            except OSError:
                pass
            writer.close()
        return None

    def _order(self, path: str) -> list[int]:
        """The nodes to try."""
        pinned = [self.pins[start] for start in sorted(self.pins) if path.startswith(start)]
        if pinned:
            turns = pinned[-1]  # the longest
            turns.append(first := turns.pop(0))
        else:
            first, self._next = self._next, (self._next + 1) % len(self.nodes)
        order = [(first + offset) % len(self.nodes) for offset in range(len(self.nodes))]
        if self.by_count and not pinned:
            order.sort(key=lambda index: self._count[index])
        # The others last: they may have come back since, or there may be nobody else.
        return sorted(order, key=lambda index: bool(self._ready) and index not in self._ready)


async def _read(reader: asyncio.StreamReader) -> bytes:
    """A request that asks for one answer only, with its body; a websocket's is left as it is."""
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(b":") for line in lines)}
    if b"upgrade" in fields:
        return head
    kept = [line for line in lines if not line.lower().startswith((b"connection:", b"keep-alive:"))]
    body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
    return b"\r\n".join([*kept, b"Connection: close", b"", body])


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until either end is closed."""
    try:
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
