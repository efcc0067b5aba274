"""A conversation by turns: each turn is claimed by one, answered once, and written down once."""

import asyncio
from datetime import timedelta

import pytest_asyncio

from domain.outcome import Outcome
from domain.tenant import Tenant
from storage import CallRow, JournalEntry, NewCall, OperatorStore, Storage
from tests.fakes.clock import START, FakeClock

HEARD = {"speech": "rendez-vous", "digits": ""}
LONG_AGO = START - timedelta(minutes=1)


def opening(turn: int) -> dict[str, object]:
    return {"kind": "turns", "turn": turn, "say": f"Question {turn}"}


def line(call: CallRow, words: str) -> list[JournalEntry]:
    return [JournalEntry(call.id, START, "turn", {"who": "caller", "text": words})]


@pytest_asyncio.fixture(loop_scope="session")
async def call(operator: OperatorStore, garage: Tenant) -> CallRow:
    new = NewCall("CA1", "+33639981234", "", "+33900000001", "turns", tenant_id=garage.id)
    return (await operator.open_call(new, opening(1))).call


async def turns_of(storage: Storage, call: CallRow) -> list[str]:
    async with storage.tenant(str(call.tenant_id)).read() as rows:
        return [str(each.data["text"]) for each in await rows.calls.timeline(call.id)]


async def test_of_those_who_claim_a_turn_at_once_one_gets_it(
    storage: Storage, call: CallRow
) -> None:
    async def claim() -> bool:
        lines = line(call, "rendez-vous")
        claim = await storage.turns.claim(call.id, 1, HEARD, lines, LONG_AGO)
        assert claim is not None
        assert claim.call.opening["heard"]["speech"] == "rendez-vous"
        return claim.taken

    async with asyncio.TaskGroup() as tasks:
        claims = [tasks.create_task(claim()) for _ in range(5)]
    assert [claim.result() for claim in claims].count(True) == 1
    assert await turns_of(storage, call) == ["rendez-vous"], "and it is written down once"


async def test_a_turn_is_answered_once(storage: Storage, call: CallRow) -> None:
    await storage.turns.claim(call.id, 1, HEARD, [], LONG_AGO)
    first = await storage.turns.answer(call.id, 1, opening(2), "turns", line(call, "un"))
    assert first is not None
    assert first.opening == opening(2), "what was heard belonged to the first turn"
    assert await storage.turns.answer(call.id, 1, opening(7), "turns", line(call, "deux")) is None
    late = await storage.turns.claim(call.id, 1, HEARD, line(call, "trois"), LONG_AGO)
    assert late is not None
    assert not late.taken
    assert late.call.opening == opening(2)
    assert await turns_of(storage, call) == ["un"]


async def test_a_turn_that_somebody_left_is_taken_over_with_its_words(
    storage: Storage, call: CallRow, clock: FakeClock
) -> None:
    await storage.turns.claim(call.id, 1, HEARD, line(call, "rendez-vous"), LONG_AGO)
    clock.advance(30)
    other = {"speech": "", "digits": "9"}
    stale = clock.now() - timedelta(seconds=25)
    taken = await storage.turns.claim(call.id, 1, other, line(call, "9"), stale)
    assert taken is not None
    assert taken.taken
    assert taken.call.opening["heard"]["speech"] == "rendez-vous"
    assert await turns_of(storage, call) == ["rendez-vous"]
    again = await storage.turns.claim(call.id, 1, other, [], stale)
    assert again is not None
    assert not again.taken, "it is somebody's again"


async def test_a_call_that_has_ended_is_left_alone(storage: Storage, call: CallRow) -> None:
    await storage.journal.finish(call.id, Outcome.ABANDONED, START)
    claim = await storage.turns.claim(call.id, 1, HEARD, line(call, "un"), LONG_AGO)
    assert claim is not None
    assert not claim.taken
    assert await storage.turns.answer(call.id, 1, opening(2), "turns", line(call, "un")) is None
    await storage.turns.begin(call.id, line(call, "un"))
    assert await turns_of(storage, call) == []
    assert await storage.turns.claim("nobody", 1, HEARD, [], LONG_AGO) is None
    await storage.turns.begin("nobody", [])


async def test_a_call_without_a_stream_counts_as_answered(
    storage: Storage, operator: OperatorStore, call: CallRow, clock: FakeClock
) -> None:
    await storage.turns.begin(call.id, line(call, "Bonjour"))
    clock.advance(10)
    await storage.turns.begin(call.id, [])
    found = await operator.get_call(call.id)
    assert found is not None
    assert found.answered_at == START, "the first time counts"
    assert found.call_status == "in-progress"
