"""What becomes of an appointment whose time stays as it is."""

from storage.appointments.codes import new_code, new_token
from storage.appointments.records import Appointment, Change
from storage.appointments.writing import CODE_TRIES, Writing, not_confirmed
from storage.schema import rendez_vous as table

_DONE = ("completed", "no_show")


class Details(Writing):
    """Whether somebody came, what they are called, and the code they have."""

    async def mark(
        self, appointment_id: str, status: str, *, change: Change | None = None
    ) -> Appointment:
        """Say what became of it: completed, no_show, or after all confirmed. Conflict for one that
        is cancelled: its time may be another's."""
        if status not in ("confirmed", *_DONE):
            raise ValueError(f"nobody marks an appointment {status}")
        await self.lock()
        old = await self._existing(appointment_id)
        if old.status == status:
            return old
        if old.status not in ("confirmed", *_DONE):
            raise not_confirmed(old)
        done = self._scope.now() if status == "completed" else None
        await self._update(appointment_id, status=status, completed_at=done)
        appointment = await self._existing(appointment_id)
        action = "reopened" if status == "confirmed" else status
        await self._remember(action, change or Change(), None, appointment)
        await self._announce("appointment.updated", appointment)
        return appointment

    async def acknowledge(
        self, appointment_id: str, *, change: Change | None = None
    ) -> Appointment:
        """The customer says that they will come. Conflict when there is nothing to come to."""
        await self.lock()
        old = await self._existing(appointment_id)
        if old.status != "confirmed":
            raise not_confirmed(old)
        if old.acknowledged_at is not None:
            return old
        await self._update(appointment_id, acknowledged_at=self._scope.now())
        appointment = await self._existing(appointment_id)
        await self._remember("acknowledged", change or Change(), None, appointment)
        await self._announce("appointment.updated", appointment)
        return appointment

    async def correct(
        self,
        appointment_id: str,
        *,
        customer_name: str | None = None,
        customer_phone: str | None = None,
        customer_email: str | None = None,
        notes: str | None = None,
        contact_id: str | None = None,
        change: Change | None = None,
    ) -> Appointment:
        """Other details of the same person, for what was misheard or forgotten; None: as it was."""
        given = {
            "customer_name": customer_name,
            "customer_phone": customer_phone,
            "customer_email": customer_email,
            "notes": notes,
            "contact_id": contact_id,
        }
        await self.lock()
        old = await self._existing(appointment_id)
        changed = {
            name: value
            for name, value in given.items()
            if value is not None and value != getattr(old, name)
        }
        if not changed:
            return old
        await self._update(appointment_id, **changed)
        appointment = await self._existing(appointment_id)
        await self._remember("corrected", change or Change(), None, appointment)
        await self._announce("appointment.updated", appointment)
        return appointment

    async def with_codes(self, appointment_id: str) -> Appointment:
        """The appointment, with a code and a link's token: rows of older servers get them here."""
        appointment = await self._existing(appointment_id)
        if appointment.code and appointment.link_token:
            return appointment
        await self.lock()
        for _ in range(CODE_TRIES):
            code = appointment.code or new_code()
            taken = self._scope.select(table, table.c.id).where(
                table.c.code == code, table.c.id != appointment_id
            )
            if await self._scope.first(taken) is None:
                await self._update(
                    appointment_id, code=code, link_token=appointment.link_token or new_token()
                )
                break
        return await self._existing(appointment_id)
