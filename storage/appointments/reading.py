"""What can be asked of a tenant's appointments."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from domain.errors import Invalid, NotFound
from storage.appointments.codes import plain_code
from storage.appointments.records import (
    COLUMNS,
    FREE,
    MAX_BUFFER_MINUTES,
    MAX_MINUTES,
    Appointment,
    HistoryEntry,
)
from storage.calendars.spans import external_busy
from storage.schema import APPOINTMENT_STATUSES, call_logs
from storage.schema import rendez_vous as table
from storage.schema import rendez_vous_history as history
from storage.scope import Page, Scope

#: Appointments that one caller can have ahead and hear of.
_MOST_OF_ONE = 20

Spans = dict[str, list[tuple[datetime, datetime]]]

_HISTORY = (
    history.c.at,
    history.c.action,
    history.c.actor,
    history.c.call_id,
    history.c.reason,
    history.c.from_start,
    history.c.from_resource,
    history.c.to_start,
    history.c.to_resource,
)


class Reading:
    """Appointments as they are. Whoever holds a time for a moment is in `busy` and `booked`, and in
    no list unless one asks for it."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def busy(
        self,
        start_utc: datetime,
        end_utc: datetime,
        *,
        holder: str | None = None,
        appointment_id: str | None = None,
    ) -> Spans:
        """What is taken between two instants, buffers and other calendars included: by resource,
        (start, end) in UTC, by start. "" is everybody's. What `holder` holds, and this
        appointment, count as free."""
        slack = timedelta(minutes=MAX_MINUTES + MAX_BUFFER_MINUTES)
        statement = self._scope.select(
            table,
            table.c.resource,
            table.c.starts_at,
            table.c.ends_at,
            table.c.before_minutes,
            table.c.after_minutes,
        ).where(
            table.c.starts_at < end_utc + timedelta(minutes=MAX_BUFFER_MINUTES),
            # ends_at alone would read all that ever was: this one is for the index.
            table.c.starts_at >= start_utc - slack,
            *self._live(holder, appointment_id),
        )
        spans: Spans = {}
        for row in await self._scope.all(statement.order_by(table.c.starts_at)):
            begins = row["starts_at"] - timedelta(minutes=row["before_minutes"])
            ends = row["ends_at"] + timedelta(minutes=row["after_minutes"])
            if begins < end_utc and ends > start_utc:
                spans.setdefault(row["resource"], []).append((begins, ends))
        for resource, elsewhere in (await external_busy(self._scope, start_utc, end_utc)).items():
            spans.setdefault(resource, []).extend(elsewhere)
        return {resource: sorted(each) for resource, each in spans.items()}

    async def booked(
        self,
        first: date,
        last: date,
        *,
        holder: str | None = None,
        appointment_id: str | None = None,
    ) -> dict[tuple[date, str, str], int]:
        """How many appointments there are from `first` to `last` (the tenant's days), by day,
        resource and service ("" is none in particular): what daily caps count."""
        service = sa.func.coalesce(table.c.service_id, "").label("service")
        statement = (
            self._scope.select(
                table, table.c.rdv_date, table.c.resource, service, sa.func.count().label("count")
            )
            .where(
                table.c.rdv_date >= first,
                table.c.rdv_date <= last,
                *self._live(holder, appointment_id),
            )
            .group_by(table.c.rdv_date, table.c.resource, service)
        )
        return {
            (row["rdv_date"], row["resource"], row["service"]): row["count"]
            for row in await self._scope.all(statement)
        }

    async def get(self, appointment_id: str) -> Appointment | None:
        """One of the tenant's, or None."""
        return await self._one(table.c.id == appointment_id)

    async def by_code(self, code: str) -> Appointment | None:
        """The appointment of this code, however it is said or written; None when there is none.
        Whoever lets strangers try must count their tries."""
        plain = plain_code(code)
        return None if plain is None else await self._one(table.c.code == plain, *_no_hold())

    async def by_link(self, token: str) -> Appointment | None:
        """The appointment of this link's token, or None."""
        return await self._one(table.c.link_token == token.lower(), *_no_hold())

    async def ahead_of_caller(
        self, number: str | None, contact_id: str | None = None
    ) -> Sequence[Appointment]:
        """The confirmed appointments to come that were made for this number (E.164) or contact, or
        by a call from it, by start. A number proves nothing: see the voice functions."""
        theirs: list[sa.ColumnElement[bool]] = [sa.false()]
        if number:  # a withheld one is stored as "", and is nobody's
            calls = sa.select(call_logs.c.id).where(
                call_logs.c.tenant_id == self._scope.tenant_id, call_logs.c.from_number == number
            )
            theirs += [table.c.customer_phone == number, table.c.call_id.in_(calls)]
        if contact_id is not None:
            theirs.append(table.c.contact_id == contact_id)
        statement = self._scope.select(table, *COLUMNS).where(
            table.c.status == "confirmed",
            table.c.starts_at >= self._scope.now(),
            sa.or_(*theirs),
        )
        rows = await self._scope.all(statement.order_by(table.c.starts_at).limit(_MOST_OF_ONE))
        return [Appointment(**row) for row in rows]

    async def of_call(self, call_id: str) -> Sequence[Appointment]:
        """What was booked during a call, by start; holds aside."""
        statement = self._scope.select(table, *COLUMNS).where(
            table.c.call_id == call_id, *_no_hold()
        )
        rows = await self._scope.all(statement.order_by(table.c.starts_at, table.c.id))
        return [Appointment(**row) for row in rows]

    async def list(
        self,
        *,
        status: str | None = None,
        date_from: date | None = None,
        date_to: date | None = None,
        resource: str | None = None,
        contact_id: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> Page[Appointment]:
        """By start. Dates are the tenant's local ones, both included. Holds only if asked for."""
        if status is not None and status not in APPOINTMENT_STATUSES:
            raise Invalid(f"must be one of {', '.join(APPOINTMENT_STATUSES)}", field="status")
        given: Mapping[sa.Column[Any], Any] = {
            table.c.status: status,
            table.c.resource: resource,
            table.c.contact_id: contact_id,
        }
        conditions = [column == value for column, value in given.items() if value is not None]
        if status is None:
            conditions += _no_hold()
        if date_from is not None:
            conditions.append(table.c.rdv_date >= date_from)
        if date_to is not None:
            conditions.append(table.c.rdv_date <= date_to)
        statement = self._scope.select(table, *COLUMNS).where(*conditions)
        order = (table.c.starts_at, table.c.id)
        rows, total = await self._scope.page(statement, order, limit, offset)
        return Page([Appointment(**row) for row in rows], total)

    async def history(self, appointment_id: str) -> Sequence[HistoryEntry]:
        """What happened to it, oldest first; nothing for one that isn't the tenant's."""
        statement = self._scope.select(history, *_HISTORY).where(
            history.c.rendez_vous_id == appointment_id
        )
        rows = await self._scope.all(statement.order_by(history.c.position))
        return [HistoryEntry(**row) for row in rows]

    # ---------------------------------------------------------------------------- for ourselves

    def _live(
        self, holder: str | None, appointment_id: str | None
    ) -> Sequence[sa.ColumnElement[bool]]:
        """Rows that keep their time busy now."""
        held = sa.and_(table.c.status == "held", table.c.hold_until > self._scope.now())
        if holder is not None:
            held = sa.and_(held, sa.func.coalesce(table.c.holder, "") != holder)
        conditions = [sa.or_(table.c.status.not_in((*FREE, "held")), held)]
        if appointment_id is not None:
            conditions.append(table.c.id != appointment_id)
        return conditions

    async def _one(self, *conditions: sa.ColumnElement[bool]) -> Appointment | None:
        row = await self._scope.first(self._scope.select(table, *COLUMNS).where(*conditions))
        return None if row is None else Appointment(**row)

    async def _existing(self, appointment_id: str) -> Appointment:
        appointment = await self.get(appointment_id)
        if appointment is None:
            raise NotFound("no such appointment", message_key="appointment_unknown")
        return appointment


def _no_hold() -> Sequence[sa.ColumnElement[bool]]:
    return [table.c.status != "held"]
