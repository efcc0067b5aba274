"""What somebody at the business must see to: `/api/v1/tickets`.

These are requests of the business's own customers. (`/support/tickets` of the pages is another
thing: the owner writing to the vendor.)
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.csv_export import MAX_ROWS, csv_file, json_file
from dashboard.api.operations import operation
from dashboard.api.people import (
    HistoryLine,
    actor_of,
    given,
    iso,
    known,
    line,
    translated,
    version_of,
)
from dashboard.api.query import read_query
from domain.errors import Invalid
from domain.people import email_address
from domain.permissions import May
from domain.phone import normalise
from storage import Storage
from storage.scope import MAX_PAGE
from storage.tickets import NewTicket, Ticket, TicketFilter

DEFAULT_LIMIT, MAX_LIMIT = 20, 100

#: The pages' word (real-users.md §1.8) → ours.
PRIORITIES: Mapping[str, str] = {"normal": "medium"}

Line = Annotated[str, msgspec.Meta(max_length=300)]
Words = Annotated[str, msgspec.Meta(max_length=10_000)]
Status = Literal["open", "in_progress", "waiting_customer", "resolved", "closed"]
Priority = Literal["low", "medium", "normal", "high", "urgent"]


class TicketsQuery(msgspec.Struct, frozen=True):
    """`status` unfinished: neither resolved nor closed. `category` "rappel": a call to return."""

    status: Status | Literal["all", "unfinished"] = "all"
    priority: Priority | Literal["all"] = "all"
    category: Line | None = None
    assigned_to: Line | None = None
    contact_id: Line | None = None
    search: Line | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = DEFAULT_LIMIT
    offset: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0


class TicketExportQuery(msgspec.Struct, frozen=True):
    """`format` csv (semicolons, UTF-8 with a byte order mark) or json."""

    format: Literal["csv", "json"] = "csv"
    status: Status | Literal["all", "unfinished"] = "all"


class TicketCreation(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody enters by hand."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
    description: Words | None = None
    customer_name: Line = ""
    customer_phone: Line | None = None
    customer_email: Line | None = None
    category: Line | None = None
    priority: Priority = "medium"
    callback_when: Line | None = None


class TicketChange(msgspec.Struct, frozen=True, kw_only=True):
    """Only what is given changes. With `version`, 409 when somebody else was first."""

    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=300)] | UnsetType = UNSET
    description: Words | UnsetType | None = UNSET
    customer_name: Line | UnsetType = UNSET
    customer_phone: Line | UnsetType | None = UNSET
    customer_email: Line | UnsetType | None = UNSET
    category: Line | UnsetType | None = UNSET
    priority: Priority | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    assigned_to: Line | UnsetType | None = UNSET
    resolution_notes: Words | UnsetType | None = UNSET
    callback_when: Line | UnsetType | None = UNSET
    version: int | UnsetType = UNSET


class TicketJson(TypedDict):
    """`category` "message" is a message taken, "rappel" a call to return at `callback_when`."""

    id: str
    subject: str
    description: str | None
    status: str
    priority: str
    category: str | None
    customer_name: str
    customer_phone: str | None
    customer_email: str | None
    callback_when: str | None
    contact_id: str | None
    call_id: str | None
    assigned_to: str | None
    assigned_at: str | None
    resolution_notes: str | None
    resolved_at: str | None
    closed_at: str | None
    created_by: str
    created_at: str
    updated_at: str
    version: int


class TicketList(TypedDict):
    """Latest first."""

    success: bool
    tickets: list[TicketJson]
    total: int
    limit: int
    offset: int


class TicketAnswer(TypedDict):
    """One ticket."""

    success: bool
    ticket: TicketJson


class TicketHistory(TypedDict):
    """The earliest first."""

    success: bool
    history: list[HistoryLine]


class Tickets:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("List tickets", may=May.VIEW, query=TicketsQuery, answer=TicketList)
    async def index(self, request: Request) -> Response:
        """Latest first; a larger `limit` than 100 counts as 100."""
        tenant, query = tenant_access(request).tenant, read_query(request, TicketsQuery)
        limit = min(query.limit, MAX_LIMIT)
        wanted = TicketFilter(
            status=None if query.status in ("all", "unfinished") else query.status,
            unfinished=query.status == "unfinished",
            priority=None
            if query.priority == "all"
            else PRIORITIES.get(query.priority) or query.priority,
            category=query.category,
            assigned_to=query.assigned_to,
            contact_id=query.contact_id,
            search=query.search,
        )
        async with self._storage.tenant(tenant.id).read() as rows:
            found = await rows.tickets.list(wanted, limit=limit, offset=query.offset)
        return json_response(
            {
                "success": True,
                "tickets": [describe(each) for each in found.items],
                "total": found.total,
                "limit": limit,
                "offset": query.offset,
            }
        )

    @operation("Add a ticket", may=May.WORK, body=TicketCreation, answer=TicketAnswer, status=201)
    async def create(self, request: Request) -> Response:
        """The customer becomes a contact when a number or an address tells who they are."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, TicketCreation)
        values = _values(given(body))
        values["customer_name"] = values.get("customer_name") or ""
        async with self._storage.tenant(tenant.id).write() as rows:
            new = NewTicket(**values, created_by=actor_of(request))
            ticket_id = await rows.tickets.add(new, source="operator")
            ticket = known(await rows.tickets.get(ticket_id), "ticket")
        return json_response({"success": True, "ticket": describe(ticket)}, 201)

    @operation("Show a ticket", may=May.VIEW, answer=TicketAnswer)
    async def show(self, request: Request) -> Response:
        """One of the tenant's."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            ticket = known(await rows.tickets.get(request.path_params["id"]), "ticket")
        return json_response({"success": True, "ticket": describe(ticket)})

    @operation(
        "Change a ticket", may=May.WORK, body=TicketChange, answer=TicketAnswer, problems=(409,)
    )
    async def change(self, request: Request) -> Response:
        """Assign it, move it on, close it, open it again: what isn't given stays."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, TicketChange)
        values = _values(given(body, "version"))
        async with self._storage.tenant(tenant.id).write() as rows:
            ticket = await rows.tickets.update(
                request.path_params["id"],
                values,
                actor=actor_of(request),
                version=version_of(body),
            )
        return json_response({"success": True, "ticket": describe(ticket)})

    @operation("Close a ticket", may=May.WORK, answer=TicketAnswer)
    async def close(self, request: Request) -> Response:
        """It stays in the list. Closing twice is the same as once."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            ticket = await rows.tickets.update(
                request.path_params["id"], {"status": "closed"}, actor=actor_of(request)
            )
        return json_response({"success": True, "ticket": describe(ticket)})

    @operation("Show what became of a ticket", may=May.VIEW, answer=TicketHistory)
    async def history(self, request: Request) -> Response:
        """Who changed what, the earliest first."""
        tenant, ticket_id = tenant_access(request).tenant, request.path_params["id"]
        async with self._storage.tenant(tenant.id).read() as rows:
            known(await rows.tickets.get(ticket_id), "ticket")
            lines = [line(each) for each in await rows.tickets.history(ticket_id)]
        return json_response({"success": True, "history": lines})

    @operation("Export tickets", may=May.EXPORT, query=TicketExportQuery, media="text/csv")
    async def export(self, request: Request) -> Response:
        """A file, latest first, at most 20,000 rows: CSV in which nothing is a formula, or JSON."""
        tenant, query = tenant_access(request).tenant, read_query(request, TicketExportQuery)
        wanted = TicketFilter(
            status=None if query.status in ("all", "unfinished") else query.status,
            unfinished=query.status == "unfinished",
        )
        found: list[TicketJson] = []
        async with self._storage.tenant(tenant.id).read() as rows:
            while len(found) < MAX_ROWS:
                page = await rows.tickets.list(wanted, limit=MAX_PAGE, offset=len(found))
                found += [describe(each) for each in page.items]
                if len(page.items) < MAX_PAGE:
                    break
        if query.format == "json":
            return json_file("tickets", "tickets", found)
        return csv_file("tickets", _HEADINGS, found)


_HEADINGS = {
    "created_at": "Créé le",
    "subject": "Objet",
    "description": "Description",
    "category": "Catégorie",
    "priority": "Priorité",
    "status": "Statut",
    "customer_name": "Client",
    "customer_phone": "Téléphone",
    "customer_email": "E-mail",
    "callback_when": "À rappeler",
    "assigned_to": "Suivi par",
    "resolution_notes": "Suite donnée",
    "closed_at": "Clos le",
}


def _values(values: dict[str, Any]) -> dict[str, Any]:
    """In our words. Invalid for a number or an address that can't be read."""
    values = translated(values, "priority", PRIORITIES)
    for name, read in (("customer_phone", normalise), ("customer_email", email_address)):
        if values.get(name) is not None:
            values[name] = read(values[name])
            if values[name] is None:
                raise Invalid("This can't be read.", field=name)
    if "customer_name" in values:
        values["customer_name"] = values["customer_name"] or ""
    return values


def describe(ticket: Ticket) -> TicketJson:
    """A ticket."""
    return {
        "id": ticket.id,
        "subject": ticket.subject,
        "description": ticket.description,
        "status": ticket.status,
        "priority": ticket.priority,
        "category": ticket.category,
        "customer_name": ticket.customer_name,
        "customer_phone": ticket.customer_phone,
        "customer_email": ticket.customer_email,
        "callback_when": ticket.callback_when,
        "contact_id": ticket.contact_id,
        "call_id": ticket.call_id,
        "assigned_to": ticket.assigned_to,
        "assigned_at": iso(ticket.assigned_at),
        "resolution_notes": ticket.resolution_notes,
        "resolved_at": iso(ticket.resolved_at),
        "closed_at": iso(ticket.closed_at),
        "created_by": ticket.created_by,
        "created_at": ticket.created_at.isoformat(),
        "updated_at": ticket.updated_at.isoformat(),
        "version": ticket.version,
    }
