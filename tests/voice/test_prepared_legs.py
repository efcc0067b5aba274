"""An agent that was called for a caller who has left is sent home."""

import asyncio
from pathlib import Path

from tests.voice.carrier import LINE, dialled, serving, until


async def test_a_caller_who_leaves_in_the_same_breath(tmp_path: Path) -> None:
    """`start` and `stop` arrive together: the stream is over before its agent is attached."""
    async with serving(tmp_path) as served:
        token = (await served.twilio.ring(ForwardedFrom=LINE)).token
        await until(lambda: len(served.sessions) == 1)
        await asyncio.sleep(0.2)
        async with dialled(served) as line:
            await line.connected()
            await line.start(token)  # neither waits for anything: the server reads both at once
            await line.stops()
        await served.everything_is_over()
        assert await served.outcome() == "abandoned"
