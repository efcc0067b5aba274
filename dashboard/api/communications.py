"""All that was written with customers, as the pages read it (real-users.md §1.8)."""

from datetime import datetime
from typing import Annotated, Final, Literal, TypedDict
from zoneinfo import ZoneInfo

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.operations import operation
from dashboard.api.query import read_query
from domain.permissions import May
from storage import Storage
from storage.correspondence import Letter, LetterFilter

DEFAULT_LIMIT, MAX_LIMIT = 50, 200


class CommunicationsQuery(msgspec.Struct, frozen=True):
    """`canal`: one channel; `limite`: how many; `contact_id`: with one person; `cursor`: an
    answer's `next_cursor`."""

    canal: Literal["sms", "email", "whatsapp", "all"] | None = None
    limite: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = DEFAULT_LIMIT
    contact_id: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=300)] | None = None


class CommunicationJson(TypedDict):
    """One text. `etape`: the appointment's it belongs to, if any; `type`: the template, or
    "message"; `statut` as in `/api/v1/messages`, or "received"."""

    id: str
    canal: str
    sens: Literal["envoye", "recu"]
    contenu: str
    type: str
    etape: str | None
    objet: str | None
    statut: str
    contact: str | None
    contact_id: str | None
    adresse: str
    conversation_id: str | None
    date: str


class CommunicationList(TypedDict):
    """Latest first; `total` and `par_canal` count all that fit."""

    success: bool
    messages: list[CommunicationJson]
    total: int
    par_canal: dict[str, int]
    next_cursor: str | None


class CommunicationDay(TypedDict):
    """What was written on one day of the tenant's, the latest first."""

    date: str
    messages: list[CommunicationJson]


class CommunicationFrieze(TypedDict):
    """By day, the latest first."""

    success: bool
    jours: list[CommunicationDay]
    next_cursor: str | None


class Communications:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation(
        "List what was written",
        may=May.CALLS,
        query=CommunicationsQuery,
        answer=CommunicationList,
        audit_read="messages",
    )
    async def index(self, request: Request) -> Response:
        """Both ways, on all channels; a larger `limite` than 200 counts as 200."""
        tenant, query = tenant_access(request).tenant, read_query(request, CommunicationsQuery)
        which = _which(query)
        async with self._storage.tenant(tenant.id).read() as rows:
            limit = min(query.limite, MAX_LIMIT)
            found = await rows.correspondence.list(which, limit=limit, cursor=query.cursor)
            counts = await rows.correspondence.counts(which)
        answer: CommunicationList = {
            "success": True,
            "messages": [_shown(each) for each in found.items],
            "total": sum(counts.values()),
            "par_canal": {channel: counts.get(channel, 0) for channel in _CHANNELS},
            "next_cursor": found.cursor,
        }
        return json_response(answer)

    @operation(
        "List what was written, by day",
        may=May.CALLS,
        query=CommunicationsQuery,
        answer=CommunicationFrieze,
        audit_read="messages",
    )
    async def by_day(self, request: Request) -> Response:
        """The same texts; a day may go on on the next page."""
        tenant, query = tenant_access(request).tenant, read_query(request, CommunicationsQuery)
        async with self._storage.tenant(tenant.id).read() as rows:
            limit = min(query.limite, MAX_LIMIT)
            found = await rows.correspondence.list(_which(query), limit=limit, cursor=query.cursor)
        days: dict[str, list[CommunicationJson]] = {}
        for each in found.items:
            local: datetime = each.at.astimezone(ZoneInfo(tenant.timezone))
            days.setdefault(local.date().isoformat(), []).append(_shown(each))
        answer: CommunicationFrieze = {
            "success": True,
            "jours": [{"date": day, "messages": texts} for day, texts in days.items()],
            "next_cursor": found.cursor,
        }
        return json_response(answer)


_CHANNELS: Final = ("sms", "email", "whatsapp")


def _which(query: CommunicationsQuery) -> LetterFilter:
    channel = None if query.canal == "all" else query.canal
    return LetterFilter(channel=channel, contact_id=query.contact_id)


def _shown(it: Letter) -> CommunicationJson:
    return {
        "id": it.id,
        "canal": it.channel,
        "sens": "envoye" if it.outgoing else "recu",
        "contenu": it.content,
        "type": it.template or "message",
        "etape": it.appointment_id,
        "objet": it.subject,
        "statut": it.status,
        "contact": it.name,
        "contact_id": it.contact_id,
        "adresse": it.address,
        "conversation_id": it.conversation_id,
        "date": it.at.isoformat(),
    }
