"""Durable jobs and processes that die: nothing is lost, nothing keyed is done twice, and what has
no key is never repeated blindly."""

import asyncio
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from server.clock import SystemClock
from storage import Database, Storage
from storage.jobs import jobs_on
from tests.storage.job_process import effects, metadata, outbox

CLOCK = SystemClock()


class Workers:
    """Processes on one database, each replaced when it is killed."""

    def __init__(self, url: str, directory: Path, seconds: float, root: Path) -> None:
        self._command = (
            *(sys.executable, "-m", "tests.storage.job_process"),
            *(url, str(directory / "vendor"), str(seconds)),
        )
        self._root = root
        self.processes: list[subprocess.Popen[str]] = []

    def start(self) -> "subprocess.Popen[str]":
        process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True, cwd=self._root)
        self.processes.append(process)
        return process

    async def kill(self, process: "subprocess.Popen[str]") -> None:
        process.kill()
        await asyncio.to_thread(process.communicate)
        self.processes.remove(process)


@contextmanager
def running(
    url: str, directory: Path, number: int, seconds: float, root: Path
) -> Iterator[Workers]:
    workers = Workers(url, directory, seconds, root)
    try:
        for _ in range(number):
            workers.start()
        for process in workers.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield workers
    finally:
        for process in workers.processes:
            process.kill()
            process.communicate()


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


async def survive(url: str, directory: Path, root: Path, *, number: int, kills: int) -> None:
    """Two processes, and then three, of which one is killed at random again and again."""
    database = await opened(url)
    storage = Storage(database, CLOCK)
    dice = random.Random(f"{number} {kills}")
    try:
        with running(url, directory, 2, 0.01, root) as workers:
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


async def test_killed_at_random_nothing_is_lost_or_repeated(
    empty_url: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    await survive(empty_url, tmp_path, pytestconfig.rootpath, number=60, kills=4)


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_killed_very_often_nothing_is_lost_or_repeated(
    empty_url: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    await survive(empty_url, tmp_path, pytestconfig.rootpath, number=3000, kills=200)
