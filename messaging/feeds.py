"""`/calendar/{token}.ics`: a tenant's appointments, for whoever has the address.

Programs come every few minutes, and mostly nothing has changed: the answer has an ETag, and 304
follows. What can't be found is one answer, whatever it was.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from domain.agenda import MAX_HORIZON_DAYS
from domain.clock import Clock
from domain.customer_pages import page_text
from domain.errors import OperatorError
from domain.messages import language_of
from domain.tenant import Tenant
from messaging.guesses import Guesses
from messaging.invitations import FORM, Entry, feed_pieces
from storage import MAX_PAGE, Appointment, Storage
from storage.calendars import Feed

log = structlog.get_logger(__name__)

#: How far back: last month's invoices are written from it.
DAYS_BACK: Final = 60
#: The most that a feed holds, from the earliest: twenty a day, half a year ahead.
MOST_ENTRIES: Final = 5000
#: How many entries are written before others have their turn: about a millisecond.
_AT_ONCE: Final = 4
#: What takes time, or took it. A hold isn't an appointment yet.
_SHOWN: Final = frozenset({"confirmed", "completed", "no_show"})
_HEADERS: Final = {
    # Everybody who keeps it asks each time whether it is still so.
    "cache-control": "private, no-cache",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
    "x-content-type-options": "nosniff",
}


class CalendarFeeds:
    """The handler."""

    def __init__(self, storage: Storage, clock: Clock, guesses: Guesses) -> None:
        self._storage = storage
        self._clock = clock
        self._guesses = guesses

    def routes(self) -> list[Route]:
        """Where feeds are read."""
        return [Route("/calendar/{token}.ics", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """GET and HEAD: 200 with the calendar, 304, 404, 429 for who tries addresses, or 503."""
        try:
            return await self._answer(request)
        except OperatorError as error:
            log.error("links.unavailable", reason=str(error))
            return Response("Come again", 503, {**_HEADERS, "retry-after": "60"}, "text/plain")

    async def _answer(self, request: Request) -> Response:
        address = request.client.host if request.client else ""
        if wait := self._guesses.wait(address):
            return Response(status_code=429, headers={"retry-after": str(int(wait) + 1)})
        found = await self._storage.feeds.find(request.path_params["token"])
        if found is None:
            await self._guesses.missed(address)
            return Response("Not found", 404, media_type="text/plain", headers=_HEADERS)
        tenant_id, its = found
        title, entries = await self._content(tenant_id, its)
        await self._storage.feeds.note_reading(its)
        # Of what it is made from: mostly nothing has changed, and then it isn't made.
        content = repr((FORM, title, entries)).encode()
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        headers = {**_HEADERS, "etag": etag}
        if _matches(request.headers.get("if-none-match", ""), etag):
            return Response(status_code=304, headers=headers)
        body = bytearray()
        for number, piece in enumerate(feed_pieces(title, entries)):
            body += piece
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # calls' audio is on this loop
        return Response(bytes(body), media_type="text/calendar; charset=utf-8", headers=headers)

    async def _content(self, tenant_id: str, its: Feed) -> tuple[str, list[Entry]]:
        async with self._storage.tenant(tenant_id).read() as rows:
            tenant = await rows.tenant()
            names = {each.id: each.name for each in (await rows.agenda.load()).resources}
            today = self._clock.now().astimezone(ZoneInfo(tenant.timezone)).date()
            first = today - timedelta(days=DAYS_BACK)
            last = today + timedelta(days=MAX_HORIZON_DAYS)
            shown: list[Appointment] = []
            offset, total = 0, 1
            while offset < min(total, MOST_ENTRIES):
                page = await rows.appointments.list(
                    date_from=first, date_to=last, limit=MAX_PAGE, offset=offset
                )
                shown += [each for each in page.items if _concerns(each, its)]
                offset, total = offset + MAX_PAGE, page.total
        title = tenant.name
        if its.resource:
            title = f"{tenant.name} – {names.get(its.resource, its.resource)}"
        return title, _entries(shown, its, tenant, names)


def _concerns(it: Appointment, its: Feed) -> bool:
    # What is nobody's in particular is everybody's.
    return it.status in _SHOWN and (its.resource is None or it.resource in ("", its.resource))


def _entries(
    shown: Sequence[Appointment], its: Feed, tenant: Tenant, names: Mapping[str, str]
) -> list[Entry]:
    entries = []
    for it in shown:
        parts = [it.service or page_text(language_of(tenant.locale), "appointment")]
        if its.show_names and it.customer_name:
            parts.append(it.customer_name)
        if its.resource is None and names.get(it.resource):
            parts.append(names[it.resource])
        entries.append(
            Entry(
                uid=it.uid,
                sequence=it.sequence,
                start=it.start_utc,
                end=it.end_utc,
                summary=" – ".join(parts),
                changed=it.updated_at,
                created=it.created_at,
            )
        )
    return entries


def _matches(sent: str, etag: str) -> bool:
    """If-None-Match, which compares weakly (RFC 9110 §13.1.2)."""
    given = [each.strip().removeprefix("W/") for each in sent.split(",")]
    return etag in given or "*" in given
