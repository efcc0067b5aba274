"""The job behind an erasure: vendors delete what they keep of the person, and SQLite's write-ahead
log forgets the pages as they were before.
"""

from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final
from urllib.parse import quote

import structlog

from domain.clock import Clock
from domain.errors import NotFound, ProviderError
from domain.jobs import Again, Backoff, Job, JobKind
from providers.twilio.rest import TwilioAccount
from providers.vapi.rest import VapiAccount
from server.settings import Settings
from storage import Storage
from storage.persons import ERASE, RECORDING

log = structlog.get_logger(__name__)

#: A vendor may be away for a night: about 17 h. Then the job is dead; its row says what is left.
BACKOFF: Final = Backoff(first=5.0, longest=3600.0, attempts=24)
#: How soon the log is tried again while somebody reads an older moment.
SOON: Final = timedelta(seconds=30)


def person_jobs(
    settings: Settings, storage: Storage, clock: Clock, vapi: VapiAccount | None
) -> list[JobKind]:
    """`vapi`: None without a key; what is to be deleted there waits for one."""

    async def run(job: Job) -> Again | None:
        async with AsyncExitStack() as stack:
            twilio = await stack.enter_async_context(
                TwilioAccount(
                    settings.twilio_api_base_url,
                    settings.twilio_account_sid or "",
                    settings.auth_tokens[0] if settings.auth_tokens else "",
                )
            )
            await delete_at_vendors(job, storage, twilio, vapi)
        return None if await storage.empty_log() else Again(clock.now() + SOON)

    return [JobKind(ERASE, run, vendor="twilio", time_limit=120.0, backoff=BACKOFF)]


async def delete_at_vendors(
    job: Job, storage: Storage, twilio: TwilioAccount, vapi: VapiAccount | None
) -> None:
    """Each thing that is left, once more if a vendor failed. Nothing to do when the erasure is gone
    with its tenant. Raises the last ProviderError, after all have been tried."""
    assert job.tenant_id is not None, "an erasure is a tenant's"
    erasure_id, handle = str(job.payload["erasure_id"]), storage.tenant(job.tenant_id)
    try:
        async with handle.read() as rows:
            pending = await rows.persons.pending(erasure_id)
    except NotFound:
        return
    left: list[tuple[str, str]] = []
    failed: ProviderError | None = None
    for kind, vendor_id in pending:
        try:
            await _delete(kind, vendor_id, twilio, vapi)
        except ProviderError as error:
            left.append((kind, vendor_id))
            failed = error
    async with handle.write() as rows:
        await rows.persons.settled(erasure_id, left)
    log.info("person.erased", tenant_id=job.tenant_id, count=len(pending) - len(left))
    if failed is not None:
        raise failed


async def _delete(
    kind: str, vendor_id: str, twilio: TwilioAccount, vapi: VapiAccount | None
) -> None:
    if kind == RECORDING:
        await twilio.delete(f"Recordings/{quote(vendor_id, safe='')}.json")
        return
    if vapi is None:
        raise ProviderError(
            "vapi", "no key: what it keeps can't be deleted", retryable=True, code="not_configured"
        )
    await vapi.delete_call(vendor_id)
