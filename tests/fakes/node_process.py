"""A node in a process of its own (tests/forked.py), for tests that kill it. What it is told:

URL carry TENANT LIMIT CALL…    beats, takes a place for each call, says so ("ready"), and goes on
until it is killed
URL take TENANT LIMIT CALL…     waits for a line, then takes as many places as it can, all at once,
and says how many
URL hit KEY LIMIT TIMES         the same with a rate limit
URL hold KEY                    holds a row and a lock in a transaction that doesn't end
"""

import asyncio
import sys

import sqlalchemy as sa
import structlog
from limits import RateLimitItemPerMinute

from server.clock import SystemClock
from storage import Database
from storage.capacity import CallSlots
from storage.counters import rate_limits
from storage.nodes import Node
from storage.schema import rate_counters


def say(word: object) -> None:
    print(word, flush=True)  # noqa: T201


async def go() -> None:
    say("ready")
    await asyncio.to_thread(sys.stdin.readline)


async def carry(database: Database, tenant: str, limit: str, *calls: str) -> None:
    node = Node(database, SystemClock(), "server", "test")
    slots = CallSlots(database, SystemClock(), node.id)
    node.returned = lambda: say("returned")
    await node.start()
    say(node.id)
    for call in calls:
        assert await slots.take(call, tenant, int(limit))
    say("ready")
    await node.run()


async def take(database: Database, tenant: str, limit: str, *calls: str) -> None:
    slots = CallSlots(database, SystemClock(), "node")
    await go()
    async with asyncio.TaskGroup() as tasks:
        takes = [tasks.create_task(slots.take(call, tenant, int(limit))) for call in calls]
    say(sum(each.result() for each in takes))


async def hit(database: Database, key: str, limit: str, times: str) -> None:
    limiter, item = rate_limits(database), RateLimitItemPerMinute(int(limit))
    await go()
    async with asyncio.TaskGroup() as tasks:
        hits = [tasks.create_task(limiter.hit(item, key)) for _ in range(int(times))]
    say(sum(each.result() for each in hits))


async def hold(database: Database, key: str) -> None:
    async with database.write() as connection:
        await connection.execute(sa.text("SELECT pg_advisory_xact_lock(1)"))
        await connection.execute(
            sa.update(rate_counters).where(rate_counters.c.key == key).values(count=2)
        )
        await go()


async def _main(url: str, action: str, *arguments: str) -> None:
    database = await Database.open(url)
    await {"carry": carry, "take": take, "hit": hit, "hold": hold}[action](database, *arguments)
    await database.close()


def main(*told: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_main(*told))
