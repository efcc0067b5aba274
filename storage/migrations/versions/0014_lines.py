"""Telephone lines: claims, forwarding checks, what was spent.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"

TEXT = sa.Text()
# SQLite: ISO 8601 in UTC, "2026-11-24T13:30:00.000000Z".
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


def upgrade() -> None:
    op.add_column("tenant_lines", sa.Column("claimed_at", INSTANT))
    op.add_column("tenant_lines", sa.Column("verified_at", INSTANT))
    op.add_column("tenant_lines", sa.Column("proof", TEXT))
    op.add_column("tenant_lines", sa.Column("forwarded_as", TEXT))
    op.create_index(
        op.f("ix_tenant_lines_forwarded_as"), "tenant_lines", ["forwarded_as"], unique=True
    )
    _create_line_checks()
    _create_tenant_spend()
    _create_tenant_limits()


def downgrade() -> None:
    op.drop_table("tenant_limits")
    op.drop_table("tenant_spend")
    op.drop_table("line_checks")
    op.drop_index(op.f("ix_tenant_lines_forwarded_as"), "tenant_lines")
    for column in ("forwarded_as", "proof", "verified_at", "claimed_at"):
        op.drop_column("tenant_lines", column)


def _create_line_checks() -> None:
    op.create_table(
        "line_checks",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("number", TEXT, nullable=False),
        sa.Column("kind", TEXT, server_default="forwarding", nullable=False),
        sa.Column("state", TEXT, server_default="queued", nullable=False),
        sa.Column("verdict", TEXT, nullable=True),
        sa.Column("reason", TEXT, nullable=True),
        sa.Column("lane", TEXT, nullable=True),
        sa.Column("caller_id", TEXT, nullable=True),
        sa.Column("call_sid", TEXT, nullable=True),
        sa.Column("returned_sid", TEXT, nullable=True),
        sa.Column("returned_as", TEXT, nullable=True),
        sa.Column("code_hash", TEXT, nullable=True),
        sa.Column("code_tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("ends_at", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('forwarding', 'code')", name=op.f("ck_line_checks_kind")),
        sa.CheckConstraint(
            "state IN ('queued', 'calling', 'done')", name=op.f("ck_line_checks_state")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_line_checks_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_line_checks")),
        sa.UniqueConstraint("lane", name=op.f("uq_line_checks_lane")),
    )
    op.create_index(
        op.f("ix_line_checks_returned_sid"), "line_checks", ["returned_sid"], unique=False
    )
    op.create_index(
        op.f("ix_line_checks_tenant_id_created_at"),
        "line_checks",
        ["tenant_id", "created_at"],
        unique=False,
    )


def _create_tenant_spend() -> None:
    op.create_table(
        "tenant_spend",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_tenant_spend_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "day", name=op.f("pk_tenant_spend")),
    )


def _create_tenant_limits() -> None:
    op.create_table(
        "tenant_limits",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("spend_cap_micros", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_tenant_limits_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenant_limits")),
    )
