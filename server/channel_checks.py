"""What was saved of a tenant's mail server is tried out at once: nothing is sent, but a wrong
password shows before the first text waits for it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from domain.channel_state import EMAIL_CHECK
from domain.clock import Clock
from domain.errors import OperatorError, ProviderError
from domain.jobs import Again, Backoff, Job, JobKind
from messaging.holding import hold
from messaging.ports import ChannelPaused, Credentials
from providers.smtp import SmtpTexts
from server.texts import TextVendors
from storage import Storage

log = structlog.get_logger(__name__)

#: A server that is away is looked at so often, and then left to the texts, which try for a day.
LOOK_AGAIN: Final = timedelta(minutes=2)
LOOK_FOR: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class MailChecking:
    """The job after an email channel was saved."""

    storage: Storage
    clock: Clock
    email: SmtpTexts

    async def run(self, job: Job) -> Again | None:
        """Log in. Refused: the channel is paused, its owner told; taken: a pause is over."""
        tenant = self.storage.tenant(str(job.payload["tenant_id"]))
        async with tenant.read() as rows:
            channel = await rows.channels.get("email")
            try:
                credentials = Credentials(channel.config, rows.channels.opened(channel))
            except OperatorError:  # the state says so already
                return None
        if not self.email.usable(credentials):
            return None
        try:
            await self.email.check(credentials)
        except ChannelPaused as error:
            async with tenant.write() as rows:
                if (await rows.channels.get("email")).updated_at != channel.updated_at:
                    return None  # saved anew meanwhile, which has a job of its own
                await hold(rows, "email", error.code)
            log.info("email.refused", tenant_id=tenant.tenant_id, code=error.code)
            return None
        except ProviderError as error:
            log.info("email.not_checked", tenant_id=tenant.tenant_id, code=error.code)
            now, saved = self.clock.now(), channel.updated_at
            return Again(now + LOOK_AGAIN) if saved and now < saved + LOOK_FOR else None
        async with tenant.write() as rows:
            await rows.outbox.resume("email")
        return None


def channel_check_jobs(storage: Storage, clock: Clock, vendors: TextVendors) -> list[JobKind]:
    """Logging in at mail servers. WhatsApp's numbers: server/whatsapp_onboarding.py."""
    checking = MailChecking(storage, clock, vendors.email)
    patient = Backoff(first=10.0, longest=600.0, attempts=4)
    return [JobKind(EMAIL_CHECK, checking.run, vendor="smtp", backoff=patient)]
