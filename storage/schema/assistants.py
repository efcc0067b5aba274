"""Tenants' assistants at Vapi, and which deployment they are of."""

import sqlalchemy as sa

from storage.columns import CleanText
from storage.schema.base import created, instant, metadata, one_of, tenant, text, updated
from storage.schema.core import CHANNEL_TYPES

#: One row per assistant that a tenant is to have (of the telephone, so far): who is making it just
#: now, and what is known of it. What calls use is `channel_configurations.assistant_id`, and only
#: while it is the one that is named here.
assistant_claims = sa.Table(
    "assistant_claims",
    metadata,
    tenant(primary_key=True),
    sa.Column("channel_type", CleanText, primary_key=True),
    text("claimed_by"),  # one attempt; NULL when nobody is at it
    instant("claimed_until"),
    # When we first asked for one whose id isn't known: it may exist, and is to be looked for.
    instant("asked_at"),
    text("assistant_id"),  # made or adopted by this deployment
    text("config_hash"),  # of what that one was made of
    text("error"),  # why the last attempt failed, if it did
    updated(),
    text("refused_hash"),  # of what Vapi doesn't take
    one_of("channel_type", CHANNEL_TYPES),
)

#: What this deployment calls itself, once and for all: one row, named "id".
deployment = sa.Table(
    "deployment",
    metadata,
    sa.Column("name", CleanText, primary_key=True),
    sa.Column("value", CleanText, nullable=False),
    created(),
)
