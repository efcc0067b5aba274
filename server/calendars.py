"""Calendars elsewhere: what a worker of this deployment needs to read them."""

from domain.clock import Clock
from domain.jobs import JobKind, VendorLimits
from providers.guarded import GuardedDoor
from server.settings import Settings
from storage import Storage
from storage.calendars.fetching import Fetching
from storage.database import Database
from storage.ical.reader import CalendarReader

#: Strangers' servers, one request per calendar and quarter of an hour; a worker shares the machine
#: with calls.
LIMITS = VendorLimits(concurrent=4, concurrent_per_tenant=2)


def calendar_jobs(
    settings: Settings, database: Database, storage: Storage, clock: Clock
) -> list[JobKind]:
    """The kinds of job that keep others' busy times."""
    fetching = Fetching(
        database,
        storage,
        clock,
        fetcher=GuardedDoor(settings.guard_allowed_networks),
        reader=CalendarReader(),
    )
    return fetching.kinds()
