"""What we remember, always scoped to a tenant."""

from domain.clock import Clock
from storage.appointments import Appointment, Change, NewAppointment
from storage.appointments.links import LinkRegister
from storage.assistants import AssistantRegister
from storage.bookings import Unavailable, Wish
from storage.calendars import FeedRegister
from storage.call_register import CallRegister, OpenedCall, PendingTransfer
from storage.call_turns import CallTurns
from storage.calls import CallRow, NewCall, TimelineEntry
from storage.channels import Channel
from storage.counters import Rates
from storage.database import Database
from storage.functions import FunctionRun, Occasion, StoredResult, TextTurn
from storage.inbound import InboundTexts
from storage.jobs.desk import JobDesk
from storage.journal import CallJournal, JournalEntry
from storage.line_register import LineRegister
from storage.lines import Line, LineCheck
from storage.live_events import LiveEvent
from storage.live_feed import LiveEvents, Subscription
from storage.prospects import NewProspect, Prospect
from storage.rows import TenantHandle, TenantRows
from storage.scope import MAX_PAGE, Page
from storage.sealed_rows import SealedRows
from storage.secrets import KeyRing
from storage.sessions import Sessions
from storage.tenants import KeyHolder, TenantDirectory, TenantKey
from storage.text_reports import TextReports
from storage.text_rows import NewText, Report, Text
from storage.tickets import NewTicket, Ticket
from storage.vapi_calls import VapiCalls

__all__ = [
    "MAX_PAGE",
    "Appointment",
    "CallJournal",
    "CallRow",
    "CallTurns",
    "Change",
    "Channel",
    "Database",
    "FeedRegister",
    "FunctionRun",
    "JobDesk",
    "JournalEntry",
    "KeyHolder",
    "KeyRing",
    "Line",
    "LineCheck",
    "LineRegister",
    "LiveEvent",
    "LiveEvents",
    "NewAppointment",
    "NewCall",
    "NewProspect",
    "NewText",
    "NewTicket",
    "Occasion",
    "OpenedCall",
    "OperatorStore",
    "Page",
    "PendingTransfer",
    "Prospect",
    "Report",
    "Storage",
    "StoredResult",
    "Subscription",
    "TenantHandle",
    "TenantKey",
    "TenantRows",
    "Text",
    "TextTurn",
    "Ticket",
    "TimelineEntry",
    "Unavailable",
    "Wish",
]


class OperatorStore(TenantDirectory, CallRegister):
    """What isn't one tenant's: for the operator's commands and the verified webhooks alone."""


class Storage:
    """The three doors: the operator's, the journal's, and one per tenant."""

    def __init__(self, database: Database, clock: Clock, keyring: KeyRing | None = None) -> None:
        """Without a key ring all works but secrets: keeping or reading one is an error."""
        self._database = database
        self._clock = clock
        self._keyring = keyring
        self.operator = OperatorStore(database, clock)
        self.sealed_rows = SealedRows(database, keyring)
        self.journal = CallJournal(database, clock)
        self.turns = CallTurns(database, clock)
        self.live_events = LiveEvents(database)
        self.jobs = JobDesk(database, clock)
        self.rates = Rates(database, clock)
        self.sessions = Sessions(database, clock)
        self.assistants = AssistantRegister(database, clock)
        self.vapi_calls = VapiCalls(database, clock)
        self.feeds = FeedRegister(database, clock)
        self.links = LinkRegister(database)
        self.inbound = InboundTexts(database, clock)
        self.text_reports = TextReports(database, clock, keyring)
        self.lines = LineRegister(database, clock, keyring)

    async def empty_log(self) -> bool:
        """See Database.empty_log."""
        return await self._database.empty_log()

    def tenant(self, tenant_id: str) -> TenantHandle:
        """The tenant's rows, and nobody else's."""
        return TenantHandle(self._database, self._clock, tenant_id, self._keyring)
