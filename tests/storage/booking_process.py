"""Callers of a process of their own (tests/forked.py): told which database, tenant and moment, they
all book at once.

It says "ready", waits for a line, and tells what came of each caller, as JSON.
"""

import asyncio
import json
import sys
from datetime import datetime

from storage import Database, Storage, TenantHandle, Unavailable, Wish
from tests.fakes.clock import FakeClock

Answer = tuple[str, list[str]]


async def all_at_once(handle: TenantHandle, start: datetime, callers: list[str]) -> list[Answer]:
    """What came of each: why not, and what is free instead, or "booked" and which."""
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(_call(handle, start, each)) for each in callers]
    return [call.result() for call in calls]


async def _call(handle: TenantHandle, start: datetime, holder: str) -> Answer:
    try:
        async with handle.write() as rows:
            booked = await rows.bookings.book(Wish(start, name=holder, holder=holder))
    except Unavailable as refused:
        return refused.why, [slot.start.isoformat() for slot in refused.alternatives]
    return "booked", [booked.id]


async def _main(url: str, tenant_id: str, start: str, callers: str) -> None:
    database = await Database.open(url)
    handle = Storage(database, FakeClock()).tenant(tenant_id)
    _say("ready")
    await asyncio.to_thread(sys.stdin.readline)
    answers = await all_at_once(handle, datetime.fromisoformat(start), callers.split(","))
    await database.close()
    _say(json.dumps(answers))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(url: str, tenant_id: str, start: str, callers: str) -> None:
    asyncio.run(_main(url, tenant_id, start, callers))
