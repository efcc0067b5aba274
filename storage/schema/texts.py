"""What belongs to texts besides their log: how each went, templates, consent, what blocks a sender.

The log itself, which is the outbox as well, is `channel_messages_log` (storage/schema/core.py).
"""

import sqlalchemy as sa

from storage.columns import CleanText, Json
from storage.schema.base import (
    created,
    identifier,
    instant,
    json,
    metadata,
    one_of,
    tenant,
    text,
    words,
)
from storage.schema.core import CHANNEL_TYPES

CONSENT_PURPOSES = ("service", "marketing")
CONSENT_DECISIONS = ("granted", "withdrawn")


def _sequence() -> sa.Column[int]:
    return sa.Column(
        "seq",
        # SQLite numbers rows by itself in an INTEGER primary key only.
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.Identity(),
        primary_key=True,
    )


#: All that was heard of a text, whether it moved the text or not. `event_key` is the same when the
#: same report comes twice.
text_events = sa.Table(
    "text_events",
    metadata,
    _sequence(),
    tenant(),
    sa.Column(
        "text_id",
        CleanText,
        sa.ForeignKey("channel_messages_log.id", ondelete="CASCADE"),
        nullable=False,
    ),
    instant("at", nullable=False),
    words("status"),  # as we say it
    text("source", ""),  # who said so: us, or a vendor
    text("code"),
    text("detail"),  # the vendor's own word
    words("event_key"),
    sa.Index(None, "text_id", "event_key", unique=True),
    sa.Index(None, "tenant_id"),
)

#: Templates as tenants wrote them; each change is a new version, the highest one counts. `body`
#: NULL: from this version on, ours counts again.
message_templates = sa.Table(
    "message_templates",
    metadata,
    tenant(primary_key=True),
    sa.Column("channel_type", CleanText, primary_key=True),
    sa.Column("template_key", CleanText, primary_key=True),
    sa.Column("language", CleanText, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    text("subject"),
    text("body"),
    json("vendor", "{}"),  # WhatsApp: name, language and order of parameters as Meta approved them
    text("created_by"),
    created(),
    one_of("channel_type", CHANNEL_TYPES),
)

#: What people agreed to and what they refused, in the order in which they said so; nothing here is
#: ever changed but for an erased person's address, whose keyed hash stays.
consent_ledger = sa.Table(
    "consent_ledger",
    metadata,
    _sequence(),
    tenant(),
    words("channel_type"),
    words("purpose"),
    words("decision"),
    text("address"),  # NULL: the person was erased
    text("address_hash"),  # NULL: there is no key ring
    text("contact_id"),
    words("source"),
    text("wording"),  # what was asked or said, literally
    text("recorded_by"),
    sa.Column("proof", Json),
    instant("at", nullable=False),
    created(),
    one_of("channel_type", CHANNEL_TYPES),
    one_of("purpose", CONSENT_PURPOSES),
    one_of("decision", CONSENT_DECISIONS),
    sa.Index(None, "tenant_id", "channel_type", "address"),
    sa.Index(None, "address_hash"),
    sa.Index(None, "tenant_id", "contact_id"),
)

#: What a tenant's address_hash is keyed with, sealed by the key ring: made with its first hash.
suppression_keys = sa.Table(
    "suppression_keys",
    metadata,
    identifier(),
    tenant(),
    words("sealed"),
    created(),
    sa.UniqueConstraint("tenant_id"),
)

#: Addresses that refuse one of our senders (Twilio's 21610): for every tenant that sends by it.
sender_blocks = sa.Table(
    "sender_blocks",
    metadata,
    sa.Column("sender", CleanText, primary_key=True),
    sa.Column("address", CleanText, primary_key=True),
    text("code"),
    created(),
)

#: A channel that a vendor takes nothing from until the tenant acts. It holds until the channel is
#: saved again, or a text gets through.
channel_pauses = sa.Table(
    "channel_pauses",
    metadata,
    tenant(primary_key=True),
    sa.Column("channel_type", CleanText, primary_key=True),
    words("code"),
    words("reason"),
    instant("since", nullable=False),
    one_of("channel_type", CHANNEL_TYPES),
)

#: How many texts a tenant sent on a day (in UTC), by what they count for.
text_counters = sa.Table(
    "text_counters",
    metadata,
    tenant(primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("bucket", CleanText, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
)
