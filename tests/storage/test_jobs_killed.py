"""Durable jobs and processes that die: nothing is lost, nothing keyed is done twice, and what has
no key is never repeated blindly."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from server.clock import SystemClock
from storage import Database, Storage
from storage.jobs import jobs_on
from tests.forked import Forked
from tests.storage import job_process
from tests.storage.job_process import effects, metadata, outbox

CLOCK = SystemClock()


class Workers:
    """Processes on one database, each replaced when it is killed."""

    def __init__(self, url: str, directory: Path, seconds: float) -> None:
        self._arguments = (url, str(directory / "vendor"), str(seconds))
        self.processes: list[Forked] = []

    def start(self) -> None:
        self.processes.append(Forked(job_process.main, *self._arguments))

    async def kill(self, process: Forked) -> None:
        self.processes.remove(process)
        await asyncio.to_thread(process.kill)


@contextmanager
def running(url: str, directory: Path, number: int, seconds: float) -> Iterator[Workers]:
    workers = Workers(url, directory, seconds)
    try:
        for _ in range(number):
            workers.start()
        for process in workers.processes:
            assert process.hears() == "ready"
        yield workers
    finally:
        for process in workers.processes:
            process.kill()


def said(directory: Path) -> Counter[str]:
    vendor = directory / "vendor"
    return Counter(vendor.read_text().splitlines() if vendor.exists() else [])


async def opened(url: str) -> Database:
    database = await Database.open(url)
    async with database.write() as connection:
        await connection.run_sync(metadata.create_all)
    return database


async def put(database: Database, number: int) -> None:
    """As many jobs of each kind, with its rows, each in the transaction of its row."""
    for n in map(str, range(number)):
        async with database.write() as connection:
            await connection.execute(sa.insert(outbox).values(id=n, status="queued"))
            jobs = jobs_on(connection, CLOCK)
            await jobs.put("test.counted", {"n": n}, key=f"counted:{n}")
            await jobs.put("test.keyed", {"n": n}, key=f"keyed:{n}" if int(n) % 2 else None)


async def until_idle(storage: Storage, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while (await storage.jobs.counts())[:2] != (0, 0):
            await asyncio.sleep(0.05)


async def survive(url: str, directory: Path, *, number: int, kills: int) -> None:
    """Two processes, and then three, of which one is killed at random again and again."""
    database = await opened(url)
    storage = Storage(database, CLOCK)
    dice = random.Random(f"{number} {kills}")
    try:
        with running(url, directory, 2, 0.01) as workers:
            await put(database, number)
            for kill in range(kills):
                if kill == kills // 2:
                    workers.start()
                await asyncio.sleep(dice.uniform(0.05, 0.4))
                await workers.kill(dice.choice(workers.processes))
                workers.start()
            await until_idle(storage, 60 + number / 5)
        assert await storage.jobs.dead() == []
        async with database.read() as connection:
            done = (await connection.execute(sa.select(effects.c.key))).scalars().all()
            rows = await connection.execute(sa.select(outbox.c.id, outbox.c.status))
            statuses = {row.id: row.status for row in rows}
    finally:
        await database.close()
    wanted = {str(n) for n in range(number)}
    assert sorted(done) == sorted(wanted), "a job was lost"
    assert set(statuses.values()) <= {"sent", "unknown"}, "a job was lost"
    sent = said(directory)
    for n in wanted:
        assert sent[f"sent {n}"] <= 1, "repeated blindly"
        if statuses[n] == "sent":
            assert sent[f"sent {n}"] == 1
    # A kill leaves no more unknown than one process had under way.
    assert Counter(statuses.values())["unknown"] <= kills * 4


async def test_killed_at_random_nothing_is_lost_or_repeated(empty_url: str, tmp_path: Path) -> None:
    await survive(empty_url, tmp_path, number=60, kills=4)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_killed_very_often_nothing_is_lost_or_repeated(
    empty_url: str, tmp_path: Path
) -> None:
    await survive(empty_url, tmp_path, number=3000, kills=200)
