"""The purge of this deployment: its periods, and its place among the jobs."""

from datetime import timedelta
from typing import Final

from domain.clock import Clock
from domain.jobs import JobKind
from server.settings import Settings
from storage.database import Database
from storage.purge import JOB_SECONDS, PURGE_JOB, Purge
from storage.retention import Periods

#: What the handler may take beyond its own limit: the batch under way, and the marks.
_MARGIN_SECONDS: Final = 60.0


def purge(settings: Settings, database: Database, clock: Clock) -> Purge:
    """What removes rows that have had their time."""
    return Purge(
        database,
        clock,
        Periods(
            transcripts=settings.retention_transcripts_days,
            calls=settings.retention_calls_days,
            messages=settings.retention_messages_days,
            prospects=settings.retention_prospects_days,
            tickets=settings.retention_tickets_days,
            appointments=settings.retention_appointments_days,
            dead_jobs=settings.retention_dead_jobs_days,
            # A person is kept no shorter than what there is of them.
            contacts=max(
                settings.retention_prospects_days,
                settings.retention_tickets_days,
                settings.retention_appointments_days,
            ),
            notifications=settings.retention_messages_days,
            audit=settings.retention_audit_days,
        ),
    )


def purge_job(settings: Settings, database: Database, clock: Clock) -> JobKind:
    """Every night, and at the first start."""
    return JobKind(
        PURGE_JOB,
        purge(settings, database, clock).job,
        time_limit=JOB_SECONDS + _MARGIN_SECONDS,
        every=timedelta(days=1).total_seconds(),
    )
