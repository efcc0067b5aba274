"""Jobs on SQLite: rows of `jobs`, each waiting or leased by a worker.

Every statement that matters runs under BEGIN IMMEDIATE, so nobody comes between reading a row and
taking it. A lease has no end of its own: it holds while its worker's `beats` go on, which the
others follow with their own monotonic clocks (`storage.jobs.watch`), so that no step of the wall
clock ends one.
"""

import asyncio
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.jobs import Job
from storage.database import Database
from storage.jobs.dead_letters import bury
from storage.jobs.limits import Gate
from storage.jobs.queue import (
    Counts,
    Lane,
    Spared,
    TakenForDead,
    Vendor,
    Waiting,
    checked_kind,
    plain_key,
    stored_key,
)
from storage.schema import job_workers, jobs
from storage.scope import new_id

#: A worker that entered so long ago and holds nothing is forgotten; if it still lives, it enters
#: again.
FORGET = timedelta(days=1)
#: Of a worker that died while it ran a job.
_DIED = "the process died while it ran"

_WAITS = jobs.c.leased_by.is_(None)


def _is_key(key: str | None) -> sa.ColumnElement[bool]:
    return sa.and_(_WAITS, jobs.c.key == key)


class LeaseTableJobs:
    """`domain.jobs.Jobs` on a connection, in its transaction."""

    __slots__ = ("_clock", "_connection", "_tenant_id")

    def __init__(self, connection: AsyncConnection, clock: Clock, tenant_id: str | None) -> None:
        self._connection = connection
        self._clock = clock
        self._tenant_id = tenant_id

    async def put(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """See `domain.jobs.Jobs`."""
        row = {"kind": checked_kind(kind), "payload": dict(payload), "run_at": at, "attempts": 0}
        statement = insert(jobs).values(
            **row,
            tenant_id=self._tenant_id,
            key=stored_key(self._tenant_id, key),
            created_at=self._clock.now(),
        )
        if key is not None:
            statement = statement.on_conflict_do_update(
                index_elements=[jobs.c.key],
                index_where=sa.text("key IS NOT NULL AND leased_by IS NULL"),
                set_=row,
            )
        await self._connection.execute(statement)

    async def reschedule(self, key: str, at: datetime) -> bool:
        """See `domain.jobs.Jobs`."""
        moved = await self._connection.execute(
            sa.update(jobs)
            .where(_is_key(stored_key(self._tenant_id, key)))
            .values(run_at=at, attempts=0)
        )
        return bool(moved.rowcount)

    async def cancel(self, key: str) -> bool:
        """See `domain.jobs.Jobs`."""
        forgotten = await self._connection.execute(
            sa.delete(jobs).where(_is_key(stored_key(self._tenant_id, key)))
        )
        return bool(forgotten.rowcount)


class LeaseTable:
    """`storage.jobs.queue.Queue`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._worker = ""

    # ------------------------------------------------------------------------------- living

    async def enter(self) -> None:
        """See `Queue`."""
        worker, now = new_id(), self._clock.now()
        async with self._database.write() as connection:
            held = sa.select(jobs.c.id).where(jobs.c.leased_by == job_workers.c.id).exists()
            old = job_workers.c.entered_at < now - FORGET
            await connection.execute(sa.delete(job_workers).where(old, ~held))
            row = {"id": worker, "beats": 0, "entered_at": now}
            await connection.execute(sa.insert(job_workers).values(row))
        self._worker = worker

    async def leave(self) -> None:
        """See `Queue`."""
        async with self._database.write() as connection:
            await connection.execute(sa.delete(job_workers).where(job_workers.c.id == self._worker))
            for row in await _held(connection, jobs.c.leased_by == self._worker):
                await _let_wait(connection, row, row["run_at"], row["attempts"])

    async def beat(self) -> bool:
        """See `Queue`."""
        async with self._database.aside() as connection:
            return await self._beat(connection)

    async def _beat(self, connection: AsyncConnection) -> bool:
        beaten = await connection.execute(
            sa.update(job_workers)
            .where(job_workers.c.id == self._worker)
            .values(beats=job_workers.c.beats + 1)
        )
        return bool(beaten.rowcount)

    async def listen(self, wake: Callable[[], None]) -> None:
        """See `Queue`. SQLite tells nobody."""
        await asyncio.Event().wait()

    async def signs(self) -> Mapping[str, Hashable]:
        """See `Queue`."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                sa.select(jobs.c.leased_by, job_workers.c.beats)
                .distinct()
                .join_from(jobs, job_workers, jobs.c.leased_by == job_workers.c.id, isouter=True)
                .where(jobs.c.leased_by.is_not(None), jobs.c.leased_by != self._worker)
            )
            return {row.leased_by: row.beats for row in rows}

    async def take_over(self, dead: Mapping[str, Hashable], spared: Spared) -> int:
        """See `Queue`."""
        async with self._database.write() as connection:
            for worker, beats in dead.items():
                await connection.execute(
                    sa.delete(job_workers).where(
                        job_workers.c.id == worker, job_workers.c.beats == beats
                    )
                )
            gone = jobs.c.leased_by.not_in(sa.select(job_workers.c.id))
            rows = await _held(connection, gone)
            for row in rows:
                attempts = row["attempts"] + 1
                after = spared(row["kind"], attempts)
                if after is not None:
                    await _let_wait(connection, row, self._later(after), attempts)
                else:
                    await _delete(connection, row["id"])
                    job = _job(row)
                    await bury(connection, job, attempts, _DIED, self._clock.now())
            return len(rows)

    # ------------------------------------------------------------------------------- taking

    async def lanes(self, kinds: Collection[str], most: int) -> Mapping[Lane, int]:
        """See `Queue`."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                sa.select(jobs.c.kind, jobs.c.tenant_id, sa.func.count().label("number"))
                .where(_WAITS, jobs.c.kind.in_(kinds), self._due())
                .group_by(jobs.c.kind, jobs.c.tenant_id)
                .order_by(sa.func.min(jobs.c.id))
                .limit(most)
            )
            return {Lane(row.kind, row.tenant_id): row.number for row in rows}

    def _due(self) -> sa.ColumnElement[bool]:
        return sa.or_(jobs.c.run_at.is_(None), jobs.c.run_at <= self._clock.now())

    async def claim(self, wanted: Sequence[Lane], vendors: Sequence[Vendor]) -> list[Job]:
        """See `Queue`."""
        claimed: list[Job] = []
        async with self._database.write() as connection:
            if not await self._beat(connection):
                raise TakenForDead
            gate = Gate(connection, self._clock.now(), vendors, _running)
            for lane in wanted:
                if not await gate.admits(lane):
                    continue
                row = await self._take(connection, lane)
                if row is not None:
                    await gate.entered(lane)
                    claimed.append(_job(row))
        return claimed

    async def _take(self, connection: AsyncConnection, lane: Lane) -> sa.RowMapping | None:
        other = jobs.alias("other")
        same_key_runs = (
            sa.select(other.c.id)
            .where(other.c.leased_by.is_not(None), other.c.key == jobs.c.key)
            .exists()
        )
        first = (
            sa.select(jobs.c.id)
            .where(
                _WAITS,
                jobs.c.kind == lane.kind,
                jobs.c.tenant_id.is_not_distinct_from(lane.tenant_id),
                self._due(),
                ~same_key_runs,
            )
            .order_by(jobs.c.id)
            .limit(1)
            .scalar_subquery()
        )
        taken = await connection.execute(
            sa.update(jobs)
            .where(jobs.c.id == first)
            .values(leased_by=self._worker)
            .returning(*jobs.c)
        )
        return taken.mappings().first()

    # ------------------------------------------------------------------------------- ending

    async def finish(self, job: Job) -> bool:
        """See `Queue`."""
        async with self._database.single() as connection:
            done = await connection.execute(sa.delete(jobs).where(self._mine(job)))
            return bool(done.rowcount)

    async def retry(self, job: Job, after: float, *, counts: bool) -> bool:
        """See `Queue`."""
        attempts = job.attempt if counts else job.attempt - 1
        return await self._wait(job, self._later(after), attempts)

    async def again(self, job: Job, at: datetime) -> bool:
        """See `Queue`."""
        return await self._wait(job, at, 0)

    async def bury(self, job: Job, error: str, again: datetime | None) -> bool:
        """See `Queue`."""
        async with self._database.write() as connection:
            done = await connection.execute(sa.delete(jobs).where(self._mine(job)))
            if not done.rowcount:
                return False
            await bury(connection, job, job.attempt, error, self._clock.now())
            if again is not None:
                queue = LeaseTableJobs(connection, self._clock, job.tenant_id)
                if job.key is None or not await queue.reschedule(job.key, again):
                    await queue.put(job.kind, job.payload, key=job.key, at=again)
            return True

    async def ensure(self, kind: str, every: float) -> None:
        """See `Queue`."""
        key = stored_key(None, kind)
        now = self._clock.now()
        async with self._database.write() as connection:
            rows = await connection.execute(sa.select(jobs).where(jobs.c.key == key))
            found = rows.mappings().all()
            if not found:
                await LeaseTableJobs(connection, self._clock, None).put(kind, {}, key=kind)
            await connection.execute(
                sa.update(jobs)
                .where(_is_key(key), jobs.c.run_at > now + timedelta(seconds=every))
                .values(run_at=now)
            )

    async def amend(self, farthest: float) -> None:
        """See `Queue`."""
        wrong = (
            _WAITS,
            jobs.c.attempts > 0,
            jobs.c.run_at > self._clock.now() + timedelta(seconds=farthest),
        )
        async with self._database.read() as connection:
            if (await connection.execute(sa.select(jobs.c.id).where(*wrong))).first() is None:
                return
        async with self._database.write() as connection:
            await connection.execute(sa.update(jobs).where(*wrong).values(run_at=None))

    def _mine(self, job: Job) -> sa.ColumnElement[bool]:
        return sa.and_(jobs.c.id == int(job.id), jobs.c.leased_by == self._worker)

    def _later(self, after: float) -> datetime | None:
        return self._clock.now() + timedelta(seconds=after) if after else None

    async def _wait(self, job: Job, at: datetime | None, attempts: int) -> bool:
        async with self._database.write() as connection:
            rows = await _held(connection, self._mine(job))
            for row in rows:
                await _let_wait(connection, row, at, attempts)
            return bool(rows)


async def _held(
    connection: AsyncConnection, which: sa.ColumnElement[bool]
) -> Sequence[sa.RowMapping]:
    held = await connection.execute(
        sa.select(jobs).where(jobs.c.leased_by.is_not(None), which).order_by(jobs.c.id)
    )
    return held.mappings().all()


async def _let_wait(
    connection: AsyncConnection, row: sa.RowMapping, at: datetime | None, attempts: int
) -> None:
    """A leased job waits again, unless another one of its key waits: that one takes its place."""
    follower = sa.select(jobs.c.id).where(_is_key(row["key"]))
    if row["key"] is not None and (await connection.execute(follower)).first():
        await _delete(connection, row["id"])
        return
    await connection.execute(
        sa.update(jobs)
        .where(jobs.c.id == row["id"])
        .values(leased_by=None, run_at=at, attempts=attempts)
    )


async def _delete(connection: AsyncConnection, job_id: int) -> None:
    await connection.execute(sa.delete(jobs).where(jobs.c.id == job_id))


async def _running(
    connection: AsyncConnection, kinds: Sequence[str], tenant_id: str | None, *, everyone: bool
) -> int:
    """How many jobs of these kinds run, of one tenant or of everyone."""
    counted = sa.select(sa.func.count()).where(
        jobs.c.leased_by.is_not(None), jobs.c.kind.in_(kinds)
    )
    if not everyone:
        counted = counted.where(jobs.c.tenant_id.is_not_distinct_from(tenant_id))
    return int((await connection.execute(counted)).scalar_one())


def _job(row: sa.RowMapping) -> Job:
    return Job(
        id=str(row["id"]),
        kind=row["kind"],
        payload=row["payload"],
        attempt=row["attempts"] + 1,
        tenant_id=row["tenant_id"],
        key=plain_key(row["key"]),
    )


# ------------------------------------------------------------------------------------ looking


async def waiting(connection: AsyncConnection, most: int) -> list[Waiting]:
    """The jobs that wait or run, the oldest first."""
    rows = await connection.execute(sa.select(jobs).order_by(jobs.c.id).limit(most))
    return [
        Waiting(
            id=str(row["id"]),
            kind=row["kind"],
            tenant_id=row["tenant_id"],
            key=plain_key(row["key"]),
            run_at=row["run_at"],
            attempts=row["attempts"],
            running=row["leased_by"] is not None,
        )
        for row in rows.mappings()
    ]


async def counts(connection: AsyncConnection, now: datetime) -> Counts:
    """How many there are."""
    since = sa.func.coalesce(jobs.c.run_at, jobs.c.created_at, type_=jobs.c.run_at.type)
    row = (
        await connection.execute(
            sa.select(
                sa.func.count().filter(_WAITS).label("waiting"),
                sa.func.count().filter(~_WAITS).label("running"),
                sa.func.min(since).filter(_WAITS).label("first"),
            )
        )
    ).one()
    oldest = (now - row.first).total_seconds() if row.first else 0.0
    return Counts(row.waiting, row.running, max(0.0, oldest))
