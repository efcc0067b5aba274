"""The tables of tenants, channels, calls, and what calls leave behind.

Names and columns of the six tables of the mission are those of the dashboard's own schema
(`database/migration-channels-communication.sql`); what we need beyond stands after them.
"""

import sqlalchemy as sa

from domain.outcome import Outcome
from storage.columns import CleanText, Json
from storage.schema.base import (
    created,
    flag,
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

CHANNEL_TYPES = ("phone", "sms", "email", "whatsapp")
#: The dashboard's five (`pending`: queued by the earlier service, sent by nobody), and ours
#: (domain/delivery.py).
MESSAGE_STATUSES = (
    "pending",
    "sent",
    "delivered",
    "failed",
    "read",
    "queued",
    "sending",
    "accepted",
    "unknown",
    "expired",
    "suppressed",
    "cancelled",
)
MESSAGE_PURPOSES = ("service", "marketing", "answer", "owner")
#: The dashboard's five; `held`: taken for a moment, while somebody decides (`hold_until`).
APPOINTMENT_STATUSES = ("confirmed", "cancelled", "completed", "no_show", "rescheduled", "held")
PROSPECT_STATUSES = ("new", "qualified", "not_qualified", "follow_up", "converted", "lost")
TICKET_PRIORITIES = ("low", "medium", "high", "urgent")
TICKET_STATUSES = ("open", "in_progress", "waiting_customer", "resolved", "closed")
#: The dashboard's seven, and the two that Twilio knows besides.
#: https://www.twilio.com/docs/voice/api/call-resource#call-status-values
CALL_STATUSES = (
    "queued",
    "initiated",
    "ringing",
    "in-progress",
    "completed",
    "failed",
    "busy",
    "no-answer",
    "canceled",
)

TRANSFER_STATES = ("dialling", "accepted", "failed")
EVENT_KINDS = ("turn", "function", "latency", "usage", "event")

# ------------------------------------------------------------------------------- tenants

tenants = sa.Table(
    "tenants",
    metadata,
    identifier(),
    words("name"),
    words("code"),
    words("timezone"),
    words("locale"),
    words("sector"),
    text("status", "active"),
    created(),
    updated(),
    # NULL: business_hours is empty because nobody has said anything, not because it is closed.
    instant("hours_set_at"),
    sa.UniqueConstraint("code"),
    one_of("status", ("active", "suspended")),
    sa.CheckConstraint("length(code) = 4", name="code"),
)

#: Numbers of ours (at the carrier) that ring for one tenant alone.
tenant_numbers = sa.Table(
    "tenant_numbers",
    metadata,
    sa.Column("number", CleanText, primary_key=True),
    tenant(),
    created(),
    sa.Index(None, "tenant_id"),
)

#: Tenants' own lines, which forward to us: a line belongs to one tenant.
tenant_lines = sa.Table(
    "tenant_lines",
    metadata,
    sa.Column("number", CleanText, primary_key=True),
    tenant(),
    created(),
    # When it was said to be the tenant's; NULL: by a server that didn't know, or an import.
    instant("claimed_at"),
    # When that was proven, and how: forwarding | code | operator.
    instant("verified_at"),
    text("proof"),
    # What ForwardedFrom says for this line, if it isn't the number itself.
    text("forwarded_as"),
    sa.Index(None, "tenant_id"),
    sa.Index(None, "forwarded_as", unique=True),
)

#: API keys: SHA-256 in hexadecimal, never the key.
tenant_keys = sa.Table(
    "tenant_keys",
    metadata,
    identifier(),
    tenant(),
    words("key_hash"),
    text("label", ""),
    created(),
    instant("revoked_at"),
    # What it opens (`domain.permissions.SCOPES`); keys from before there were scopes open all.
    json("scopes", '["admin"]'),
    # Of a key that was rotated: until then both open.
    instant("expires_at"),
    instant("last_used_at"),
    sa.UniqueConstraint("key_hash"),
    sa.Index(None, "tenant_id"),
)

#: When a tenant is open, in its own zone; day 1 is Monday.
business_hours = sa.Table(
    "business_hours",
    metadata,
    tenant(primary_key=True),
    sa.Column("day", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("opens", sa.Time, primary_key=True),
    sa.Column("closes", sa.Time, nullable=False),
    sa.CheckConstraint("day BETWEEN 1 AND 7", name="day"),
)

# ------------------------------------------------------------------------------ channels

channel_configurations = sa.Table(
    "channel_configurations",
    metadata,
    identifier(),
    tenant(),
    words("channel_type"),
    flag("enabled"),
    flag("configured"),
    text("config_encrypted"),
    json("config_public", "{}"),
    json("templates", "{}"),
    text("assistant_id"),
    created(),
    updated(),
    # config_public.transferNumber in E.164: found by number, whatever way it was written.
    text("transfer_number"),
    sa.UniqueConstraint("tenant_id", "channel_type"),
    one_of("channel_type", CHANNEL_TYPES),
    sa.Index(None, "tenant_id", "enabled"),
    sa.Index(None, "channel_type"),
    sa.Index(None, "transfer_number"),
)

channel_messages_log = sa.Table(
    "channel_messages_log",
    metadata,
    identifier(),
    tenant(),
    words("channel_type"),
    words("to_address"),
    text("template_name"),
    text("subject"),
    text("content"),
    json("template_variables", "{}"),
    text("status", "pending"),
    text("external_message_id"),
    text("error_message"),
    text("error_code"),
    text("provider"),
    sa.Column("cost_cents", sa.Integer),
    sa.Column("duration_seconds", sa.Integer),
    instant("sent_at"),
    instant("delivered_at"),
    instant("read_at"),
    instant("failed_at"),
    created(),
    text("sender"),  # which number, name or mailbox it goes out by
    text("contact_id"),
    text("conversation_id"),
    text("appointment_id"),
    text("in_reply_to"),  # the vendor's id, or the Message-ID, of what it answers
    text("purpose"),
    text("dedupe_key"),
    text("created_by"),
    # What is sent in order: a conversation, or whatever goes to one address. `position` grows.
    text("lane"),
    sa.Column("position", sa.BigInteger),
    instant("not_before"),
    instant("expires_at"),
    instant("due_at"),  # of the next attempt
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    text("claimed_by"),  # the job that says `sending`, since claimed_at
    instant("claimed_at"),
    sa.Column("template_version", sa.Integer),
    text("template_language"),
    text("message_id"),  # of an email, the same in each attempt
    sa.Column("segments", sa.Integer),
    text("encoding"),
    sa.Column("price_micros", sa.BigInteger),  # millionths of price_currency
    text("price_currency"),
    json("extras", "{}"),  # buttons, attachments, parameters of a template: storage/outbox.py
    instant("accepted_at"),
    instant("settled_at"),  # nothing is left to do for us
    one_of("channel_type", CHANNEL_TYPES),
    one_of("status", MESSAGE_STATUSES),
    one_of("purpose", MESSAGE_PURPOSES),
    # What has no key is never the same (NULLs are distinct).
    sa.Index(None, "tenant_id", "dedupe_key", unique=True),
    sa.Index(None, "tenant_id", "conversation_id"),
    sa.Index(None, "tenant_id", "contact_id"),
    sa.Index(None, "tenant_id", "appointment_id"),
    sa.Index(None, "message_id"),
    partial(
        "channel_messages_log_waiting",
        "tenant_id",
        "lane",
        where="status IN ('queued', 'sending')",
    ),
    sa.Index(None, "tenant_id", "created_at"),
    sa.Index(None, "tenant_id", "channel_type"),
    sa.Index(None, "tenant_id", "status"),
    sa.Index(None, "external_message_id"),
    sa.Index(None, "to_address"),
    sa.Index(None, "created_at"),
)

# --------------------------------------------------------------------------------- calls

call_logs = sa.Table(
    "call_logs",
    metadata,
    identifier(),
    # NULL until the tenant is found, and for ever when it never is.
    tenant(nullable=True),
    words("call_sid"),
    text("assistant_id"),
    words("from_number"),  # E.164, "" when withheld
    words("to_number"),
    text("forwarded_from"),
    text("direction", "inbound"),
    text("call_status", "initiated"),
    sa.Column("duration_seconds", sa.Integer),
    sa.Column("cost_cents", sa.Integer),
    text("recording_url"),
    text("transcript"),
    text("summary"),
    text("sentiment"),
    json("actions_performed", "[]"),
    flag("rdv_created"),
    flag("qualified_prospect_created"),
    flag("ticket_created"),
    instant("started_at", nullable=False),
    instant("ended_at"),
    created(),
    words("stage"),
    text("outcome"),
    text("found_by"),
    text("agent"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    json("opening", "{}"),
    text("transfer_number"),
    text("transfer_state"),
    instant("transfer_at"),
    sa.Column("usage", Json),
    instant("seen_at"),
    text("from_raw", ""),
    text("forwarded_from_raw"),
    text("detail", ""),
    instant("answered_at"),
    text("node_id"),  # whose bridge carries it: a row of nodes, as long as that lives
    text("vapi_call_id"),  # the call at Vapi that serves it, the latest if there were several
    text("contact_id"),  # whom the number proposes; it identifies nobody
    sa.Column("vapi_cost_cents", sa.Integer),  # of a US dollar: Vapi's part, beside the carrier's
    instant("vapi_passed_at"),  # another agent has it since then: that call commands nothing
    sa.UniqueConstraint("call_sid"),
    # What function_calls refers to: a function runs for the call's own tenant or not at all.
    sa.UniqueConstraint("tenant_id", "id"),
    one_of("direction", ("inbound", "outbound")),
    one_of("call_status", CALL_STATUSES),
    one_of("sentiment", ("positive", "neutral", "negative")),
    one_of("transfer_state", TRANSFER_STATES),
    one_of("outcome", tuple(outcome.value for outcome in Outcome)),
    sa.Index(None, "tenant_id", "started_at"),
    sa.Index(None, "from_number", "started_at"),
    sa.Index(None, "started_at"),
    sa.Index(None, "forwarded_from"),
    sa.Index(None, "vapi_call_id", unique=True),
    sa.Index(None, "tenant_id", "contact_id"),
    partial("call_logs_unfinished", "started_at", where="outcome IS NULL"),
    partial("call_logs_carried", "node_id", where="outcome IS NULL AND node_id IS NOT NULL"),
    partial("call_logs_dialling", "transfer_at", where="transfer_state = 'dialling'"),
)

#: One-time tokens of media streams, hashed; they die with their call.
stream_tokens = sa.Table(
    "stream_tokens",
    metadata,
    sa.Column("token_hash", CleanText, primary_key=True),
    sa.Column(
        "call_sid",
        CleanText,
        sa.ForeignKey("call_logs.call_sid", ondelete="CASCADE"),
        nullable=False,
    ),
    created(),
    instant("expires_at", nullable=False),
    instant("used_at"),
    sa.Index(None, "call_sid"),
)

#: The timeline of a call. Whose it is, is said once, by call_logs: a call may get its tenant
#: after its first events.
call_events = sa.Table(
    "call_events",
    metadata,
    sa.Column(
        "seq",
        # SQLite numbers rows by itself in an INTEGER primary key only.
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.Identity(),
        primary_key=True,
    ),
    sa.Column(
        "call_id", CleanText, sa.ForeignKey("call_logs.id", ondelete="CASCADE"), nullable=False
    ),
    instant("at", nullable=False),
    words("kind"),
    json("data", "{}"),
    one_of("kind", EVENT_KINDS),
    sa.Index(None, "call_id", "seq"),
)

#: What functions were asked for during a call, and what each came to: run once, answered often.
function_calls = sa.Table(
    "function_calls",
    metadata,
    identifier(),
    tenant(),
    words("call_id"),
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
        ["tenant_id", "call_id"], ["call_logs.tenant_id", "call_logs.id"], ondelete="CASCADE"
    ),
    sa.UniqueConstraint("call_id", "function_call_id"),
    partial(
        "function_calls_effect",
        "call_id",
        "name",
        "arguments_hash",
        where="effect IS NOT NULL",
        unique=True,
    ),
    sa.Index(None, "tenant_id", "call_id"),
)

# -------------------------------------------------------------- what a call leaves behind

rendez_vous = sa.Table(
    "rendez_vous",
    metadata,
    identifier(),
    tenant(),
    words("customer_name"),
    text("customer_phone"),
    text("customer_email"),
    sa.Column("rdv_date", sa.Date, nullable=False),  # in the tenant's zone, as is rdv_time
    sa.Column("rdv_time", sa.Time, nullable=False),
    text("rdv_type"),
    sa.Column("rdv_duration_minutes", sa.Integer, nullable=False, server_default="60"),
    text("rdv_location"),
    text("status", "confirmed"),
    text("notes"),
    text("internal_notes"),
    flag("reminder_24h_sent"),
    flag("reminder_1h_sent"),
    flag("confirmation_sent"),
    text("call_id"),
    text("created_by", "sara"),
    created(),
    updated(),
    instant("cancelled_at"),
    instant("completed_at"),
    instant("starts_at", nullable=False),
    instant("ends_at", nullable=False),
    words("timezone"),  # the tenant's when it was booked
    text("resource", ""),
    text("service_id"),
    text("contact_id"),
    text("prospect_id"),
    # What the cells are taken for besides: preparing and clearing up.
    sa.Column("before_minutes", sa.Integer, nullable=False, server_default="0"),
    sa.Column("after_minutes", sa.Integer, nullable=False, server_default="0"),
    instant("hold_until"),
    text("holder"),  # whose hold it is: a call, a conversation, a page
    text("code"),  # for the ear
    text("link_token"),  # for links: whoever has it may move and cancel
    sa.Column("sequence", sa.Integer, nullable=False, server_default="0"),  # RFC 5545 §3.8.7.4
    text("cancel_reason"),
    instant("acknowledged_at"),  # the customer said that they will come
    one_of("status", APPOINTMENT_STATUSES),
    sa.CheckConstraint("starts_at < ends_at", name="starts_before_ends"),
    sa.Index(None, "tenant_id", "code", unique=True),
    sa.Index(None, "link_token", unique=True),
    sa.Index(None, "tenant_id", "contact_id"),
    partial("rendez_vous_held", "hold_until", where="status = 'held'"),
    # The parent of rendez_vous_cells: a cell belongs to the appointment's own tenant.
    sa.UniqueConstraint("tenant_id", "id"),
    sa.Index(None, "tenant_id", "starts_at"),
    sa.Index(None, "tenant_id", "rdv_date"),
    sa.Index(None, "customer_phone", "created_at"),
    sa.Index(None, "customer_phone", "starts_at"),
    sa.Index(None, "rdv_date", "reminder_24h_sent", "reminder_1h_sent"),
    sa.Index(None, "call_id"),
)

#: The guard against double booking: an appointment takes every cell of five minutes it touches,
#: and the primary key gives each cell once. `cell` is seconds since 1970 (UTC) divided by 300.
rendez_vous_cells = sa.Table(
    "rendez_vous_cells",
    metadata,
    tenant(primary_key=True),
    sa.Column("resource", CleanText, primary_key=True),
    sa.Column("cell", sa.BigInteger, primary_key=True, autoincrement=False),
    words("rendez_vous_id"),
    sa.ForeignKeyConstraint(
        ["tenant_id", "rendez_vous_id"],
        ["rendez_vous.tenant_id", "rendez_vous.id"],
        ondelete="CASCADE",
    ),
    sa.Index(None, "tenant_id", "rendez_vous_id"),
)

qualified_prospects = sa.Table(
    "qualified_prospects",
    metadata,
    identifier(),
    tenant(),
    words("name"),
    text("phone"),
    text("email"),
    text("source", "phone"),
    text("interest_type"),
    sa.Column("budget_min", sa.BigInteger),
    sa.Column("budget_max", sa.BigInteger),
    text("location_preference"),
    text("property_type"),
    sa.Column("qualification_score", sa.Integer, nullable=False, server_default="0"),
    text("qualification_status", "new"),
    text("notes"),
    text("qualification_notes"),
    text("call_id"),
    text("created_by", "sara"),
    instant("last_contact_at"),
    instant("next_follow_up_at"),
    flag("converted_to_client"),
    instant("converted_at"),
    created(),
    updated(),
    text("deadline"),
    text("contact_id"),
    text("first_name"),  # as a page wrote them; NULL: `name` as it was said is all there is
    text("last_name"),
    json("answers", "{}"),
    json("score_reasons", "[]"),
    json("missing", "[]"),
    text("assigned_to"),
    text("request_key"),  # the conversation that it comes from: one row for each
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    one_of("source", ("phone", "sms", "email", "whatsapp", "web")),
    one_of("qualification_status", PROSPECT_STATUSES),
    sa.CheckConstraint("qualification_score BETWEEN 0 AND 100", name="qualification_score"),
    sa.Index(None, "request_key", unique=True),
    sa.Index(None, "tenant_id", "contact_id"),
    sa.Index(None, "tenant_id", "created_at"),
    sa.Index(None, "phone", "created_at"),
    sa.Index(None, "call_id"),
)

tickets = sa.Table(
    "tickets",
    metadata,
    identifier(),
    tenant(),
    words("customer_name"),
    text("customer_phone"),
    text("customer_email"),
    words("subject"),
    text("description"),
    text("category"),
    text("priority", "medium"),
    text("status", "open"),
    text("assigned_to"),
    instant("assigned_at"),
    text("resolution_notes"),
    instant("resolved_at"),
    instant("closed_at"),
    text("call_id"),
    text("created_by", "sara"),
    created(),
    updated(),
    text("contact_id"),
    text("callback_when"),  # when they want to be called back, in their words
    sa.Column("version", sa.Integer, nullable=False, server_default="1"),
    one_of("priority", TICKET_PRIORITIES),
    one_of("status", TICKET_STATUSES),
    sa.Index(None, "tenant_id", "contact_id"),
    sa.Index(None, "tenant_id", "created_at"),
    sa.Index(None, "customer_phone", "created_at"),
    sa.Index(None, "call_id"),
)
