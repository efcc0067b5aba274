"""Pings are answered, to those who read the answers."""

import asyncio

from websockets.asyncio.client import connect

from server.media_protocol import MAX_UNREAD
from tests.server.test_media_protocol import Route, serving


async def test_pings_without_end_fill_no_memory() -> None:
    """A peer that sends them and doesn't read what comes back."""
    route = Route()
    async with (
        serving(route) as address,
        connect(address, compression=None, proxy=None, ping_interval=None) as peer,
    ):
        await peer.send("{}")
        await peer.recv()
        peer.transport.pause_reading()
        ping = b"\x89\xfd" + bytes(4) + b"p" * 125  # masked with zeros
        most = 0
        for _ in range(400):
            if route.closed.is_set():
                break
            peer.transport.write(ping * 1000)
            await asyncio.sleep(0.005)
            most = max(most, route.connection.buffered)
        assert route.closed.is_set()
        assert most < 2 * MAX_UNREAD
        peer.transport.abort()
