"""People, whatever channel they come by: `/api/v1/contacts`."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.people import HistoryLine, actor_of, given, known, line, version_of
from dashboard.api.query import read_query
from domain.errors import Invalid
from domain.permissions import May
from storage import Storage
from storage.contacts import Contact, Proposal
from storage.timeline import TimelineItem

DEFAULT_LIMIT, MAX_LIMIT = 50, 200

Line = Annotated[str, msgspec.Meta(max_length=300)]
Words = Annotated[str, msgspec.Meta(max_length=10_000)]
Channel = Literal["phone", "sms", "email", "whatsapp"]


class ContactsQuery(msgspec.Struct, frozen=True):
    """`search`: part of a name or of an address, or a number in any spelling; `cursor`: an answer's
    `next_cursor`; `channel`: the one they prefer."""

    search: Line | None = None
    channel: Channel | None = None
    cursor: Line | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT


class ContactTimelineQuery(msgspec.Struct, frozen=True):
    """`cursor`: an answer's `next_cursor`."""

    cursor: Line | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT


class ContactCreation(msgspec.Struct, frozen=True, kw_only=True):
    """One address at least."""

    name: Line | None = None
    phone: Line | None = None
    email: Line | None = None
    whatsapp: Line | None = None


class ContactChange(msgspec.Struct, frozen=True, kw_only=True):
    """Only what is given changes; new addresses are added. With `version`, 409 when somebody else
    was first."""

    name: Line | UnsetType = UNSET
    language: Line | UnsetType | None = UNSET
    preferred_channel: Channel | UnsetType | None = UNSET
    notes: Words | UnsetType | None = UNSET
    version: int | UnsetType = UNSET


class ContactMerge(msgspec.Struct, frozen=True):
    """`other_id`: whose all becomes this one's."""

    other_id: Line


class ContactAddress(TypedDict):
    """`proof`: how we know that it is theirs: said, call, message or operator."""

    kind: str
    value: str
    proof: str
    last_seen_at: str


class ContactJson(TypedDict):
    """`names`: all that were heard on their addresses, since a telephone may be shared."""

    id: str
    name: str
    names: list[str]
    phone: str | None
    email: str | None
    whatsapp: str | None
    language: str | None
    preferred_channel: str | None
    notes: str | None
    source: str | None
    addresses: list[ContactAddress]
    last_seen_at: str
    created_at: str
    updated_at: str
    version: int


class ContactList(TypedDict):
    """Whoever was heard of last first; `next_cursor` null: that was the last page."""

    success: bool
    contacts: list[ContactJson]
    next_cursor: str | None


class ContactAnswer(TypedDict):
    """One person."""

    success: bool
    contact: ContactJson


class ContactProposal(TypedDict):
    """Somebody else who may be the same person."""

    id: str
    contact_id: str
    other_id: str
    reason: str
    call_id: str | None
    created_at: str


class ContactShown(ContactAnswer):
    """With their history, and who may be the same person."""

    history: list[HistoryLine]
    proposals: list[ContactProposal]


class ContactEvent(TypedDict):
    """`kind`: call, appointment, prospect, ticket, text_out or text_in; `data` by kind."""

    kind: str
    id: str
    at: str
    data: dict[str, Any]


class ContactTimeline(TypedDict):
    """Latest first; `next_cursor` null: that was the last page."""

    success: bool
    timeline: list[ContactEvent]
    next_cursor: str | None


class ContactProposals(TypedDict):
    """Undecided, the latest first."""

    success: bool
    proposals: list[ContactProposal]


class Contacts:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("List contacts", may=May.VIEW, query=ContactsQuery, answer=ContactList)
    async def index(self, request: Request) -> Response:
        """By pages with a cursor."""
        tenant, query = tenant_access(request).tenant, read_query(request, ContactsQuery)
        async with self._storage.tenant(tenant.id).read() as rows:
            found, cursor = await rows.contacts.list(
                search=query.search, channel=query.channel, limit=query.limit, cursor=query.cursor
            )
        shown = [describe(each) for each in found]
        return json_response({"success": True, "contacts": shown, "next_cursor": cursor})

    @operation(
        "Add a contact", may=May.WORK, body=ContactCreation, answer=ContactAnswer, status=201
    )
    async def create(self, request: Request) -> Response:
        """Whoever has one of these addresses already is completed: there is one row per person. Two
        people of whom each has one become one, since the business says so."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, ContactCreation)
        async with self._storage.tenant(tenant.id).write() as rows:
            contact = await rows.contacts.person(
                name=body.name,
                phone=body.phone,
                email=body.email,
                whatsapp=body.whatsapp,
                source="operator",
            )
            if contact is None:
                raise Invalid("Give a telephone number or an e-mail address.", field="phone")
        return json_response({"success": True, "contact": describe(contact)}, 201)

    @operation("Show a contact", may=May.VIEW, answer=ContactShown)
    async def show(self, request: Request) -> Response:
        """Whoever was merged into another is found as that other."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            contact = known(await rows.contacts.get(request.path_params["id"]), "contact")
            history = await rows.contacts.history(contact.id)
            proposals = await rows.contacts.proposals(contact.id)
        return json_response(
            {
                "success": True,
                "contact": describe(contact),
                "history": [line(each) for each in history],
                "proposals": [_proposal(each) for each in proposals],
            }
        )

    @operation(
        "Change a contact", may=May.WORK, body=ContactChange, answer=ContactAnswer, problems=(409,)
    )
    async def change(self, request: Request) -> Response:
        """Name, language, preferred channel and notes."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, ContactChange)
        async with self._storage.tenant(tenant.id).write() as rows:
            contact = await rows.contacts.update(
                request.path_params["id"],
                given(body, "version"),
                actor=actor_of(request),
                version=version_of(body),
            )
        return json_response({"success": True, "contact": describe(contact)})

    @operation("Merge two contacts", may=May.WORK, body=ContactMerge, answer=ContactAnswer)
    async def merge(self, request: Request) -> Response:
        """All that is the other's becomes this one's, for good: calls, messages, appointments,
        prospects, tickets, addresses. The other's id leads here from now on."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, ContactMerge)
        async with self._storage.tenant(tenant.id).write() as rows:
            contact = await rows.contacts.merge(
                request.path_params["id"], body.other_id, actor=actor_of(request)
            )
        return json_response({"success": True, "contact": describe(contact)})

    @operation(
        "Show what happened with a contact",
        may=May.CALLS,
        query=ContactTimelineQuery,
        answer=ContactTimeline,
        audit_read="timeline",
    )
    async def timeline(self, request: Request) -> Response:
        """Calls, messages, appointments, prospects and tickets on any channel."""
        tenant, query = tenant_access(request).tenant, read_query(request, ContactTimelineQuery)
        async with self._storage.tenant(tenant.id).read() as rows:
            contact = known(await rows.contacts.get(request.path_params["id"]), "contact")
            found, cursor = await rows.contacts.timeline(
                contact.id, limit=query.limit, cursor=query.cursor
            )
        shown = [_event(each) for each in found]
        return json_response({"success": True, "timeline": shown, "next_cursor": cursor})

    @operation("List who may be one person", may=May.VIEW, answer=ContactProposals)
    async def proposals(self, request: Request) -> Response:
        """Pairs that the business is asked about: merge them, or decline."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            found = await rows.contacts.proposals()
        return json_response({"success": True, "proposals": [_proposal(each) for each in found]})

    @operation("Decline that two are one person", may=May.WORK, answer=ContactProposals)
    async def decline(self, request: Request) -> Response:
        """They are two people, and nobody is asked again. The rest of the proposals."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            await rows.contacts.decline(request.path_params["id"])
            found = await rows.contacts.proposals()
        return json_response({"success": True, "proposals": [_proposal(each) for each in found]})


def _proposal(it: Proposal) -> ContactProposal:
    return {
        "id": it.id,
        "contact_id": it.contact_id,
        "other_id": it.other_id,
        "reason": it.reason,
        "call_id": it.call_id,
        "created_at": it.created_at.isoformat(),
    }


def _event(it: TimelineItem) -> ContactEvent:
    return {"kind": it.kind, "id": it.id, "at": it.at.isoformat(), "data": _plain(it.data)}


def _plain(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in data.items()
    }


def describe(contact: Contact) -> ContactJson:
    """A person."""
    return {
        "id": contact.id,
        "name": contact.name,
        "names": list(contact.names),
        "phone": contact.address("phone"),
        "email": contact.address("email"),
        "whatsapp": contact.address("whatsapp") or contact.address("whatsapp_id"),
        "language": contact.language,
        "preferred_channel": contact.preferred_channel,
        "notes": contact.notes,
        "source": contact.source,
        "addresses": [
            {
                "kind": each.kind,
                "value": each.value,
                "proof": each.proof,
                "last_seen_at": each.last_seen_at.isoformat(),
            }
            for each in contact.addresses
        ],
        "last_seen_at": contact.last_seen_at.isoformat(),
        "created_at": contact.created_at.isoformat(),
        "updated_at": contact.updated_at.isoformat(),
        "version": contact.version,
    }
