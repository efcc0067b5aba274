"""The addresses of the API, and what stands before and around them."""

import re
from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route

from dashboard.api.appointments import Appointments
from dashboard.api.audit import AuditLog
from dashboard.api.auth import ApiGuard, KeyCache
from dashboard.api.business_hours import BusinessHours
from dashboard.api.calendars import CalendarEndpoints
from dashboard.api.calls import Calls
from dashboard.api.channels import Channels
from dashboard.api.cors import cors
from dashboard.api.events import Events
from dashboard.api.keys import Keys
from dashboard.api.knowledge import KnowledgeDocuments
from dashboard.api.limits import RequestLimits
from dashboard.api.notes import Notes
from dashboard.api.openapi import described
from dashboard.api.operations import resource
from dashboard.api.problem import EXCEPTION_HANDLERS
from dashboard.api.prospects import Prospects
from dashboard.api.session import SessionEndpoints
from dashboard.api.settings import ApiSettings
from dashboard.api.tenants import Tenants
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
    channels = Channels(storage, settings)
    calls, hours = Calls(storage), BusinessHours(storage)
    documents = KnowledgeDocuments(storage, knowledge or EmbeddedKnowledge(storage))
    calendars = CalendarEndpoints(storage, settings.public_url)
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
        resource("/v1/channels", GET=channels.index),
        resource("/v1/channels/{type}", GET=channels.show, PUT=channels.save),
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
        resource("/v1/calls", GET=calls.index),
        resource("/v1/calls/{id}", GET=calls.show),
        resource("/v1/appointments", GET=Appointments(storage).index),
        resource("/v1/business-hours", GET=hours.show, POST=hours.save),
        resource("/v1/prospects", GET=Prospects(storage).index),
        resource("/v1/tickets", GET=Tickets(storage).index),
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
