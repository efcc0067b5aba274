"""Confirmations and reminders: what a customer is told about an appointment unasked.

An appointment's change plans them (`plan`); a job wakes each at its time, looks at the appointment
once more, and puts one text into the outbox, by the channel that the person prefers. Only if that
has certainly not arrived, the next channel is tried.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import structlog

from domain.clock import Clock
from domain.errors import CallerError
from domain.jobs import Again, Job
from domain.mail_servers import mail_server
from domain.reminder_times import CLOSES, OPENS, QuietHours, reminders
from messaging.conversation import button
from messaging.invitations import Entry, Person, invitation
from storage import Appointment, Storage, TenantRows
from storage.contacts import Contact
from storage.reminders import DROPPED, FAILED, STILL, Reminder, Wanted
from storage.text_rows import NewText

log = structlog.get_logger(__name__)

#: The job that an unarrived text wakes (storage.outbox `on_end`): payload {"text_id": …}.
ELSEWHERE: Final = "reminder.elsewhere"
#: In this order, unless the person prefers another (issue 6).
ORDER: Final = ("whatsapp", "sms", "email")
#: A confirmation that couldn't go within this time comes as a surprise.
_USEFUL: Final = timedelta(hours=12)
#: What is so late is on time: the last moment before quiet hours is a minute before them.
_LATE: Final = timedelta(minutes=15)
_TEMPLATES: Final[Mapping[str, str]] = {
    "24h": "rdvRappel",
    "1h": "rdvRappel",
    "confirmation": "rdvConfirmation",
    "moved": "rdvDeplacement",
    "cancelled": "rdvAnnulation",
}
_REMINDERS: Final = frozenset({"24h", "1h"})


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the business wants, from its settings of appointments (dashboard/api/appointments)."""

    confirm: bool = True
    remind: frozenset[str] = _REMINDERS
    opens: time = OPENS
    closes: time = CLOSES
    sundays_quiet: bool = False
    holidays_quiet: bool = True

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Wishes":
        """`settings.reminders`: {"24h": bool, "1h": bool, "confirmation": bool, "quietFrom":
        "20:00", "quietUntil": "08:00", "quietSundays": bool, "quietHolidays": bool}; whatever can't
        be read is as if nobody had said anything."""
        said = settings.get("reminders")
        chosen: Mapping[str, Any] = said if isinstance(said, Mapping) else {}
        opens = _clock(chosen.get("quietUntil"), OPENS)
        closes = _clock(chosen.get("quietFrom"), CLOSES)
        if opens >= closes:
            opens, closes = OPENS, CLOSES
        return cls(
            confirm=chosen.get("confirmation") is not False,
            remind=frozenset(kind for kind in _REMINDERS if chosen.get(kind) is not False),
            opens=opens,
            closes=closes,
            sundays_quiet=chosen.get("quietSundays") is True,
            holidays_quiet=chosen.get("quietHolidays") is not False,
        )


@dataclass(frozen=True, slots=True)
class Reminding:
    """`public_url`: where customers' pages are."""

    storage: Storage
    clock: Clock
    public_url: str
    replies: bool = True  # the deployment's sender of SMS can be answered

    # ------------------------------------------------------------------------------- planning

    async def plan(self, tenant_id: str, appointment_id: str) -> datetime | None:
        """The appointment has changed: what is planned follows. A follower of
        `server.appointment_jobs`; it never asks to be called again."""
        async with self.storage.tenant(tenant_id).write() as rows:
            appointment = await rows.appointments.get(appointment_id)
            if appointment is None:
                return None
            wishes = Wishes.of(await rows.bookings.settings())
            wanted = await self._wanted(rows, appointment, wishes)
            await rows.reminders.plan(appointment_id, appointment.start_utc, wanted)
        return None

    async def _wanted(
        self, rows: TenantRows, appointment: Appointment, wishes: Wishes
    ) -> list[Wanted]:
        now = self.clock.now()
        if appointment.status == "held" or appointment.start_utc <= now:
            return []
        history = await rows.appointments.history(appointment.id)
        last = next((each for each in reversed(history) if each.action in _TOLD), None)
        if last is None:
            return []
        if appointment.status == "cancelled":
            # Who cancels in writing gets their answer there.
            told = wishes.confirm and last.actor != "text"
            return [Wanted("cancelled", now)] if told else []
        if appointment.status != "confirmed":
            return []
        wanted = []
        if wishes.confirm and not (last.action == "moved" and last.actor == "text"):
            wanted.append(Wanted(_TOLD[last.action], last.at))
        quiet = await quiet_hours(rows, wishes)
        for due in reminders(appointment.start_utc, appointment.timezone, last.at, quiet):
            if due.kind in wishes.remind and due.at > now:
                wanted.append(Wanted(due.kind, due.at, due.only_without_first))
        return wanted

    # -------------------------------------------------------------------------------- sending

    async def send(self, job: Job) -> Again | None:
        """The job `reminder.send`: this one is due."""
        assert job.tenant_id is not None
        async with self.storage.tenant(job.tenant_id).write() as rows:
            reminder = await rows.reminders.get(str(job.payload["reminder_id"]))
            if reminder is None or reminder.state != "planned":
                return None
            if reminder.due_at > self.clock.now():
                return Again(reminder.due_at)
            await self._go(rows, reminder)
        return None

    async def elsewhere(self, job: Job) -> Again | None:
        """The job `reminder.elsewhere`: that text has certainly not arrived."""
        assert job.tenant_id is not None
        async with self.storage.tenant(job.tenant_id).write() as rows:
            found = await rows.reminders.with_text(str(job.payload["text_id"]))
            # Only the last one that was tried: another may be on its way already.
            if found is not None and found.tried[-1][1] == job.payload["text_id"]:
                await self._go(rows, found)
        return None

    async def _go(self, rows: TenantRows, reminder: Reminder) -> None:
        appointment = await rows.appointments.get(reminder.appointment_id)
        reason = await self._pointless(rows, reminder, appointment)
        if reason is not None or appointment is None:
            await rows.reminders.settle(reminder.id, DROPPED, reason=reason)
            if reminder.tried:  # and the last way that was tried led nowhere
                await rows.reminders.unmark(reminder)
            return
        appointment = await rows.appointments.with_codes(appointment.id)
        tried, place = list(reminder.tried), await rows.bookings.place()
        for channel, address in await self._ways(rows, reminder, appointment):
            if channel in {each for each, _ in tried}:
                continue
            try:
                new = self._text(reminder, appointment, channel, address, place)
                if channel == "email":
                    new = replace(new, attachments=await _files(rows, reminder, appointment, new))
                text = await rows.outbox.put(new)
            except CallerError as error:  # an address that can't be written to, a missing value
                log.info("reminder.not_written", channel=channel, error=type(error).__name__)
                continue
            tried.append((channel, text.id))
            await rows.reminders.trying(reminder.id, tried)
            await rows.reminders.mark_sent(reminder)
            return
        await rows.reminders.settle(reminder.id, FAILED, reason="unreachable")
        await rows.reminders.unmark(reminder)

    async def _pointless(
        self, rows: TenantRows, reminder: Reminder, appointment: Appointment | None
    ) -> str | None:
        """Why it shouldn't go any more."""
        now = self.clock.now()
        if appointment is None or appointment.start_utc != reminder.starts_at:
            return "changed"
        if appointment.start_utc <= now:
            return "too_late"
        if appointment.status not in STILL.get(reminder.kind, ("confirmed",)):
            return "changed"
        if reminder.kind not in _REMINDERS and now > reminder.due_at + _USEFUL:
            return "too_late"
        if reminder.only_without_first and await rows.reminders.went(
            appointment.id, "24h", reminder.starts_at
        ):
            return "quiet_hours"
        if await late_into_quiet(rows, reminder, appointment):
            return "quiet_hours"
        return None

    async def _ways(
        self, rows: TenantRows, reminder: Reminder, appointment: Appointment
    ) -> list[tuple[str, str]]:
        """(channel, address), the preferred one first: channels that are on, for this kind of
        text, with an address of theirs."""
        contact = (
            await rows.contacts.get(appointment.contact_id) if appointment.contact_id else None
        )
        order = list(ORDER)
        if contact is not None and contact.preferred_channel in order:
            order.sort(key=lambda channel: channel != contact.preferred_channel)
        template = _TEMPLATES[reminder.kind]
        ways = []
        for channel in order:
            address = _address(channel, appointment, contact)
            if address and await _offers(rows, channel, template):
                ways.append((channel, address))
        return ways

    def _text(
        self, reminder: Reminder, it: Appointment, channel: str, address: str, place: str
    ) -> NewText:
        local = it.start_utc.astimezone(ZoneInfo(it.timezone))
        start = int(it.start_utc.timestamp())
        values = {
            "client": it.customer_name,
            "date": local.date().isoformat(),
            "heure": local.strftime("%H:%M"),
            "prestation": it.service or "",
            "adresse": place,
            "code": it.code or "",
            "lien": f"{self.public_url.rstrip('/')}/r/{it.link_token}" if it.link_token else "",
        }
        buttons: tuple[tuple[str, str], ...] = ()
        if channel == "whatsapp" and reminder.kind in _REMINDERS:
            buttons = (
                (button("confirm", it.id, it.sequence), "Je confirme"),
                (button("move", it.id, it.sequence), "Déplacer"),
                (button("cancel", it.id, it.sequence), "Annuler"),
            )
        return NewText(
            channel=channel,
            to=address,
            template=_TEMPLATES[reminder.kind],
            variables={name: value for name, value in values.items() if value},
            contact_id=it.contact_id,
            appointment_id=it.id,
            dedupe_key=f"appt:{it.id}:{start}:{reminder.kind}:{channel}:{it.sequence}",
            expires_at=self._useless_from(reminder, it),
            created_by="reminders",
            buttons=buttons,
            on_end=ELSEWHERE,
            link_base=self.public_url,
            replies=self.replies,
        )

    def _useless_from(self, reminder: Reminder, it: Appointment) -> datetime:
        if reminder.kind in _REMINDERS:
            return it.start_utc
        return min(it.start_utc, self.clock.now() + _USEFUL)


async def quiet_hours(rows: TenantRows, wishes: Wishes) -> QuietHours:
    """When the business writes to nobody unasked."""
    holidays: Collection[date] = ()
    if wishes.holidays_quiet:
        holidays = await rows.agenda.public_holidays()
    return QuietHours(wishes.opens, wishes.closes, holidays, wishes.sundays_quiet)


async def late_into_quiet(rows: TenantRows, reminder: Reminder, appointment: Appointment) -> bool:
    """Whether a reminder that was due before quiet hours would go in them, because a vendor, a way
    that failed or we were late: they bring one forward and never put it off."""
    now = rows.now()
    if reminder.kind not in _REMINDERS or now <= reminder.due_at + _LATE:
        return False
    quiet = await quiet_hours(rows, Wishes.of(await rows.bookings.settings()))
    return quiet.quiet(now.astimezone(ZoneInfo(appointment.timezone)))


#: What customers are told of, and as what.
_TOLD: Final[Mapping[str, str]] = {
    "booked": "confirmation",
    "moved": "moved",
    "reopened": "confirmation",
    "cancelled": "cancelled",
}


def _address(channel: str, it: Appointment, contact: Contact | None) -> str | None:
    """Theirs on this channel: what they gave for this appointment before what else is known. What
    was only said at another time may be anybody's, who must not read of this one."""
    if channel == "email":
        return it.customer_email or (contact.proven("email") if contact else None)
    if channel == "sms":
        return it.customer_phone or (contact.proven("phone") if contact else None)
    if contact is None:
        return None
    # Only who has come by WhatsApp, or whom the business knows there, is written to there.
    return contact.address("whatsapp") or contact.address("whatsapp_id")


async def _files(
    rows: TenantRows, reminder: Reminder, it: Appointment, new: NewText
) -> tuple[tuple[str, str, str, bool], ...]:
    """The appointment for the person's own calendar, with all that isn't a reminder: another form
    of the e-mail, and a file (RFC 6047)."""
    if reminder.kind in _REMINDERS:
        return ()
    tenant = await rows.tenant()
    server = mail_server((await rows.channels.get("email")).config)
    entry = Entry(
        uid=it.uid,
        sequence=it.sequence,
        start=it.start_utc,
        end=it.end_utc,
        summary=f"{it.service} – {tenant.name}" if it.service else tenant.name,
        changed=it.updated_at,
        created=it.created_at,
        cancelled=it.status == "cancelled",
        location=new.variables.get("adresse", ""),
        url=new.variables.get("lien", ""),
    )
    method, content = invitation(
        entry,
        organizer=Person(server.sender, server.sender_name or tenant.name) if server else None,
        attendee=Person(new.to, it.customer_name) if server else None,
    )
    media = f"text/calendar; method={method}; charset=utf-8"
    return (("invite.ics", media, content.decode(), True),)


async def _offers(rows: TenantRows, channel: str, template: str) -> bool:
    """Whether the business writes such texts on this channel at all."""
    found = await rows.channels.get(channel)
    chosen = found.config.get("templates")
    wanted = chosen.get(template) if isinstance(chosen, Mapping) else None
    # The pages know only two of the keys: the others go with the confirmation.
    if wanted is None and template in ("rdvAnnulation", "rdvDeplacement"):
        wanted = chosen.get("rdvConfirmation") if isinstance(chosen, Mapping) else None
    return found.enabled and wanted is not False


def _clock(value: object, otherwise: time) -> time:
    try:
        return time.fromisoformat(value) if isinstance(value, str) else otherwise
    except ValueError:
        return otherwise
