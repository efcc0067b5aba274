"""The purge: removes what is due by `storage.retention`, a little at a time.

Keys are looked for in reading transactions, which hold up nobody; each batch is a short writing
transaction, its size fitted to how long the last one took, and between two of them others have
their turn. Stopped at any instant it has lost nothing: it looks again.

A clock that jumps ahead must not empty the database. What is purged of a kind never goes further
than a week beyond what was purged the last time (`retention_marks`), or, the first time, beyond
the newest row there is. After a long pause that catches up week by week; `catch_up` does it at
once, for an operator who has looked at the clock.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.jobs import Again, Job
from storage.conflicts import unless_taken
from storage.database import Database
from storage.retention import KINDS, RULES, Periods, Rule
from storage.schema import metadata, retention_marks

log = structlog.get_logger(__name__)

#: The job's kind, and its key: there is one.
PURGE_JOB: Final = "retention.purge"

#: When the purge runs, UTC: three or four in the morning in Paris, before midnight in Martinique.
QUIET_HOUR: Final = time(2, 17, tzinfo=UTC)
#: How much further than the last time one purge goes.
LONGEST_STEP: Final = timedelta(days=7)
#: How long one job works, s, and how long it then leaves the others alone.
JOB_SECONDS: Final = 45.0
JOB_PAUSE: Final = timedelta(seconds=30)

#: Keys that are looked up at once.
_LOOK: Final = 5_000
#: Rows of one transaction: the first time, and at most.
_FIRST_BATCH: Final = 50
_LARGEST_BATCH: Final = 500
#: A batch that took less than this is followed by a larger one, one that took more by a smaller, s.
_SHORT: Final = 0.01
_LONG: Final = 0.03
#: The least pause between two, s: SQLite's busy handler looks again after 1 to 100 ms.
_PAUSE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Purged:
    """Rows removed or blanked, by kind. `held_back`: by how much each kind stays behind the clock
    on purpose. `finished` False: there is more, and no time left."""

    rows: dict[str, int] = field(default_factory=dict)
    held_back: dict[str, timedelta] = field(default_factory=dict)
    finished: bool = True


class Purge:
    """The purge of a whole deployment, all tenants alike."""

    def __init__(self, database: Database, clock: Clock, periods: Periods) -> None:
        self._database = database
        self._clock = clock
        self._periods = periods

    async def job(self, _job: Job) -> Again:
        """The handler of PURGE_JOB: goes on soon when there is more, else the next night."""
        purged = await self.run(seconds=JOB_SECONDS)
        now = self._clock.now()
        return Again(next_quiet_hour(now) if purged.finished else now + JOB_PAUSE)

    async def run(self, *, seconds: float | None = None, catch_up: bool = False) -> Purged:
        """Remove what is due, for so long at most. Idempotent; two at once share the work."""
        until = None if seconds is None else self._clock.monotonic() + seconds
        now = self._clock.now()
        purged = Purged()
        for kind in KINDS:
            horizon = now if catch_up else await self._horizon(kind, now)
            if horizon < now:
                purged.held_back[kind] = now - horizon
            removed, finished = await self._kind(kind, horizon, until)
            if removed:
                purged.rows[kind] = removed
                log.info("retention.purged", kind=kind, count=removed)
            if not finished:
                return Purged(purged.rows, purged.held_back, finished=False)
            await self._mark(kind, horizon)
        if purged.held_back:
            log.error(
                "retention.held_back",
                days=max(purged.held_back.values()).days,
                cure="if the clock is right, run `coccinelle purge --catch-up`",
            )
        return purged

    async def due(self, *, catch_up: bool = False) -> Purged:
        """What `run` would remove now; nothing is changed."""
        now = self._clock.now()
        purged = Purged()
        for kind in KINDS:
            horizon = now if catch_up else await self._horizon(kind, now)
            if horizon < now:
                purged.held_back[kind] = now - horizon
            async with self._database.read() as connection:
                for rule in _rules(kind):
                    due = rule.found(horizon - self._periods.of(kind), horizon)
                    count = sa.select(sa.func.count()).select_from(rule.table).where(due)
                    rows = (await connection.execute(count)).scalar_one()
                    if rows:
                        purged.rows[kind] = purged.rows.get(kind, 0) + rows
        return purged

    # --------------------------------------------------------------------------- the clock

    async def _horizon(self, kind: str, now: datetime) -> datetime:
        """The instant that counts as now for this kind: the clock's, unless it is further ahead
        than it can be believed."""
        statement = sa.select(retention_marks.c.purged_until).where(retention_marks.c.kind == kind)
        async with self._database.read() as connection:
            last: datetime | None = (await connection.execute(statement)).scalar_one_or_none()
            if last is None:
                last = await _newest_row(connection)
        return now if last is None else min(now, last + LONGEST_STEP)

    async def _mark(self, kind: str, horizon: datetime) -> None:
        mark = {"kind": kind, "purged_until": horizon}
        same = retention_marks.c.kind == kind
        async with self._database.write() as connection:
            await connection.execute(unless_taken(connection, retention_marks), mark)
            await connection.execute(sa.update(retention_marks).where(same).values(mark))

    # ---------------------------------------------------------------------------- the rows

    async def _kind(self, kind: str, horizon: datetime, until: float | None) -> tuple[int, bool]:
        """Rows removed, and whether that was all."""
        before, total = horizon - self._periods.of(kind), 0
        for rule in _rules(kind):
            removing = _Removing(self._database, self._clock, rule, before, horizon)
            total += await removing.run(until)
            if not removing.finished:
                return total, False
        return total, True


class _Removing:
    """One rule at work."""

    def __init__(
        self, database: Database, clock: Clock, rule: Rule, before: datetime, now: datetime
    ) -> None:
        self._database = database
        self._clock = clock
        self._rule = rule
        self._found = rule.found(before, now)
        self._still = rule.still(before, now)
        self._batch = _FIRST_BATCH
        self.finished = False

    async def run(self, until: float | None) -> int:
        """Rows removed. `finished` says whether there are no more."""
        total = 0
        while keys := await self._look():
            removed = 0
            while keys:
                if until is not None and self._clock.monotonic() >= until:
                    return total + removed
                batch, keys = keys[: self._batch], keys[self._batch :]
                removed += await self._remove(batch)
            total += removed
            if not removed:
                break  # others have changed or removed them all
        self.finished = True
        return total

    async def _look(self) -> Sequence[Any]:
        statement = sa.select(self._rule.key).where(self._found).limit(_LOOK)
        async with self._database.read() as connection:
            return (await connection.execute(statement)).scalars().all()

    async def _remove(self, keys: Sequence[Any]) -> int:
        rule = self._rule
        these = (rule.key.in_(keys), self._still)
        statement: sa.Update | sa.Delete = (
            sa.update(rule.table).where(*these).values(**rule.blank)
            if rule.blank
            else sa.delete(rule.table).where(*these)
        )
        async with self._database.write() as connection:
            begun = self._clock.monotonic()
            if self._database.dialect == "sqlite":
                # What is deleted is overwritten, and not only forgotten.
                # https://www.sqlite.org/pragma.html#pragma_secure_delete
                await connection.exec_driver_sql("PRAGMA secure_delete=ON")
            removed = (await connection.execute(statement)).rowcount
        took = self._clock.monotonic() - begun
        if took < _SHORT:
            self._batch = min(self._batch * 2, _LARGEST_BATCH)
        elif took > _LONG:
            self._batch = max(self._batch // 2, 1)
        await asyncio.sleep(max(_PAUSE, took))
        return removed


def next_quiet_hour(now: datetime) -> datetime:
    """The first one after `now`."""
    today = datetime.combine(now.astimezone(UTC).date(), QUIET_HOUR)
    return today if today > now else today + timedelta(days=1)


def _rules(kind: str) -> Iterator[Rule]:
    return (rule for rule in RULES if rule.kind == kind)


async def _newest_row(connection: AsyncConnection) -> datetime | None:
    """When something was last stored; None in an empty database."""
    newest = [
        (await connection.execute(sa.select(sa.func.max(table.c.created_at)))).scalar_one()
        for table in metadata.tables.values()
        if "created_at" in table.c
    ]
    return max((instant for instant in newest if instant is not None), default=None)
