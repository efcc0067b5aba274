import asyncio
import itertools
import time

from sandbox.ticker import PHASES, Ticker


async def test_every_subscriber_ticks_fifty_times_a_second_on_the_grid() -> None:
    ticker = Ticker()
    ticks: list[list[float]] = [[] for _ in range(3)]
    for mine in ticks:
        ticker.add(mine.append)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(ticker.run())
        began = time.monotonic()
        await asyncio.sleep(0.5)
        due = (time.monotonic() - began) / 0.02
        task.cancel()
    for mine in ticks:
        assert due - 2 <= len(mine) <= due + 1
        steps = [round(later - earlier, 6) for earlier, later in itertools.pairwise(mine)]
        assert set(steps) == {0.02}  # on the absolute grid, however late the process was
    assert len({mine[0] for mine in ticks}) == min(3, PHASES)  # not all at once


async def test_a_process_that_stalls_makes_up_for_what_it_missed() -> None:
    ticker = Ticker()
    ticks: list[float] = []
    ticker.add(ticks.append)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(ticker.run())
        began = time.monotonic()
        await asyncio.sleep(0.1)
        time.sleep(0.3)  # noqa: ASYNC251 - the stall
        await asyncio.sleep(0.1)
        due = (time.monotonic() - began) / 0.02
        task.cancel()
    assert due - 2 <= len(ticks) <= due + 1


async def test_who_is_removed_is_left_in_peace_and_the_rest_goes_on() -> None:
    ticker = Ticker()
    gone: list[float] = []
    stays: list[float] = []
    ticker.add(gone.append)
    ticker.add(stays.append)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(ticker.run())
        await asyncio.sleep(0.1)
        ticker.remove(gone.append)
        ticker.remove(gone.append)
        before, of_others = len(gone), len(stays)
        await asyncio.sleep(0.1)
        ticker.remove(stays.append)
        await asyncio.sleep(0.05)
        idle = len(stays)
        ticker.add(stays.append)
        await asyncio.sleep(0.1)
        task.cancel()
    assert len(gone) == before
    assert of_others < idle < len(stays)
