"""A worker process that sends texts by a vendor whose memory is a file, until it is killed."""

import asyncio
import sys
from pathlib import Path

from domain.clock import Clock
from messaging.outbox import SendingPolicy, TextSending, sending_jobs
from server.clock import SystemClock
from storage import Database, Storage
from storage.jobs.worker import JobWorker, Pace
from tests.messaging.vendors import FileVendor

PACE = Pace(poll=0.05, beat=0.1, silence=1.0, stop=3.0)


def worker(database: Database, clock: Clock, vendor: FileVendor, *, places: int = 8) -> JobWorker:
    """What sends SMS, without a limit but the vendor's own."""
    policy = SendingPolicy(countries=frozenset(), per_day=1_000_000)
    sending = TextSending(Storage(database, clock), clock, {"sms": vendor}, policy)
    return JobWorker(database, clock, sending_jobs(sending), places=places, pace=PACE)


async def work(url: str, path: Path, seconds: float) -> None:
    database = await Database.open(url)
    try:
        running = worker(database, SystemClock(), FileVendor(path, seconds=seconds))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await running.run()
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])))
