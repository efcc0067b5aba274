"""The jobs that keep the busy times of calendars elsewhere.

A calendar's row is the truth: which address, what was read of it and when. Each has a job of its
own, which puts itself again; a job that was lost is woken. Whatever fails here fails for this
calendar alone: what was busy stays so for TRUSTED_FOR, its row says since when it is broken and
why, and its owner is told once.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
import structlog

from domain.agenda import MAX_HORIZON_DAYS
from domain.calendar_words import reason_words
from domain.clock import Clock
from domain.fetching import AddressRefused, ConditionalFetcher, Fetched
from domain.jobs import Again, Backoff, Job, JobKind, Jobs
from storage import Database, Storage, TenantHandle, TenantRows
from storage.calendars.external import ExternalCalendar, Source, Success
from storage.ical.reader import MAX_BYTES, CalendarReader, CalendarUnreadable
from storage.schema import external_calendars
from storage.secrets import NoKey, Unreadable

log = structlog.get_logger(__name__)

FETCH: Final = "calendars.fetch"
RECONCILE: Final = "calendars.reconcile"

#: Google writes its exports anew every few hours, Outlook about as often: more often would only
#: be a burden. https://support.google.com/calendar/answer/37648
EVERY: Final = timedelta(minutes=15)
#: One that fails is asked less and less often, at least so often.
SLOWEST: Final = timedelta(hours=6)
#: Calendars that were added together don't stay together.
JITTER: Final = 0.2
#: A single failure is nothing: the third in a row, half an hour later, is told.
PATIENCE: Final = 3
#: How far recurring events are followed: as far as anybody may book, and then some, so that a
#: calendar that doesn't change is read anew once a month.
REACH: Final = timedelta(days=MAX_HORIZON_DAYS + 30)
#: A fetch (20 s) and a reading (90 s), behind others that are read.
FETCH_SECONDS: Final = 300.0
#: A calendar that nobody has tried for so long has lost its job.
LOST: Final = 2 * SLOWEST
RECONCILE_SECONDS: Final = 3600.0
_AT_ONCE: Final = 200


async def wake(jobs: Jobs, calendar_id: str) -> None:
    """Read it now."""
    await jobs.put(FETCH, {"calendar_id": calendar_id}, key=f"{FETCH}:{calendar_id}")


@dataclass(frozen=True, slots=True)
class _Failure:
    """`error` is a key of the catalogue. `hopeless`: told at once, trying again won't mend it."""

    error: str
    detail: str | None = None
    hopeless: bool = False


class Fetching:
    """The handlers."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        clock: Clock,
        *,
        fetcher: ConditionalFetcher,
        reader: CalendarReader,
    ) -> None:
        self._database = database
        self._storage = storage
        self._clock = clock
        self._fetcher = fetcher
        self._reader = reader

    def kinds(self) -> list[JobKind]:
        """What the worker must know."""
        return [
            JobKind(
                FETCH,
                self.fetch,
                vendor="calendars",
                time_limit=FETCH_SECONDS,
                backoff=Backoff(first=30.0, longest=900.0, attempts=8),
            ),
            JobKind(RECONCILE, self.reconcile, every=RECONCILE_SECONDS),
        ]

    async def fetch(self, job: Job) -> Again | None:
        """Read one calendar, and come back for it. Nothing when it is gone or switched off."""
        tenant_id, calendar_id = _subject(job)
        handle = self._storage.tenant(tenant_id)
        async with handle.read() as rows:
            calendar = await rows.calendars.get(calendar_id)
            if calendar is None or not calendar.enabled:
                return None
            zone = (await rows.tenant()).timezone
            try:
                source = await rows.calendars.source(calendar_id)
            except (NoKey, Unreadable) as error:
                log.error("calendars.sealed", tenant_id=tenant_id, reason=str(error))
                source = None
        if source is None:
            # The operator's to mend; the job stays.
            outcome: Success | _Failure = _Failure("calendar_sealed")
            revision = calendar.revision
        else:
            outcome, revision = await self._read(tenant_id, source, zone), source.revision
        return await self._record(handle, calendar, revision, outcome)

    async def _record(
        self,
        handle: TenantHandle,
        calendar: ExternalCalendar,
        revision: int,
        outcome: Success | _Failure,
    ) -> Again:
        async with handle.write() as rows:
            if isinstance(outcome, Success):
                await rows.calendars.succeeded(calendar.id, revision, outcome)
                failures = 0
                log.info("calendars.read", tenant_id=handle.tenant_id, count=outcome.events)
            else:
                failures = calendar.failures + 1
                became = await rows.calendars.failed(
                    calendar.id,
                    revision,
                    outcome.error,
                    outcome.detail,
                    patience=1 if outcome.hopeless else PATIENCE,
                )
                if became:
                    await _tell(rows, calendar, outcome.error)
                log.info("calendars.failed", tenant_id=handle.tenant_id, reason=outcome.error)
        return Again(self._next(failures))

    def _next(self, failures: int) -> datetime:
        pause = min(SLOWEST, EVERY * (1 << min(10, max(0, failures - PATIENCE))))
        spread = 1 + JITTER * (2 * random.random() - 1)  # noqa: S311 - spreads, hides nothing
        return self._clock.now() + pause * spread

    # ------------------------------------------------------------------------------ reading

    async def _read(self, tenant_id: str, source: Source, zone: str) -> Success | _Failure:
        now = self._clock.now()
        conditions = _conditions(source, zone, now)
        try:
            page = await self._fetcher.fetch(source.url, headers=conditions, max_bytes=MAX_BYTES)
        except AddressRefused as refused:
            # What may be shown: never `reason`, which tells of our own network.
            detail = str(refused.status) if refused.status else refused.host or None
            return _Failure(f"calendar_{refused.code}", detail, hopeless=not refused.retryable)
        if page.status == 304:
            return Success(None)
        return await self._parsed(tenant_id, page, zone, now)

    async def _parsed(
        self, tenant_id: str, page: Fetched, zone: str, now: datetime
    ) -> Success | _Failure:
        start = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=1)
        end = start + REACH
        try:
            found = await self._reader.read(
                page.body, zone=zone, start=start, end=end, ours=f"@{tenant_id}"
            )
        except CalendarUnreadable as unreadable:
            # `too_slow` is what we say of a server.
            reason = "too_many" if unreadable.reason == "too_slow" else unreadable.reason
            return _Failure(f"calendar_{reason}")
        return Success(
            found.spans,
            found.events,
            found.notes,
            etag=page.etag,
            last_modified=page.last_modified,
            read_as=zone,
            expanded_until=end,
        )

    # --------------------------------------------------------------------------- reconciling

    async def reconcile(self, job: Job) -> None:
        """Wake the calendars whose job was lost: buried by hand, or with an older database."""
        table = external_calendars
        before = self._clock.now() - LOST
        statement = sa.select(table.c.tenant_id, table.c.id).where(
            table.c.enabled,
            sa.func.coalesce(
                table.c.attempted_at, table.c.created_at, type_=table.c.created_at.type
            )
            < before,
        )
        async with self._database.read() as connection:
            found = await connection.execute(statement.order_by(table.c.id).limit(_AT_ONCE))
            lost = [(str(row.tenant_id), str(row.id)) for row in found]
        for tenant_id, calendar_id in lost:
            async with self._storage.tenant(tenant_id).write() as rows:
                await wake(rows.jobs, calendar_id)
        if lost:
            log.warning("calendars.woken", count=len(lost))


def _conditions(source: Source, zone: str, now: datetime) -> Mapping[str, str]:
    """What lets the server answer that nothing has changed; nothing while the last reading is for
    another zone, or doesn't reach as far as somebody may book."""
    far = now + timedelta(days=MAX_HORIZON_DAYS)
    if source.read_as != zone or source.expanded_until is None or source.expanded_until < far:
        return {}
    given = {"if-none-match": source.etag, "if-modified-since": source.last_modified}
    return {name: value for name, value in given.items() if value}


async def _tell(rows: TenantRows, calendar: ExternalCalendar, error: str) -> None:
    locale = (await rows.tenant()).locale
    await rows.notifications.tell(
        "calendar_broken",
        subject_id=calendar.id,
        values={
            "subject": calendar.label or calendar.host,
            "reason": reason_words(error, locale),
        },
    )


def _subject(job: Job) -> tuple[str, str]:
    """Whose calendar. ValueError for a job that names none."""
    payload: Mapping[str, Any] = job.payload
    if job.tenant_id is None or not isinstance(payload.get("calendar_id"), str):
        raise ValueError("a job about a calendar names a tenant and a calendar")
    return job.tenant_id, payload["calendar_id"]
