"""The queue's figures for Prometheus. They are the deployment's: each node tells the same."""

import asyncio
from typing import NoReturn

from server.metrics import Metrics
from storage.jobs.desk import JobDesk
from storage.jobs.queue import Counts

#: How often they are read, seconds; Prometheus asks about as often.
READ_SECONDS = 15.0


class JobMetrics:
    """Reads the figures now and then: a scrape must not wait for the database."""

    def __init__(self, desk: JobDesk, metrics: Metrics) -> None:
        self._desk = desk
        self._counts = Counts()
        gauge = metrics.read_gauge
        gauge("jobs_waiting", "Jobs that wait, due or not", lambda: self._counts.waiting)
        gauge("jobs_running", "Jobs that run, on all nodes", lambda: self._counts.running)
        gauge("jobs_dead", "Jobs that nobody tries any more", lambda: self._counts.dead)
        gauge(
            "jobs_oldest_due_seconds",
            "For how long the first job that is due has waited",
            lambda: self._counts.oldest,
        )

    async def run(self) -> NoReturn:
        """Until cancelled."""
        while True:
            self._counts = await self._desk.counts()
            await asyncio.sleep(READ_SECONDS)
