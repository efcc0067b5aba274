"""Is somebody still at the other end of a websocket?"""

import asyncio

import picows


async def answers(transport: picows.WSTransport | None, seconds: float) -> bool:
    """Whether a ping is answered in so many seconds. One at a time on each socket."""
    if transport is None:
        return False
    try:
        async with asyncio.timeout(seconds):
            await transport.measure_roundtrip_time(1)
    except (TimeoutError, picows.WSError, OSError):
        return False
    return True
