"""What follows when an appointment was booked, moved, cancelled or corrected.

One job per appointment says that it changed; those who keep something in step with it are listed
here. Each looks at the row, and does nothing when there is nothing left to do: it may be called
more often than something changed, and only once for several changes.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog

from domain.clock import Clock
from domain.jobs import Again, Job, JobKind
from storage import Storage
from storage.appointments import CHANGED_JOB
from storage.appointments.lapsed import remove_lapsed_holds
from storage.database import Database

log = structlog.get_logger(__name__)

#: A tenant's id and an appointment's; it may answer when it wants to be called again.
Follower = Callable[[str, str], Awaitable[datetime | None]]

#: How often holds that nobody came back for are removed. They are free the moment they lapse.
SWEEP_JOB: Final = "appointments.lapsed"
SWEEP_EVERY: Final = timedelta(minutes=15)


class Followers:
    """Those who keep in step, one after the other: what one of them can't do stops no other."""

    def __init__(self, followers: Sequence[Follower]) -> None:
        self._followers = followers

    async def job(self, job: Job) -> Again | None:
        """The handler of CHANGED_JOB. Raises what the first that failed has raised, when all had
        their turn: the job is then tried again."""
        assert job.tenant_id is not None, "an appointment is a tenant's"
        appointment_id = str(job.payload["appointment_id"])
        failure: Exception | None = None
        again: list[datetime] = []
        for follower in self._followers:
            try:
                at = await follower(job.tenant_id, appointment_id)
            except Exception as error:  # noqa: BLE001 - raised below, after the others' turn
                failure = failure or error
                continue
            if at is not None:
                again.append(at)
        if failure is not None:
            raise failure
        return Again(min(again)) if again else None


def appointment_jobs(
    storage: Storage, database: Database, clock: Clock, followers: Sequence[Follower] = ()
) -> list[JobKind]:
    """The kinds of job that appointments need. `followers`: calendars, confirmations, reminders."""

    async def sweep(_job: Job) -> Again:
        removed = await remove_lapsed_holds(database, clock)
        if removed:
            log.info("appointments.lapsed", count=removed)
        return Again(clock.now() + SWEEP_EVERY)

    return [
        JobKind(CHANGED_JOB, Followers(followers).job),
        JobKind(SWEEP_JOB, sweep, every=SWEEP_EVERY.total_seconds()),
    ]
