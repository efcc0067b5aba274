"""How calls end: exactly one stored outcome each, whoever reports the end and however often."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from domain.clock import Clock
from domain.errors import OperatorError, ProviderError
from domain.outcome import Outcome, strongest
from storage import Storage
from storage.calls import CallRow
from voice.conclusion import conclude
from voice.follow_up import FollowUp
from voice.history import History, read_history
from voice.journal import Journal
from voice.ports import CallControl, CallMetrics

log = structlog.get_logger(__name__)

#: The carrier's states of a call that is over (twilio.md §1.1).
FINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
#: A stream that is ending stores more than a status callback knows: it goes first. It may wait for
#: a function (voice.functions.runner: 8 s, and 2 s to look for its commit); we look this often.
STREAM_FIRST_SECONDS = 12.0
LOOK_SECONDS = 1.0
#: Rows of calls on this node are touched this often …
TOUCH_SECONDS = 60.0
#: … and a call that nobody touched for this long is looked up at the carrier. Together with
#: `SWEEP_SECONDS` well under the five minutes that the issue allows.
UNSEEN = timedelta(seconds=150)
SWEEP_SECONDS = 30.0
#: Twilio lets no call last longer; past it, one that the carrier can't be asked about is over.
LONGEST = timedelta(hours=4)
#: A call that a sweep has claimed is left to it for so long: to look a batch up at the carrier.
CLAIMED = timedelta(seconds=45)
SWEEP_BATCH = 10
#: In one sweep; the rest waits for the next one.
SWEEP_BATCHES = 10

# Stages of a call_logs row.
ASKING, OPENING, LIVE = "asking", "opening", "live"
CLOSING, TRANSFERRING = "closing", "transferring"
OVERFLOW, REJECTED, BROKEN = "overflow", "rejected", "broken"
#: Without a stream: the one that there was had no agent left; by turns; the caller's message is
#: being recorded.
NO_AGENT, TURNS, VOICEMAIL = "no_agent", "turns", "voicemail"
#: Why a call was ended without an agent (`voice.call.conclude`).
_REASONS = {BROKEN: "fault", OVERFLOW: "overflow"}
# States of its transfer.
DIALLING, ACCEPTED, UNANSWERED = "dialling", "accepted", "failed"


@dataclass(frozen=True, slots=True)
class Endings:
    """Concludes calls. `live_ids`: the rows of the calls whose stream is on this node."""

    storage: Storage
    journal: Journal
    control: CallControl
    clock: Clock
    metrics: CallMetrics
    live_ids: Callable[[], Sequence[str]]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    #: A caller has left the voicemail without a message: True when they will be called back.
    missed: Callable[[CallRow], Awaitable[bool]] | None = None
    #: For texts after calls: where customers' pages are, and whether SMS can be answered.
    public_url: str = ""
    sms_replies: bool = True

    async def finish(
        self, call_id: str, outcome: Outcome, *, agent: str | None = None, detail: str = ""
    ) -> bool:
        """Store the outcome, once: the first to say it is believed. True if this was the first."""
        await self.journal.flush()
        await self._follow_up.before_the_end(call_id, outcome)
        first = await self.storage.journal.finish(
            call_id, outcome, self.clock.now(), agent=agent, detail=detail
        )
        if first:
            self.metrics.count("calls_ended", outcome.value)
            log.info("call.ended", call_id=call_id, outcome=outcome.value)
        return first

    async def close(self, row: CallRow, detail: str) -> None:
        """The carrier says that the call is over: conclude from what is stored."""
        if row.outcome is None:
            history = History()
            if row.tenant_id is not None:
                await self.journal.flush()
                history = await read_history(self.storage.tenant(row.tenant_id), row.id)
            outcome = _conclude(row, history)
            if row.stage == VOICEMAIL and self.missed and await self.missed(row):
                outcome = strongest([outcome, Outcome.TICKET]) or outcome
            await self.finish(row.id, outcome, agent=history.agent, detail=detail)

    async def close_from_status(self, call_sid: str, status: str, duration: int | None) -> None:
        """A status callback: the call is over, if the state is final."""
        if status not in FINAL:
            return
        row = await self.storage.operator.call_by_sid(call_sid)
        if row is None:
            return
        await self.storage.journal.close_from_carrier(call_sid, status, duration)
        await self.close(await self._after_its_stream(row), "status_callback")

    async def _after_its_stream(self, row: CallRow) -> CallRow:
        """The call once its stream has concluded it, or its recording has come, or once that
        would take too long."""
        left = STREAM_FIRST_SECONDS
        while row.outcome is None and row.stage in (LIVE, CLOSING, VOICEMAIL) and left > 0:
            await self.sleep(min(LOOK_SECONDS, left))
            left -= LOOK_SECONDS
            row = await self.storage.operator.call_by_sid(row.call_sid) or row
        return row

    async def call_back(self, row: CallRow, reason: str) -> bool:
        """A promised call-back is a row: a ticket for the tenant. False when nobody could be
        called back, because the number is withheld or no tenant is known."""
        return await self._follow_up.call_back(row, reason)

    async def nobody_answered(self, row: CallRow) -> None:
        """A transfer found nobody: the business is told. OperatorError."""
        await self._follow_up.nobody_answered(row)

    @property
    def _follow_up(self) -> FollowUp:
        return FollowUp(self.storage, self.clock, self.public_url, self.sms_replies)

    async def settle(self, row: CallRow) -> bool:
        """Close it if the carrier's own record says that it is over. OperatorError."""
        return await self._swept(row, self.clock.now())

    # ------------------------------------------------------------------------ the sweeper

    async def touch(self) -> None:
        """Tell the database, for ever, which calls are alive on this node."""
        while True:
            await self.sleep(TOUCH_SECONDS)
            ids = list(self.live_ids())
            if ids:
                try:
                    await self.storage.operator.touch(ids, self.clock.now())
                except OperatorError as error:
                    log.warning("calls.not_touched", error=str(error))

    async def sweep(self) -> None:
        """Close, for ever, the calls whose end nobody reported, from the carrier's record."""
        while True:
            await self.sleep(SWEEP_SECONDS)
            try:
                await self.sweep_once()
            except OperatorError as error:
                log.warning("calls.not_swept", error=str(error))

    async def sweep_once(self) -> int:
        """How many calls were closed. Several nodes may sweep at once: each call is one's."""
        now = self.clock.now()
        live = set(self.live_ids())
        closed = 0
        for _ in range(SWEEP_BATCHES):
            rows = await self._claim(now)
            for row in rows:
                if row.id not in live and await self._swept(row, now):
                    closed += 1
            if len(rows) < SWEEP_BATCH:
                break
        return closed

    async def _claim(self, now: datetime) -> Sequence[CallRow]:
        before = now - UNSEEN
        return await self.storage.operator.claim_unseen(before, before + CLAIMED, SWEEP_BATCH)

    async def _swept(self, row: CallRow, now: datetime) -> bool:
        """Close it if it is over. A call that can't be closed keeps none of the others open."""
        try:
            if not await self._is_over(row, now):
                return False
            await self.close(row, "carrier_record")
        except OperatorError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever is wrong with this row is its own
            log.error("call.not_closed", call_id=row.id, error=type(error).__name__)
            await self.storage.operator.touch([row.id], now)  # others first
            return False
        return True

    async def _is_over(self, row: CallRow, now: datetime) -> bool:
        try:
            record = await self.control.fetch(row.call_sid)
        except ProviderError as error:
            log.warning("call.not_fetched", call_id=row.id, reason=error.reason)
            return now - row.started_at > LONGEST
        if record is None:
            return True
        if record.status not in FINAL:
            await self.storage.operator.touch([row.id], now)  # ask again later
            return False
        await self.storage.journal.close_from_carrier(
            row.call_sid, record.status, record.duration_seconds
        )
        return True


def _conclude(row: CallRow, history: History) -> Outcome:
    if row.stage == REJECTED:
        return Outcome.FAILED
    if row.tenant_id is None:
        return Outcome.TENANT_UNKNOWN
    achieved = set(history.achieved)
    if row.transfer_state == ACCEPTED:
        achieved.add(Outcome.TRANSFERRED)
    return conclude(
        achieved,
        reason=_REASONS.get(row.stage, ""),
        caller_turns=history.caller_turns,
        answered=history.answered or history.farewell,
    )
