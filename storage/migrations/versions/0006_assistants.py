"""Tenants' assistants at Vapi, the deployment's own name, and which call at Vapi is which of ours.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"

TEXT = sa.Text()
# SQLite: ISO 8601 in UTC, "2026-11-24T13:30:00.000000Z".
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


def upgrade() -> None:
    op.create_table(
        "assistant_claims",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("channel_type", TEXT, nullable=False),
        sa.Column("claimed_by", TEXT),
        sa.Column("claimed_until", INSTANT),
        sa.Column("asked_at", INSTANT),
        sa.Column("assistant_id", TEXT),
        sa.Column("config_hash", TEXT),
        sa.Column("error", TEXT),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_assistant_claims_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "channel_type", name=op.f("pk_assistant_claims")),
        sa.CheckConstraint(
            "channel_type IN ('phone', 'sms', 'email', 'whatsapp')",
            name=op.f("ck_assistant_claims_channel_type"),
        ),
    )
    op.create_table(
        "deployment",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_deployment")),
    )
    op.add_column("call_logs", sa.Column("vapi_call_id", TEXT))
    op.create_index(op.f("ix_call_logs_vapi_call_id"), "call_logs", ["vapi_call_id"], unique=True)


def downgrade() -> None:
    op.drop_index(op.f("ix_call_logs_vapi_call_id"), "call_logs")
    op.drop_column("call_logs", "vapi_call_id")
    op.drop_table("deployment")
    op.drop_table("assistant_claims")
