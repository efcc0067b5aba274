"""People, what becomes of prospects and tickets, and what an owner is told."""

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
    updated,
    words,
)
from storage.schema.core import CHANNEL_TYPES

#: What somebody can be reached or recognised by. `whatsapp_id` is Meta's business-scoped user id,
#: which means somebody else at another business (text-channels.md §1.6).
ADDRESS_KINDS = ("phone", "email", "whatsapp", "whatsapp_id")
#: How we know that an address is somebody's: they dictated it, a carrier showed it, a message came
#: from it, the business says so. In rising order.
PROOFS = ("said", "call", "message", "operator")
ALERT_CHANNELS = ("none", "sms", "email", "whatsapp")


def _contact(*, nullable: bool = False) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    """A contact of the same tenant."""
    return sa.Column("contact_id", CleanText, nullable=nullable), sa.ForeignKeyConstraint(
        ["tenant_id", "contact_id"], ["contacts.tenant_id", "contacts.id"], ondelete="CASCADE"
    )


#: One row per person. One that was merged stays, empty, and says into whom: what still refers to
#: it from outside (a link, a page left open) finds the person.
contacts = sa.Table(
    "contacts",
    metadata,
    identifier(),
    tenant(),
    text("name", ""),
    json("names", "[]"),  # all that were heard, the first one first: a telephone may be shared
    text("folded", ""),  # the names without accents and case: what is searched
    text("language"),  # BCP 47
    text("preferred_channel"),
    text("notes"),
    text("source"),
    text("merged_into"),
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    instant("last_seen_at", nullable=False),
    created(),
    updated(),
    # The parent of all that is a person's: of the person's own tenant.
    sa.UniqueConstraint("tenant_id", "id"),
    one_of("preferred_channel", CHANNEL_TYPES),
    sa.Index(None, "tenant_id", "last_seen_at"),
    sa.Index(None, "tenant_id", "merged_into"),
    sa.Index(None, "last_seen_at"),
)

#: The primary key gives each address to one person.
contact_addresses = sa.Table(
    "contact_addresses",
    metadata,
    tenant(primary_key=True),
    sa.Column("kind", CleanText, primary_key=True),
    sa.Column("value", CleanText, primary_key=True),  # E.164, a folded e-mail address, an id
    *_contact(),
    words("proof"),
    instant("last_seen_at", nullable=False),
    created(),
    one_of("kind", ADDRESS_KINDS),
    one_of("proof", PROOFS),
    sa.Index(None, "tenant_id", "contact_id"),
)

#: Two people who may be one: for somebody to decide.
contact_proposals = sa.Table(
    "contact_proposals",
    metadata,
    identifier(),
    tenant(),
    *_contact(),
    words("other_id"),  # greater than contact_id
    words("reason"),
    text("call_id"),
    created(),
    instant("declined_at"),
    sa.ForeignKeyConstraint(
        ["tenant_id", "other_id"], ["contacts.tenant_id", "contacts.id"], ondelete="CASCADE"
    ),
    sa.UniqueConstraint("tenant_id", "contact_id", "other_id"),
)

#: Who changed what from what to what: one of the three ids is set.
record_history = sa.Table(
    "record_history",
    metadata,
    sa.Column(
        "seq",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.Identity(always=False),
        primary_key=True,
    ),
    tenant(),
    *_contact(nullable=True),
    sa.Column(
        "prospect_id",
        CleanText,
        sa.ForeignKey("qualified_prospects.id", ondelete="CASCADE"),
    ),
    sa.Column("ticket_id", CleanText, sa.ForeignKey("tickets.id", ondelete="CASCADE")),
    instant("at", nullable=False),
    words("actor"),
    words("action"),
    json("changes", "{}"),  # column → [before, after]
    sa.Index(None, "tenant_id", "contact_id"),
    sa.Index(None, "prospect_id"),
    sa.Index(None, "ticket_id"),
)

notifications = sa.Table(
    "notifications",
    metadata,
    identifier(),
    tenant(),
    words("kind"),
    text("subject_id"),
    words("title"),
    words("message"),
    text("dedupe_key"),
    text("alert_id"),  # the text that told the owner, if there is one
    text("alert_reason"),  # why there is none
    instant("read_at"),
    created(),
    sa.UniqueConstraint("tenant_id", "dedupe_key"),
    sa.Index(None, "tenant_id", "created_at"),
    sa.Index(None, "tenant_id", "read_at"),
    sa.Index(None, "created_at"),
)

#: How the owner wants to be told. Alerts go to an address that has answered only.
notification_settings = sa.Table(
    "notification_settings",
    metadata,
    tenant(primary_key=True),
    text("channel", "none"),
    text("address"),
    instant("verified_at"),
    text("code_hash"),  # of the code on its way to the address
    instant("code_until"),
    sa.Column("code_tries", sa.Integer, nullable=False, server_default="0"),
    sa.Column("kinds", Json),  # NULL: those that need a human
    sa.Column("quiet_from", sa.Time),  # on the tenant's clock; what is urgent comes all the same
    sa.Column("quiet_until", sa.Time),
    updated(),
    one_of("channel", ALERT_CHANNELS),
)
