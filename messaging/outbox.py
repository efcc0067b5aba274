"""The job that sends texts: one of a lane at a time, in order, and none twice.

It looks at the row first. A transaction says `sending` before the vendor is asked; a run that finds
the `sending` of a dead one says `unknown` and asks nobody again, but the vendor what became of it,
where it can be asked. What may have changed since a text was put (consent, the appointment, who
answers) is looked at in the transaction that claims it.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from domain.clock import Clock
from domain.errors import NotFound, OperatorError, ProviderError
from domain.jobs import Again, Backoff, Job, JobKind
from domain.text_address import refusal
from domain.text_reasons import reason
from messaging.ports import (
    TIME_LIMIT,
    Accepted,
    ChannelPaused,
    Credentials,
    OutgoingText,
    Refused,
    Sender,
    TryLater,
    UnknownOutcome,
)
from messaging.ready import outgoing
from storage import Report, Storage, TenantRows, Text
from storage.outbox import KINDS

log = structlog.get_logger(__name__)

#: A text that waits for another one of its lane looks again after so long.
SOON: Final = timedelta(seconds=1)
#: A paused channel's texts look at its row so often; nobody is asked.
PAUSED: Final = timedelta(minutes=5)
#: When a vendor is asked what became of a text, counted from when it was handed over.
ASK_AFTER: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
#: After the failures that a vendor certainly hasn't taken a text by. Of email: text-channels.md
#: §3.2; the others are live conversations.
_MINUTES: Final[Mapping[str, tuple[float, ...]]] = {
    "email": (5, 15, 60, 240, 720),
    "sms": (0.2, 1, 5, 15, 60, 120),
    "whatsapp": (0.2, 1, 5, 15, 60, 120),
}
#: Tries to store what a vendor answered, a second apart: without it the text would be `unknown`.
_STORE_TRIES: Final = 10


@dataclass(frozen=True, slots=True)
class Stop:
    """A text that mustn't go any more: `code` is a reason of domain/text_reasons.py."""

    code: str
    status: str = "suppressed"  # or cancelled


#: Looks at a text just before it is sent, in the transaction that claims it. None: it may go.
Check = Callable[[TenantRows, Text], Awaitable[Stop | None]]
#: Counts what was handed over: channel, outcome.
Count = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class SendingPolicy:
    """The deployment's rules. `countries`: ISO 3166; `per_day`: texts of one tenant."""

    countries: Collection[str] = frozenset()
    per_day: int = 1000
    public_url: str = ""


def _uncounted(_channel: str, _outcome: str) -> None:
    """Nobody counts."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A text that is claimed, and all that sending it needs: no transaction is open any more."""

    text: Text
    outgoing: OutgoingText
    sender: Sender
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class TextSending:
    """The handler of all kinds `text.<channel>`. `senders` by channel, `checks`
    by purpose ("" for all)."""

    storage: Storage
    clock: Clock
    senders: Mapping[str, Sender]
    policy: SendingPolicy = field(default_factory=SendingPolicy)
    checks: Mapping[str, Sequence[Check]] = field(default_factory=dict)
    count: Count = _uncounted

    async def __call__(self, job: Job) -> Again | None:
        """One step: send the first text of the lane, ask about an unknown one, or wait."""
        assert job.tenant_id is not None, "a text is a tenant's"
        text_id = str(job.payload["text_id"])
        step = await self._prepare(job.tenant_id, text_id)
        if isinstance(step, _Ready):
            await self._hand_over(job.tenant_id, step)
            return await self._next(job.tenant_id, text_id)
        if isinstance(step, Text):
            await self._ask(job.tenant_id, step)
            return await self._next(job.tenant_id, text_id)
        return step

    async def _next(self, tenant_id: str, text_id: str) -> Again | None:
        """When the job's own text wants to be looked at again."""
        async with self.storage.tenant(tenant_id).read() as rows:
            text = await rows.outbox.get(text_id)
        now = self.clock.now()
        if text.status == "queued":
            return Again(max(now, text.due_at or now) if text.attempts else now)
        if text.status == "sending":
            return Again(now + SOON)
        if text.status == "unknown":
            asked_at = text.claimed_at or now
            later = [asked_at + after for after in ASK_AFTER if asked_at + after > now]
            return Again(later[0]) if later else None
        return None

    # ------------------------------------------------------------------------- before it

    async def _prepare(self, tenant_id: str, text_id: str) -> _Ready | Text | Again | None:
        """The text to send, claimed; the unknown one to ask about; when to look again; or None:
        nothing is left to do."""
        async with self.storage.tenant(tenant_id).write() as rows:
            try:
                own = await rows.outbox.get(text_id)
            except NotFound:
                return None
            if own.status == "unknown":
                return own
            if own.status not in ("queued", "sending"):
                return None
            first = await rows.outbox.first_of(own.lane)
            now = self.clock.now()
            if first is None:
                return Again(max(own.due_at or now, now + SOON))
            if first.status == "sending":
                return await self._already_sending(rows, first, text_id)
            if first.due_at is not None and first.due_at > now:
                return Again(first.due_at)
            return await self._claimed(rows, first, text_id)

    async def _already_sending(self, rows: TenantRows, text: Text, by: str) -> Again:
        """Somebody is at it; or was, and died of it: nobody knows how far."""
        now = self.clock.now()
        if not rows.outbox.is_dead(text, by):
            return Again(now + SOON)
        await rows.outbox.move(text.id, "unknown", source="us", code="unknown_outcome")
        self.count(text.channel, "unknown")
        return Again(now)

    async def _claimed(self, rows: TenantRows, text: Text, by: str) -> _Ready | Again:
        now = self.clock.now()
        if text.expires_at is not None and text.expires_at <= now:
            return await self._end(rows, text, Stop("expired", "expired"))
        credentials = await _credentials(rows, text.channel)
        if credentials is None:
            return await self._end(rows, text, Stop("credentials_unreadable"))
        sender = self.senders.get(text.channel)
        if sender is None or not sender.usable(credentials):
            return await self._end(rows, text, Stop("channel_not_configured"))
        if await rows.outbox.paused(text.channel) is not None:
            return Again(now + PAUSED)
        number = text.sender or sender.sender(credentials)
        stop = await self._stop(rows, text, number)
        if stop is not None:
            return await self._end(rows, text, stop)
        ready = await outgoing(rows, text, number, self.policy.public_url, now)
        if ready is None:
            return await self._end(rows, text, Stop("whatsapp_window"))
        if not await rows.outbox.claim(text.id, by, vendor=sender.vendor, sender=number):
            return Again(now + SOON)
        if ready.message_id and not text.message_id:
            await rows.outbox.remember(text.id, message_id=ready.message_id)
        return _Ready(text, ready, sender, credentials)

    async def _end(self, rows: TenantRows, text: Text, stop: Stop) -> Again:
        await rows.outbox.move(text.id, stop.status, source="us", code=stop.code)
        self.count(text.channel, stop.status)
        return Again(self.clock.now())

    async def _stop(self, rows: TenantRows, text: Text, number: str) -> Stop | None:
        """Why it mustn't go, as things are now."""
        if (await rows.tenant()).status != "active":
            return Stop("tenant_suspended")
        code = refusal(text.channel, text.to, self.policy.countries)
        if code is None and number and await rows.outbox.is_blocked(number, text.to):
            code = "sender_blocked"
        if code is None:
            code = await rows.consents.refusal(text.channel, text.to, text.purpose, text.contact_id)
        if code is not None:
            return Stop(code)
        for check in (*self.checks.get("", ()), *self.checks.get(text.purpose, ())):
            stop = await check(rows, text)
            if stop is not None:
                return stop
        first_try = text.attempts == 0 and text.purpose != "owner"
        if first_try and not await rows.outbox.count("sent", self.policy.per_day):
            return Stop("daily_cap")
        return None

    # --------------------------------------------------------------------------- sending

    async def _hand_over(self, tenant_id: str, ready: _Ready) -> None:
        """Ask the vendor, once, and store what it says."""
        text, sender = ready.text, ready.sender
        outcome: Accepted | ProviderError | ChannelPaused
        try:
            async with asyncio.timeout(TIME_LIMIT):
                outcome = await sender.send(ready.outgoing, ready.credentials)
        except (Refused, TryLater, UnknownOutcome, ChannelPaused) as error:
            outcome = error
        except Exception as error:  # noqa: BLE001 - whatever it is, the vendor may have the text
            log.error("texts.sender_failed", channel=text.channel, error=type(error).__name__)
            outcome = UnknownOutcome(sender.vendor, type(error).__name__)
        for tries_left in reversed(range(_STORE_TRIES)):
            try:
                async with self.storage.tenant(tenant_id).write() as rows:
                    await self._store(rows, text, sender.vendor, outcome)
                return
            except OperatorError:
                if not tries_left:
                    raise
                await asyncio.sleep(1.0)

    async def _store(
        self,
        rows: TenantRows,
        text: Text,
        vendor: str,
        outcome: Accepted | ProviderError | ChannelPaused,
    ) -> None:
        if isinstance(outcome, Accepted):
            await _accepted(rows, text, vendor, outcome)
            said = "accepted"
        elif isinstance(outcome, ChannelPaused):
            await self._paused(rows, text, outcome)
            said = "paused"
        elif isinstance(outcome, TryLater):
            said = await self._later(rows, text, vendor, outcome)
        elif isinstance(outcome, Refused):
            code = outcome.code or "refused"
            report = Report("failed", vendor, "refused", code=code, at=self.clock.now())
            await rows.outbox.report(text.id, report)
            said = "refused"
        else:
            await rows.outbox.move(text.id, "unknown", source=vendor, code="unknown_outcome")
            said = "unknown"
        self.count(text.channel, said)

    async def _later(self, rows: TenantRows, text: Text, vendor: str, error: TryLater) -> str:
        minutes = _MINUTES[text.channel]
        if text.attempts >= len(minutes):
            code = error.code or "too_many_attempts"
            await rows.outbox.move(text.id, "failed", source=vendor, code=code)
            return "gave_up"
        wait = minutes[text.attempts] * 60 * (0.75 + random.random() / 2)  # noqa: S311 - jitter
        due_at = self.clock.now() + timedelta(seconds=max(wait, error.after or 0.0))
        await rows.outbox.put_back(text, due_at, error.code or None)
        return "later"

    async def _paused(self, rows: TenantRows, text: Text, error: ChannelPaused) -> None:
        """It waits, with all that comes; the owner is told once."""
        tenant = await rows.tenant()
        words = reason(error.code, tenant.locale)
        await rows.outbox.put_back(text, self.clock.now() + PAUSED, error.code or None)
        if await rows.outbox.pause(text.channel, error.code or "refused", words):
            log.warning("texts.channel_paused", channel=text.channel, code=error.code)
            await rows.notifications.tell(
                "channel_paused",
                subject_id=text.channel,
                values={"channel": text.channel, "reason": words},
            )

    # ------------------------------------------------------------------------ afterwards

    async def _ask(self, tenant_id: str, text: Text) -> None:
        """Ask what became of an unknown text; that nothing is found proves nothing."""
        now = self.clock.now()
        if text.claimed_at is None or now < text.claimed_at + ASK_AFTER[0]:
            return
        async with self.storage.tenant(tenant_id).read() as rows:
            credentials = await _credentials(rows, text.channel)
            ready = await outgoing(rows, text, text.sender or "", self.policy.public_url, now)
        sender = self.senders.get(text.channel)
        if credentials is None or ready is None or sender is None:
            return
        try:
            async with asyncio.timeout(TIME_LIMIT):
                found = await sender.find(ready, credentials, text.claimed_at)
        except (ProviderError, ChannelPaused, TimeoutError):
            return
        if found is None:
            return
        async with self.storage.tenant(tenant_id).write() as rows:
            if not await rows.outbox.sent_with(found.vendor_id):
                await _accepted(rows, text, sender.vendor, found)
                self.count(text.channel, "found")


async def _accepted(rows: TenantRows, text: Text, vendor: str, accepted: Accepted) -> None:
    report = Report(
        status=accepted.status,
        source=vendor,
        word=f"taken:{accepted.status}",
        vendor_id=accepted.vendor_id or None,
        segments=accepted.segments,
        price_micros=accepted.price_micros,
        price_currency=accepted.price_currency,
    )
    await rows.outbox.report(text.id, report)
    if accepted.sender:
        await rows.outbox.remember(text.id, sender=accepted.sender)
    if await rows.outbox.paused(text.channel) is not None:
        await rows.outbox.resume(text.channel)


async def _credentials(rows: TenantRows, channel: str) -> Credentials | None:
    """The tenant's, opened; None when they can't be."""
    saved = await rows.channels.get(channel)
    if not saved.has_secrets:
        return Credentials(saved.config)
    try:
        return Credentials(saved.config, rows.channels.opened(saved))
    except OperatorError:
        return None


#: Who sends by which channel, as the limits are named (server/texts.py).
VENDORS: Final[Mapping[str, str]] = {"sms": "twilio", "email": "smtp", "whatsapp": "whatsapp"}
#: What a handler may take: a vendor's limit, storing the answer, and looking before and after.
_LIMIT: Final = TIME_LIMIT + _STORE_TRIES + 20.0


def sending_jobs(sending: TextSending) -> list[JobKind]:
    """A kind per channel. What fails in a text is kept in its row; a job fails of our own bugs and
    of a database that is away."""
    return [
        JobKind(
            kind,
            sending,
            vendor=VENDORS[channel],
            time_limit=_LIMIT,
            backoff=Backoff(first=2.0, longest=300.0, attempts=20),
        )
        for channel, kind in KINDS.items()
    ]
