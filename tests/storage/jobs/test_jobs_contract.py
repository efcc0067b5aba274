"""What durable jobs promise, on both databases: the same tests take both through it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from domain.errors import Invalid, NotFound, OperatorError, ProviderError, TenantError
from domain.jobs import Again, Backoff, Job
from domain.tenant import Tenant
from storage import Storage
from storage.jobs import jobs_on
from storage.jobs.worker import JobWorker, Pace
from storage.schema import tenants
from tests.storage.jobs.handlers import CLOCK, Done, drain, later

# --------------------------------------------------------------------------------- put and run


async def test_what_is_put_runs_once(
    storage: Storage, garage: Tenant, worker: Callable[..., JobWorker]
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.jobs.put("test.job", {"document": "d1", "text": "é\x00\ud800"}, key="d1")
    await storage.jobs.put("test.job", {"n": 1.0})
    done = Done()
    await drain(worker(done))
    first, second = done.jobs
    assert (first.tenant_id, first.key, first.attempt) == (garage.id, "d1", 1)
    assert first.payload == {"document": "d1", "text": "é\x00\ud800"}
    assert (second.tenant_id, second.key, second.payload) == (None, None, {"n": 1.0})
    await drain(worker(done))
    assert len(done.jobs) == 2
    assert await storage.jobs.counts() == (0, 0, 0.0, 0)


async def test_a_transaction_that_fails_puts_nothing(
    storage: Storage, garage: Tenant, worker: Callable[..., JobWorker]
) -> None:
    async def failing() -> None:
        async with storage.tenant(garage.id).write() as rows:
            await rows.jobs.put("test.job", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await failing()
    assert await storage.jobs.waiting() == []


async def test_it_runs_at_its_time(storage: Storage, worker: Callable[..., JobWorker]) -> None:
    at = later(0.4)
    await storage.jobs.put("test.job", {}, at=at)
    done, ran_at = asyncio.Event(), []

    async def handler(_job: Job) -> None:
        ran_at.append(CLOCK.now())
        done.set()

    running = worker(handler)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(running.run())
        await done.wait()
        running.stop()
    assert timedelta(0) <= ran_at[0] - at < timedelta(seconds=0.5)


async def test_postgresql_wakes_the_worker_at_once(
    storage: Storage, dialect: str, worker: Callable[..., JobWorker]
) -> None:
    poll = 0.2 if dialect == "sqlite" else 3600
    done = Done()
    running = worker(done, pace=Pace(poll=poll))
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(running.run())
        await asyncio.sleep(0.3)  # it has looked, and listens
        await storage.jobs.put("test.job", {})
        while not done.jobs:
            await asyncio.sleep(0.01)
        running.stop()


async def test_a_key_is_moved_replaced_and_cancelled(
    storage: Storage, garage: Tenant, dentist: Tenant, worker: Callable[..., JobWorker]
) -> None:
    for tenant in (garage, dentist):
        async with storage.tenant(tenant.id).write() as rows:
            await rows.jobs.put("test.job", {"v": 1}, key="k", at=later())
            await rows.jobs.put("test.job", {"v": 2}, key="k", at=later(7200))
            await rows.jobs.put("test.job", {"v": 3}, key="other", at=later())
            assert not await rows.jobs.reschedule("none", CLOCK.now())
            assert not await rows.jobs.cancel("none")
    assert len(await storage.jobs.waiting()) == 4
    async with storage.tenant(garage.id).write() as rows:
        assert await rows.jobs.cancel("other")
        assert await rows.jobs.reschedule("k", CLOCK.now())
    done = Done()
    await drain(worker(done))
    assert [(job.tenant_id, job.payload) for job in done.jobs] == [(garage.id, {"v": 2})]
    left = await storage.jobs.waiting()
    assert {(each.tenant_id, each.key) for each in left} == {
        (dentist.id, "k"),
        (dentist.id, "other"),
    }


async def test_put_while_it_runs_makes_a_follower(
    storage: Storage, worker: Callable[..., JobWorker]
) -> None:
    at_once = 0

    async def handler(job: Job) -> None:
        nonlocal at_once
        at_once += 1
        assert at_once == 1, "two jobs of one key ran at once"
        if job.payload["n"] == 1:
            await storage.jobs.put("test.job", {"n": 2}, key="k")
            await storage.jobs.put("test.job", {"n": 3}, key="k")
            await asyncio.sleep(0.1)
        at_once -= 1

    await storage.jobs.put("test.job", {"n": 1}, key="k")
    done = Done(handler, handler)
    await drain(worker(done))
    assert done.payloads == [{"n": 1}, {"n": 3}]


@pytest.mark.parametrize("outcome", [Again(CLOCK.now()), ProviderError("v", "r", retryable=True)])
async def test_a_follower_takes_the_place_of_another_try(
    storage: Storage, worker: Callable[..., JobWorker], outcome: Any
) -> None:
    async def handler(_job: Job) -> Again | None:
        await storage.jobs.put("test.job", {"n": 2}, key="k")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome  # type: ignore[no-any-return]

    await storage.jobs.put("test.job", {"n": 1}, key="k")
    done = Done(handler)
    await drain(worker(done))
    assert done.payloads == [{"n": 1}, {"n": 2}]


async def test_again_runs_again_under_the_same_key(
    storage: Storage, garage: Tenant, worker: Callable[..., JobWorker]
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.jobs.put("test.job", {"n": 1}, key="k")
    done = Done(Again(CLOCK.now()), Again(later()))
    await drain(worker(done))
    assert [(job.key, job.attempt) for job in done.jobs] == [("k", 1), ("k", 1)]
    (waiting,) = await storage.jobs.waiting()
    assert (waiting.key, waiting.tenant_id, waiting.attempts) == ("k", garage.id, 0)
    async with storage.tenant(garage.id).write() as rows:
        assert await rows.jobs.cancel("k")


# ------------------------------------------------------------------------------------ failures


@pytest.mark.parametrize(
    ("error", "runs", "words"),
    [
        (ProviderError("twilio", "said Bob", retryable=True, status=503), 3, "twilio 503"),
        (TimeoutError("Bob"), 3, "TimeoutError"),
        (ProviderError("twilio", "said Bob", retryable=False, code="21211"), 1, "twilio 21211"),
        (TenantError("the password is wrong"), 1, "TenantError: the password is wrong"),
        (Invalid("must be positive", field="n"), 1, "Invalid: n: must be positive"),
        (KeyError("Bob"), 3, "KeyError at "),
        (ExceptionGroup("Bob", [TenantError("wrong")]), 1, "TenantError: wrong"),
        (asyncio.CancelledError("Bob"), 3, "CancelledError at "),
    ],
)
async def test_a_failure_is_tried_again_by_its_kind_and_then_dead(
    storage: Storage,
    garage: Tenant,
    worker: Callable[..., JobWorker],
    error: BaseException,
    runs: int,
    words: str,
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.jobs.put("test.job", {"n": 1}, key="k")
    done = Done(*[error] * 10)
    running = worker(done)
    for _ in range(runs):
        await drain(running)
        await asyncio.sleep(0.05)
    await drain(running)
    assert [job.attempt for job in done.jobs] == list(range(1, runs + 1))
    (dead,) = await storage.jobs.dead()
    assert (dead.kind, dead.tenant_id, dead.key) == ("test.job", garage.id, "k")
    assert (dead.payload, dead.attempts) == ({"n": 1}, runs)
    assert words in dead.error
    assert "Bob" not in dead.error
    assert await storage.jobs.waiting() == []


async def test_the_operator_s_trouble_kills_no_job(
    storage: Storage, worker: Callable[..., JobWorker]
) -> None:
    await storage.jobs.put("test.job", {}, key="k")
    done = Done(*[OperatorError("the disk is full")] * 9)
    for _ in range(9):
        await drain(worker(done))
        async with storage._database.write() as connection:
            assert await jobs_on(connection, CLOCK).reschedule("k", CLOCK.now())
    await drain(worker(done))
    assert [job.attempt for job in done.jobs] == [1] * 10
    assert await storage.jobs.dead() == []


async def test_a_dead_letter_can_be_replayed_and_discarded(
    storage: Storage, garage: Tenant, worker: Callable[..., JobWorker]
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        for n in (1, 2):
            await rows.jobs.put("test.job", {"n": n}, key=f"k{n}")
    await drain(worker(Done(TenantError("1"), TenantError("2"))))
    letters = {letter.key: letter.id for letter in await storage.jobs.dead()}
    assert (await storage.jobs.counts()).dead == 2
    await storage.jobs.replay(letters["k1"])
    await storage.jobs.discard(letters["k2"])
    done = Done()
    await drain(worker(done))
    (job,) = done.jobs
    assert (job.tenant_id, job.key, job.attempt, job.payload) == (garage.id, "k1", 1, {"n": 1})
    for letter in letters.values():
        with pytest.raises(NotFound):
            await storage.jobs.replay(letter)
        with pytest.raises(NotFound):
            await storage.jobs.discard(letter)


async def test_a_handler_has_a_time_limit(
    storage: Storage, worker: Callable[..., JobWorker]
) -> None:
    await storage.jobs.put("test.job", {})
    await drain(
        worker(lambda _job: asyncio.sleep(30), time_limit=0.05, backoff=Backoff(attempts=1))
    )
    assert [letter.error.split()[0] for letter in await storage.jobs.dead()] == ["TimeoutError"]


async def test_a_tenant_s_jobs_go_with_it(
    storage: Storage, garage: Tenant, worker: Callable[..., JobWorker]
) -> None:
    gone = []

    async def leaves(_job: Job) -> None:
        async with storage._database.write() as connection:
            await connection.execute(sa.delete(tenants).where(tenants.c.id == garage.id))
        assert (await storage.jobs.counts()).waiting == 0
        gone.append(garage.id)
        raise TenantError("gone")

    async with storage.tenant(garage.id).write() as rows:
        for n in (1, 2, 3):
            await rows.jobs.put("test.job", {"n": n}, at=None if n < 3 else later())
    done = Done(leaves)
    await drain(worker(done, places=2))
    assert (len(done.jobs), gone) == (1, [garage.id])
    assert await storage.jobs.counts() == (0, 0, 0.0, 0)


async def test_a_kind_that_is_unknown_waits_for_a_worker_that_knows_it(
    storage: Storage, worker: Callable[..., JobWorker]
) -> None:
    await storage.jobs.put("test.newer", {})
    await drain(worker(Done()))
    assert [each.kind for each in await storage.jobs.waiting()] == ["test.newer"]
    done = Done()
    await drain(worker(done, name="test.newer"))
    assert len(done.jobs) == 1


async def test_a_periodic_kind_is_there_and_stays(
    storage: Storage, worker: Callable[..., JobWorker]
) -> None:
    async with storage._database.write() as connection:  # planned by a clock that was wrong
        await jobs_on(connection, CLOCK).put("test.job", {}, key="test.job", at=later(1e8))
    done = Done(None, TenantError("broken"))
    running = worker(done, every=3600)
    await drain(running)
    assert len(done.jobs) == 1
    async with storage._database.write() as connection:
        assert await jobs_on(connection, CLOCK).reschedule("test.job", CLOCK.now())
    await drain(running)
    assert len(done.jobs) == 2
    (waiting,) = await storage.jobs.waiting()
    assert waiting.run_at is not None
    assert timedelta(seconds=3500) < waiting.run_at - CLOCK.now() < timedelta(seconds=3601)
    assert len(await storage.jobs.dead()) == 1
