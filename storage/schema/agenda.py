"""What a tenant's agenda is made of, besides `business_hours`.

Resources and services that were removed stay, archived: appointments name them.
"""

import sqlalchemy as sa

from storage.columns import CleanText
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

RESOURCE_KINDS = ("staff", "room", "vehicle")
ON_HOLIDAYS = ("open", "closed", "special")


def _number(name: str, default: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=default is None, server_default=default)


def _active() -> sa.Column[bool]:
    return sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true())


def _of(parent: str, column: str) -> sa.ForeignKeyConstraint:
    """The parent is of the same tenant."""
    return sa.ForeignKeyConstraint(
        ["tenant_id", column], [f"{parent}.tenant_id", f"{parent}.id"], ondelete="CASCADE"
    )


#: Who or what is booked. Without a row here a tenant has one resource, "".
resources = sa.Table(
    "resources",
    metadata,
    identifier(),
    tenant(),
    words("name"),
    text("kind", "staff"),
    _active(),
    _number("position", "0"),
    text("color"),
    # NULL: it works when the business is open, and resource_hours has none of it.
    instant("hours_set_at"),
    created(),
    updated(),
    instant("archived_at"),
    one_of("kind", RESOURCE_KINDS),
    sa.UniqueConstraint("tenant_id", "id"),
)

#: When a resource works, if that differs from the business's hours; day 1 is Monday.
resource_hours = sa.Table(
    "resource_hours",
    metadata,
    tenant(primary_key=True),
    sa.Column("resource_id", CleanText, primary_key=True),
    sa.Column("day", sa.SmallInteger, primary_key=True, autoincrement=False),
    sa.Column("opens", sa.Time, primary_key=True),
    sa.Column("closes", sa.Time, nullable=False),
    _of("resources", "resource_id"),
    sa.CheckConstraint("day BETWEEN 1 AND 7", name="day"),
)

#: What is booked. Minutes; NULL: what agenda_rules says.
services = sa.Table(
    "services",
    metadata,
    identifier(),
    tenant(),
    words("name"),
    text("description", ""),
    _number("minutes", "30"),
    _number("before_minutes", "0"),
    _number("after_minutes", "0"),
    _number("step_minutes"),
    _number("notice_minutes"),
    _number("horizon_days"),
    _number("daily_cap"),
    _number("price_cents"),
    text("color"),
    _active(),
    _number("position", "0"),
    created(),
    updated(),
    instant("archived_at"),
    sa.UniqueConstraint("tenant_id", "id"),
    sa.CheckConstraint("minutes > 0", name="minutes"),
    sa.CheckConstraint("before_minutes >= 0 AND after_minutes >= 0", name="buffers"),
)

#: Who can do a service; none named: everybody.
service_resources = sa.Table(
    "service_resources",
    metadata,
    tenant(primary_key=True),
    sa.Column("service_id", CleanText, primary_key=True),
    sa.Column("resource_id", CleanText, primary_key=True),
    _of("services", "service_id"),
    _of("resources", "resource_id"),
    sa.Index(None, "tenant_id", "resource_id"),
)

#: Days that differ from the week. `ranges`: [["09:00", "12:00"], …]; none: closed.
agenda_exceptions = sa.Table(
    "agenda_exceptions",
    metadata,
    identifier(),
    tenant(),
    text("resource_id"),  # NULL: the whole business
    sa.Column("first_day", sa.Date, nullable=False),
    sa.Column("last_day", sa.Date, nullable=False),
    json("ranges", "[]"),
    text("label", ""),
    created(),
    updated(),
    _of("resources", "resource_id"),
    sa.CheckConstraint("first_day <= last_day", name="first_day"),
    sa.Index(None, "tenant_id", "last_day"),
)

#: What holds for all services that say nothing themselves; no row: `domain.agenda.Rules()`.
agenda_rules = sa.Table(
    "agenda_rules",
    metadata,
    tenant(primary_key=True),
    text("holiday_region"),  # "FR", "FR-6AE"; NULL: nobody's holidays
    text("on_holidays", "closed"),
    json("holiday_hours", "[]"),
    _number("minutes", "30"),
    _number("step_minutes"),
    _number("notice_minutes", "0"),
    _number("horizon_days", "60"),
    _number("daily_cap"),
    updated(),
    one_of("on_holidays", ON_HOLIDAYS),
    sa.CheckConstraint("minutes > 0", name="minutes"),
)
