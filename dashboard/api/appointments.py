"""The tenant's appointments: `GET /api/v1/appointments`."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.query import choice, day, page_of
from domain.agent import profile
from storage import Storage
from storage.appointments import Appointment
from storage.schema import APPOINTMENT_STATUSES
from storage.scope import Page

DEFAULT_LIMIT, MAX_LIMIT = 100, 100

STATUSES: Mapping[str, str] = {
    **{status: status for status in APPOINTMENT_STATUSES},
    # Pages offer these two; an appointment of ours is confirmed as soon as it exists.
    "scheduled": "",
    "pending": "",
}

#: Nothing in this version sends reminders, so none has been.
REMINDER_SENT = False


class Appointments:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def index(self, request: Request) -> Response:
        """GET: by start, filtered, by pages."""
        tenant, query = tenant_access(request).tenant, request.query_params
        page = page_of(query, default=DEFAULT_LIMIT, largest=MAX_LIMIT)
        status = choice(query, "status", STATUSES)
        first = day(query, "date_from", tenant.timezone)
        last = day(query, "date_to", tenant.timezone)
        async with self._storage.tenant(tenant.id).read() as rows:
            phone = await rows.channels.get("phone")
            found = Page[Appointment]([], 0)
            if status != "":
                found = await rows.appointments.list(
                    status=status,
                    date_from=first,
                    date_to=last,
                    limit=page.limit,
                    offset=page.offset,
                )
        agent_name = profile(tenant, phone.config).name
        return json_response(
            {
                "success": True,
                "appointments": [describe(each, agent_name) for each in found.items],
                "count": len(found.items),
                "pagination": page.describe(found.total),
            }
        )


def describe(appointment: Appointment, agent_name: str) -> dict[str, Any]:
    """An appointment: the fields that the pages read (real-users.md §1.7), and ours.

    `scheduled_at` is the wall clock of the zone in which it was booked, without offset; `start`
    is the same instant with it. Who sees the customer is the resource; `agent_name` is its name,
    or that of the assistant who booked for a business with only one.
    """
    local = appointment.start_utc.astimezone(ZoneInfo(appointment.timezone))
    return {
        "id": appointment.id,
        "tenant_id": appointment.tenant_id,
        "prospect_id": None,
        "agent_id": appointment.resource or None,
        "agent_name": appointment.resource or agent_name,
        "scheduled_at": local.replace(tzinfo=None, microsecond=0).isoformat(),
        "start": local.isoformat(),
        "timezone": appointment.timezone,
        "duration_minutes": appointment.minutes,
        "status": appointment.status,
        "service": appointment.service,
        "notes": appointment.notes,
        "prospect_name": appointment.customer_name,
        "prospect_phone": appointment.customer_phone,
        "prospect_email": appointment.customer_email,
        "reminder_sent": REMINDER_SENT,
        "call_id": appointment.call_id,
        "created_by": appointment.created_by,
        "created_at": appointment.created_at.isoformat(),
    }
