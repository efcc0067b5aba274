"""The bypass: Twilio carries the call to Vapi by itself, and no audio passes through us.

What is said we learn from Vapi's messages, and what becomes of it when Vapi's stream ends we decide
again: a `<Redirect>` to `continue` stands behind Vapi's `<Connect>`. Between the two the call is
Vapi's: interruptions, what was heard, and stalls (docs/vapi.md).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from domain.agent import is_recorded
from domain.breaker import Breakers
from domain.clock import Clock
from domain.errors import ProviderError
from domain.messages import text
from domain.tenant import DEFAULT_LOCALE
from storage import Storage
from storage.calls import CallRow
from storage.journal import JournalEntry
from voice import twiml
from voice.agents import RUNG_SECONDS, is_the_vendors
from voice.endings import CLOSING, LIVE, OPENING
from voice.history import CONNECTED
from voice.ladder import Rung
from voice.ports import AgentSpec, BypassCall, BypassCalls, CallMetrics
from voice.streams import Streams
from voice.vapi_messages import (
    BY_THE_ASSISTANT,
    EXCEEDED_MAX_DURATION,
    NOT_BY_VAPI,
    SILENCE_TIMED_OUT,
)

log = structlog.get_logger(__name__)

#: The breaker of our account, which the stream's legs use too (`voice.agents`).
KEY: Final = f"{Rung.VAPI.value}:"
AGENT: Final = "vapi:bypass"
#: A caller waits while Vapi is asked whether it hung up on purpose, …
ENDED_SECONDS: Final = 1.5
#: … this often.
LOOK_SECONDS: Final = 0.2

#: Vapi's limits, and what is said then: it hangs up without a word.
_AT_ITS_LIMIT: Final = {
    EXCEEDED_MAX_DURATION: "max_duration_goodbye",
    SILENCE_TIMED_OUT: "silence_goodbye",
}


@dataclass(frozen=True, slots=True)
class Bypass:
    """`default`: for tenants that don't choose (`vapi.bridge` of their phone configuration)."""

    calls: BypassCalls
    breakers: Breakers
    storage: Storage
    streams: Streams
    addresses: twiml.Addresses
    metrics: CallMetrics
    clock: Clock
    default: bool
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def wanted(self, config: Mapping[str, Any]) -> bool:
        """By a tenant whose call Vapi is about to take. Not where calls are recorded: that is done
        by us, on a stream, once the caller has heard of it and as long as they don't refuse."""
        if is_recorded(config):
            return False
        own = config.get("vapi")
        chosen = own.get("bridge") if isinstance(own, Mapping) else None
        return self.default if chosen not in ("stream", "bypass") else chosen == "bypass"

    async def answer(self, row: CallRow) -> str | None:
        """The document for Twilio, once Vapi has given one and the call at Vapi is stored; None
        when the call must go another way: Vapi has RUNG_SECONDS. OperatorError."""
        spec = (await self.streams.setup(row)).spec
        opened = await self._opened(spec, row.id) if spec.assistant_id is not None else None
        if opened is None:
            return None
        vapi_call_id, document = opened
        # Before it is answered: by this its functions will be known to belong to the call.
        if not await self.storage.vapi_calls.link(row.id, vapi_call_id):
            return None  # it is over
        connected = {"name": CONNECTED, "agent": AGENT}
        surroundings = self.streams.surroundings
        surroundings.journal.write(
            JournalEntry(row.id, surroundings.clock.now(), "event", connected)
        )
        return document

    async def _opened(self, spec: AgentSpec, call_id: str) -> tuple[str, str] | None:
        """The id of a call at Vapi, and its document. What the breaker learns is Vapi's doing: our
        database isn't asked here."""
        if not self.breakers.attempt(KEY):
            return None
        told = False
        try:
            async with asyncio.timeout(RUNG_SECONDS):
                call = await self.calls.open(spec)
            document = self._going_on(call)
            self.breakers.succeeded(KEY)
            told = True
        except (ProviderError, TimeoutError) as error:
            reason = error.code or error.reason if isinstance(error, ProviderError) else "timeout"
            if is_the_vendors(error):
                self.breakers.failed(KEY)
                told = True
            log.warning("agent.stepped_over", rung="vapi", reason=reason, call_id=call_id)
            self.metrics.count("agents_stepped_over", "vapi")
            return None
        finally:
            if not told:
                self.breakers.released(KEY)
        return call.id, document

    def _going_on(self, call: BypassCall) -> str:
        try:
            return twiml.then_continue(self.addresses, call.twiml)
        except ValueError as error:
            raise ProviderError(
                "vapi", str(error), retryable=False, code="unexpected_answer"
            ) from error

    async def was_tried(self, row: CallRow) -> bool:
        """Vapi has been asked for this call: Twilio asks once more because the answer was lost."""
        return await self.storage.vapi_calls.of(row.id) is not None

    async def afterwards(self, row: CallRow) -> tuple[CallRow, str | None]:
        """Vapi's stream has ended, and the caller is still there. The call as it stands once it is
        known why, and the document that ends it; None when it goes on, as it does when nobody can
        say why. OperatorError."""
        current, reason = await self._ended(row)
        if current.outcome is not None or current.stage == CLOSING:
            return current, twiml.hang_up()
        if current.stage not in (OPENING, LIVE):
            return current, None
        if reason.startswith(BY_THE_ASSISTANT):
            return current, await self._closed(current, twiml.hang_up())
        for limit, words in _AT_ITS_LIMIT.items():
            if reason.startswith(limit):
                return current, await self._closed(current, await self._farewell(row, words))
        log.warning("bypass.broke", call_id=row.id, reason=(reason or "unknown")[:80])
        self.metrics.count("bypass_broken")
        if not reason.startswith(NOT_BY_VAPI):
            self.breakers.failed(KEY)
        return current, None

    async def _closed(self, row: CallRow, document: str) -> str:
        await self.storage.operator.set_stage(row.id, CLOSING, only_from=(OPENING, LIVE))
        return document

    async def _farewell(self, row: CallRow, words: str) -> str:
        tenant = await self.storage.operator.get_tenant(row.tenant_id) if row.tenant_id else None
        locale = tenant.locale if tenant is not None else DEFAULT_LOCALE
        return twiml.say_and_hang_up(locale, text(locale, words))

    async def _ended(self, row: CallRow) -> tuple[CallRow, str]:
        """The call as it stands, and why it ended at Vapi; "" if that can't be had. Vapi's own
        record may say a moment later that it has ended; what it posts to us may be there first."""
        vapi_call_id = await self.storage.vapi_calls.of(row.id)
        until = self.clock.monotonic() + ENDED_SECONDS
        while True:
            left = until - self.clock.monotonic()
            reason = await self._reason(vapi_call_id, left) if vapi_call_id is not None else ""
            current = await self.storage.operator.get_call(row.id) or row
            settled = current.outcome is not None or current.stage not in (OPENING, LIVE)
            if settled or reason is not None or self.clock.monotonic() + LOOK_SECONDS >= until:
                return current, reason or ""
            await self.sleep(LOOK_SECONDS)

    async def _reason(self, vapi_call_id: str, seconds: float) -> str | None:
        """None: it goes on, as far as Vapi knows, or Vapi doesn't tell."""
        try:
            async with asyncio.timeout(seconds):
                return await self.calls.ended(vapi_call_id)
        except (ProviderError, TimeoutError):
            return None
