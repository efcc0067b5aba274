"""Calls whose node is gone: adopted by this one, and sent to where they go on.

When a process dies, its kernel closes the caller's websocket, and Twilio asks `continue` by itself
long before anybody misses the heartbeat. What comes here are calls of which it didn't notice: their
machine is frozen, or cut off from the network. docs/decisions/0018-rescue-and-drain.md.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog
import tenacity

from domain.clock import Clock
from domain.errors import OperatorError, ProviderError
from storage.calls import CallRow
from voice.endings import CLOSING, LIVE, TRANSFERRING, Endings
from voice.ports import CallControl, CallMetrics
from voice.twiml import Addresses

log = structlog.get_logger(__name__)

#: Calls that are being redirected at once: a vendor that is slow with some keeps no other waiting,
#: and half of our connections to it (`providers.http.Limits`) stay free for calls that run here.
AT_ONCE = 25
#: What Twilio needs at most to ask `continue` by itself: so long we wait where nobody has yet,
#: because a node has only just left, or we have only just started.
HEAD_START_SECONDS = 1.5
#: A call that can't be redirected for so long is left to the sweeper.
GIVE_UP_SECONDS = 30.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 4.0
#: Codes of a request that got no answer (`providers.http`): it was done, or it wasn't.
_UNANSWERED = frozenset({"timeout", "transport"})


class Orphans(Protocol):
    """Where the dead's calls are (`storage.nodes.NodeRegister`). Raises OperatorError."""

    async def adopt(self, node_id: str, limit: int) -> list[CallRow]:
        """Up to so many of them, which are this node's from now on, and nobody else's."""
        ...


@dataclass(slots=True)
class Rescue:
    """One node's; `run` belongs to the application's background. `every`: seconds between two
    looks when nobody calls `look`."""

    orphans: Orphans
    endings: Endings
    control: CallControl
    addresses: Addresses
    metrics: CallMetrics
    clock: Clock
    node_id: str
    every: float
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _buried: bool = False
    _full: bool = False
    _running: int = 0

    def look(self) -> None:
        """Some node was buried just now: what it carried has been silent for long enough."""
        self._buried = True
        self._wake.set()

    async def run(self) -> None:
        """Rescue, for ever. What one call takes holds up no other."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                head_start = 0.0 if self._buried else HEAD_START_SECONDS
                self._buried = self._full = False
                self._wake.clear()
                try:
                    await self._adopt(tasks, head_start)
                except OperatorError as error:
                    log.warning("orphans.not_adopted", error=str(error))
                try:
                    async with asyncio.timeout(self.every):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def _adopt(self, tasks: asyncio.TaskGroup, head_start: float) -> None:
        """No more than can be seen to now: the rest is for the other nodes, or for later."""
        places = AT_ONCE - self._running
        rows = await self.orphans.adopt(self.node_id, places) if places else []
        self._full = len(rows) == places
        for row in rows:
            self._running += 1
            tasks.create_task(self._see_to(row, head_start))

    async def _see_to(self, row: CallRow, head_start: float) -> None:
        began = self.clock.monotonic()
        became = "failed"
        try:
            await self.sleep(head_start)
            became = await self._bring_back(row)
        except Exception as error:  # noqa: BLE001 - one call must not cost the others theirs
            log.error("call.not_rescued", call_id=row.id, error=type(error).__name__)
        finally:
            self._running -= 1
            if self._full:
                self._wake.set()
        seconds = self.clock.monotonic() - began
        self.metrics.count("calls_rescued", became)
        self.metrics.observe("redirect", seconds)
        log.info("call.rescued", call_id=row.id, outcome=became, ms=round(seconds * 1000))

    async def _bring_back(self, row: CallRow) -> str:
        """What became of it. What may pass is tried again, each time only if it is still lost."""
        tries = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_delay(GIVE_UP_SECONDS),
            wait=tenacity.wait_exponential_jitter(
                multiplier=FIRST_PAUSE_SECONDS,
                max=LONGEST_PAUSE_SECONDS,
                jitter=FIRST_PAUSE_SECONDS,
            ),
            retry=tenacity.retry_if_exception(_may_pass),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return await tries(self._redirect, row)
        except ProviderError as error:
            if _may_pass(error):
                raise
        # Refused: it is over, most likely. Whether it is, the carrier's own record says.
        return "over" if await self.endings.settle(row) else "refused"

    async def _redirect(self, row: CallRow) -> str:
        """Send it on, unless it has gone on by itself: by its row, read at the last moment."""
        current = await self.endings.storage.operator.get_call(row.id)
        if current is None or current.outcome is not None:
            return "over"
        if not self._is_lost(row, current):
            return "went_on"
        if current.stage == CLOSING:  # the goodbye was said; only the hang-up may be missing
            await self.control.hang_up(row.call_sid)
            return "hung_up"
        await self.control.redirect(row.call_sid, self.addresses.voice("continue"))
        return "redirected"

    def _is_lost(self, row: CallRow, current: CallRow) -> bool:
        """Nobody has answered it since (`opening`), no stream has joined and nobody else carries it
        (`node_id`), it isn't asked or ringing somewhere without a stream, and it isn't a call of
        our own, should it be we who were taken for dead."""
        same = (current.node_id, current.opening) == (self.node_id, row.opening)
        streams = current.stage in (LIVE, CLOSING, TRANSFERRING)
        return same and streams and row.id not in self.endings.live_ids()


def _may_pass(error: BaseException) -> bool:
    """Also what may have been done: then the row says so by the next try, or the call is asked once
    more where it goes on, which gets the same answer (`Openings.just_answered`)."""
    if isinstance(error, ProviderError):
        return error.retryable or error.code in _UNANSWERED
    return isinstance(error, OperatorError)
