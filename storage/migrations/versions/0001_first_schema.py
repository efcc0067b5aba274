"""The first schema: tenants, their channels, calls, and what calls leave behind.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.1.0"
oldest_server = "0.1.0"

TEXT = sa.Text()
# SQLite: ISO 8601 in UTC, "2026-11-24T13:30:00.000000Z".
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")
# SQLite numbers rows by itself in an INTEGER primary key only.
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _create_tenants()
    _create_tenant_numbers()
    _create_tenant_lines()
    _create_tenant_keys()
    _create_business_hours()
    _create_channel_configurations()
    _create_channel_messages_log()
    _create_call_logs()
    _create_stream_tokens()
    _create_call_events()
    _create_function_calls()
    _create_rendez_vous()
    _create_rendez_vous_cells()
    _create_qualified_prospects()
    _create_tickets()


def downgrade() -> None:
    for table in (
        "tickets",
        "qualified_prospects",
        "rendez_vous_cells",
        "rendez_vous",
        "function_calls",
        "call_events",
        "stream_tokens",
        "call_logs",
        "channel_messages_log",
        "channel_configurations",
        "business_hours",
        "tenant_keys",
        "tenant_lines",
        "tenant_numbers",
        "tenants",
    ):
        op.drop_table(table)


def _create_tenants() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("code", TEXT, nullable=False),
        sa.Column("timezone", TEXT, nullable=False),
        sa.Column("locale", TEXT, nullable=False),
        sa.Column("sector", TEXT, nullable=False),
        sa.Column("status", TEXT, server_default="active", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("hours_set_at", INSTANT),
        sa.CheckConstraint("status IN ('active', 'suspended')", name="ck_tenants_status"),
        sa.CheckConstraint("length(code) = 4", name="ck_tenants_code"),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("code", name="uq_tenants_code"),
    )


def _create_tenant_numbers() -> None:
    op.create_table(
        "tenant_numbers",
        sa.Column("number", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_tenant_numbers_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name="pk_tenant_numbers"),
    )
    op.create_index("ix_tenant_numbers_tenant_id", "tenant_numbers", ["tenant_id"])


def _create_tenant_lines() -> None:
    op.create_table(
        "tenant_lines",
        sa.Column("number", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_tenant_lines_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name="pk_tenant_lines"),
    )
    op.create_index("ix_tenant_lines_tenant_id", "tenant_lines", ["tenant_id"])


def _create_tenant_keys() -> None:
    op.create_table(
        "tenant_keys",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("key_hash", TEXT, nullable=False),
        sa.Column("label", TEXT, server_default="", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_tenant_keys_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tenant_keys"),
        sa.UniqueConstraint("key_hash", name="uq_tenant_keys_key_hash"),
    )
    op.create_index("ix_tenant_keys_tenant_id", "tenant_keys", ["tenant_id"])


def _create_business_hours() -> None:
    op.create_table(
        "business_hours",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("day", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("opens", sa.Time(), nullable=False),
        sa.Column("closes", sa.Time(), nullable=False),
        sa.CheckConstraint("day BETWEEN 1 AND 7", name="ck_business_hours_day"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_business_hours_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "day", "opens", name="pk_business_hours"),
    )


def _create_channel_configurations() -> None:
    op.create_table(
        "channel_configurations",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("channel_type", TEXT, nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("configured", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("config_encrypted", TEXT),
        sa.Column("config_public", TEXT, server_default="{}", nullable=False),
        sa.Column("templates", TEXT, server_default="{}", nullable=False),
        sa.Column("assistant_id", TEXT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("transfer_number", TEXT),
        sa.CheckConstraint(
            "channel_type IN ('phone', 'sms', 'email', 'whatsapp')",
            name="ck_channel_configurations_channel_type",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_channel_configurations_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_channel_configurations"),
        sa.UniqueConstraint(
            "tenant_id", "channel_type", name="uq_channel_configurations_tenant_id_channel_type"
        ),
    )
    op.create_index(
        "ix_channel_configurations_channel_type", "channel_configurations", ["channel_type"]
    )
    op.create_index(
        "ix_channel_configurations_tenant_id_enabled",
        "channel_configurations",
        ["tenant_id", "enabled"],
    )
    op.create_index(
        "ix_channel_configurations_transfer_number", "channel_configurations", ["transfer_number"]
    )


def _create_channel_messages_log() -> None:
    op.create_table(
        "channel_messages_log",
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
        sa.CheckConstraint(
            "channel_type IN ('phone', 'sms', 'email', 'whatsapp')",
            name="ck_channel_messages_log_channel_type",
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'sent', 'delivered', 'failed', 'read')",
            name="ck_channel_messages_log_status",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_channel_messages_log_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_channel_messages_log"),
    )
    op.create_index("ix_channel_messages_log_created_at", "channel_messages_log", ["created_at"])
    op.create_index(
        "ix_channel_messages_log_external_message_id",
        "channel_messages_log",
        ["external_message_id"],
    )
    op.create_index(
        "ix_channel_messages_log_tenant_id_channel_type",
        "channel_messages_log",
        ["tenant_id", "channel_type"],
    )
    op.create_index(
        "ix_channel_messages_log_tenant_id_created_at",
        "channel_messages_log",
        ["tenant_id", "created_at"],
    )
    op.create_index(
        "ix_channel_messages_log_tenant_id_status", "channel_messages_log", ["tenant_id", "status"]
    )
    op.create_index("ix_channel_messages_log_to_address", "channel_messages_log", ["to_address"])


def _create_call_logs() -> None:
    op.create_table(
        "call_logs",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT),
        sa.Column("call_sid", TEXT, nullable=False),
        sa.Column("assistant_id", TEXT),
        sa.Column("from_number", TEXT, nullable=False),
        sa.Column("to_number", TEXT, nullable=False),
        sa.Column("forwarded_from", TEXT),
        sa.Column("direction", TEXT, server_default="inbound", nullable=False),
        sa.Column("call_status", TEXT, server_default="initiated", nullable=False),
        sa.Column("duration_seconds", sa.Integer()),
        sa.Column("cost_cents", sa.Integer()),
        sa.Column("recording_url", TEXT),
        sa.Column("transcript", TEXT),
        sa.Column("summary", TEXT),
        sa.Column("sentiment", TEXT),
        sa.Column("actions_performed", TEXT, server_default="[]", nullable=False),
        sa.Column("rdv_created", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column(
            "qualified_prospect_created", sa.Boolean(), server_default=sa.false(), nullable=False
        ),
        sa.Column("ticket_created", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("stage", TEXT, nullable=False),
        sa.Column("outcome", TEXT),
        sa.Column("found_by", TEXT),
        sa.Column("agent", TEXT),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("opening", TEXT, server_default="{}", nullable=False),
        sa.Column("transfer_number", TEXT),
        sa.Column("transfer_state", TEXT),
        sa.Column("transfer_at", INSTANT),
        sa.Column("usage", TEXT),
        sa.Column("seen_at", INSTANT),
        sa.Column("from_raw", TEXT, server_default="", nullable=False),
        sa.Column("forwarded_from_raw", TEXT),
        sa.Column("detail", TEXT, server_default="", nullable=False),
        sa.Column("answered_at", INSTANT),
        sa.CheckConstraint(
            "call_status IN ('queued', 'initiated', 'ringing', 'in-progress', 'completed', "
            "'failed', 'busy', 'no-answer', 'canceled')",
            name="ck_call_logs_call_status",
        ),
        sa.CheckConstraint("direction IN ('inbound', 'outbound')", name="ck_call_logs_direction"),
        sa.CheckConstraint(
            "transfer_state IN ('dialling', 'accepted', 'failed')",
            name="ck_call_logs_transfer_state",
        ),
        sa.CheckConstraint(
            "outcome IN ('booked', 'rescheduled', 'cancelled', 'transferred', 'qualified', "
            "'ticket', 'message', 'informed', 'wrong_number', 'tenant_unknown', 'overflow', "
            "'abandoned', 'failed')",
            name="ck_call_logs_outcome",
        ),
        sa.CheckConstraint(
            "sentiment IN ('positive', 'neutral', 'negative')", name="ck_call_logs_sentiment"
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_call_logs_tenant_id_tenants", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_call_logs"),
        sa.UniqueConstraint("call_sid", name="uq_call_logs_call_sid"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_call_logs_tenant_id_id"),
    )
    op.create_index("ix_call_logs_forwarded_from", "call_logs", ["forwarded_from"])
    op.create_index(
        "ix_call_logs_from_number_started_at", "call_logs", ["from_number", "started_at"]
    )
    op.create_index("ix_call_logs_tenant_id_started_at", "call_logs", ["tenant_id", "started_at"])
    op.create_index(
        "ix_call_logs_dialling",
        "call_logs",
        ["transfer_at"],
        sqlite_where=sa.text("transfer_state = 'dialling'"),
        postgresql_where=sa.text("transfer_state = 'dialling'"),
    )
    op.create_index(
        "ix_call_logs_unfinished",
        "call_logs",
        ["started_at"],
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )


def _create_stream_tokens() -> None:
    op.create_table(
        "stream_tokens",
        sa.Column("token_hash", TEXT, nullable=False),
        sa.Column("call_sid", TEXT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("used_at", INSTANT),
        sa.ForeignKeyConstraint(
            ["call_sid"],
            ["call_logs.call_sid"],
            name="fk_stream_tokens_call_sid_call_logs",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", name="pk_stream_tokens"),
    )
    op.create_index("ix_stream_tokens_call_sid", "stream_tokens", ["call_sid"])


def _create_call_events() -> None:
    op.create_table(
        "call_events",
        sa.Column("seq", SEQUENCE, sa.Identity(), nullable=False),
        sa.Column("call_id", TEXT, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("data", TEXT, server_default="{}", nullable=False),
        sa.CheckConstraint(
            "kind IN ('turn', 'function', 'latency', 'usage', 'event')", name="ck_call_events_kind"
        ),
        sa.ForeignKeyConstraint(
            ["call_id"],
            ["call_logs.id"],
            name="fk_call_events_call_id_call_logs",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("seq", name="pk_call_events"),
    )
    op.create_index("ix_call_events_call_id_seq", "call_events", ["call_id", "seq"])


def _create_function_calls() -> None:
    op.create_table(
        "function_calls",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("call_id", TEXT, nullable=False),
        sa.Column("function_call_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("arguments", TEXT, server_default="{}", nullable=False),
        sa.Column("arguments_hash", TEXT, nullable=False),
        sa.Column("result", TEXT, server_default="{}", nullable=False),
        sa.Column("effect", TEXT),
        sa.Column("then", TEXT, server_default="", nullable=False),
        sa.Column("detail", TEXT, server_default="", nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "call_id"],
            ["call_logs.tenant_id", "call_logs.id"],
            name="fk_function_calls_tenant_id_call_id_call_logs",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_function_calls_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_function_calls"),
        sa.UniqueConstraint(
            "call_id", "function_call_id", name="uq_function_calls_call_id_function_call_id"
        ),
    )
    op.create_index(
        "ix_function_calls_effect",
        "function_calls",
        ["call_id", "name", "arguments_hash"],
        unique=True,
        sqlite_where=sa.text("effect IS NOT NULL"),
        postgresql_where=sa.text("effect IS NOT NULL"),
    )
    op.create_index(
        "ix_function_calls_tenant_id_call_id", "function_calls", ["tenant_id", "call_id"]
    )


def _create_rendez_vous() -> None:
    op.create_table(
        "rendez_vous",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("customer_name", TEXT, nullable=False),
        sa.Column("customer_phone", TEXT),
        sa.Column("customer_email", TEXT),
        sa.Column("rdv_date", sa.Date(), nullable=False),
        sa.Column("rdv_time", sa.Time(), nullable=False),
        sa.Column("rdv_type", TEXT),
        sa.Column("rdv_duration_minutes", sa.Integer(), server_default="60", nullable=False),
        sa.Column("rdv_location", TEXT),
        sa.Column("status", TEXT, server_default="confirmed", nullable=False),
        sa.Column("notes", TEXT),
        sa.Column("internal_notes", TEXT),
        sa.Column("reminder_24h_sent", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("reminder_1h_sent", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("confirmation_sent", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("call_id", TEXT),
        sa.Column("created_by", TEXT, server_default="sara", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("cancelled_at", INSTANT),
        sa.Column("completed_at", INSTANT),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("timezone", TEXT, nullable=False),
        sa.Column("resource", TEXT, server_default="", nullable=False),
        sa.CheckConstraint(
            "status IN ('confirmed', 'cancelled', 'completed', 'no_show', 'rescheduled')",
            name="ck_rendez_vous_status",
        ),
        sa.CheckConstraint("starts_at < ends_at", name="ck_rendez_vous_starts_before_ends"),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_rendez_vous_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_rendez_vous"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_rendez_vous_tenant_id_id"),
    )
    op.create_index("ix_rendez_vous_call_id", "rendez_vous", ["call_id"])
    op.create_index(
        "ix_rendez_vous_customer_phone_created_at", "rendez_vous", ["customer_phone", "created_at"]
    )
    op.create_index(
        "ix_rendez_vous_customer_phone_starts_at", "rendez_vous", ["customer_phone", "starts_at"]
    )
    op.create_index(
        "ix_rendez_vous_rdv_date_reminder_24h_sent_reminder_1h_sent",
        "rendez_vous",
        ["rdv_date", "reminder_24h_sent", "reminder_1h_sent"],
    )
    op.create_index("ix_rendez_vous_tenant_id_rdv_date", "rendez_vous", ["tenant_id", "rdv_date"])
    op.create_index("ix_rendez_vous_tenant_id_starts_at", "rendez_vous", ["tenant_id", "starts_at"])


def _create_rendez_vous_cells() -> None:
    op.create_table(
        "rendez_vous_cells",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("resource", TEXT, nullable=False),
        sa.Column("cell", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rendez_vous_id", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rendez_vous_id"],
            ["rendez_vous.tenant_id", "rendez_vous.id"],
            name="fk_rendez_vous_cells_tenant_id_rendez_vous_id_rendez_vous",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_rendez_vous_cells_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "resource", "cell", name="pk_rendez_vous_cells"),
    )
    op.create_index(
        "ix_rendez_vous_cells_tenant_id_rendez_vous_id",
        "rendez_vous_cells",
        ["tenant_id", "rendez_vous_id"],
    )


def _create_qualified_prospects() -> None:
    op.create_table(
        "qualified_prospects",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("phone", TEXT),
        sa.Column("email", TEXT),
        sa.Column("source", TEXT, server_default="phone", nullable=False),
        sa.Column("interest_type", TEXT),
        sa.Column("budget_min", sa.BigInteger()),
        sa.Column("budget_max", sa.BigInteger()),
        sa.Column("location_preference", TEXT),
        sa.Column("property_type", TEXT),
        sa.Column("qualification_score", sa.Integer(), server_default="0", nullable=False),
        sa.Column("qualification_status", TEXT, server_default="new", nullable=False),
        sa.Column("notes", TEXT),
        sa.Column("qualification_notes", TEXT),
        sa.Column("call_id", TEXT),
        sa.Column("created_by", TEXT, server_default="sara", nullable=False),
        sa.Column("last_contact_at", INSTANT),
        sa.Column("next_follow_up_at", INSTANT),
        sa.Column("converted_to_client", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("converted_at", INSTANT),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("deadline", TEXT),
        sa.CheckConstraint(
            "qualification_status IN ('new', 'qualified', 'not_qualified', 'follow_up', "
            "'converted', 'lost')",
            name="ck_qualified_prospects_qualification_status",
        ),
        sa.CheckConstraint(
            "source IN ('phone', 'sms', 'email', 'whatsapp', 'web')",
            name="ck_qualified_prospects_source",
        ),
        sa.CheckConstraint(
            "qualification_score BETWEEN 0 AND 100",
            name="ck_qualified_prospects_qualification_score",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_qualified_prospects_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_qualified_prospects"),
    )
    op.create_index("ix_qualified_prospects_call_id", "qualified_prospects", ["call_id"])
    op.create_index(
        "ix_qualified_prospects_phone_created_at", "qualified_prospects", ["phone", "created_at"]
    )
    op.create_index(
        "ix_qualified_prospects_tenant_id_created_at",
        "qualified_prospects",
        ["tenant_id", "created_at"],
    )


def _create_tickets() -> None:
    op.create_table(
        "tickets",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("customer_name", TEXT, nullable=False),
        sa.Column("customer_phone", TEXT),
        sa.Column("customer_email", TEXT),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("description", TEXT),
        sa.Column("category", TEXT),
        sa.Column("priority", TEXT, server_default="medium", nullable=False),
        sa.Column("status", TEXT, server_default="open", nullable=False),
        sa.Column("assigned_to", TEXT),
        sa.Column("assigned_at", INSTANT),
        sa.Column("resolution_notes", TEXT),
        sa.Column("resolved_at", INSTANT),
        sa.Column("closed_at", INSTANT),
        sa.Column("call_id", TEXT),
        sa.Column("created_by", TEXT, server_default="sara", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "priority IN ('low', 'medium', 'high', 'urgent')", name="ck_tickets_priority"
        ),
        sa.CheckConstraint(
            "status IN ('open', 'in_progress', 'waiting_customer', 'resolved', 'closed')",
            name="ck_tickets_status",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.id"], name="fk_tickets_tenant_id_tenants", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tickets"),
    )
    op.create_index("ix_tickets_call_id", "tickets", ["call_id"])
    op.create_index(
        "ix_tickets_customer_phone_created_at", "tickets", ["customer_phone", "created_at"]
    )
    op.create_index("ix_tickets_tenant_id_created_at", "tickets", ["tenant_id", "created_at"])
