"""What server processes on one database know of each other.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"

TEXT = sa.Text()
# SQLite: ISO 8601 in UTC, "2026-11-24T13:30:00.000000Z".
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")
# SQLite numbers rows by itself in an INTEGER primary key only.
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# A place for a call, if its tenant has fewer than `most` (NULL: any number); one that it has, it
# keeps. A function, because that takes two statements and must be one round trip: the count has to
# begin after whoever came before has committed, hence after the lock, and a statement sees only
# what was committed before it began. The lock (its first key says "cocc") ends with the statement.
TAKE_CALL_SLOT = """
CREATE FUNCTION take_call_slot(
    sid text, tenant text, node text, most integer, seconds double precision
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    instant timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(1668244323, hashtext(tenant));
    instant := clock_timestamp();
    INSERT INTO call_slots (call_sid, tenant_id, node_id, until)
    SELECT sid, tenant, node, instant + make_interval(secs => seconds)
    WHERE most IS NULL
        OR EXISTS (
            SELECT FROM call_slots AS had
            WHERE had.call_sid = sid AND had.tenant_id = tenant AND had.until > instant
        )
        OR most > (
            SELECT count(*) FROM call_slots AS taken
            WHERE taken.tenant_id = tenant AND taken.call_sid <> sid AND taken.until > instant
        )
    ON CONFLICT (call_sid) DO UPDATE SET
        tenant_id = excluded.tenant_id,
        node_id = excluded.node_id,
        until = greatest(excluded.until, call_slots.until);
    RETURN FOUND;
END
$$
"""


def upgrade() -> None:
    _create_nodes()
    _create_call_slots()
    _create_rate_counters()
    _create_live_events()
    _create_schema_revisions()
    op.add_column("call_logs", sa.Column("node_id", TEXT))
    carried = sa.text("outcome IS NULL AND node_id IS NOT NULL")
    op.create_index(
        "ix_call_logs_carried",
        "call_logs",
        ["node_id"],
        sqlite_where=carried,
        postgresql_where=carried,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(TAKE_CALL_SLOT)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION take_call_slot")
    op.drop_index("ix_call_logs_carried", "call_logs")
    op.drop_column("call_logs", "node_id")
    for table in (
        "schema_revisions",
        "live_events",
        "rate_counters",
        "call_slots",
        "nodes",
    ):
        op.drop_table(table)


def _create_nodes() -> None:
    op.create_table(
        "nodes",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("seen_at", INSTANT, nullable=False),
        sa.Column("draining_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_nodes"),
    )
    op.create_index("ix_nodes_seen_at", "nodes", ["seen_at"], unique=False)


def _create_call_slots() -> None:
    op.create_table(
        "call_slots",
        sa.Column("call_sid", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("node_id", TEXT, nullable=False),
        sa.Column("until", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_call_slots_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("call_sid", name="pk_call_slots"),
    )
    op.create_index("ix_call_slots_node_id", "call_slots", ["node_id"], unique=False)
    op.create_index("ix_call_slots_tenant_id", "call_slots", ["tenant_id"], unique=False)
    op.create_index("ix_call_slots_until", "call_slots", ["until"], unique=False)


def _create_rate_counters() -> None:
    op.create_table(
        "rate_counters",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_rate_counters"),
    )
    op.create_index("ix_rate_counters_expires_at", "rate_counters", ["expires_at"], unique=False)


def _create_live_events() -> None:
    op.create_table(
        "live_events",
        sa.Column("seq", SEQUENCE, sa.Identity(always=False), nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("subject", TEXT, nullable=True),
        sa.Column("data", TEXT, server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_live_events_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("seq", name="pk_live_events"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_live_events_at", "live_events", ["at"], unique=False)
    op.create_index(
        "ix_live_events_tenant_id_seq", "live_events", ["tenant_id", "seq"], unique=False
    )


def _create_schema_revisions() -> None:
    op.create_table(
        "schema_revisions",
        sa.Column("revision", TEXT, nullable=False),
        sa.Column("oldest_server", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("revision", name="pk_schema_revisions"),
    )
