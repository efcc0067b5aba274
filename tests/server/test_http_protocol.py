"""What a stranger may send before we know who it is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from server import http_protocol
from server.http_protocol import HttpProtocol
from server.media_protocol import MediaProtocol

App = Callable[[Any, Any, Any], Awaitable[None]]


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the size of the body, or, at /deaf, without having read it."""
    request = Request(scope, receive)
    size = 0 if scope["path"] == "/deaf" else len(await request.body())
    await PlainTextResponse(str(size))(scope, receive, send)


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    config = uvicorn.Config(
        echo, port=0, http=HttpProtocol, ws=MediaProtocol, lifespan="off", log_level="error"
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            await running


async def is_cut_off(port: int, *pieces: bytes, endless: bytes = b"", most: int = 100) -> bool:
    """Whether the server ends a connection on which this is sent, and then `endless`, `most` times.
    It has five seconds for it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(5):
            for piece in pieces:
                writer.write(piece)
            for _ in range(most if endless else 0):
                writer.write(endless)
                await writer.drain()
                await asyncio.sleep(0)
            while await reader.read(65536):
                pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    finally:
        writer.close()
    return True


async def test_requests_are_answered_one_after_the_other_on_one_connection() -> None:
    async with serving() as port, httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{port}"
        for size in (0, 10, 200_000, 10_500_000, 10):  # the largest upload, and what frames it
            headers = {"x-long": "y" * 30_000}
            response = await client.post(f"{url}/", content=b"x" * size, headers=headers)
            assert response.text == str(size)


@pytest.mark.parametrize(
    ("begin", "endless"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X-Header: " + b"y" * 4000 + b"\r\n"),
        (b"GET / HTTP/1.1\r\nX-Header: ", b"y" * 4000),
        (b"GET /", b"y" * 4000),
    ],
    ids=["headers", "a header", "a path"],
)
async def test_a_head_without_end_is_not_kept(begin: bytes, endless: bytes) -> None:
    async with serving() as port:
        assert await is_cut_off(port, begin, endless=endless)


async def test_a_body_that_nobody_reads_does_not_go_on_for_ever() -> None:
    async with serving() as port:
        head = b"POST /deaf HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n"
        assert await is_cut_off(port, head, endless=b"y" * 2**20)


async def test_trailers_do_not_go_on_for_ever_either() -> None:
    async with serving() as port:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: "
        assert await is_cut_off(port, head, endless=b"y" * 65536)


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET / HTTP/1.1\r\nHos",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHos",
    ],
    ids=["nothing", "half a head", "half a second head"],
)
async def test_who_does_not_say_what_they_want_is_not_waited_for(
    begin: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.3)
    async with serving() as port:
        assert await is_cut_off(port, begin)


async def test_an_answer_may_take_longer_than_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.2)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        await asyncio.sleep(0.6)
        writer.write(b"abc")
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n3"), 5)
        assert answer.startswith(b"HTTP/1.1 200 OK")
        writer.close()
