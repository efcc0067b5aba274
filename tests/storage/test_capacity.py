"""A tenant's places on PostgreSQL: over all nodes never more than the limit, none left behind."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
import pytest_asyncio
import sqlalchemy as sa

from domain.outcome import Outcome
from domain.tenant import Tenant
from server.clock import SystemClock
from storage import Database, OperatorStore, Storage
from storage.capacity import CARRIED, COMING, CallSlots
from storage.nodes import Node, NodeRegister
from storage.schema import call_slots, nodes, rate_counters
from tests.fakes import node_process
from tests.forked import Forked, forked
from tests.storage.test_nodes import carried

#: SQLite has one node, which counts in memory (tests/voice/test_live_calls.py).
pytestmark = pytest.mark.parametrize("dialect", ["postgresql"], indirect=True, scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def two(database: Database) -> AsyncIterator[tuple[CallSlots, CallSlots]]:
    yield tuple(CallSlots(database, SystemClock(), name) for name in ("one", "other"))  # type: ignore[misc]
    async with database.write() as connection:
        await connection.execute(sa.delete(nodes))
        await connection.execute(sa.delete(rate_counters))


async def places(database: Database) -> dict[str, tuple[str, float]]:
    """By call: whose it is, and for how many seconds."""
    left = sa.extract("epoch", call_slots.c.until - sa.func.clock_timestamp())
    async with database.read() as connection:
        rows = await connection.execute(
            sa.select(call_slots.c.call_sid, call_slots.c.node_id, left)
        )
        return {sid: (node, float(seconds)) for sid, node, seconds in rows}


async def expire(database: Database, *call_sids: str) -> None:
    async with database.write() as connection:
        await connection.execute(
            sa.update(call_slots)
            .where(call_slots.c.call_sid.in_(call_sids))
            .values(until=SystemClock().now() - timedelta(seconds=1))
        )


async def test_a_tenant_has_so_many_places_over_all_nodes(
    two: tuple[CallSlots, CallSlots], garage: Tenant, dentist: Tenant, database: Database
) -> None:
    one, other = two
    assert await one.take("CA1", garage.id, 2)
    assert await other.take("CA2", garage.id, 2)
    assert not await one.take("CA3", garage.id, 2)
    assert not await other.take("CA3", garage.id, 2)
    assert await one.take("CA4", dentist.id, 2)
    assert await one.taken(garage.id) == 2
    node, seconds = (await places(database))["CA2"]
    assert node == "other"
    assert 25 < seconds <= COMING.total_seconds()


async def test_a_call_keeps_the_place_that_it_has(
    two: tuple[CallSlots, CallSlots], garage: Tenant, database: Database
) -> None:
    one, other = two
    assert await one.take("CA1", garage.id, 2)
    assert await one.take("CA2", garage.id, 2)
    assert await other.take("CA1", garage.id, 2), "its next webhook came to another node"
    assert await other.take("CA2", garage.id, 1), "the limit has been lowered meanwhile"
    assert {node for node, _ in (await places(database)).values()} == {"other"}
    assert await one.take("CA3", garage.id, None), "a call under way is not turned away"
    assert await one.taken(garage.id) == 3


async def test_a_place_that_no_stream_takes_is_free_again(
    two: tuple[CallSlots, CallSlots], garage: Tenant, database: Database
) -> None:
    one, other = two
    assert await one.take("CA1", garage.id, 1)
    await expire(database, "CA1")
    assert await other.take("CA2", garage.id, 1)
    assert not await one.take("CA1", garage.id, 1), "it comes after all, too late"
    assert set(await places(database)) == {"CA1", "CA2"}
    await one.expire()
    assert set(await places(database)) == {"CA2"}


async def test_a_place_goes_with_the_stream(
    two: tuple[CallSlots, CallSlots],
    garage: Tenant,
    database: Database,
    operator: OperatorStore,
    storage: Storage,
) -> None:
    one, other = two
    assert await one.take("CA1", garage.id, 9)
    row = await carried(operator, garage, "CA1", "other")
    await one.keep(["CA1"])
    assert (await places(database))["CA1"][0] == "one", "it carries no such call: nothing to keep"
    await other.keep(["CA1", "CA-unknown"])
    node, seconds = (await places(database))["CA1"]
    assert node == "other"
    assert COMING.total_seconds() < seconds <= CARRIED.total_seconds()

    await one.free(["CA1"], [])
    assert "CA1" in await places(database), "what was left on one node goes on on the other"
    await other.free(["CA1"], [])
    assert "CA1" not in await places(database)

    await other.keep(["CA1"])
    assert "CA1" in await places(database), "a place that was lost is taken again"
    await one.free([], ["CA1"])
    assert await places(database) == {}, "whoever hears of the end gives it back"
    await storage.journal.finish(row.id, Outcome.TICKET, SystemClock().now())
    await other.keep(["CA1"])
    assert await places(database) == {}, "a call that is over has none"


async def test_places_go_with_their_node(
    two: tuple[CallSlots, CallSlots], garage: Tenant, database: Database, operator: OperatorStore
) -> None:
    node = Node(database, SystemClock(), "server", "test")
    slots = CallSlots(database, SystemClock(), node.id)
    await node.start()
    for sid in ("CA1", "CA2"):
        assert await slots.take(sid, garage.id, 9)
    await carried(operator, garage, "CA1", node.id)
    assert await two[1].take("CA3", garage.id, 9)

    async with database.write() as connection:
        await connection.execute(
            sa.update(nodes).values(seen_at=SystemClock().now() - timedelta(seconds=3))
        )
    assert await NodeRegister(database, SystemClock()).reap() == [node.id]
    assert set(await places(database)) == {"CA3"}
    assert not await node.beat()
    await slots.keep(["CA1"])
    assert set(await places(database)) == {"CA1", "CA3"}
    await node.stop()
    assert set(await places(database)) == {"CA3"}


# ------------------------------------------------------------------------- real processes


def process(url: str, *arguments: str) -> Forked:
    return Forked(node_process.main, url, *arguments)


async def within(seconds: float, condition: Callable[[], Awaitable[bool]]) -> None:
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        await asyncio.sleep(0.02)


async def test_of_many_takes_in_three_processes_no_more_succeed(
    two: tuple[CallSlots, CallSlots], url: str, garage: Tenant
) -> None:
    calls = [[f"CA{n}-{m}" for m in range(50)] for n in range(3)]
    takers = (process(url, "take", garage.id, "20", *each) for each in calls)
    hitters = (process(url, "hit", "vendor", "20", "50") for _ in range(3))
    with forked(*takers, *hitters) as started:
        for each in started:
            assert await asyncio.to_thread(each.hears) == "ready"
        for each in started:
            each.tell("go")
        results = [int(await asyncio.to_thread(each.hears)) for each in started]
    assert sum(results[:3]) == 20
    assert await two[0].taken(garage.id) == 20
    assert sum(results[3:]) == 20, "the rate limit of storage/counters.py as well"


async def test_a_node_that_is_killed_or_stopped_leaves_nothing(
    two: tuple[CallSlots, CallSlots],
    url: str,
    garage: Tenant,
    database: Database,
    operator: OperatorStore,
) -> None:
    """One is killed, one is stopped (SIGSTOP, as by a debugger or a frozen machine), one holds a
    transaction and is killed; a node that lives sees to what they leave."""
    async with database.write() as connection:
        values = {"key": "held", "count": 1, "expires_at": SystemClock().now()}
        await connection.execute(sa.insert(rate_counters).values(**values))
    survivor = Node(database, SystemClock(), "server", "test")
    await survivor.start()
    with forked(
        process(url, "carry", garage.id, "4", "CA1", "CA2"),
        process(url, "carry", garage.id, "4", "CA3", "CA4"),
        process(url, "hold", "held"),
    ) as (killed, stopped, holder):
        killed_id, _ = killed.hears(), stopped.hears()
        assert (killed.hears(), stopped.hears(), holder.hears()) == ("ready",) * 3
        await carried(operator, garage, "CA1", killed_id)
        async with asyncio.TaskGroup() as tasks:
            beating = tasks.create_task(survivor.run())
            await within(5, lambda: _true(survivor.living.get("server") == 3))
            assert not await two[0].take("CA5", garage.id, 4)
            await asyncio.sleep(survivor.register.pace.dead)  # it may judge from now on

            holder.signal(signal.SIGKILL)
            killed.signal(signal.SIGKILL)
            stopped.signal(signal.SIGSTOP)

            async def forgotten() -> bool:
                return await places(database) == {} and len(await survivor.register.living()) == 1

            began = survivor.clock.monotonic()
            await within(8, forgotten)
            took = survivor.clock.monotonic() - began
            assert took < 3 or survivor._steady_since > began, "and it wasn't late itself"
            assert [row.call_sid for row in await survivor.register.orphaned_calls()] == ["CA1"]
            assert await two[0].take("CA5", garage.id, 4)
            async with database.write() as connection:  # nobody holds the row or the lock
                await connection.execute(sa.text("SET LOCAL lock_timeout = '1s'"))
                await connection.execute(sa.update(rate_counters).values(count=3))
                await connection.execute(sa.text("SELECT pg_advisory_xact_lock(1)"))

            stopped.signal(signal.SIGCONT)
            assert await asyncio.to_thread(stopped.hears) == "returned"
            await within(2, lambda: _true(survivor.living.get("server") == 2))
            beating.cancel()
    assert survivor.reaped == 2


async def _true(condition: bool) -> bool:
    return condition
