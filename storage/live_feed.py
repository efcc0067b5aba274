"""Live events on their way to dashboards: one `LiveEvents` per process, told by the database.

A tenant that somebody listens to has a feed: the last events, read once for all who listen. Nobody
has a queue: whoever is slower than the feed remembers reads on from the table, so that a dashboard
that sleeps costs no memory, and misses nothing that is still stored.

On PostgreSQL one connection of its own LISTENs; when it is lost, it is opened again and everybody
looks at the table, for nobody knows what was announced meanwhile. On SQLite, whose processes can't
wake each other, the newest number is looked at while somebody listens.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import sqlalchemy as sa
import structlog

from domain.errors import OperatorError
from storage.database import Database
from storage.live_events import CHANNEL, LiveEvent, read_after
from storage.schema import live_events as table

log = structlog.get_logger(__name__)

#: How many events of a tenant are kept in memory while somebody listens: what is said on a dozen
#: calls within a minute.
REMEMBERED = 256
#: How many are handed over, or read, at once.
STRETCH = 100
#: How often SQLite is looked at while somebody listens, seconds.
LOOK_SECONDS = 0.2
#: How often a silent LISTEN connection is asked whether it is still there, and how long it may
#: take to answer, seconds.
CHECK_SECONDS = 15.0
CHECK_TIMEOUT_SECONDS = 5.0
#: How soon a lost LISTEN connection is opened again, at first and at most, seconds.
AGAIN_SECONDS, LONGEST_AGAIN_SECONDS = 0.1, 5.0

#: What asyncpg raises when the database is gone, or says no.
_GONE = (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)


class _Feed:
    """One tenant's events from now on: those with `base` < seq <= `head` are remembered."""

    def __init__(self, database: Database, tenant_id: str, head: int) -> None:
        self._database = database
        self._tenant_id = tenant_id
        self._recent: deque[LiveEvent] = deque()
        self._base = self.head = head
        self._reading = asyncio.Lock()
        self._stale = True
        self.news = asyncio.Event()
        self.listeners = 0

    def announce(self, seq: int | None = None) -> None:
        """There may be an event with this number (None: with any); everybody looks."""
        if seq is not None and seq <= self.head:
            return
        self._stale = True
        self.news.set()
        self.news = asyncio.Event()

    async def after(self, seq: int) -> list[LiveEvent]:
        """A stretch of the events with a greater number; empty when there is none yet."""
        await self._refresh()
        if seq >= self._base:
            return [event for event in self._recent if event.seq > seq][:STRETCH]
        return await self._read(seq)

    async def _refresh(self) -> None:
        async with self._reading:
            while self._stale:
                self._stale = False
                try:
                    events = await self._read(self.head)
                except BaseException:
                    self._stale = True
                    raise
                self._remember(events)
                if len(events) == STRETCH:
                    self._stale = True

    def _remember(self, events: list[LiveEvent]) -> None:
        for event in events:
            self._recent.append(event)
            self.head = event.seq
            if len(self._recent) > REMEMBERED:
                self._base = self._recent.popleft().seq

    async def _read(self, seq: int) -> list[LiveEvent]:
        async with self._database.read() as connection:
            return await read_after(connection, self._tenant_id, seq, STRETCH)


class Subscription:
    """One listener's place in a tenant's events.

    `missed`: the place that was asked for isn't known any more (or not yet: another database), so
    that events may be missing before the first one.
    """

    def __init__(self, feed: _Feed, seq: int, *, missed: bool) -> None:
        self._feed = feed
        self.seq = seq
        self.missed = missed

    async def next(self, within: float) -> list[LiveEvent]:
        """The next events, at least one, in order; empty when none came within so many seconds.
        Raises OperatorError when the database can't be read; nothing is lost by asking again."""
        news = self._feed.news
        events = await self._feed.after(self.seq)
        if not events:
            try:
                async with asyncio.timeout(within):
                    await news.wait()
            except TimeoutError:
                return []
            events = await self._feed.after(self.seq)
        if events:
            self.seq = events[-1].seq
        return events


class LiveEvents:
    """`run` belongs to the application's task group; without it nobody hears of anything new."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._feeds: dict[str, _Feed] = {}
        self._wanted = asyncio.Event()

    @asynccontextmanager
    async def subscribe(
        self, tenant_id: str, after: int | None = None
    ) -> AsyncIterator[Subscription]:
        """This tenant's events after that number; by default, those from now on."""
        oldest, newest, latest = await self._extent(tenant_id)
        feed = self._feeds.setdefault(tenant_id, _Feed(self._database, tenant_id, latest))
        feed.listeners += 1
        self._wanted.set()
        try:
            if after is None:
                yield Subscription(feed, latest, missed=False)
            elif after > newest:
                yield Subscription(feed, latest, missed=True)
            else:
                yield Subscription(feed, after, missed=after < oldest - 1)
        finally:
            feed.listeners -= 1
            if not feed.listeners:
                del self._feeds[tenant_id]
            if not self._feeds:
                self._wanted.clear()

    async def _extent(self, tenant_id: str) -> tuple[int, int, int]:
        """The oldest number that is stored, the newest, and the tenant's newest; 0 for none.

        The first two are anybody's: a number below all that are left may have had a neighbour of
        this tenant's that is gone.
        """
        own = sa.select(sa.func.max(table.c.seq)).where(table.c.tenant_id == tenant_id)
        statement = sa.select(
            sa.func.min(table.c.seq), sa.func.max(table.c.seq), own.scalar_subquery()
        )
        async with self._database.read() as connection:
            oldest, newest, latest = (await connection.execute(statement)).one()
        return oldest or 0, newest or 0, latest or 0

    async def run(self) -> None:
        """Tell listeners, for ever, of what was committed by whichever process."""
        if self._database.dialect == "postgresql":
            await self._listen()
        else:
            await self._look()

    def _announce_all(self) -> None:
        for feed in self._feeds.values():
            feed.announce()

    # ---------------------------------------------------------------------------- SQLite

    async def _look(self) -> None:
        seen = None
        while True:
            await self._wanted.wait()
            try:
                async with self._database.read() as connection:
                    statement = sa.select(sa.func.max(table.c.seq))
                    newest = (await connection.execute(statement)).scalar()
            except OperatorError as error:
                log.warning("events.not_read", error=str(error))
            else:
                if newest != seen:
                    seen = newest
                    self._announce_all()
            await asyncio.sleep(LOOK_SECONDS)

    # ------------------------------------------------------------------------ PostgreSQL

    async def _listen(self) -> None:
        pause = AGAIN_SECONDS
        while True:
            await self._wanted.wait()
            try:
                async with self._database.dedicated() as connection:
                    lost = await self._listening(connection)
                    pause = AGAIN_SECONDS
                    self._announce_all()
                    await _until_lost(connection, lost)
            except (OperatorError, *_GONE) as error:
                log.warning("events.not_listening", error=str(error))
            else:
                log.warning("events.listening_lost")
            # Seldom rather than never: the pool may still reach the database.
            self._announce_all()
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret
            pause = min(pause * 2, LONGEST_AGAIN_SECONDS)

    async def _listening(self, connection: Any) -> asyncio.Event:
        """Announcements arrive from now on; the event is set when they no longer can."""
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _connection: lost.set())
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            await connection.add_listener(CHANNEL, self._on_notify)
        return lost

    def _on_notify(self, _connection: object, _pid: int, _channel: str, payload: str) -> None:
        tenant_id, _, seq = payload.rpartition(":")
        feed = self._feeds.get(tenant_id)
        if feed is not None:
            feed.announce(int(seq))


async def _until_lost(connection: Any, lost: asyncio.Event) -> None:
    """Return when the connection has ended, or has stopped answering."""
    while True:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await lost.wait()
                return
        except TimeoutError:
            pass
        try:
            await connection.execute("SELECT 1", timeout=CHECK_TIMEOUT_SECONDS)
        except _GONE:
            return
