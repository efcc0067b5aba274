"""What a Vapi assistant's transfer and end come to when the carrier, or a node, fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from domain.errors import OperatorError, ProviderError
from storage import CallRow, Database, NewCall, Storage
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from tests.running import PUBLIC_URL
from tests.voice.carrier import OWNER_PHONE
from voice.background import Background
from voice.endings import DIALLING, LIVE
from voice.ports import CallRecord
from voice.twiml import Addresses
from voice.vapi_departures import OVERDUE, TRIES, Departures

SID, NODE = "CA1", "the-stream's-node"
FAILED = ProviderError("twilio", "no answer in time", retryable=False, code="timeout")


class Carrier:
    """Fails so many orders, then does them."""

    def __init__(self) -> None:
        self.fails = 0
        self.orders: list[tuple[str, ...]] = []

    async def redirect(self, call_sid: str, url: str) -> None:
        self._take("redirect", call_sid, url)

    async def hang_up(self, call_sid: str) -> None:
        self._take("hang_up", call_sid)

    async def fetch(self, call_sid: str) -> CallRecord | None:
        raise AssertionError("nobody asked for that")

    def _take(self, *order: str) -> None:
        self.orders.append(order)
        if self.fails:
            self.fails -= 1
            raise FAILED


class Case:
    """`here`: the calls whose streams are on this node."""

    def __init__(self, storage: Storage, clock: FakeClock, tasks: asyncio.TaskGroup) -> None:
        self.storage, self.clock = storage, clock
        self.carrier = Carrier()
        self.here: set[str] = set()
        self.closed: list[str] = []
        self.waits = asyncio.Event()
        self.waits.set()
        self.departures = Departures(
            storage=storage,
            control=self.carrier,
            addresses=Addresses(PUBLIC_URL, "wss://voice.example.fr/media-stream"),
            background=Background(tasks),
            clock=clock,
            close_stream=self.close_stream,
            sleep=self.sleep,
        )

    def close_stream(self, call_sid: str) -> bool:
        if call_sid in self.here:
            self.closed.append(call_sid)
        return call_sid in self.here

    async def sleep(self, seconds: float) -> None:
        await self.waits.wait()
        self.clock.advance(seconds)

    async def over(self) -> None:
        async with asyncio.timeout(10):
            while self.departures.are_under_way:
                await asyncio.sleep(0.005)

    async def row(self) -> CallRow:
        row = await self.storage.operator.call_by_sid(SID)
        assert row is not None
        return row

    async def transfer(self) -> bool:
        return await self.departures.transfer(await self.row(), OWNER_PHONE, "Je vous passe Marc.")


@asynccontextmanager
async def on_a_stream(tmp_path: Path) -> AsyncIterator[Case]:
    """A call that is live on a node."""
    database = await Database.open(migrated_file(tmp_path / "test.sqlite3"))
    clock = FakeClock()
    storage = Storage(database, clock)
    try:
        tenant = await storage.operator.create_tenant("Garage du Port")
        new = NewCall(SID, "+33639981234", "", "+33199000000", LIVE, tenant_id=tenant.id)
        await storage.operator.open_call(new, {"kind": "stream"})
        async with database.write() as connection:
            await connection.exec_driver_sql("UPDATE call_logs SET node_id = ?", (NODE,))
        async with asyncio.TaskGroup() as tasks:
            yield Case(storage, clock, tasks)
    finally:
        await database.close()


@pytest.fixture
async def case(tmp_path: Path) -> AsyncIterator[Case]:
    async with on_a_stream(tmp_path) as it:
        yield it


async def test_no_stream_carries_a_call_that_is_being_transferred(case: Case) -> None:
    case.waits.clear()
    assert await case.transfer()
    assert not await case.transfer(), "under way"
    row = await case.row()
    assert (row.stage, row.node_id, row.transfer_state) == ("transferring", None, DIALLING)
    assert case.departures.are_under_way
    case.waits.set()
    await case.over()
    url = f"{PUBLIC_URL}/webhooks/twilio/voice/transfer/{row.id}"
    assert case.carrier.orders == [("redirect", SID, url)]
    assert case.clock.monotonic() == pytest.approx(1.2 + 19 / 14)


async def test_what_the_carrier_doesnt_take_closing_the_stream_does(case: Case) -> None:
    """Twilio then asks `continue`, which rings the owner."""
    case.here.add(SID)
    case.carrier.fails = 9
    assert await case.transfer()
    await case.over()
    assert case.closed == [SID]
    assert len(case.carrier.orders) == 1
    row = await case.row()
    assert (row.stage, row.transfer_number) == ("transferring", OWNER_PHONE)


async def test_elsewhere_it_is_ordered_again(case: Case) -> None:
    case.carrier.fails = TRIES - 1
    assert await case.transfer()
    await case.over()
    assert len(case.carrier.orders) == TRIES
    assert (await case.row()).stage == "transferring"


async def test_a_transfer_that_cant_be_made_is_undone_and_may_be_asked_for_again(
    case: Case,
) -> None:
    case.carrier.fails = TRIES
    assert await case.transfer()
    await case.over()
    row = await case.row()
    assert (row.stage, row.node_id, row.transfer_state) == (LIVE, NODE, None)
    assert await case.transfer()
    await case.over()
    assert (await case.row()).stage == "transferring"


async def test_what_cant_be_stored_isnt_begun(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise OperatorError("the database is away")

    monkeypatch.setattr(type(case.storage.operator), "hand_over", away)
    with pytest.raises(OperatorError):
        await case.transfer()
    assert not case.departures.are_under_way
    assert case.carrier.orders == []
    assert (await case.row()).node_id == NODE


async def test_a_transfer_whose_node_died_is_made_by_whoever_is_asked_next(case: Case) -> None:
    row = await case.row()
    before = await case.storage.operator.hand_over(
        row.id, OWNER_PHONE, stage="transferring", only_from=(LIVE,)
    )
    assert before is not None
    assert not await case.transfer(), "it may be about to"
    case.clock.advance(OVERDUE)
    case.clock.advance(1)
    assert await case.transfer()
    await case.over()
    assert len(case.carrier.orders) == 1
    assert not await case.transfer()


@pytest.mark.parametrize("here", [False, True])
async def test_an_end_that_the_carrier_doesnt_take(case: Case, here: bool) -> None:
    case.carrier.fails = TRIES - 1
    if here:
        case.here.add(SID)
    case.departures.end(await case.row())
    assert case.departures.are_under_way
    await case.over()
    assert (await case.row()).stage == "closing", "`continue` hangs up"
    assert case.closed == ([SID] if here else [])
    assert set(case.carrier.orders) == {("hang_up", SID)}
    assert len(case.carrier.orders) == (1 if here else TRIES)


async def test_a_call_that_is_leaving_already_isnt_ended_over_it(case: Case) -> None:
    assert await case.transfer()
    case.departures.end(await case.row())
    await case.over()
    assert (await case.row()).stage == "transferring"
    assert [order[0] for order in case.carrier.orders] == ["redirect"]
