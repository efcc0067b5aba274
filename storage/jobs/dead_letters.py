"""Jobs that nobody tries any more, on either database."""

from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.jobs import Job
from storage.schema import dead_jobs, tenants
from storage.scope import new_id


class DeadLetter(NamedTuple):
    """A dead job. `error`: its class and our words."""

    id: str
    kind: str
    tenant_id: str | None
    key: str | None
    payload: dict[str, object]
    attempts: int
    error: str
    died_at: datetime


async def bury(
    connection: AsyncConnection, job: Job, attempts: int, error: str, now: datetime
) -> None:
    """Keep what is left of a job; nothing when its tenant is gone."""
    if job.tenant_id is not None:
        # Held until we commit, so that the tenant doesn't go in between (PostgreSQL).
        there = sa.select(tenants.c.id).where(tenants.c.id == job.tenant_id)
        if (
            await connection.execute(there.with_for_update(read=True, key_share=True))
        ).first() is None:
            return
    await connection.execute(
        sa.insert(dead_jobs).values(
            id=new_id(),
            tenant_id=job.tenant_id,
            kind=job.kind,
            key=job.key,
            payload=dict(job.payload),
            attempts=attempts,
            error=error,
            died_at=now,
        )
    )


async def latest(connection: AsyncConnection, most: int) -> list[DeadLetter]:
    """The latest first."""
    rows = await connection.execute(
        sa.select(dead_jobs).order_by(dead_jobs.c.died_at.desc(), dead_jobs.c.id).limit(most)
    )
    return [_letter(row) for row in rows.mappings()]


async def count(connection: AsyncConnection) -> int:
    """How many there are."""
    counted = sa.select(sa.func.count()).select_from(dead_jobs)
    return int((await connection.execute(counted)).scalar_one())


async def take_out(connection: AsyncConnection, letter_id: str) -> DeadLetter | None:
    """Remove it from the dead; None when there is none of that id."""
    taken = await connection.execute(
        sa.delete(dead_jobs).where(dead_jobs.c.id == letter_id).returning(*dead_jobs.c)
    )
    row = taken.mappings().first()
    return None if row is None else _letter(row)


def _letter(row: sa.RowMapping) -> DeadLetter:
    return DeadLetter(**{name: row[name] for name in DeadLetter._fields})
