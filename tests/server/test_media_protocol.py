"""The take-over of uvicorn's websocket: what it rests on must still be there, and behave."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from server.media_protocol import EXTENSION, MediaProtocol

App = Callable[[Any, Any, Any], Awaitable[None]]


class Route:
    """Takes the connection over and writes down what it is given."""

    def __init__(self, *, wait_first: float = 0.0) -> None:
        self.heard: list[bytes] = []
        self.closed = asyncio.Event()
        self.closings = 0
        self.connection: Any = None
        self._wait_first = wait_first

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        await receive()
        await send({"type": "websocket.accept"})
        await asyncio.sleep(self._wait_first)
        self.connection = scope["extensions"][EXTENSION]
        self.connection.take_over(self._on_text, self._on_closed)
        await self.closed.wait()

    def _on_text(self, data: bytes) -> None:
        self.heard.append(data)
        self.connection.send_text(b"echo " + data)

    def _on_closed(self) -> None:
        self.closings += 1
        self.closed.set()


@asynccontextmanager
async def serving(app: App) -> AsyncIterator[str]:
    config = uvicorn.Config(
        app,
        port=0,
        ws=MediaProtocol,
        lifespan="off",
        log_level="error",
        ws_max_size=65536,
        ws_per_message_deflate=False,
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"ws://127.0.0.1:{port}/"
        finally:
            server.should_exit = True
            await running


@asynccontextmanager
async def joined(route: Route) -> AsyncIterator[ClientConnection]:
    async with serving(route) as url, connect(url, compression=None) as client:
        yield client


async def test_uvicorn_still_has_what_we_touch() -> None:
    config = uvicorn.Config(lambda: None, lifespan="off", log_config=None)
    config.load()
    protocol = MediaProtocol(config, uvicorn.server.ServerState(), {})
    for name in (
        "conn config queue transport frames curr_msg_data_type read_paused close_sent disconnected "
        "close_timer close_timeout handshake_complete loop"
    ).split():
        assert hasattr(protocol, name), name
    for name in "handle_connect handle_text handle_close send_receive_event_to_app".split():
        assert callable(getattr(protocol, name)), name


@pytest.mark.parametrize("size", [0, 125, 126, 60_000])
async def test_text_goes_both_ways(size: int) -> None:
    async with joined(Route()) as client:
        await client.send("x" * size)
        assert await client.recv() == "echo " + "x" * size


async def test_long_text_goes_out_whole() -> None:
    route = Route()
    async with joined(route) as client:
        await client.send("a")
        await client.recv()
        route.connection.send_text(b"y" * 100_000)
        assert await client.recv() == "y" * 100_000


async def test_what_was_queued_before_comes_first_and_in_order() -> None:
    route = Route(wait_first=0.2)
    async with joined(route) as client:
        for number in range(50):
            await client.send(str(number))
        for number in range(50):
            assert await client.recv() == f"echo {number}"
    assert route.heard == [str(number).encode() for number in range(50)]


async def test_fragments_are_joined() -> None:
    route = Route()
    async with joined(route) as client:
        await client.send(["un ", "deux ", "trois"])
        assert await client.recv() == "echo un deux trois"


async def test_binary_is_not_for_us_and_does_no_harm() -> None:
    route = Route()
    async with joined(route) as client:
        await client.send(b"\x00\x01")
        await client.send("text")
        assert await client.recv() == "echo text"
    assert route.heard == [b"text"]


async def test_the_peers_close_is_told_once() -> None:
    route = Route()
    async with joined(route) as client:
        await client.send("a")
        await client.recv()
        await client.close()
        await asyncio.wait_for(route.closed.wait(), 2)
    assert route.closings == 1


async def test_a_lost_connection_is_told_once() -> None:
    route = Route()
    async with joined(route) as client:
        await client.send("a")
        await client.recv()
        client.transport.abort()
        await asyncio.wait_for(route.closed.wait(), 2)
    assert route.closings == 1


async def test_a_peer_that_left_before_the_take_over_is_told() -> None:
    route = Route(wait_first=0.3)
    async with joined(route) as client:
        await client.send("a")
        await client.close()
        await asyncio.wait_for(route.closed.wait(), 2)
    assert (route.heard, route.closings) == ([b"a"], 1)


async def test_our_close_reaches_the_peer_and_later_sends_are_swallowed() -> None:
    route = Route()
    async with joined(route) as client:
        await client.send("a")
        await client.recv()
        route.connection.close(1008)
        route.connection.close(1000)
        route.connection.send_text(b"late")
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1008
    assert route.closings == 1


async def test_too_big_a_message_closes() -> None:
    route = Route()
    async with joined(route) as client:
        await client.send("a")
        await client.recv()
        await client.send("x" * 70_000)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1009
        await asyncio.wait_for(route.closed.wait(), 2)


async def test_buffered_is_what_the_peer_has_not_taken() -> None:
    route = Route()
    async with joined(route) as client:
        await client.send("a")
        await client.recv()
        assert route.connection.buffered == 0
        client.transport.pause_reading()
        for _ in range(400):
            route.connection.send_text(b"z" * 50_000)
        assert route.connection.buffered > 1_000_000
        client.transport.abort()


# ------------------------------------------------------- frames, however the network cuts them


def masked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A client's frame, written by the RFC (6455 §5.2) and not by a library."""
    mask = b"\x37\xfa\x21\x3d"
    size = len(payload)
    head = bytes([opcode | (0x80 if fin else 0)])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += b"\xfe" + struct.pack("!H", size)
    else:
        head += b"\xff" + struct.pack("!Q", size)
    return head + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))


async def raw(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection whose bytes we write ourselves, after the handshake."""
    host, port = url.removeprefix("ws://").rstrip("/").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


TEXTS = [b"", b"a", b"x" * 125, b"y" * 126, b"z" * 300, "é".encode() * 40, b"w" * 40_000]


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 8, 100, 309, 65_536])
async def test_frames_are_found_however_the_bytes_arrive(piece: int) -> None:
    route = Route()
    stream = b"".join(masked(1, text) for text in TEXTS)
    stream += masked(9, b"ping") + masked(1, b"un ", fin=False) + masked(0, b"deux")
    stream += masked(1, b"last")
    if piece < 8:  # byte by byte for what is not mere length
        stream = stream.replace(masked(1, TEXTS[-1]), b"")
    async with serving(route) as url:
        _, writer = await raw(url)
        for at in range(0, len(stream), piece):
            writer.write(stream[at : at + piece])
            await asyncio.sleep(0 if piece > 8 else 0.0002)
        for _ in range(500):
            if route.heard[-1:] == [b"last"]:
                break
            await asyncio.sleep(0.01)
        writer.close()
        await asyncio.wait_for(route.closed.wait(), 3)
    sent = TEXTS[:-1] if piece < 8 else TEXTS
    assert route.heard == [*sent, b"un deux", b"last"]


async def test_a_ping_between_frames_is_answered() -> None:
    async with joined(Route()) as client:
        await client.send("a")
        await client.recv()
        await asyncio.wait_for(await client.ping(), 2)
        await client.send("b")
        assert await client.recv() == "echo b"


async def test_an_unmasked_frame_is_an_error() -> None:
    route = Route()
    async with serving(route) as url:
        reader, writer = await raw(url)
        writer.write(masked(1, b"a"))
        await reader.readexactly(2 + len(b"echo a"))
        writer.write(b"\x81\x01b")
        assert (await reader.read(4))[:1] == b"\x88"  # a close frame
        await asyncio.wait_for(route.closed.wait(), 3)
        writer.close()
    assert route.heard == [b"a"]


async def test_a_frame_that_announces_too_much_is_refused_before_it_arrives() -> None:
    route = Route()
    async with serving(route) as url:
        reader, writer = await raw(url)
        writer.write(masked(1, b"a"))
        await reader.readexactly(2 + len(b"echo a"))
        writer.write(b"\x81\xff" + struct.pack("!Q", 2**40) + b"mask" + b"x" * 100)
        closing = await reader.read(4)
        assert closing[:1] == b"\x88"
        assert struct.unpack("!H", closing[2:4])[0] == 1009
        await asyncio.wait_for(route.closed.wait(), 3)
        writer.close()


async def test_too_big_a_frame_is_refused_though_it_arrives_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """uvloop, which serves calls, reads 256 KiB at a time."""
    frame, received, held = masked(1, b"x" * 70_000), MediaProtocol.data_received, bytearray()

    def at_once(self: MediaProtocol, data: bytes) -> None:
        held.extend(data)
        if not held.startswith(frame[:2]) or len(held) == len(frame):
            whole = bytes(held)
            held.clear()
            received(self, whole)

    monkeypatch.setattr(MediaProtocol, "data_received", at_once)
    route = Route()
    async with serving(route) as url:
        reader, writer = await raw(url)
        writer.write(frame)
        closing = await asyncio.wait_for(reader.read(4), 3)
        assert struct.unpack("!H", closing[2:4])[0] == 1009
        writer.close()


async def test_a_client_that_sends_before_it_is_accepted_is_heard_all_the_same() -> None:
    route = Route(wait_first=0.2)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.2)  # before `websocket.accept`
        await route(scope, receive, send)

    async with serving(slow) as url:
        host, port = url.removeprefix("ws://").rstrip("/").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await asyncio.sleep(0.05)
        frames = masked(1, b"early") + masked(1, b"b" * 200) + masked(1, b"c" * 200)
        writer.write(frames[:4])
        await asyncio.sleep(0.4)
        writer.write(frames[4:])
        for _ in range(300):
            if len(route.heard) == 3:
                break
            await asyncio.sleep(0.01)
        writer.close()
        await asyncio.wait_for(route.closed.wait(), 3)
    assert route.heard == [b"early", b"b" * 200, b"c" * 200]
