"""Appointments on the wire: what the pages send and read (real-users.md §1.7), and ours."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict
from zoneinfo import ZoneInfo

import msgspec

from domain.agenda import Agenda
from domain.availability import Slot
from storage.appointments import MAX_MINUTES, Appointment

_Line = Annotated[str, msgspec.Meta(max_length=200)]
_Text = Annotated[str, msgspec.Meta(max_length=5000)]
_Id = Annotated[str, msgspec.Meta(max_length=64)]
_Moment = Annotated[str, msgspec.Meta(max_length=60)]
_Minutes = Annotated[int, msgspec.Meta(ge=1, le=MAX_MINUTES)]

#: What pages say → what is stored. An appointment of ours is confirmed as soon as it exists.
STATUSES: Mapping[str, str] = {
    "scheduled": "confirmed",
    "pending": "confirmed",
    "confirmed": "confirmed",
    "completed": "completed",
    "cancelled": "cancelled",
    "no_show": "no_show",
}
Status = Literal["scheduled", "pending", "confirmed", "completed", "cancelled", "no_show"]


class AppointmentCustomer(msgspec.Struct, frozen=True):
    """Who comes."""

    name: _Line | None = None
    first_name: _Line | None = None
    last_name: _Line | None = None
    phone: _Line | None = None
    email: _Line | None = None

    @property
    def whole_name(self) -> str:
        """As one says it; "" when there is none."""
        parts = (self.first_name or "", self.last_name or "")
        return (self.name or " ".join(parts)).strip()


class AppointmentWanted(msgspec.Struct, frozen=True):
    """`scheduled_at`: on the tenant's wall clock, or with an offset. Who comes: `customer`, or the
    prospect. Without `agent_id` anyone who is free."""

    scheduled_at: _Moment
    prospect_id: _Id | None = None
    agent_id: _Id | None = None
    notes: _Text | None = None
    service_id: _Id | None = None
    duration_minutes: _Minutes | None = None
    type: _Line | None = None
    customer: AppointmentCustomer | None = None


class AppointmentChange(msgspec.Struct, frozen=True):
    """What is left out, or null, stays as it is."""

    status: Status | None = None
    scheduled_at: _Moment | None = None
    agent_id: _Id | None = None
    notes: _Text | None = None
    reason: _Text | None = None
    customer: AppointmentCustomer | None = None


class AppointmentsQuery(msgspec.Struct, frozen=True):
    """Dates are the tenant's days, both included. `agent_id` is the resource."""

    status: str | None = None
    agent_id: str | None = None
    date_from: str | None = None
    date_to: str | None = None
    page: int = 1
    limit: int = 100


class AppointmentSettings(msgspec.Struct, frozen=True):
    """What the page keeps: free JSON."""

    settings: dict[str, Any]


class AppointmentJson(TypedDict):
    """`scheduled_at` is the wall clock of the zone in which it was booked, without offset; `start`
    is the same instant with it. `agent_name`: who takes it, or the assistant that booked for a
    business with only one."""

    id: str
    tenant_id: str
    prospect_id: str | None
    agent_id: str | None
    agent_name: str
    scheduled_at: str
    start: str
    timezone: str
    duration_minutes: int
    status: str
    service: str | None
    service_id: str | None
    contact_id: str | None
    notes: str | None
    prospect_name: str
    prospect_phone: str | None
    prospect_email: str | None
    reminder_sent: bool
    acknowledged: bool
    cancel_reason: str | None
    code: str | None
    call_id: str | None
    created_by: str
    created_at: str
    updated_at: str


class AppointmentAnswer(TypedDict):
    """One."""

    success: bool
    appointment: AppointmentJson


class AppointmentHistoryJson(TypedDict):
    """One thing that happened; starts with their offset."""

    at: str
    action: str
    actor: str
    reason: str | None
    from_start: str | None
    to_start: str | None
    call_id: str | None


class AppointmentDetail(AppointmentAnswer):
    """One, with what happened to it."""

    history: list[AppointmentHistoryJson]


class AppointmentList(TypedDict):
    """A page of them."""

    success: bool
    appointments: list[AppointmentJson]
    count: int
    pagination: dict[str, int]


class AppointmentSettingsAnswer(TypedDict):
    """As they were saved."""

    success: bool
    settings: dict[str, Any]


def describe(it: Appointment, agent_name: str, names: Mapping[str, str]) -> AppointmentJson:
    """An appointment; `names` of resources by id."""
    local = it.start_utc.astimezone(ZoneInfo(it.timezone))
    return {
        "id": it.id,
        "tenant_id": it.tenant_id,
        "prospect_id": it.prospect_id,
        "agent_id": it.resource or None,
        "agent_name": names.get(it.resource, it.resource) or agent_name,
        "scheduled_at": local.replace(tzinfo=None, microsecond=0).isoformat(),
        "start": local.isoformat(),
        "timezone": it.timezone,
        "duration_minutes": it.minutes,
        "status": it.status,
        "service": it.service,
        "service_id": it.service_id,
        "contact_id": it.contact_id,
        "notes": it.notes,
        "prospect_name": it.customer_name,
        "prospect_phone": it.customer_phone,
        "prospect_email": it.customer_email,
        "reminder_sent": it.reminder_sent,
        "acknowledged": it.acknowledged_at is not None,
        "cancel_reason": it.cancel_reason,
        "code": it.code,
        "call_id": it.call_id,
        "created_by": it.created_by,
        "created_at": it.created_at.isoformat(),
        "updated_at": it.updated_at.isoformat(),
    }


def names_of(agenda: Agenda) -> dict[str, str]:
    """Of resources, by id."""
    return {each.id: each.name for each in agenda.resources}


def describe_slot(slot: Slot) -> dict[str, Any]:
    """A free time, in an answer's alternatives."""
    return {
        "scheduled_at": slot.start.replace(tzinfo=None).isoformat(),
        "start": slot.start.isoformat(),
        "duration_minutes": slot.minutes,
        "agent_id": slot.resource or None,
    }
