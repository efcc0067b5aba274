"""An appointment as it is asked for, as it is stored, and what can be in its way."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from domain.errors import Conflict, Invalid
from storage.schema import rendez_vous as table

#: Longer than any appointment: bounds a search by start.
MAX_MINUTES = 24 * 60
#: The longest buffer, likewise.
MAX_BUFFER_MINUTES = 8 * 60
#: The longest key of a request that is kept, characters.
MAX_KEY = 200

#: Appointments in these states leave their time to others.
FREE = ("cancelled", "rescheduled")

COLUMNS = (
    table.c.id,
    table.c.tenant_id,
    table.c.starts_at.label("start_utc"),
    table.c.rdv_duration_minutes.label("minutes"),
    table.c.customer_name,
    table.c.customer_phone,
    table.c.customer_email,
    table.c.rdv_type.label("service"),
    table.c.notes,
    table.c.status,
    table.c.call_id,
    table.c.resource,
    table.c.created_by,
    table.c.created_at,
    table.c.timezone,
    table.c.service_id,
    table.c.contact_id,
    table.c.prospect_id,
    table.c.before_minutes.label("before"),
    table.c.after_minutes.label("after"),
    table.c.hold_until,
    table.c.holder,
    table.c.code,
    table.c.link_token,
    table.c.sequence,
    table.c.cancel_reason,
    table.c.acknowledged_at,
    sa.or_(table.c.reminder_24h_sent, table.c.reminder_1h_sent).label("reminder_sent"),
    table.c.updated_at,
)


class Taken(Conflict):
    """409: somebody else has this time."""


class HoldExpired(Conflict):
    """409: what was held is free again, or another's."""


@dataclass(frozen=True, slots=True)
class Change:
    """Who asks for something: `by` voice | text | link | rest | system. The same `request_key`
    never does it twice; of another tenant's, it is another key. What `holder` holds is free for
    it, and given back."""

    by: str = "system"
    call_id: str | None = None
    reason: str | None = None
    request_key: str | None = None
    holder: str | None = None


@dataclass(frozen=True, slots=True)
class NewAppointment:
    """`start` is aware, in any zone. `resource` "" is the business itself, and with it everybody
    who is there; `resources`, if any, are the candidates instead: the first that is free gets it.

    `before` and `after` are minutes kept free around it. With `hold_until` it is only held until
    then: what one `holder` held is given back when the same one holds or books something else.
    """

    start: datetime
    minutes: int
    customer_name: str
    customer_phone: str | None = None
    customer_email: str | None = None
    service: str | None = None
    notes: str | None = None
    call_id: str | None = None
    resource: str = ""
    created_by: str = "sara"
    resources: tuple[str, ...] = ()
    before: int = 0
    after: int = 0
    service_id: str | None = None
    contact_id: str | None = None
    prospect_id: str | None = None
    request_key: str | None = None
    hold_until: datetime | None = None
    holder: str | None = None
    by: str = "voice"
    asked: str = ""  # a digest of the request under `request_key`; "": of all that stands here

    @property
    def candidates(self) -> tuple[str, ...]:
        """Who could take it, in this order."""
        return self.resources or (self.resource,)


@dataclass(frozen=True, slots=True)
class Appointment:
    """`start_utc` is aware, in UTC; `timezone` the tenant's when it was booked.

    `code` is for the ear, `link_token` for `/r/{code}` (storage/appointments/codes.py); both are
    None for rows of an older server, until `with_codes`. `sequence` counts its revisions, for
    iCalendar.
    """

    id: str
    tenant_id: str
    start_utc: datetime
    minutes: int
    customer_name: str
    customer_phone: str | None
    customer_email: str | None
    service: str | None
    notes: str | None
    status: str
    call_id: str | None
    resource: str
    created_by: str
    created_at: datetime
    timezone: str
    service_id: str | None
    contact_id: str | None
    prospect_id: str | None
    before: int
    after: int
    hold_until: datetime | None
    holder: str | None
    code: str | None
    link_token: str | None
    sequence: int
    cancel_reason: str | None
    acknowledged_at: datetime | None
    reminder_sent: bool
    updated_at: datetime

    @property
    def end_utc(self) -> datetime:
        """When it is over, buffers aside."""
        return self.start_utc + timedelta(minutes=self.minutes)

    @property
    def uid(self) -> str:
        """Its UID in calendars: the same for ever, and no other deployment's."""
        return f"{self.id}@{self.tenant_id}"


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened to an appointment. Starts are aware, in UTC, and None where nothing
    began or ended there."""

    at: datetime
    action: str
    actor: str
    call_id: str | None
    reason: str | None
    from_start: datetime | None
    from_resource: str | None
    to_start: datetime | None
    to_resource: str | None


def check(new: NewAppointment, now: datetime) -> None:
    """Raise Invalid for what no agenda could ever take."""
    check_time(new.start, new.minutes, now)
    for name, minutes in (("before", new.before), ("after", new.after)):
        if not 0 <= minutes <= MAX_BUFFER_MINUTES:
            raise Invalid(f"must lie between 0 and {MAX_BUFFER_MINUTES}", field=name)
    if new.hold_until is not None and new.hold_until <= now:
        raise Invalid("must lie ahead", field="hold_until")
    check_key(new.request_key)


def check_time(start: datetime, minutes: int, now: datetime) -> None:
    """Raise Invalid, ValueError for a start without a zone."""
    if start.tzinfo is None:
        raise ValueError("an appointment's start needs a zone")
    if start.second or start.microsecond:
        raise Invalid("must be a whole minute", field="start")
    if not 1 <= minutes <= MAX_MINUTES:
        raise Invalid(f"must lie between 1 and {MAX_MINUTES}", field="minutes")
    if start < now:
        raise Invalid("lies in the past", field="start", message_key="appointment_past")


def check_key(key: str | None) -> None:
    """Raise Invalid for a request key that nobody means."""
    if key is not None and not 1 <= len(key) <= MAX_KEY:
        raise Invalid(f"must have 1 to {MAX_KEY} characters", field="Idempotency-Key")


def content_of(new: NewAppointment) -> str:
    """A digest of what is asked for: the same request has the same."""
    return new.asked or digest(
        "hold" if new.hold_until else "book",
        {
            "start": new.start.astimezone(UTC).isoformat(),
            "minutes": new.minutes,
            "name": new.customer_name,
            "phone": new.customer_phone,
            "email": new.customer_email,
            "service": new.service_id or new.service,
            "notes": new.notes,
            "resources": new.candidates,
        },
    )


def digest(verb: str, values: Mapping[str, Any]) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(msgspec.json.encode([verb, dict(values)], order="sorted")).hexdigest()
