"""Vendors' limits, whose turn it is, and leases: what workers owe each other, on both databases."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import sqlalchemy as sa

from domain.errors import ProviderError
from domain.jobs import Again, Backoff, Job, VendorLimits
from domain.tenant import Tenant
from storage import Database, Storage
from storage.jobs.worker import JobWorker, Pace
from tests.storage.jobs.handlers import CLOCK, PACE, Done, drain, forget_workers, later, shift

# -------------------------------------------------------------------------- limits and fairness


async def test_a_vendor_s_limits_hold_and_cost_no_attempt(
    storage: Storage, garage: Tenant, dentist: Tenant, worker: Callable[..., JobWorker]
) -> None:
    running: list[str | None] = []
    most = most_of_one = 0

    async def handler(job: Job) -> None:
        nonlocal most, most_of_one
        assert job.attempt == 1
        running.append(job.tenant_id)
        most = max(most, len(running))
        most_of_one = max(most_of_one, running.count(garage.id), running.count(dentist.id))
        await asyncio.sleep(0.03)
        running.remove(job.tenant_id)

    for tenant in (garage, dentist):
        async with storage.tenant(tenant.id).write() as rows:
            for _ in range(8):
                await rows.jobs.put("test.job", {})
    limits = {"twilio": VendorLimits(concurrent=3, concurrent_per_tenant=2)}
    # Two workers, as in two processes: what they share is the database.
    workers = [worker(handler, vendor="twilio", limits=limits) for _ in range(2)]
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for each in workers:
            tasks.create_task(each.run())
        while (await storage.jobs.counts())[:2] != (0, 0):
            await asyncio.sleep(0.02)
        for each in workers:
            each.stop()
    assert (most, most_of_one) == (3, 2)


async def test_a_vendor_s_rate_holds_per_tenant(
    storage: Storage, garage: Tenant, dentist: Tenant, worker: Callable[..., JobWorker]
) -> None:
    began: dict[str | None, list[float]] = {garage.id: [], dentist.id: []}
    start = CLOCK.monotonic()

    async def handler(job: Job) -> None:
        began[job.tenant_id].append(CLOCK.monotonic())

    for tenant in (garage, dentist):
        async with storage.tenant(tenant.id).write() as rows:
            for _ in range(4):
                await rows.jobs.put("test.job", {})
    limits = {"twilio": VendorLimits(per_second_per_tenant=4)}
    workers = [worker(handler, vendor="twilio", limits=limits) for _ in range(2)]
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for each in workers:
            tasks.create_task(each.run())
        while (await storage.jobs.counts())[:2] != (0, 0):
            await asyncio.sleep(0.02)
        for each in workers:
            each.stop()
    for instants in began.values():
        # Four a second, two of them at once.
        assert [instant - start > 0.24 for instant in instants[2:3]] == [True]
        assert [instant - start > 0.49 for instant in instants[3:]] == [True]


async def test_one_tenant_s_many_don_t_starve_another_s_one(
    storage: Storage, garage: Tenant, dentist: Tenant, worker: Callable[..., JobWorker]
) -> None:
    order: list[str | None] = []

    async def handler(job: Job) -> None:
        order.append(job.tenant_id)
        await asyncio.sleep(0.05)

    async with storage.tenant(garage.id).write() as rows:
        for _ in range(300):
            await rows.jobs.put("test.job", {})
    async with storage.tenant(dentist.id).write() as rows:
        await rows.jobs.put("test.job", {})
    running = worker(handler, places=4)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(running.run())
        while dentist.id not in order:
            await asyncio.sleep(0.01)
        running.stop()
    assert order.index(dentist.id) < 4


# --------------------------------------------------------------------- leases, stops and clocks


async def test_a_handler_slower_than_the_lease_is_run_once(
    storage: Storage, worker: Callable[..., JobWorker]
) -> None:
    await storage.jobs.put("test.job", {}, key="k")
    done = Done(lambda _job: asyncio.sleep(2.2 * PACE.silence))
    workers = [worker(done) for _ in range(3)]
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for each in workers:
            tasks.create_task(each.run())
        while (await storage.jobs.counts()).running == 0:
            await asyncio.sleep(0.02)
        # As if the clock of whoever compares instants went forward by a day.
        await shift(storage, timedelta(days=-1))
        await drain(worker(done))  # another one comes and leaves
        while (await storage.jobs.counts())[:2] != (0, 0):
            await asyncio.sleep(0.05)
        for each in workers:
            each.stop()
    assert len(done.jobs) == 1


async def test_whoever_shows_no_life_loses_its_jobs_and_can_t_end_them(
    storage: Storage, worker: Callable[..., JobWorker]
) -> None:
    await storage.jobs.put("test.job", {}, key="k")
    taken_over = asyncio.Event()
    left = []

    async def stays(job: Job) -> None:
        await taken_over.wait()

    async def takes_over(job: Job) -> None:
        taken_over.set()
        while silent._running:  # until it has tried to end what isn't its own any more
            await asyncio.sleep(0.01)
        left.append((await storage.jobs.counts()).running)

    silent = worker(Done(stays), places=1, pace=Pace(poll=0.02, beat=3600, stop=2.0))
    done = Done(takes_over)
    other = worker(done)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(silent.run())
        while (await storage.jobs.counts()).running == 0:
            await asyncio.sleep(0.02)
        tasks.create_task(other.run())
        while (await storage.jobs.counts())[:2] != (0, 0):
            await asyncio.sleep(0.02)
        silent.stop()
        other.stop()
    assert left == [1]
    assert [job.attempt for job in done.jobs] == [2]


async def crash(storage: Storage, worker: JobWorker) -> None:
    """It dies as soon as it has a job."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(worker.run())
        while (await storage.jobs.counts()).running == 0:
            await asyncio.sleep(0.02)
        await forget_workers(storage)
        running.cancel()


async def test_a_job_that_kills_its_process_again_and_again_is_dead(
    storage: Storage, worker: Callable[..., JobWorker]
) -> None:
    await storage.jobs.put("test.job", {"n": 1})
    crashing = Done(*[lambda _job: asyncio.sleep(3600)] * 9)
    for _ in range(3):
        await crash(storage, worker(crashing, pace=Pace(poll=0.02, beat=3600)))
        await worker(Done())._look_after_the_dead()
    (dead,) = await storage.jobs.dead()
    assert (dead.attempts, dead.error) == (3, "the process died while it ran")
    assert [job.attempt for job in crashing.jobs] == [1, 2, 3]


async def test_a_stop_lets_end_what_runs_and_gives_back_what_doesn_t(
    storage: Storage, worker: Callable[..., JobWorker]
) -> None:
    ended = []

    async def handler(job: Job) -> None:
        await asyncio.sleep(job.payload["seconds"])
        ended.append(job.payload["seconds"])

    for seconds in (0.1, 30):
        await storage.jobs.put("test.job", {"seconds": seconds})
    running = worker(handler, pace=Pace(poll=0.02, beat=0.05, silence=0.5, stop=0.3))
    async with asyncio.timeout(3), asyncio.TaskGroup() as tasks:
        tasks.create_task(running.run())
        while (await storage.jobs.counts()).running < 2:
            await asyncio.sleep(0.01)
        running.stop()
    assert ended == [0.1]
    (job,) = await storage.jobs.waiting()
    assert (job.running, job.attempts, job.run_at) == (False, 0, None)


async def test_a_clock_that_was_set_back_stalls_nothing_that_is_due(
    storage: Storage, worker: Callable[..., JobWorker]
) -> None:
    await storage.jobs.put("test.job", {"n": "failed"})
    await drain(worker(Done(ProviderError("v", "r", retryable=True)), backoff=Backoff(first=60)))
    await storage.jobs.put("test.job", {"n": "at once"})
    await storage.jobs.put("test.job", {"n": "planned"}, at=later())
    # All instants that were stored lie a year ahead now.
    await shift(storage, timedelta(days=365))
    done = Done()
    running = worker(done, pace=Pace(poll=0.02, beat=0.02))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(running.run())
        while len(done.jobs) < 2:
            await asyncio.sleep(0.02)
        running.stop()
    assert {job.payload["n"] for job in done.jobs} == {"failed", "at once"}
    assert [job.run_at for job in await storage.jobs.waiting()] > [later(86_400)]


async def test_a_worker_that_was_forgotten_while_idle_enters_again(
    storage: Storage, worker: Callable[..., JobWorker]
) -> None:
    ran = asyncio.Event()

    async def handler(_job: Job) -> None:
        ran.set()

    running = worker(handler)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(running.run())
        await asyncio.sleep(0.1)
        await forget_workers(storage)
        await storage.jobs.put("test.job", {})
        await ran.wait()
        running.stop()


async def test_a_job_that_runs_for_ever_leaves_no_history(
    storage: Storage, database: Database, worker: Callable[..., JobWorker]
) -> None:
    """Procrastinate's triggers write a line for each of its steps."""
    done = Done(*(Again(later(-1)) for _ in range(5)), Again(later()))
    await storage.jobs.put("test.job", {}, key="for ever")
    await drain(worker(done))
    assert len(done.jobs) == 6
    if database.dialect == "postgresql":
        async with database.read() as connection:
            history = sa.select(sa.func.count()).select_from(sa.table("procrastinate_events"))
            assert (await connection.execute(history)).scalar_one() < len(done.jobs)


async def test_what_died_twice_waits_apart_from_what_it_died_with(
    storage: Storage, worker: Callable[..., JobWorker]
) -> None:
    await storage.jobs.put("test.job", {"n": 1})
    crashing = Done(*[lambda _job: asyncio.sleep(3600)] * 9)
    for deaths in (1, 2):
        pace = Pace(poll=0.02, beat=3600)
        await crash(storage, worker(crashing, pace=pace, backoff=Backoff(60, 60, 4)))
        await worker(Done(), backoff=Backoff(60, 60, 4))._look_after_the_dead()
        (waiting,) = await storage.jobs.waiting()
        assert (waiting.attempts, waiting.run_at is None) == (deaths, deaths == 1)
