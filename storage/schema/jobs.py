"""The tables of durable jobs. A job only wakes: what is to be done is told by rows of other tables.

`jobs` is the queue of SQLite; on PostgreSQL Procrastinate's own tables stand in its place (made by
the same migration) and `jobs` stays empty. `dead_jobs` serves both.
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
    identifier(),
    tenant(nullable=True),  # NULL: the deployment's own
    words("kind"),
    text("key"),  # at most one job of a key waits
    json("payload", "{}"),
    instant("run_at", nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    # Who runs it, and until when that is believed; NULL: it waits.
    text("leased_by"),
    instant("leased_until"),
    created(),
    sa.Index(None, "tenant_id"),
    partial("jobs_waiting", "run_at", where="leased_by IS NULL"),
    partial("jobs_leased", "leased_until", where="leased_by IS NOT NULL"),
    partial("jobs_key", "key", where="key IS NOT NULL AND leased_by IS NULL", unique=True),
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

#: How many jobs run at once against one vendor or for one tenant, across processes.
job_slots = sa.Table(
    "job_slots",
    metadata,
    sa.Column("scope", CleanText, primary_key=True),  # "vendor:twilio", "tenant:<id>:twilio"
    sa.Column("holder", CleanText, primary_key=True),  # the job that runs
    instant("until", nullable=False),
    sa.Index(None, "until"),
)
