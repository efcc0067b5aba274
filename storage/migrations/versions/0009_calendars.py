"""Calendar feeds, busy times of other calendars.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"

TEXT = sa.Text()
# SQLite: ISO 8601 in UTC, "2026-11-24T13:30:00.000000Z".
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


def upgrade() -> None:
    _create_calendar_feeds()
    _create_external_calendars()
    _create_external_busy()


def downgrade() -> None:
    op.drop_table("external_busy")
    op.drop_table("external_calendars")
    op.drop_table("calendar_feeds")


def _create_calendar_feeds() -> None:
    op.create_table(
        "calendar_feeds",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("token_hash", TEXT, nullable=False),
        sa.Column("label", TEXT, server_default="", nullable=False),
        sa.Column("resource", TEXT),
        sa.Column("show_names", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("read_at", INSTANT),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_calendar_feeds_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_feeds")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_calendar_feeds_token_hash")),
    )
    op.create_index(op.f("ix_calendar_feeds_tenant_id"), "calendar_feeds", ["tenant_id"])


def _create_external_calendars() -> None:
    op.create_table(
        "external_calendars",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("label", TEXT, server_default="", nullable=False),
        sa.Column("resource", TEXT, server_default="", nullable=False),
        sa.Column("url_sealed", TEXT, nullable=False),
        sa.Column("host", TEXT, server_default="", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("state", TEXT, server_default="new", nullable=False),
        sa.Column("state_since", INSTANT, nullable=False),
        sa.Column("error", TEXT),
        sa.Column("error_detail", TEXT),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("attempted_at", INSTANT),
        sa.Column("fetched_at", INSTANT),
        sa.Column("etag", TEXT, server_default="", nullable=False),
        sa.Column("last_modified", TEXT, server_default="", nullable=False),
        sa.Column("read_as", TEXT, server_default="", nullable=False),
        sa.Column("expanded_until", INSTANT),
        sa.Column("events", sa.Integer(), server_default="0", nullable=False),
        sa.Column("notes", TEXT, server_default="[]", nullable=False),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "state IN ('new', 'ok', 'broken')", name=op.f("ck_external_calendars_state")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_external_calendars_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_external_calendars")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_external_calendars_tenant_id_id")),
    )


def _create_external_busy() -> None:
    op.create_table(
        "external_busy",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("calendar_id", TEXT, nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "calendar_id"],
            ["external_calendars.tenant_id", "external_calendars.id"],
            name=op.f("fk_external_busy_tenant_id_calendar_id_external_calendars"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_external_busy_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "calendar_id", "starts_at", name=op.f("pk_external_busy")
        ),
    )
    op.create_index(
        op.f("ix_external_busy_tenant_id_ends_at"), "external_busy", ["tenant_id", "ends_at"]
    )
