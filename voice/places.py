"""A tenant's places over all nodes, as one node takes them and gives them back.

Nobody waits for the database here but who asks for a place: what joins, leaves or ends is noted,
and told in batches.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from domain.errors import OperatorError
from voice.ports import CallMetrics

log = structlog.get_logger(__name__)

#: How long a webhook waits for the count. Its own answer should be there in 50 ms (issue 2).
TAKE_SECONDS = 1.0
#: How long telling may take.
TELL_SECONDS = 10.0
#: How often the places of running calls are renewed: well within what `CallSlots` gives them, and
#: soon enough for a place that was lost.
KEEP_SECONDS = 10.0
#: How soon what couldn't be told is told again.
AGAIN_SECONDS = 1.0
#: What is noted is bounded: beyond this it is forgotten, and its places expire by themselves.
MOST_NOTED = 10_000


class SharedPlaces(Protocol):
    """Where all nodes count (`storage.capacity.CallSlots`). Raises OperatorError."""

    async def take(self, call_sid: str, tenant_id: str, most: int | None) -> bool:
        """A place, unless the tenant has `most` already."""
        ...

    async def keep(self, call_sids: Collection[str]) -> None:
        """These calls are carried here."""
        ...

    async def free(self, left: Collection[str], over: Collection[str]) -> None:
        """These left this node; these are over."""
        ...

    async def expire(self) -> None:
        """Remove what nobody has kept."""
        ...


@dataclass(slots=True)
class Places:
    """One node's side of the count."""

    shared: SharedPlaces
    metrics: CallMetrics
    _joined: set[str] = field(default_factory=set)
    _left: set[str] = field(default_factory=set)
    _over: set[str] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _all: bool = False

    async def take(self, call_sid: str, tenant_id: str, most: int | None) -> bool | None:
        """Whether there is a place. None when nobody can tell in time: a counter that can't be
        read must lose no call, so that is logged and counted, and up to whoever asks."""
        self._left.discard(call_sid)
        try:
            async with asyncio.timeout(TAKE_SECONDS):
                return await self.shared.take(call_sid, tenant_id, most)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is a counter
            log.error("places.unknown", error=type(error).__name__)
            self.metrics.count("places_unknown")
            return None

    def joined(self, call_sid: str) -> None:
        """Its stream is here."""
        self._left.discard(call_sid)
        self._note(self._joined, call_sid)

    def left(self, call_sid: str) -> None:
        """Its stream is here no more."""
        self._joined.discard(call_sid)
        self._note(self._left, call_sid)

    def over(self, call_sid: str) -> None:
        """The call is over, wherever its stream was."""
        self._note(self._over, call_sid)

    def renew(self) -> None:
        """The places of all calls here may be lost: take them again."""
        self._all = True
        self._news.set()

    def _note(self, where: set[str], call_sid: str) -> None:
        if len(where) < MOST_NOTED:
            where.add(call_sid)
        self._news.set()

    async def run(self, live: Callable[[], Collection[str]]) -> None:
        """Tell what is noted, and renew the places of the calls that are `live` here, for ever.
        What couldn't be told is told later."""
        while True:
            try:
                async with asyncio.timeout(KEEP_SECONDS):
                    await self._news.wait()
            except TimeoutError:
                self._all = True
            try:
                async with asyncio.timeout(TELL_SECONDS):
                    await self._tell(live)
            except (OperatorError, TimeoutError) as error:
                log.warning("places.not_told", error=str(error))
                await asyncio.sleep(AGAIN_SECONDS)
                self._news.set()

    async def _tell(self, live: Callable[[], Collection[str]]) -> None:
        self._news.clear()
        await self._free()
        everything, joined = self._all, set(self._joined)
        calls = set(live()) if everything else joined
        if calls:
            await self.shared.keep(calls)
        self._joined -= joined
        if everything:
            await self.shared.expire()
            self._all = False

    async def _free(self) -> None:
        left, self._left = self._left, set()
        over, self._over = self._over, set()
        told = False
        try:
            if left or over:
                await self.shared.free(left, over)
            told = True
        finally:
            if not told:
                self._left |= left - self._joined
                self._over |= over
