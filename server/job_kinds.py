"""Every kind of durable job that this deployment does, and what their vendors bear.

A feature adds its line to `job_kinds`. A kind with `every` is periodic: workers see to it that it
is there.
"""

from collections.abc import Mapping

from domain.clock import Clock
from domain.jobs import JobKind, VendorLimits
from server.knowledge import document_jobs
from server.retention import purge_job
from server.secret_rotation import reencryption
from server.settings import Settings
from storage import Storage
from storage.database import Database


def job_kinds(
    settings: Settings, database: Database, storage: Storage, clock: Clock
) -> list[JobKind]:
    """What a worker of this deployment can do."""
    return [
        purge_job(settings, database, clock),
        reencryption(storage),
        *document_jobs(settings, database, storage, clock),
    ]


def vendor_limits(settings: Settings) -> Mapping[str, VendorLimits]:
    """By the `vendor` of a kind; across all processes."""
    return {}
