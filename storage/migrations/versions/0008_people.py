"""People (contacts), what becomes of prospects and tickets, and what an owner is told.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
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


def upgrade() -> None:
    _create_contacts()
    _create_contact_addresses()
    _create_contact_proposals()
    _create_record_history()
    _create_notifications()
    _create_notification_settings()
    _add_columns()


def downgrade() -> None:
    op.drop_index(op.f("ix_call_logs_tenant_id_contact_id"), "call_logs")
    op.drop_index(op.f("ix_tickets_tenant_id_contact_id"), "tickets")
    op.drop_index(op.f("ix_qualified_prospects_tenant_id_contact_id"), "qualified_prospects")
    op.drop_index(op.f("ix_qualified_prospects_request_key"), "qualified_prospects")
    for table in (
        "notification_settings",
        "notifications",
        "record_history",
        "contact_proposals",
        "contact_addresses",
        "contacts",
    ):
        op.drop_table(table)
    for table, names in COLUMNS.items():
        for name in names:
            op.drop_column(table, name)


COLUMNS = {
    "call_logs": ("contact_id",),
    "tickets": ("contact_id", "callback_when", "version"),
    "qualified_prospects": (
        "contact_id",
        "first_name",
        "last_name",
        "answers",
        "score_reasons",
        "missing",
        "assigned_to",
        "request_key",
        "version",
    ),
}
DEFAULTS = {"answers": "{}", "score_reasons": "[]", "missing": "[]"}


def _add_columns() -> None:
    for table, names in COLUMNS.items():
        for name in names:
            op.add_column(table, _column(name))
    op.create_index(
        op.f("ix_call_logs_tenant_id_contact_id"), "call_logs", ["tenant_id", "contact_id"]
    )
    op.create_index(op.f("ix_tickets_tenant_id_contact_id"), "tickets", ["tenant_id", "contact_id"])
    op.create_index(
        op.f("ix_qualified_prospects_tenant_id_contact_id"),
        "qualified_prospects",
        ["tenant_id", "contact_id"],
    )
    op.create_index(
        op.f("ix_qualified_prospects_request_key"),
        "qualified_prospects",
        ["request_key"],
        unique=True,
    )


def _column(name: str) -> sa.Column[object]:
    if name == "version":
        return sa.Column(name, sa.Integer(), server_default="1", nullable=False)
    if name in DEFAULTS:
        return sa.Column(name, TEXT, server_default=DEFAULTS[name], nullable=False)
    return sa.Column(name, TEXT)


def _create_contacts() -> None:
    op.create_table(
        "contacts",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("name", TEXT, server_default="", nullable=False),
        sa.Column("names", TEXT, server_default="[]", nullable=False),
        sa.Column("folded", TEXT, server_default="", nullable=False),
        sa.Column("language", TEXT, nullable=True),
        sa.Column("preferred_channel", TEXT, nullable=True),
        sa.Column("notes", TEXT, nullable=True),
        sa.Column("source", TEXT, nullable=True),
        sa.Column("merged_into", TEXT, nullable=True),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "preferred_channel IN ('phone', 'sms', 'email', 'whatsapp')",
            name=op.f("ck_contacts_preferred_channel"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_contacts_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_contacts_tenant_id_id")),
    )
    op.create_index(op.f("ix_contacts_last_seen_at"), "contacts", ["last_seen_at"], unique=False)
    op.create_index(
        op.f("ix_contacts_tenant_id_last_seen_at"),
        "contacts",
        ["tenant_id", "last_seen_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_contacts_tenant_id_merged_into"),
        "contacts",
        ["tenant_id", "merged_into"],
        unique=False,
    )


def _create_contact_addresses() -> None:
    op.create_table(
        "contact_addresses",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("contact_id", TEXT, nullable=False),
        sa.Column("proof", TEXT, nullable=False),
        sa.Column("last_seen_at", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "kind IN ('phone', 'email', 'whatsapp', 'whatsapp_id')",
            name=op.f("ck_contact_addresses_kind"),
        ),
        sa.CheckConstraint(
            "proof IN ('said', 'call', 'message', 'operator')",
            name=op.f("ck_contact_addresses_proof"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_contact_addresses_tenant_id_contact_id_contacts"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_contact_addresses_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "value", name=op.f("pk_contact_addresses")),
    )
    op.create_index(
        op.f("ix_contact_addresses_tenant_id_contact_id"),
        "contact_addresses",
        ["tenant_id", "contact_id"],
        unique=False,
    )


def _create_contact_proposals() -> None:
    op.create_table(
        "contact_proposals",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("contact_id", TEXT, nullable=False),
        sa.Column("other_id", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("call_id", TEXT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("declined_at", INSTANT, nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_contact_proposals_tenant_id_contact_id_contacts"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "other_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_contact_proposals_tenant_id_other_id_contacts"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_contact_proposals_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contact_proposals")),
        sa.UniqueConstraint(
            "tenant_id",
            "contact_id",
            "other_id",
            name=op.f("uq_contact_proposals_tenant_id_contact_id_other_id"),
        ),
    )


def _create_record_history() -> None:
    op.create_table(
        "record_history",
        sa.Column("seq", SEQUENCE, sa.Identity(always=False), nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("contact_id", TEXT, nullable=True),
        sa.Column("prospect_id", TEXT, nullable=True),
        sa.Column("ticket_id", TEXT, nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("changes", TEXT, server_default="{}", nullable=False),
        sa.ForeignKeyConstraint(
            ["prospect_id"],
            ["qualified_prospects.id"],
            name=op.f("fk_record_history_prospect_id_qualified_prospects"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "contact_id"],
            ["contacts.tenant_id", "contacts.id"],
            name=op.f("fk_record_history_tenant_id_contact_id_contacts"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_record_history_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
            name=op.f("fk_record_history_ticket_id_tickets"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_record_history")),
    )
    op.create_index(
        op.f("ix_record_history_prospect_id"), "record_history", ["prospect_id"], unique=False
    )
    op.create_index(
        op.f("ix_record_history_tenant_id_contact_id"),
        "record_history",
        ["tenant_id", "contact_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_record_history_ticket_id"), "record_history", ["ticket_id"], unique=False
    )


def _create_notifications() -> None:
    op.create_table(
        "notifications",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("subject_id", TEXT, nullable=True),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("dedupe_key", TEXT, nullable=True),
        sa.Column("alert_id", TEXT, nullable=True),
        sa.Column("alert_reason", TEXT, nullable=True),
        sa.Column("read_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_notifications_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint(
            "tenant_id", "dedupe_key", name=op.f("uq_notifications_tenant_id_dedupe_key")
        ),
    )
    op.create_index(
        op.f("ix_notifications_created_at"), "notifications", ["created_at"], unique=False
    )
    op.create_index(
        op.f("ix_notifications_tenant_id_created_at"),
        "notifications",
        ["tenant_id", "created_at"],
        unique=False,
    )
    op.create_index(
        op.f("ix_notifications_tenant_id_read_at"),
        "notifications",
        ["tenant_id", "read_at"],
        unique=False,
    )


def _create_notification_settings() -> None:
    op.create_table(
        "notification_settings",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("channel", TEXT, server_default="none", nullable=False),
        sa.Column("address", TEXT, nullable=True),
        sa.Column("verified_at", INSTANT, nullable=True),
        sa.Column("code_hash", TEXT, nullable=True),
        sa.Column("code_until", INSTANT, nullable=True),
        sa.Column("code_tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("kinds", TEXT, nullable=True),
        sa.Column("quiet_from", sa.Time(), nullable=True),
        sa.Column("quiet_until", sa.Time(), nullable=True),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "channel IN ('none', 'sms', 'email', 'whatsapp')",
            name=op.f("ck_notification_settings_channel"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_notification_settings_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_notification_settings")),
    )
