"""How often something was done within a window: rate limits that hold across nodes.

    if wait := await Rates(database, clock).wait("api", tenant_id, per_minute=100):
        ...  # too often: refuse, and say that it may be done again after so many seconds

The window is fixed: it begins with the first hit and ends when it expires, so that no window passes
more than is allowed, while two that follow each other may pass twice as much around their border.
Keys are stored; put no personal data in them. A hit costs one round trip, and raises OperatorError
when the database can't be asked: whoever asks decides what that means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.storage import Storage as LimitsStorage
from limits.aio.strategies import FixedWindowRateLimiter
from sqlalchemy.dialects import postgresql

from domain.clock import Clock
from domain.errors import OperatorError
from storage.columns import storable
from storage.database import Database
from storage.schema import rate_counters as table

_NOW = sa.func.statement_timestamp(type_=sa.DateTime(timezone=True))


def rate_limits(database: Database) -> FixedWindowRateLimiter:
    """Limits for everybody on this database: counted there on PostgreSQL. With SQLite there is one
    node, and this process counts for itself in memory."""
    if database.dialect == "sqlite":
        return FixedWindowRateLimiter(MemoryStorage())
    return FixedWindowRateLimiter(PostgresCounters(database))


@dataclass(frozen=True, slots=True)
class Limit:
    """`per_minute` of what `key` counts; `name` is shown to who is counted, `key` is stored."""

    name: str
    key: str
    per_minute: int


@dataclass(frozen=True, slots=True)
class Counted:
    """A limit's window after one more: how many are left in it, and how many seconds."""

    limit: Limit
    remaining: int  # below 0: too many
    resets_in: float


class Rates:
    """What tenants may do how often, over all nodes."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._limiter = rate_limits(database)
        self._counters = PostgresCounters(database) if database.dialect != "sqlite" else None
        self._clock = clock

    async def count(self, limits: Sequence[Limit]) -> list[Counted]:
        """One more of each, in one round trip: on PostgreSQL over all nodes. All are counted, also
        when one of them is over."""
        if self._counters is not None:
            return await self._counters.count(limits)
        counted = []
        for each in limits:
            item = RateLimitItemPerMinute(each.per_minute)
            key = item.key_for(each.name, each.key)
            number = await self._limiter.storage.incr(key, item.get_expiry())
            ends = await self._limiter.storage.get_expiry(key)
            left = min(60.0, max(0.0, ends - self._clock.now().timestamp()))
            counted.append(Counted(each, each.per_minute - number, left))
        return counted

    async def wait(self, what: str, tenant_id: str, *, per_minute: int) -> float:
        """0.0: it may be done, and is counted. Otherwise after how many seconds, 1 to 60; by the
        clock of who counts, so that a wrong one of ours makes it no longer than that."""
        item = RateLimitItemPerMinute(per_minute)
        if await self._limiter.hit(item, what, tenant_id):
            return 0.0
        ends = (await self._limiter.get_window_stats(item, what, tenant_id)).reset_time
        return min(60.0, max(1.0, ends - self._clock.now().timestamp()))


class PostgresCounters(LimitsStorage):
    """`limits`' storage on the table `rate_counters`, by the database's clock.

    Fixed windows alone: `limits`' sliding window reads and then writes, which lets several nodes
    pass more than is allowed.
    """

    STORAGE_SCHEME: list[str] | None = None  # made with a Database, not with an address

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database

    @property
    def base_exceptions(self) -> type[Exception] | tuple[type[Exception], ...]:
        """What a failure raises."""
        return OperatorError

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count `amount` more; how many there are in the window, which lasts `expiry` seconds from
        its first hit. Two that count at once get two different answers."""
        new = postgresql.insert(table).values(
            key=key, count=amount, expires_at=_NOW + sa.literal(timedelta(seconds=expiry))
        )
        over = table.c.expires_at <= _NOW
        statement = new.on_conflict_do_update(
            index_elements=[table.c.key],
            set_={
                "count": sa.case((over, new.excluded.count), else_=table.c.count + amount),
                "expires_at": sa.case((over, new.excluded.expires_at), else_=table.c.expires_at),
            },
        ).returning(table.c.count)
        async with self._database.single() as connection:
            return int((await connection.execute(statement)).scalar_one())

    async def count(self, limits: Sequence[Limit]) -> list[Counted]:
        """One more of each, in one statement; the windows last a minute."""
        if not limits:
            return []
        keys = {storable(f"LIMITS/{each.name}/{each.key}"): each for each in limits}
        minute = _NOW + sa.literal(timedelta(minutes=1))
        # Always in the same order: two that lock the same rows can't wait for each other.
        new = postgresql.insert(table).values(
            [{"key": key, "count": 1, "expires_at": minute} for key in sorted(keys)]
        )
        over = table.c.expires_at <= _NOW
        statement = new.on_conflict_do_update(
            index_elements=[table.c.key],
            set_={
                "count": sa.case((over, new.excluded.count), else_=table.c.count + 1),
                "expires_at": sa.case((over, new.excluded.expires_at), else_=table.c.expires_at),
            },
        ).returning(table.c.key, table.c.count, sa.extract("epoch", table.c.expires_at - _NOW))
        async with self._database.single() as connection:
            rows = {row[0]: row for row in await connection.execute(statement)}
        counted = []
        for key, each in keys.items():
            _, number, left = rows[key]
            counted.append(Counted(each, each.per_minute - number, max(0.0, float(left))))
        return counted

    async def get(self, key: str) -> int:
        """How many there are in the window now."""
        statement = sa.select(table.c.count).where(table.c.key == key, table.c.expires_at > _NOW)
        return int(await self._value(statement) or 0)

    async def get_expiry(self, key: str) -> float:
        """When the window ends, in seconds since 1970 by the database's clock; now, if there is no
        window."""
        ends = sa.select(table.c.expires_at).where(table.c.key == key, table.c.expires_at > _NOW)
        at = sa.func.coalesce(ends.scalar_subquery(), _NOW)
        return float(await self._value(sa.select(sa.extract("epoch", at))))

    async def check(self) -> bool:
        """Whether the database answers."""
        await self._database.ping()
        return True

    async def reset(self) -> int | None:
        """Forget all; how many there were."""
        async with self._database.single() as connection:
            return (await connection.execute(sa.delete(table))).rowcount

    async def clear(self, key: str) -> None:
        """Forget this one."""
        async with self._database.single() as connection:
            await connection.execute(sa.delete(table).where(table.c.key == storable(key)))

    async def purge(self) -> int:
        """Remove the windows that are over; how many."""
        async with self._database.single() as connection:
            gone = await connection.execute(sa.delete(table).where(table.c.expires_at <= _NOW))
            return gone.rowcount

    async def _value(self, statement: sa.Select[Any]) -> Any:
        async with self._database.single() as connection:
            return (await connection.execute(statement)).scalar()
