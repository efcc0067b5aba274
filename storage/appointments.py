"""Appointments (`rendez_vous`), guarded against double booking by the database."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from domain.errors import Conflict, Invalid, NotFound
from storage.conflicts import insert_unless_taken
from storage.schema import APPOINTMENT_STATUSES
from storage.schema import rendez_vous as table
from storage.schema import rendez_vous_cells as cells
from storage.scope import Page, Scope, new_id

#: Two appointments may not share a cell; 5 minutes is the finest start a tenant can offer.
CELL_SECONDS = 300
#: Longer than any appointment: bounds a search by start.
MAX_MINUTES = 24 * 60

#: Appointments in these states leave their time to others.
_FREE = ("cancelled", "rescheduled")

_COLUMNS = (
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
)


@dataclass(frozen=True, slots=True)
class NewAppointment:
    """`start` is aware, in any zone. `resource` "" is the tenant's only one."""

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


@dataclass(frozen=True, slots=True)
class Appointment:
    """`start_utc` is aware, in UTC; `timezone` the tenant's when it was booked."""

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


class Appointments:
    """A tenant's appointments."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def busy(self, start_utc: datetime, end_utc: datetime) -> list[tuple[datetime, datetime]]:
        """What is taken between two instants: (start, end) in UTC, by start."""
        statement = self._scope.select(table, table.c.starts_at, table.c.ends_at).where(
            table.c.starts_at < end_utc,
            # ends_at alone would read all that ever was: this one is for the index.
            table.c.starts_at >= start_utc - timedelta(minutes=MAX_MINUTES),
            table.c.ends_at > start_utc,
            table.c.status.not_in(_FREE),
        )
        rows = await self._scope.all(statement.order_by(table.c.starts_at))
        return [(row["starts_at"], row["ends_at"]) for row in rows]

    async def book(self, new: NewAppointment) -> Appointment:
        """Take the time, or raise Conflict when any of it is taken.

        Of any number of bookers at once exactly one succeeds: the cells' primary key decides.
        """
        _check(new)
        tenant = await self._scope.tenant()
        start = new.start.astimezone(UTC)
        end = start + timedelta(minutes=new.minutes)
        local = start.astimezone(ZoneInfo(tenant.timezone))
        now = self._scope.now()
        appointment_id = new_id()
        await self._scope.insert(
            table,
            id=appointment_id,
            customer_name=new.customer_name,
            customer_phone=new.customer_phone,
            customer_email=new.customer_email,
            rdv_date=local.date(),
            rdv_time=local.time(),
            rdv_type=new.service,
            rdv_duration_minutes=new.minutes,
            notes=new.notes,
            status="confirmed",
            call_id=new.call_id,
            created_by=new.created_by,
            created_at=now,
            updated_at=now,
            starts_at=start,
            ends_at=end,
            timezone=tenant.timezone,
            resource=new.resource,
        )
        if not await self._take(appointment_id, new.resource, start, end):
            # Nothing of the attempt stays, even if the caller goes on with this transaction.
            await self._scope.connection.execute(
                self._scope.delete(table).where(table.c.id == appointment_id)
            )
            raise Conflict("this time is already taken", field="start")
        appointment = await self._existing(appointment_id)
        self._publish("appointment.booked", appointment)
        return appointment

    async def cancel(self, appointment_id: str) -> Appointment:
        """Cancel it and give its time back. Cancelling twice is the same as once.

        Raises NotFound, and Conflict when it is over (completed, no_show, rescheduled).
        """
        now = self._scope.now()
        cancelled = await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == appointment_id, table.c.status == "confirmed")
            .values(status="cancelled", cancelled_at=now, updated_at=now)
        )
        appointment = await self._existing(appointment_id)
        if appointment.status != "cancelled":
            raise Conflict(f"this appointment is {appointment.status}", field="status")
        if cancelled.rowcount:
            await self._scope.connection.execute(
                self._scope.delete(cells).where(cells.c.rendez_vous_id == appointment_id)
            )
            self._publish("appointment.cancelled", appointment)
        return appointment

    async def get(self, appointment_id: str) -> Appointment | None:
        """One of the tenant's, or None."""
        statement = self._scope.select(table, *_COLUMNS).where(table.c.id == appointment_id)
        row = await self._scope.first(statement)
        return None if row is None else Appointment(**row)

    async def list(
        self,
        *,
        status: str | None = None,
        date_from: date | None = None,
        date_to: date | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> Page[Appointment]:
        """By start. Dates are the tenant's local ones, both included."""
        if status is not None and status not in APPOINTMENT_STATUSES:
            raise Invalid(f"must be one of {', '.join(APPOINTMENT_STATUSES)}", field="status")
        conditions: list[sa.ColumnElement[Any]] = []
        if status is not None:
            conditions.append(table.c.status == status)
        if date_from is not None:
            conditions.append(table.c.rdv_date >= date_from)
        if date_to is not None:
            conditions.append(table.c.rdv_date <= date_to)
        statement = self._scope.select(table, *_COLUMNS).where(*conditions)
        order = (table.c.starts_at, table.c.id)
        rows, total = await self._scope.page(statement, order, limit, offset)
        return Page([Appointment(**row) for row in rows], total)

    def _publish(self, kind: str, it: Appointment) -> None:
        data = {
            "starts_at": it.start_utc.isoformat(),
            "minutes": it.minutes,
            "customer_name": it.customer_name,
            "service": it.service,
            "call_id": it.call_id,
        }
        self._scope.publish(kind, it.id, data)

    async def _existing(self, appointment_id: str) -> Appointment:
        appointment = await self.get(appointment_id)
        if appointment is None:
            raise NotFound("no such appointment")
        return appointment

    async def _take(
        self, appointment_id: str, resource: str, start: datetime, end: datetime
    ) -> bool:
        # In ascending order, always: two bookers who overlap never wait for each other in turn.
        wanted = [
            {
                "tenant_id": self._scope.tenant_id,
                "resource": resource,
                "cell": cell,
                "rendez_vous_id": appointment_id,
            }
            for cell in cells_of(start, end)
        ]
        return await insert_unless_taken(self._scope.connection, cells, wanted) == len(wanted)


def cells_of(start: datetime, end: datetime) -> range:
    """Every cell that the time from `start` until just before `end` touches."""
    first = int(start.timestamp()) // CELL_SECONDS
    last = -(-int(end.timestamp()) // CELL_SECONDS)
    return range(first, last)


def _check(new: NewAppointment) -> None:
    if new.start.tzinfo is None:
        raise ValueError("an appointment's start needs a zone")
    if new.start.second or new.start.microsecond:
        raise Invalid("must be a whole minute", field="start")
    if not 1 <= new.minutes <= MAX_MINUTES:
        raise Invalid(f"must lie between 1 and {MAX_MINUTES}", field="minutes")
