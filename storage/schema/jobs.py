"""The tables of durable jobs. A job only wakes: what is to be done is told by rows of other tables.

`jobs` and `job_workers` are the queue of SQLite; on PostgreSQL Procrastinate's own tables stand in
their place (made by the same migration) and both stay empty. The others serve both.
"""

import sqlalchemy as sa

from storage.columns import CleanText
from storage.schema.base import (
    created,
    identifier,
    instant,
    json,
    metadata,
    partial,
    tenant,
    text,
    words,
)

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column(
        "id",
        # SQLite numbers rows by itself in an INTEGER primary key only.
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.Identity(),
        primary_key=True,
    ),
    tenant(nullable=True),  # NULL: the deployment's own
    words("kind"),
    text("key"),  # with the tenant's id before it; at most one job of a key waits, and one runs
    json("payload", "{}"),
    instant("run_at"),  # NULL: at once, whatever the clock does
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    text("leased_by"),  # the worker that runs it; NULL: it waits
    created(),
    sa.Index(None, "tenant_id"),
    partial("jobs_waiting", "kind", "tenant_id", "run_at", where="leased_by IS NULL"),
    partial("jobs_leased", "leased_by", where="leased_by IS NOT NULL"),
    partial("jobs_key", "key", where="key IS NOT NULL AND leased_by IS NULL", unique=True),
    # No number is given twice: whoever ran a job that is gone must not end another one.
    sqlite_autoincrement=True,
)

#: The processes that run jobs. One whose `beats` stand still is dead: nobody compares clocks.
job_workers = sa.Table(
    "job_workers",
    metadata,
    identifier(),
    sa.Column("beats", sa.BigInteger, nullable=False, server_default="0"),
    instant("entered_at", nullable=False),
)

#: Jobs that nobody runs any more: seen with `coccinelle jobs`, and put again by hand.
dead_jobs = sa.Table(
    "dead_jobs",
    metadata,
    identifier(),
    tenant(nullable=True),
    words("kind"),
    text("key"),
    json("payload", "{}"),
    sa.Column("attempts", sa.Integer, nullable=False),
    words("error"),  # the error's class and our words for it; no personal data
    instant("died_at", nullable=False),
    sa.Index(None, "tenant_id"),
    sa.Index(None, "died_at"),
)

#: When a vendor may be called next, for limits per second across processes.
job_rates = sa.Table(
    "job_rates",
    metadata,
    sa.Column("scope", CleanText, primary_key=True),  # "twilio" or "twilio/<tenant>"
    instant("free_at", nullable=False),
)
