"""Many at once, holds, moves, codes, and the nights when clocks change."""

import asyncio
import contextlib
import json
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.agenda import OpeningRange
from domain.errors import Conflict, Invalid, NotFound
from domain.tenant import Tenant
from storage import (
    Appointment,
    Change,
    Database,
    NewAppointment,
    Storage,
    TenantHandle,
    Unavailable,
    Wish,
)
from storage.appointments import HoldExpired, Taken, plain_code, shown_code
from storage.appointments.codes import CODE_LETTERS, new_code, new_token
from storage.appointments.lapsed import remove_lapsed_holds
from storage.day_exceptions import NewException
from storage.resources import NewResource
from storage.services import NewService
from tests.fakes.clock import START, FakeClock
from tests.forked import Forked, forked
from tests.storage import booking_process

PARIS = ZoneInfo("Europe/Paris")
#: Tuesday 24 November 2026, 14:30 in Paris.
TUESDAY = datetime(2026, 11, 24, 14, 30, tzinfo=PARIS)


@pytest.fixture
def handle(storage: Storage, garage: Tenant) -> TenantHandle:
    return storage.tenant(garage.id)


async def _book(handle: TenantHandle, wish: Wish) -> Appointment:
    async with handle.write() as rows:
        return await rows.bookings.book(wish)


# ------------------------------------------------------------------------------ many at once


async def test_of_a_hundred_callers_for_one_slot_one_is_booked(
    url: str, handle: TenantHandle
) -> None:
    """From three processes, as from three nodes; the others hear what else is free."""
    callers = [f"call:{number}" for number in range(100)]
    told = (url, handle.tenant_id, TUESDAY.isoformat())
    others = (
        Forked(booking_process.main, *told, ",".join(callers[number::3])) for number in range(2)
    )
    with forked(*others) as processes:
        for each in processes:
            assert await asyncio.to_thread(each.hears) == "ready"
        for each in processes:
            each.tell("go")
        answers = await booking_process.all_at_once(handle, TUESDAY, callers[2::3])
        for each in processes:
            heard = json.loads(await asyncio.to_thread(each.hears))
            answers += [tuple(answer) for answer in heard]
    booked = [each for why, (each, *_) in answers if why == "booked"]
    assert (len(answers), len(booked)) == (100, 1)
    nearest = [TUESDAY + timedelta(minutes=30 * number) for number in (-1, 1, 2)]
    for why, alternatives in answers:
        assert why == "booked" or alternatives == [each.isoformat() for each in nearest]
    async with handle.read() as rows:
        assert [each.id for each in (await rows.appointments.list()).items] == booked


async def test_daily_caps_hold_whoever_comes_at_once(handle: TenantHandle) -> None:
    async with handle.write() as rows:
        for name in ("Ana", "Bob"):
            await rows.resources.add(NewResource(name))
        service = await rows.services.add(NewService("Pneus", minutes=30, daily_cap=4))
    whys: list[str] = []

    async def call(index: int) -> None:
        start = TUESDAY + timedelta(minutes=30 * (index % 6))
        try:
            await _book(handle, Wish(start, name="Léa", service_id=service.id))
            whys.append("booked")
        except Unavailable as error:
            whys.append(error.why)

    async with asyncio.TaskGroup() as group:
        for index in range(18):
            group.create_task(call(index))
    assert whys.count("booked") == 4
    assert set(whys) <= {"booked", "full", "taken"}


async def test_the_same_request_at_once_is_one_appointment(handle: TenantHandle) -> None:
    wish = Wish(TUESDAY, name="Léa", request_key="rest:1")
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_book(handle, wish)) for _ in range(8)]
    assert len({task.result().id for task in tasks}) == 1
    with pytest.raises(Conflict, match="another request"):
        await _book(handle, Wish(TUESDAY, name="Paul", request_key="rest:1"))


# ------------------------------------------------------------------------------ whom, and buffers


async def test_anyone_is_who_has_most_time_left(handle: TenantHandle) -> None:
    async with handle.write() as rows:
        ana = await rows.resources.add(NewResource("Ana", position=1))
        bob = await rows.resources.add(NewResource("Bob", position=2))
    order = []
    for hour in (9, 9, 10, 11):
        start = TUESDAY.replace(hour=hour, minute=0)
        order.append((await _book(handle, Wish(start, name="Léa"))).resource)
    assert order == [ana.id, bob.id, ana.id, bob.id]


async def test_the_business_itself_is_everybody(handle: TenantHandle) -> None:
    async with handle.write() as rows:
        ana = await rows.resources.add(NewResource("Ana"))
        await rows.appointments.book(NewAppointment(TUESDAY, 30, "Inventaire"))
    with pytest.raises(Unavailable):
        await _book(handle, Wish(TUESDAY, name="Léa", resource=ana.id))
    later = TUESDAY + timedelta(hours=1)
    await _book(handle, Wish(later, name="Léa", resource=ana.id))
    async with handle.write() as rows:
        with pytest.raises(Taken):
            await rows.appointments.book(NewAppointment(later, 30, "Inventaire"))


async def test_buffers_of_both_count(handle: TenantHandle) -> None:
    async def book(minutes: int, before: int, after: int) -> bool:
        new = NewAppointment(
            TUESDAY + timedelta(minutes=minutes), 30, "Léa", before=before, after=after
        )
        try:
            async with handle.write() as rows:
                await rows.appointments.book(new)
        except Taken:
            return False
        return True

    assert await book(0, 0, 10)
    assert not await book(35, 0, 0)
    assert not await book(45, 10, 0)
    assert await book(50, 10, 0)


# ------------------------------------------------------------------------------ holds


async def test_what_is_held_is_anothers_until_it_lapses(
    handle: TenantHandle, clock: FakeClock, database: Database
) -> None:
    held = await _book(handle, Wish(TUESDAY, holder="call:1", hold_seconds=120))
    assert (held.status, held.hold_until) == ("held", START + timedelta(seconds=120))
    async with handle.read() as rows:
        assert (await rows.appointments.list()).items == []
    with pytest.raises(Unavailable):
        await _book(handle, Wish(TUESDAY, name="Paul", holder="call:2"))
    clock.advance(120)
    assert (await _book(handle, Wish(TUESDAY, name="Paul", holder="call:2"))).status == "confirmed"
    async with handle.write() as rows:
        with pytest.raises(HoldExpired):
            await rows.appointments.confirm_hold(
                held.id, NewAppointment(TUESDAY, 30, "Léa", holder="call:1")
            )
    later = TUESDAY + timedelta(hours=1)
    await _book(handle, Wish(later, holder="call:3", hold_seconds=60))
    assert await remove_lapsed_holds(database, clock) == 0
    clock.advance(60)
    assert await remove_lapsed_holds(database, clock) == 1


async def test_who_books_gives_back_what_they_held_and_only_then(handle: TenantHandle) -> None:
    later = TUESDAY + timedelta(hours=1)
    await _book(handle, Wish(later, name="Paul"))
    await _book(handle, Wish(TUESDAY, holder="call:1", hold_seconds=120))
    with pytest.raises(Unavailable):  # in vain: the hold stays
        await _book(handle, Wish(later, name="Léa", holder="call:1"))
    with pytest.raises(Unavailable):
        await _book(handle, Wish(TUESDAY, name="Zoé", holder="call:2"))
    await _book(handle, Wish(TUESDAY + timedelta(minutes=90), name="Léa", holder="call:1"))
    assert (await _book(handle, Wish(TUESDAY, name="Zoé", holder="call:2"))).status == "confirmed"


# ------------------------------------------------------------------------------ changes


async def test_moved_cancelled_and_remembered(handle: TenantHandle, storage: Storage) -> None:
    booked = await _book(handle, Wish(TUESDAY, name="Léa", call_id="call 1"))
    blocked = TUESDAY + timedelta(hours=1)
    await _book(handle, Wish(blocked, name="Paul"))
    with pytest.raises(Unavailable) as refused:
        async with handle.write() as rows:
            await rows.bookings.move(booked.id, blocked)
    assert refused.value.alternatives[0].start == TUESDAY + timedelta(minutes=30)
    later = TUESDAY + timedelta(minutes=15)
    async with handle.write() as rows:
        moved = await rows.bookings.move(booked.id, later, change=Change("link"))
        assert (moved.id, moved.uid, moved.sequence) == (booked.id, booked.uid, 1)
        assert (moved.code, moved.link_token) == (booked.code, booked.link_token)
        assert (await rows.bookings.move(booked.id, later)).sequence == 1  # where it is already
        await rows.appointments.acknowledge(booked.id, change=Change("link"))
        cancelled = await rows.appointments.cancel(booked.id, "malade", change=Change("rest"))
        assert (cancelled.status, cancelled.cancel_reason, cancelled.sequence) == (
            "cancelled",
            "malade",
            2,
        )
        assert (await rows.appointments.cancel(booked.id)).sequence == 2
        with pytest.raises(Conflict, match="cancelled"):
            await rows.bookings.move(booked.id, TUESDAY)
        with pytest.raises(NotFound):
            await rows.bookings.move("nothing", TUESDAY)
        history = await rows.appointments.history(booked.id)
    assert [(each.action, each.actor) for each in history] == [
        ("booked", "voice"),
        ("moved", "link"),
        ("acknowledged", "link"),
        ("cancelled", "rest"),
    ]
    assert (history[1].from_start, history[1].to_start) == (TUESDAY, later)
    assert history[3].reason == "malade"


async def test_each_change_puts_one_job_in_its_transaction(handle: TenantHandle) -> None:
    booked = await _book(handle, Wish(TUESDAY, name="Léa"))
    async with handle.write() as rows:
        assert await rows.jobs.cancel(f"appointment:{booked.id}")
        await rows.appointments.cancel(booked.id)
    async with handle.write() as rows:
        assert await rows.jobs.cancel(f"appointment:{booked.id}")
        assert not await rows.jobs.cancel(f"appointment:{booked.id}")


async def test_what_lies_behind_us_cant_be_had(handle: TenantHandle) -> None:
    with pytest.raises(Unavailable) as refused:
        await _book(handle, Wish(START - timedelta(hours=1), name="Léa"))
    assert (refused.value.why, len(refused.value.alternatives)) == ("past", 3)
    async with handle.write() as rows:
        with pytest.raises(Invalid, match="past"):
            await rows.appointments.book(NewAppointment(START - timedelta(minutes=5), 30, "Léa"))


# ------------------------------------------------------------------------------ codes


async def test_a_code_is_found_as_it_is_said_and_in_its_own_tenant(
    handle: TenantHandle, storage: Storage, dentist: Tenant
) -> None:
    booked = await _book(handle, Wish(TUESDAY, name="Léa"))
    assert booked.code is not None
    assert booked.link_token is not None
    async with handle.read() as rows:
        for said in (shown_code(booked.code), "-".join(booked.code.lower())):
            assert await rows.appointments.by_code(said) == booked
        assert await rows.appointments.by_code("AAAAAA0") is None
        assert await rows.appointments.by_link(booked.link_token.upper()) == booked
    async with storage.tenant(dentist.id).read() as rows:
        assert await rows.appointments.by_code(booked.code) is None
        assert await rows.appointments.by_link(booked.link_token) is None
    assert await storage.links.tenant_of(booked.link_token) == handle.tenant_id
    assert await storage.links.tenant_of(booked.code) is None


def test_codes_can_be_read_out_and_links_cant_be_guessed() -> None:
    assert not set("01ILO") & set(CODE_LETTERS)
    # Of each group that sounds alike one at most.
    for alike in ("BCDEGPTVW", "FS", "MN", "6X", "IY", "QU"):
        assert len(set(alike) & set(CODE_LETTERS)) <= 1
    codes = {new_code() for _ in range(500)}
    assert len(codes) > 490
    assert all(plain_code(code) == code for code in codes)
    assert len({new_token() for _ in range(500)}) == 500
    assert len(new_token()) * 5 >= 64  # 32 letters: five bits each


# ------------------------------------------------------------------------------ clocks change


@pytest.mark.parametrize(
    ("wall", "utc"),
    [
        # Forward: 02:00 to 03:00 doesn't exist on 28 March 2027.
        ("2027-03-28T01:30+01:00", "2027-03-28T00:30Z"),
        ("2027-03-28T03:00+02:00", "2027-03-28T01:00Z"),
        # Back: 02:30 comes twice on 31 October 2027.
        ("2027-10-31T02:30+02:00", "2027-10-31T00:30Z"),
        ("2027-10-31T02:30+01:00", "2027-10-31T01:30Z"),
    ],
)
async def test_nights_when_clocks_change(
    database: Database, garage: Tenant, wall: str, utc: str
) -> None:
    start = datetime.fromisoformat(wall)
    clock = FakeClock(start.astimezone(UTC) - timedelta(days=2))
    handle = Storage(database, clock).tenant(garage.id)
    async with handle.write() as rows:
        await rows.hours.replace([OpeningRange(day, time(0), time(0)) for day in range(1, 8)])
    booked = await _book(handle, Wish(start, name="Léa"))
    assert booked.start_utc == datetime.fromisoformat(utc)
    with pytest.raises(Unavailable) as refused:
        await _book(handle, Wish(start, name="Paul"))
    assert all(abs(slot.start - start) <= timedelta(hours=1) for slot in refused.value.alternatives)
    for beside in (timedelta(minutes=30), timedelta(minutes=-30)):
        moment = start.astimezone(UTC) + beside
        assert (await _book(handle, Wish(moment, name="Zoé"))).start_utc == moment


async def test_whoever_is_removed_has_nothing_to_come(handle: TenantHandle) -> None:
    """Booked and removed at the same moment: one of the two is refused."""
    for hour in (9, 10, 14, 15, 16):
        async with handle.write() as rows:
            ana = await rows.resources.add(NewResource("Ana"))
        done: list[str] = []

        async def book(whom: str, at: int, done: list[str]) -> None:
            with contextlib.suppress(Unavailable):
                await _book(handle, Wish(TUESDAY.replace(hour=at), name="Léa", resource=whom))
                done.append("booked")

        async def remove(whom: str, done: list[str]) -> None:
            with contextlib.suppress(Conflict):
                async with handle.write() as rows:
                    await rows.resources.remove(whom)
                done.append("removed")

        async with asyncio.TaskGroup() as group:
            group.create_task(book(ana.id, hour, done))
            group.create_task(remove(ana.id, done))
        assert len(done) == 1


async def test_what_somebody_holds_is_among_their_alternatives(handle: TenantHandle) -> None:
    await _book(handle, Wish(TUESDAY, name="Paul"))
    held = TUESDAY + timedelta(minutes=30)
    await _book(handle, Wish(held, holder="call:1", hold_seconds=120))
    with pytest.raises(Unavailable) as mine:
        await _book(handle, Wish(TUESDAY, name="Léa", holder="call:1"))
    with pytest.raises(Unavailable) as anothers:
        await _book(handle, Wish(TUESDAY, name="Zoé", holder="call:2"))
    assert held in [slot.start for slot in mine.value.alternatives]
    assert held not in [slot.start for slot in anothers.value.alternatives]


@pytest.mark.parametrize("free", [2, 9, 25, 58])
async def test_the_nearest_free_time_is_found_however_far(handle: TenantHandle, free: int) -> None:
    """All days are closed but one, and the calendar is looked at from both of its sides."""
    today = START.date()
    async with handle.write() as rows:
        await rows.hours.replace([OpeningRange(day, time(9), time(10)) for day in range(1, 8)])
        if free > 1:
            await rows.exceptions.add(NewException(today, today + timedelta(days=free - 1)))
        await rows.exceptions.add(
            NewException(today + timedelta(days=free + 1), today + timedelta(days=400))
        )
    nine = datetime.combine(today + timedelta(days=free), time(9), PARIS)
    for asked in (1, 30, 59):
        start = datetime.combine(today + timedelta(days=asked), time(18), PARIS)
        with pytest.raises(Unavailable) as refused:
            await _book(handle, Wish(start, name="Léa"))
        found = {slot.start for slot in refused.value.alternatives}
        assert found == {nine, nine + timedelta(minutes=30)}
