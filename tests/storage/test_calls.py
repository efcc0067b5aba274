"""Calls: opened once, bound once, ended once, and told afterwards."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import pytest
import pytest_asyncio

from domain.errors import Invalid, NotFound
from domain.outcome import Outcome
from domain.tenant import Tenant
from storage import (
    CallRow,
    Database,
    FunctionRun,
    JournalEntry,
    NewCall,
    OperatorStore,
    PendingTransfer,
    Storage,
)
from storage.call_register import StreamToken
from storage.journal import total_usage, transcript
from tests.fakes.clock import START, FakeClock

CALLER = "+33639981234"
NUMBER = "+33900000001"


def _new(call_sid: str = "CA1", tenant: Tenant | None = None, caller: str = CALLER) -> NewCall:
    return NewCall(
        call_sid=call_sid,
        from_number=caller,
        from_raw="06 39 98 12 34",
        to_number=NUMBER,
        stage="opening",
        forwarded_from="+33299000001",
        forwarded_from_raw="0299000001",
        tenant_id=tenant.id if tenant else None,
        found_by="line" if tenant else None,
    )


@pytest_asyncio.fixture(loop_scope="session")
async def call(operator: OperatorStore, garage: Tenant) -> CallRow:
    return (await operator.open_call(_new(tenant=garage), {"kind": "stream"})).call


async def _reload(operator: OperatorStore, call: CallRow) -> CallRow:
    found = await operator.get_call(call.id)
    assert found is not None
    return found


# ------------------------------------------------------------------------------- opening


async def test_a_call_is_journalled_as_it_rings(operator: OperatorStore, garage: Tenant) -> None:
    call, created = await operator.open_call(_new(tenant=garage), {"kind": "stream", "é": [1]})
    assert created
    assert (call.call_sid, call.tenant_id, call.found_by) == ("CA1", garage.id, "line")
    assert (call.from_number, call.to_number, call.forwarded_from) == (
        CALLER,
        NUMBER,
        "+33299000001",
    )
    assert (call.direction, call.call_status, call.stage) == ("inbound", "ringing", "opening")
    assert call.started_at == call.created_at == call.seen_at == START
    assert (call.outcome, call.ended_at, call.answered_at, call.duration_seconds) == (None,) * 4
    assert (call.attempts, call.actions_performed, call.usage, call.detail) == (0, [], None, "")
    flags = (call.rdv_created, call.qualified_prospect_created, call.ticket_created)
    assert flags == (False, False, False)
    assert call.opening == {"kind": "stream", "é": [1]}
    assert await operator.get_call(call.id) == call
    assert await operator.call_by_sid("CA1") == call
    assert await operator.get_call("nothing") is None
    assert await operator.call_by_sid("CA2") is None


async def test_a_repeated_webhook_gets_the_earlier_opening(
    operator: OperatorStore, garage: Tenant, clock: FakeClock
) -> None:
    first = await operator.open_call(_new(tenant=garage), {"nonce": 1})
    clock.advance(3)
    again = await operator.open_call(_new(caller=""), {"nonce": 2})
    assert not again.created
    assert again.call == first.call


async def test_of_many_repeats_at_once_one_opens(
    url: str, operator: OperatorStore, garage: Tenant
) -> None:
    other = await Database.open(url)
    operators = (operator, Storage(other, FakeClock()).operator)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(operators[n % 2].open_call(_new(tenant=garage), {"nonce": n}))
            for n in range(20)
        ]
    await other.close()
    opened = [task.result() for task in tasks]
    assert [each.created for each in opened].count(True) == 1
    assert len({each.call.id for each in opened}) == 1
    assert len({each.call.opening["nonce"] for each in opened}) == 1


async def test_a_tenant_is_bound_once(
    operator: OperatorStore, garage: Tenant, dentist: Tenant
) -> None:
    call = (await operator.open_call(_new(), {})).call
    assert call.tenant_id is None
    assert await operator.bind_call(call.id, garage.id, "code")
    assert not await operator.bind_call(call.id, dentist.id, "name")
    bound = await _reload(operator, call)
    assert (bound.tenant_id, bound.found_by) == (garage.id, "code")
    assert not await operator.bind_call("nothing", garage.id, "code")


async def test_an_ended_call_is_bound_no_more(
    operator: OperatorStore, storage: Storage, garage: Tenant
) -> None:
    call = (await operator.open_call(_new(), {})).call
    assert await storage.journal.finish(call.id, Outcome.TENANT_UNKNOWN, START)
    assert not await operator.bind_call(call.id, garage.id, "code")


async def test_a_running_call_is_answered_anew(
    operator: OperatorStore, storage: Storage, call: CallRow
) -> None:
    again = await operator.reopen(call.id, {"kind": "ask", "try": 2}, "asking")
    assert again is not None
    assert (again.opening, again.stage) == ({"kind": "ask", "try": 2}, "asking")
    assert again == await _reload(operator, call)
    assert (await operator.open_call(_new(), {})).call.opening == {"kind": "ask", "try": 2}
    assert await operator.reopen("nothing", {}, "asking") is None
    assert await storage.journal.finish(call.id, Outcome.ABANDONED, START)
    assert await operator.reopen(call.id, {}, "opening") is None


# -------------------------------------------------------------------------------- tokens

IN_A_MINUTE = START + timedelta(seconds=60)


async def test_a_token_opens_one_stream_of_its_call(
    operator: OperatorStore, garage: Tenant
) -> None:
    token = StreamToken("hash", IN_A_MINUTE)
    await operator.open_call(_new("CA1", garage), {}, token)
    await operator.open_call(_new("CA2", garage), {}, StreamToken("second", IN_A_MINUTE))
    at = START + timedelta(seconds=59)
    assert await operator.join_stream("other", "CA1", "live", START) is None
    assert await operator.join_stream("hash", "CA2", "live", START) is None
    joined = await operator.join_stream("hash", "CA1", "live", at)
    assert joined is not None
    assert (joined.call_sid, joined.stage, joined.call_status) == ("CA1", "live", "in-progress")
    assert (joined.answered_at, joined.seen_at) == (at, at)
    assert await operator.join_stream("hash", "CA1", "live", at) is None


async def test_a_later_stream_does_not_answer_the_call_again(
    operator: OperatorStore, garage: Tenant
) -> None:
    call = (await operator.open_call(_new("CA1", garage), {}, StreamToken("a", IN_A_MINUTE))).call
    assert await operator.join_stream("a", "CA1", "live", START)
    await operator.reopen(call.id, {}, "opening", StreamToken("b", IN_A_MINUTE))
    later = await operator.join_stream("b", "CA1", "live", START + timedelta(seconds=9))
    assert later is not None
    assert later.answered_at == START


async def test_a_token_expires(operator: OperatorStore, garage: Tenant) -> None:
    await operator.open_call(_new("CA1", garage), {}, StreamToken("hash", IN_A_MINUTE))
    assert await operator.join_stream("hash", "CA1", "live", IN_A_MINUTE) is None


async def test_a_repeated_webhook_s_token_opens_nothing(
    operator: OperatorStore, garage: Tenant
) -> None:
    await operator.open_call(_new("CA1", garage), {}, StreamToken("first", IN_A_MINUTE))
    await operator.open_call(_new("CA1", garage), {}, StreamToken("second", IN_A_MINUTE))
    assert await operator.join_stream("second", "CA1", "live", START) is None


async def test_an_unbound_or_ended_call_is_joined_by_no_stream(
    operator: OperatorStore, storage: Storage, garage: Tenant
) -> None:
    await operator.open_call(_new("CA1"), {}, StreamToken("unbound", IN_A_MINUTE))
    assert await operator.join_stream("unbound", "CA1", "live", START) is None
    ended = (await operator.open_call(_new("CA2", garage), {}, StreamToken("e", IN_A_MINUTE))).call
    assert await storage.journal.finish(ended.id, Outcome.ABANDONED, START)
    assert await operator.join_stream("e", "CA2", "live", START) is None


async def test_a_token_presented_on_every_node_opens_one(
    url: str, operator: OperatorStore, garage: Tenant
) -> None:
    other = await Database.open(url)
    operators = (operator, Storage(other, FakeClock()).operator)
    await operator.open_call(_new("CA1", garage), {}, StreamToken("hash", IN_A_MINUTE))
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(operators[n % 2].join_stream("hash", "CA1", "live", START))
            for n in range(20)
        ]
    await other.close()
    assert [task.result() for task in tasks].count(None) == 19


# ------------------------------------------------------------------------------ progress


async def test_stages_follow_each_other(operator: OperatorStore, call: CallRow) -> None:
    assert await operator.set_stage(call.id, "live")
    assert not await operator.set_stage(call.id, "late", only_from=("opening", "asking"))
    assert await operator.set_stage(call.id, "closing", only_from=("asking", "live"))
    assert not await operator.set_stage("nothing", "live")
    assert (await _reload(operator, call)).stage == "closing"


async def test_attempts_are_counted_without_a_gap(operator: OperatorStore, call: CallRow) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(operator.next_attempt(call.id)) for _ in range(8)]
    assert sorted(task.result() for task in tasks) == list(range(1, 9))
    assert (await _reload(operator, call)).attempts == 8
    with pytest.raises(NotFound):
        await operator.next_attempt("nothing")


async def test_a_transfer_is_pending_while_it_is_dialled(
    operator: OperatorStore, storage: Storage, call: CallRow, clock: FakeClock
) -> None:
    target = "+33639980000"
    await operator.set_transfer(call.id, target, "dialling")
    pending = [PendingTransfer(call.id, CALLER, target)]
    assert await operator.pending_transfers(START) == pending
    assert await operator.pending_transfers(START + timedelta(seconds=1)) == []
    for state in ("accepted", "failed"):
        await operator.set_transfer(call.id, target, state)
        assert await operator.pending_transfers(START) == []
        row = await _reload(operator, call)
        assert (row.transfer_number, row.transfer_state) == (target, state)
    clock.advance(60)
    await operator.set_transfer(call.id, target, "dialling")
    assert await operator.pending_transfers(clock.now()) == pending
    await storage.journal.finish(call.id, Outcome.ABANDONED, clock.now())
    assert await operator.pending_transfers(START) == []
    with pytest.raises(Invalid):
        await operator.set_transfer(call.id, target, "perhaps")


async def test_calls_that_nobody_has_seen_for_long(
    operator: OperatorStore, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    calls = []
    for number in range(5):
        calls.append((await operator.open_call(_new(f"CA{number}", garage), {})).call)
        clock.advance(10)
    ended, alive, *lost, _ = calls
    await storage.journal.finish(ended.id, Outcome.INFORMED, clock.now())
    await operator.touch([alive.id, "nothing"], clock.now())
    before = calls[-1].started_at

    async def claimed(limit: int) -> list[str]:
        rows = await operator.claim_unseen(before, before, limit)
        return [row.id for row in rows]

    assert await claimed(1) == [lost[0].id]
    assert await claimed(10) == [call.id for call in lost[1:]], "what is claimed is left alone"
    assert await claimed(10) == []
    before += timedelta(seconds=1)
    assert await claimed(10) == [call.id for call in (*lost, calls[-1])], "but not for ever"
    await operator.touch([], clock.now())
    await operator.touch([call.id for call in calls] * 300, clock.now())
    before = clock.now()
    assert await claimed(10) == []


async def test_of_many_nodes_that_sweep_one_gets_each_call(
    url: str, operator: OperatorStore, garage: Tenant, clock: FakeClock
) -> None:
    for number in range(20):
        await operator.open_call(_new(f"CA{number}", garage), {})
    clock.advance(10)
    others = [await Database.open(url) for _ in range(2)]
    nodes = [operator, *(Storage(other, clock).operator for other in others)]
    async with asyncio.TaskGroup() as group:
        sweeps = [
            group.create_task(nodes[n % 3].claim_unseen(clock.now(), clock.now(), 5))
            for n in range(12)
        ]
    for other in others:
        await other.close()
    rows = [row.id for sweep in sweeps for row in sweep.result()]
    rows += [row.id for row in await operator.claim_unseen(clock.now(), clock.now(), 20)]
    assert len(rows) == len(set(rows)) == 20


async def test_a_node_carries_a_call_from_its_stream_until_the_next_answer(
    operator: OperatorStore, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    tokens = [StreamToken(name, IN_A_MINUTE) for name in "abc"]
    for number in (1, 2, 3):
        await operator.open_call(_new(f"CA{number}", garage), {}, tokens[number - 1])
    sids = ["CA1", "CA2", "CA3"]
    assert await operator.settled_elsewhere(sids, "one") == set()
    first = await operator.join_stream("a", "CA1", "live", START, "one")
    second = await operator.join_stream("b", "CA2", "live", START, "other")
    assert first
    assert second
    assert await operator.settled_elsewhere(sids, "one") == {"CA2"}
    assert await operator.settled_elsewhere(sids, "other") == {"CA1"}
    await operator.reopen(second.id, {}, "opening")
    assert await operator.settled_elsewhere(sids, "one") == set()
    await storage.journal.finish(first.id, Outcome.INFORMED, clock.now())
    assert await operator.settled_elsewhere(sids, "one") == {"CA1"}


# ------------------------------------------------------------------------------- journal


def _turn(call: CallRow, who: str, text: str, seconds: float = 0, **more: object) -> JournalEntry:
    at = START + timedelta(seconds=seconds)
    return JournalEntry(call.id, at, "turn", {"who": who, "text": text, **more})


async def _effect(storage: Storage, call: CallRow, name: str, effect: str | None) -> None:
    assert call.tenant_id is not None
    async with storage.tenant(call.tenant_id).write() as rows:
        number = len(await rows.functions.of_call(call.id))
        await rows.functions.record(
            FunctionRun(
                occasion=call.id,
                function_call_id=f"fc{number}",
                name=name,
                arguments={},
                arguments_hash=str(number),
                result={},
                started_at=START,
                finished_at=START + timedelta(seconds=number),
                effect=effect,
            )
        )


async def test_a_timeline_is_told_in_order(
    operator: OperatorStore, storage: Storage, call: CallRow, garage: Tenant
) -> None:
    other = (await operator.open_call(_new("CA2", garage), {})).call
    await storage.journal.append(
        [
            _turn(call, "caller", "Bonjour", 5),
            _turn(other, "caller", "Allô", 5),
            # A turn is stored when it is over: this one began before the caller's.
            _turn(call, "agent", "Bonjour, ici Sara", 1, heard_until_ms=1200, cut=True),
        ]
    )
    await storage.journal.append(
        [JournalEntry(call.id, START + timedelta(seconds=5), "latency", {"stage": "tts", "ms": 3})]
    )
    await storage.journal.append([])
    async with storage.tenant(garage.id).read() as rows:
        timeline = await rows.calls.timeline(call.id)
    assert [(entry.kind, entry.at - START) for entry in timeline] == [
        ("turn", timedelta(seconds=1)),
        ("turn", timedelta(seconds=5)),
        ("latency", timedelta(seconds=5)),
    ]
    assert timeline[0].data == {
        "who": "agent",
        "text": "Bonjour, ici Sara",
        "heard_until_ms": 1200,
        "cut": True,
    }


async def test_one_call_that_is_gone_costs_the_others_nothing(
    storage: Storage, call: CallRow, garage: Tenant
) -> None:
    gone = [JournalEntry("gone", START, "event", {})]
    await storage.journal.append([_turn(call, "caller", "Un"), *gone, _turn(call, "agent", "Deux")])
    await storage.journal.append(gone)
    async with storage.tenant(garage.id).read() as rows:
        timeline = await rows.calls.timeline(call.id)
    assert [entry.data["text"] for entry in timeline] == ["Un", "Deux"]
    with pytest.raises(Invalid):
        await storage.journal.append([JournalEntry(call.id, START, "gossip", {})])


async def test_the_end_sums_up_the_call(
    operator: OperatorStore, storage: Storage, call: CallRow
) -> None:
    await operator.reopen(call.id, {}, "opening", StreamToken("hash", IN_A_MINUTE))
    assert await operator.join_stream("hash", call.call_sid, "live", START + timedelta(seconds=10))
    await storage.journal.append(
        [
            _turn(call, "caller", "  Un rendez-vous\n s'il vous plaît ", 20),
            _turn(call, "agent", "", 30),
            _turn(call, "agent", "C'est noté.", 40),
            JournalEntry(call.id, START, "usage", {"input": 10, "model": "x", "audio": True}),
            JournalEntry(call.id, START, "usage", {"input": 5, "output": 2.5}),
        ]
    )
    await _effect(storage, call, "check_availability", None)
    await _effect(storage, call, "book_appointment", "booked")
    await _effect(storage, call, "take_message", "message")
    ended = START + timedelta(seconds=75.4)
    assert await storage.journal.finish(
        call.id, Outcome.BOOKED, ended, agent="realtime:model", detail="goodbye"
    )
    row = await _reload(operator, call)
    assert (row.outcome, row.call_status, row.ended_at) == ("booked", "completed", ended)
    assert (row.duration_seconds, row.agent, row.detail) == (65, "realtime:model", "goodbye")
    assert row.transcript == "caller: Un rendez-vous s'il vous plaît\nagent: C'est noté."
    assert row.usage == {"input": 15, "output": 2.5}
    assert row.actions_performed == ["book_appointment", "take_message"]
    assert (row.rdv_created, row.ticket_created, row.qualified_prospect_created) == (
        True,
        True,
        False,
    )


async def test_what_was_achieved_is_flagged(
    operator: OperatorStore, storage: Storage, garage: Tenant
) -> None:
    expected = {
        "booked": (True, False, False),
        "qualified": (False, True, False),
        "ticket": (False, False, True),
        "message": (False, False, True),
        "cancelled": (False, False, False),
    }
    for effect, flags in expected.items():
        call = (await operator.open_call(_new(effect, garage), {})).call
        await _effect(storage, call, "function", effect)
        await storage.journal.finish(call.id, Outcome(effect), START)
        row = await _reload(operator, call)
        assert (row.rdv_created, row.qualified_prospect_created, row.ticket_created) == flags


async def test_every_outcome_can_be_stored(
    operator: OperatorStore, storage: Storage, garage: Tenant
) -> None:
    for outcome in Outcome:
        call = (await operator.open_call(_new(outcome.value, garage), {})).call
        assert await storage.journal.finish(call.id, outcome, START - timedelta(seconds=9))
        row = await _reload(operator, call)
        assert (row.outcome, row.duration_seconds, row.transcript) == (outcome.value, 0, "")
        assert row.call_status == ("failed" if outcome is Outcome.FAILED else "completed")


async def test_of_two_who_end_a_call_the_first_is_believed(
    url: str, operator: OperatorStore, storage: Storage, call: CallRow
) -> None:
    other = await Database.open(url)
    journals = (storage.journal, Storage(other, FakeClock()).journal)
    outcomes = [Outcome.INFORMED, Outcome.ABANDONED] * 5
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(journals[n % 2].finish(call.id, outcome, START))
            for n, outcome in enumerate(outcomes)
        ]
    await other.close()
    won = [outcomes[n] for n, task in enumerate(tasks) if task.result()]
    assert [(await _reload(operator, call)).outcome] == won
    assert not await storage.journal.finish("nothing", Outcome.FAILED, START)


async def test_the_carriers_duration_outlives_an_end_that_we_conclude_from_it(
    storage: Storage, call: CallRow
) -> None:
    await storage.journal.close_from_carrier("CA1", "completed", 40)
    await storage.journal.finish(call.id, Outcome.ABANDONED, START)
    row = await storage.operator.get_call(call.id)
    assert row is not None
    assert (row.call_status, row.duration_seconds) == ("completed", 40)


async def test_the_carrier_knows_status_and_duration_but_no_outcome(
    operator: OperatorStore, storage: Storage, call: CallRow
) -> None:
    journal = storage.journal
    assert await journal.close_from_carrier("CA1", "in-progress")
    assert await journal.finish(call.id, Outcome.INFORMED, START + timedelta(seconds=30))
    assert await journal.close_from_carrier("CA1", "completed", 33)
    # Reports overtake each other: the late one doesn't bring the call back to life.
    assert not await journal.close_from_carrier("CA1", "ringing")
    row = await _reload(operator, call)
    assert (row.call_status, row.duration_seconds, row.outcome) == ("completed", 33, "informed")
    assert not await journal.close_from_carrier("CA9", "completed", 1)
    with pytest.raises(Invalid, match="CallStatus"):
        await journal.close_from_carrier("CA1", "exploded", 1)


async def test_the_carriers_last_word_outlives_our_conclusion(
    operator: OperatorStore, storage: Storage, call: CallRow
) -> None:
    assert await storage.journal.close_from_carrier("CA1", "canceled", 0)
    assert (await _reload(operator, call)).outcome is None
    await storage.journal.finish(call.id, Outcome.ABANDONED, START, duration_seconds=0)
    row = await _reload(operator, call)
    assert (row.call_status, row.duration_seconds, row.outcome) == ("canceled", 0, "abandoned")


# ------------------------------------------------------------------- the tenant's own view


async def test_a_tenant_lists_its_calls(
    operator: OperatorStore, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    for number in range(4):
        await operator.open_call(_new(f"CA{number}", garage), {})
        clock.advance(timedelta(hours=1))
    await operator.open_call(_new("CA9"), {})
    first = await operator.call_by_sid("CA0")
    assert first is not None
    await storage.journal.finish(first.id, Outcome.INFORMED, clock.now())
    async with storage.tenant(garage.id).read() as rows:
        page = await rows.calls.list(limit=2, offset=1)
        assert (page.total, [call.call_sid for call in page.items]) == (4, ["CA2", "CA1"])
        assert await rows.calls.get(first.id) == await operator.get_call(first.id)
        ended = await rows.calls.list(outcome="informed", status="completed", direction="inbound")
        assert [call.id for call in ended.items] == [first.id]
        assert (await rows.calls.list(status="busy")).total == 0
        for wrong in ("status", "direction", "outcome"):
            with pytest.raises(Invalid, match=wrong):
                await rows.calls.list(**{wrong: "wrong"})  # type: ignore[arg-type]


async def test_a_day_is_a_day_where_the_tenant_is(
    operator: OperatorStore, storage: Storage, garage: Tenant, dentist: Tenant, clock: FakeClock
) -> None:
    """23:30 in UTC: past midnight in Paris, early evening in Martinique."""
    clock.advance(datetime(2026, 11, 30, 23, 30, tzinfo=UTC) - clock.now())
    for tenant in (garage, dentist):
        await operator.open_call(_new(tenant.id, tenant), {})
    for tenant, day in ((garage, date(2026, 12, 1)), (dentist, date(2026, 11, 30))):
        async with storage.tenant(tenant.id).read() as rows:
            total = [
                (await rows.calls.list(date_from=first, date_to=last)).total
                for first, last in (
                    (day, day),
                    (None, day - timedelta(days=1)),
                    (day + timedelta(days=1), None),
                    (day, None),
                    (None, day),
                )
            ]
        assert total == [1, 0, 0, 1, 1]


def test_sums_and_transcripts_of_nothing() -> None:
    assert total_usage([]) is None
    assert total_usage([{}]) == {}
    assert transcript([]) == ""
    assert transcript([{}, {"who": "agent"}, {"text": " "}]) == ""


async def test_a_call_is_handed_over_once_and_taken_back_as_it_was(storage: Storage) -> None:
    tenant = await storage.operator.create_tenant("Garage du Port")
    new = NewCall("CAhanded", "", "", "+33939035760", "live", tenant_id=tenant.id)
    call = (await storage.operator.open_call(new, {})).call
    operator, number = storage.operator, "+33639980001"

    async def hand_over() -> CallRow | None:
        return await operator.hand_over(call.id, number, stage="transferring", only_from=("live",))

    before = await hand_over()
    assert before is not None
    assert (before.stage, before.transfer_state) == ("live", None)
    assert await hand_over() is None
    now = await operator.get_call(call.id)
    assert now is not None
    assert (now.stage, now.node_id, now.transfer_state) == ("transferring", None, "dialling")
    assert now.transfer_number == number
    assert await operator.take_back(before, only_from="transferring")
    assert await operator.get_call(call.id) == before
    assert not await operator.take_back(before, only_from="transferring")
