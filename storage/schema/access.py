"""Sessions that were signed out, and who did what. Keys are in `core.tenant_keys`."""

import sqlalchemy as sa

from storage.schema.base import (
    created,
    identifier,
    instant,
    json,
    metadata,
    one_of,
    partial,
    tenant,
    text,
    words,
)

ACTOR_KINDS = ("user", "key", "operator", "system")

#: Tokens that open nothing although they would still be valid: SHA-256 of the whole token.
revoked_tokens = sa.Table(
    "revoked_tokens",
    metadata,
    sa.Column("token_hash", sa.Text, primary_key=True),
    tenant(),
    created(),
    instant("expires_at", nullable=False),
    sa.Index(None, "tenant_id"),
    sa.Index(None, "expires_at"),
)

#: `actor_id` is the user's id at the accounts' backend or the key's; `changes` names fields and
#: rows, and holds neither contents nor secrets.
audit_log = sa.Table(
    "audit_log",
    metadata,
    identifier(),
    tenant(),
    instant("at", nullable=False),
    words("actor_kind"),
    text("actor_id"),
    text("actor_role"),
    words("action"),
    text("subject_type"),
    text("subject_id"),
    json("changes", "{}"),
    one_of("actor_kind", ACTOR_KINDS),
    sa.Index(None, "tenant_id", "at", "id"),
    partial("audit_log_subject", "tenant_id", "subject_id", where="subject_id IS NOT NULL"),
)
