"""The job that seals anew: a worker does it, soon after a key was promoted."""

import asyncio
import secrets

import pytest

from domain.errors import OperatorError
from domain.jobs import Job
from domain.tenant import Tenant
from server.clock import SystemClock
from server.secret_rotation import KIND, reencrypt_soon, reencryption
from storage import Database, KeyRing, Storage
from storage.jobs import jobs_on
from storage.jobs.worker import JobWorker, Pace
from tests.fakes.clock import FakeClock

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
PROMOTED = KeyRing({2: NEW, 1: OLD})


@pytest.fixture
def keyring() -> KeyRing:
    return KeyRing({1: OLD})


async def _entrust(storage: Storage, tenant: Tenant) -> None:
    for channel in ("phone", "email"):
        async with storage.tenant(tenant.id).write() as rows:
            await rows.channels.save_secrets(channel, {"apiKey": "x"})


async def _cancel(database: Database) -> None:
    """The periodic one that waits: other tests find none."""
    async with database.write() as connection:
        assert await jobs_on(connection, SystemClock()).cancel(KIND)


async def test_a_worker_does_it(database: Database, storage: Storage, garage: Tenant) -> None:
    await _entrust(storage, garage)
    clock = SystemClock()
    promoted = Storage(database, clock, PROMOTED)
    await reencrypt_soon(promoted)
    worker = JobWorker(database, clock, [reencryption(promoted)], pace=Pace(poll=0.05))
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(worker.run())
        while await promoted.sealed_rows.waiting():
            await asyncio.sleep(0.02)
        worker.stop()
    census = await Storage(database, clock, KeyRing({2: NEW})).sealed_rows.census()
    assert (census.versions, census.unopened) == ({2: 2}, ())
    assert await promoted.jobs.dead() == []
    await _cancel(database)


async def test_it_is_asked_for_only_when_a_key_was_promoted(
    database: Database, clock: FakeClock, storage: Storage, garage: Tenant
) -> None:
    await reencrypt_soon(storage)
    await _entrust(storage, garage)
    for server in (storage, Storage(database, clock)):
        await reencrypt_soon(server)
        assert KIND not in [each.kind for each in await storage.jobs.waiting()]
    await reencrypt_soon(Storage(database, clock, PROMOTED))
    await reencrypt_soon(Storage(database, clock, PROMOTED))
    assert [each.kind for each in await storage.jobs.waiting()].count(KIND) == 1
    await _cancel(database)


async def test_what_does_not_open_makes_no_dead_letters(
    database: Database, clock: FakeClock, storage: Storage, garage: Tenant
) -> None:
    await _entrust(storage, garage)
    lost = Storage(database, clock, KeyRing({2: NEW}))
    kind = reencryption(lost)
    for attempt in (1, 2):
        assert await kind.handler(Job("1", KIND, {}, attempt)) is None
    census = await lost.sealed_rows.census()
    assert (census.versions, len(census.unopened)) == ({1: 2}, 2)


async def test_a_server_starts_whatever_happens(
    database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted = Storage(database, clock, PROMOTED)

    async def away(*, older_only: bool) -> bool:
        raise OperatorError("the database is away")

    monkeypatch.setattr(promoted.sealed_rows, "waiting", away)
    await reencrypt_soon(promoted)
