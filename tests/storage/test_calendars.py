"""Calendars elsewhere, fetched over HTTP through the guarded door, on both databases."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from domain.jobs import Again, Job
from domain.tenant import Tenant
from providers.guarded import GuardedDoor, GuardLimits
from storage import Database, NewAppointment, Storage
from storage.appointments import Taken
from storage.calendars import TRUSTED_FOR, Success
from storage.calendars.fetching import EVERY, PATIENCE, SLOWEST, Fetching
from storage.ical.reader import CalendarReader
from storage.schema import external_busy, external_calendars
from tests.fakes.clock import START, FakeClock
from tests.fakes.scripted_http import answer, scripted

AT = START.replace(day=24, hour=9)
HOUR = timedelta(hours=1)


def ics(*starts: datetime, extra: str = "") -> bytes:
    events = "".join(
        f"BEGIN:VEVENT\r\nUID:{number}@elsewhere\r\nDTSTART:{start:%Y%m%dT%H%M%SZ}\r\n"
        "DURATION:PT1H\r\nSUMMARY:Dentiste\r\nEND:VEVENT\r\n"
        for number, start in enumerate(starts)
    )
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{events}{extra}END:VCALENDAR\r\n".encode()


@pytest.fixture
def fetching(database: Database, storage: Storage, clock: FakeClock) -> Fetching:
    door = GuardedDoor(["127.0.0.0/8"], limits=GuardLimits(floor=0.0))
    return Fetching(database, storage, clock, fetcher=door, reader=CalendarReader())


async def add(storage: Storage, tenant: Tenant, url: str, resource: str = "") -> str:
    async with storage.tenant(tenant.id).write() as rows:
        return (await rows.calendars.add(url, "127.0.0.1", "Google", resource)).id


async def fetch(fetching: Fetching, tenant: Tenant, calendar_id: str) -> Again | None:
    return await fetching.fetch(
        Job("1", "calendars.fetch", {"calendar_id": calendar_id}, 1, tenant.id)
    )


async def busy(storage: Storage, tenant: Tenant) -> dict[str, list[tuple[datetime, datetime]]]:
    async with storage.tenant(tenant.id).read() as rows:
        return await rows.appointments.busy(START, START + timedelta(days=30))


def appointment(start: datetime, resource: str = "") -> NewAppointment:
    return NewAppointment(
        start=start, minutes=30, customer_name="Mme Petit", resource=resource, after=30
    )


async def test_what_is_busy_elsewhere_is_never_booked(
    storage: Storage, fetching: Fetching, garage: Tenant
) -> None:
    async with scripted(answer(200, ics(AT, AT + 3 * HOUR))) as server:
        calendar = await add(storage, garage, f"{server.url}/private-secret/basic.ics")
        again = await fetch(fetching, garage, calendar)
    assert again is not None
    assert 0.7 * EVERY <= again.at - START <= 1.3 * EVERY
    assert (await busy(storage, garage))[""] == [(AT, AT + HOUR), (AT + 3 * HOUR, AT + 4 * HOUR)]
    async with storage.tenant(garage.id).write() as rows:
        free = await rows.appointments.book(appointment(AT + HOUR))
        # Into the event, and into its beginning with the time to be kept free afterwards.
        for start in (AT + timedelta(minutes=30), AT + 2.5 * HOUR):
            with pytest.raises(Taken):
                await rows.appointments.book(appointment(start))
            with pytest.raises(Taken):
                await rows.appointments.reschedule(free.id, start)
        assert (await rows.appointments.get(free.id)) == free


async def test_a_resources_calendar_is_its_own(
    storage: Storage, fetching: Fetching, garage: Tenant, dentist: Tenant
) -> None:
    async with scripted(answer(200, ics(AT))) as server:
        await fetch(fetching, garage, await add(storage, garage, server.url, "anna"))
    assert await busy(storage, garage) == {"anna": [(AT, AT + HOUR)]}
    assert await busy(storage, dentist) == {}
    async with storage.tenant(garage.id).write() as rows:
        with pytest.raises(Taken):
            await rows.appointments.book(appointment(AT, "anna"))
        await rows.appointments.book(appointment(AT, "bruno"))


async def test_our_own_appointments_come_back_as_nothing(
    storage: Storage, fetching: Fetching, garage: Tenant
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        it = await rows.appointments.book(appointment(AT))
    times = f"DTSTART:{AT:%Y%m%dT%H%M%SZ}\r\nDURATION:PT30M\r\n"
    ours = f"BEGIN:VEVENT\r\nUID:{it.uid}\r\n{times}END:VEVENT\r\n"
    async with scripted(answer(200, ics(extra=ours))) as server:
        await fetch(fetching, garage, await add(storage, garage, server.url))
    assert (await busy(storage, garage))[""] == [(AT, AT + HOUR)]
    async with storage.tenant(garage.id).write() as rows:
        await rows.appointments.reschedule(it.id, AT + timedelta(minutes=15))


async def test_only_what_has_changed_is_asked_for_and_written(
    storage: Storage, fetching: Fetching, clock: FakeClock, garage: Tenant
) -> None:
    named = {"ETag": '"v1"', "Last-Modified": "Sun, 22 Nov 2026 10:00:00 GMT"}
    async with scripted(
        answer(200, ics(AT, AT + 3 * HOUR), named),
        answer(304),
        answer(200, ics(AT + HOUR, AT + 3 * HOUR)),
    ) as server:
        calendar = await add(storage, garage, server.url)
        for _ in range(3):
            await fetch(fetching, garage, calendar)
            clock.advance(900)
        first, second, _ = server.got
    assert "if-none-match" not in first.headers
    assert second.headers["if-none-match"] == '"v1"'
    assert second.headers["if-modified-since"] == named["Last-Modified"]
    assert (await busy(storage, garage))[""] == [
        (AT + HOUR, AT + 2 * HOUR),
        (AT + 3 * HOUR, AT + 4 * HOUR),
    ]
    async with storage.tenant(garage.id).read() as rows:
        found = await rows.calendars.get(calendar)
    assert found is not None
    assert (found.state, found.state_since, found.fetched_at) == (
        "ok",
        START,
        START + timedelta(minutes=30),
    )


async def test_what_recurs_is_read_anew_before_it_ends(
    storage: Storage, fetching: Fetching, clock: FakeClock, operator: object, garage: Tenant
) -> None:
    async with scripted(answer(200, ics(AT), {"ETag": '"v1"'})) as server:
        calendar = await add(storage, garage, server.url)
        await fetch(fetching, garage, calendar)
        clock.advance(timedelta(days=31))
        await fetch(fetching, garage, calendar)
        assert "if-none-match" not in server.got[1].headers


async def test_a_broken_calendar_blocks_nothing_and_is_told_once(
    storage: Storage, fetching: Fetching, clock: FakeClock, garage: Tenant
) -> None:
    async with scripted(answer(200, ics(AT)), answer(503)) as server:
        calendar = await add(storage, garage, server.url)
        await fetch(fetching, garage, calendar)
        for tried in range(PATIENCE + 2):
            clock.advance(900)
            again = await fetch(fetching, garage, calendar)
            async with storage.tenant(garage.id).read() as rows:
                found = await rows.calendars.get(calendar)
            assert found is not None
            assert (found.state == "broken") == (tried + 1 >= PATIENCE)
            assert found.error == "calendar_status"
            assert found.error_detail == "503"
            assert found.fetched_at == START
    assert again is not None
    assert EVERY < again.at - clock.now() <= 1.2 * SLOWEST, "less and less often"
    assert found.state_since == START + PATIENCE * timedelta(minutes=15)
    async with storage.tenant(garage.id).read() as rows:
        told = await rows.notifications.list()
    assert [each.kind for each in told[0]] == ["calendar_broken"]
    assert "Google" in told[0][0].message
    # What was busy stays so, for some days.
    assert (await busy(storage, garage))[""] == [(AT, AT + HOUR)]
    clock.advance(TRUSTED_FOR)
    async with storage.tenant(garage.id).read() as rows:
        assert await rows.calendars.busy(START, START + timedelta(days=30)) == {}
    async with scripted(answer(200, ics(AT + timedelta(days=10)))) as server:
        async with storage.tenant(garage.id).write() as rows:
            await rows.calendars.change(calendar, address=(server.url, "127.0.0.1"))
        await fetch(fetching, garage, calendar)
    async with storage.tenant(garage.id).read() as rows:
        mended = await rows.calendars.get(calendar)
    assert mended is not None
    assert (mended.state, mended.error, mended.failures) == ("ok", None, 0)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (answer(404), "calendar_status"),
        (answer(200, b"<!doctype html><title>Connexion</title>"), "calendar_not_a_calendar"),
        (answer(200, ics(AT)[:-12]), "calendar_broken"),
        (
            answer(302, headers={"Location": "http://elsewhere.invalid/"}),
            "calendar_redirected",
        ),
        (answer(304), "calendar_status"),
        (b"", "calendar_bad_answer"),
    ],
)
async def test_why_it_cant_be_read(
    storage: Storage, fetching: Fetching, garage: Tenant, reply: bytes, error: str
) -> None:
    async with scripted(reply) as server:
        calendar = await add(storage, garage, server.url)
        assert await fetch(fetching, garage, calendar) is not None
    async with storage.tenant(garage.id).read() as rows:
        found = await rows.calendars.get(calendar)
    assert found is not None
    assert found.error == error
    assert found.fetched_at is None


async def test_our_own_network_is_unreachable(
    database: Database, storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    door = GuardedDoor(limits=GuardLimits(floor=0.0))
    guarded = Fetching(database, storage, clock, fetcher=door, reader=CalendarReader())
    async with scripted(answer(200, ics(AT))) as server:
        calendar = await add(storage, garage, server.url.replace(str(server.port), "80"))
        await fetch(guarded, garage, calendar)
        assert server.got == []
    async with storage.tenant(garage.id).read() as rows:
        found = await rows.calendars.get(calendar)
    assert found is not None
    assert (found.error, found.error_detail) == ("calendar_unreachable", None)


async def test_what_was_changed_meanwhile_is_not_overwritten(
    storage: Storage, fetching: Fetching, garage: Tenant
) -> None:
    calendar = await add(storage, garage, "http://127.0.0.1:9/a.ics")
    async with storage.tenant(garage.id).write() as rows:
        old = await rows.calendars.get(calendar)
        assert old is not None
        await rows.calendars.change(calendar, address=("http://127.0.0.1:9/b.ics", "127.0.0.1"))
        late = Success([(AT, AT + HOUR)])
        assert not await rows.calendars.succeeded(calendar, old.revision, late)
        assert await rows.calendars.busy(START, START + timedelta(days=9)) == {}


async def test_gone_or_switched_off_it_is_fetched_no_more(
    storage: Storage, fetching: Fetching, database: Database, garage: Tenant
) -> None:
    async with scripted(answer(200, ics(AT))) as server:
        calendar = await add(storage, garage, server.url)
        await fetch(fetching, garage, calendar)
        async with storage.tenant(garage.id).write() as rows:
            await rows.calendars.change(calendar, enabled=False)
        assert await fetch(fetching, garage, calendar) is None
        assert await busy(storage, garage) == {}
        async with storage.tenant(garage.id).write() as rows:
            assert await rows.calendars.remove(calendar)
        assert await fetch(fetching, garage, calendar) is None
        assert len(server.got) == 1
    async with database.read() as connection:
        assert (await connection.execute(sa.select(external_busy))).first() is None


async def test_the_address_is_sealed(storage: Storage, database: Database, garage: Tenant) -> None:
    await add(storage, garage, "https://calendar.example/private-5ecret/basic.ics")
    async with database.read() as connection:
        row = (await connection.execute(sa.select(external_calendars))).one()
    assert "5ecret" not in repr(tuple(row))


async def test_a_lost_job_is_woken(
    storage: Storage, fetching: Fetching, clock: FakeClock, garage: Tenant
) -> None:
    await add(storage, garage, "https://calendar.example/a.ics")
    job = Job("1", "calendars.reconcile", {}, 1)
    await fetching.reconcile(job)
    async with storage.tenant(garage.id).write() as rows:
        (found,) = await rows.calendars.external()
        assert not await rows.jobs.cancel(f"calendars.fetch:{found.id}"), "it isn't late yet"
    clock.advance(timedelta(days=1))
    await fetching.reconcile(job)
    async with storage.tenant(garage.id).write() as rows:
        assert await rows.jobs.cancel(f"calendars.fetch:{found.id}")
