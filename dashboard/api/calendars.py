"""Calendars: `/api/v1/calendars/feeds` gives the tenant's appointments out at secret addresses,
`/api/v1/calendars/external` takes the busy times of calendars elsewhere in.

An address is shown when it is made (feeds), or never again (external): whoever has it reads.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, TypedDict
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import clean_text, json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.query import is_identifier
from dashboard.catalogue import has_sentence, sentence
from domain.errors import Invalid, NotFound
from domain.permissions import May
from domain.tenant import Tenant
from storage import Storage, TenantRows
from storage.calendars import TRUSTED_FOR, ExternalCalendar, Feed
from storage.calendars.fetching import wake

LONGEST_LABEL, LONGEST_URL = 80, 2000
#: Without it a feed would be told from a page by its type alone; some programs look at the name.
FEED_PATH = "/calendar/{token}.ics"

Label = Annotated[str, msgspec.Meta(max_length=LONGEST_LABEL)]


class NewFeedBody(msgspec.Struct, frozen=True, rename="camel"):
    """`resource`: whose appointments; null: everybody's. `showNames`: what customers are called,
    instead of what they come for alone."""

    label: Label = ""
    resource: str | None = None
    show_names: bool = False


class FeedJson(TypedDict):
    """A feed, without its address. `readAt`: when a program read it last, to the hour."""

    id: str
    label: str
    resource: str | None
    showNames: bool
    createdAt: str
    readAt: str | None


class FeedList(TypedDict):
    """Oldest first."""

    success: bool
    feeds: list[FeedJson]


class FeedMade(TypedDict):
    """`url` is shown here and never again."""

    success: bool
    message: str
    feed: FeedJson
    url: str


class CalendarMessage(TypedDict):
    """What was done, in words."""

    success: bool
    message: str


class NewCalendarBody(msgspec.Struct, frozen=True):
    """`url`: https://, http:// or webcal://. `resource`: whose time it takes; "": everybody's."""

    url: Annotated[str, msgspec.Meta(max_length=LONGEST_URL)]
    label: Label = ""
    resource: str = ""


class CalendarChangeBody(msgspec.Struct, frozen=True):
    """What is absent stays as it is."""

    url: Annotated[str, msgspec.Meta(max_length=LONGEST_URL)] | UnsetType = UNSET
    label: Label | UnsetType = UNSET
    resource: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class CalendarErrorJson(TypedDict):
    """`detail`: the HTTP status, or the host that a redirect leads to."""

    code: str
    message: str
    detail: str | None


class CalendarJson(TypedDict):
    """A calendar elsewhere. `since`: how long it has been in its `state`. `fetchedAt`: when it was
    last read with success, changed or not; its busy times count until `trustedUntil`, broken or
    not. `events`: how many it had then. `notes`: what was read with a grain of salt."""

    id: str
    label: str
    resource: str
    host: str
    enabled: bool
    state: Literal["new", "ok", "broken"]
    since: str
    error: CalendarErrorJson | None
    failures: int
    attemptedAt: str | None
    fetchedAt: str | None
    trustedUntil: str | None
    events: int
    notes: list[str]
    createdAt: str


class CalendarList(TypedDict):
    """Oldest first."""

    success: bool
    calendars: list[CalendarJson]


class CalendarAnswer(TypedDict):
    """One, as it is now."""

    success: bool
    calendar: CalendarJson


class CalendarSaved(TypedDict):
    """One, as it is now, and what was done, in words."""

    success: bool
    message: str
    calendar: CalendarJson


class CalendarEndpoints:
    """The handlers. `public_url`: where feeds are read."""

    def __init__(self, storage: Storage, public_url: str) -> None:
        self._storage = storage
        self._public_url = public_url.rstrip("/")

    # -------------------------------------------------------------------------------- feeds

    @operation("List calendar feeds", may=May.VIEW, answer=FeedList)
    async def feeds(self, request: Request) -> Response:
        """The feeds that the tenant gives out, without their addresses."""
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            found = await rows.calendars.feeds()
        return json_response({"success": True, "feeds": [describe_feed(each) for each in found]})

    @operation(
        "Make a calendar feed",
        may=May.SETTINGS,
        body=NewFeedBody,
        body_optional=True,
        answer=FeedMade,
        status=201,
    )
    async def add_feed(self, request: Request) -> Response:
        """A secret address at which any calendar program reads the appointments."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, NewFeedBody, may_be_empty=True)
        label = _label(body.label)
        async with self._storage.tenant(tenant.id).write() as rows:
            if body.resource is not None:
                await _check_resource(rows, body.resource)
            feed, token = await rows.calendars.add_feed(
                label, resource=body.resource, show_names=body.show_names
            )
        made: FeedMade = {
            "success": True,
            "message": sentence(tenant.locale, "feed_added"),
            "feed": describe_feed(feed),
            "url": self._public_url + FEED_PATH.format(token=token),
        }
        return json_response(made, status=201)

    @operation("Delete a calendar feed", may=May.SETTINGS, answer=CalendarMessage)
    async def remove_feed(self, request: Request) -> Response:
        """Its address opens nothing from now on."""
        tenant, feed_id = tenant_access(request).tenant, _id(request, "feed_unknown")
        async with self._storage.tenant(tenant.id).write() as rows:
            if not await rows.calendars.remove_feed(feed_id):
                raise _unknown("feed_unknown")
        return _told(tenant, "feed_removed")

    # ----------------------------------------------------------------------------- external

    @operation("List external calendars", may=May.VIEW, answer=CalendarList)
    async def index(self, request: Request) -> Response:
        """The calendars elsewhere whose busy times are kept free, and how they are."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            found = await rows.calendars.external()
        listed = [describe_calendar(each, tenant) for each in found]
        return json_response({"success": True, "calendars": listed})

    @operation("Show an external calendar", may=May.VIEW, answer=CalendarAnswer)
    async def show(self, request: Request) -> Response:
        """How it is: read when, broken since when and why."""
        tenant, calendar_id = tenant_access(request).tenant, _id(request)
        async with self._storage.tenant(tenant.id).read() as rows:
            found = await rows.calendars.get(calendar_id)
        if found is None:
            raise _unknown()
        return json_response({"success": True, "calendar": describe_calendar(found, tenant)})

    @operation(
        "Add an external calendar",
        may=May.SETTINGS,
        body=NewCalendarBody,
        answer=CalendarSaved,
        status=201,
    )
    async def add(self, request: Request) -> Response:
        """Its iCalendar address (Google: "secret address", Outlook: "publish a calendar", CalDAV:
        export). It is kept sealed, never shown again, and read every quarter of an hour."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, NewCalendarBody)
        (url, host), label = address_of(body.url), _label(body.label)
        async with self._storage.tenant(tenant.id).write() as rows:
            await _check_resource(rows, body.resource)
            added = await rows.calendars.add(url, host, label, body.resource)
            await wake(rows.jobs, added.id)
        return _saved(tenant, "calendar_added", added, status=201)

    @operation(
        "Change an external calendar",
        may=May.SETTINGS,
        body=CalendarChangeBody,
        answer=CalendarSaved,
    )
    async def change(self, request: Request) -> Response:
        """Its label, resource or address; `enabled: false` lets its times go without forgetting
        the address. What was busy at the old address counts until the new one is read."""
        tenant, calendar_id = tenant_access(request).tenant, _id(request)
        body = await read_json(request, CalendarChangeBody)
        address = None if body.url is UNSET else address_of(body.url)
        label = None if body.label is UNSET else _label(body.label)
        resource = None if body.resource is UNSET else body.resource
        enabled = None if body.enabled is UNSET else body.enabled
        async with self._storage.tenant(tenant.id).write() as rows:
            if resource is not None:
                await _check_resource(rows, resource)
            changed = await rows.calendars.change(
                calendar_id, label=label, resource=resource, enabled=enabled, address=address
            )
            if changed.enabled:
                await wake(rows.jobs, calendar_id)
        return _saved(tenant, "calendar_changed", changed)

    @operation("Read an external calendar again", may=May.SETTINGS, answer=CalendarSaved)
    async def refresh(self, request: Request) -> Response:
        """Now, instead of within a quarter of an hour."""
        tenant, calendar_id = tenant_access(request).tenant, _id(request)
        async with self._storage.tenant(tenant.id).write() as rows:
            found = await rows.calendars.get(calendar_id)
            if found is None:
                raise _unknown()
            if found.enabled:
                await wake(rows.jobs, calendar_id)
        return _saved(tenant, "calendar_refreshed", found)

    @operation("Remove an external calendar", may=May.SETTINGS, answer=CalendarMessage)
    async def remove(self, request: Request) -> Response:
        """With its address and its busy times."""
        tenant, calendar_id = tenant_access(request).tenant, _id(request)
        async with self._storage.tenant(tenant.id).write() as rows:
            if not await rows.calendars.remove(calendar_id):
                raise _unknown()
        return _told(tenant, "calendar_removed")


def address_of(text: str) -> tuple[str, str]:
    """(address to fetch, its host). Calendars' own scheme, webcal://, is https:// to us. Invalid
    for what can't be one; whether it may be fetched is the guarded door's to say."""
    url = text.strip()
    try:
        parts = urlsplit(url)
        if parts.scheme in ("webcal", "webcals"):
            parts = parts._replace(scheme="https")
        host = parts.hostname or ""
        # A password would be refused by the door.
        good = parts.scheme in ("http", "https") and bool(host) and "@" not in parts.netloc
    except ValueError:
        good, parts, host = False, urlsplit(""), ""
    if not good or not url.isprintable() or " " in url or len(url) > LONGEST_URL:
        raise Invalid(
            "Give an absolute address: https://… or webcal://….",
            field="url",
            message_key="calendar_url_invalid",
        )
    return urlunsplit(parts._replace(fragment="")), host


def describe_feed(feed: Feed) -> FeedJson:
    """As the API shows it."""
    return {
        "id": feed.id,
        "label": feed.label,
        "resource": feed.resource,
        "showNames": feed.show_names,
        "createdAt": feed.created_at.isoformat(),
        "readAt": _iso(feed.read_at),
    }


def describe_calendar(it: ExternalCalendar, tenant: Tenant) -> CalendarJson:
    """As the API shows it, in the tenant's language."""
    trusted = it.fetched_at + TRUSTED_FOR if it.fetched_at else None
    error: CalendarErrorJson | None = None
    if it.error:
        # A newer server may have found an error that we have no words for.
        message = sentence(tenant.locale, it.error if has_sentence(it.error) else "internal")
        error = {"code": it.error, "message": message, "detail": it.error_detail}
    state: Any = it.state
    return {
        "id": it.id,
        "label": it.label,
        "resource": it.resource,
        "host": it.host,
        "enabled": it.enabled,
        "state": state,
        "since": it.state_since.isoformat(),
        "error": error,
        "failures": it.failures,
        "attemptedAt": _iso(it.attempted_at),
        "fetchedAt": _iso(it.fetched_at),
        "trustedUntil": _iso(trusted),
        "events": it.events,
        "notes": [said for each in it.notes if (said := _note(each, tenant.locale)) is not None],
        "createdAt": it.created_at.isoformat(),
    }


def _note(note: str, locale: str) -> str | None:
    what, _, name = note.partition(":")
    if not has_sentence(f"calendar_note_{what}"):
        return None
    return sentence(locale, f"calendar_note_{what}", **({"name": name} if name else {}))


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None


def _label(text: str) -> str:
    if not text.strip():
        return ""
    return clean_text(text, "label", longest=LONGEST_LABEL, key="calendar_label_invalid")


async def _check_resource(rows: TenantRows, resource: str) -> None:
    agenda = await rows.agenda.load()
    if resource and all(each.id != resource for each in agenda.resources):
        raise Invalid(
            "There is no such resource.", field="resource", message_key="calendar_resource_unknown"
        )


def _id(request: Request, key: str = "calendar_unknown") -> str:
    text: str = request.path_params["id"]
    if not is_identifier(text):
        raise _unknown(key)
    return text


def _unknown(key: str = "calendar_unknown") -> NotFound:
    return NotFound("There is no such calendar.", message_key=key)


def _told(tenant: Tenant, key: str) -> Response:
    return json_response({"success": True, "message": sentence(tenant.locale, key)})


def _saved(tenant: Tenant, key: str, it: ExternalCalendar, status: int = 200) -> Response:
    saved: CalendarSaved = {
        "success": True,
        "message": sentence(tenant.locale, key),
        "calendar": describe_calendar(it, tenant),
    }
    return json_response(saved, status=status)
