"""The tables.

Names and columns of the six tables of the mission are those of the dashboard's own schema
(`database/migration-channels-communication.sql`); what we need beyond stands after them.
Every table with a `tenant_id` belongs to a tenant and is reached through `storage.scope` only.
Migrations repeat these definitions; a test holds both together.
"""

import sqlalchemy as sa

from domain.outcome import Outcome
from storage.columns import CleanText, Instant, Json

CHANNEL_TYPES = ("phone", "sms", "email", "whatsapp")
MESSAGE_STATUSES = ("pending", "sent", "delivered", "failed", "read")
APPOINTMENT_STATUSES = ("confirmed", "cancelled", "completed", "no_show", "rescheduled")
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

#: Names are given, not generated, so that a later migration can alter what it names.
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, values: tuple[str, ...]) -> sa.CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return sa.CheckConstraint(f"{column} IN ({listed})", name=column)


def _id() -> sa.Column[str]:
    return sa.Column("id", CleanText, primary_key=True)


def _tenant(*, nullable: bool = False, primary_key: bool = False) -> sa.Column[str]:
    return sa.Column(
        "tenant_id",
        CleanText,
        sa.ForeignKey("tenants.id", ondelete="CASCADE"),
        nullable=nullable,
        primary_key=primary_key,
    )


def _text(name: str, default: str | None = None) -> sa.Column[str]:
    """NOT NULL when it has a default, otherwise nullable."""
    return sa.Column(name, CleanText, nullable=default is None, server_default=default)


def _words(name: str) -> sa.Column[str]:
    """Text that must be given."""
    return sa.Column(name, CleanText, nullable=False)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=sa.false())


def _json(name: str, default: str) -> sa.Column[object]:
    return sa.Column(name, Json, nullable=False, server_default=default)


def _instant(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, Instant, nullable=nullable)


def _created() -> sa.Column[object]:
    return _instant("created_at", nullable=False)


def _updated() -> sa.Column[object]:
    return _instant("updated_at", nullable=False)


def _partial(label: str, *columns: str, where: str, unique: bool = False) -> sa.Index:
    """An index over the rows that `where` selects; `label` makes its name unique."""
    condition = sa.text(where)
    return sa.Index(
        f"ix_{label}", *columns, unique=unique, sqlite_where=condition, postgresql_where=condition
    )


# ------------------------------------------------------------------------------- tenants

tenants = sa.Table(
    "tenants",
    metadata,
    _id(),
    _words("name"),
    _words("code"),
    _words("timezone"),
    _words("locale"),
    _words("sector"),
    _text("status", "active"),
    _created(),
    _updated(),
    # NULL: business_hours is empty because nobody has said anything, not because it is closed.
    _instant("hours_set_at"),
    sa.UniqueConstraint("code"),
    _one_of("status", ("active", "suspended")),
    sa.CheckConstraint("length(code) = 4", name="code"),
)

#: Numbers of ours (at the carrier) that ring for one tenant alone.
tenant_numbers = sa.Table(
    "tenant_numbers",
    metadata,
    sa.Column("number", CleanText, primary_key=True),
    _tenant(),
    _created(),
    sa.Index(None, "tenant_id"),
)

#: Tenants' own lines, which forward to us: a line belongs to one tenant.
tenant_lines = sa.Table(
    "tenant_lines",
    metadata,
    sa.Column("number", CleanText, primary_key=True),
    _tenant(),
    _created(),
    sa.Index(None, "tenant_id"),
)

#: API keys: SHA-256 in hexadecimal, never the key.
tenant_keys = sa.Table(
    "tenant_keys",
    metadata,
    _id(),
    _tenant(),
    _words("key_hash"),
    _text("label", ""),
    _created(),
    _instant("revoked_at"),
    sa.UniqueConstraint("key_hash"),
    sa.Index(None, "tenant_id"),
)

#: When a tenant is open, in its own zone; day 1 is Monday.
business_hours = sa.Table(
    "business_hours",
    metadata,
    _tenant(primary_key=True),
    sa.Column("day", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("opens", sa.Time, primary_key=True),
    sa.Column("closes", sa.Time, nullable=False),
    sa.CheckConstraint("day BETWEEN 1 AND 7", name="day"),
)

# ------------------------------------------------------------------------------ channels

channel_configurations = sa.Table(
    "channel_configurations",
    metadata,
    _id(),
    _tenant(),
    _words("channel_type"),
    _flag("enabled"),
    _flag("configured"),
    _text("config_encrypted"),
    _json("config_public", "{}"),
    _json("templates", "{}"),
    _text("assistant_id"),
    _created(),
    _updated(),
    # config_public.transferNumber in E.164: found by number, whatever way it was written.
    _text("transfer_number"),
    sa.UniqueConstraint("tenant_id", "channel_type"),
    _one_of("channel_type", CHANNEL_TYPES),
    sa.Index(None, "tenant_id", "enabled"),
    sa.Index(None, "channel_type"),
    sa.Index(None, "transfer_number"),
)

channel_messages_log = sa.Table(
    "channel_messages_log",
    metadata,
    _id(),
    _tenant(),
    _words("channel_type"),
    _words("to_address"),
    _text("template_name"),
    _text("subject"),
    _text("content"),
    _json("template_variables", "{}"),
    _text("status", "pending"),
    _text("external_message_id"),
    _text("error_message"),
    _text("error_code"),
    _text("provider"),
    sa.Column("cost_cents", sa.Integer),
    sa.Column("duration_seconds", sa.Integer),
    _instant("sent_at"),
    _instant("delivered_at"),
    _instant("read_at"),
    _instant("failed_at"),
    _created(),
    _one_of("channel_type", CHANNEL_TYPES),
    _one_of("status", MESSAGE_STATUSES),
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
    _id(),
    # NULL until the tenant is found, and for ever when it never is.
    _tenant(nullable=True),
    _words("call_sid"),
    _text("assistant_id"),
    _words("from_number"),  # E.164, "" when withheld
    _words("to_number"),
    _text("forwarded_from"),
    _text("direction", "inbound"),
    _text("call_status", "initiated"),
    sa.Column("duration_seconds", sa.Integer),
    sa.Column("cost_cents", sa.Integer),
    _text("recording_url"),
    _text("transcript"),
    _text("summary"),
    _text("sentiment"),
    _json("actions_performed", "[]"),
    _flag("rdv_created"),
    _flag("qualified_prospect_created"),
    _flag("ticket_created"),
    _instant("started_at", nullable=False),
    _instant("ended_at"),
    _created(),
    _words("stage"),
    _text("outcome"),
    _text("found_by"),
    _text("agent"),
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    _json("opening", "{}"),
    _text("transfer_number"),
    _text("transfer_state"),
    _instant("transfer_at"),
    sa.Column("usage", Json),
    _instant("seen_at"),
    _text("from_raw", ""),
    _text("forwarded_from_raw"),
    _text("detail", ""),
    _instant("answered_at"),
    sa.UniqueConstraint("call_sid"),
    # What function_calls refers to: a function runs for the call's own tenant or not at all.
    sa.UniqueConstraint("tenant_id", "id"),
    _one_of("direction", ("inbound", "outbound")),
    _one_of("call_status", CALL_STATUSES),
    _one_of("sentiment", ("positive", "neutral", "negative")),
    _one_of("transfer_state", TRANSFER_STATES),
    _one_of("outcome", tuple(outcome.value for outcome in Outcome)),
    sa.Index(None, "tenant_id", "started_at"),
    sa.Index(None, "from_number", "started_at"),
    sa.Index(None, "forwarded_from"),
    _partial("call_logs_unfinished", "started_at", where="outcome IS NULL"),
    _partial("call_logs_dialling", "transfer_at", where="transfer_state = 'dialling'"),
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
    _created(),
    _instant("expires_at", nullable=False),
    _instant("used_at"),
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
    _instant("at", nullable=False),
    _words("kind"),
    _json("data", "{}"),
    _one_of("kind", EVENT_KINDS),
    sa.Index(None, "call_id", "seq"),
)

#: What functions were asked for during a call, and what each came to: run once, answered often.
function_calls = sa.Table(
    "function_calls",
    metadata,
    _id(),
    _tenant(),
    _words("call_id"),
    _words("function_call_id"),
    _words("name"),
    _json("arguments", "{}"),
    _words("arguments_hash"),
    _json("result", "{}"),
    _text("effect"),
    _text("then", ""),
    _text("detail", ""),
    _instant("started_at", nullable=False),
    _instant("finished_at", nullable=False),
    sa.ForeignKeyConstraint(
        ["tenant_id", "call_id"], ["call_logs.tenant_id", "call_logs.id"], ondelete="CASCADE"
    ),
    sa.UniqueConstraint("call_id", "function_call_id"),
    _partial(
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
    _id(),
    _tenant(),
    _words("customer_name"),
    _text("customer_phone"),
    _text("customer_email"),
    sa.Column("rdv_date", sa.Date, nullable=False),  # in the tenant's zone, as is rdv_time
    sa.Column("rdv_time", sa.Time, nullable=False),
    _text("rdv_type"),
    sa.Column("rdv_duration_minutes", sa.Integer, nullable=False, server_default="60"),
    _text("rdv_location"),
    _text("status", "confirmed"),
    _text("notes"),
    _text("internal_notes"),
    _flag("reminder_24h_sent"),
    _flag("reminder_1h_sent"),
    _flag("confirmation_sent"),
    _text("call_id"),
    _text("created_by", "sara"),
    _created(),
    _updated(),
    _instant("cancelled_at"),
    _instant("completed_at"),
    _instant("starts_at", nullable=False),
    _instant("ends_at", nullable=False),
    _words("timezone"),  # the tenant's when it was booked
    _text("resource", ""),
    _one_of("status", APPOINTMENT_STATUSES),
    sa.CheckConstraint("starts_at < ends_at", name="starts_before_ends"),
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
    _tenant(primary_key=True),
    sa.Column("resource", CleanText, primary_key=True),
    sa.Column("cell", sa.BigInteger, primary_key=True, autoincrement=False),
    _words("rendez_vous_id"),
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
    _id(),
    _tenant(),
    _words("name"),
    _text("phone"),
    _text("email"),
    _text("source", "phone"),
    _text("interest_type"),
    sa.Column("budget_min", sa.BigInteger),
    sa.Column("budget_max", sa.BigInteger),
    _text("location_preference"),
    _text("property_type"),
    sa.Column("qualification_score", sa.Integer, nullable=False, server_default="0"),
    _text("qualification_status", "new"),
    _text("notes"),
    _text("qualification_notes"),
    _text("call_id"),
    _text("created_by", "sara"),
    _instant("last_contact_at"),
    _instant("next_follow_up_at"),
    _flag("converted_to_client"),
    _instant("converted_at"),
    _created(),
    _updated(),
    _text("deadline"),
    _one_of("source", ("phone", "sms", "email", "whatsapp", "web")),
    _one_of("qualification_status", PROSPECT_STATUSES),
    sa.CheckConstraint("qualification_score BETWEEN 0 AND 100", name="qualification_score"),
    sa.Index(None, "tenant_id", "created_at"),
    sa.Index(None, "phone", "created_at"),
    sa.Index(None, "call_id"),
)

tickets = sa.Table(
    "tickets",
    metadata,
    _id(),
    _tenant(),
    _words("customer_name"),
    _text("customer_phone"),
    _text("customer_email"),
    _words("subject"),
    _text("description"),
    _text("category"),
    _text("priority", "medium"),
    _text("status", "open"),
    _text("assigned_to"),
    _instant("assigned_at"),
    _text("resolution_notes"),
    _instant("resolved_at"),
    _instant("closed_at"),
    _text("call_id"),
    _text("created_by", "sara"),
    _created(),
    _updated(),
    _one_of("priority", TICKET_PRIORITIES),
    _one_of("status", TICKET_STATUSES),
    sa.Index(None, "tenant_id", "created_at"),
    sa.Index(None, "customer_phone", "created_at"),
    sa.Index(None, "call_id"),
)
