"""The outbox's figures for Prometheus. They are the deployment's: each node tells the same."""

import asyncio
from functools import partial
from typing import NoReturn

from server.job_metrics import READ_SECONDS
from server.metrics import Metrics
from storage.text_reports import TextReports


class TextMetrics:
    """Reads the figures now and then: a scrape must not wait for the database."""

    def __init__(self, reports: TextReports, metrics: Metrics) -> None:
        self._reports = reports
        self._counts: dict[str, int] = {}
        for status, words in (
            ("queued", "Texts that wait, due or not"),
            ("sending", "Texts that a vendor is being given"),
            ("unknown", "Texts of which nobody knows whether a vendor took them"),
        ):
            metrics.read_gauge(f"texts_{status}", words, partial(self.of, status))

    def of(self, status: str) -> int:
        """How many there were when it was read last."""
        return self._counts.get(status, 0)

    async def run(self) -> NoReturn:
        """Until cancelled."""
        while True:
            self._counts = await self._reports.counts()
            await asyncio.sleep(READ_SECONDS)
