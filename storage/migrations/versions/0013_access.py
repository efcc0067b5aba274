"""Who may use the API: keys with scopes, revoked tokens, the audit log.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"

TEXT = sa.Text()
# SQLite: ISO 8601 in UTC, "2026-11-24T13:30:00.000000Z".
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")


def upgrade() -> None:
    op.add_column(
        "tenant_keys",
        sa.Column("scopes", TEXT, server_default='["admin"]', nullable=False),
    )
    op.add_column("tenant_keys", sa.Column("expires_at", INSTANT))
    op.add_column("tenant_keys", sa.Column("last_used_at", INSTANT))
    op.create_table(
        "revoked_tokens",
        sa.Column("token_hash", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_revoked_tokens_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_revoked_tokens")),
    )
    op.create_index(op.f("ix_revoked_tokens_expires_at"), "revoked_tokens", ["expires_at"])
    op.create_index(op.f("ix_revoked_tokens_tenant_id"), "revoked_tokens", ["tenant_id"])
    op.create_table(
        "audit_log",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("actor_kind", TEXT, nullable=False),
        sa.Column("actor_id", TEXT),
        sa.Column("actor_role", TEXT),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("subject_type", TEXT),
        sa.Column("subject_id", TEXT),
        sa.Column("changes", TEXT, server_default="{}", nullable=False),
        sa.CheckConstraint(
            "actor_kind IN ('user', 'key', 'operator', 'system')",
            name=op.f("ck_audit_log_actor_kind"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name=op.f("fk_audit_log_tenant_id_tenants"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_log")),
    )
    op.create_index(op.f("ix_audit_log_tenant_id_at_id"), "audit_log", ["tenant_id", "at", "id"])
    op.create_index(
        "ix_audit_log_subject",
        "audit_log",
        ["tenant_id", "subject_id"],
        sqlite_where=sa.text("subject_id IS NOT NULL"),
        postgresql_where=sa.text("subject_id IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_table("audit_log")
    op.drop_table("revoked_tokens")
    for column in ("last_used_at", "expires_at", "scopes"):
        op.drop_column("tenant_keys", column)
