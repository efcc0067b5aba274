"""What calls cost, as the carrier says: it knows a while after they have ended. What Vapi takes for
its part, it tells by itself (`storage.vapi_calls`)."""

from datetime import timedelta
from typing import Final, NamedTuple

import sqlalchemy as sa

from domain.clock import Clock
from storage.database import Database
from storage.schema import call_logs as table

#: A price is there some minutes after the end, and after a day it won't come any more.
SETTLED_AFTER: Final = timedelta(minutes=10)
GIVEN_UP_AFTER: Final = timedelta(days=1)


class Unpriced(NamedTuple):
    """A call whose price nobody has told yet."""

    id: str
    call_sid: str


class CallPrices:
    """Unscoped: for the job that asks the carrier."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def unpriced(self, limit: int) -> list[Unpriced]:
        """Calls that have ended and have no price, the latest first."""
        now = self._clock.now()
        statement = (
            sa.select(table.c.id, table.c.call_sid)
            .where(
                table.c.started_at >= now - GIVEN_UP_AFTER,
                table.c.ended_at <= now - SETTLED_AFTER,
                table.c.cost_cents.is_(None),
                table.c.outcome.is_not(None),
            )
            .order_by(table.c.ended_at.desc(), table.c.id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [Unpriced(*row) for row in (await connection.execute(statement)).all()]

    async def priced(self, call_id: str, cents: int) -> bool:
        """The price, in hundredths of the account's currency; False when somebody knew before."""
        statement = (
            sa.update(table)
            .where(table.c.id == call_id, table.c.cost_cents.is_(None))
            .values(cost_cents=cents)
        )
        async with self._database.write() as connection:
            return bool((await connection.execute(statement)).rowcount)
