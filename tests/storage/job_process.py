"""A worker process for the contract tests (tests/forked.py): told its database, it works until it
is ended.

Two kinds of effect: `test.keyed` is recorded under a key, as at a vendor that knows keys, or in a
table of ours; `test.counted` calls a vendor that only counts, so its truth is a row of `outbox`
(queued → sending → sent, or unknown).
"""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from domain.jobs import Backoff, Job, JobKind
from server.clock import SystemClock
from storage import Database
from storage.jobs.worker import JobWorker, Pace

metadata = sa.MetaData()
effects = sa.Table(
    "test_effects",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("times", sa.Integer, nullable=False),
)
outbox = sa.Table(
    "test_outbox",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
)

PACE = Pace(poll=0.05, beat=0.1, silence=1.2, stop=3.0)


def kinds(database: Database, vendor: Path, seconds: float) -> list[JobKind]:
    async def keyed(job: Job) -> None:
        await asyncio.sleep(seconds)
        _say(vendor, f"ran {job.payload['n']}")
        async with database.write() as connection:
            taken = sa.select(effects.c.key).where(effects.c.key == job.payload["n"])
            if (await connection.execute(taken)).first() is None:
                row = {"key": job.payload["n"], "times": 1}
                await connection.execute(sa.insert(effects).values(**row))
        await asyncio.sleep(seconds)

    async def counted(job: Job) -> None:
        row = outbox.c.id == job.payload["n"]
        async with database.write() as connection:
            status = (await connection.execute(sa.select(outbox.c.status).where(row))).scalar_one()
            if status == "sending":  # somebody died between here and "sent": nobody knows
                await connection.execute(sa.update(outbox).where(row).values(status="unknown"))
            if status != "queued":
                return
            await connection.execute(sa.update(outbox).where(row).values(status="sending"))
        await asyncio.sleep(seconds)
        _say(vendor, f"sent {job.payload['n']}")
        await asyncio.sleep(seconds)
        async with database.write() as connection:
            await connection.execute(sa.update(outbox).where(row).values(status="sent"))

    backoff = Backoff(first=0.05, longest=0.2, attempts=10_000)
    return [
        JobKind("test.keyed", keyed, backoff=backoff),
        JobKind("test.counted", counted, backoff=backoff),
    ]


def _say(vendor: Path, line: str) -> None:
    """One line of one write: what a SIGKILL can't tear."""
    handle = os.open(vendor, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(handle, f"{line}\n".encode())
    finally:
        os.close(handle)


async def work(url: str, vendor: Path, seconds: float) -> None:
    database = await Database.open(url)
    try:
        worker = JobWorker(
            database, SystemClock(), kinds(database, vendor, seconds), places=4, pace=PACE
        )
        loop: Any = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, worker.stop)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await worker.run()
    finally:
        await database.close()


def main(url: str, vendor: str, seconds: str) -> None:
    asyncio.run(work(url, Path(vendor), float(seconds)))
