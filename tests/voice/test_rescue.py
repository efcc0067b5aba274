"""Calls of a dead node: each is redirected once, unless it has gone on by itself."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from domain.errors import OperatorError, ProviderError
from domain.tenant import Tenant
from providers.http import Limits
from providers.twilio.rest import TwilioAccount, TwilioCallControl
from storage import CallRow, Database, NewCall, Storage
from storage.call_register import StreamToken
from storage.nodes import Node, NodeRegister
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from tests.fakes.scripted_http import HANG_UP, answer, scripted
from voice import rescue as module
from voice.endings import ASKING, CLOSING, DIALLING, LIVE, OPENING, TRANSFERRING, Endings
from voice.journal import Journal
from voice.ports import CallRecord
from voice.rescue import Rescue
from voice.twiml import Addresses

CONTINUE = "https://voice.example.fr/webhooks/twilio/voice/continue"
US, ANOTHER, DEAD = "us", "another", "dead"


@dataclass
class Carrier:
    """The carrier's REST API: what it was told, and what it says to that."""

    redirected: list[str] = field(default_factory=list)
    hung_up: list[str] = field(default_factory=list)
    status: str = "in-progress"
    fails: list[ProviderError] = field(default_factory=list)
    meanwhile: Callable[[str], Awaitable[object]] | None = None
    at_once: int = 0
    most: int = 0

    async def redirect(self, call_sid: str, url: str) -> None:
        assert url == CONTINUE
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            if self.meanwhile is not None:
                await self.meanwhile(call_sid)
            if self.fails:
                raise self.fails.pop(0)
            self.redirected.append(call_sid)
        finally:
            self.at_once -= 1

    async def hang_up(self, call_sid: str) -> None:
        self.hung_up.append(call_sid)

    async def fetch(self, call_sid: str) -> CallRecord | None:
        return CallRecord(call_sid, self.status, 30, None, None)


@dataclass
class Figures:
    became: list[str] = field(default_factory=list)

    def observe(self, stage: str, seconds: float) -> None:
        assert stage == "redirect"

    def count(self, name: str, label: str = "") -> None:
        if name == "calls_rescued":
            self.became.append(label)


@dataclass
class Case:
    database: Database
    storage: Storage
    clock: FakeClock
    tenant: Tenant
    carrier: Carrier = field(default_factory=Carrier)
    figures: Figures = field(default_factory=Figures)
    live: list[str] = field(default_factory=list)
    naps: list[float] = field(default_factory=list)
    while_asleep: Callable[[], Awaitable[object]] | None = None
    calls: int = 0

    async def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        if self.while_asleep is not None:
            await self.while_asleep()
        await asyncio.sleep(0)

    def rescue(self, node_id: str = US) -> Rescue:
        endings = Endings(
            self.storage,
            Journal(self.storage.journal),
            self.carrier,
            self.clock,
            self.figures,
            lambda: self.live,
            sleep=self.sleep,
        )
        return Rescue(
            orphans=NodeRegister(self.database, self.clock),
            endings=endings,
            control=self.carrier,
            addresses=Addresses("https://voice.example.fr", "wss://voice.example.fr/media-stream"),
            metrics=self.figures,
            clock=self.clock,
            node_id=node_id,
            every=0.02,
            sleep=self.sleep,
        )

    async def call(self, stage: str = LIVE, node_id: str | None = DEAD) -> CallRow:
        """One whose stream was joined on that node, and that stands there."""
        self.calls += 1
        sid = f"CA{self.calls:032x}"
        new = NewCall(
            call_sid=sid,
            from_number="+33639981234",
            from_raw="+33639981234",
            to_number="+33199000000",
            stage=OPENING,
            tenant_id=self.tenant.id,
            found_by="to",
        )
        operator, now = self.storage.operator, self.clock.now()
        token = StreamToken(sid, now + timedelta(hours=1))
        await operator.open_call(new, {"kind": "stream", "nonce": sid}, token)
        row = await operator.join_stream(sid, sid, stage, now, node_id)
        assert row is not None
        return row

    async def goes_on(self, row: CallRow) -> None:
        """What `continue` does first."""
        opening = {"kind": "stream", "nonce": f"again {row.call_sid}"}
        token = StreamToken(f"again {row.call_sid}", self.clock.now() + timedelta(hours=1))
        assert await self.storage.operator.reopen(row.id, opening, OPENING, token)

    async def joins(self, row: CallRow, node_id: str) -> None:
        """Its next stream has come."""
        operator = self.storage.operator
        token = f"again {row.call_sid}"
        assert await operator.join_stream(token, row.call_sid, LIVE, self.clock.now(), node_id)

    async def enters(self, node_id: str) -> None:
        """In the register from now on."""
        await Node(self.database, self.clock, "server", "test", id=node_id).beat()

    async def leaves(self, node_id: str) -> None:
        await Node(self.database, self.clock, "server", "test", id=node_id).stop()

    async def now(self, row: CallRow) -> CallRow:
        current = await self.storage.operator.get_call(row.id)
        assert current is not None
        return current

    @asynccontextmanager
    async def running(self, *rescues: Rescue) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(each.run()) for each in rescues or (self.rescue(),)]
            yield
            for each in running:
                each.cancel()

    async def became(self, *what: str) -> None:
        """Until so many calls were seen to; what became of them."""
        async with asyncio.timeout(5):
            while len(self.figures.became) < len(what):
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.06)  # three more looks: nothing is done twice
        assert sorted(self.figures.became) == sorted(what)


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    clock = FakeClock()
    database = await Database.open(migrated_file(tmp_path / "test.sqlite3"))
    storage = Storage(database, clock)
    tenant = await storage.operator.create_tenant("Garage du Port", sector="garage")
    made = Case(database, storage, clock, tenant)
    await made.enters(US)
    await made.enters(ANOTHER)
    yield made
    await database.close()


def refused(status: int, code: str = "") -> ProviderError:
    return ProviderError("twilio", "no", retryable=status >= 500, status=status, code=code)


async def test_a_call_of_a_dead_node_is_redirected_once(case: Case) -> None:
    row = await case.call()
    async with case.running():
        await case.became("redirected")
    assert case.carrier.redirected == [row.call_sid]
    assert (await case.now(row)).node_id == US


async def test_who_was_buried_just_now_has_been_silent_for_long_enough(case: Case) -> None:
    await case.call()
    rescue = case.rescue()
    rescue.look()
    async with case.running(rescue):
        await case.became("redirected")
        assert case.naps == [0.0]
        await case.call()
        await case.became("redirected", "redirected")
    assert case.naps == [0.0, module.HEAD_START_SECONDS], "its node has only just left"


async def test_a_call_that_has_gone_on_by_itself_is_left_alone(case: Case) -> None:
    answered, joined, ours = [await case.call() for _ in range(3)]
    await case.goes_on(answered)
    await case.goes_on(joined)
    await case.joins(joined, ANOTHER)
    case.live = [ours.id]  # we were taken for dead ourselves
    async with case.running():
        await case.became("went_on")
    assert case.carrier.redirected == []
    assert [(await case.now(row)).node_id for row in (answered, joined, ours)] == [
        None,
        ANOTHER,
        US,
    ]


@pytest.mark.parametrize("far", ["answered", "joined here", "joined elsewhere", "ended"])
async def test_a_call_that_goes_on_between_adoption_and_redirection_is_left_alone(
    case: Case, far: str
) -> None:
    row = await case.call()

    async def by_itself() -> None:
        case.while_asleep = None
        await case.goes_on(row)
        if far != "answered":
            await case.joins(row, US if far == "joined here" else ANOTHER)
        if far == "ended":
            await case.rescue().endings.close(await case.now(row), "test")

    case.while_asleep = by_itself
    async with case.running():
        await case.became("over" if far == "ended" else "went_on")
    assert case.carrier.redirected == []


async def test_continue_and_redirection_at_the_same_moment_end_in_one_stream(case: Case) -> None:
    """The carrier drops what it was answered and asks again: whatever is asked last is valid."""
    row = await case.call()

    async def at_the_same_moment(_: str) -> None:
        case.carrier.meanwhile = None
        await case.goes_on(row)

    case.carrier.meanwhile = at_the_same_moment
    async with case.running():
        await case.became("redirected")
        await case.joins(row, ANOTHER)  # the answer to the one question or the other
        await asyncio.sleep(0.06)
    assert case.carrier.redirected == [row.call_sid]


async def test_calls_without_a_stream_are_not_disturbed(case: Case) -> None:
    asking, ringing, opening = [await case.call(stage) for stage in (ASKING, TRANSFERRING, OPENING)]
    await case.storage.operator.put_down(ringing.id)  # the owner's telephone rings
    await case.storage.operator.put_down(opening.id)
    async with case.running():
        await case.became("went_on")
        assert (await case.now(asking)).node_id == US
    assert case.carrier.redirected == case.carrier.hung_up == []


async def test_a_transfer_that_was_never_begun_is(case: Case) -> None:
    row = await case.call(TRANSFERRING)
    await case.storage.operator.set_transfer(row.id, "+33639980001", DIALLING)
    async with case.running():
        await case.became("redirected")
    assert case.carrier.redirected == [row.call_sid]


async def test_a_call_whose_goodbye_was_said_is_hung_up(case: Case) -> None:
    row = await case.call(CLOSING)
    async with case.running():
        await case.became("hung_up")
    assert case.carrier.hung_up == [row.call_sid]


@pytest.mark.parametrize("error", [refused(404), refused(400, "21220")])
async def test_a_call_that_has_ended_is_concluded_from_the_carriers_record(
    case: Case, error: ProviderError
) -> None:
    row = await case.call()
    case.carrier.fails, case.carrier.status = [error], "completed"
    async with case.running():
        await case.became("over")
    current = await case.now(row)
    assert (current.outcome, current.call_status) == ("abandoned", "completed")


async def test_a_refusal_about_a_call_in_progress_ends_nothing(case: Case) -> None:
    row = await case.call()
    case.carrier.fails = [refused(400, "21205")]
    async with case.running():
        await case.became("refused")
    assert (await case.now(row)).outcome is None


async def test_what_may_pass_is_tried_again(case: Case) -> None:
    row = await case.call()
    case.carrier.fails = [refused(503), refused(500)]
    async with case.running():
        await case.became("redirected")
    assert case.carrier.redirected == [row.call_sid]


@pytest.mark.parametrize("unanswered", [HANG_UP, None])
async def test_a_redirection_that_got_no_answer_is_tried_again(
    case: Case, unanswered: bytes | None
) -> None:
    """Through our own door, which repeats no such request by itself: nobody knows whether it was
    done, and only the row can tell."""
    row = await case.call()
    quick = Limits(connect=0.2, read=0.05, total=0.5)
    async with (
        scripted(unanswered, unanswered, answer(200, {})) as twilio,
        TwilioAccount(twilio.url, "AC1", "token", limits=quick) as account,
    ):
        rescue = case.rescue()
        rescue.control = TwilioCallControl(account)
        async with case.running(rescue):
            await case.became("redirected")
        assert [got.form for got in twilio.got] == [{"Url": CONTINUE, "Method": "POST"}] * 3
    assert (await case.now(row)).node_id == US


async def test_a_redirection_that_was_done_without_an_answer_is_not_done_again(case: Case) -> None:
    row = await case.call()

    async def done(_: str) -> None:
        await case.goes_on(row)
        raise ProviderError("twilio", "no answer", retryable=False, code="transport")

    case.carrier.meanwhile = done
    async with case.running():
        await case.became("went_on")


async def test_it_is_not_tried_again_once_the_call_has_gone_on(case: Case) -> None:
    row = await case.call()
    case.carrier.fails = [refused(503)] * 9
    case.carrier.meanwhile = lambda _: case.goes_on(row)
    async with case.running():
        await case.became("went_on")
    assert len(case.carrier.fails) == 8


async def test_what_never_passes_is_left_to_the_sweeper(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GIVE_UP_SECONDS", 0.05)
    row = await case.call()
    case.carrier.fails = [refused(503) for _ in range(100_000)]
    async with case.running():
        await case.became("failed")
    assert (await case.now(row)).outcome is None


async def test_a_slow_redirection_holds_up_no_other(case: Case) -> None:
    slow = await case.call()
    others = [await case.call() for _ in range(2 * module.AT_ONCE)]
    over = asyncio.Event()

    async def wait(call_sid: str) -> None:
        if call_sid == slow.call_sid:
            await over.wait()
        await asyncio.sleep(0.001)

    case.carrier.meanwhile = wait
    async with case.running():
        await case.became(*["redirected"] * len(others))
        assert set(case.carrier.redirected) == {row.call_sid for row in others}
        over.set()
        await case.became(*["redirected"] * (len(others) + 1))
    assert case.carrier.most <= module.AT_ONCE


async def test_of_several_nodes_one_rescues_each_call(case: Case) -> None:
    rows = [await case.call() for _ in range(20)]
    async with case.running(case.rescue(US), case.rescue(ANOTHER)):
        await case.became(*["redirected"] * len(rows))
    assert sorted(case.carrier.redirected) == sorted(row.call_sid for row in rows)


async def test_calls_of_a_rescuer_that_dies_are_rescued_by_the_next(case: Case) -> None:
    row = await case.call()
    case.carrier.meanwhile = lambda _: asyncio.Event().wait()
    async with case.running(case.rescue(ANOTHER)):
        await asyncio.sleep(0.05)
    await case.leaves(ANOTHER)
    case.carrier.meanwhile = None
    async with case.running():
        await case.became("redirected")
    assert case.carrier.redirected == [row.call_sid]


async def test_a_database_that_is_away_is_asked_again(case: Case) -> None:
    await case.call()
    rescue = case.rescue()
    away = [True, True]

    class Away:
        async def adopt(self, node_id: str, limit: int) -> list[CallRow]:
            if away:
                away.pop()
                raise OperatorError("the database is away")
            return await NodeRegister(case.database, case.clock).adopt(node_id, limit)

    rescue.orphans = Away()
    async with case.running(rescue):
        await case.became("redirected")
