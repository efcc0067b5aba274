"""Jobs on PostgreSQL: Procrastinate's tables, functions and queries, on our own connections.

Taking, ending and retrying a job and the heartbeat are Procrastinate's. Ours is what it doesn't
have: an end that only who holds the job can make, and in one transaction with the dead letter;
lanes, so that tenants take turns and vendors have limits; and telling the dead by a heartbeat that
stands still rather than by the time it names, which a step of the clock would falsify.

`queue_name` is the lane (a digest), `task_name` the kind, `lock` and `queueing_lock` the key,
`args` the tenant and the payload. The payload is text within: `jsonb` would take no NUL in it.
"""

import asyncio
import json
import re
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from procrastinate.connector import BaseAsyncConnector
from procrastinate.jobs import Job as Found
from procrastinate.jobs import Status
from procrastinate.manager import JobManager
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from tenacity import retry, retry_if_exception_type, stop_after_attempt

from domain.clock import Clock
from domain.jobs import Job
from storage.database import Database
from storage.jobs.dead_letters import bury
from storage.jobs.limits import Gate
from storage.jobs.procrastinate_jobs import (
    CHANNEL,
    RUNS,
    WAITS,
    ProcrastinateJobs,
    jobs,
    queue_name,
)
from storage.jobs.queue import Lane, Spared, TakenForDead, Vendor, plain_key, stored_key
from storage.schema import tenants

#: Of a worker that died while it ran a job.
_DIED = "the process died while it ran"
#: A worker that holds nothing and hasn't been heard of for so long is forgotten; if it still lives,
#: it enters again.
_FORGET = timedelta(days=1)

_PARAMETER = re.compile(r"%\((\w+)\)s")

# In one round trip: the end of a job that is still this worker's.
_FINISH = sa.text(
    """
    WITH mine AS (
        SELECT id FROM procrastinate_jobs
        WHERE id = :id AND worker_id = :worker AND status = 'doing' FOR UPDATE
    )
    SELECT id, procrastinate_finish_job_v1(id, 'succeeded', true) FROM mine
    """
)

# A job of the same key that was put meanwhile takes the place of the one that should wait again.
_again_if_taken = retry(
    retry=retry_if_exception_type(IntegrityError), stop=stop_after_attempt(5), reraise=True
)

workers = sa.table(
    "procrastinate_workers",
    sa.column("id", sa.BigInteger),
    sa.column("last_heartbeat", sa.DateTime(timezone=True)),
)
#: Written by Procrastinate's triggers; deleted with their job.
events = sa.table("procrastinate_events", sa.column("job_id", sa.BigInteger))


class _Connector(BaseAsyncConnector):
    """Lets Procrastinate's manager work on a connection of ours, in its transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def execute_query_async(self, query: str, **arguments: Any) -> None:
        await self._connection.execute(_text(query), arguments)

    async def execute_query_one_async(self, query: str, **arguments: Any) -> dict[str, Any]:
        return dict((await self._connection.execute(_text(query), arguments)).mappings().one())

    async def execute_query_all_async(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
        rows = (await self._connection.execute(_text(query), arguments)).mappings()
        return [dict(row) for row in rows]


def _text(query: str) -> sa.TextClause:
    """psycopg's parameters as SQLAlchemy's; in parentheses, for casts follow some."""
    return sa.text(_PARAMETER.sub(r"(:\1)", query))


def _manager(connection: AsyncConnection) -> JobManager:
    return JobManager(_Connector(connection))


class ProcrastinateQueue:
    """`storage.jobs.queue.Queue`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._worker = 0

    # ------------------------------------------------------------------------------- living

    async def enter(self) -> None:
        """See `Queue`."""
        async with self._database.write() as connection:
            self._worker = await _manager(connection).register_worker()
            held = sa.select(jobs.c.worker_id).where(jobs.c.worker_id == workers.c.id).exists()
            await connection.execute(
                sa.delete(workers).where(workers.c.last_heartbeat < sa.func.now() - _FORGET, ~held)
            )

    @_again_if_taken
    async def leave(self) -> None:
        """See `Queue`."""
        async with self._database.write() as connection:
            for row in await _held(connection, jobs.c.worker_id == self._worker):
                await _let_wait(connection, row, row["scheduled_at"], row["attempts"])
            await _manager(connection).unregister_worker(self._worker)

    async def beat(self) -> bool:
        """See `Queue`."""
        async with self._database.aside() as connection:
            return await self._beat(connection) is not None

    async def _beat(self, connection: AsyncConnection) -> datetime | None:
        """The instant by the database's clock; None when this worker is no more."""
        beaten = await connection.execute(
            sa.update(workers)
            .where(workers.c.id == self._worker)
            .values(last_heartbeat=sa.func.clock_timestamp())
            .returning(workers.c.last_heartbeat)
        )
        now: datetime | None = beaten.scalar_one_or_none()
        return now

    async def listen(self, wake: Callable[[], None]) -> None:
        """See `Queue`."""
        lost = asyncio.Event()
        async with self._database.dedicated() as connection:
            connection.add_termination_listener(lambda _connection: lost.set())
            await connection.add_listener(CHANNEL, lambda *_notice: wake())
            await lost.wait()

    async def signs(self) -> Mapping[str, Hashable]:
        """See `Queue`."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                sa.select(jobs.c.worker_id, workers.c.last_heartbeat)
                .distinct()
                .join_from(jobs, workers, jobs.c.worker_id == workers.c.id, isouter=True)
                .where(RUNS, jobs.c.worker_id.is_distinct_from(self._worker))
            )
            # A worker that is gone has left its jobs to nobody.
            return {str(row.worker_id or ""): row.last_heartbeat for row in rows}

    @_again_if_taken
    async def take_over(self, dead: Mapping[str, Hashable], spared: Spared) -> int:
        """See `Queue`."""
        async with self._database.write() as connection:
            for worker, heartbeat in dead.items():
                if worker:
                    # Its jobs' worker_id becomes NULL with it: ON DELETE SET NULL.
                    await connection.execute(
                        sa.delete(workers).where(
                            workers.c.id == int(worker), workers.c.last_heartbeat == heartbeat
                        )
                    )
            rows = await _held(connection, jobs.c.worker_id.is_(None))
            for row in rows:
                attempts = row["attempts"] + 1
                after = spared(row["task_name"], attempts)
                if after is not None:
                    wait = timedelta(seconds=after) if after else None
                    await _let_wait(connection, row, wait, attempts)
                else:
                    await _end(connection, row["id"])
                    await bury(connection, _job(row), attempts, _DIED, self._clock.now())
            return len(rows)

    # ------------------------------------------------------------------------------- taking

    async def lanes(self, kinds: Collection[str], most: int) -> Mapping[Lane, int]:
        """See `Queue`."""
        # Written out: as a parameter, PostgreSQL couldn't see that it is what it groups by.
        tenant: sa.ColumnElement[Any] = sa.literal_column("args ->> 'tenant'")
        async with self._database.read() as connection:
            rows = await connection.execute(
                sa.select(jobs.c.task_name, tenant.label("tenant"), sa.func.count().label("number"))
                .where(
                    WAITS,
                    jobs.c.task_name.in_(kinds),
                    sa.or_(jobs.c.scheduled_at.is_(None), jobs.c.scheduled_at <= sa.func.now()),
                )
                .group_by(jobs.c.task_name, tenant)
                .order_by(sa.func.min(jobs.c.id))
                .limit(most)
            )
            return {Lane(row.task_name, row.tenant): row.number for row in rows}

    async def claim(self, wanted: Sequence[Lane], vendors: Sequence[Vendor]) -> list[Job]:
        """See `Queue`."""
        claimed: list[Job] = []
        called = {lane.kind for lane in wanted}
        limited = [vendor for vendor in vendors if called.intersection(vendor.kinds)]
        async with self._database.write() as connection:
            await _alone(connection, limited)
            now = await self._beat(connection)
            if now is None:
                raise TakenForDead
            gate = Gate(connection, now, limited, _running)
            manager = _manager(connection)
            for lane in wanted:
                if not await gate.admits(lane):
                    continue
                found = await manager.fetch_job([queue_name(lane)], self._worker)
                if found is not None:
                    await gate.entered(lane)
                    claimed.append(_fetched(found))
            return await _without_orphans(connection, claimed)

    # ------------------------------------------------------------------------------- ending

    async def finish(self, job: Job) -> bool:
        """See `Queue`."""
        async with self._database.single() as connection:
            ended = await connection.execute(_FINISH, {"id": int(job.id), "worker": self._worker})
            return ended.first() is not None

    async def retry(self, job: Job, after: float, *, counts: bool) -> bool:
        """See `Queue`."""
        attempts = job.attempt if counts else job.attempt - 1
        return await self._wait(job, timedelta(seconds=after), attempts)

    async def again(self, job: Job, at: datetime) -> bool:
        """See `Queue`."""
        return await self._wait(job, at, 0)

    async def bury(self, job: Job, error: str, again: datetime | None) -> bool:
        """See `Queue`."""
        async with self._database.write() as connection:
            row = await self._mine(connection, job)
            if row is None:
                return False
            await _end(connection, row["id"])
            await bury(connection, job, job.attempt, error, self._clock.now())
            if again is not None:
                queue = ProcrastinateJobs(connection, job.tenant_id)
                if job.key is None or not await queue.reschedule(job.key, again):
                    await queue.put(job.kind, job.payload, key=job.key, at=again)
            return True

    async def ensure(self, kind: str, every: float) -> None:
        """See `Queue`."""
        key = stored_key(None, kind)
        async with self._database.write() as connection:
            there = sa.select(jobs.c.id).where(sa.or_(WAITS, RUNS), jobs.c.lock == key)
            if (await connection.execute(there)).first() is None:
                await ProcrastinateJobs(connection, None).put(kind, {}, key=kind)
            farthest = sa.func.now() + timedelta(seconds=every)
            await connection.execute(
                sa.update(jobs)
                .where(WAITS, jobs.c.queueing_lock == key, jobs.c.scheduled_at > farthest)
                .values(scheduled_at=None)
            )

    async def amend(self, farthest: float) -> None:
        """See `Queue`."""
        wrong = (
            WAITS,
            jobs.c.attempts > 0,
            jobs.c.scheduled_at > sa.func.now() + timedelta(seconds=farthest),
        )
        async with self._database.write() as connection:
            await connection.execute(sa.update(jobs).where(*wrong).values(scheduled_at=None))

    async def _mine(self, connection: AsyncConnection, job: Job) -> sa.RowMapping | None:
        mine = sa.and_(jobs.c.id == int(job.id), jobs.c.worker_id == self._worker)
        rows = await _held(connection, mine)
        return rows[0] if rows else None

    @_again_if_taken
    async def _wait(self, job: Job, at: datetime | timedelta, attempts: int) -> bool:
        async with self._database.write() as connection:
            row = await self._mine(connection, job)
            if row is None:
                return False
            # Nobody reads what its earlier runs were, and a periodic job has them for ever.
            await connection.execute(sa.delete(events).where(events.c.job_id == row["id"]))
            await _let_wait(connection, row, at, attempts)
            return True


async def _held(
    connection: AsyncConnection, which: sa.ColumnElement[bool]
) -> Sequence[sa.RowMapping]:
    """Running jobs, ours until the transaction ends; without those that another one has."""
    held = await connection.execute(
        sa.select(jobs).where(RUNS, which).order_by(jobs.c.id).with_for_update(skip_locked=True)
    )
    return held.mappings().all()


async def _let_wait(
    connection: AsyncConnection,
    row: sa.RowMapping,
    at: datetime | timedelta | None,
    attempts: int,
) -> None:
    """A running job waits again, unless another one of its key waits: that one takes its place."""
    key = row["queueing_lock"]
    follower = sa.select(jobs.c.id).where(WAITS, jobs.c.queueing_lock == key)
    if key is not None and (await connection.execute(follower)).first():
        await _end(connection, row["id"])
        return
    if isinstance(at, timedelta):
        # By the clock that will say when it is due.
        at = (await connection.execute(sa.select(sa.func.now()))).scalar_one() + at
    await _manager(connection).retry_job_by_id_async(row["id"], at)  # type: ignore[arg-type]
    # It counts every return as an attempt; we don't.
    await connection.execute(
        sa.update(jobs).where(jobs.c.id == row["id"]).values(attempts=attempts)
    )


async def _alone(connection: AsyncConnection, vendors: Sequence[Vendor]) -> None:
    """Nobody else takes jobs that call these vendors until our transaction ends."""
    for vendor in sorted(vendors):  # in one order, so that nobody waits in a circle
        await connection.execute(
            sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtext(vendor.name)))
        )


async def _without_orphans(connection: AsyncConnection, claimed: list[Job]) -> list[Job]:
    """Those whose tenant still exists; the others are done. What waited went with its tenant; they
    ran then, and came back."""
    acting_for = {job.tenant_id for job in claimed} - {None}
    if not acting_for:
        return claimed
    found = await connection.execute(sa.select(tenants.c.id).where(tenants.c.id.in_(acting_for)))
    there = {None, *found.scalars()}
    for job in claimed:
        if job.tenant_id not in there:
            await _end(connection, int(job.id))
    return [job for job in claimed if job.tenant_id in there]


async def _end(connection: AsyncConnection, job_id: int) -> None:
    await _manager(connection).finish_job_by_id_async(job_id, Status.SUCCEEDED, delete_job=True)


async def _running(
    connection: AsyncConnection, kinds: Sequence[str], tenant_id: str | None, *, everyone: bool
) -> int:
    """How many jobs of these kinds run, of one tenant or of everyone."""
    counted = sa.select(sa.func.count()).select_from(jobs).where(RUNS)
    if everyone:
        counted = counted.where(jobs.c.task_name.in_(kinds))
    else:
        names = [queue_name(Lane(kind, tenant_id)) for kind in kinds]
        counted = counted.where(jobs.c.queue_name.in_(names))
    return int((await connection.execute(counted)).scalar_one())


def _job(row: sa.RowMapping) -> Job:
    return _made(
        row["id"],
        kind=row["task_name"],
        args=row["args"],
        attempts=row["attempts"],
        key=row["lock"],
    )


def _fetched(found: Found) -> Job:
    return _made(
        found.id,
        kind=found.task_name,
        args=found.task_kwargs,
        attempts=found.attempts,
        key=found.lock,
    )


def _made(job_id: int | None, *, kind: str, args: Any, attempts: int, key: str | None) -> Job:
    given = json.loads(args) if isinstance(args, str) else args
    return Job(
        id=str(job_id),
        kind=kind,
        payload=json.loads(given["payload"]),
        attempt=attempts + 1,
        tenant_id=given["tenant"],
        key=plain_key(key),
    )
