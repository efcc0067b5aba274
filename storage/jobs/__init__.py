"""Durable jobs on either database: `domain.jobs.Jobs` to put them, `JobWorker` to do them.

PostgreSQL: Procrastinate. SQLite: a lease table. Both are told what to do by one worker.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.jobs import Jobs
from storage.jobs.lease_table import LeaseTableJobs
from storage.jobs.procrastinate_jobs import ProcrastinateJobs


def jobs_on(connection: AsyncConnection, clock: Clock, tenant_id: str | None = None) -> Jobs:
    """The queue, as part of the transaction that `connection` is in. `tenant_id` None: the
    deployment's own jobs."""
    if connection.dialect.name == "postgresql":
        return ProcrastinateJobs(connection, tenant_id)
    return LeaseTableJobs(connection, clock, tenant_id)
