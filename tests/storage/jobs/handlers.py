"""Handlers, workers and wrong clocks for the tests of jobs."""

import asyncio
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from domain.jobs import Again, Job
from server.clock import SystemClock
from storage import Storage
from storage.jobs.worker import JobWorker, Pace
from storage.schema import job_workers, jobs

PACE = Pace(poll=0.02, beat=0.05, silence=0.5, stop=2.0)
CLOCK = SystemClock()


class Done:
    """A handler that remembers its jobs and does what it was told."""

    def __init__(self, *answers: Any) -> None:
        self.jobs: list[Job] = []
        self._answers = list(answers)

    async def __call__(self, job: Job) -> Again | None:
        self.jobs.append(job)
        answer = self._answers.pop(0) if self._answers else None
        if isinstance(answer, BaseException):
            raise answer
        if callable(answer):
            return await answer(job)  # type: ignore[no-any-return]
        return answer

    @property
    def payloads(self) -> list[Any]:
        return [dict(job.payload) for job in self.jobs]


async def drain(worker: JobWorker) -> None:
    async with asyncio.timeout(10):
        await worker.run(until_idle=True)


def later(seconds: float = 3600.0) -> Any:
    return CLOCK.now() + timedelta(seconds=seconds)


async def shift(storage: Storage, by: timedelta) -> None:
    """Move all instants of the queue, as a clock that is set by the opposite does."""
    async with storage._database.write() as connection:
        if storage._database.dialect == "postgresql":
            await connection.execute(
                sa.text("UPDATE procrastinate_jobs SET scheduled_at = scheduled_at + :by"),
                {"by": by},
            )
            await connection.execute(
                sa.text("UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat + :by"),
                {"by": by},
            )
            return
        for row in (await connection.execute(sa.select(jobs))).mappings():
            if row["run_at"] is not None:
                moved = sa.update(jobs).where(jobs.c.id == row["id"])
                await connection.execute(moved.values(run_at=row["run_at"] + by))


async def forget_workers(storage: Storage) -> None:
    """What is left when a process is gone and has been taken for dead."""
    async with storage._database.write() as connection:
        await connection.execute(sa.delete(job_workers))
        if storage._database.dialect == "postgresql":
            await connection.execute(sa.delete(sa.table("procrastinate_workers")))
