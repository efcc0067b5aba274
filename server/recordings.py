"""The jobs that have Twilio begin and delete recordings of calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import structlog

from domain.clock import Clock
from domain.errors import ProviderError
from domain.jobs import Again, Backoff, Job, JobKind
from providers.http import surely_undone
from providers.twilio.recordings import TwilioRecordings
from providers.twilio.rest import TwilioAccount
from server.settings import Settings
from storage import Storage
from storage.recordings import DELETE, REFUSED, START

log = structlog.get_logger(__name__)

#: Deleting is a duty: a vendor may be away for a night, about 17 h.
DELETE_BACKOFF: Final = Backoff(first=2.0, longest=3600.0, attempts=24)
#: A call that isn't recorded soon isn't worth it any more.
START_BACKOFF: Final = Backoff(first=1.0, longest=5.0, attempts=3)


def recording_jobs(settings: Settings, storage: Storage, clock: Clock) -> list[JobKind]:
    """Both kinds."""
    jobs = RecordingJobs(
        settings=settings, storage=storage, clock=clock, days=settings.retention_recordings_days
    )
    return [
        JobKind(START, jobs.start, vendor="twilio", time_limit=30.0, backoff=START_BACKOFF),
        JobKind(DELETE, jobs.delete, vendor="twilio", time_limit=60.0, backoff=DELETE_BACKOFF),
    ]


class RecordingJobs:
    """`days`: how long a recording is kept."""

    def __init__(self, *, settings: Settings, storage: Storage, clock: Clock, days: int) -> None:
        self._settings = settings
        self._storage = storage
        self._clock = clock
        self._period = timedelta(days=days)

    async def start(self, job: Job) -> None:
        """Begin what was announced. Whether it was begun isn't always known: then nobody asks
        again, and deleting finds it by its call. Raises ProviderError when it surely wasn't."""
        assert job.tenant_id is not None, "a recording is a tenant's"
        recording_id, handle = str(job.payload["recording_id"]), self._storage.tenant(job.tenant_id)
        async with handle.write() as rows:
            it = await rows.recordings.get(recording_id)
            if it is None or not await rows.recordings.claim(recording_id):
                return
            # Before the carrier is asked: it is deleted in any case.
            await rows.recordings.delete_at(recording_id, self._clock.now() + self._period)
        async with self._carrier() as carrier:
            try:
                sid = await carrier.start(it.call_sid)
            except ProviderError as error:
                if surely_undone(error) or not error.retryable:
                    async with handle.write() as rows:
                        await rows.recordings.failed(recording_id)
                log.warning("recording.not_begun", tenant_id=job.tenant_id, code=error.code)
                return
        address = (
            f"{self._settings.twilio_api_base_url.rstrip('/')}/2010-04-01/Accounts/"
            f"{self._settings.twilio_account_sid}/Recordings/{sid}"
        )
        async with handle.write() as rows:
            if not await rows.recordings.started(recording_id, sid, address):
                await rows.recordings.delete_at(recording_id, None)
        log.info("recording.begun", tenant_id=job.tenant_id)

    async def delete(self, job: Job) -> Again | None:
        """Stop and delete what was refused, and what has had its time."""
        assert job.tenant_id is not None, "a recording is a tenant's"
        recording_id, handle = str(job.payload["recording_id"]), self._storage.tenant(job.tenant_id)
        async with handle.read() as rows:
            it = await rows.recordings.get(recording_id)
        if it is None:
            return None
        due = (it.started_at or self._clock.now()) + self._period
        if it.state != REFUSED and it.started_at is not None and self._clock.now() < due:
            return Again(due)
        async with self._carrier() as carrier:
            known = [it.recording_sid] if it.recording_sid else await carrier.of_call(it.call_sid)
            for sid in known:
                await carrier.remove(it.call_sid, sid)
        async with handle.write() as rows:
            await rows.recordings.gone(recording_id)
        log.info("recording.deleted", tenant_id=job.tenant_id, count=len(known))
        return None

    @asynccontextmanager
    async def _carrier(self) -> AsyncIterator[TwilioRecordings]:
        tokens = self._settings.auth_tokens
        async with TwilioAccount(
            self._settings.twilio_api_base_url,
            self._settings.twilio_account_sid or "",
            tokens[0] if tokens else "",
        ) as account:
            yield TwilioRecordings(account)
