"""Forwarding checks of telephone lines, and what a tenant's outbound costs on a day."""

import sqlalchemy as sa

from storage.schema.base import (
    created,
    identifier,
    instant,
    metadata,
    one_of,
    tenant,
    text,
    words,
)

LINE_PROOFS = ("forwarding", "code", "operator")
CHECK_KINDS = ("forwarding", "code")
CHECK_STATES = ("queued", "calling", "done")

#: One row per check that somebody asked for. The row is the truth; a job (`line.check`) wakes it.
line_checks = sa.Table(
    "line_checks",
    metadata,
    identifier(),
    tenant(),
    words("number"),
    text("kind", "forwarding"),
    text("state", "queued"),
    text("verdict"),
    text("reason"),  # more about the verdict: a key of domain/lines.py
    # Given while it calls: checks in one lane wait for each other.
    text("lane"),
    text("caller_id"),  # the number of ours that we called from
    text("call_sid"),  # our call to the line
    text("returned_sid"),  # the call that came back
    text("returned_as"),  # its ForwardedFrom, as the carrier wrote it
    text("code_hash"),
    sa.Column("code_tries", sa.Integer, nullable=False, server_default="0"),
    instant("started_at"),
    instant("ends_at"),
    instant("finished_at"),
    created(),
    one_of("kind", CHECK_KINDS),
    one_of("state", CHECK_STATES),
    sa.Index(None, "tenant_id", "created_at"),
    sa.Index(None, "returned_sid"),
    sa.UniqueConstraint("lane"),
)

#: What outbound cost a tenant on a day (UTC), estimated, in millionths of the deployment's
#: currency.
tenant_spend = sa.Table(
    "tenant_spend",
    metadata,
    tenant(primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("micros", sa.BigInteger, nullable=False),
)

#: A tenant's own cap on it, in place of the deployment's.
tenant_limits = sa.Table(
    "tenant_limits",
    metadata,
    tenant(primary_key=True),
    sa.Column("spend_cap_micros", sa.BigInteger, nullable=False),
    instant("updated_at", nullable=False),
)
