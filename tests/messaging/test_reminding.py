"""Confirmations and reminders follow the appointment, and go once."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.jobs import Again, Job
from domain.tenant import Tenant
from messaging.checks import outside_quiet_hours, still_the_agents, still_the_appointment
from messaging.reminding import Reminding, Wishes
from storage import Appointment, NewAppointment, Storage, Text
from storage.appointments import Change
from storage.text_rows import NewText, TextFilter
from tests.fakes.clock import FakeClock

PARIS = ZoneInfo("Europe/Paris")
PHONE, EMAIL = "+33639981234", "lea@exemple.fr"
BOTH = pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])


class Desk:
    """A tenant's reminders, whose jobs run when a test says so."""

    def __init__(self, storage: Storage, clock: FakeClock, tenant: Tenant) -> None:
        self.storage, self.clock, self.tenant = storage, clock, tenant
        self.reminding = Reminding(storage, clock, "https://sara.example")

    async def on(self, *channels: str, **config: Any) -> None:
        async with self.storage.tenant(self.tenant.id).write() as rows:
            for channel in channels:
                await rows.channels.save(channel, enabled=True, config=config)

    async def book(self, start: datetime, **more: Any) -> Appointment:
        theirs = {"customer_phone": PHONE, "customer_email": EMAIL, **more}
        new = NewAppointment(start, 30, "Léa Martin", **theirs)
        async with self.storage.tenant(self.tenant.id).write() as rows:
            booked = await rows.appointments.book(new)
        await self.reminding.plan(self.tenant.id, booked.id)
        return booked

    async def passes(self, until: datetime) -> None:
        """Time passes, and what is due is woken."""
        if until > self.clock.now():
            self.clock.advance(until - self.clock.now())
        for row in await self.rows():
            if row.state == "planned" and row.due_at <= self.clock.now():
                await self.wake(row.id)

    async def wake(self, reminder_id: str) -> Again | None:
        job = Job("1", "reminder.send", {"reminder_id": reminder_id}, 1, self.tenant.id)
        return await self.reminding.send(job)

    async def rows(self) -> list[Any]:
        async with self.storage.tenant(self.tenant.id).read() as rows:
            page = await rows.appointments.list()
            return [each for it in page.items for each in await rows.reminders.of(it.id)]

    async def states(self) -> list[tuple[str, str]]:
        return [(row.kind, row.state) for row in await self.rows()]

    async def texts(self) -> list[Text]:
        async with self.storage.tenant(self.tenant.id).read() as rows:
            found = await rows.outbox.page(TextFilter())
        return list(reversed(found.items))


@pytest.fixture
def desk(storage: Storage, clock: FakeClock, garage: Tenant) -> Desk:
    return Desk(storage, clock, garage)


def paris(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=PARIS)  # type: ignore[misc,arg-type]


@BOTH
async def test_a_confirmation_at_once_and_two_reminders(desk: Desk) -> None:
    await desk.on("sms")
    booked = await desk.book(paris(2026, 11, 26, 14, 30))
    await desk.passes(desk.clock.now())
    (confirmation,) = await desk.texts()
    assert confirmation.template == "rdvConfirmation"
    assert "26 novembre" in confirmation.body
    async with desk.storage.tenant(desk.tenant.id).read() as rows:
        it = await rows.appointments.get(booked.id)
    assert it is not None
    assert f"https://sara.example/r/{it.link_token}" in confirmation.body
    await desk.passes(paris(2026, 11, 25, 14, 30))
    await desk.passes(paris(2026, 11, 26, 13, 30))
    assert [text.template for text in await desk.texts()] == [
        "rdvConfirmation",
        "rdvRappel",
        "rdvRappel",
    ]
    async with desk.storage.tenant(desk.tenant.id).read() as rows:
        it = await rows.appointments.get(booked.id)
    assert it is not None
    assert it.reminder_sent


async def test_planning_and_waking_twice_is_once(desk: Desk) -> None:
    await desk.on("sms")
    booked = await desk.book(paris(2026, 11, 26, 14, 30))
    for _ in range(3):
        await desk.reminding.plan(desk.tenant.id, booked.id)
    (row,) = [row for row in await desk.rows() if row.kind == "confirmation"]
    for _ in range(3):
        await desk.wake(row.id)
    assert len(await desk.texts()) == 1


async def test_one_that_isnt_due_waits(desk: Desk) -> None:
    await desk.on("sms")
    await desk.book(paris(2026, 11, 26, 14, 30))
    (row,) = [row for row in await desk.rows() if row.kind == "24h"]
    assert await desk.wake(row.id) == Again(row.due_at)


async def test_reminders_follow_a_move(desk: Desk) -> None:
    await desk.on("sms")
    booked = await desk.book(paris(2026, 11, 26, 14, 30))
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        await rows.appointments.reschedule(
            booked.id, paris(2026, 11, 27, 10, 0), change=Change(by="link")
        )
    await desk.reminding.plan(desk.tenant.id, booked.id)
    await desk.passes(desk.clock.now())
    dropped = [row.kind for row in await desk.rows() if row.state == "dropped"]
    assert sorted(dropped) == ["1h", "24h", "confirmation"]
    await desk.passes(paris(2026, 11, 26, 10, 0))
    assert [text.template for text in await desk.texts()] == ["rdvDeplacement", "rdvRappel"]


async def test_a_text_that_waits_while_the_appointment_moves_isnt_sent(desk: Desk) -> None:
    await desk.on("sms")
    booked = await desk.book(paris(2026, 11, 26, 14, 30))
    await desk.passes(desk.clock.now())
    (text,) = await desk.texts()
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        assert await still_the_appointment(rows, text) is None
        await rows.appointments.cancel(booked.id, change=Change(by="rest"))
        stop = await still_the_appointment(rows, text)
    assert stop is not None
    assert (stop.code, stop.status) == ("appointment_changed", "cancelled")


async def test_a_cancellation_is_told_and_nothing_else_any_more(desk: Desk) -> None:
    await desk.on("sms")
    booked = await desk.book(paris(2026, 11, 26, 14, 30))
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        await rows.appointments.cancel(booked.id, change=Change(by="rest"))
    await desk.reminding.plan(desk.tenant.id, booked.id)
    await desk.passes(desk.clock.now())
    await desk.passes(paris(2026, 11, 26, 14, 0))
    assert [text.template for text in await desk.texts()] == ["rdvAnnulation"]


async def test_who_cancels_in_writing_has_their_answer_there(desk: Desk) -> None:
    await desk.on("sms")
    booked = await desk.book(paris(2026, 11, 26, 14, 30))
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        await rows.appointments.cancel(booked.id, change=Change(by="text"))
    await desk.reminding.plan(desk.tenant.id, booked.id)
    await desk.passes(desk.clock.now())
    assert await desk.texts() == []


async def test_an_email_brings_the_appointment_for_the_calendar(desk: Desk) -> None:
    smtp = {"host": "smtp.exemple.fr", "user": "g@exemple.fr", "fromEmail": "g@exemple.fr"}
    await desk.on("email", smtp=smtp)
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        await rows.bookings.set_settings({"address": "12 rue des Lilas, Lyon"})
    await desk.book(paris(2026, 11, 26, 14, 30), service="Vidange")
    await desk.passes(desk.clock.now())
    (text,) = await desk.texts()
    ((name, media, content, alternative),) = text.extras["attachments"]
    assert (name, alternative) == ("invite.ics", True)
    assert "method=REQUEST" in media
    assert "SEQUENCE:0" in content
    assert "DTSTART:20261126T133000Z" in content
    assert "LOCATION:12 rue des Lilas\\, Lyon" in content
    assert "Adresse : 12 rue des Lilas, Lyon" in text.body


async def test_what_has_not_arrived_goes_elsewhere_once(desk: Desk) -> None:
    await desk.on("sms", "email", smtp={"host": "h", "user": "u@x.fr", "fromEmail": "u@x.fr"})
    await desk.book(paris(2026, 11, 26, 14, 30))
    await desk.passes(desk.clock.now())
    (sms,) = await desk.texts()
    assert sms.channel == "sms"
    job = Job("1", "reminder.elsewhere", {"text_id": sms.id}, 1, desk.tenant.id)
    desk.clock.advance(1)
    for _ in range(2):
        await desk.reminding.elsewhere(job)
    assert [text.channel for text in await desk.texts()] == ["sms", "email"]
    (_, mail) = await desk.texts()
    await desk.reminding.elsewhere(
        Job("2", "reminder.elsewhere", {"text_id": mail.id}, 1, desk.tenant.id)
    )
    (row,) = [row for row in await desk.rows() if row.kind == "confirmation"]
    assert (row.state, row.reason) == ("failed", "unreachable")


async def test_the_preferred_channel_comes_first(desk: Desk) -> None:
    await desk.on("sms", "email", smtp={"host": "h", "user": "u@x.fr", "fromEmail": "u@x.fr"})
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        contact = await rows.contacts.person(phone=PHONE, email=EMAIL, source="operator")
        assert contact is not None
        await rows.contacts.update(contact.id, {"preferred_channel": "email"}, actor="test")
    await desk.book(paris(2026, 11, 26, 14, 30), contact_id=contact.id)
    await desk.passes(desk.clock.now())
    assert [text.channel for text in await desk.texts()] == ["email"]


async def test_a_template_that_is_switched_off_isnt_sent_there(desk: Desk) -> None:
    await desk.on("sms", templates={"rdvConfirmation": False, "rdvRappel": True})
    await desk.book(paris(2026, 11, 26, 14, 30))
    await desk.passes(paris(2026, 11, 25, 14, 30))
    assert [text.template for text in await desk.texts()] == ["rdvRappel"]


async def test_an_early_hour_isnt_reminded_of_in_the_night(desk: Desk) -> None:
    """1 h before 08:30 is 07:30, which is quiet: brought forward to the evening, and dropped since
    the first one went out."""
    await desk.on("sms")
    await desk.book(paris(2026, 11, 26, 8, 30))
    await desk.passes(desk.clock.now())
    await desk.passes(paris(2026, 11, 25, 8, 30))
    await desk.passes(paris(2026, 11, 25, 19, 59))
    assert ("1h", "dropped") in await desk.states()
    assert [text.template for text in await desk.texts()] == ["rdvConfirmation", "rdvRappel"]


async def test_a_past_appointment_says_nothing(desk: Desk) -> None:
    await desk.on("sms")
    booked = await desk.book(paris(2026, 11, 23, 10, 30))
    desk.clock.advance(timedelta(hours=2))
    await desk.reminding.plan(desk.tenant.id, booked.id)
    await desk.passes(desk.clock.now())
    assert await desk.texts() == []


def test_wishes_that_cant_be_read_are_the_usual_ones() -> None:
    assert Wishes.of({}) == Wishes()
    odd = {"reminders": {"quietFrom": "x", "quietUntil": 7, "1h": "no"}}
    assert Wishes.of(odd) == Wishes()
    upside_down = {"reminders": {"quietFrom": "06:00", "quietUntil": "22:00"}}
    assert Wishes.of(upside_down) == Wishes()
    off = Wishes.of({"reminders": {"24h": False, "confirmation": False}})
    assert (off.remind, off.confirm) == (frozenset({"1h"}), False)


async def test_an_answer_isnt_sent_once_a_person_has_taken_over(desk: Desk) -> None:
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        it = await rows.conversations.open("sms", PHONE, contact_id=None, our_address="", name="")
        text = await rows.outbox.put(
            NewText(
                channel="sms",
                to=PHONE,
                body="Oui.",
                purpose="answer",
                conversation_id=it.id,
                created_by="agent",
                even_if_off=True,
            )
        )
        assert await still_the_agents(rows, text) is None
        desk.clock.advance(1)
        await rows.conversations.hand_to(it.id, "human")
        assert await still_the_agents(rows, text) is not None
        await rows.conversations.hand_to(it.id, "agent")
        assert await still_the_agents(rows, text) is not None, "handed back, but it is old"


async def test_an_address_that_was_only_said_reads_of_no_other_appointment(desk: Desk) -> None:
    await desk.on("email", smtp={"host": "h", "user": "u@x.fr", "fromEmail": "u@x.fr"})
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        contact = await rows.contacts.person(phone=PHONE, email=EMAIL, source="said")
        assert contact is not None
    await desk.book(paris(2026, 11, 26, 14, 30), contact_id=contact.id, customer_email=None)
    await desk.passes(desk.clock.now())
    assert await desk.texts() == []


async def test_one_that_comes_late_never_goes_in_the_night(desk: Desk) -> None:
    """The last moment before the night is on time if a minute late; what a worker or a vendor held
    up into the night is dropped, and then the hour before is told after all."""
    await desk.on("sms")
    await desk.book(paris(2026, 11, 26, 20, 30))  # 24 h before is brought forward to 19:59
    await desk.passes(desk.clock.now())
    await desk.passes(paris(2026, 11, 25, 20, 4))
    (text,) = [each for each in await desk.texts() if each.template == "rdvRappel"]

    async def stop() -> Any:
        async with desk.storage.tenant(desk.tenant.id).write() as rows:
            return await still_the_appointment(rows, text)

    assert await stop() is None
    desk.clock.advance(timedelta(minutes=30))
    stopped = await stop()
    assert stopped is not None
    assert (stopped.code, stopped.status) == ("quiet_hours", "suppressed")
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        await rows.outbox.move(text.id, "suppressed", source="us", code="quiet_hours")
    await desk.reminding.elsewhere(
        Job("1", "reminder.elsewhere", {"text_id": text.id}, 1, desk.tenant.id)
    )
    assert ("24h", "dropped") in await desk.states()
    (it,) = [row for row in await desk.rows() if row.kind == "1h"]
    async with desk.storage.tenant(desk.tenant.id).read() as rows:
        assert not await rows.reminders.went(it.appointment_id, "24h", it.starts_at)
        found = await rows.appointments.get(it.appointment_id)
    assert found is not None
    assert not found.reminder_sent


@pytest.mark.parametrize(
    ("hour", "channel", "goes"),
    [
        ((2026, 11, 24, 19, 59), "sms", True),
        ((2026, 11, 24, 20, 0), "sms", False),
        ((2026, 11, 25, 7, 59), "email", False),
        ((2026, 11, 29, 12, 0), "sms", False),  # a Sunday
        ((2026, 11, 29, 12, 0), "email", True),
        ((2026, 12, 25, 12, 0), "email", False),
    ],
)
async def test_offers_go_by_day_or_not_at_all(
    desk: Desk, hour: tuple[int, ...], channel: str, goes: bool
) -> None:
    to = EMAIL if channel == "email" else PHONE
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        new = NewText(channel, to, "marketing", body="-20 %", subject="Soldes", even_if_off=True)
        text = await rows.outbox.put(new)
    desk.clock.advance(paris(*hour) - desk.clock.now())
    async with desk.storage.tenant(desk.tenant.id).write() as rows:
        stopped = await outside_quiet_hours(rows, text)
    assert (stopped is None) is goes
