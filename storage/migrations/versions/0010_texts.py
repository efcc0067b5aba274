"""Texts: the outbox, templates, consent.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
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

LOG = "channel_messages_log"
CHANNELS = "channel_type IN ('phone', 'sms', 'email', 'whatsapp')"
OLD_STATUSES = "status IN ('pending', 'sent', 'delivered', 'failed', 'read')"
STATUSES = (
    "status IN ('pending', 'sent', 'delivered', 'failed', 'read', 'queued', 'sending', "
    "'accepted', 'unknown', 'expired', 'suppressed', 'cancelled')"
)
WAITING = sa.text("status IN ('queued', 'sending')")

#: What the log gets: name, type, default (with one: NOT NULL).
COLUMNS = (
    ("sender", TEXT, None),
    ("contact_id", TEXT, None),
    ("conversation_id", TEXT, None),
    ("appointment_id", TEXT, None),
    ("in_reply_to", TEXT, None),
    ("purpose", TEXT, None),
    ("dedupe_key", TEXT, None),
    ("created_by", TEXT, None),
    ("lane", TEXT, None),
    ("position", sa.BigInteger(), None),
    ("not_before", INSTANT, None),
    ("expires_at", INSTANT, None),
    ("due_at", INSTANT, None),
    ("attempts", sa.Integer(), "0"),
    ("claimed_by", TEXT, None),
    ("claimed_at", INSTANT, None),
    ("template_version", sa.Integer(), None),
    ("template_language", TEXT, None),
    ("message_id", TEXT, None),
    ("segments", sa.Integer(), None),
    ("encoding", TEXT, None),
    ("price_micros", sa.BigInteger(), None),
    ("price_currency", TEXT, None),
    ("extras", TEXT, "{}"),
    ("accepted_at", INSTANT, None),
    ("settled_at", INSTANT, None),
)

INDEXES = (
    ("tenant_id", "dedupe_key"),
    ("tenant_id", "conversation_id"),
    ("tenant_id", "contact_id"),
    ("tenant_id", "appointment_id"),
    ("message_id",),
)


def upgrade() -> None:
    with op.batch_alter_table(LOG, copy_from=_log(OLD_STATUSES)) as log:
        for name, kind, default in COLUMNS:
            log.add_column(sa.Column(name, kind, nullable=default is None, server_default=default))
        log.drop_constraint(op.f("ck_channel_messages_log_status"), type_="check")
        log.create_check_constraint(op.f("ck_channel_messages_log_status"), STATUSES)
        log.create_check_constraint(
            op.f("ck_channel_messages_log_purpose"),
            "purpose IN ('service', 'marketing', 'answer', 'owner')",
        )
    for columns in INDEXES:
        op.create_index(_index(columns), LOG, list(columns), unique=columns[-1] == "dedupe_key")
    op.create_index(
        "ix_channel_messages_log_waiting",
        LOG,
        ["tenant_id", "lane"],
        sqlite_where=WAITING,
        postgresql_where=WAITING,
    )
    _create_text_events()
    _create_message_templates()
    _create_consent_ledger()
    _create_suppression_keys()
    _create_sender_blocks()
    _create_channel_pauses()
    _create_text_counters()


def downgrade() -> None:
    for table in (
        "text_counters",
        "channel_pauses",
        "sender_blocks",
        "suppression_keys",
        "consent_ledger",
        "message_templates",
        "text_events",
    ):
        op.drop_table(table)
    op.drop_index("ix_channel_messages_log_waiting", LOG)
    for columns in INDEXES[::-1]:
        op.drop_index(_index(columns), LOG)
    # What the older server can't say, in its words: it sends nothing that is `pending`.
    op.execute(
        f"UPDATE {LOG} SET status = 'pending' "  # noqa: S608
        "WHERE status IN ('queued', 'sending', 'accepted', 'unknown')"
    )
    op.execute(
        f"UPDATE {LOG} SET status = 'failed' "  # noqa: S608
        "WHERE status IN ('expired', 'suppressed', 'cancelled')"
    )
    with op.batch_alter_table(LOG, copy_from=_log(STATUSES, new=True)) as log:
        for name in ("purpose", "status"):
            log.drop_constraint(op.f(f"ck_channel_messages_log_{name}"), type_="check")
        log.create_check_constraint(op.f("ck_channel_messages_log_status"), OLD_STATUSES)
        for name, _kind, _default in COLUMNS[::-1]:
            log.drop_column(name)


def _index(columns: tuple[str, ...]) -> str:
    return op.f(f"ix_channel_messages_log_{'_'.join(columns)}")


def _log(statuses: str, *, new: bool = False) -> sa.Table:
    """The log as it is before: SQLite alters a table by copying it."""
    log = sa.Table(
        LOG,
        sa.MetaData(),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("channel_type", TEXT, nullable=False),
        sa.Column("to_address", TEXT, nullable=False),
        sa.Column("template_name", TEXT),
        sa.Column("subject", TEXT),
        sa.Column("content", TEXT),
        sa.Column("template_variables", TEXT, server_default="{}", nullable=False),
        sa.Column("status", TEXT, server_default="pending", nullable=False),
        sa.Column("external_message_id", TEXT),
        sa.Column("error_message", TEXT),
        sa.Column("error_code", TEXT),
        sa.Column("provider", TEXT),
        sa.Column("cost_cents", sa.Integer()),
        sa.Column("duration_seconds", sa.Integer()),
        sa.Column("sent_at", INSTANT),
        sa.Column("delivered_at", INSTANT),
        sa.Column("read_at", INSTANT),
        sa.Column("failed_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(CHANNELS, name=op.f("ck_channel_messages_log_channel_type")),
        sa.CheckConstraint(statuses, name=op.f("ck_channel_messages_log_status")),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_channel_messages_log_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_messages_log")),
    )
    for columns in (
        ("created_at",),
        ("external_message_id",),
        ("tenant_id", "channel_type"),
        ("tenant_id", "created_at"),
        ("tenant_id", "status"),
        ("to_address",),
    ):
        sa.Index(_index(columns), *(log.c[name] for name in columns))
    if new:
        for name, kind, default in COLUMNS:
            log.append_column(
                sa.Column(name, kind, nullable=default is None, server_default=default)
            )
        log.append_constraint(
            sa.CheckConstraint(
                "purpose IN ('service', 'marketing', 'answer', 'owner')",
                name=op.f("ck_channel_messages_log_purpose"),
            )
        )
    return log


def _create_text_events() -> None:
    op.create_table(
        "text_events",
        sa.Column("seq", SEQUENCE, sa.Identity(always=False), nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("text_id", TEXT, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("status", TEXT, nullable=False),
        sa.Column("source", TEXT, server_default="", nullable=False),
        sa.Column("code", TEXT, nullable=True),
        sa.Column("detail", TEXT, nullable=True),
        sa.Column("event_key", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_text_events_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["text_id"],
            ["channel_messages_log.id"],
            name=op.f("fk_text_events_text_id_channel_messages_log"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_text_events")),
    )
    op.create_index(op.f("ix_text_events_tenant_id"), "text_events", ["tenant_id"], unique=False)
    op.create_index(
        op.f("ix_text_events_text_id_event_key"),
        "text_events",
        ["text_id", "event_key"],
        unique=True,
    )


def _create_message_templates() -> None:
    op.create_table(
        "message_templates",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("channel_type", TEXT, nullable=False),
        sa.Column("template_key", TEXT, nullable=False),
        sa.Column("language", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("subject", TEXT, nullable=True),
        sa.Column("body", TEXT, nullable=True),
        sa.Column("vendor", TEXT, server_default="{}", nullable=False),
        sa.Column("created_by", TEXT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "channel_type IN ('phone', 'sms', 'email', 'whatsapp')",
            name=op.f("ck_message_templates_channel_type"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_message_templates_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id",
            "channel_type",
            "template_key",
            "language",
            "version",
            name=op.f("pk_message_templates"),
        ),
    )


def _create_consent_ledger() -> None:
    op.create_table(
        "consent_ledger",
        sa.Column("seq", SEQUENCE, sa.Identity(always=False), nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("channel_type", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("decision", TEXT, nullable=False),
        sa.Column("address", TEXT, nullable=True),
        sa.Column("address_hash", TEXT, nullable=True),
        sa.Column("contact_id", TEXT, nullable=True),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("wording", TEXT, nullable=True),
        sa.Column("recorded_by", TEXT, nullable=True),
        sa.Column("proof", TEXT, nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "channel_type IN ('phone', 'sms', 'email', 'whatsapp')",
            name=op.f("ck_consent_ledger_channel_type"),
        ),
        sa.CheckConstraint(
            "decision IN ('granted', 'withdrawn')", name=op.f("ck_consent_ledger_decision")
        ),
        sa.CheckConstraint(
            "purpose IN ('service', 'marketing')", name=op.f("ck_consent_ledger_purpose")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_consent_ledger_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_consent_ledger")),
    )
    op.create_index(
        op.f("ix_consent_ledger_address_hash"), "consent_ledger", ["address_hash"], unique=False
    )
    op.create_index(
        op.f("ix_consent_ledger_tenant_id_channel_type_address"),
        "consent_ledger",
        ["tenant_id", "channel_type", "address"],
        unique=False,
    )
    op.create_index(
        op.f("ix_consent_ledger_tenant_id_contact_id"),
        "consent_ledger",
        ["tenant_id", "contact_id"],
        unique=False,
    )


def _create_suppression_keys() -> None:
    op.create_table(
        "suppression_keys",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("sealed", TEXT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_suppression_keys_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppression_keys")),
        sa.UniqueConstraint("tenant_id", name=op.f("uq_suppression_keys_tenant_id")),
    )


def _create_sender_blocks() -> None:
    op.create_table(
        "sender_blocks",
        sa.Column("sender", TEXT, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("code", TEXT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("sender", "address", name=op.f("pk_sender_blocks")),
    )


def _create_channel_pauses() -> None:
    op.create_table(
        "channel_pauses",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("channel_type", TEXT, nullable=False),
        sa.Column("code", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.CheckConstraint(CHANNELS, name=op.f("ck_channel_pauses_channel_type")),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_channel_pauses_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "channel_type", name=op.f("pk_channel_pauses")),
    )


def _create_text_counters() -> None:
    op.create_table(
        "text_counters",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("bucket", TEXT, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_text_counters_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "day", "bucket", name=op.f("pk_text_counters")),
    )
