"""The caller doesn't wait for a database that does."""

import asyncio
from pathlib import Path

import pytest

from tests.voice.carrier import serving, talking, until


async def test_the_line_is_closed_in_time_although_the_database_is_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice.streams.STAGE_SECONDS", 0.2)
    async with serving(tmp_path) as served, talking(served) as line:
        line.echoes = False
        heard = len(line.of("mark"))
        await line.presses("8#")
        await line.hears_speech()
        said = served.sessions[0].said
        await until(lambda: "au revoir" in said[-1].text and said[-1].status == "completed")
        await asyncio.sleep(0.2)  # all of it is on its way, and nothing of it was heard
        with served.busy_database():
            for message in line.of("mark")[heard:]:
                await line.mark(message["mark"]["name"])
            await until(lambda: served.posted("Status=completed"), 5)
        await line.stops()
        assert await served.outcome() == "informed"
