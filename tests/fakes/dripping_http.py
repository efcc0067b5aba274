"""An HTTP server that answers in steps: bytes, pauses, silence, a cut connection."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.fakes.scripted_http import Got

#: Says nothing more until the client has gone; then `gone` is set.
SILENCE: Final = "silence"
#: Ends the connection as a crash does.
CUT: Final = "cut"

Step = bytes | float | str


@dataclass
class DrippingHttp:
    """Answers in order; the last one again and again."""

    answers: list[Sequence[Step]] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    _open: dict[asyncio.Task[Any], asyncio.StreamWriter] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def body(self, number: int = -1) -> Any:
        """The JSON of a request."""
        return json.loads(self.got[number].body)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        task.add_done_callback(self._open.pop)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await self._read(reader)
                steps = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if not await self._play(steps, reader, writer):
                    break
        writer.close()

    async def close(self) -> None:
        for writer in self._open.values():
            writer.transport.abort()
        if self._open:
            await asyncio.wait(tuple(self._open))
        await asyncio.sleep(0)  # the transports let go of their sockets

    async def _read(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.got.append(Got(method, target, headers, body))

    async def _play(
        self, steps: Sequence[Step], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Whether the connection is still of use."""
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            elif step == CUT:
                writer.transport.abort()
                return False
            else:
                with contextlib.suppress(ConnectionError):
                    await reader.read()
                self.gone.set()
                return False
        return True


def head(status: int = 200, content_type: str = "text/event-stream", **more: str) -> bytes:
    """The beginning of a chunked answer."""
    lines = {"Content-Type": content_type, "Transfer-Encoding": "chunked", **more}
    text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} X\r\n{text}\r\n".encode()


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked answer; of b"", its end."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(data: Any) -> bytes:
    """One server-sent event as a chunk: JSON, or text as it is."""
    text = data if isinstance(data, str) else json.dumps(data)
    return chunk(f"data: {text}\n\n".encode())


END: Final = chunk(b"")
DONE: Final = event("[DONE]") + END


@contextlib.asynccontextmanager
async def dripping(*answers: Sequence[Step]) -> AsyncIterator[DrippingHttp]:
    state = DrippingHttp(list(answers))
    async with contextlib.AsyncExitStack() as stack:
        server = await asyncio.start_server(state.serve, "127.0.0.1", 0)
        stack.callback(server.close)
        state.port = server.sockets[0].getsockname()[1]
        stack.push_async_callback(state.close)
        yield state
