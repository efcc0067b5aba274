"""Putting jobs into Procrastinate's table, as part of our own transactions.

Not by its `defer`: only INSERT … ON CONFLICT replaces a waiting job of the same key in one step.
The table's triggers do the rest, notification and history, as they do for `defer`.

Apart from the worker's side, so that the server needn't load the library.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.jobs.queue import Counts, Lane, Waiting, checked_kind, plain_key, stored_key

#: What its workers, and ours, listen to.
CHANNEL = "procrastinate_any_queue_v1"

#: As far as we use it; made by migration 0002.
jobs = sa.table(
    "procrastinate_jobs",
    sa.column("id", sa.BigInteger),
    sa.column("queue_name", sa.Text),
    sa.column("task_name", sa.Text),
    sa.column("lock", sa.Text),
    sa.column("queueing_lock", sa.Text),
    sa.column("args", JSONB),
    sa.column("status", sa.Text),
    sa.column("scheduled_at", sa.DateTime(timezone=True)),
    sa.column("attempts", sa.Integer),
    sa.column("worker_id", sa.BigInteger),
)
#: Written out, not bound: only so are the partial indexes used.
WAITS = jobs.c.status == sa.literal_column("'todo'")
RUNS = jobs.c.status == sa.literal_column("'doing'")


def queue_name(lane: Lane) -> str:
    """A lane's name: a digest, for the channel that is named after it may have 63 bytes only."""
    return sha256(f"{lane.kind}/{lane.tenant_id or ''}".encode()).hexdigest()[:32]


class ProcrastinateJobs:
    """`domain.jobs.Jobs` on a connection, in its transaction."""

    __slots__ = ("_connection", "_tenant_id")

    def __init__(self, connection: AsyncConnection, tenant_id: str | None) -> None:
        self._connection = connection
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
        text = json.dumps(dict(payload), allow_nan=False, separators=(",", ":"))
        row = {
            "queue_name": queue_name(Lane(checked_kind(kind), self._tenant_id)),
            "task_name": kind,
            "args": {"tenant": self._tenant_id, "payload": text},
            "scheduled_at": at,
            "attempts": 0,
        }
        lock = stored_key(self._tenant_id, key)
        statement = insert(jobs).values(**row, lock=lock, queueing_lock=lock)
        if lock is not None:
            statement = statement.on_conflict_do_update(
                index_elements=[jobs.c.queueing_lock],
                index_where=WAITS,
                set_=row,
            )
        await self._connection.execute(statement)

    async def reschedule(self, key: str, at: datetime) -> bool:
        """See `domain.jobs.Jobs`."""
        moved = await self._connection.execute(
            sa.update(jobs).where(*self._is_key(key)).values(scheduled_at=at, attempts=0)
        )
        return bool(moved.rowcount)

    async def cancel(self, key: str) -> bool:
        """See `domain.jobs.Jobs`."""
        forgotten = await self._connection.execute(sa.delete(jobs).where(*self._is_key(key)))
        return bool(forgotten.rowcount)

    def _is_key(self, key: str) -> tuple[sa.ColumnElement[bool], ...]:
        return WAITS, jobs.c.queueing_lock == stored_key(self._tenant_id, key)


# ------------------------------------------------------------------------------------ looking


async def waiting(connection: AsyncConnection, most: int) -> list[Waiting]:
    """The jobs that wait or run, the oldest first."""
    rows = await connection.execute(
        sa.select(jobs, RUNS.label("running")).order_by(jobs.c.id).limit(most)
    )
    return [
        Waiting(
            id=str(row["id"]),
            kind=row["task_name"],
            tenant_id=row["args"]["tenant"],
            key=plain_key(row["lock"]),
            run_at=row["scheduled_at"],
            attempts=row["attempts"],
            running=row["running"],
        )
        for row in rows.mappings()
    ]


async def counts(connection: AsyncConnection) -> Counts:
    """How many there are."""
    # A job that is due at once has no time of its own: the history knows when it was put.
    first = sa.text(
        """
        SELECT count(*) FILTER (WHERE status = 'todo') AS waiting,
               count(*) FILTER (WHERE status = 'doing') AS running,
               extract(epoch FROM now() - least(
                   min(scheduled_at) FILTER (WHERE status = 'todo'),
                   (SELECT min(at) FROM procrastinate_events JOIN procrastinate_jobs AS put
                    ON put.id = job_id
                    WHERE put.status = 'todo' AND put.scheduled_at IS NULL
                      AND put.attempts = 0 AND type = 'deferred')
               )) AS oldest
        FROM procrastinate_jobs
        """
    )
    row = (await connection.execute(first)).one()
    return Counts(row.waiting, row.running, max(0.0, float(row.oldest or 0.0)))
