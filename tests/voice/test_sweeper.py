"""Calls that end without a word from their stream, or before it: sweeper and status callback."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.outcome import Outcome
from server.metrics import Metrics
from storage import CallRow, Database, JournalEntry, NewCall, Storage
from storage.schema import call_events
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from voice.endings import LIVE, Endings
from voice.journal import Journal
from voice.ports import CallRecord


class Carrier:
    """Every call is over."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def fetch(self, call_sid: str) -> CallRecord | None:
        self.asked.append(call_sid)
        await asyncio.sleep(0.001)
        return CallRecord(call_sid, "completed", 30, None, None)

    async def hang_up(self, call_sid: str) -> None:
        raise AssertionError("nobody asked for that")

    async def redirect(self, call_sid: str, url: str) -> None:
        raise AssertionError("nobody asked for that")


class Case:
    def __init__(self, database: Database, storage: Storage, clock: FakeClock) -> None:
        self.database, self.storage, self.clock = database, storage, clock
        journal = Journal(storage.journal)
        self.at: dict[float, Callable[[], Awaitable[object]]] = {}  # what happens when
        self.carrier = Carrier()
        self.endings = Endings(storage, journal, self.carrier, clock, Metrics(), list, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for when in [when for when in self.at if when <= self.clock.monotonic()]:
            await self.at.pop(when)()

    async def open_call(self, call_sid: str, tenant_id: str) -> CallRow:
        new = NewCall(
            call_sid=call_sid,
            from_number="+33639981234",
            from_raw="+33639981234",
            to_number="+33199000000",
            forwarded_from=None,
            forwarded_from_raw="",
            tenant_id=tenant_id,
            found_by="to",
            stage=LIVE,
        )
        row, _ = await self.storage.operator.open_call(new, {})
        self.clock.advance(1)
        return row

    async def outcome(self, row: CallRow) -> str | None:
        current = await self.storage.operator.get_call(row.id)
        assert current is not None
        return current.outcome


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    clock = FakeClock()
    database = await Database.open(migrated_file(tmp_path / "test.sqlite3"))
    yield Case(database, Storage(database, clock), clock)
    await database.close()


async def test_a_call_that_cannot_be_closed_keeps_no_other_open(case: Case) -> None:
    tenant = await case.storage.operator.create_tenant("Garage du Port")
    bad = await case.open_call("CA1", tenant.id)
    good = await case.open_call("CA2", tenant.id)
    async with case.database.write() as connection:
        values = {"call_id": bad.id, "at": case.clock.now(), "kind": "turn", "data": {}}
        await connection.execute(sa.insert(call_events).values(**values))
    case.clock.advance(timedelta(minutes=3))
    assert await case.endings.sweep_once() == 1
    assert (await case.outcome(bad), await case.outcome(good)) == (None, Outcome.ABANDONED)
    assert await case.endings.sweep_once() == 0, "it isn't tried again at once"


async def test_two_nodes_that_sweep_at_once_ask_the_carrier_once_for_each(case: Case) -> None:
    tenant = await case.storage.operator.create_tenant("Garage du Port")
    rows = [await case.open_call(f"CA{number}", tenant.id) for number in range(25)]
    case.clock.advance(timedelta(minutes=3))
    async with asyncio.TaskGroup() as tasks:
        sweeps = [tasks.create_task(case.endings.sweep_once()) for _ in range(3)]
    assert sum(sweep.result() for sweep in sweeps) == 25
    assert sorted(case.carrier.asked) == sorted(row.call_sid for row in rows)


async def test_a_function_may_have_any_name(case: Case) -> None:
    """The model makes names up, and the timeline keeps them beside those of our events."""
    tenant = await case.storage.operator.create_tenant("Garage du Port")
    row = await case.open_call("CA1", tenant.id)
    data = {"name": "agent_connected", "arguments": "{}", "result": {"status": "invalid"}}
    entry = JournalEntry(call_id=row.id, at=case.clock.now(), kind="function", data=data)
    await case.storage.journal.append([entry])
    case.clock.advance(timedelta(minutes=3))
    assert await case.endings.sweep_once() == 1
    assert await case.outcome(row) == Outcome.ABANDONED


async def test_a_stream_that_still_waits_for_a_function_has_the_last_word(case: Case) -> None:
    """The caller hangs up on a booking that takes its time; Twilio reports the end at once."""
    tenant = await case.storage.operator.create_tenant("Garage du Port")
    row = await case.open_call("CA1", tenant.id)
    case.at[case.clock.monotonic() + 9] = lambda: case.endings.finish(row.id, Outcome.BOOKED)
    await case.endings.close_from_status("CA1", "completed", 12)
    assert await case.outcome(row) == Outcome.BOOKED


async def test_a_stream_that_died_is_not_waited_for_for_ever(case: Case) -> None:
    tenant = await case.storage.operator.create_tenant("Garage du Port")
    row = await case.open_call("CA1", tenant.id)
    began = case.clock.monotonic()
    await case.endings.close_from_status("CA1", "completed", 12)
    assert await case.outcome(row) == Outcome.ABANDONED
    assert case.clock.monotonic() - began < 20
