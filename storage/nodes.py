"""The server processes on one database: who is alive, who has died, and what the dead leave."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.errors import OperatorError
from storage.calls import CALL_COLUMNS, CallRow
from storage.columns import Instant
from storage.database import Database
from storage.database_time import database_now
from storage.schema import call_logs, call_slots
from storage.schema import nodes as table

log = structlog.get_logger(__name__)

ROLES = ("server", "worker")


class Pace(NamedTuple):
    """Seconds between two heartbeats; after how many without one a node is dead; and how long one
    may take."""

    beat: float
    dead: float
    patience: float


#: The contract of issue 3: whose calls hang on it is missed after 2 s.
TOGETHER = Pace(beat=0.5, dead=2.0, patience=1.5)
#: One node with SQLite, where each beat is an fsync and nobody waits for it.
ALONE = Pace(beat=10.0, dead=30.0, patience=15.0)
#: A beat is late if it comes this much later than it should, or the database's clock and ours
#: disagree by this much on how long it took, in seconds.
_LATE = 0.5
#: A clock that is this far from the database's is reported: nodes compare each other's stamps (the
#: life of a stream's token, the order of a timeline). docs/deploy.md.
_ASTRAY = timedelta(seconds=1)
#: Calls that are adopted at once.
_ADOPT = 100


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A process as the database knows it."""

    id: str
    role: str
    version: str
    started_at: datetime
    seen_at: datetime
    draining_at: datetime | None


#: By rows, not by heartbeats: that a silent node is dead is for `Node` to judge, which knows
#: whether the silence isn't its own.
_ORPHANED = (
    call_logs.c.outcome.is_(None),
    call_logs.c.node_id.is_not(None),
    call_logs.c.node_id.not_in(sa.select(table.c.id)),
)


class NodeRegister:
    """All nodes, as anybody sees them. `dead` and `living` go by the database's clock."""

    def __init__(self, database: Database, clock: Clock, pace: Pace | None = None) -> None:
        self._database = database
        self._clock = clock
        self.pace = pace or (ALONE if database.dialect == "sqlite" else TOGETHER)

    def _alive(self) -> sa.ColumnElement[bool]:
        limit = database_now(
            self._database.dialect, self._clock, -timedelta(seconds=self.pace.dead)
        )
        return table.c.seen_at >= limit

    async def living(self, role: str | None = None) -> list[NodeRow]:
        """Nodes with a recent heartbeat, oldest first; of one role or of all."""
        return await self._rows(self._alive(), role)

    async def dead(self, role: str | None = None) -> list[NodeRow]:
        """Nodes that have stopped beating and that nobody has reaped."""
        return await self._rows(sa.not_(self._alive()), role)

    async def _rows(self, condition: sa.ColumnElement[bool], role: str | None) -> list[NodeRow]:
        statement = sa.select(*table.c).where(condition).order_by(table.c.started_at, table.c.id)
        if role is not None:
            statement = statement.where(table.c.role == role)
        async with self._database.read() as connection:
            return [NodeRow(**row) for row in (await connection.execute(statement)).mappings()]

    async def reap(self) -> list[str]:
        """Remove the dead and the places that their calls had; whom. Of several that notice, one
        gets each id. What they carried stays in `orphaned_calls` until somebody adopts it."""
        async with self._database.aside() as connection:
            return await _bury(connection, sa.not_(self._alive()))

    # ---------------------------------------------------------------------------- their calls

    async def orphaned_calls(self, limit: int = _ADOPT) -> list[CallRow]:
        """Calls without an outcome whose stream was on a node that has been reaped, or that has
        left; oldest first."""
        statement = sa.select(*CALL_COLUMNS).where(*_ORPHANED)
        async with self._database.read() as connection:
            rows = await connection.execute(statement.order_by(call_logs.c.started_at).limit(limit))
            return [CallRow(**row) for row in rows.mappings()]

    async def adopt(self, node_id: str, limit: int = _ADOPT) -> list[CallRow]:
        """The same, and from now on they are this node's, to be rescued by it: of several nodes
        that ask, one gets each call. If it dies as well, they are orphans again."""
        # A CTE and not a subquery, which PostgreSQL might run more than once, limit or not.
        chosen = (
            sa.select(call_logs.c.id)
            .where(*_ORPHANED)
            .order_by(call_logs.c.started_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("chosen")
        )
        statement = (
            sa.update(call_logs)
            .where(call_logs.c.id.in_(sa.select(chosen.c.id)))
            .values(node_id=node_id)
            .returning(*CALL_COLUMNS)
        )
        async with self._database.single() as connection:
            rows = (await connection.execute(statement)).mappings().all()
            return [CallRow(**row) for row in rows]


async def _bury(connection: AsyncConnection, whom: sa.ColumnElement[bool]) -> list[str]:
    """One statement on PostgreSQL: a node that comes back at this very moment keeps everything."""
    dead = sa.delete(table).where(whom).returning(table.c.id)
    if connection.dialect.name == "sqlite":
        ids = list((await connection.execute(dead)).scalars())
        await connection.execute(sa.delete(call_slots).where(call_slots.c.node_id.in_(ids)))
        return ids
    gone = dead.cte("gone")
    freed = sa.delete(call_slots).where(call_slots.c.node_id.in_(sa.select(gone.c.id)))
    return list(
        (await connection.execute(sa.select(gone.c.id).add_cte(freed.cte("freed")))).scalars()
    )


@dataclass
class Node:
    """This process, in the register: `start`, then `run` for ever, `stop` in the end.

    `returned` is called when a beat found the row gone: this process was taken for dead (it had
    been stopped, or the database couldn't be reached), and what the others took from it must be
    taken again. `buried` is called when this node has reaped others, whose calls are orphans now.
    """

    database: Database
    clock: Clock
    role: str
    version: str
    returned: Callable[[], None] = lambda: None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    pace: Pace | None = None
    buried: Callable[[], None] = lambda: None
    register: NodeRegister = field(init=False)
    #: Nodes that beat, this one included, as of its last beat; by role.
    living: dict[str, int] = field(default_factory=dict, init=False)
    reaped: int = field(default=0, init=False)
    _others: list[NodeRow] = field(default_factory=list, init=False)
    _started_at: datetime | None = field(default=None, init=False)
    _seen_at: datetime | None = field(default=None, init=False)
    _began: float = field(default=0.0, init=False)
    _steady_since: float = field(default=0.0, init=False)
    _draining: bool = field(default=False, init=False)
    _failing: bool = field(default=False, init=False)
    _stopped: bool = field(default=False, init=False)
    _astray: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        assert self.role in ROLES
        self.register = NodeRegister(self.database, self.clock, self.pace)
        self.pace = self.register.pace

    # ------------------------------------------------------------------------------- its life

    async def start(self) -> None:
        """Enter the register. OperatorError when the database can't be reached.

        With SQLite a server is the only one: one before it that left its row has died.
        """
        if self.database.dialect == "sqlite" and self.role == "server":
            async with self.database.aside() as connection:
                await _bury(connection, table.c.role == self.role)
        await self.beat()

    async def run(self) -> None:
        """Beat, and reap the dead, for ever; a database that is away or slow is asked again."""
        while True:
            await self.sleep(self._pause())
            await self.turn()

    async def turn(self) -> None:
        """One beat, and what it shows. Takes no longer than twice the pace's patience."""
        try:
            async with asyncio.timeout(self.register.pace.patience):
                if not await self.beat():
                    log.warning("node.returned", node_id=self.id)
                    self.returned()
            if self._may_judge() and self._dead():
                async with asyncio.timeout(self.register.pace.patience):
                    await self._reap()
        except (OperatorError, TimeoutError) as error:
            self._steady_since = self.clock.monotonic()
            if not self._failing:
                log.warning("node.unseen", node_id=self.id, error=str(error))
            self._failing = True

    async def _reap(self) -> None:
        gone = await self.register.reap()
        self.reaped += len(gone)
        for node_id in gone:
            log.warning("node.reaped", node_id=node_id)
        if gone:
            self.buried()

    def relieved(self) -> bool:
        """As of our last beat: another server lives, and takes the calls that we don't."""
        if self._seen_at is None:
            return False
        limit = self._seen_at - timedelta(seconds=self.register.pace.dead)
        return any(
            row.role == "server" and row.draining_at is None and row.seen_at >= limit
            for row in self._others
        )

    async def drain(self) -> None:
        """Say that this node takes no new calls. OperatorError."""
        self._draining = True
        await self.beat()

    async def stop(self) -> None:
        """Leave the register, with all that is this node's; no beat enters it again.
        OperatorError."""
        self._stopped = True
        async with self.database.aside() as connection:
            await _bury(connection, table.c.id == self.id)

    # ------------------------------------------------------------------------------- one beat

    async def beat(self) -> bool:
        """Say that this node lives, and look who else does; False if it had to enter anew."""
        began, asked = self.clock.monotonic(), self.clock.now()
        now = database_now(self.database.dialect, self.clock)
        drained = now if self._draining else sa.null()
        insert = postgresql.insert if self.database.dialect == "postgresql" else sqlite.insert
        new = insert(table).values(
            id=self.id,
            role=self.role,
            version=self.version,
            started_at=now,
            seen_at=now,
            draining_at=sa.cast(drained, Instant),
        )
        statement = new.on_conflict_do_update(
            index_elements=[table.c.id],
            set_={
                "seen_at": new.excluded.seen_at,
                "draining_at": sa.func.coalesce(table.c.draining_at, new.excluded.draining_at),
            },
        ).returning(table.c.started_at, table.c.seen_at)
        async with self.database.aside() as connection:
            if self._stopped:
                return True
            started_at, seen_at = (await connection.execute(statement)).one()
            rows = (await connection.execute(sa.select(*table.c))).mappings().all()
        self._note(began, seen_at)
        self._compare(asked, seen_at)
        self._look([NodeRow(**row) for row in rows], seen_at)
        known, self._started_at = self._started_at, started_at
        return known is None or bool(known == started_at)

    def _note(self, began: float, seen_at: datetime) -> None:
        """Was this beat in time? After one that wasn't, or after the database's clock has jumped,
        others look dead who only had the same trouble."""
        took = began - self._began
        if self._seen_at is None:
            self._steady_since = began
        else:
            by_database = (seen_at - self._seen_at).total_seconds()
            late = took > self.register.pace.beat + _LATE
            if late or abs(by_database - took) > _LATE or self._failing:
                self._steady_since = began
        self._failing = False
        self._seen_at, self._began = seen_at, began

    def _compare(self, asked: datetime, seen_at: datetime) -> None:
        """Does our clock say what the database's does? By as much as this beat leaves no doubt."""
        off = max(asked - seen_at, seen_at - self.clock.now())
        if off > _ASTRAY and not self._astray:
            log.warning("node.clock_astray", node_id=self.id, seconds=round(off.total_seconds(), 1))
        self._astray = off > _ASTRAY

    def _look(self, rows: Sequence[NodeRow], now: datetime) -> None:
        self._others = [row for row in rows if row.id != self.id]
        limit = now - timedelta(seconds=self.register.pace.dead)
        living = [self.role, *(row.role for row in self._others if row.seen_at >= limit)]
        self.living = {role: living.count(role) for role in ROLES}

    def _silent(self) -> float:
        """For how long the most silent of the others hadn't beaten at our last beat, s."""
        if self._seen_at is None or not self._others:
            return 0.0
        return (self._seen_at - min(row.seen_at for row in self._others)).total_seconds()

    def _dead(self) -> bool:
        return self._silent() > self.register.pace.dead

    def _may_judge(self) -> bool:
        """Whether this node itself has been beating long enough to call others dead."""
        return self.clock.monotonic() - self._steady_since >= self.register.pace.dead

    def _pause(self) -> float:
        """Until the next beat: sooner, if somebody is about to be dead by then."""
        beat, dead, _ = self.register.pace
        left = dead - self._silent()
        return min(beat, left + 0.02) if left > 0 else beat
