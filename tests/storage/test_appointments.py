"""Bookings: nobody gets a time that somebody else has."""

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Conflict, Invalid, NotFound
from domain.tenant import Tenant
from storage import Appointment, Database, NewAppointment, Storage, TenantHandle
from storage.appointments import CELL_SECONDS, cells_of
from storage.schema import rendez_vous, rendez_vous_cells
from tests.fakes.clock import START, FakeClock

PARIS = ZoneInfo("Europe/Paris")
#: Tuesday 24 November 2026, 14:30 in Paris.
HALF_PAST_TWO = datetime(2026, 11, 24, 14, 30, tzinfo=PARIS)


@pytest.fixture
def handle(storage: Storage, garage: Tenant) -> TenantHandle:
    return storage.tenant(garage.id)


def _new(start: datetime = HALF_PAST_TWO, minutes: int = 30, resource: str = "") -> NewAppointment:
    return NewAppointment(start, minutes, "Léa Martin", "+33639981234", resource=resource)


async def _book(handle: TenantHandle, new: NewAppointment) -> Appointment:
    async with handle.write() as rows:
        return await rows.appointments.book(new)


async def _count(database: Database, table: sa.Table) -> int:
    async with database.read() as connection:
        counted = await connection.execute(sa.select(sa.func.count()).select_from(table))
        return int(counted.scalar_one())


async def test_what_is_booked_is_stored_as_it_was_said(
    handle: TenantHandle, database: Database
) -> None:
    new = NewAppointment(
        start=HALF_PAST_TWO,
        minutes=45,
        customer_name="Léa Martin",
        customer_phone="+33639981234",
        customer_email="lea@example.org",
        service="freins",
        notes="bruit à l'avant",
        call_id="call",
        resource="pont 1",
        created_by="web",
    )
    booked = await _book(handle, new)
    assert booked.start_utc == datetime(2026, 11, 24, 13, 30, tzinfo=UTC)
    assert booked.start_utc.utcoffset() == timedelta(0)
    assert (booked.tenant_id, booked.status, booked.timezone) == (
        handle.tenant_id,
        "confirmed",
        "Europe/Paris",
    )
    assert booked.created_at == START
    for name in ("minutes", "customer_name", "customer_phone", "customer_email", "service"):
        assert getattr(booked, name) == getattr(new, name)
    for name in ("notes", "call_id", "resource", "created_by"):
        assert getattr(booked, name) == getattr(new, name)
    async with handle.read() as rows:
        assert await rows.appointments.get(booked.id) == booked
        assert await rows.appointments.get("nothing") is None
    async with database.read() as connection:
        row = (await connection.execute(sa.select(rendez_vous))).one()
    # What the dashboard's own queries read: the tenant's wall clock.
    assert (row.rdv_date, row.rdv_time) == (date(2026, 11, 24), time(14, 30))
    assert (row.rdv_type, row.rdv_duration_minutes) == ("freins", 45)
    assert row.ends_at == booked.start_utc + timedelta(minutes=45)
    assert (row.reminder_24h_sent, row.confirmation_sent) == (False, False)


async def test_the_local_day_is_the_tenants(
    storage: Storage, dentist: Tenant, database: Database
) -> None:
    """02:30 in UTC is still the evening before in Martinique."""
    await _book(storage.tenant(dentist.id), _new(datetime(2026, 11, 25, 2, 30, tzinfo=UTC)))
    async with database.read() as connection:
        row = (await connection.execute(sa.select(rendez_vous))).one()
    assert (row.rdv_date, row.rdv_time) == (date(2026, 11, 24), time(22, 30))
    async with storage.tenant(dentist.id).read() as rows:
        day = date(2026, 11, 24)
        assert (await rows.appointments.list(date_from=day, date_to=day)).total == 1


async def test_an_overlap_is_refused_and_leaves_no_trace(
    handle: TenantHandle, database: Database
) -> None:
    await _book(handle, _new())
    cells = await _count(database, rendez_vous_cells)
    for offset, minutes in ((0, 30), (-25, 30), (25, 30), (10, 5), (-60, 180), (-4, 5), (29, 1)):
        async with handle.write() as rows:  # even when the caller goes on in this transaction
            with pytest.raises(Conflict) as caught:
                await rows.appointments.book(
                    _new(HALF_PAST_TWO + timedelta(minutes=offset), minutes)
                )
        assert caught.value.field == "start"
        assert await _count(database, rendez_vous) == 1
        assert await _count(database, rendez_vous_cells) == cells


async def test_back_to_back_is_no_overlap(handle: TenantHandle) -> None:
    await _book(handle, _new())
    for offset, minutes in ((30, 25), (-30, 30), (55, 1)):
        await _book(handle, _new(HALF_PAST_TWO + timedelta(minutes=offset), minutes))


async def test_another_resource_has_its_own_time(handle: TenantHandle) -> None:
    await _book(handle, _new(resource="pont 1"))
    await _book(handle, _new(resource="pont 2"))
    with pytest.raises(Conflict):
        await _book(handle, _new(resource="pont 2"))


async def test_of_a_hundred_who_want_one_slot_one_gets_it(
    url: str, handle: TenantHandle, database: Database
) -> None:
    """From two sets of connections, as from two nodes."""
    other = await Database.open(url)
    handles = (handle, Storage(other, FakeClock()).tenant(handle.tenant_id))
    outcomes: list[str] = []

    async def try_to(index: int) -> None:
        # Not the same five minutes exactly: overlaps count, too.
        start = HALF_PAST_TWO + timedelta(minutes=5 * (index % 3))
        try:
            await _book(handles[index % 2], _new(start))
            outcomes.append("booked")
        except Conflict:
            outcomes.append("taken")

    async with asyncio.TaskGroup() as group:
        for index in range(100):
            group.create_task(try_to(index))
    await other.close()
    assert sorted(outcomes) == ["booked"] + ["taken"] * 99
    assert await _count(database, rendez_vous) == 1
    assert await _count(database, rendez_vous_cells) == 6


async def test_nobody_overlaps_whatever_is_tried_at_once(url: str, handle: TenantHandle) -> None:
    other = await Database.open(url)
    handles = (handle, Storage(other, FakeClock()).tenant(handle.tenant_id))
    booked = 0

    async def try_to(index: int) -> None:
        nonlocal booked
        start = HALF_PAST_TWO + timedelta(minutes=5 * (index * 37 % 60))
        try:
            await _book(handles[index % 2], _new(start, 5 * (index % 7 + 1)))
            booked += 1
        except Conflict:
            pass

    async with asyncio.TaskGroup() as group:
        for index in range(60):
            group.create_task(try_to(index))
    await other.close()
    async with handle.read() as rows:
        found = (await rows.appointments.list(limit=100)).items
    assert len(found) == booked >= 5
    for earlier, later in pairwise(found):
        assert earlier.start_utc + timedelta(minutes=earlier.minutes) <= later.start_utc


async def test_cancelling_gives_the_time_back(
    handle: TenantHandle, database: Database, clock: FakeClock
) -> None:
    booked = await _book(handle, _new())
    clock.advance(60)
    async with handle.write() as rows:
        cancelled = await rows.appointments.cancel(booked.id)
    assert cancelled.status == "cancelled"
    assert await _count(database, rendez_vous_cells) == 0
    async with database.read() as connection:
        row = (await connection.execute(sa.select(rendez_vous))).one()
    assert row.cancelled_at == row.updated_at == START + timedelta(seconds=60)
    again = await _book(handle, _new())
    async with handle.write() as rows:  # cancelling twice doesn't free what is another's now
        assert (await rows.appointments.cancel(booked.id)).status == "cancelled"
        assert len(await rows.appointments.busy(START, START + timedelta(days=9))) == 1
        assert (await rows.appointments.list(status="confirmed")).items == [again]
        assert (await rows.appointments.list(status="cancelled")).total == 1
    with pytest.raises(Conflict):
        await _book(handle, _new())


async def test_what_cant_be_cancelled(handle: TenantHandle, database: Database) -> None:
    booked = await _book(handle, _new())
    async with database.write() as connection:
        await connection.execute(sa.update(rendez_vous).values(status="completed"))
    async with handle.write() as rows:
        with pytest.raises(Conflict, match="completed"):
            await rows.appointments.cancel(booked.id)
        with pytest.raises(NotFound):
            await rows.appointments.cancel("nothing")
    with pytest.raises(Conflict):  # it still has its time
        await _book(handle, _new())


async def test_busy_is_what_overlaps(handle: TenantHandle) -> None:
    for hours in (0, 2, 4, 30):
        await _book(handle, _new(HALF_PAST_TWO + timedelta(hours=hours), 60))
    long_one = await _book(handle, _new(HALF_PAST_TWO - timedelta(hours=20), 19 * 60))
    begin = HALF_PAST_TWO.astimezone(UTC)
    async with handle.read() as rows:
        busy = rows.appointments.busy
        assert await busy(begin + timedelta(minutes=59), begin + timedelta(hours=4)) == {
            "": [
                (begin, begin + timedelta(hours=1)),
                (begin + timedelta(hours=2), begin + timedelta(hours=3)),
            ]
        }
        assert await busy(begin + timedelta(hours=1), begin + timedelta(hours=2)) == {}
        assert await busy(begin - timedelta(hours=2), begin - timedelta(minutes=61)) == {
            "": [(long_one.start_utc, long_one.start_utc + timedelta(hours=19))]
        }


async def test_lists_come_in_pages(handle: TenantHandle) -> None:
    for day in range(5):
        await _book(handle, _new(HALF_PAST_TWO + timedelta(days=4 - day)))
    async with handle.read() as rows:
        page = await rows.appointments.list(limit=2, offset=1)
        assert page.total == 5
        assert [each.start_utc.day for each in page.items] == [25, 26]
        beyond = await rows.appointments.list(limit=2, offset=9)
        assert (beyond.items, beyond.total) == ([], 5)
        some = await rows.appointments.list(
            date_from=date(2026, 11, 26), date_to=date(2026, 11, 27)
        )
        assert [each.start_utc.day for each in some.items] == [26, 27]
        for wrong in ({"limit": 0}, {"limit": 501}, {"offset": -1}):
            with pytest.raises(Invalid):
                await rows.appointments.list(**wrong)  # type: ignore[arg-type]
        with pytest.raises(Invalid):
            await rows.appointments.list(status="maybe")


async def test_a_duration_has_bounds(handle: TenantHandle) -> None:
    for minutes in (0, -30, 24 * 60 + 1):
        with pytest.raises(Invalid, match="minutes"):
            await _book(handle, _new(minutes=minutes))


async def test_a_start_is_an_instant_and_a_whole_minute(handle: TenantHandle) -> None:
    with pytest.raises(ValueError, match="zone"):
        await _book(handle, _new(HALF_PAST_TWO.replace(tzinfo=None)))
    with pytest.raises(Invalid, match="minute"):
        await _book(handle, _new(HALF_PAST_TWO.replace(second=1)))


async def test_nobodys_time_cant_be_booked(storage: Storage) -> None:
    with pytest.raises(NotFound):
        await _book(storage.tenant("nobody"), _new())


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001
    st.integers(1, 600),
    st.integers(-700, 700),
    st.integers(1, 600),
)
def test_cells_meet_whenever_times_overlap(
    start: datetime, minutes: int, offset: int, other_minutes: int
) -> None:
    start = start.replace(second=0, microsecond=0, tzinfo=UTC)
    end = start + timedelta(minutes=minutes)
    other = start + timedelta(minutes=offset)
    other_end = other + timedelta(minutes=other_minutes)
    meet = bool({*cells_of(start, end)} & {*cells_of(other, other_end)})
    if start < other_end and other < end:
        assert meet
    elif all(int(t.timestamp()) % CELL_SECONDS == 0 for t in (start, end, other, other_end)):
        assert not meet
