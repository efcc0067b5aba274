"""The addresses of the API, and what stands before and around them."""

import re
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

from dashboard.api.agenda import AgendaEndpoints
from dashboard.api.appointments import Appointments
from dashboard.api.audit import AuditLog
from dashboard.api.auth import ApiGuard, KeyCache
from dashboard.api.availability import Availability
from dashboard.api.business_hours import BusinessHours
from dashboard.api.calendars import CalendarEndpoints
from dashboard.api.calls import Calls
from dashboard.api.channel_addresses import ChannelAddresses
from dashboard.api.channel_saving import ChannelSaving
from dashboard.api.channel_status import ChannelStatus
from dashboard.api.channel_switches import ChannelSwitches
from dashboard.api.channels import Channels
from dashboard.api.communications import Communications
from dashboard.api.consents import Consents
from dashboard.api.contacts import Contacts
from dashboard.api.conversations import Conversations
from dashboard.api.cors import cors
from dashboard.api.events import Events
from dashboard.api.exports import Exports
from dashboard.api.instructions import InstructionEndpoints
from dashboard.api.keys import Keys
from dashboard.api.knowledge import KnowledgeDocuments
from dashboard.api.limits import RequestLimits
from dashboard.api.lines import LineEndpoints
from dashboard.api.live_calls import LiveCalls
from dashboard.api.local_storage import LocalStorageImport
from dashboard.api.message_models import MessageModels
from dashboard.api.notes import Notes
from dashboard.api.notifications import Notifications
from dashboard.api.openapi import described
from dashboard.api.operations import resource
from dashboard.api.persons import PersonRights
from dashboard.api.problem import EXCEPTION_HANDLERS
from dashboard.api.prospects import Prospects
from dashboard.api.reminders import Reminders
from dashboard.api.resources import ResourceEndpoints
from dashboard.api.services import ServiceEndpoints
from dashboard.api.session import SessionEndpoints
from dashboard.api.settings import ApiSettings
from dashboard.api.statistics import Statistics
from dashboard.api.templates import Templates
from dashboard.api.tenants import Tenants
from dashboard.api.texts import Texts
from dashboard.api.tickets import Tickets
from dashboard.api.tokens import Tokens
from domain.clock import Clock
from domain.knowledge import Knowledge
from storage import Storage
from storage.knowledge.search import EmbeddedKnowledge

PREFIX = "/api"


def routes(
    storage: Storage,
    settings: ApiSettings,
    clock: Clock,
    extra: Sequence[BaseRoute] = (),
    knowledge: Knowledge | None = None,
    tokens: Tokens | None = None,
) -> list[BaseRoute]:
    """Everything under /api/, to be put into the server's routes.

    It is an application of its own, so that whatever happens under /api/, unknown addresses
    included, passes the guard and ends as problem+json. `extra` are further routes to stand
    behind the same guard, with paths below /api. `knowledge`: what the agent searches, our own
    tables unless given.
    """
    api = Starlette(
        routes=[*described(endpoints(storage, settings, knowledge, tokens)), *extra],
        middleware=[
            Middleware(
                ApiGuard,
                cache=KeyCache(storage.operator, clock, tokens, storage.sessions),
                settings=settings,
                limits=RequestLimits(storage.rates, settings, clock),
                note=Notes(storage).note,
            ),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
    )
    # `/calls/` is another address than `/calls`: a redirect would be neither JSON nor a problem.
    api.router.redirect_slashes = False
    # Around everything, the answer to what nobody expected included: a page reads no error without.
    mount = Mount(PREFIX, app=api, middleware=cors(settings.cors_origins), name="api")
    # Starlette's own pattern lets a path with a line break (%0A) slip past the mount.
    mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)
    return [mount]


def endpoints(
    storage: Storage,
    settings: ApiSettings,
    knowledge: Knowledge | None = None,
    tokens: Tokens | None = None,
) -> list[Route]:
    """The route table, with paths below /api."""
    session = SessionEndpoints(storage, tokens)
    keys = Keys(storage)
    tenants = Tenants(storage, settings)
    hours = BusinessHours(storage)
    documents = KnowledgeDocuments(storage, knowledge or EmbeddedKnowledge(storage))
    calendars = CalendarEndpoints(storage, settings.public_url)
    appointments = Appointments(storage)
    conversations = Conversations(storage, settings.own_numbers)
    return [
        resource("/tenants", GET=tenants.index, POST=tenants.create),
        resource("/tenants/{id}", GET=tenants.show),
        resource("/tenants/{id}/keys", GET=tenants.keys, POST=tenants.create_key),
        resource("/tenants/{id}/keys/{key_id}", DELETE=tenants.revoke_key),
        resource("/tenants/{id}/numbers", POST=tenants.add_number),
        resource("/tenants/{id}/suspend", POST=tenants.suspend),
        resource("/tenants/{id}/resume", POST=tenants.resume),
        resource("/v1/auth/me", GET=session.me),
        resource("/v1/auth/refresh", POST=session.refresh),
        resource("/v1/auth/logout", POST=session.logout),
        resource("/v1/keys", GET=keys.index, POST=keys.create),
        resource("/v1/keys/{id}", DELETE=keys.revoke),
        resource("/v1/keys/{id}/rotate", POST=keys.rotate),
        resource("/v1/audit", GET=AuditLog(storage).index),
        *_calls(storage, settings),
        *_texts(storage, settings),
        *_persons(storage),
        *_channels(storage, settings),
        resource("/v1/calendars/feeds", GET=calendars.feeds, POST=calendars.add_feed),
        resource("/v1/calendars/feeds/{id}", DELETE=calendars.remove_feed),
        resource("/v1/calendars/external", GET=calendars.index, POST=calendars.add),
        resource(
            "/v1/calendars/external/{id}",
            GET=calendars.show,
            PATCH=calendars.change,
            DELETE=calendars.remove,
        ),
        resource("/v1/calendars/external/{id}/refresh", POST=calendars.refresh),
        resource("/v1/conversations", GET=conversations.index),
        resource("/v1/conversations/{id}", GET=conversations.show),
        resource("/v1/conversations/{id}/reply", POST=conversations.reply),
        resource("/v1/conversations/{id}/take-over", POST=conversations.take_over),
        resource("/v1/conversations/{id}/hand-back", POST=conversations.hand_back),
        resource("/v1/conversations/{id}/close", POST=conversations.close),
        resource("/v1/appointments", GET=appointments.index, POST=appointments.create),
        # Before /{id}, which would take it for one.
        resource(
            "/v1/appointments/settings",
            GET=appointments.settings,
            PUT=appointments.save_settings,
        ),
        resource(
            "/v1/appointments/{id}",
            GET=appointments.show,
            PATCH=appointments.change,
            PUT=appointments.change,
            DELETE=appointments.cancel,
        ),
        resource("/v1/business-hours", GET=hours.show, POST=hours.save),
        *_agenda(storage),
        *_people(storage),
        resource("/v1/events", GET=Events(storage).index),
        resource("/v1/knowledge/documents", GET=documents.index, POST=documents.create),
        # Before /{id}, which would take them for one.
        resource("/v1/knowledge/documents/upload", POST=documents.upload),
        resource("/v1/knowledge/documents/deleted", GET=documents.deleted),
        resource(
            "/v1/knowledge/documents/{id}",
            GET=documents.show,
            PATCH=documents.change,
            DELETE=documents.delete,
        ),
        resource("/v1/knowledge/documents/{id}/reindex", POST=documents.reindex),
        resource("/v1/knowledge/documents/{id}/restore", POST=documents.restore),
        resource("/v1/knowledge/ask", POST=documents.ask),
        resource("/v1/knowledge/search", POST=documents.ask),
    ]


def _channels(storage: Storage, settings: ApiSettings) -> list[Route]:
    """How customers reach the business."""
    status = ChannelStatus(storage, settings)
    saving = ChannelSaving(storage, status)
    channels = Channels(storage, settings, status, saving)
    switches = ChannelSwitches(storage, status, saving)
    addresses = ChannelAddresses(storage, status)
    return [
        resource("/channels/phone/config", POST=channels.save_phone),
        resource("/channels/{type}/config", GET=channels.show, PUT=channels.save),
        resource("/channels/{type}/toggle", POST=switches.toggle),
        resource("/v1/channels", GET=channels.index),
        # Fixed words stand before /{type}, which would take them for one.
        *_lines(storage, settings),
        resource("/v1/channels/etat", GET=switches.etat),
        resource("/v1/channels/email/presets", GET=addresses.presets),
        resource(
            "/v1/channels/email/inbound",
            GET=addresses.inbound,
            POST=addresses.make_inbound,
            DELETE=addresses.remove_inbound,
        ),
        resource("/v1/channels/whatsapp/webhook", POST=addresses.make_webhook),
        resource("/v1/channels/{type}", GET=channels.show, PUT=channels.save),
        resource("/v1/channels/{type}/enable", POST=switches.enable),
        resource("/v1/channels/{type}/disable", POST=switches.disable),
        resource("/v1/channels/{type}/resume", POST=switches.resume),
        resource("/v1/channels/{type}/connect", POST=channels.connect),
        resource("/v1/import/local-storage", POST=LocalStorageImport(storage, saving).take),
    ]


def _lines(storage: Storage, settings: ApiSettings) -> list[Route]:
    """The business's own lines; what it spends. Before /v1/channels/{type}."""
    lines = LineEndpoints(storage, settings)
    return [
        resource("/tenants/{id}/lines", GET=lines.lines, POST=lines.assign),
        resource("/tenants/{id}/spending", GET=lines.spending, PUT=lines.set_cap),
        resource("/v1/channels/numbers", GET=lines.numbers),
        resource("/v1/channels/phone/check", GET=lines.index, POST=lines.begin),
        resource("/v1/channels/phone/check/{id}", GET=lines.show),
        resource("/v1/channels/phone/check/{id}/code", POST=lines.prove),
    ]


def _calls(storage: Storage, settings: ApiSettings) -> list[Route]:
    """Calls, what was written, what it all came to, and as files. Before all others, whose /{id}
    would take a fixed word for one."""
    calls, live, figures = Calls(storage), LiveCalls(storage, settings), Statistics(storage)
    exports, written = Exports(storage), Communications(storage)
    tomorrow, models = Reminders(storage).send_tomorrow, MessageModels(storage)
    return [
        resource("/v1/calls", GET=calls.index),
        resource("/v1/calls/live", GET=live.index),
        resource("/v1/calls/stats", GET=figures.calls),
        resource("/v1/calls/transcripts", GET=calls.transcripts),
        resource("/v1/calls/export", GET=exports.calls),
        resource("/v1/calls/{id}", GET=calls.show),
        resource("/v1/calls/{id}/end", POST=live.end),
        resource("/v1/calls/{id}/transfer", POST=live.transfer),
        resource("/v1/calls/{id}/recording", GET=live.recording),
        resource("/v1/stats", GET=figures.index),
        resource("/v1/channels/stats", GET=figures.channels),
        resource("/v1/appointments/export", GET=exports.appointments),
        resource("/v1/contacts/export", GET=exports.contacts),
        resource("/v1/conversations/export", GET=exports.conversations),
        resource("/v1/messages/export", GET=exports.messages),
        resource("/v1/communications", GET=written.index),
        resource("/v1/communications/frise", GET=written.by_day),
        resource("/v1/communications/modeles/{type}", GET=models.show, PUT=models.save),
        resource("/v1/communications/modeles/{type}/verifier", POST=models.verify),
        resource("/v1/reminders/send-tomorrow", POST=tomorrow, PUT=tomorrow),
    ]


def _agenda(storage: Storage) -> list[Route]:
    """What can be booked when, and with whom."""
    agenda, times = AgendaEndpoints(storage), Availability(storage)
    bookable, services = ResourceEndpoints(storage), ServiceEndpoints(storage)
    one_service = {
        "GET": services.show,
        "PUT": services.change,
        "PATCH": services.change,
        "DELETE": services.remove,
    }
    return [
        resource("/v1/availability", GET=times.show, POST=times.save),
        resource("/v1/availability/slots", GET=times.slots),
        resource("/v1/services", GET=services.index, POST=services.create),
        resource("/v1/services/{id}", **one_service),
        resource("/v1/appointment-types", GET=services.index, POST=services.create),
        resource("/v1/appointment-types/{id}", **one_service),
        resource("/v1/resources", GET=bookable.index, POST=bookable.create),
        resource(
            "/v1/resources/{id}",
            GET=bookable.show,
            PUT=bookable.change,
            PATCH=bookable.change,
            DELETE=bookable.remove,
        ),
        resource(
            "/v1/agenda/rules", GET=agenda.rules, PUT=agenda.set_rules, PATCH=agenda.set_rules
        ),
        resource("/v1/agenda/exceptions", GET=agenda.exceptions, POST=agenda.add_exception),
        resource(
            "/v1/agenda/exceptions/{id}",
            GET=agenda.exception,
            PUT=agenda.change_exception,
            PATCH=agenda.change_exception,
            DELETE=agenda.remove_exception,
        ),
    ]


def _people(storage: Storage) -> list[Route]:
    """People, what they want, and what the business is told of it."""
    contacts, notifications = Contacts(storage), Notifications(storage)
    prospects, tickets = Prospects(storage), Tickets(storage)
    return [
        resource("/v1/contacts", GET=contacts.index, POST=contacts.create),
        # Fixed words stand before /{id}, which would take them for one.
        resource("/v1/contacts/proposals", GET=contacts.proposals),
        resource("/v1/contacts/proposals/{id}/decline", POST=contacts.decline),
        resource("/v1/contacts/{id}", GET=contacts.show, PATCH=contacts.change),
        resource("/v1/contacts/{id}/merge", POST=contacts.merge),
        resource("/v1/contacts/{id}/timeline", GET=contacts.timeline),
        resource("/v1/prospects", GET=prospects.index, POST=prospects.create),
        resource("/v1/prospects/export", GET=prospects.export),
        resource(
            "/v1/prospects/{id}",
            GET=prospects.show,
            PUT=prospects.change,
            PATCH=prospects.change,
            DELETE=prospects.delete,
        ),
        resource("/v1/prospects/{id}/convert", POST=prospects.convert),
        resource("/v1/prospects/{id}/history", GET=prospects.history),
        resource("/v1/tickets", GET=tickets.index, POST=tickets.create),
        resource("/v1/tickets/export", GET=tickets.export),
        resource(
            "/v1/tickets/{id}",
            GET=tickets.show,
            PATCH=tickets.change,
            PUT=tickets.change,
            DELETE=tickets.close,
        ),
        resource("/v1/tickets/{id}/history", GET=tickets.history),
        resource("/v1/notifications", GET=notifications.index),
        resource(
            "/v1/notifications/settings",
            GET=notifications.settings,
            PUT=notifications.configure,
        ),
        resource("/v1/notifications/settings/verify", POST=notifications.verify),
        resource("/v1/notifications/settings/send-code", POST=notifications.send_code),
        resource("/v1/notifications/read-all", PUT=notifications.read_all),
        resource("/v1/notifications/{id}/read", PUT=notifications.read),
    ]


def _persons(storage: Storage) -> list[Route]:
    """The rights of persons, and what the agent is told."""
    rights, told = PersonRights(storage), InstructionEndpoints(storage)
    return [
        resource("/v1/persons/export", POST=rights.export),
        resource("/v1/persons/erase", POST=rights.erase),
        resource("/v1/instructions", GET=told.index, POST=told.create),
        # Before /{id}, which would take it for one.
        resource("/v1/instructions/preview", GET=told.preview, POST=told.try_out),
        resource("/v1/instructions/{id}", GET=told.show),
        resource("/v1/instructions/{id}/activate", POST=told.activate),
    ]


def _texts(storage: Storage, settings: ApiSettings) -> list[Route]:
    texts, templates = Texts(storage, settings), Templates(storage, settings)
    consents = Consents(storage, settings)
    return [
        resource("/channels/test", POST=texts.test_channel),
        resource("/channels/{type}/send", POST=texts.send),
        resource("/v1/channels/{type}/test", POST=texts.test),
        resource("/v1/messages", GET=texts.index),
        resource("/v1/messages/preview", POST=texts.preview),
        resource("/v1/messages/{id}", GET=texts.show, DELETE=texts.cancel),
        resource("/v1/templates", GET=templates.index),
        resource(
            "/v1/templates/{channel}/{key}",
            GET=templates.show,
            PUT=templates.save,
            DELETE=templates.reset,
        ),
        resource("/v1/templates/{channel}/{key}/preview", POST=templates.preview),
        resource("/v1/consents", GET=consents.index, POST=consents.create),
    ]
