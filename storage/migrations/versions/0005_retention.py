"""How far the purge has come, and calls by age.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
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
        "retention_marks",
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("purged_until", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_retention_marks")),
    )
    op.create_index(op.f("ix_call_logs_started_at"), "call_logs", ["started_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_call_logs_started_at"), "call_logs")
    op.drop_table("retention_marks")
