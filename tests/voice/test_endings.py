"""How calls end in the database: one outcome each, whoever reports the end and in which order."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.errors import OperatorError, ProviderError
from domain.messages import text
from domain.outcome import Outcome
from domain.tenant import Tenant
from storage import CallRow, Database, FunctionRun, JournalEntry, NewCall, Storage
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from voice.endings import (
    ACCEPTED,
    ASKING,
    BROKEN,
    CLOSING,
    DIALLING,
    LIVE,
    LONGEST,
    OPENING,
    OVERFLOW,
    REJECTED,
    STREAM_FIRST_SECONDS,
    SWEEP_SECONDS,
    TOUCH_SECONDS,
    TRANSFERRING,
    UNANSWERED,
    Endings,
)
from voice.journal import Journal
from voice.ports import CallRecord

CALLER = "+33639981234"
AWAY = ProviderError("twilio", "no connection", retryable=True)


@dataclass
class Carrier:
    """Twilio's records. `says`: of a call its status, None when it is unknown, or an error."""

    says: dict[str, str | ProviderError | None] = field(default_factory=dict)
    otherwise: str | ProviderError | None = "completed"
    asked: list[str] = field(default_factory=list)

    async def fetch(self, call_sid: str) -> CallRecord | None:
        self.asked.append(call_sid)
        said = self.says.get(call_sid, self.otherwise)
        if isinstance(said, ProviderError):
            raise said
        if said is None:
            return None
        duration = 42 if said == "completed" else None
        return CallRecord(call_sid, said, duration, None, None)

    async def hang_up(self, call_sid: str) -> None:
        raise AssertionError("a call that has ended isn't hung up")

    async def redirect(self, call_sid: str, url: str) -> None:
        raise AssertionError("a call that has ended isn't redirected")


@dataclass
class Figures:
    counted: list[tuple[str, str]] = field(default_factory=list)

    def observe(self, stage: str, seconds: float) -> None:
        raise AssertionError("nothing is measured here")

    def count(self, name: str, label: str = "") -> None:
        self.counted.append((name, label))


@dataclass
class Desk:
    """Endings of one node over a real database, and the calls that they are about."""

    storage: Storage
    journal: Journal
    clock: FakeClock
    tenant: Tenant
    carrier: Carrier = field(default_factory=Carrier)
    figures: Figures = field(default_factory=Figures)
    live: list[str] = field(default_factory=list)
    naps: list[float] = field(default_factory=list)
    while_asleep: Any = None
    calls: int = 0

    @property
    def endings(self) -> Endings:
        return Endings(
            self.storage,
            self.journal,
            self.carrier,
            self.clock,
            self.figures,
            lambda: self.live,
            self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        if self.while_asleep is not None:
            await self.while_asleep()

    async def call(
        self, stage: str = LIVE, *, bound: bool = True, caller: str = CALLER, sid: str = ""
    ) -> CallRow:
        self.calls += 1
        new = NewCall(
            call_sid=sid or f"CA{self.calls:032x}",
            from_number=caller,
            from_raw=caller,
            to_number="+33199000000",
            stage=stage,
            tenant_id=self.tenant.id if bound else None,
            found_by="to" if bound else None,
        )
        return (await self.storage.operator.open_call(new, {"kind": "stream"})).call

    async def row(self, call: CallRow) -> CallRow:
        found = await self.storage.operator.get_call(call.id)
        assert found is not None
        return found

    async def outcome(self, call: CallRow) -> str | None:
        return (await self.row(call)).outcome

    def said(self, call: CallRow, who: str, words: str, **more: Any) -> None:
        """A turn, written but not yet stored."""
        self.clock.advance(1)
        data = {"who": who, "text": words, **more}
        self.journal.write(JournalEntry(call.id, self.clock.now(), "turn", data))

    async def achieved(self, call: CallRow, outcome: Outcome) -> None:
        """A function has had this effect."""
        now = self.clock.now()
        async with self.storage.tenant(self.tenant.id).write() as rows:
            await rows.functions.record(
                FunctionRun(
                    occasion=call.id,
                    function_call_id="f1",
                    name="book_appointment",
                    arguments={},
                    arguments_hash="0",
                    result={"status": "booked"},
                    effect=outcome,
                    started_at=now,
                    finished_at=now,
                )
            )

    async def sweeps_for(self, seconds: float) -> None:
        """Time passes, and the sweeper does its rounds."""
        for _ in range(round(seconds / SWEEP_SECONDS)):
            self.clock.advance(SWEEP_SECONDS)
            if not round(self.clock.monotonic()) % round(TOUCH_SECONDS) and self.live:
                await self.storage.operator.touch(self.live, self.clock.now())
            await self.endings.sweep_once()

    async def tickets(self) -> list[Any]:
        async with self.storage.tenant(self.tenant.id).read() as rows:
            return list((await rows.tickets.list()).items)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = FakeClock()
    database = await Database.open(migrated_file(tmp_path / "test.sqlite3"))
    storage = Storage(database, clock)
    tenant = await storage.operator.create_tenant("Garage du Port")
    yield Desk(storage, Journal(storage.journal), clock, tenant)
    await database.close()


# -------------------------------------------------------------------------------- the sweeper


@pytest.mark.parametrize("status", ["completed", "busy", "no-answer", "canceled", "failed"])
async def test_a_call_whose_end_nobody_reported_is_closed_within_five_minutes(
    desk: Desk, status: str
) -> None:
    call = await desk.call()
    desk.carrier.otherwise = status
    await desk.sweeps_for(120)
    assert await desk.outcome(call) is None, "its stream may still be on its way"
    await desk.sweeps_for(180)
    row = await desk.row(call)
    assert (row.outcome, row.call_status, row.detail) == ("abandoned", status, "carrier_record")
    assert row.duration_seconds is not None
    assert row.ended_at is not None


async def test_a_call_of_a_node_that_died_is_closed_within_five_minutes(desk: Desk) -> None:
    call = await desk.call()
    desk.live = [call.id]
    await desk.sweeps_for(630)
    assert (await desk.outcome(call), desk.carrier.asked) == (None, [])
    desk.live = []  # the node is gone; another one sweeps
    await desk.sweeps_for(300)
    assert await desk.outcome(call) == "abandoned"


async def test_a_call_in_progress_stays_and_is_not_asked_about_all_the_time(desk: Desk) -> None:
    call = await desk.call()
    desk.carrier.otherwise = "in-progress"
    await desk.sweeps_for(1800)
    assert await desk.outcome(call) is None
    assert 5 <= len(desk.carrier.asked) <= 12
    desk.carrier.otherwise = "completed"
    await desk.sweeps_for(300)
    assert await desk.outcome(call) == "abandoned"
    asked = len(desk.carrier.asked)
    await desk.sweeps_for(900)
    assert len(desk.carrier.asked) == asked, "what has ended is nobody's business any more"


async def test_a_call_that_the_carrier_does_not_know_is_over(desk: Desk) -> None:
    call = await desk.call()
    desk.carrier.otherwise = None
    await desk.sweeps_for(300)
    assert await desk.outcome(call) == "abandoned"


async def test_a_carrier_that_cannot_be_asked_closes_nothing_until_no_call_can_last_that_long(
    desk: Desk,
) -> None:
    unreachable, other = await desk.call(), await desk.call()
    desk.carrier.says[unreachable.call_sid] = AWAY
    await desk.sweeps_for(300)
    assert (await desk.outcome(unreachable), await desk.outcome(other)) == (None, "abandoned")
    desk.clock.advance(LONGEST - timedelta(seconds=330))
    await desk.endings.sweep_once()
    assert await desk.outcome(unreachable) is None
    desk.clock.advance(60)
    await desk.endings.sweep_once()
    assert await desk.outcome(unreachable) == "abandoned"


async def test_what_is_live_here_is_never_swept(desk: Desk) -> None:
    call = await desk.call()
    desk.live = [call.id]
    desk.clock.advance(600)  # nobody got round to touching it
    assert await desk.endings.sweep_once() == 0
    assert (await desk.outcome(call), desk.carrier.asked) == (None, [])


async def test_many_lost_calls_are_closed_in_batches(desk: Desk) -> None:
    for _ in range(130):
        await desk.call()
    desk.clock.advance(300)
    assert await desk.endings.sweep_once() == 100
    assert await desk.endings.sweep_once() == 30
    assert await desk.endings.sweep_once() == 0


async def test_the_sweeper_goes_on_while_the_database_is_away(desk: Desk) -> None:
    call = await desk.call()
    desk.clock.advance(300)
    rounds = 0

    class Away:
        async def claim_unseen(self, *_: object) -> list[CallRow]:
            raise OperatorError("the disk is full")

    class Broken:
        operator = Away()

    class Enough(Exception):
        pass

    async def next_round() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            raise Enough

    desk.while_asleep = next_round
    sound = desk.endings
    broken = Endings(
        Broken(),  # type: ignore[arg-type]
        desk.journal,
        desk.carrier,
        desk.clock,
        desk.figures,
        list,
        desk.sleep,
    )
    with pytest.raises(Enough):
        await broken.sweep()
    assert rounds == 3
    assert await sound.sweep_once() == 1
    assert await desk.outcome(call) == "abandoned"


# --------------------------------------------------------------------- what a call came to


async def closed(desk: Desk, call: CallRow) -> str | None:
    await desk.endings.close(await desk.row(call), "status_callback")
    return await desk.outcome(call)


@pytest.mark.parametrize(
    ("stage", "bound", "outcome"),
    [
        (ASKING, False, "tenant_unknown"),
        (OPENING, True, "abandoned"),
        (LIVE, True, "abandoned"),
        (CLOSING, True, "abandoned"),
        (TRANSFERRING, True, "abandoned"),
        (OVERFLOW, True, "overflow"),
        (BROKEN, True, "failed"),
        (REJECTED, False, "failed"),
    ],
)
async def test_a_call_without_a_word_ends_by_its_stage(
    desk: Desk, stage: str, bound: bool, outcome: str
) -> None:
    assert await closed(desk, await desk.call(stage, bound=bound)) == outcome


@pytest.mark.parametrize("stage", [OPENING, LIVE, CLOSING, TRANSFERRING, OVERFLOW, BROKEN])
async def test_what_was_booked_stays_booked_however_the_call_ended(desk: Desk, stage: str) -> None:
    call = await desk.call(stage)
    await desk.achieved(call, Outcome.BOOKED)
    assert await closed(desk, call) == "booked"
    row = await desk.row(call)
    assert row.rdv_created
    assert row.actions_performed == ["book_appointment"]


async def test_who_got_an_answer_was_informed(desk: Desk) -> None:
    call = await desk.call()
    desk.said(call, "agent", "Garage du Port, bonjour.")
    desk.said(call, "caller", "Vous êtes ouverts demain ?")
    desk.said(call, "agent", "Oui, dès neuf heures.")
    assert await closed(desk, call) == "informed"
    transcript = (await desk.row(call)).transcript
    assert transcript is not None
    assert transcript.splitlines()[-1] == "agent: Oui, dès neuf heures."


async def test_who_left_before_the_answer_was_over_abandoned(desk: Desk) -> None:
    call = await desk.call()
    desk.said(call, "caller", "Vous êtes ouverts demain ?")
    desk.said(call, "agent", "Oui, dès", cut=True)
    assert await closed(desk, call) == "abandoned"


@pytest.mark.parametrize(
    ("state", "outcome"),
    [(ACCEPTED, "transferred"), (DIALLING, "abandoned"), (UNANSWERED, "abandoned")],
)
async def test_only_a_transfer_that_was_accepted_is_one(
    desk: Desk, state: str, outcome: str
) -> None:
    call = await desk.call(TRANSFERRING)
    await desk.storage.operator.set_transfer(call.id, "+33639980001", state)
    assert await closed(desk, call) == outcome


# ------------------------------------------------------------------------- status callbacks


async def test_a_stream_that_is_ending_goes_first(desk: Desk) -> None:
    call = await desk.call()

    async def stream_ends() -> None:
        assert await desk.endings.finish(call.id, Outcome.WRONG_NUMBER, agent="realtime:x")

    desk.while_asleep = stream_ends
    await desk.endings.close_from_status(call.call_sid, "completed", 12)
    row = await desk.row(call)
    assert (row.outcome, row.agent, row.call_status) == ("wrong_number", "realtime:x", "completed")
    assert len(desk.naps) == 1
    assert desk.figures.counted == [("calls_ended", "wrong_number")]


async def test_a_stream_that_never_says_so_is_not_waited_for_for_ever(desk: Desk) -> None:
    call = await desk.call()
    await desk.endings.close_from_status(call.call_sid, "completed", 12)
    assert await desk.outcome(call) == "abandoned"
    assert sum(desk.naps) == STREAM_FIRST_SECONDS
    assert not await desk.endings.finish(call.id, Outcome.BOOKED), "the first is believed"
    await desk.endings.close_from_status(call.call_sid, "completed", 12)
    assert await desk.outcome(call) == "abandoned"
    assert sum(desk.naps) == STREAM_FIRST_SECONDS


async def test_a_status_after_the_end_adds_what_the_carrier_knows(desk: Desk) -> None:
    call = await desk.call()
    await desk.endings.finish(call.id, Outcome.INFORMED)
    await desk.endings.close_from_status(call.call_sid, "completed", 77)
    row = await desk.row(call)
    assert (row.outcome, row.duration_seconds, desk.naps) == ("informed", 77, [])


async def test_a_call_that_never_had_a_stream_is_closed_at_once(desk: Desk) -> None:
    call = await desk.call(OPENING)
    await desk.endings.close_from_status(call.call_sid, "no-answer", None)
    row = await desk.row(call)
    assert (row.outcome, row.call_status, desk.naps) == ("abandoned", "no-answer", [])


@pytest.mark.parametrize("status", ["queued", "ringing", "in-progress", "", "COMPLETED", "x"])
async def test_what_is_no_end_ends_nothing(desk: Desk, status: str) -> None:
    call = await desk.call()
    await desk.endings.close_from_status(call.call_sid, status, None)
    assert (await desk.row(call)).outcome is None


async def test_a_status_of_nobodys_call_is_passed_over(desk: Desk) -> None:
    await desk.endings.close_from_status("CA" + "f" * 32, "completed", 3)
    assert desk.figures.counted == []


# ------------------------------------------------------------------------------- only once


async def test_of_twenty_ends_at_once_one_is_the_first(desk: Desk) -> None:
    call = await desk.call()
    outcomes = [list(Outcome)[number % len(Outcome)] for number in range(20)]
    async with asyncio.TaskGroup() as tasks:
        ends = [tasks.create_task(desk.endings.finish(call.id, each)) for each in outcomes]
    firsts = [outcome for outcome, end in zip(outcomes, ends, strict=True) if end.result()]
    assert firsts == [await desk.outcome(call)]
    assert desk.figures.counted == [("calls_ended", firsts[0])]


async def test_status_sweeper_and_stream_at_once_are_one_end(desk: Desk) -> None:
    call = await desk.call()
    desk.clock.advance(300)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(desk.endings.sweep_once())
        for _ in range(5):
            tasks.create_task(desk.endings.close_from_status(call.call_sid, "completed", 9))
            tasks.create_task(desk.endings.finish(call.id, Outcome.INFORMED))
    assert len(desk.figures.counted) == 1
    assert await desk.outcome(call) == desk.figures.counted[0][1]


async def test_all_that_was_said_is_stored_before_the_end(desk: Desk) -> None:
    call = await desk.call()
    for number in range(1200):  # more than one batch
        desk.said(call, "caller", f"{number}")
    await desk.endings.finish(call.id, Outcome.ABANDONED)
    transcript = (await desk.row(call)).transcript
    assert transcript is not None
    assert len(transcript.splitlines()) == 1200


async def test_a_journal_that_cannot_be_stored_ends_nothing_yet(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outcome without its transcript would be final: better a call that is closed later."""

    async def away(_: object) -> None:
        raise OperatorError("the disk is full")

    call = await desk.call()
    desk.said(call, "caller", "Bonjour")
    with monkeypatch.context() as broken:
        broken.setattr(desk.storage.journal, "append", away)
        with pytest.raises(OperatorError):
            await desk.endings.finish(call.id, Outcome.ABANDONED)
    assert await desk.outcome(call) is None
    await desk.sweeps_for(300)
    row = await desk.row(call)
    assert (row.outcome, row.transcript) == ("abandoned", "caller: Bonjour")


# ------------------------------------------------------------------------------ call-backs


async def test_a_promised_call_back_is_a_ticket_of_the_tenants(desk: Desk) -> None:
    call = await desk.call(BROKEN)
    assert await desk.endings.call_back(call, "failed")
    (ticket,) = await desk.tickets()
    assert (ticket.category, ticket.priority, ticket.customer_phone, ticket.call_id) == (
        "rappel",
        "high",
        CALLER,
        call.id,
    )
    assert ticket.subject == text("fr-FR", "call_back_failed")
    assert await closed(desk, call) == "failed", "a promise isn't what the caller wanted"


async def test_nobody_is_promised_a_call_back_who_cannot_be_called(desk: Desk) -> None:
    assert not await desk.endings.call_back(await desk.call(caller=""), "overflow")
    assert not await desk.endings.call_back(await desk.call(bound=False), "overflow")
    assert await desk.tickets() == []
