"""The tenant's appointments: `/api/v1/appointments` (real-users.md §1.7)."""

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.appointment_shapes import (
    STATUSES,
    AppointmentAnswer,
    AppointmentChange,
    AppointmentCustomer,
    AppointmentDetail,
    AppointmentList,
    AppointmentSettings,
    AppointmentSettingsAnswer,
    AppointmentsQuery,
    AppointmentWanted,
    describe,
    describe_slot,
    names_of,
)
from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.problem import problem
from dashboard.api.query import choice, day, is_identifier, page_of
from domain.agent import profile
from domain.errors import Invalid, NotFound
from domain.people import email_address
from domain.permissions import May
from domain.phone import normalise
from domain.spoken import parse_instant
from domain.tenant import Tenant
from storage import Appointment, Change, Storage, TenantRows, Unavailable, Wish
from storage.appointments import HistoryEntry
from storage.schema import APPOINTMENT_STATUSES

DEFAULT_LIMIT, MAX_LIMIT = 100, 100
#: What a page may keep of settings, bytes of JSON.
MAX_SETTINGS = 16 * 1024

_LISTED = {
    **{status: status for status in APPOINTMENT_STATUSES if status != "held"},
    # Pages offer these two; an appointment of ours is confirmed as soon as it exists.
    "scheduled": "",
    "pending": "",
}


class Appointments:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("List appointments", may=May.VIEW, query=AppointmentsQuery, answer=AppointmentList)
    async def index(self, request: Request) -> Response:
        """By start, filtered, by pages."""
        tenant, query = tenant_access(request).tenant, request.query_params
        page = page_of(query, default=DEFAULT_LIMIT, largest=MAX_LIMIT)
        status = choice(query, "status", _LISTED)
        first = day(query, "date_from", tenant.timezone)
        last = day(query, "date_to", tenant.timezone)
        async with self._storage.tenant(tenant.id).read() as rows:
            agent_name, names = await _names(tenant, rows)
            items: list[Appointment] = []
            total = 0
            if status != "":
                items, total = await rows.appointments.list(
                    status=status,
                    date_from=first,
                    date_to=last,
                    resource=query.get("agent_id") or None,
                    limit=page.limit,
                    offset=page.offset,
                )
        return json_response(
            {
                "success": True,
                "appointments": [describe(each, agent_name, names) for each in items],
                "count": len(items),
                "pagination": page.describe(total),
            }
        )

    @operation("Show an appointment", may=May.VIEW, answer=AppointmentDetail)
    async def show(self, request: Request) -> Response:
        """With what happened to it, oldest first."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            it = await _found(rows, request)
            history = await rows.appointments.history(it.id)
            agent_name, names = await _names(tenant, rows)
        zone = ZoneInfo(it.timezone)
        return json_response(
            {
                "success": True,
                "appointment": describe(it, agent_name, names),
                "history": [_event(each, zone) for each in history],
            }
        )

    @operation(
        "Book an appointment",
        may=May.WORK,
        body=AppointmentWanted,
        answer=AppointmentAnswer,
        status=201,
        problems=(404, 409),
    )
    async def create(self, request: Request) -> Response:
        """409 when the time can't be had, with `alternatives`, the nearest free times. The same
        `Idempotency-Key` header gives the same appointment."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, AppointmentWanted)
        try:
            async with self._storage.tenant(tenant.id).write() as rows:
                wish = await _wish(body, tenant, rows, _key(request))
                it = await rows.bookings.book(wish)
                answer = await _answer(it, tenant, rows)
        except Unavailable as refused:
            return _refused(refused, request)
        return json_response(answer, 201)

    @operation(
        "Change an appointment",
        may=May.WORK,
        body=AppointmentChange,
        answer=AppointmentAnswer,
        problems=(409,),
    )
    async def change(self, request: Request) -> Response:
        """Its state, its time (409 with `alternatives` when that can't be had: the old one then
        stands), whose it is. All or nothing."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, AppointmentChange)
        change = Change("rest", reason=body.reason or None, request_key=_key(request))
        try:
            async with self._storage.tenant(tenant.id).write() as rows:
                it = await _found(rows, request)
                await _move(it, body, tenant, rows, change)
                await _correct(it.id, body, rows, change)
                if body.status is not None:
                    await _mark(it, STATUSES[body.status], rows, change)
                answer = await _answer(await _found(rows, request), tenant, rows)
        except Unavailable as refused:
            return _refused(refused, request)
        return json_response(answer)

    @operation("Cancel an appointment", may=May.WORK, answer=AppointmentAnswer, problems=(409,))
    async def cancel(self, request: Request) -> Response:
        """Its time is free at once; it stays in the list."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            it = await _found(rows, request)
            it = await rows.appointments.cancel(it.id, change=Change("rest"))
            answer = await _answer(it, tenant, rows)
        return json_response(answer)

    @operation("Show the settings of appointments", may=May.VIEW, answer=AppointmentSettingsAnswer)
    async def settings(self, request: Request) -> Response:
        """As the page saved them."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            settings = await rows.bookings.settings()
        return json_response({"success": True, "settings": settings})

    @operation(
        "Save the settings of appointments",
        may=May.SETTINGS,
        body=AppointmentSettings,
        answer=AppointmentSettingsAnswer,
    )
    async def save_settings(self, request: Request) -> Response:
        """All of them at once."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, AppointmentSettings)
        if len(msgspec.json.encode(body.settings)) > MAX_SETTINGS:
            raise Invalid(
                f"larger than {MAX_SETTINGS} bytes",
                field="settings",
                message_key="appointment_settings_large",
            )
        async with self._storage.tenant(tenant.id).write() as rows:
            await rows.bookings.set_settings(body.settings)
        return json_response({"success": True, "settings": body.settings})


async def _found(rows: TenantRows, request: Request) -> Appointment:
    appointment_id = request.path_params["id"]
    it = await rows.appointments.get(appointment_id) if is_identifier(appointment_id) else None
    if it is None or it.status == "held":
        raise NotFound("no such appointment", message_key="appointment_unknown")
    return it


async def _names(tenant: Tenant, rows: TenantRows) -> tuple[str, dict[str, str]]:
    phone = await rows.channels.get("phone")
    return profile(tenant, phone.config).name, names_of(await rows.agenda.load())


async def _answer(it: Appointment, tenant: Tenant, rows: TenantRows) -> AppointmentAnswer:
    agent_name, names = await _names(tenant, rows)
    return {"success": True, "appointment": describe(it, agent_name, names)}


async def _wish(body: AppointmentWanted, tenant: Tenant, rows: TenantRows, key: str | None) -> Wish:
    who = await _customer(body, rows)
    if not who.whole_name:
        raise Invalid("who comes?", field="customer", message_key="appointment_name_missing")
    phone, email = _phone(who.phone), _email(who.email)
    contact = await rows.contacts.person(
        name=who.whole_name, phone=phone, email=email, source="operator"
    )
    await _require_resource(body.agent_id, rows)
    return Wish(
        _start(body.scheduled_at, tenant),
        name=who.whole_name,
        phone=phone,
        email=email,
        notes=body.notes or None,
        service_id=body.service_id or None,
        service=body.type or None,
        minutes=body.duration_minutes,
        resource=body.agent_id or None,
        contact_id=None if contact is None else contact.id,
        prospect_id=body.prospect_id or None,
        created_by="dashboard",
        by="rest",
        request_key=key,
    )


async def _customer(body: AppointmentWanted, rows: TenantRows) -> AppointmentCustomer:
    """Who was named, or the prospect."""
    if not body.prospect_id:
        return body.customer or AppointmentCustomer()
    prospect = await rows.prospects.get(body.prospect_id)
    if prospect is None:
        raise NotFound("no such prospect", field="prospect_id", message_key="prospect_unknown")
    given = body.customer or AppointmentCustomer()
    return AppointmentCustomer(
        name=given.whole_name or prospect.name or prospect.phone or prospect.email,
        phone=given.phone or prospect.phone,
        email=given.email or prospect.email,
    )


async def _require_resource(resource_id: str | None, rows: TenantRows) -> None:
    agenda = await rows.agenda.load()
    if resource_id and resource_id not in {each.id for each in agenda.resources}:
        raise Invalid("no such resource", field="agent_id", message_key="resource_unknown")


async def _move(
    it: Appointment, body: AppointmentChange, tenant: Tenant, rows: TenantRows, change: Change
) -> None:
    if body.scheduled_at is None and body.agent_id in (None, "", it.resource):
        return
    start = it.start_utc if body.scheduled_at is None else _start(body.scheduled_at, tenant)
    await _require_resource(body.agent_id, rows)
    await rows.bookings.move(it.id, start, resource=body.agent_id or None, change=change)


async def _correct(
    appointment_id: str, body: AppointmentChange, rows: TenantRows, change: Change
) -> None:
    who = body.customer or AppointmentCustomer()
    await rows.appointments.correct(
        appointment_id,
        customer_name=who.whole_name or None,
        customer_phone=_phone(who.phone),
        customer_email=_email(who.email),
        notes=body.notes or None,
        change=change,
    )


async def _mark(it: Appointment, status: str, rows: TenantRows, change: Change) -> None:
    if status == "cancelled":
        await rows.appointments.cancel(it.id, change=change)
        return
    marked = await rows.appointments.mark(it.id, status, change=change)
    prospect_id = marked.prospect_id
    if status != "completed" or it.status == status or not prospect_id:
        return
    if await rows.prospects.get(prospect_id) is not None:  # who came has become a customer
        await rows.prospects.update(prospect_id, {"status": "converted"}, actor="system")


def _start(text: str, tenant: Tenant) -> datetime:
    start = parse_instant(text, tenant.timezone)
    if start is None:
        raise Invalid(
            "a date and time such as 2026-03-31T10:00:00; on the night of the time change with "
            "its offset",
            field="scheduled_at",
            message_key="date_invalid",
        )
    return start


def _phone(text: str | None) -> str | None:
    if not text:
        return None
    number = normalise(text)
    if number is None:
        raise Invalid(
            "no telephone number", field="customer.phone", message_key="number_unreadable"
        )
    return number


def _email(text: str | None) -> str | None:
    if not text:
        return None
    address = email_address(text)
    if address is None:
        raise Invalid("no e-mail address", field="customer.email")
    return address


def _key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key", "")
    return f"rest:{key}" if key else None


def _refused(refused: Unavailable, request: Request) -> Response:
    slots = [describe_slot(each) for each in refused.alternatives]
    return problem(refused, request, more={"alternatives": slots})


def _event(entry: HistoryEntry, zone: ZoneInfo) -> dict[str, str | None]:
    def local(moment: datetime | None) -> str | None:
        return None if moment is None else moment.astimezone(zone).isoformat()

    return {
        "at": entry.at.isoformat(),
        "action": entry.action,
        "actor": entry.actor,
        "reason": entry.reason,
        "from_start": local(entry.from_start),
        "to_start": local(entry.to_start),
        "call_id": entry.call_id,
    }
