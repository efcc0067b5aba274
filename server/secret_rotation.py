"""The job that gives tenants' credentials the newest key (docs/deploy.md, Rotating keys)."""

import structlog

from domain.errors import OperatorError
from domain.jobs import Again, Backoff, Job, JobKind
from storage import Storage

log = structlog.get_logger(__name__)

KIND = "secrets.reencrypt"
#: How soon what an old server has still sealed with the old key is found: one look at the table.
EVERY_SECONDS = 300.0
#: 200,000 channels take about a minute on SQLite.
TIME_LIMIT_SECONDS = 600.0


def reencryption(storage: Storage) -> JobKind:
    """Periodic. What can't be opened stays as it is and is said again each time; it is no dead
    letter, since it is cured by a key and not by another attempt."""

    async def handler(_job: Job) -> Again | None:
        if not await storage.sealed_rows.waiting(older_only=True):
            return None
        done = await storage.sealed_rows.reseal(older_only=True)
        log.info("secrets.resealed", count=done.count)
        if done.unopened:
            first = done.unopened[0].reason
            log.error("secrets.unreadable", count=len(done.unopened), reason=first)
        return None

    return JobKind(
        name=KIND,
        handler=handler,
        time_limit=TIME_LIMIT_SECONDS,
        backoff=Backoff(first=30.0, longest=300.0),
        every=EVERY_SECONDS,
    )


async def reencrypt_soon(storage: Storage) -> None:
    """At a server's start: if a key was promoted, don't let the job wait for its hour. Whatever
    fails here, calls are answered all the same."""
    try:
        if await storage.sealed_rows.waiting(older_only=True):
            await storage.jobs.put(KIND, {}, key=KIND)
    except OperatorError as error:
        log.warning("secrets.rotation_not_begun", error=str(error))
