"""How a server stops that carries calls: nothing new, and time for what is under way."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog

from domain.clock import Clock
from domain.errors import OperatorError
from server.membership import announce_draining
from storage.nodes import Node
from voice.background import Background
from voice.journal import Journal
from voice.live_calls import LiveCalls

log = structlog.get_logger(__name__)

#: How often we look whether the last call is over.
LOOK_SECONDS = 0.1
#: After a stream's end Twilio asks how the call goes on, or tells that it is over.
AFTERWARDS_SECONDS = 2.0
#: How long storing what was said last may take before whoever takes over reads it.
FLUSH_SECONDS = 2.0


@dataclass(slots=True)
class Drain:
    """Begun once, by SIGTERM. `/readyz` says so at once; `over` when nothing is left to wait for.

    `seconds`: how long calls may go on when another node takes the new ones; `alone_seconds`: when
    there is none, and new callers wait for whoever starts in our place. `calls_elsewhere`: whether
    this node is about to do something for calls whose streams it doesn't have.
    """

    node: Node
    live_calls: LiveCalls
    journal: Journal
    background: Background
    clock: Clock
    seconds: float
    alone_seconds: float
    calls_elsewhere: Callable[[], bool] = lambda: False
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    over: bool = field(default=False, init=False)
    _began: float = field(default=0.0, init=False)
    _last_stream: float = field(default=-math.inf, init=False)

    def begin(self) -> None:
        """Take no new calls. Idempotent; returns at once."""
        if self.live_calls.draining:
            return
        self.live_calls.draining = True
        self._began = self.clock.monotonic()
        self.background.start("drain", self._run)

    async def _run(self) -> None:
        try:
            await announce_draining(self.node)
            log.info("drain.began", calls=len(self.live_calls), alone=self.live_calls.is_closed)
            while self._is_busy() and self._left() > 0:
                await self.sleep(LOOK_SECONDS)
            await self._hand_over()
        finally:
            self.over = True
        log.info("drain.over", seconds=math.ceil(self.clock.monotonic() - self._began))

    def _is_busy(self) -> bool:
        """Streams are open, or calls elsewhere need us; or, while nobody else would be asked, they
        are about to be, or were just now."""
        now = self.clock.monotonic()
        if len(self.live_calls) > 0 or self.calls_elsewhere():
            self._last_stream = now
            return True
        if not self.live_calls.is_closed:
            return False
        return self.live_calls.expected > 0 or now - self._last_stream < AFTERWARDS_SECONDS

    def _left(self) -> float:
        """By whether another node is there *now*: it may have come, or gone, since we began."""
        limit = self.alone_seconds if self.live_calls.is_closed else self.seconds
        return self._began + limit - self.clock.monotonic()

    async def _hand_over(self) -> None:
        """What still runs goes on with another node, or with whoever starts in our place: their
        first line is a bundled one, and they know what was said."""
        calls = self.live_calls.hand_over()
        for call_id in calls:
            log.info("call.handed_over", call_id=call_id)
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self.journal.flush()
        except (OperatorError, TimeoutError) as error:
            log.error("journal.lost_at_stop", error=str(error))
