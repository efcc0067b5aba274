"""Somebody wants an appointment: the agenda is asked, then the database, and who comes too late is
told what is free instead.

All in one transaction, under the tenant's lock (`storage.appointments.booking`): what the agenda
allows (opening hours, notice, daily caps, other calendars) is still so when the time is taken. This
is where voice, texts, links and our API book; `rows.appointments` is beneath it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from domain.agenda import MAX_HORIZON_DAYS, Agenda, Service
from domain.availability import Booked, Slot, days, nearest, slot_at, verdict
from domain.errors import Conflict, NotFound
from domain.taken import Busy
from storage.agenda import gathered
from storage.appointments import Appointment, Appointments, Change, NewAppointment, Taken
from storage.appointments.records import digest
from storage.schema import appointment_settings as settings_rows
from storage.scope import Scope

#: How many alternatives an answer has.
ALTERNATIVES: Final = 3
#: How far around a moment that can't be had we look, in days, and how much farther each time that
#: finds too few. This is done under the tenant's lock: next to most moments something is free.
_AROUND: Final = (1, 3, 10, 30, 90, 270, MAX_HORIZON_DAYS)
#: Characters of an address, on one line.
_LONGEST_PLACE: Final = 200
#: How much is read at once.
_MONTH: Final = timedelta(days=27)
_DAY: Final = timedelta(days=1)


@dataclass(eq=False)
class Unavailable(Conflict):
    """409, nothing was booked, moved or held.

    `why`: taken | full (as many as a day may have) | past | soon | far | closed | unoffered.
    `alternatives`: the nearest slots that are free, nearest first.
    """

    why: str = "taken"
    alternatives: tuple[Slot, ...] = ()


class _Agendas(Protocol):
    async def load(self) -> Agenda: ...


@dataclass(frozen=True, slots=True)
class Wish:
    """An appointment as somebody asks for it. `start` is aware.

    `service_id`: one of the agenda's; `service` what it is for, in words. `minutes`: other than the
    service's. `resource`: whom they want; None is anyone. `hold_seconds`: only hold it for so long.
    What `holder` (a call, a conversation, a page) held before is given back. `request_key`: the
    same one never books twice.
    """

    start: datetime
    name: str = ""
    phone: str | None = None
    email: str | None = None
    notes: str | None = None
    service_id: str | None = None
    service: str | None = None
    minutes: int | None = None
    resource: str | None = None
    call_id: str | None = None
    contact_id: str | None = None
    prospect_id: str | None = None
    created_by: str = "sara"
    by: str = "voice"
    holder: str | None = None
    hold_seconds: int | None = None
    request_key: str | None = None


class Bookings:
    """Appointments as the tenant's agenda allows them."""

    def __init__(self, scope: Scope, appointments: Appointments, agendas: _Agendas) -> None:
        self._scope = scope
        self._appointments = appointments
        self._agendas = agendas

    async def book(self, wish: Wish) -> Appointment:
        """Book it, or hold it. Unavailable with alternatives when it can't be had; the same
        `request_key` gives the same appointment, and Conflict when it stood for another wish."""
        asked = _asked(wish)
        await self._appointments.lock()
        before = await self._appointments.replayed(wish.request_key, asked)
        if before is not None and before.status != "held":
            return before
        agenda = await self._agendas.load()
        service = service_of(agenda, wish.service_id, wish.minutes)
        asked_for = _Asked(agenda, service, wish.resource, wish.holder)
        slot = await self._slot(asked_for, wish.start)
        now = self._scope.now()
        hold = wish.hold_seconds
        new = NewAppointment(
            start=wish.start,
            minutes=service.minutes,
            customer_name=wish.name,
            customer_phone=wish.phone,
            customer_email=wish.email,
            service=wish.service or service.name or None,
            notes=wish.notes,
            call_id=wish.call_id,
            created_by=wish.created_by,
            resources=(slot.resource, *slot.others),
            before=service.before,
            after=service.after,
            service_id=service.id or None,
            contact_id=wish.contact_id,
            prospect_id=wish.prospect_id,
            request_key=wish.request_key,
            hold_until=None if hold is None else now + timedelta(seconds=hold),
            holder=wish.holder,
            by=wish.by,
            asked=asked,
        )
        try:
            return await self._appointments.book(new)
        except Taken:
            raise await self._unavailable("taken", asked_for, wish.start) from None

    async def move(
        self,
        appointment_id: str,
        start: datetime,
        *,
        resource: str | None = None,
        change: Change | None = None,
    ) -> Appointment:
        """Another time for an appointment, with whom it was unless `resource` says otherwise; the
        old one stays when the new one can't be had (Unavailable, with alternatives). NotFound;
        Conflict when it is over or cancelled."""
        await self._appointments.lock()
        old = await self._appointments.get(appointment_id)
        if old is None:
            raise NotFound("no such appointment", message_key="appointment_unknown")
        agenda = await self._agendas.load()
        service = _service_of_old(agenda, old)
        resource = _with_whom(agenda, old) if resource is None else resource
        holder = change.holder if change else None
        asked = _Asked(agenda, service, resource, holder, appointment_id)
        candidates: tuple[str, ...] = ()
        stays = start == old.start_utc and resource in (None, old.resource)
        if old.status == "confirmed" and not stays:
            slot = await self._slot(asked, start)
            candidates = (slot.resource, *slot.others)
        try:
            return await self._appointments.reschedule(
                appointment_id, start, resources=candidates or None, change=change
            )
        except Taken:
            raise await self._unavailable("taken", asked, start) from None

    async def alternatives(
        self,
        start: datetime,
        *,
        service_id: str | None = None,
        resource: str | None = None,
        appointment_id: str | None = None,
        count: int = ALTERNATIVES,
    ) -> Sequence[Slot]:
        """The free slots nearest to a moment (aware), nearest first; for `appointment_id`, to
        which it could be moved."""
        agenda = await self._agendas.load()
        service = service_of(agenda, service_id)
        if appointment_id is not None:
            old = await self._appointments.get(appointment_id)
            if old is not None:
                service = _service_of_old(agenda, old)
                resource = _with_whom(agenda, old) if resource is None else resource
        asked = _Asked(agenda, service, resource, moved=appointment_id)
        return await self._near(asked, start, count)

    async def open_to(self, appointment_id: str, first: date, last: date) -> Sequence[Slot]:
        """The free slots to which an appointment could be moved on the days `first` to `last` (the
        tenant's), by start. NotFound."""
        old = await self._appointments.get(appointment_id)
        if old is None:
            raise NotFound("no such appointment", message_key="appointment_unknown")
        agenda = await self._agendas.load()
        service, whom = _service_of_old(agenda, old), _with_whom(agenda, old)
        asked = _Asked(agenda, service, whom, moved=appointment_id)
        return await self._free(asked, first, last)

    async def settings(self) -> dict[str, Any]:
        """What the dashboard keeps about appointments (notifications …); {} before it did."""
        row = await self._scope.first(self._scope.select(settings_rows, settings_rows.c.settings))
        return {} if row is None else dict(row["settings"])

    async def place(self) -> str:
        """Where customers come to: `address` of the settings, on one line; "" when none was set."""
        return place_of(await self.settings())

    async def set_settings(self, settings: Mapping[str, Any]) -> None:
        """Replace it."""
        values = {"settings": dict(settings), "updated_at": self._scope.now()}
        await self._scope.update_tenant()  # whoever sets it at the same moment waits here
        changed = await self._scope.connection.execute(
            self._scope.update(settings_rows).values(**values)
        )
        if not changed.rowcount:
            await self._scope.insert(settings_rows, **values)

    # ---------------------------------------------------------------------------- for ourselves

    async def _slot(self, asked: "_Asked", start: datetime) -> Slot:
        agenda, service, whom = asked.agenda, asked.service, asked.resource
        now = self._scope.now()
        why = verdict(agenda, service, start, now, resource=whom)
        if why != "ok":
            raise await self._unavailable(why, asked, start)
        day = start.astimezone(ZoneInfo(agenda.timezone)).date()
        busy, booked = await self._taken(asked, day, day)
        slot = slot_at(agenda, service, busy, start, now, resource=whom, booked=booked)
        if slot is None:
            room = slot_at(agenda, service, busy, start, now, resource=whom)
            raise await self._unavailable("taken" if room is None else "full", asked, start)
        return slot

    async def _unavailable(self, why: str, asked: "_Asked", start: datetime) -> Unavailable:
        near = await self._near(asked, start, ALTERNATIVES)
        return Unavailable(
            f"this time can't be had: {why}",
            field="start",
            message_key=f"appointment_{why}",
            why=why,
            alternatives=tuple(near),
        )

    async def _near(self, asked: "_Asked", start: datetime, count: int) -> Sequence[Slot]:
        """The nearest slots. Looks farther and farther around, until nothing that it hasn't seen
        could be nearer."""
        agenda = asked.agenda
        zone = ZoneInfo(agenda.timezone)
        today = self._scope.now().astimezone(zone).date()
        horizon = today + timedelta(days=agenda.horizon(asked.service))
        day = min(max(start.astimezone(zone).date(), today), horizon)
        slots: list[Slot] = []
        first = last = None  # what was looked at so far
        for around in _AROUND:
            begin, end = max(today, day - around * _DAY), min(horizon, day + around * _DAY)
            if first is None or last is None:
                slots = await self._free(asked, begin, end)
            else:
                slots += await self._free(asked, begin, first - _DAY)
                slots += await self._free(asked, last + _DAY, end)
            first, last = begin, end
            unseen = timedelta.max  # how near something could be that wasn't looked at
            if first > today:
                unseen = start - _midnight(first, agenda.timezone)
            if last < horizon:
                unseen = min(unseen, _midnight(last + _DAY, agenda.timezone) - start)
            found = nearest(slots, start, count)
            if unseen == timedelta.max or (
                len(found) >= count and abs(found[-1].start - start) <= unseen
            ):
                return found
        return nearest(slots, start, count)

    async def _free(self, asked: "_Asked", first: date, last: date) -> list[Slot]:
        """Of these days, by start. Lets the loop run after each: calls' audio is on it, and only
        this tenant's bookers wait."""
        found: list[Slot] = []
        agenda, service, now = asked.agenda, asked.service, self._scope.now()
        while first <= last:
            end = min(first + _MONTH, last)
            busy, booked = await self._taken(asked, first, end)
            of_month = days(
                agenda, service, busy, now, first, end, resource=asked.resource, booked=booked
            )
            found += await gathered(of_month)
            first = end + _DAY
        return found

    async def _taken(self, asked: "_Asked", first: date, last: date) -> tuple[Busy, Booked]:
        """Busy times and counts of these days, and of the nights around them."""
        others = {"holder": asked.holder, "appointment_id": asked.moved}
        begin, end = first - _DAY, last + 2 * _DAY
        zone = asked.agenda.timezone
        busy = await self._appointments.busy(_midnight(begin, zone), _midnight(end, zone), **others)
        return busy, await self._appointments.booked(first, last, **others)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What somebody wants of an agenda, whenever. What `holder` holds, and the appointment that is
    `moved`, are free to them."""

    agenda: Agenda
    service: Service
    resource: str | None = None
    holder: str | None = None
    moved: str | None = None


def place_of(settings: Mapping[str, Any]) -> str:
    """The address that customers come to, from the settings of appointments; "" for none."""
    said = settings.get("address")
    return " ".join(said.split())[:_LONGEST_PLACE] if isinstance(said, str) else ""


def service_of(agenda: Agenda, service_id: str | None, minutes: int | None = None) -> Service:
    """The service of this id, or an appointment for nothing in particular; NotFound when there
    is no such service."""
    service = agenda.plain() if service_id is None else agenda.service(service_id)
    if service is None:
        raise NotFound("no such service", field="service_id", message_key="service_unknown")
    return service if minutes is None else replace(service, minutes=minutes)


def _service_of_old(agenda: Agenda, old: Appointment) -> Service:
    """What was booked, as long as it was booked for, even if it isn't offered any more."""
    service = (agenda.service(old.service_id) if old.service_id else None) or agenda.plain()
    return replace(service, minutes=old.minutes, before=old.before, after=old.after)


def _with_whom(agenda: Agenda, old: Appointment) -> str | None:
    """The resource it has, while that is there; else anyone."""
    there = {each.id for each in agenda.resources if each.active}
    return old.resource if old.resource in there else None


def _midnight(day: date, timezone: str) -> datetime:
    return datetime.combine(day, time.min, ZoneInfo(timezone)).astimezone(UTC)


def _asked(wish: Wish) -> str:
    """A digest of what is asked for; who asks, by what door, isn't part of it."""
    return digest(
        "hold" if wish.hold_seconds else "book",
        {
            "start": wish.start.astimezone(UTC).isoformat(),
            "minutes": wish.minutes,
            "service": wish.service_id or wish.service,
            "resource": wish.resource,
            "name": wish.name,
            "phone": wish.phone,
            "email": wish.email,
            "notes": wish.notes,
        },
    )
