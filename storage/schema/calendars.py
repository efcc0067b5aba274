"""The tables of calendars: feeds of ours, and the busy times of others'."""

import sqlalchemy as sa

from storage.columns import CleanText, Instant
from storage.schema.base import (
    created,
    flag,
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

#: new → ok ⇄ broken
CALENDAR_STATES = ("new", "ok", "broken")

#: An address at which the tenant's appointments can be read. `resource` NULL: all of them.
#: SHA-256 of the address's token in hexadecimal, never the token.
calendar_feeds = sa.Table(
    "calendar_feeds",
    metadata,
    identifier(),
    tenant(),
    words("token_hash"),
    text("label", ""),
    text("resource"),
    flag("show_names"),
    created(),
    instant("read_at"),
    sa.UniqueConstraint("token_hash"),
    sa.Index(None, "tenant_id"),
)

#: A calendar elsewhere whose busy times are kept free. `resource` "" keeps all of them free.
external_calendars = sa.Table(
    "external_calendars",
    metadata,
    identifier(),
    tenant(),
    text("label", ""),
    text("resource", ""),
    words("url_sealed"),
    text("host", ""),  # what may be shown of the address
    sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
    text("state", "new"),
    instant("state_since", nullable=False),
    text("error"),  # a key of the catalogue: why it can't be read
    text("error_detail"),
    sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
    instant("attempted_at"),
    instant("fetched_at"),  # when it was last read with success, changed or not
    # What the server said of the version that was read, and what that version was read for.
    text("etag", ""),
    text("last_modified", ""),
    text("read_as", ""),
    instant("expanded_until"),
    sa.Column("events", sa.Integer, nullable=False, server_default="0"),
    json("notes", "[]"),
    sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
    created(),
    updated(),
    one_of("state", CALENDAR_STATES),
    sa.UniqueConstraint("tenant_id", "id"),
)

#: When a calendar elsewhere is busy: its spans neither overlap nor touch.
external_busy = sa.Table(
    "external_busy",
    metadata,
    tenant(primary_key=True),
    sa.Column("calendar_id", CleanText, primary_key=True),
    sa.Column("starts_at", Instant, primary_key=True),
    instant("ends_at", nullable=False),
    sa.ForeignKeyConstraint(
        ["tenant_id", "calendar_id"],
        ["external_calendars.tenant_id", "external_calendars.id"],
        ondelete="CASCADE",
    ),
    sa.Index(None, "tenant_id", "ends_at"),
)
