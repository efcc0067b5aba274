"""Every kind of durable job that this deployment does, and what their vendors bear.

A feature adds its line to `job_kinds`. A kind with `every` is periodic: workers see to it that it
is there.
"""

from collections.abc import Mapping

from domain.clock import Clock
from domain.jobs import JobKind, VendorLimits
from domain.knowledge import PassageIndex
from messaging.appointment_news import AppointmentNews
from messaging.ports import Sender
from providers.vapi.rest import VapiAccount
from server.appointment_jobs import appointment_jobs
from server.calendars import LIMITS as CALENDAR_LIMITS
from server.calendars import calendar_jobs
from server.call_prices import price_jobs
from server.conversations import reminding
from server.knowledge import PINECONE_LIMITS, document_jobs
from server.lines import line_jobs
from server.persons import person_jobs
from server.recordings import recording_jobs
from server.retention import purge_job
from server.secret_rotation import reencryption
from server.settings import Settings
from server.text_jobs import text_jobs
from server.texts import LIMITS as TEXT_LIMITS
from server.vapi_assistants import LIMITS as VAPI_LIMITS
from server.vapi_assistants import assistant_jobs
from server.voicemail import voicemail_jobs
from storage import Storage
from storage.database import Database


def job_kinds(
    settings: Settings,
    database: Database,
    storage: Storage,
    clock: Clock,
    index: PassageIndex | None = None,
    vapi: VapiAccount | None = None,
    senders: Mapping[str, Sender] | None = None,
) -> list[JobKind]:
    """What a worker of this deployment can do. `index`: where passages are published besides our
    own tables; `vapi`: where assistants are kept; `senders`: who sends texts, by channel."""
    return [
        purge_job(settings, database, clock),
        reencryption(storage),
        *appointment_jobs(
            storage,
            database,
            clock,
            [AppointmentNews(storage, clock).tell, reminding(settings, storage, clock).plan],
        ),
        *document_jobs(settings, database, storage, clock, index),
        *calendar_jobs(settings, database, storage, clock),
        *assistant_jobs(settings, storage, clock, vapi),
        *person_jobs(settings, storage, clock, vapi),
        *recording_jobs(settings, storage, clock),
        *price_jobs(settings, database, clock),
        *voicemail_jobs(settings, storage),
        *line_jobs(settings, storage, clock),
        *text_jobs(settings, storage, clock, senders or {}),
    ]


def vendor_limits(settings: Settings) -> Mapping[str, VendorLimits]:
    """By the `vendor` of a kind; across all processes."""
    return {
        "calendars": CALENDAR_LIMITS,
        "pinecone": PINECONE_LIMITS,
        "vapi": VAPI_LIMITS,
        **TEXT_LIMITS,
    }
