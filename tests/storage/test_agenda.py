"""What a tenant's agenda is put together from."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.agenda import (
    DEFAULT_HOURS,
    Agenda,
    DayException,
    DayRange,
    OpeningRange,
    Resource,
    Rules,
    Service,
)
from domain.errors import Conflict, Invalid, NotFound
from domain.tenant import Tenant
from storage import NewAppointment, Storage
from storage.day_exceptions import NewException
from storage.resources import NewResource
from storage.services import NewService
from tests.fakes.clock import FakeClock

TUESDAY = date(2026, 11, 24)
LATE = (DayRange(time(17), time(20)),)
WEEK = (OpeningRange(2, time(9), time(12)), OpeningRange(6, time(22), time(2)))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Paris"))


async def test_nothing_set_is_an_agenda_too(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).read() as rows:
        agenda = await rows.agenda.load()
    assert agenda == Agenda("Europe/Paris", DEFAULT_HOURS)


async def test_all_that_was_set(storage: Storage, garage: Tenant, dentist: Tenant) -> None:
    rules = Rules("FR-RE", "special", LATE, 45, 15, 60, 90, 8)
    async with storage.tenant(garage.id).write() as rows:
        marie = await rows.resources.add(NewResource("Marie", position=1))
        van = await rows.resources.add(NewResource("Camion", "vehicle", active=False))
        await rows.resources.set_hours(marie.id, WEEK)
        new = NewService("Vidange", minutes=60, before=5, after=10, resources=(marie.id, van.id))
        oil = await rows.services.add(new)
        await rows.exceptions.add(NewException(date(2026, 11, 1), date(2026, 11, 5)))
        closed = await rows.exceptions.add(NewException(TUESDAY, TUESDAY, (), marie.id, "Congé"))
        saved = await rows.agenda.set_rules(rules)
        agenda = await rows.agenda.load()
    assert agenda.resources == (
        Resource(van.id, "Camion", "vehicle", active=False),
        Resource(marie.id, "Marie", hours=WEEK),
    )
    assert agenda.services == (Service(oil.id, "Vidange", 60, 5, 10, resources=(van.id, marie.id)),)
    # What is over isn't loaded.
    assert agenda.exceptions == (DayException(TUESDAY, TUESDAY, (), marie.id, "Congé", closed.id),)
    assert agenda.rules == saved == Rules("FR-974", "special", LATE, 45, 15, 60, 90, 8)
    assert agenda.holidays[date(2026, 12, 20)] == "Abolition de l'esclavage"
    assert max(agenda.holidays) < date(2028, 11, 26)
    async with storage.tenant(dentist.id).read() as rows:
        assert await rows.agenda.load() == Agenda("America/Martinique", DEFAULT_HOURS)


async def test_a_resource_that_goes(storage: Storage, garage: Tenant, clock: FakeClock) -> None:
    async with storage.tenant(garage.id).write() as rows:
        marie = await rows.resources.add(NewResource("Marie"))
        paul = await rows.resources.add(NewResource("Paul"))
        cut = await rows.services.add(NewService("Coupe", resources=(paul.id,)))
        with pytest.raises(Conflict, match="Coupe"):
            await rows.resources.remove(paul.id)
        await rows.services.change(cut.id, NewService("Coupe", resources=(paul.id, marie.id)))
        start = at("2026-11-24T09:00")
        await rows.appointments.book(NewAppointment(start, 30, "Zoé", resource=paul.id))
        with pytest.raises(Conflict, match="appointments"):
            await rows.resources.remove(paul.id)
    clock.advance(timedelta(days=2))
    async with storage.tenant(garage.id).write() as rows:
        await rows.resources.remove(paul.id)
        assert (await rows.services.get(cut.id)).resources == (marie.id,)
        assert await rows.resources.names() == {marie.id: "Marie", paul.id: "Paul"}
        with pytest.raises(NotFound):
            await rows.resources.change(paul.id, NewResource("Paul"))
        with pytest.raises(Invalid, match="resource"):
            await rows.services.change(cut.id, NewService("Coupe", resources=(paul.id,)))


async def test_free_time_counts_bookings_and_caps(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        cut = await rows.services.add(NewService("Coupe", minutes=60, after=30, daily_cap=2))
        start = at("2026-11-24T10:00")
        await rows.appointments.book(NewAppointment(start, 60, "Zoé", service_id=cut.id, after=30))
    async with storage.tenant(garage.id).read() as rows:
        slots = await rows.agenda.free_time(TUESDAY, TUESDAY, service_id=cut.id)
        month = await rows.agenda.free_time(TUESDAY, date(2027, 1, 22), service_id=cut.id)
        week = await rows.agenda.free_time()
    # 9:00 would need until 10:30, 11:00 is cleaned up after.
    assert [f"{slot.start:%H:%M}" for slot in slots] == ["14:00", "15:00", "16:00", "17:00"]
    assert [slot for slot in month if slot.start.date() == TUESDAY] == slots
    assert month[-1].start.date() == date(2027, 1, 22)
    assert {slot.minutes for slot in week} == {30}
    async with storage.tenant(garage.id).write() as rows:
        start = at("2026-11-24T16:00")
        await rows.appointments.book(NewAppointment(start, 60, "Léo", service_id=cut.id, after=30))
    async with storage.tenant(garage.id).read() as rows:
        assert await rows.agenda.free_time(TUESDAY, TUESDAY, service_id=cut.id) == []
        assert await rows.agenda.free_time(TUESDAY, TUESDAY) != []
        with pytest.raises(Invalid, match="service"):
            await rows.agenda.free_time(service_id="nonsense")
        with pytest.raises(Invalid, match="resource"):
            await rows.agenda.free_time(resource="nonsense")
