"""Forwarding checks, and claims that lapse: the jobs behind `storage/lines.py`."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from domain import sms
from domain.clock import Clock
from domain.errors import NotFound, ProviderError
from domain.jobs import Again, Job, JobKind
from domain.lines import CHECK_WAITS, RING_SECONDS, TALK_SECONDS, UNKNOWN
from domain.messages import text
from messaging.money import tell_cap
from providers.twilio.calls import NewOutboundCall, TwilioCalls
from providers.twilio.rest import TwilioAccount
from server.money import UNPRICED_CALL, cap_of
from server.settings import Settings
from storage import LineCheck, Storage
from storage.lines import CHECK
from voice import twiml

log = structlog.get_logger(__name__)

#: A check that waits for another one looks again after so long.
SOON: Final = timedelta(seconds=3)
LAPSE: Final = "lines.lapse"
CODE_DIGITS: Final = 6
#: Twilio's states of a call that is over (twilio.md §4.3).
_OVER: Final = frozenset({"completed", "busy", "no-answer", "failed", "canceled"})


def line_jobs(settings: Settings, storage: Storage, clock: Clock) -> list[JobKind]:
    """Checks as they are asked for; claims lapse once a day."""
    checks = LineChecks(settings, storage, clock)
    return [
        JobKind(CHECK, checks, vendor="twilio"),
        JobKind(LAPSE, Lapses(storage), every=timedelta(days=1).total_seconds()),
    ]


@dataclass(frozen=True, slots=True)
class Lapses:
    """Ends what nobody has proven in time."""

    storage: Storage

    async def __call__(self, _job: Job) -> None:
        ended = await self.storage.lines.lapse()
        if ended:
            log.info("lines.lapsed", count=ended)


@dataclass(frozen=True, slots=True)
class LineChecks:
    """Calls the line; what comes of it is told by webhooks (`voice/line_tests.py`,
    `voice/webhooks.py`), and asked for here when its time is over. A run that finds that another
    one was calling calls nobody."""

    settings: Settings
    storage: Storage
    clock: Clock

    async def __call__(self, job: Job) -> Again | None:
        assert job.tenant_id is not None, "a check is a tenant's"
        try:
            async with self.storage.tenant(job.tenant_id).read() as rows:
                check = await rows.lines.check(str(job.payload["check_id"]))
        except NotFound:
            return None
        if check.state == "queued":
            return await self._begin(check)
        if check.state == "calling":
            return await self._settle(check)
        return None

    async def _begin(self, check: LineCheck) -> Again | None:
        lines, now = self.storage.lines, self.clock.now()
        if now > check.created_at + CHECK_WAITS:
            await lines.finish(check.id, UNKNOWN, "waited")
            return None
        async with self.storage.tenant(check.tenant_id).read() as rows:
            tenant = await rows.tenant()
        if tenant.status != "active":
            await lines.finish(check.id, UNKNOWN, "suspended")
            return None
        caller_id = await self._caller_id(check.tenant_id)
        if caller_id is None:
            await lines.finish(check.id, UNKNOWN, "no_number")
            return None
        code = None
        if check.kind == "code":
            code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        started = await lines.start(check.id, caller_id, code)
        if started is None:
            return Again(now + SOON)
        if not await self._may_spend(check):
            await lines.finish(check.id, UNKNOWN, "spend_cap")
            return None
        await self._call(started, caller_id, tenant.locale, code)
        return Again(started.ends_at or now)

    async def _caller_id(self, tenant_id: str) -> str | None:
        """A number of ours: the shared one, or one of the tenant's own."""
        if self.settings.twilio_phone_number:
            return self.settings.twilio_phone_number
        own = await self.storage.operator.numbers(tenant_id)
        return own[0] if own else None

    async def _may_spend(self, check: LineCheck) -> bool:
        prices = sms.read_prices(self.settings.call_prices)
        micros = prices.estimate(check.number, 1)
        async with self.storage.tenant(check.tenant_id).write() as rows:
            cost = UNPRICED_CALL if micros is None else micros
            if await rows.spending.spend(cost, cap_of(self.settings)):
                return True
            await tell_cap(rows)
            return False

    async def _call(self, check: LineCheck, caller_id: str, locale: str, code: str | None) -> None:
        if code is None:
            words = text(locale, "line_test")
        else:
            words = text(locale, "line_code", code=", ".join(code))
        call = NewOutboundCall(
            to=check.number,
            from_number=caller_id,
            twiml=twiml.say_and_hang_up(locale, words),
            status_url=f"{self.settings.public_url}/webhooks/twilio/voice/line-check/{check.id}",
            ring_seconds=RING_SECONDS,
            limit_seconds=TALK_SECONDS,
        )
        try:
            async with self._account() as account:
                sid = await TwilioCalls(account).place(call)
        except ProviderError as error:
            log.warning("line_check.not_called", code=error.code, status=error.status)
            refused = error.status is not None and 400 <= error.status < 500
            if refused or error.code == "not_configured":
                await self.storage.lines.finish(check.id, UNKNOWN, "refused")
            return  # else it may ring all the same
        await self.storage.lines.called(check.id, sid)

    async def _settle(self, check: LineCheck) -> Again | None:
        """Its time is over, or its node died; the carrier may know."""
        now = self.clock.now()
        if check.ends_at is not None and now < check.ends_at:
            return Again(check.ends_at)
        status = None
        if check.call_sid is not None:
            try:
                async with self._account() as account:
                    status = await TwilioCalls(account).status(check.call_sid)
            except ProviderError as error:
                log.warning("line_check.not_asked", code=error.code, status=error.status)
        if status in _OVER:
            await self.storage.lines.ended(check.id, status)
        await self.storage.lines.finish(check.id, UNKNOWN, "interrupted")
        return None

    def _account(self) -> TwilioAccount:
        tokens = self.settings.auth_tokens
        return TwilioAccount(
            self.settings.twilio_api_base_url,
            self.settings.twilio_account_sid or "",
            tokens[0] if tokens else "",
        )
