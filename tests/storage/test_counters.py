"""Rate limits: no window passes more than is allowed, whoever counts and however many at once."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
import sqlalchemy as sa
from limits import parse
from limits.aio.strategies import FixedWindowRateLimiter

from storage import Database
from storage.counters import PostgresCounters, rate_limits
from storage.schema import rate_counters

TEN_A_MINUTE = parse("10/minute")


@pytest_asyncio.fixture(loop_scope="session")
async def limiter(database: Database) -> AsyncIterator[FixedWindowRateLimiter]:
    yield rate_limits(database)
    async with database.write() as connection:
        await connection.execute(sa.delete(rate_counters))


async def test_a_window_passes_what_is_allowed(limiter: FixedWindowRateLimiter) -> None:
    passed = [await limiter.hit(TEN_A_MINUTE, "api", "one") for _ in range(12)]
    assert passed == [True] * 10 + [False] * 2
    assert await limiter.hit(TEN_A_MINUTE, "api", "another")
    assert not await limiter.test(TEN_A_MINUTE, "api", "one")


async def test_a_hit_may_cost_more(limiter: FixedWindowRateLimiter) -> None:
    assert await limiter.hit(TEN_A_MINUTE, "words", cost=8)
    assert not await limiter.hit(TEN_A_MINUTE, "words", cost=8)


async def test_who_is_refused_learns_when_to_come_again(limiter: FixedWindowRateLimiter) -> None:
    stats = await limiter.get_window_stats(TEN_A_MINUTE, "api")
    assert stats.remaining == 10
    await limiter.hit(TEN_A_MINUTE, "api")
    stats = await limiter.get_window_stats(TEN_A_MINUTE, "api")
    assert stats.remaining == 9
    assert 55 < stats.reset_time - time.time() < 65


async def test_a_new_window_begins_when_one_is_over(limiter: FixedWindowRateLimiter) -> None:
    item = parse("2/second")
    assert [await limiter.hit(item, "api") for _ in range(3)] == [True, True, False]
    await asyncio.sleep(1.05)
    assert [await limiter.hit(item, "api") for _ in range(3)] == [True, True, False]


async def test_a_limit_can_be_forgotten(limiter: FixedWindowRateLimiter) -> None:
    await limiter.hit(TEN_A_MINUTE, "api", cost=10)
    await limiter.clear(TEN_A_MINUTE, "api")
    assert await limiter.hit(TEN_A_MINUTE, "api")
    assert await limiter.storage.check()


async def test_of_many_at_once_no_more_pass(limiter: FixedWindowRateLimiter, url: str) -> None:
    """Three nodes on PostgreSQL, three limiters on one memory otherwise."""
    others = [await Database.open(url) for _ in range(2)]
    if isinstance(limiter.storage, PostgresCounters):
        limiters = [limiter, *(rate_limits(other) for other in others)]
    else:
        limiters = [limiter, *(FixedWindowRateLimiter(limiter.storage) for _ in others)]
    async with asyncio.TaskGroup() as tasks:
        hits = [
            tasks.create_task(limiters[n % 3].hit(TEN_A_MINUTE, "api", "one")) for n in range(60)
        ]
    for other in others:
        await other.close()
    assert [hit.result() for hit in hits].count(True) == 10


# With SQLite, limits' own memory forgets by itself.
@pytest.mark.parametrize("dialect", ["postgresql"], indirect=True, scope="session")
async def test_windows_that_are_over_are_removed(database: Database) -> None:
    counters = PostgresCounters(database)
    await counters.incr("short", 0.05)
    await counters.incr("long", 60)
    await asyncio.sleep(0.1)
    assert await counters.purge() == 1
    assert await counters.get("long") == 1
    assert await counters.reset() == 1
