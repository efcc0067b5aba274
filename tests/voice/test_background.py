"""Work that nobody waits for: its failures end nothing but itself."""

import asyncio

import pytest

from voice import background
from voice.background import Background


class _Enough(Exception):
    """Ends the test's task group."""


async def _fails() -> None:
    raise KeyError("who")


async def test_a_failure_ends_only_its_own_work() -> None:
    done = []

    async def succeeds() -> None:
        await asyncio.sleep(0.01)
        done.append(True)

    async with asyncio.TaskGroup() as tasks:
        Background(tasks).start("fails", _fails)
        Background(tasks).start("succeeds", succeeds)
    assert done == [True]


async def test_work_that_shall_never_end_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "AGAIN_SECONDS", 0.01)
    begun = 0

    async def loop() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            await _fails()
        await asyncio.Event().wait()

    try:
        async with asyncio.TaskGroup() as tasks:
            Background(tasks).keep("loop", loop)
            while begun < 3:
                await asyncio.sleep(0.01)
            raise _Enough
    except* _Enough:
        pass
    assert begun == 3
