"""What customers do with their appointments is told to the business: once, and at once if it asked
for that."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.tenant import Tenant
from messaging.appointment_news import AppointmentNews
from storage import NewAppointment, Storage
from storage.appointments import Change
from storage.text_rows import TextFilter
from tests.fakes.clock import FakeClock

TUESDAY = datetime(2026, 11, 24, 14, 30, tzinfo=ZoneInfo("Europe/Paris"))
OWNER = "+33639980099"


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_each_thing_that_a_customer_does_is_told_once(
    storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    news, handle = AppointmentNews(storage, clock), storage.tenant(garage.id)
    async with handle.write() as rows:
        it = await rows.appointments.book(
            NewAppointment(TUESDAY, 30, "Léa Petit", service="Vidange", by="voice")
        )
        later = TUESDAY + timedelta(days=1)
        await rows.appointments.reschedule(it.id, later, change=Change("rest"))
        await rows.appointments.reschedule(it.id, later + timedelta(hours=1), change=Change("link"))
    for _ in range(2):
        await news.tell(garage.id, it.id)
    async with handle.write() as rows:
        await rows.appointments.cancel(it.id, "malade", change=Change("text"))
    await news.tell(garage.id, it.id)
    async with handle.read() as rows:
        told, _ = await rows.notifications.list()
    assert sorted((each.title, each.message) for each in told) == [
        ("Rendez-vous annulé : Léa Petit", "mercredi 25 novembre 2026 à 15 h 30. malade"),
        (
            "Rendez-vous déplacé : Léa Petit",
            "mercredi 25 novembre 2026 à 15 h 30. Vidange",
        ),
        ("Rendez-vous pris : Léa Petit", "mardi 24 novembre 2026 à 14 h 30. Vidange"),
    ]


async def test_the_owner_gets_a_text_for_the_kinds_they_chose(
    storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    handle = storage.tenant(garage.id)
    async with handle.write() as rows:
        await rows.channels.save("sms", enabled=True, config={})
        await rows.notifications.configure("sms", OWNER, kinds=["appointment_booked"])
        (code,) = [
            word.strip(".")
            for text in (await rows.outbox.page(TextFilter(), limit=10)).items
            for word in (text.body or "").split()
            if word.strip(".").isdigit() and len(word.strip(".")) == 6
        ]
        await rows.notifications.verify(code)
        it = await rows.appointments.book(NewAppointment(TUESDAY, 30, "Léa Petit"))
        await rows.appointments.cancel(it.id, change=Change("voice"))
    await AppointmentNews(storage, clock).tell(garage.id, it.id)
    async with handle.read() as rows:
        alerts = {each.kind: each.alert_reason for each in (await rows.notifications.list())[0]}
        texts = (await rows.outbox.page(TextFilter(), limit=10)).items
    assert alerts == {"appointment_booked": None, "appointment_cancelled": "not_chosen"}
    assert [text.to for text in texts if "Léa Petit" in (text.body or "")] == [OWNER]
