"""What every change of an appointment is made of: the tenant's lock, rows, keys, history, news."""

import hashlib
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from domain.errors import Conflict
from storage.appointments.codes import new_code, new_token
from storage.appointments.reading import Reading
from storage.appointments.records import Appointment, Change, NewAppointment
from storage.conflicts import unless_taken
from storage.jobs import jobs_on
from storage.schema import rendez_vous as table
from storage.schema import rendez_vous_history as history
from storage.schema import rendez_vous_requests as requests
from storage.schema import resources as resource_rows
from storage.scope import new_id

#: Wakes whoever keeps something in step with an appointment: calendars, confirmations, reminders
#: (server/appointment_jobs.py). Its payload: {"appointment_id"}.
CHANGED_JOB = "appointment.changed"

#: Of 47 million codes a tenant with a million has one in fifty taken: the tenth try won't be.
CODE_TRIES = 10


class Writing(Reading):
    """For those who change appointments."""

    async def lock(self) -> None:
        """Be the only one who changes this tenant's agenda until the transaction ends. Whoever
        books takes it anyhow; take it earlier to look before."""
        if self._scope.connection.dialect.name == "postgresql":
            name = f"coccinelle.bookings:{self._scope.tenant_id}".encode()
            key = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), signed=True)
            statement = sa.text("SELECT pg_advisory_xact_lock(:key)")
            await self._scope.connection.execute(statement, {"key": key})

    async def replayed(self, request_key: str | None, content: str) -> Appointment | None:
        """What this key was given before, if it was; Conflict when it stood for something else."""
        if request_key is None:
            return None
        statement = self._scope.select(
            requests, requests.c.rendez_vous_id, requests.c.content
        ).where(requests.c.request_key == request_key)
        row = await self._scope.first(statement)
        if row is None:
            return None
        if row["content"] != content:
            raise Conflict(
                "this key was used for another request",
                field="Idempotency-Key",
                message_key="request_key_reused",
            )
        return await self.get(row["rendez_vous_id"])

    # ---------------------------------------------------------------------------- for ourselves

    async def _insert(
        self, new: NewAppointment, resource: str, start: datetime, now: datetime
    ) -> str:
        tenant = await self._scope.tenant()
        local = start.astimezone(ZoneInfo(tenant.timezone))
        values = {
            "tenant_id": self._scope.tenant_id,
            "customer_name": new.customer_name,
            "customer_phone": new.customer_phone,
            "customer_email": new.customer_email,
            "rdv_date": local.date(),
            "rdv_time": local.time(),
            "rdv_type": new.service,
            "rdv_duration_minutes": new.minutes,
            "notes": new.notes,
            "status": "held" if new.hold_until else "confirmed",
            "call_id": new.call_id,
            "created_by": new.created_by,
            "created_at": now,
            "updated_at": now,
            "starts_at": start,
            "ends_at": start + timedelta(minutes=new.minutes),
            "timezone": tenant.timezone,
            "resource": resource,
            "service_id": new.service_id,
            "contact_id": new.contact_id,
            "prospect_id": new.prospect_id,
            "before_minutes": new.before,
            "after_minutes": new.after,
            "hold_until": new.hold_until,
            "holder": new.holder,
        }
        for _ in range(CODE_TRIES):
            given = {"id": new_id(), "code": new_code(), "link_token": new_token()}
            statement = unless_taken(self._scope.connection, table, table.c.id)
            if (await self._scope.connection.execute(statement, {**values, **given})).first():
                self._scope.inserted.append(f"{table.name}:{given['id']}")
                return given["id"]
        raise Conflict("no code is left for this appointment")

    async def _move(self, old: Appointment, begin: datetime, minutes: int, resource: str) -> None:
        tenant = await self._scope.tenant()
        local = begin.astimezone(ZoneInfo(tenant.timezone))
        await self._update(
            old.id,
            starts_at=begin,
            ends_at=begin + timedelta(minutes=minutes),
            rdv_date=local.date(),
            rdv_time=local.time(),
            rdv_duration_minutes=minutes,
            timezone=tenant.timezone,
            resource=resource,
            sequence=old.sequence + 1,
            # Of the old time: the new one has reminders of its own, and wants its own yes.
            reminder_24h_sent=False,
            reminder_1h_sent=False,
            acknowledged_at=None,
        )

    async def _update(self, appointment_id: str, **values: Any) -> None:
        await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == appointment_id)
            .values(updated_at=self._scope.now(), **values)
        )

    async def _guarded(self, resource: str) -> list[str]:
        """Whose cells it needs: its own; for the business itself, everybody's who is there."""
        if resource:
            return [resource]
        statement = self._scope.select(resource_rows, resource_rows.c.id).where(
            resource_rows.c.active
        )
        return ["", *(row["id"] for row in await self._scope.all(statement))]

    async def _sweep(self, now: datetime) -> None:
        """Remove the tenant's holds that are over: their time is free."""
        await self._scope.connection.execute(
            self._scope.delete(table).where(table.c.status == "held", table.c.hold_until <= now)
        )

    async def _held_by(self, holder: str | None) -> list[str]:
        if holder is None:
            return []
        statement = self._scope.select(table, table.c.id).where(
            table.c.status == "held", table.c.holder == holder
        )
        return [row["id"] for row in await self._scope.all(statement)]

    async def _remove(self, appointment_ids: list[str]) -> None:
        """With their cells, keys and history."""
        if appointment_ids:
            await self._scope.connection.execute(
                self._scope.delete(table).where(table.c.id.in_(appointment_ids))
            )

    async def _keep_request(self, key: str | None, content: str, appointment_id: str) -> None:
        if key is not None:
            await self._scope.insert(
                requests,
                request_key=key,
                rendez_vous_id=appointment_id,
                content=content,
                created_at=self._scope.now(),
            )

    async def _remember(
        self,
        action: str,
        change: Change,
        old: Appointment | None,
        new: Appointment,
        reason: str | None = None,
    ) -> None:
        lines = self._scope.select(history, sa.func.count().label("count")).where(
            history.c.rendez_vous_id == new.id
        )
        row = await self._scope.first(lines)
        begins = action in ("held", "booked", "moved")
        await self._scope.insert(
            history,
            id=new_id(),
            rendez_vous_id=new.id,
            position=1 + (row["count"] if row else 0),
            at=self._scope.now(),
            action=action,
            actor=change.by,
            call_id=change.call_id,
            reason=reason or change.reason,
            from_start=old.start_utc if old else None,
            from_resource=old.resource if old else None,
            to_start=new.start_utc if begins else None,
            to_resource=new.resource if begins else None,
        )

    async def _announce(self, kind: str, it: Appointment) -> None:
        """Tell dashboards, and wake whoever keeps calendars and reminders in step."""
        data = {
            "starts_at": it.start_utc.isoformat(),
            "minutes": it.minutes,
            "customer_name": it.customer_name,
            "service": it.service,
            "call_id": it.call_id,
            "resource": it.resource,
            "status": it.status,
        }
        self._scope.publish(kind, it.id, data)
        queue = jobs_on(self._scope.connection, self._scope.clock, self._scope.tenant_id)
        await queue.put(CHANGED_JOB, {"appointment_id": it.id}, key=f"appointment:{it.id}")


def not_confirmed(it: Appointment) -> Conflict:
    """What somebody is told who would change what is over."""
    return Conflict(
        f"this appointment is {it.status}", field="status", message_key=f"appointment_{it.status}"
    )
