"""Recordings, erasures of persons, versions of the agent's instructions.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"

TEXT = sa.Text()
# SQLite: ISO 8601 in UTC, "2026-11-24T13:30:00.000000Z".
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


def upgrade() -> None:
    _create_recordings()
    _create_erasures()
    _create_instruction_versions()


def downgrade() -> None:
    op.drop_table("instruction_versions")
    op.drop_table("erasures")
    op.drop_table("recordings")


def _create_recordings() -> None:
    op.create_table(
        "recordings",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("call_id", TEXT, nullable=False),
        sa.Column("call_sid", TEXT, nullable=False),
        sa.Column("recording_sid", TEXT, nullable=True),
        sa.Column("state", TEXT, server_default="announced", nullable=False),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("source IN ('call', 'voicemail')", name=op.f("ck_recordings_source")),
        sa.CheckConstraint(
            "state IN ('announced', 'recording', 'refused', 'kept', 'failed')",
            name=op.f("ck_recordings_state"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_recordings_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recordings")),
        sa.UniqueConstraint(
            "tenant_id", "call_id", "source", name=op.f("uq_recordings_tenant_id_call_id_source")
        ),
    )


def _create_erasures() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("erased", TEXT, server_default="{}", nullable=False),
        sa.Column("pending", TEXT, server_default="[]", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_erasures_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.create_index(
        op.f("ix_erasures_tenant_id_created_at"),
        "erasures",
        ["tenant_id", "created_at"],
        unique=False,
    )


def _create_instruction_versions() -> None:
    op.create_table(
        "instruction_versions",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("note", TEXT, server_default="", nullable=False),
        sa.Column("created_by", TEXT, nullable=True),
        sa.Column("activation", sa.Integer(), nullable=True),
        sa.Column("activated_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_instruction_versions_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instruction_versions")),
        sa.UniqueConstraint(
            "tenant_id", "activation", name=op.f("uq_instruction_versions_tenant_id_activation")
        ),
        sa.UniqueConstraint(
            "tenant_id", "number", name=op.f("uq_instruction_versions_tenant_id_number")
        ),
    )
