"""Text conversations: what arrived at our doors, whose it is, and who answers."""

import sqlalchemy as sa

from storage.columns import CleanText
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
    updated,
    words,
)

#: Channels that carry texts.
TEXT_CHANNELS = ("sms", "email", "whatsapp")
INBOUND_STATES = ("new", "asked", "routed", "ignored")
HANDLERS = ("agent", "human")
AUTHORS = ("customer", "owner")

#: What arrived, once each, whoever repeats it. `payload` is emptied when the message has reached
#: its conversation; the row stays a while, so that a late repetition is still known.
inbound_texts = sa.Table(
    "inbound_texts",
    metadata,
    identifier(),
    tenant(nullable=True),  # NULL until it is known whose it is
    words("channel"),
    words("vendor_key"),  # "sms:SM…", unique
    json("payload", "{}"),
    words("sender"),
    words("recipient"),
    text("state", "new"),
    text("question", ""),  # what the sender was asked, if several businesses may be meant
    text("question_state", ""),  # "" | sending | sent | unknown
    json("candidates", "[]"),  # ids of the businesses that were named, in that order
    instant("received_at", nullable=False),
    sa.UniqueConstraint("vendor_key"),
    sa.Index(None, "tenant_id"),
    sa.Index(None, "received_at"),
    partial(
        "inbound_texts_waiting",
        "channel",
        "sender",
        "recipient",
        where="state IN ('new', 'asked')",
    ),
    one_of("channel", TEXT_CHANNELS),
    one_of("state", INBOUND_STATES),
)

#: Addresses by which a webhook tells whose channel it is about: WhatsApp's phone_number_id, and
#: digests of the unguessable keys in our own webhook addresses.
channel_endpoints = sa.Table(
    "channel_endpoints",
    metadata,
    sa.Column("kind", CleanText, primary_key=True),  # phone_number_id | key
    sa.Column("value", CleanText, primary_key=True),
    tenant(),
    words("channel"),
    created(),
    sa.Index(None, "tenant_id", "channel"),
    one_of("channel", TEXT_CHANNELS),
)

conversations = sa.Table(
    "conversations",
    metadata,
    identifier(),
    tenant(),
    words("channel"),
    words("address"),  # the customer's: E.164, an e-mail address, WhatsApp's user id
    text("contact_id"),
    text("our_address", ""),  # what they wrote to last
    text("name", ""),  # as the vendor knows them
    text("handled_by", "agent"),
    instant("handled_since"),
    text("status", "open"),
    json("thread", "{}"),  # of e-mails: subject, message_id, references
    # Messages are numbered within their conversation; those up to `answered_seq` need no answer.
    sa.Column("last_seq", sa.Integer, nullable=False, server_default="0"),
    sa.Column("answered_seq", sa.Integer, nullable=False, server_default="0"),
    instant("ai_disclosed_at"),
    instant("window_expires_at"),  # WhatsApp: until then we may write freely
    instant("last_inbound_at"),
    created(),
    updated(),
    sa.UniqueConstraint("tenant_id", "channel", "address"),
    sa.UniqueConstraint("tenant_id", "id"),
    sa.Index(None, "tenant_id", "updated_at"),
    sa.Index(None, "tenant_id", "contact_id"),
    one_of("channel", TEXT_CHANNELS),
    one_of("handled_by", HANDLERS),
    one_of("status", ("open", "closed")),
)

#: What customers wrote, and what owners answered past us. What we send is in
#: channel_messages_log.
conversation_messages = sa.Table(
    "conversation_messages",
    metadata,
    identifier(),
    tenant(),
    words("conversation_id"),
    sa.Column("seq", sa.Integer, nullable=False),
    text("author", "customer"),
    text("content", ""),
    json("media", "[]"),
    text("vendor_id", ""),
    text("button", ""),
    instant("sent_at"),  # by the vendor's word
    created(),
    sa.ForeignKeyConstraint(
        ["tenant_id", "conversation_id"],
        ["conversations.tenant_id", "conversations.id"],
        ondelete="CASCADE",
    ),
    sa.UniqueConstraint("conversation_id", "seq"),
    sa.Index(None, "tenant_id", "created_at"),
    one_of("author", AUTHORS),
)

#: What functions were asked for in a conversation: `function_calls` of texts. `turn` is the number
#: of the last message that was being answered.
conversation_functions = sa.Table(
    "conversation_functions",
    metadata,
    identifier(),
    tenant(),
    words("conversation_id"),
    sa.Column("turn", sa.Integer, nullable=False),
    words("function_call_id"),
    words("name"),
    json("arguments", "{}"),
    words("arguments_hash"),
    json("result", "{}"),
    text("effect"),
    text("then", ""),
    text("detail", ""),
    instant("started_at", nullable=False),
    instant("finished_at", nullable=False),
    sa.ForeignKeyConstraint(
        ["tenant_id", "conversation_id"],
        ["conversations.tenant_id", "conversations.id"],
        ondelete="CASCADE",
    ),
    sa.UniqueConstraint("conversation_id", "function_call_id"),
    # The same effect may be wanted again weeks later, but not twice in answer to the same words.
    partial(
        "conversation_functions_effect",
        "conversation_id",
        "turn",
        "name",
        "arguments_hash",
        where="effect IS NOT NULL",
        unique=True,
    ),
    sa.Index(None, "tenant_id", "conversation_id"),
)
