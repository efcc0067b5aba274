"""The job that asks the carrier what calls have cost. Models' own prices aren't known: their tokens
are in a call's `usage`."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from domain.clock import Clock
from domain.errors import ProviderError
from domain.jobs import Again, Job, JobKind
from providers.twilio.rest import TwilioAccount, TwilioCallControl
from server.settings import Settings
from storage.call_prices import CallPrices
from storage.database import Database

log = structlog.get_logger(__name__)

PRICES_JOB: Final = "calls.prices"
EVERY: Final = timedelta(minutes=10)
#: Calls in one round: the carrier is asked about one at a time.
BATCH: Final = 50

#: The price of a call in hundredths, None while there is none. ProviderError.
PriceOf = Callable[[str], Awaitable[int | None]]


def price_jobs(settings: Settings, database: Database, clock: Clock) -> list[JobKind]:
    """None without an account."""
    tokens = settings.auth_tokens
    if not settings.twilio_account_sid or not tokens:
        return []
    sid = settings.twilio_account_sid

    async def run(_job: Job) -> Again:
        async with TwilioAccount(settings.twilio_api_base_url, sid, tokens[0]) as account:
            await ask(CallPrices(database, clock), TwilioCallControl(account).cents)
        return Again(clock.now() + EVERY)

    every = EVERY.total_seconds()
    return [JobKind(PRICES_JOB, run, vendor="twilio", time_limit=300.0, every=every)]


async def ask(prices: CallPrices, price_of: PriceOf) -> int:
    """One round; how many prices were stored. A carrier that is away is asked in the next one."""
    stored = 0
    try:
        for call in await prices.unpriced(BATCH):
            cents = await price_of(call.call_sid)
            if cents is not None and await prices.priced(call.id, cents):
                stored += 1
    except ProviderError as error:
        log.info("calls.no_prices", status=error.status)
    return stored
