"""What calls cost: asked of the carrier once they have ended, stored once."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from domain.errors import ProviderError
from domain.outcome import Outcome
from providers.twilio.rest import TwilioAccount, TwilioCallControl
from server.call_prices import ask
from storage import Database, NewCall, Storage
from storage.call_prices import GIVEN_UP_AFTER, SETTLED_AFTER, CallPrices
from storage.vapi_calls import VapiCalls, VapiReport
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from tests.fakes.scripted_http import answer, scripted

SID = "CA" + "1" * 32


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(migrated_file(tmp_path / "database.sqlite3"))
    yield database
    await database.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def call_id(database: Database, clock: FakeClock) -> str:
    """Of a call that has just ended."""
    storage = Storage(database, clock)
    new = NewCall(
        call_sid=SID,
        from_number="+33639980001",
        from_raw="+33639980001",
        to_number="+33199000001",
        stage="live",
    )
    call = (await storage.operator.open_call(new, {})).call
    clock.advance(60)
    await storage.journal.finish(call.id, Outcome.ABANDONED, clock.now())
    await storage.journal.close_from_carrier(SID, "completed", 60)
    return call.id


async def cents(database: Database, clock: FakeClock, call_id: str) -> int | None:
    call = await Storage(database, clock).operator.get_call(call_id)
    assert call is not None
    return call.cost_cents


@pytest.mark.parametrize(
    ("price", "expected"), [("-0.00850", 1), ("-0.03400", 4), ("0", 0), (None, None), ("?", None)]
)
async def test_what_the_carrier_says_is_stored_in_hundredths_rounded_up(
    database: Database, clock: FakeClock, call_id: str, price: str | None, expected: int | None
) -> None:
    clock.advance(SETTLED_AFTER)
    said = {"sid": SID, "status": "completed", "price": price, "price_unit": "USD"}
    async with (
        scripted(answer(200, said)) as server,
        TwilioAccount(server.url, "AC1", "token") as account,
    ):
        await ask(CallPrices(database, clock), TwilioCallControl(account).cents)
    assert await cents(database, clock, call_id) == expected


async def test_nobody_asks_too_early_nor_for_ever_nor_about_a_price_that_is_known(
    database: Database, clock: FakeClock, call_id: str
) -> None:
    prices = CallPrices(database, clock)
    assert await prices.unpriced(10) == []
    clock.advance(SETTLED_AFTER)
    assert [each.id for each in await prices.unpriced(10)] == [call_id]
    assert await prices.priced(call_id, 3)
    assert not await prices.priced(call_id, 9)
    assert await cents(database, clock, call_id) == 3
    assert await prices.unpriced(10) == []
    clock.advance(GIVEN_UP_AFTER - timedelta(minutes=5))
    assert await prices.unpriced(10) == []


async def test_the_carrier_is_asked_about_calls_that_vapi_served(
    database: Database, clock: FakeClock, call_id: str
) -> None:
    prices = CallPrices(database, clock)
    await VapiCalls(database, clock).report(call_id, VapiReport(cost_cents=25))
    clock.advance(SETTLED_AFTER)
    assert [each.id for each in await prices.unpriced(10)] == [call_id]
    assert await prices.priced(call_id, 3)
    assert await cents(database, clock, call_id) == 3


async def test_a_carrier_that_is_away_is_asked_in_the_next_round(
    database: Database, clock: FakeClock, call_id: str
) -> None:
    clock.advance(SETTLED_AFTER)

    async def away(_sid: str) -> int | None:
        raise ProviderError("twilio", "away", retryable=True)

    assert await ask(CallPrices(database, clock), away) == 0
    assert await cents(database, clock, call_id) is None
