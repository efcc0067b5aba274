"""The worker: takes jobs, runs their handlers, and sees to it that none is lost with a process."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from domain.clock import Clock
from domain.errors import OperatorError
from domain.jobs import (
    Again,
    Dead,
    Job,
    JobKind,
    Retry,
    VendorLimits,
    after_death,
    after_failure,
)
from storage.database import Database
from storage.jobs.lease_table import LeaseTable
from storage.jobs.queue import Lane, Queue, TakenForDead, Vendor
from storage.jobs.turns import Turns
from storage.jobs.watch import Watch

log = structlog.get_logger(__name__)

#: Lanes that are looked at together.
MOST_LANES = 500
#: After a failure of the database, the pause before the next attempt, seconds.
DATABASE_PAUSE = 1.0
#: How often what was planned is compared with the clock, in beats.
AMEND_EVERY = 30
#: A wall clock that went back by so much against the monotonic one was set, seconds.
CLOCK_STEP = 5.0

Outcome = Again | Retry | Dead | None


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a worker does what, seconds. `silence`: a worker that shows no sign of life for so
    long is dead, and its jobs are taken over. `stop`: what runs may take so long to end."""

    poll: float = 0.25
    beat: float = 1.0
    silence: float = 10.0
    stop: float = 10.0


class JobWorker:
    """Runs jobs of these kinds until it is told to stop. Kinds that it doesn't know wait for a
    worker that does: nodes are replaced one by one."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        kinds: Iterable[JobKind],
        *,
        limits: Mapping[str, VendorLimits] | None = None,
        places: int = 8,
        pace: Pace | None = None,
    ) -> None:
        """`places`: how many handlers run at once. `limits`: per vendor."""
        self._clock = clock
        self._kinds = {kind.name: kind for kind in kinds}
        self._vendors = [
            Vendor(name, each, tuple(k.name for k in self._kinds.values() if k.vendor == name))
            for name, each in (limits or {}).items()
        ]
        self._places = places
        self._pace = pace or Pace()
        self._queue = _queue(database, clock)
        self._watch = Watch(self._pace.silence, gap=2 * self._pace.beat)
        self._turns = Turns(places)
        self._due: dict[Lane, int] = {}
        self._looked = float("-inf")
        self._running: dict[asyncio.Task[None], Job] = {}
        self._began = 0  # jobs since the last beat
        self._lost = False  # taken for dead
        self._stopping = False
        self._wake = asyncio.Event()

    def stop(self) -> None:
        """Take no more jobs; `run` ends when those that run have ended, or after `Pace.stop`."""
        self._stopping = True
        self._wake.set()

    def wake(self) -> None:
        """There may be new jobs."""
        self._looked = float("-inf")
        self._wake.set()

    async def run(self, *, until_idle: bool = False) -> None:
        """Work until `stop`, or until nothing is due. A database that is away is waited for."""
        while not self._stopping:
            try:
                await self._live(until_idle)
            except (OperatorError, SQLAlchemyError) as error:
                await _database_failed(error)
                continue
            if until_idle and not self._lost:
                return

    # --------------------------------------------------------------------------- one life

    async def _live(self, until_idle: bool) -> None:
        """From entering to leaving, or to being taken for dead."""
        await self._queue.enter()
        self._lost = False
        await self._ensure_periodic()
        async with asyncio.TaskGroup() as tasks:
            side = [
                tasks.create_task(self._care(), name="jobs.care"),
                tasks.create_task(self._listen(), name="jobs.listen"),
            ]
            grace = 0.0
            try:
                await self._take(tasks, until_idle)
                grace = self._pace.stop
            finally:
                await self._settle(0.0 if self._lost else grace)
                for task in side:
                    task.cancel()
        if not self._lost:
            await self._queue.leave()  # what was cut short waits again

    async def _settle(self, grace: float) -> None:
        """Let what runs end, then cut it short."""
        if self._running and grace:
            await asyncio.wait(set(self._running), timeout=grace)
        for task, job in self._running.items():
            log.warning("jobs.cut_short", kind=job.kind, stage="lost" if self._lost else "stop")
            task.cancel()
        if self._running:
            await asyncio.wait(set(self._running))

    @property
    def _over(self) -> bool:
        return self._stopping or self._lost

    # ----------------------------------------------------------------------------- taking

    async def _take(self, tasks: asyncio.TaskGroup, until_idle: bool) -> None:
        while not self._over:
            self._wake.clear()
            alone = not self._running
            if until_idle and alone:
                self._looked = float("-inf")  # what was seen while jobs ran proves nothing
            try:
                taken = await self._take_some(tasks)
            except TakenForDead:
                self._lose()
                return
            except (OperatorError, SQLAlchemyError) as error:
                await _database_failed(error)
                continue
            if until_idle and alone and not taken:
                return
            if not taken:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pace.poll):
                        await self._wake.wait()

    async def _take_some(self, tasks: asyncio.TaskGroup) -> bool:
        """Whether there were any."""
        room = self._places - len(self._running)
        if room <= 0:
            return False
        now = asyncio.get_running_loop().time()
        if not self._due or now - self._looked >= self._pace.poll:
            self._due = dict(await self._queue.lanes(self._kinds, MOST_LANES))
            self._looked = now
        running = Counter(job.tenant_id for job in self._running.values())
        wanted = self._turns.choose(self._due, room, running)
        if not wanted:
            return False
        claimed = await self._queue.claim(wanted, self._vendors)
        self._subtract(wanted, claimed)
        self._began += len(claimed)
        for job in claimed:
            task = tasks.create_task(self._work(job), name=f"jobs.{job.kind}")
            self._running[task] = job
            task.add_done_callback(self._ended)
        return bool(claimed)

    def _subtract(self, wanted: Iterable[Lane], claimed: Iterable[Job]) -> None:
        """A lane that gave less than it was asked for (a limit, another worker) isn't asked again
        before the next look."""
        given = Counter(Lane(job.kind, job.tenant_id) for job in claimed)
        for lane, number in Counter(wanted).items():
            left = self._due.get(lane, 0) - number
            if given[lane] < number or left <= 0:
                self._due.pop(lane, None)
            else:
                self._due[lane] = left

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self._wake.set()

    # ---------------------------------------------------------------------------- running

    async def _work(self, job: Job) -> None:
        kind = self._kinds[job.kind]
        outcome = await self._attempt(kind, job)
        while True:
            try:
                if not await self._record(kind, job, outcome):
                    log.warning("jobs.lost", kind=job.kind)
                return
            except (OperatorError, SQLAlchemyError) as error:
                await _database_failed(error)

    async def _attempt(self, kind: JobKind, job: Job) -> Outcome:
        failure: BaseException
        try:
            async with asyncio.timeout(kind.time_limit):
                return await kind.handler(job)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # by us: it was cut short
            failure = error
        except Exception as error:  # noqa: BLE001 - whatever a handler raises ends only its job
            failure = _single(error)
        outcome = after_failure(failure, job.attempt, kind.backoff, random.random())  # noqa: S311
        if isinstance(outcome, Dead):
            log.error("jobs.dead", kind=job.kind, count=job.attempt, reason=outcome.words)
        else:
            error_name = type(failure).__name__
            log.warning(
                "jobs.failed",
                kind=job.kind,
                count=job.attempt,
                error=error_name,
                seconds=round(outcome.after, 1),
            )
        return outcome

    async def _record(self, kind: JobKind, job: Job, outcome: Outcome) -> bool:
        """Whether it was still ours to end."""
        if isinstance(outcome, Retry):
            return await self._queue.retry(job, outcome.after, counts=outcome.counts)
        if isinstance(outcome, Again):
            return await self._queue.again(job, outcome.at)
        periodic = kind.every is not None and job.tenant_id is None and job.key == kind.name
        next_at = self._clock.now() + timedelta(seconds=kind.every or 0.0) if periodic else None
        if isinstance(outcome, Dead):
            return await self._queue.bury(job, outcome.words, next_at)
        if next_at is not None:
            return await self._queue.again(job, next_at)
        return await self._queue.finish(job)

    # ----------------------------------------------------------------------------- caring

    async def _care(self) -> None:
        """Show that we live, and look after the dead. Goes on while the last handlers end."""
        beats = 0
        ahead = self._ahead()
        while not self._lost:
            await asyncio.sleep(self._pace.beat)
            beats += 1
            try:
                await self._beat()
                await self._look_after_the_dead()
                if beats % AMEND_EVERY == 0 or self._ahead() < ahead - CLOCK_STEP:
                    ahead = self._ahead()
                    await self._queue.amend(self._farthest())
                    await self._ensure_periodic()
            except (OperatorError, SQLAlchemyError) as error:
                await _database_failed(error)

    async def _listen(self) -> None:
        while True:
            try:
                await self._queue.listen(self.wake)
            except (OperatorError, SQLAlchemyError) as error:
                log.warning("jobs.not_listening", error=type(error).__name__, detail=str(error))
            await asyncio.sleep(DATABASE_PAUSE)

    def _ahead(self) -> float:
        """By how much the wall clock is ahead of the monotonic one."""
        return self._clock.now().timestamp() - self._clock.monotonic()

    async def _beat(self) -> None:
        if not self._running and not self._began:
            return  # who holds nothing can't lose anything
        self._began = 0
        if not await self._queue.beat():
            self._lose()

    def _lose(self) -> None:
        """Others have our jobs: what still runs is cut short, and we begin anew."""
        log.error("jobs.taken_for_dead", count=len(self._running))
        self._lost = True
        self._wake.set()

    async def _look_after_the_dead(self) -> None:
        signs = await self._queue.signs()
        dead = self._watch.look(signs, asyncio.get_running_loop().time())
        if dead:
            freed = await self._queue.take_over(dead, self._spared)
            log.warning("jobs.taken_over", count=freed)
            self.wake()

    def _spared(self, kind: str, attempts: int) -> float | None:
        known = self._kinds.get(kind)
        if known is None:
            return 0.0
        return after_death(attempts, known.backoff, random.random())  # noqa: S311 - no secret

    def _farthest(self) -> float:
        return 2 * max((k.backoff.longest for k in self._kinds.values()), default=3600.0)

    async def _ensure_periodic(self) -> None:
        for kind in self._kinds.values():
            if kind.every is not None:
                await self._queue.ensure(kind.name, kind.every)


async def _database_failed(error: BaseException) -> None:
    log.error("jobs.database_failed", error=type(error).__name__, detail=str(error))
    await asyncio.sleep(DATABASE_PAUSE)


def _single(error: BaseException) -> BaseException:
    """What failed inside a task group that failed of one thing."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _queue(database: Database, clock: Clock) -> Queue:
    if database.dialect == "postgresql":
        from storage.jobs.procrastinate import ProcrastinateQueue  # a library that SQLite spares

        return ProcrastinateQueue(database, clock)
    return LeaseTable(database, clock)
