"""The timeline's way to the database: calls write without waiting, one task stores in batches."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import OperatorError
from storage.journal import JournalEntry

log = structlog.get_logger(__name__)

#: Lines that may wait while the database is slow: some minutes of 500 busy calls.
CAPACITY = 50_000
BATCH = 500
#: How long a line may wait to be stored together with others.
LINGER_SECONDS = 0.2
RETRY_SECONDS = 1.0


class Store(Protocol):
    """What the journal needs from storage."""

    async def append(self, entries: Sequence[JournalEntry]) -> None:
        """Store them all, in one transaction."""
        ...


class Journal:
    """One per node. `run` belongs to the application's task group."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: deque[JournalEntry] = deque()
        self._wake = asyncio.Event()
        self._storing = asyncio.Lock()
        self.lost = 0

    def write(self, entry: JournalEntry) -> None:
        """Take a line. Never waits; beyond the capacity the oldest line is lost, and counted."""
        if len(self._waiting) >= CAPACITY:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(entry)
        self._wake.set()

    async def flush(self) -> None:
        """Store all that was written before. Raises OperatorError; what waits goes on waiting.

        Lines that the database will never take are lost, counted and logged.
        """
        async with self._storing:
            singly = 0  # lines of a refused batch: one of them is to blame
            while self._waiting:
                size = 1 if singly else min(BATCH, len(self._waiting))
                singly = max(0, singly - 1)
                batch = [self._waiting.popleft() for _ in range(size)]
                try:
                    await self._store.append(batch)
                except SQLAlchemyError as error:
                    if size > 1:
                        self._waiting.extendleft(reversed(batch))
                        singly = size
                        continue
                    self.lost += 1
                    refused = type(error).__name__
                    log.error("journal.refused", call_id=batch[0].call_id, error=refused)
                except BaseException:
                    self._waiting.extendleft(reversed(batch))
                    raise

    async def run(self) -> None:
        """Store in batches, for ever; a database that is away is tried again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(LINGER_SECONDS)
            try:
                await self.flush()
            except OperatorError as error:
                log.warning("journal.waits", error=str(error))
                self._wake.set()
                await asyncio.sleep(RETRY_SECONDS)
