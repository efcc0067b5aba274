"""What server processes on one database must know of each other."""

import sqlalchemy as sa

from storage.columns import CleanText
from storage.schema.base import identifier, instant, json, metadata, tenant, text, words

#: One row per running process. Whoever hasn't been seen for a while is dead.
nodes = sa.Table(
    "nodes",
    metadata,
    identifier(),
    words("role"),  # server | worker
    words("version"),
    instant("started_at", nullable=False),
    instant("seen_at", nullable=False),  # by the database's clock, not by the node's
    instant("draining_at"),
    sa.Index(None, "seen_at"),
)

#: The places that calls take, so that a tenant's limit holds across nodes.
call_slots = sa.Table(
    "call_slots",
    metadata,
    sa.Column("call_sid", CleanText, primary_key=True),
    tenant(),
    words("node_id"),
    instant("until", nullable=False),
    sa.Index(None, "tenant_id"),
    sa.Index(None, "node_id"),
    sa.Index(None, "until"),
)

#: How often something was done within a window, for rate limits across nodes.
rate_counters = sa.Table(
    "rate_counters",
    metadata,
    sa.Column("key", CleanText, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
    instant("expires_at", nullable=False),
    sa.Index(None, "expires_at"),
)

#: What dashboards are told at once. Kept for a day, so that who was away can catch up.
live_events = sa.Table(
    "live_events",
    metadata,
    sa.Column(
        "seq",
        # SQLite numbers rows by itself in an INTEGER primary key only.
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.Identity(),
        primary_key=True,
    ),
    tenant(),
    instant("at", nullable=False),
    words("kind"),
    text("subject"),  # the id of what it is about
    json("data", "{}"),
    sa.Index(None, "tenant_id", "seq"),
    sa.Index(None, "at"),
    # Or SQLite would give a purged event's number once more.
    sqlite_autoincrement=True,
)

#: What each migration that was applied asks of servers: one that is older refuses to run.
schema_revisions = sa.Table(
    "schema_revisions",
    metadata,
    sa.Column("revision", CleanText, primary_key=True),
    words("oldest_server"),
)
