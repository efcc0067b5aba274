"""Tomorrow's appointments are reminded of now: `/api/v1/reminders/send-tomorrow`."""

from datetime import timedelta
from typing import Final, Literal, TypedDict

from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.operations import operation
from domain.permissions import May
from storage import Appointment, Storage, TenantRows
from storage.reminders import ALREADY, QUEUED, UNREACHABLE
from storage.scope import MAX_PAGE

_STATUSES: Final = {QUEUED: "queued", ALREADY: "already_sent", UNREACHABLE: "failed"}


class ReminderDetail(TypedDict):
    """`queued`: its text is being sent, and `/api/v1/messages` tells what becomes of it;
    `already_sent`; `failed`: no channel reached them; `no_address`: none is known."""

    appointment_id: str
    customer_name: str
    scheduled_at: str
    status: Literal["queued", "already_sent", "failed", "no_address"]


class RemindersSent(TypedDict):
    """`sent`: on their way; `errors`: who can't be reached. Who was reminded before is in
    neither."""

    success: bool
    sent: int
    errors: int
    details: list[ReminderDetail]


class Reminders:
    """The handler."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("Remind of tomorrow's appointments", may=May.SEND, answer=RemindersSent)
    async def send_tomorrow(self, request: Request) -> Response:
        """Without a body. Each once, by the channel that the person prefers; what was planned for
        later goes now."""
        tenant = tenant_access(request).tenant
        details: list[ReminderDetail] = []
        async with self._storage.tenant(tenant.id).write() as rows:
            tomorrow = await rows.statistics.today() + timedelta(days=1)
            found = await rows.appointments.list(
                status="confirmed", date_from=tomorrow, date_to=tomorrow, limit=MAX_PAGE
            )
            for appointment in found.items:
                details.append(await _remind(rows, appointment))
        statuses = [each["status"] for each in details]
        answer: RemindersSent = {
            "success": True,
            "sent": statuses.count("queued"),
            "errors": statuses.count("failed") + statuses.count("no_address"),
            "details": details,
        }
        return json_response(answer)


async def _remind(rows: TenantRows, it: Appointment) -> ReminderDetail:
    detail: ReminderDetail = {
        "appointment_id": it.id,
        "customer_name": it.customer_name,
        "scheduled_at": it.start_utc.isoformat(),
        "status": "no_address",
    }
    if it.customer_phone or it.customer_email or it.contact_id:
        done = await rows.reminders.hasten(it.id, it.start_utc, "24h")
        detail["status"] = _STATUSES[done]  # type: ignore[typeddict-item]
    return detail
