"""A running call, taken in hand from outside: ended, or handed over to a person.

The carrier is asked, and not the node whose stream it is: it works on any node, and also when that
one is stuck.
"""

from dataclasses import dataclass

import structlog

from domain.clock import Clock
from domain.errors import ProviderError
from storage import Storage
from storage.journal import JournalEntry
from voice.endings import (
    ASKING,
    CLOSING,
    LIVE,
    OPENING,
    TRANSFERRING,
    TURNS,
    VOICEMAIL,
)
from voice.history import END_ASKED
from voice.ports import CallControl
from voice.twiml import Addresses

log = structlog.get_logger(__name__)

#: Where an agent, or what stands in for one, has the call.
_WITH_US = (OPENING, LIVE, TURNS)


@dataclass(frozen=True, slots=True)
class Steering:
    """For whoever has made sure that the call is theirs."""

    storage: Storage
    control: CallControl
    addresses: Addresses
    clock: Clock

    async def end(self, call_id: str) -> bool:
        """Hang up. False when it has ended already. Raises ProviderError: it goes on."""
        operator = self.storage.operator
        row = await operator.get_call(call_id)
        if row is None or row.outcome is not None:
            return False
        # Before the carrier is asked: where a stream ends so, nobody takes the call up again.
        running = (*_WITH_US, ASKING, TRANSFERRING, VOICEMAIL)
        closing = await operator.set_stage(call_id, CLOSING, only_from=running)
        await self._note(call_id, END_ASKED)
        try:
            await self.control.hang_up(row.call_sid)
        except ProviderError:
            if closing:
                await operator.set_stage(call_id, row.stage, only_from=(CLOSING,))
            raise
        log.info("call.ended_from_outside", call_id=call_id)
        return True

    async def transfer(self, call_id: str, number: str) -> bool:
        """Ring `number` (E.164) for this caller. False when no agent has it (any more): it has
        ended, or is being transferred. Raises ProviderError: it goes on as it was."""
        operator = self.storage.operator
        before = await operator.hand_over(call_id, number, stage=TRANSFERRING, only_from=_WITH_US)
        if before is None:
            return False
        await self._note(call_id, "transfer_asked")
        try:
            url = self.addresses.voice("transfer", call_id)
            await self.control.redirect(before.call_sid, url)
        except ProviderError:
            await operator.take_back(before, only_from=TRANSFERRING)
            raise
        log.info("call.transferred_from_outside", call_id=call_id)
        return True

    async def _note(self, call_id: str, name: str) -> None:
        entry = JournalEntry(call_id, self.clock.now(), "event", {"name": name})
        await self.storage.journal.append([entry])
