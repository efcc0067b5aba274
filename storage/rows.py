"""A tenant's rows: the only door to them, and it opens on one tenant."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from domain.clock import Clock
from domain.tenant import Tenant
from storage.agenda import Agendas
from storage.appointments import Appointments
from storage.assistants import Assistants
from storage.audit import Audit, committed, settle
from storage.bookings import Bookings
from storage.calendars import Calendars
from storage.calls import Calls
from storage.channel_health import ChannelHealth
from storage.channels import Channels
from storage.consents import Consents
from storage.contacts import Contacts
from storage.conversations import Conversations
from storage.correspondence import Correspondence
from storage.database import Database
from storage.day_exceptions import DayExceptions
from storage.events import Events
from storage.exports import Exports
from storage.functions import Functions
from storage.hours import Hours
from storage.inbound import Endpoints, TenantInbound
from storage.instructions import Instructions
from storage.jobs import jobs_on
from storage.keys import Keys
from storage.knowledge.documents import Documents
from storage.lines import Lines
from storage.live_events import store
from storage.memory import Memories
from storage.notifications import Notifications
from storage.outbox import Outbox
from storage.persons import Persons
from storage.prospects import Prospects
from storage.recipients import Recipients
from storage.recordings import Recordings
from storage.reminders import Reminders
from storage.resources import Resources
from storage.scope import Scope
from storage.secrets import KeyRing
from storage.services import Services
from storage.spending import Spending
from storage.statistics import Statistics
from storage.templates import Templates
from storage.tickets import Tickets


class TenantRows:
    """All that belongs to one tenant, within one transaction."""

    __slots__ = (
        "_scope",
        "agenda",
        "appointments",
        "assistants",
        "audit",
        "bookings",
        "calendars",
        "calls",
        "channel_health",
        "channels",
        "consents",
        "contacts",
        "conversations",
        "correspondence",
        "endpoints",
        "events",
        "exceptions",
        "exports",
        "functions",
        "hours",
        "inbound",
        "instructions",
        "jobs",
        "keys",
        "knowledge",
        "lines",
        "memories",
        "notifications",
        "outbox",
        "persons",
        "prospects",
        "recipients",
        "recordings",
        "reminders",
        "resources",
        "services",
        "spending",
        "statistics",
        "templates",
        "tickets",
    )

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self.channels = Channels(scope)
        self.channel_health = ChannelHealth(scope)
        self.contacts = Contacts(scope)
        self.assistants = Assistants(scope)
        self.hours = Hours(scope)
        self.resources = Resources(scope)
        self.services = Services(scope)
        self.statistics = Statistics(scope)
        self.exceptions = DayExceptions(scope)
        self.agenda = Agendas(scope)
        self.appointments = Appointments(scope)
        self.bookings = Bookings(scope, self.appointments, self.agenda)
        self.outbox = Outbox(scope)
        self.recipients = Recipients(scope)
        self.persons = Persons(scope)
        self.recordings = Recordings(scope)
        self.instructions = Instructions(scope)
        self.notifications = Notifications(scope, self.outbox)
        self.prospects = Prospects(scope, self.contacts, self.notifications)
        self.tickets = Tickets(scope, self.contacts, self.notifications)
        self.functions = Functions(scope)
        self.calls = Calls(scope)
        self.calendars = Calendars(scope)
        self.consents = Consents(scope)
        self.templates = Templates(scope)
        self.jobs = jobs_on(scope.connection, scope.clock, scope.tenant_id)
        self.knowledge = Documents(scope)
        self.events = Events(scope)
        self.keys = Keys(scope)
        self.audit = Audit(scope)
        self.conversations = Conversations(scope)
        self.correspondence = Correspondence(scope)
        self.exports = Exports(scope)
        self.inbound = TenantInbound(scope)
        self.reminders = Reminders(scope)
        self.endpoints = Endpoints(scope)
        self.lines = Lines(scope)
        self.memories = Memories(scope)
        self.spending = Spending(scope)

    def now(self) -> datetime:
        """The instant of this transaction's clock."""
        return self._scope.now()

    async def tenant(self) -> Tenant:
        """The tenant itself; NotFound when it doesn't exist (any more)."""
        return await self._scope.tenant()


class TenantHandle:
    """Access to one tenant's rows. Cheap; keep it as long as you like."""

    __slots__ = ("_clock", "_database", "_keyring", "tenant_id")

    def __init__(
        self, database: Database, clock: Clock, tenant_id: str, keyring: KeyRing | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._keyring = keyring
        self.tenant_id = tenant_id

    @asynccontextmanager
    async def read(self) -> AsyncIterator[TenantRows]:
        """The tenant's rows at one moment; writing fails."""
        async with self._database.read() as connection:
            yield TenantRows(Scope(connection, self.tenant_id, self._clock, self._keyring))

    @asynccontextmanager
    async def write(self) -> AsyncIterator[TenantRows]:
        """One transaction: all of it is stored at the end of the block, or, when the block
        raises, nothing. Keep it short: on SQLite one writes at a time."""
        async with self._database.write() as connection:
            scope = Scope(connection, self.tenant_id, self._clock, self._keyring)
            yield TenantRows(scope)
            await settle(scope)
            await store(connection, scope.published)
        committed(scope)
