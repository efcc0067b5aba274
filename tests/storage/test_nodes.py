"""Heartbeats: who lives, who is dead, what becomes of what the dead had."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
from structlog.testing import capture_logs

from domain.errors import OperatorError
from domain.outcome import Outcome
from domain.tenant import Tenant
from server.clock import SystemClock
from storage import CallRow, Database, NewCall, OperatorStore, Storage
from storage.call_register import StreamToken
from storage.nodes import Node, NodeRegister
from storage.schema import call_logs, nodes
from tests.fakes.clock import START, FakeClock
from tests.fakes.processes import gone


@pytest_asyncio.fixture(loop_scope="session")
async def register(database: Database, clock: FakeClock) -> AsyncIterator[NodeRegister]:
    yield NodeRegister(database, clock)
    async with database.write() as connection:
        await connection.execute(sa.delete(nodes))


class Life:
    """A node whose time passes as the test says."""

    def __init__(self, database: Database, clock: FakeClock, role: str = "server") -> None:
        self.returns = 0
        self.database, self.clock = database, clock
        self.node = Node(database, clock, role, "1.2.3", self._returned, self._sleep)

    def _returned(self) -> None:
        self.returns += 1

    async def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @property
    def id(self) -> str:
        return self.node.id

    async def steady(self) -> None:
        """It has been beating for long enough to judge others."""
        await self.node.beat()
        self.node._steady_since = self.clock.monotonic() - 60


async def age(database: Database, node_id: str, seconds: float) -> None:
    """Its last beat was so long ago."""
    async with database.write() as connection:
        seen = (
            await connection.execute(sa.select(nodes.c.seen_at).where(nodes.c.id == node_id))
        ).scalar_one()
        await connection.execute(
            sa.update(nodes)
            .where(nodes.c.id == node_id)
            .values(seen_at=seen - timedelta(seconds=seconds))
        )


async def carried(operator: OperatorStore, tenant: Tenant, sid: str, node_id: str) -> CallRow:
    """A call whose stream is on that node."""
    new = NewCall(
        call_sid=sid,
        from_number="+33639981234",
        from_raw="+33639981234",
        to_number="+33199000000",
        tenant_id=tenant.id,
        stage="opening",
    )
    token = StreamToken(sid, START + timedelta(hours=1))
    await operator.open_call(new, {"kind": "stream"}, token)
    row = await operator.join_stream(sid, sid, "live", START, node_id)
    assert row is not None
    return row


async def node_of(database: Database, call_id: str) -> Any:
    async with database.read() as connection:
        statement = sa.select(call_logs.c.node_id).where(call_logs.c.id == call_id)
        return (await connection.execute(statement)).scalar_one()


async def test_a_node_is_seen_until_it_stops(
    register: NodeRegister, database: Database, clock: FakeClock
) -> None:
    life = Life(database, clock)
    await life.node.start()
    (row,) = await register.living()
    assert (row.id, row.role, row.version, row.draining_at) == (life.id, "server", "1.2.3", None)
    assert await register.living("worker") == []
    await life.node.drain()
    (row,) = await register.living("server")
    assert row.draining_at is not None
    await life.node.stop()
    assert await register.living() == await register.dead() == []


async def test_a_clock_that_is_not_the_databases_is_reported_once(
    database: Database, dialect: str
) -> None:
    """With SQLite there is no clock but ours."""
    with capture_logs() as logs:
        for clock in (FakeClock(START - timedelta(days=365)), SystemClock()):
            life = Life(database, FakeClock())
            life.node.clock = clock
            await life.node.start()
            await life.node.beat()
            await life.node.stop()
    astray = [entry["event"] for entry in logs if entry["event"] == "node.clock_astray"]
    assert astray == ["node.clock_astray"] * (dialect == "postgresql")


async def test_who_does_not_beat_is_dead_and_reaped_once(
    register: NodeRegister, database: Database, clock: FakeClock
) -> None:
    one, other = Life(database, clock), Life(database, clock, "worker")
    await one.node.start()
    await other.node.start()
    assert len(await register.living()) == 2
    assert await register.reap() == []
    await age(database, other.id, register.pace.dead + 1)
    assert [row.id for row in await register.dead()] == [other.id]
    assert [row.id for row in await register.living()] == [one.id]
    async with asyncio.TaskGroup() as tasks:
        reaping = [tasks.create_task(register.reap()) for _ in range(4)]
    assert [each for task in reaping for each in task.result()] == [other.id]
    assert await register.dead() == []


async def test_a_node_reaps_the_others_as_it_beats(
    register: NodeRegister, database: Database, clock: FakeClock
) -> None:
    one, other = Life(database, clock), Life(database, clock, "worker")
    await one.node.start()
    await other.node.start()
    await one.node.turn()
    assert one.node.living == {"server": 1, "worker": 1}
    await age(database, other.id, register.pace.dead + 1)
    await one.steady()
    await one.node.turn()
    assert one.node.living == {"server": 1, "worker": 0}
    assert one.node.reaped == 1
    assert [row.id for row in await register.living()] == [one.id]


async def test_a_node_that_was_away_itself_calls_nobody_dead(
    register: NodeRegister, database: Database, clock: FakeClock
) -> None:
    """The database was away for all: whoever is back first must not bury the others."""
    one, other = Life(database, clock), Life(database, clock, "worker")
    await one.node.start()
    await other.node.start()
    await age(database, other.id, register.pace.dead + 1)
    clock.advance(60)  # of which the node knows, even where the database's clock says otherwise
    await one.node.turn()
    assert [row.id for row in await register.dead()] == [other.id]
    assert one.node.reaped == 0


async def test_a_node_that_is_back_enters_anew_and_says_so(
    register: NodeRegister, database: Database, clock: FakeClock
) -> None:
    life = Life(database, clock)
    await life.node.start()
    await life.node.turn()
    assert life.returns == 0
    await age(database, life.id, register.pace.dead + 1)
    assert await register.reap() == [life.id]
    clock.advance(1)
    await life.node.turn()
    assert life.returns == 1
    assert [row.id for row in await register.living()] == [life.id]


async def test_a_database_that_fails_ends_no_beating(
    register: NodeRegister, database: Database, clock: FakeClock
) -> None:
    life = Life(database, clock)
    await life.node.start()
    beat = life.node.beat

    async def away() -> bool:
        raise OperatorError("the database is away")

    async def slow() -> bool:
        await asyncio.sleep(60)
        return True

    life.node.register.pace = register.pace._replace(patience=0.05)
    for trouble in (away, slow):
        life.node.beat = trouble  # type: ignore[method-assign]
        await life.node.turn()
    life.node.beat = beat  # type: ignore[method-assign]
    life.node.register.pace = register.pace
    clock.advance(1)
    await life.node.turn()
    assert [row.id for row in await register.living()] == [life.id]


@pytest.mark.long  # freezes a process of the database that other tests share
@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True, scope="session")
async def test_a_connection_that_hangs_is_replaced(
    register: NodeRegister, database: Database, clock: FakeClock
) -> None:
    """PostgreSQL's end of it is stopped, as behind a network that swallows everything."""
    life = Life(database, clock)
    await life.node.start()
    async with database.aside() as connection:
        backend = (await connection.execute(sa.text("SELECT pg_backend_pid()"))).scalar_one()
    os.kill(backend, signal.SIGSTOP)
    try:
        life.node.register.pace = register.pace._replace(patience=1.5)
        async with asyncio.timeout(15):
            await life.node.turn()
            assert life.node._failing
            await life.node.turn()
        assert not life.node._failing
    finally:
        # It ends instead of doing late, in another test's time, what it was asked.
        os.kill(backend, signal.SIGTERM)
        os.kill(backend, signal.SIGCONT)
        assert gone(backend)


async def test_a_node_that_has_left_enters_no_more(
    register: NodeRegister, database: Database, clock: FakeClock
) -> None:
    life = Life(database, clock)
    await life.node.start()
    await life.node.stop()
    await life.node.turn()
    assert await register.living() == []


async def test_a_server_on_sqlite_is_the_only_one(
    register: NodeRegister, database: Database, clock: FakeClock, dialect: str
) -> None:
    """It was killed and is started again: nobody waits until the one before counts as dead."""
    before, worker, now = (Life(database, clock, r) for r in ("server", "worker", "server"))
    for life in (before, worker, now):
        await life.node.start()
    ids = {row.id for row in await register.living()}
    alone = {worker.id, now.id}
    assert ids == (alone if dialect == "sqlite" else {before.id, *alone})


async def test_calls_of_the_dead_are_orphans_until_somebody_adopts_them(
    register: NodeRegister, database: Database, clock: FakeClock, storage: Storage, garage: Tenant
) -> None:
    operator = storage.operator
    living, rescuer = Life(database, clock), Life(database, clock, "worker")
    await living.node.start()
    await rescuer.node.start()
    healthy = await carried(operator, garage, "CA1", living.id)
    lost = [await carried(operator, garage, f"CA{n}", "a node that is gone") for n in (2, 3, 4, 5)]
    over = await carried(operator, garage, "CA6", "a node that is gone")
    await storage.journal.finish(over.id, Outcome.TICKET, START)
    ids = {row.id for row in lost}
    assert {row.id for row in await register.orphaned_calls()} == ids
    assert len(await register.orphaned_calls(limit=2)) == 2

    async with asyncio.TaskGroup() as tasks:
        adopting = [tasks.create_task(register.adopt(rescuer.id, 3)) for _ in range(4)]
    adopted = [row.id for task in adopting for row in task.result()]
    assert len(adopted) == len(set(adopted))
    while rest := await register.adopt(rescuer.id, 3):
        adopted += [row.id for row in rest]
    assert set(adopted) == ids
    assert await register.orphaned_calls() == []
    assert await node_of(database, healthy.id) == living.id
    assert await node_of(database, lost[0].id) == rescuer.id

    await rescuer.node.stop()
    assert {row.id for row in await register.orphaned_calls()} == ids, "the rescuer died as well"
    await operator.reopen(lost[0].id, {"kind": "stream"}, "opening")
    assert {row.id for row in await register.orphaned_calls()} == ids - {lost[0].id}
    await operator.put_down(lost[1].id)
    assert {row.id for row in await register.orphaned_calls()} == ids - {lost[0].id, lost[1].id}
