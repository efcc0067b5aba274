"""The bypass: Twilio carries the call to Vapi by itself, and no audio passes through us.

What is said we learn from Vapi's messages, and what becomes of it when Vapi's stream ends we decide
again: a `<Redirect>` to `continue` stands behind Vapi's `<Connect>`. Between the two the call is
Vapi's: interruptions, what was heard, and stalls (docs/vapi.md).
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from domain.breaker import Breakers
from domain.errors import ProviderError
from storage import Storage
from storage.calls import CallRow
from storage.journal import JournalEntry
from voice import twiml
from voice.agents import RUNG_SECONDS, is_the_vendors
from voice.endings import CLOSING, LIVE, OPENING
from voice.history import CONNECTED
from voice.ladder import Rung
from voice.ports import BypassCalls, CallMetrics
from voice.streams import Streams
from voice.vapi_messages import BY_THE_ASSISTANT

log = structlog.get_logger(__name__)

#: The breaker of our account, which the stream's legs use too (`voice.agents`).
KEY: Final = f"{Rung.VAPI.value}:"
AGENT: Final = "vapi:bypass"
#: A caller waits while Vapi is asked whether it hung up on purpose.
ENDED_SECONDS: Final = 1.5


@dataclass(frozen=True, slots=True)
class Bypass:
    """`default`: for tenants that don't choose (`vapi.bridge` of their phone configuration)."""

    calls: BypassCalls
    breakers: Breakers
    storage: Storage
    streams: Streams
    addresses: twiml.Addresses
    metrics: CallMetrics
    default: bool

    def wanted(self, config: Mapping[str, Any]) -> bool:
        """By a tenant whose call Vapi is about to take."""
        own = config.get("vapi")
        chosen = own.get("bridge") if isinstance(own, Mapping) else None
        return self.default if chosen not in ("stream", "bypass") else chosen == "bypass"

    async def answer(self, row: CallRow) -> str | None:
        """The document for Twilio, once Vapi has given one and the call at Vapi is stored; None
        when the call must go another way, within RUNG_SECONDS. OperatorError."""
        if not self.breakers.attempt(KEY):
            return None
        told = False
        try:
            async with asyncio.timeout(RUNG_SECONDS):
                document = await self._answer(row)
            self.breakers.succeeded(KEY)
            told = True
        except (ProviderError, TimeoutError) as error:
            reason = error.code or error.reason if isinstance(error, ProviderError) else "timeout"
            if is_the_vendors(error):
                self.breakers.failed(KEY)
                told = True
            log.warning("agent.stepped_over", rung="vapi", reason=reason, call_id=row.id)
            self.metrics.count("agents_stepped_over", "vapi")
            return None
        finally:
            if not told:
                self.breakers.released(KEY)
        return document

    async def _answer(self, row: CallRow) -> str:
        setup = await self.streams.setup(row)
        if setup.spec.assistant_id is None:
            raise ProviderError(
                "vapi", "the tenant has no assistant", retryable=False, status=404, code="nobody"
            )
        call = await self.calls.open(setup.spec)
        try:
            document = twiml.then_continue(self.addresses, call.twiml)
        except ValueError as error:
            raise ProviderError(
                "vapi", str(error), retryable=False, code="unexpected_answer"
            ) from error
        # Before it is answered: by this its functions will be known to belong to the call.
        if not await self.storage.vapi_calls.link(row.id, call.id):
            raise ProviderError("vapi", "the call is over", retryable=False, status=409)
        connected = {"name": CONNECTED, "agent": AGENT}
        surroundings = self.streams.surroundings
        surroundings.journal.write(
            JournalEntry(row.id, surroundings.clock.now(), "event", connected)
        )
        return document

    async def was_tried(self, row: CallRow) -> bool:
        """Vapi has been asked for this call: Twilio asks once more because the answer was lost."""
        return await self.storage.vapi_calls.of(row.id) is not None

    async def is_over(self, row: CallRow) -> bool:
        """Vapi's stream has ended, and the caller is still there: did the assistant say goodbye?
        When that can't be known, it didn't: the call goes on. OperatorError."""
        reason = await self._reason(row)
        if reason is not None and reason.startswith(BY_THE_ASSISTANT):
            await self.storage.operator.set_stage(row.id, CLOSING, only_from=(OPENING, LIVE))
            return True
        log.warning("bypass.broke", call_id=row.id, reason=(reason or "unknown")[:80])
        self.metrics.count("bypass_broken")
        self.breakers.failed(KEY)
        return False

    async def _reason(self, row: CallRow) -> str | None:
        vapi_call_id = await self.storage.vapi_calls.of(row.id)
        if vapi_call_id is None:
            return None
        try:
            async with asyncio.timeout(ENDED_SECONDS):
                return await self.calls.ended(vapi_call_id)
        except (ProviderError, TimeoutError):
            return None
