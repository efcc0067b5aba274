"""What Vapi tells of a call that it served, on both databases."""

import pytest
import sqlalchemy as sa

from storage import Database, Storage
from storage.calls import CallRow, NewCall
from storage.journal import JournalEntry
from storage.schema import call_events
from storage.vapi_calls import Turn, VapiReport
from tests.fakes.clock import FakeClock

REPORT = VapiReport("L'appelant voulait un devis.", 13, (), "User: Un devis ?")


async def served(storage: Storage) -> str:
    """A call that one at Vapi serves; its id."""
    new = NewCall("CA" + "1" * 32, "+33639980001", "+33639980001", "+33199000001", "live")
    call = (await storage.operator.open_call(new, {})).call
    assert await storage.vapi_calls.link(call.id, "at-vapi")
    return call.id


async def stored(storage: Storage, call_id: str) -> CallRow:
    call = await storage.operator.get_call(call_id)
    assert call is not None
    return call


async def test_a_report_fills_in_what_is_missing(storage: Storage, clock: FakeClock) -> None:
    call_id = await served(storage)
    said = VapiReport(turns=[Turn(clock.now(), "caller", "Un devis ?")])
    for report in (REPORT, said, VapiReport(), REPORT):
        assert await storage.vapi_calls.report(call_id, report)
    call = await stored(storage, call_id)
    assert (call.summary, call.transcript) == (REPORT.summary, REPORT.transcript)
    # Vapi's part alone: the carrier's is told by the carrier, in its own currency.
    assert (call.vapi_cost_cents, call.cost_cents) == (13, None)
    assert not await storage.vapi_calls.report("another", REPORT)


async def test_of_a_call_that_another_agent_ended_vapi_knows_the_cost(
    storage: Storage, clock: FakeClock
) -> None:
    call_id = await served(storage)
    heard = {"who": "caller", "text": "Un devis ?"}
    await storage.journal.append([JournalEntry(call_id, clock.now(), "turn", heard)])
    await storage.vapi_calls.give_up(call_id)
    await storage.vapi_calls.report(call_id, REPORT)
    call = await stored(storage, call_id)
    assert (call.summary, call.transcript, call.vapi_cost_cents) == (None, None, 13)


@pytest.mark.parametrize(("agent", "believed"), [("vapi:1234", False), ("vapi:bypass", True)])
async def test_what_was_said_on_our_own_stream_is_what_we_heard(
    storage: Storage, database: Database, clock: FakeClock, agent: str, believed: bool
) -> None:
    """An assistant that was never heard has a transcript all the same, of what it made."""
    call_id = await served(storage)
    connected = {"name": "agent_connected", "agent": agent, "waited_ms": 5}
    await storage.journal.append([JournalEntry(call_id, clock.now(), "event", connected)])
    said = Turn(clock.now(), "agent", "Garage du Port, bonjour !")
    report = VapiReport(turns=[said], transcript="AI: Garage du Port, bonjour !")
    await storage.vapi_calls.report(call_id, report)
    async with database.read() as connection:
        turns = sa.select(call_events.c.data).where(call_events.c.kind == "turn")
        words = (await connection.execute(turns)).scalars().all()
    assert bool(words) is believed
    assert ((await stored(storage, call_id)).transcript is not None) is believed
