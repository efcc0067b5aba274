"""The queue as the deployment sees it: its own jobs, all that wait, and the dead letters."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.errors import NotFound
from storage.database import Database
from storage.jobs import dead_letters, jobs_on, lease_table, procrastinate_jobs
from storage.jobs.dead_letters import DeadLetter
from storage.jobs.queue import Counts, Waiting


class JobDesk:
    """For the operator's commands, and for work that is no tenant's."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def put(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """A job of the deployment's own, in a transaction of its own; as `domain.jobs.Jobs`."""
        async with self._database.write() as connection:
            await jobs_on(connection, self._clock).put(kind, payload, key=key, at=at)

    async def waiting(self, most: int = 100) -> list[Waiting]:
        """What waits or runs, the oldest first."""
        async with self._database.read() as connection:
            if self._database.dialect == "postgresql":
                return await procrastinate_jobs.waiting(connection, most)
            return await lease_table.waiting(connection, most)

    async def counts(self) -> Counts:
        """How many wait, run and are dead, and how long the first one that is due has waited."""
        async with self._database.read() as connection:
            if self._database.dialect == "postgresql":
                alive = await procrastinate_jobs.counts(connection)
            else:
                alive = await lease_table.counts(connection, self._clock.now())
            return alive._replace(dead=await dead_letters.count(connection))

    async def dead(self, most: int = 100) -> list[DeadLetter]:
        """The dead letters, the latest first."""
        async with self._database.read() as connection:
            return await dead_letters.latest(connection, most)

    async def replay(self, letter_id: str) -> DeadLetter:
        """Let a dead job run again, at once and with all its attempts; NotFound when there is
        none. When a job of its key waits already, that one runs at once instead."""
        async with self._database.write() as connection:
            letter = await _taken_out(connection, letter_id)
            queue = jobs_on(connection, self._clock, letter.tenant_id)
            now = self._clock.now()
            if letter.key is None or not await queue.reschedule(letter.key, now):
                await queue.put(letter.kind, letter.payload, key=letter.key)
            return letter

    async def discard(self, letter_id: str) -> DeadLetter:
        """Forget a dead job; NotFound when there is none."""
        async with self._database.write() as connection:
            return await _taken_out(connection, letter_id)


async def _taken_out(connection: AsyncConnection, letter_id: str) -> DeadLetter:
    letter = await dead_letters.take_out(connection, letter_id)
    if letter is None:
        raise NotFound(f"there is no dead job {letter_id}; `coccinelle jobs dead` lists them")
    return letter
