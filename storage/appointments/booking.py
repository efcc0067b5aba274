"""Appointments are made, held, moved and cancelled here, one tenant's one after the other.

Two guards stand behind it. Each five minutes of a resource belong to one appointment, by a primary
key: nothing that any server of any age does can book twice. And who changes a tenant's agenda has a
lock of the database until its transaction ends, so that what it has just seen (who is free, how
many a day has) is still so when it writes. On SQLite that lock is the one writer there is.

Whoever also wants other rows (a contact, a call) gets them before, not after.
"""

from datetime import UTC, datetime, timedelta

from storage.appointments.cells import cells_of, give_back, is_free, take, taken_of
from storage.appointments.details import Details
from storage.appointments.records import (
    Appointment,
    Change,
    HoldExpired,
    NewAppointment,
    Taken,
    check,
    check_key,
    check_time,
    content_of,
    digest,
)
from storage.appointments.writing import not_confirmed


class Appointments(Details):
    """A tenant's appointments."""

    # -------------------------------------------------------------------------------- to book

    async def book(self, new: NewAppointment) -> Appointment:
        """Take the time, or raise Taken when no candidate has it.

        Of any number of bookers at once exactly one succeeds. The same `request_key` gives the same
        appointment, as it is by now; Conflict when it stood for something else.
        """
        now = self._scope.now()
        await self.lock()
        await self._sweep(now)
        before = await self.replayed(new.request_key, content_of(new))
        if before is not None:  # a repeated request may well come after its time
            return before
        check(new, now)
        mine = await self._held_by(new.holder)
        start = new.start.astimezone(UTC)
        wanted = cells_of(
            start - timedelta(minutes=new.before),
            start + timedelta(minutes=new.minutes + new.after),
        )
        taken = await taken_of(self._scope, wanted, mine)
        resource = next((each for each in new.candidates if is_free(each, taken)), None)
        if resource is None:
            raise _taken()
        await self._remove(mine)
        appointment_id = await self._insert(new, resource, start, now)
        if not await take(self._scope, appointment_id, await self._guarded(resource), wanted):
            # An older server, which knows nothing of the lock. Nothing of the attempt stays, even
            # if the caller goes on with this transaction.
            await self._remove([appointment_id])
            raise _taken()
        await self._keep_request(new.request_key, content_of(new), appointment_id)
        appointment = await self._existing(appointment_id)
        change = Change(new.by, new.call_id)
        await self._remember("held" if new.hold_until else "booked", change, None, appointment)
        if new.hold_until is None:
            await self._announce("appointment.booked", appointment)
        return appointment

    async def hold(self, new: NewAppointment) -> Appointment:
        """`book` with `hold_until`: nobody else gets the time before then."""
        if new.hold_until is None:
            raise ValueError("a hold needs an end")
        return await self.book(new)

    async def confirm_hold(
        self, appointment_id: str, new: NewAppointment, change: Change | None = None
    ) -> Appointment:
        """Make an appointment of what is held, with the person's details in `new` (whose time and
        resource don't matter). HoldExpired when it is over, or was another holder's."""
        now = self._scope.now()
        await self.lock()
        before = await self.replayed(new.request_key, content_of(new))
        if before is not None:
            return before
        held = await self.get(appointment_id)
        if held is None or held.status != "held" or held.holder != new.holder:
            raise _expired()
        assert held.hold_until is not None
        if held.hold_until <= now:
            raise _expired()
        await self._update(
            appointment_id,
            status="confirmed",
            hold_until=None,
            customer_name=new.customer_name,
            customer_phone=new.customer_phone,
            customer_email=new.customer_email,
            rdv_type=new.service or held.service,
            notes=new.notes,
            call_id=new.call_id,
            contact_id=new.contact_id,
            prospect_id=new.prospect_id,
            created_by=new.created_by,
        )
        await self._keep_request(new.request_key, content_of(new), appointment_id)
        appointment = await self._existing(appointment_id)
        await self._remember("booked", change or Change(new.by, new.call_id), None, appointment)
        await self._announce("appointment.booked", appointment)
        return appointment

    async def release(self, holder: str) -> bool:
        """Give back what this holder holds; False when that is nothing."""
        await self.lock()
        mine = await self._held_by(holder)
        await self._remove(mine)
        return bool(mine)

    # -------------------------------------------------------------------------------- to change

    async def reschedule(
        self,
        appointment_id: str,
        start: datetime,
        *,
        resources: tuple[str, ...] | None = None,
        minutes: int | None = None,
        change: Change | None = None,
    ) -> Appointment:
        """Another time for the same appointment; the old one is given back only if the new one is
        had. `resources`: the candidates, whoever had it before unless given. To where it is already
        changes nothing.

        Raises Taken, NotFound, and Conflict when it is over or cancelled.
        """
        now, change = self._scope.now(), change or Change()
        await self.lock()
        content = digest("move", {"id": appointment_id, "to": start.astimezone(UTC).isoformat()})
        before = await self.replayed(change.request_key, content)
        if before is not None:
            return before
        old = await self._existing(appointment_id)
        minutes = old.minutes if minutes is None else minutes
        check_time(start, minutes, now)
        check_key(change.request_key)
        if old.status != "confirmed":
            raise not_confirmed(old)
        await self._sweep(now)
        mine = await self._held_by(change.holder)
        begin = start.astimezone(UTC)
        wanted = cells_of(
            begin - timedelta(minutes=old.before), begin + timedelta(minutes=minutes + old.after)
        )
        taken = await taken_of(self._scope, wanted, [appointment_id, *mine])
        candidates = (old.resource,) if resources is None else resources
        if (begin, minutes) == (old.start_utc, old.minutes) and old.resource in candidates:
            await self._keep_request(change.request_key, content, appointment_id)
            return old
        resource = next((each for each in candidates if is_free(each, taken)), None)
        if resource is None:
            raise _taken()
        try:
            async with self._scope.connection.begin_nested():
                await self._remove(mine)
                await give_back(self._scope, appointment_id)
                guarded = await self._guarded(resource)
                if not await take(self._scope, appointment_id, guarded, wanted):
                    raise _taken()  # an older server, which knows nothing of the lock
                await self._move(old, begin, minutes, resource)
        except Taken:
            raise _taken() from None
        await self._keep_request(change.request_key, content, appointment_id)
        appointment = await self._existing(appointment_id)
        await self._remember("moved", change, old, appointment)
        await self._announce("appointment.moved", appointment)
        return appointment

    async def cancel(
        self, appointment_id: str, reason: str | None = None, *, change: Change | None = None
    ) -> Appointment:
        """Cancel it and give its time back. Cancelling twice is the same as once.

        Raises NotFound, and Conflict when it is over (completed, no_show, rescheduled) or was only
        held.
        """
        now, change = self._scope.now(), change or Change()
        await self.lock()
        old = await self._existing(appointment_id)
        if old.status == "cancelled":
            return old
        if old.status != "confirmed":
            raise not_confirmed(old)
        await self._update(
            appointment_id,
            status="cancelled",
            cancelled_at=now,
            cancel_reason=reason or change.reason,
            sequence=old.sequence + 1,
        )
        await give_back(self._scope, appointment_id)
        appointment = await self._existing(appointment_id)
        await self._remember("cancelled", change, old, appointment, appointment.cancel_reason)
        await self._announce("appointment.cancelled", appointment)
        return appointment


def _taken() -> Taken:
    return Taken("this time is already taken", field="start", message_key="appointment_taken")


def _expired() -> HoldExpired:
    return HoldExpired(
        "this time is no longer held", field="start", message_key="appointment_hold_over"
    )
