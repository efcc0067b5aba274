"""Text conversations: what came in, whose it is, who answers.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"

TEXT = sa.Text()
# SQLite: ISO 8601 in UTC, "2026-11-24T13:30:00.000000Z".
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


def upgrade() -> None:
    _create_inbound_texts()
    _create_channel_endpoints()
    _create_conversations()
    _create_conversation_messages()
    _create_conversation_functions()


def downgrade() -> None:
    op.drop_table("conversation_functions")
    op.drop_table("conversation_messages")
    op.drop_table("conversations")
    op.drop_table("channel_endpoints")
    op.drop_table("inbound_texts")


def _create_inbound_texts() -> None:
    op.create_table(
        "inbound_texts",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=True),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("vendor_key", TEXT, nullable=False),
        sa.Column("payload", TEXT, server_default="{}", nullable=False),
        sa.Column("sender", TEXT, nullable=False),
        sa.Column("recipient", TEXT, nullable=False),
        sa.Column("state", TEXT, server_default="new", nullable=False),
        sa.Column("question", TEXT, server_default="", nullable=False),
        sa.Column("question_state", TEXT, server_default="", nullable=False),
        sa.Column("candidates", TEXT, server_default="[]", nullable=False),
        sa.Column("received_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "channel IN ('sms', 'email', 'whatsapp')", name=op.f("ck_inbound_texts_channel")
        ),
        sa.CheckConstraint(
            "state IN ('new', 'asked', 'routed', 'ignored')", name=op.f("ck_inbound_texts_state")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_inbound_texts_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_texts")),
        sa.UniqueConstraint("vendor_key", name=op.f("uq_inbound_texts_vendor_key")),
    )
    op.create_index(
        op.f("ix_inbound_texts_received_at"), "inbound_texts", ["received_at"], unique=False
    )
    op.create_index(
        op.f("ix_inbound_texts_tenant_id"), "inbound_texts", ["tenant_id"], unique=False
    )
    op.create_index(
        "ix_inbound_texts_waiting",
        "inbound_texts",
        ["channel", "sender", "recipient"],
        unique=False,
        sqlite_where=sa.text("state IN ('new', 'asked')"),
        postgresql_where=sa.text("state IN ('new', 'asked')"),
    )


def _create_channel_endpoints() -> None:
    op.create_table(
        "channel_endpoints",
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "channel IN ('sms', 'email', 'whatsapp')", name=op.f("ck_channel_endpoints_channel")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_channel_endpoints_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("kind", "value", name=op.f("pk_channel_endpoints")),
    )
    op.create_index(
        op.f("ix_channel_endpoints_tenant_id_channel"),
        "channel_endpoints",
        ["tenant_id", "channel"],
        unique=False,
    )


def _create_conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("channel", TEXT, nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("contact_id", TEXT, nullable=True),
        sa.Column("our_address", TEXT, server_default="", nullable=False),
        sa.Column("name", TEXT, server_default="", nullable=False),
        sa.Column("handled_by", TEXT, server_default="agent", nullable=False),
        sa.Column("handled_since", INSTANT, nullable=True),
        sa.Column("status", TEXT, server_default="open", nullable=False),
        sa.Column("thread", TEXT, server_default="{}", nullable=False),
        sa.Column("last_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("answered_seq", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ai_disclosed_at", INSTANT, nullable=True),
        sa.Column("window_expires_at", INSTANT, nullable=True),
        sa.Column("last_inbound_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "channel IN ('sms', 'email', 'whatsapp')", name=op.f("ck_conversations_channel")
        ),
        sa.CheckConstraint(
            "handled_by IN ('agent', 'human')", name=op.f("ck_conversations_handled_by")
        ),
        sa.CheckConstraint("status IN ('open', 'closed')", name=op.f("ck_conversations_status")),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_conversations_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversations")),
        sa.UniqueConstraint(
            "tenant_id",
            "channel",
            "address",
            name=op.f("uq_conversations_tenant_id_channel_address"),
        ),
        sa.UniqueConstraint("tenant_id", "id", name=op.f("uq_conversations_tenant_id_id")),
    )
    op.create_index(
        op.f("ix_conversations_tenant_id_contact_id"),
        "conversations",
        ["tenant_id", "contact_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_conversations_tenant_id_updated_at"),
        "conversations",
        ["tenant_id", "updated_at"],
        unique=False,
    )


def _create_conversation_messages() -> None:
    op.create_table(
        "conversation_messages",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("conversation_id", TEXT, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("author", TEXT, server_default="customer", nullable=False),
        sa.Column("content", TEXT, server_default="", nullable=False),
        sa.Column("media", TEXT, server_default="[]", nullable=False),
        sa.Column("vendor_id", TEXT, server_default="", nullable=False),
        sa.Column("button", TEXT, server_default="", nullable=False),
        sa.Column("sent_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint(
            "author IN ('customer', 'owner')", name=op.f("ck_conversation_messages_author")
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "conversation_id"],
            ["conversations.tenant_id", "conversations.id"],
            name=op.f("fk_conversation_messages_tenant_id_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_conversation_messages_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation_messages")),
        sa.UniqueConstraint(
            "conversation_id", "seq", name=op.f("uq_conversation_messages_conversation_id_seq")
        ),
    )
    op.create_index(
        op.f("ix_conversation_messages_tenant_id_created_at"),
        "conversation_messages",
        ["tenant_id", "created_at"],
        unique=False,
    )


def _create_conversation_functions() -> None:
    op.create_table(
        "conversation_functions",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("conversation_id", TEXT, nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("function_call_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("arguments", TEXT, server_default="{}", nullable=False),
        sa.Column("arguments_hash", TEXT, nullable=False),
        sa.Column("result", TEXT, server_default="{}", nullable=False),
        sa.Column("effect", TEXT, nullable=True),
        sa.Column("then", TEXT, server_default="", nullable=False),
        sa.Column("detail", TEXT, server_default="", nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("finished_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "conversation_id"],
            ["conversations.tenant_id", "conversations.id"],
            name=op.f("fk_conversation_functions_tenant_id_conversation_id_conversations"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_conversation_functions_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conversation_functions")),
        sa.UniqueConstraint(
            "conversation_id",
            "function_call_id",
            name=op.f("uq_conversation_functions_conversation_id_function_call_id"),
        ),
    )
    op.create_index(
        "ix_conversation_functions_effect",
        "conversation_functions",
        ["conversation_id", "turn", "name", "arguments_hash"],
        unique=True,
        sqlite_where=sa.text("effect IS NOT NULL"),
        postgresql_where=sa.text("effect IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_conversation_functions_tenant_id_conversation_id"),
        "conversation_functions",
        ["tenant_id", "conversation_id"],
        unique=False,
    )
