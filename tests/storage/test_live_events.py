"""Live events: written with what they tell, in order, none lost, and slow readers cost nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from domain.errors import CallerError
from domain.outcome import Outcome
from domain.tenant import Tenant
from storage import Database, JournalEntry, LiveEvents, NewAppointment, NewCall, Storage, live_feed
from storage.call_register import StreamToken
from storage.live_events import LiveEvent, NewEvent, read_after, store
from storage.live_feed import Subscription
from storage.prospects import NewProspect
from storage.schema import live_events
from storage.tickets import NewTicket
from tests.fakes.clock import START, FakeClock

MONDAY_9 = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)


@asynccontextmanager
async def process(database: Database) -> AsyncIterator[LiveEvents]:
    """Another server process's view: its own feeds and its own LISTEN connection."""
    live = LiveEvents(database)
    task = asyncio.ensure_future(live.run())
    try:
        yield live
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def stored(storage: Storage, tenant: Tenant) -> list[LiveEvent]:
    async with storage.tenant(tenant.id).read() as rows:
        return await rows.events.after(0)


async def publish(storage: Storage, tenant: Tenant, *kinds: str) -> None:
    async with storage.tenant(tenant.id).write() as rows:
        for kind in kinds:
            rows.events.publish(kind, "x")


async def collect(subscription: Subscription, count: int, seconds: float = 20) -> list[LiveEvent]:
    found: list[LiveEvent] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            found += await subscription.next(1.0)
    return found


async def opened(storage: Storage, tenant: Tenant | None, sid: str = "CA1") -> str:
    new = NewCall(
        call_sid=sid,
        from_number="+33639981234",
        from_raw="+33639981234",
        to_number="+33900000001",
        stage="opening",
        tenant_id=tenant.id if tenant else None,
        found_by="dialled" if tenant else None,
    )
    token = StreamToken(f"hash-{sid}", START + timedelta(minutes=1)) if tenant else None
    return (await storage.operator.open_call(new, {}, token)).call.id


# ------------------------------------------------------------------------------- publishing


async def test_an_event_is_there_with_what_it_tells_or_not_at_all(
    storage: Storage, garage: Tenant
) -> None:
    async def undone() -> None:
        async with storage.tenant(garage.id).write() as rows:
            await rows.tickets.add(NewTicket("Paul", "Devis"))
            raise CallerError("never mind")

    with pytest.raises(CallerError):
        await undone()
    assert await stored(storage, garage) == []

    async with storage.tenant(garage.id).write() as rows:
        ticket = await rows.tickets.add(NewTicket("Paul", "Devis"))
        prospect = await rows.prospects.add(NewProspect("Anne"))
        booked = await rows.appointments.book(NewAppointment(MONDAY_9, 30, "Paul"))
        rows.events.publish("note", "n1", {"text": "é\x00\ud800"})
    async with storage.tenant(garage.id).write() as rows:
        await rows.appointments.cancel(booked.id)
        await rows.appointments.cancel(booked.id)
    everything = await stored(storage, garage)
    # The owner is notified of most of them: tests/storage/test_notifications.py.
    events = [event for event in everything if event.kind != "notification"]
    assert len(everything) > len(events)
    assert [(event.kind, event.subject) for event in events] == [
        ("ticket.created", ticket),
        ("prospect.qualified", prospect),
        ("appointment.booked", booked.id),
        ("note", "n1"),
        ("appointment.cancelled", booked.id),
    ]
    assert events[0].data["subject"] == "Devis"
    assert events[2].data["starts_at"] == "2026-11-30T08:00:00+00:00"
    assert events[3].data == {"text": "é\x00\ud800"}
    assert [event.at for event in events] == [START] * 5


async def test_a_refused_booking_tells_nothing(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.appointments.book(NewAppointment(MONDAY_9, 30, "Paul"))
    async with storage.tenant(garage.id).write() as rows:
        with pytest.raises(CallerError):
            await rows.appointments.book(NewAppointment(MONDAY_9, 30, "Anne"))
    assert [event.kind for event in await stored(storage, garage)] == ["appointment.booked"]


async def test_a_call_as_its_owner_sees_it(
    storage: Storage, clock: FakeClock, garage: Tenant, dentist: Tenant
) -> None:
    call = await opened(storage, garage)
    await opened(storage, garage)  # the webhook repeated
    now = clock.now()
    joined = await storage.operator.join_stream("hash-CA1", "CA1", "live", now)
    assert joined is not None
    await storage.journal.append(
        [
            JournalEntry(call, now, "latency", {"stage": "webhook", "ms": 12}),
            JournalEntry(call, now, "event", {"name": "agent_connected", "agent": "realtime:x"}),
            JournalEntry(call, now, "event", {"name": "speech_without_end"}),
            JournalEntry(call, now, "turn", {"who": "agent", "text": "Bonjour", "cut": True}),
            JournalEntry(call, now, "turn", {"who": "caller", "text": "Oui"}),
            JournalEntry(
                call, now, "function", {"name": "f", "arguments": "{}", "result": {"status": "ok"}}
            ),
            JournalEntry(call, now, "usage", {"tokens": 3}),
        ]
    )
    assert await storage.journal.finish(call, Outcome.BOOKED, now + timedelta(seconds=9))
    assert not await storage.journal.finish(call, Outcome.FAILED, now)
    events = await stored(storage, garage)
    assert {event.subject for event in events} == {call}
    assert [(event.kind, event.data) for event in events[1:]] == [
        ("call.answered", {"again": False}),
        ("call.agent", {"agent": "realtime:x"}),
        ("call.turn", {"who": "agent", "text": "Bonjour", "cut": True}),
        ("call.turn", {"who": "caller", "text": "Oui"}),
        ("call.function", {"name": "f", "result": {"status": "ok"}}),
        ("call.ended", {"outcome": "booked", "duration_seconds": 9, "detail": ""}),
    ]
    assert events[0].kind == "call.started"
    assert events[0].data["from_number"] == "+33639981234"
    assert await stored(storage, dentist) == []


async def test_a_call_starts_for_its_tenant_when_that_is_found(
    storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    call = await opened(storage, None)
    await storage.journal.append([JournalEntry(call, START, "turn", {"who": "caller"})])
    assert await stored(storage, garage) == []
    assert await storage.operator.bind_call(call, garage.id, "code")
    assert not await storage.operator.bind_call(call, garage.id, "code")
    (event,) = await stored(storage, garage)
    assert (event.kind, event.data["found_by"]) == ("call.started", "code")
    lost = await opened(storage, None, "CA2")
    assert await storage.journal.finish(lost, Outcome.TENANT_UNKNOWN, START)
    assert len(await stored(storage, garage)) == 1


# -------------------------------------------------------------------------------- listening


async def test_who_listens_hears_in_order_and_others_hear_nothing(
    database: Database, storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    await publish(storage, garage, "before")
    async with (
        process(database) as live,
        live.subscribe(garage.id) as mine,
        live.subscribe(dentist.id) as others,
    ):
        assert not mine.missed
        await publish(storage, garage, "one", "two")
        await publish(storage, garage, "three")
        assert [event.kind for event in await collect(mine, 3)] == ["one", "two", "three"]
        assert await others.next(0.3) == []


async def test_nothing_is_missed_between_leaving_and_coming_back(
    database: Database, storage: Storage, garage: Tenant
) -> None:
    async with process(database) as live:
        async with live.subscribe(garage.id) as first:
            await publish(storage, garage, "one")
            (one,) = await collect(first, 1)
        await publish(storage, garage, "two")
    await publish(storage, garage, "three")
    async with process(database) as live, live.subscribe(garage.id, after=one.seq) as second:
        await publish(storage, garage, "four")
        events = await collect(second, 3)
        assert [event.kind for event in events] == ["two", "three", "four"]
        assert not second.missed


async def test_who_asks_for_what_is_gone_or_never_was_is_told(
    database: Database, storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    live = LiveEvents(database)
    async with live.subscribe(garage.id, after=7) as subscription:
        assert subscription.missed, "nothing is stored that could be number 7"
    for kind in ("one", "two", "three"):
        await publish(storage, garage, kind)
    one, two, three = await stored(storage, garage)
    async with database.write() as connection:
        await connection.execute(sa.delete(live_events).where(live_events.c.seq <= two.seq))
    async with live.subscribe(garage.id, after=one.seq) as subscription:
        assert subscription.missed
        assert [event.kind for event in await subscription.next(1)] == ["three"]
    async with live.subscribe(garage.id, after=two.seq) as subscription:
        assert not subscription.missed
    async with live.subscribe(garage.id, after=three.seq + 1) as subscription:
        assert subscription.missed
    # Numbers are never given twice, whatever was purged.
    async with database.write() as connection:
        await connection.execute(sa.delete(live_events))
    await publish(storage, garage, "four")
    (four,) = await stored(storage, garage)
    assert four.seq > three.seq


async def test_a_slow_reader_reads_on_from_the_table(
    database: Database, storage: Storage, garage: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_feed, "REMEMBERED", 10)
    monkeypatch.setattr(live_feed, "STRETCH", 8)
    async with (
        process(database) as live,
        live.subscribe(garage.id) as quick,
        live.subscribe(garage.id) as slow,
    ):
        expected: list[str] = []
        heard: list[LiveEvent] = []
        for number in range(5):
            kinds = [f"{number}.{index}" for index in range(9)]
            await publish(storage, garage, *kinds)
            expected += kinds
            heard += await collect(quick, 9)
        (feed,) = live._feeds.values()
        assert len(feed._recent) == 10
        assert [event.kind for event in heard] == expected
        assert [event.kind for event in await collect(slow, 45)] == expected
    assert live._feeds == {}


async def test_many_transactions_at_once_are_read_in_order_without_a_gap(
    database: Database, storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    """A reader that asks "all after this number" all the time, among writers that overlap."""
    rounds, writers = 10, 6
    tenants = (garage.id, dentist.id)

    async def write(number: int) -> None:
        for turn in range(rounds):
            async with database.write() as connection:
                events = [NewEvent(tenant, START, f"{number}.{turn}") for tenant in tenants]
                # Both orders: the locks must not depend on it.
                await store(connection, events if number % 2 else events[::-1])
                # Numbered and not yet committed, the first ones longest.
                await asyncio.sleep(0.002 * (writers - number))

    async with asyncio.TaskGroup() as tasks:
        writing = [tasks.create_task(write(number)) for number in range(writers)]
        read: dict[str, list[LiveEvent]] = {tenant: [] for tenant in tenants}
        finished = False
        while not finished:
            finished = all(task.done() for task in writing)
            for tenant, seen in read.items():
                async with database.read() as connection:
                    seen += await read_after(connection, tenant, seen[-1].seq if seen else 0, 500)
    assert {len(seen) for seen in read.values()} == {rounds * writers}, "one came too late"
    for seen in read.values():
        for number in range(writers):
            mine = [event.kind for event in seen if event.kind.startswith(f"{number}.")]
            assert mine == [f"{number}.{turn}" for turn in range(rounds)]


# ---------------------------------------------------------------------- PostgreSQL's own way


async def backends(database: Database) -> list[int]:
    async with database.read() as connection:
        found = await connection.execute(
            sa.text("SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        )
        return list(found.scalars())


async def listening(database: Database) -> int:
    for _ in range(400):
        if found := await backends(database):
            return found[0]
        await asyncio.sleep(0.05)
    raise AssertionError("nobody listens")


async def test_a_lost_listen_connection_costs_nothing(
    database: Database, storage: Storage, garage: Tenant, dialect: str
) -> None:
    if dialect != "postgresql":
        pytest.skip("SQLite has no LISTEN")
    async with process(database) as live, live.subscribe(garage.id) as mine:
        pid = await listening(database)
        async with database.read() as connection:
            await connection.execute(sa.text(f"SELECT pg_terminate_backend({pid})"))
        await publish(storage, garage, "one")  # while nobody listens, perhaps
        assert [event.kind for event in await collect(mine, 1)] == ["one"]
        assert await listening(database) != pid
        await publish(storage, garage, "two")
        assert [event.kind for event in await collect(mine, 1)] == ["two"]


async def test_announcements_carry_ids_only(
    database: Database, storage: Storage, garage: Tenant, dialect: str
) -> None:
    if dialect != "postgresql":
        pytest.skip("SQLite has no NOTIFY")
    payloads: list[str] = []
    async with database.dedicated() as connection:
        await connection.add_listener("coccinelle_events", lambda *args: payloads.append(args[3]))
        async with storage.tenant(garage.id).write() as rows:
            for index in range(300):
                rows.events.publish("long", None, {"text": "x" * 100, "index": index})
        await connection.execute("SELECT 1")
        await asyncio.sleep(0.05)
    events = await stored(storage, garage)
    assert [event.data["index"] for event in events] == list(range(300))
    assert payloads == [f"{garage.id}:{events[-1].seq}"], "one announcement per transaction"
