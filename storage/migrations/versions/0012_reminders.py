"""Reminders of appointments, and confirmations.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"

TEXT = sa.Text()
# SQLite: ISO 8601 in UTC, "2026-11-24T13:30:00.000000Z".
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


def upgrade() -> None:
    _create_reminders()


def downgrade() -> None:
    op.drop_table("reminders")


def _create_reminders() -> None:
    op.create_table(
        "reminders",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("appointment_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT, nullable=False),
        sa.Column("only_without_first", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("state", TEXT, server_default="planned", nullable=False),
        sa.Column("reason", TEXT, nullable=True),
        sa.Column("tried", TEXT, server_default="[]", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "kind IN ('24h', '1h', 'confirmation', 'moved', 'cancelled')",
            name=op.f("ck_reminders_kind"),
        ),
        sa.CheckConstraint(
            "state IN ('planned', 'sending', 'sent', 'dropped', 'failed')",
            name=op.f("ck_reminders_state"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "appointment_id"],
            ["rendez_vous.tenant_id", "rendez_vous.id"],
            name=op.f("fk_reminders_tenant_id_appointment_id_rendez_vous"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_reminders_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminders")),
        sa.UniqueConstraint(
            "tenant_id",
            "appointment_id",
            "kind",
            "starts_at",
            name=op.f("uq_reminders_tenant_id_appointment_id_kind_starts_at"),
        ),
    )
    op.create_index(
        "ix_reminders_planned",
        "reminders",
        ["tenant_id", "due_at"],
        unique=False,
        sqlite_where=sa.text("state = 'planned'"),
        postgresql_where=sa.text("state = 'planned'"),
    )
