"""How calls leave an assistant of Vapi's when it asks for it: for the owner's phone, or for good.

Vapi has nothing but the function's request; what it leads to is the carrier's to do, and ours to
order, once the words before it are spoken. Nothing here needs the node on which the call's stream
is; where it is on this one, closing it does what an order would have done, for behind it Twilio
asks `continue`, which goes by the stored stage.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import structlog
import tenacity

from domain.clock import Clock
from domain.errors import ProviderError
from storage import Storage
from storage.calls import CallRow
from voice.background import Background
from voice.endings import CLOSING, DIALLING, LIVE, OPENING, TRANSFERRING
from voice.ports import CallControl
from voice.twiml import Addresses

log = structlog.get_logger(__name__)

#: Speech at a telephone's pace, and Vapi's way to its first sound: a transfer waits for its words.
CHARACTERS_PER_SECOND: Final = 14
FIRST_SOUND_SECONDS: Final = 1.2
#: A goodbye is on the line when an assistant asks for the end.
GOODBYE_SECONDS: Final = 3.0
#: What the carrier doesn't take is asked of it so often …
TRIES: Final = 3
#: … so far apart.
PAUSE_SECONDS: Final = 0.5
#: Words, tries and the carrier's answers together take less: a transfer that still isn't made is
#: nobody's any more.
OVERDUE: Final = timedelta(seconds=45)

_TRANSFER, _END = "vapi.transfer", "vapi.end"


@dataclass(frozen=True, slots=True)
class Departures:
    """`close_stream`: of the call with this CallSid, if it is on this node; False when it isn't."""

    storage: Storage
    control: CallControl
    addresses: Addresses
    background: Background
    clock: Clock
    close_stream: Callable[[str], bool]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    _under_way: set[tuple[str, str]] = field(default_factory=set, repr=False)

    @property
    def are_under_way(self) -> bool:
        """Whether any wait for their words, or for the carrier."""
        return bool(self._under_way)

    async def transfer(self, row: CallRow, number: str, words: str) -> bool:
        """Stored at once, made when `words` have been spoken. From here on `continue` rings the
        owner as well, should this node die meanwhile, and no stream's end is the call's. False: it
        is under way already, or the call has ended. OperatorError: nothing was begun."""
        operator = self.storage.operator
        before = await operator.hand_over(
            row.id, number, stage=TRANSFERRING, only_from=(OPENING, LIVE)
        )
        if before is None and not await self._is_overdue(row.id):
            return False
        if before is None:
            await operator.set_transfer(row.id, number, DIALLING)
        seconds = FIRST_SOUND_SECONDS + len(words) / CHARACTERS_PER_SECOND
        self._start(_TRANSFER, row, lambda: self._transfer(row, before, seconds))
        return True

    async def _is_overdue(self, call_id: str) -> bool:
        """Whoever was to make its transfer never did: the node died, most likely."""
        current = await self.storage.operator.get_call(call_id)
        if current is None or current.outcome is not None:
            return False
        if (current.stage, current.transfer_state) != (TRANSFERRING, DIALLING):
            return False
        begun = await self.storage.operator.pending_transfers(self.clock.now() - OVERDUE)
        return all(each.call_id != call_id for each in begun)

    async def _transfer(self, row: CallRow, before: CallRow | None, seconds: float) -> None:
        await self.sleep(seconds)
        url = self.addresses.voice("transfer", row.id)
        done = await self._ordered(row, lambda: self.control.redirect(row.call_sid, url))
        if not done and before is not None:
            # The caller is still with the assistant, who may be asked once more.
            await self.storage.operator.take_back(before, only_from=TRANSFERRING)

    def end(self, row: CallRow) -> None:
        """Hang up once the goodbye is spoken."""
        self._start(_END, row, lambda: self._end(row))

    async def _end(self, row: CallRow) -> None:
        await self.sleep(GOODBYE_SECONDS)
        if await self.storage.operator.set_stage(row.id, CLOSING, only_from=(OPENING, LIVE)):
            await self._ordered(row, lambda: self.control.hang_up(row.call_sid))

    async def _ordered(self, row: CallRow, order: Callable[[], Awaitable[None]]) -> bool:
        """Whether the carrier has done it, or will, because the call's stream is closed. One that
        may have been done without an answer is ordered again: better rung twice than not at all."""

        async def once() -> None:
            try:
                await order()
            except ProviderError:
                if not self.close_stream(row.call_sid):
                    raise

        tries = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(TRIES),
            wait=tenacity.wait_exponential(multiplier=PAUSE_SECONDS),
            retry=tenacity.retry_if_exception_type(ProviderError),
            sleep=self.sleep,
            reraise=True,
        )
        try:
            await tries(once)
        except ProviderError as error:
            log.warning("departure.failed", call_id=row.id, reason=error.reason)
            return False
        return True

    def _start(
        self, name: str, row: CallRow, work: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        async def counted() -> None:
            try:
                await work()
            finally:
                self._under_way.discard((name, row.id))

        self._under_way.add((name, row.id))
        self.background.start(name, counted)
