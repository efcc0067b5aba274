"""People who may become customers: `/api/v1/prospects`, in the pages' shapes (real-users.md §1.8).

A page knows the states new, contacted, qualified, converted and lost; ours are translated here.
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
    Done,
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
from domain.people import email_address, plain_name, split_name
from domain.permissions import May
from domain.phone import normalise
from storage import Storage, TenantRows
from storage.prospects import NewProspect, Prospect, ProspectFilter
from storage.scope import MAX_PAGE

DEFAULT_LIMIT, MAX_LIMIT = 50, 200

#: What a page may send → the state that is stored.
STORED: Mapping[str, str] = {
    "new": "new",
    "contacted": "follow_up",
    "callback_requested": "follow_up",
    "follow_up": "follow_up",
    "qualified": "qualified",
    "not_qualified": "not_qualified",
    "converted": "converted",
    "lost": "lost",
}
#: What is stored → what a page shows.
SHOWN: Mapping[str, str] = {"follow_up": "contacted", "not_qualified": "lost"}

Line = Annotated[str, msgspec.Meta(max_length=200)]
Words = Annotated[str, msgspec.Meta(max_length=10_000)]
Euros = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Status = Literal[
    "new",
    "contacted",
    "callback_requested",
    "follow_up",
    "qualified",
    "not_qualified",
    "converted",
    "lost",
]


class ProspectsQuery(msgspec.Struct, frozen=True):
    """`search`: part of a name, an address or a note, or a whole telephone number."""

    status: Status | Literal["all"] = "all"
    search: Line | None = None
    assigned_to: Line | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = DEFAULT_LIMIT
    offset: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0


class ProspectExportQuery(msgspec.Struct, frozen=True):
    """`format` csv (semicolons, UTF-8 with a byte order mark) or json."""

    format: Literal["csv", "json"] = "csv"
    status: Status | Literal["all"] = "all"


class ProspectBody(msgspec.Struct, frozen=True, kw_only=True):
    """All optional; "" is as good as nothing. A telephone number in any spelling."""

    first_name: Line | UnsetType | None = UNSET
    last_name: Line | UnsetType | None = UNSET
    name: Line | UnsetType | None = UNSET
    email: Line | UnsetType | None = UNSET
    phone: Line | UnsetType | None = UNSET
    status: Status | UnsetType = UNSET
    interest: Line | UnsetType | None = UNSET
    place: Line | UnsetType | None = UNSET
    budget_min: Euros | UnsetType | None = UNSET
    budget_max: Euros | UnsetType | None = UNSET
    property_type: Line | UnsetType | None = UNSET
    deadline: Line | UnsetType | None = UNSET
    notes: Words | UnsetType | None = UNSET


class ProspectCreation(ProspectBody, frozen=True, kw_only=True):
    """`source`: where they come from; "manual" unless given."""

    source: Annotated[str, msgspec.Meta(max_length=40)] = "manual"


class ProspectChange(ProspectBody, frozen=True, kw_only=True):
    """Only what is given changes. With `version`, 409 when somebody else was first."""

    assigned_to: Line | UnsetType | None = UNSET
    version: int | UnsetType = UNSET


class ProspectContact(TypedDict):
    """Who it is."""

    id: str
    first_name: str
    last_name: str
    phone: str | None
    email: str | None


class ProspectJson(ProspectContact):
    """`score` 0 to 100 with its reasons; `missing` are questions that nobody has answered yet."""

    status: str
    source: str
    created_at: str
    updated_at: str
    name: str
    interest: str | None
    place: str | None
    budget_min: int | None
    budget_max: int | None
    property_type: str | None
    deadline: str | None
    notes: str | None
    score: int
    score_reasons: list[str]
    missing: list[str]
    answers: dict[str, Any]
    assigned_to: str | None
    contact_id: str | None
    call_id: str | None
    converted_at: str | None
    version: int


class ProspectList(TypedDict):
    """Latest first; `count` on this page, `total` in all."""

    success: bool
    prospects: list[ProspectJson]
    count: int
    total: int
    limit: int
    offset: int


class ProspectAnswer(TypedDict):
    """One prospect."""

    success: bool
    prospect: ProspectJson


class ProspectMerged(ProspectAnswer):
    """`merged`: there was one with this number or address already; it was completed."""

    merged: bool


class ProspectHistory(TypedDict):
    """The earliest first."""

    success: bool
    history: list[HistoryLine]


class Prospects:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("List prospects", may=May.VIEW, query=ProspectsQuery, answer=ProspectList)
    async def index(self, request: Request) -> Response:
        """Latest first; a larger `limit` than 200 counts as 200."""
        tenant, query = tenant_access(request).tenant, read_query(request, ProspectsQuery)
        limit = min(query.limit, MAX_LIMIT)
        wanted = ProspectFilter(
            search=query.search, assigned_to=query.assigned_to, statuses=_statuses(query.status)
        )
        async with self._storage.tenant(tenant.id).read() as rows:
            found = await rows.prospects.list(wanted, limit=limit, offset=query.offset)
        return json_response(
            {
                "success": True,
                "prospects": [describe(each) for each in found.items],
                "count": len(found.items),
                "total": found.total,
                "limit": limit,
                "offset": query.offset,
            }
        )

    @operation(
        "Add a prospect",
        may=May.WORK,
        body=ProspectCreation,
        answer=ProspectMerged,
        status=201,
        also={200: ProspectMerged},
    )
    async def create(self, request: Request) -> Response:
        """Whoever is known by the same number (however it is written) or the same e-mail address
        isn't added again: what was empty is filled in, and the answer is 200."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, ProspectCreation)
        values = _values(body)
        async with self._storage.tenant(tenant.id).write() as rows:
            prospect_id, merged = await _add_or_complete(
                rows, values, body.source or "manual", actor_of(request)
            )
            prospect = known(await rows.prospects.get(prospect_id), "prospect")
        answer = {"success": True, "merged": merged, "prospect": describe(prospect)}
        return json_response(answer, 200 if merged else 201)

    @operation("Show a prospect", may=May.VIEW, answer=ProspectAnswer)
    async def show(self, request: Request) -> Response:
        """One of the tenant's."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            prospect = known(await rows.prospects.get(request.path_params["id"]), "prospect")
        return json_response({"success": True, "prospect": describe(prospect)})

    @operation(
        "Change a prospect",
        may=May.WORK,
        body=ProspectChange,
        answer=ProspectAnswer,
        problems=(409,),
    )
    async def change(self, request: Request) -> Response:
        """PUT as the pages send it and PATCH mean the same: what isn't given stays."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, ProspectChange)
        return await self._changed(request, tenant.id, _values(body), version_of(body))

    @operation("Delete a prospect", may=May.WORK, answer=Done)
    async def delete(self, request: Request) -> Response:
        """With its history; the contact stays."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            await rows.prospects.delete(request.path_params["id"])
        return json_response({"success": True})

    @operation("Convert a prospect", may=May.WORK, answer=ProspectAnswer)
    async def convert(self, request: Request) -> Response:
        """They are a customer now. Once is enough: the instant is that of the first time."""
        tenant = tenant_access(request).tenant
        return await self._changed(request, tenant.id, {"status": "converted"}, None)

    @operation("Show what became of a prospect", may=May.VIEW, answer=ProspectHistory)
    async def history(self, request: Request) -> Response:
        """Who changed what, the earliest first."""
        tenant, prospect_id = tenant_access(request).tenant, request.path_params["id"]
        async with self._storage.tenant(tenant.id).read() as rows:
            known(await rows.prospects.get(prospect_id), "prospect")
            lines = [line(each) for each in await rows.prospects.history(prospect_id)]
        return json_response({"success": True, "history": lines})

    @operation("Export prospects", may=May.EXPORT, query=ProspectExportQuery, media="text/csv")
    async def export(self, request: Request) -> Response:
        """A file, latest first, at most 20,000 rows: CSV in which nothing is a formula, or JSON."""
        tenant, query = tenant_access(request).tenant, read_query(request, ProspectExportQuery)
        wanted = ProspectFilter(statuses=_statuses(query.status))
        found: list[ProspectJson] = []
        async with self._storage.tenant(tenant.id).read() as rows:
            while len(found) < MAX_ROWS:
                page = await rows.prospects.list(wanted, limit=MAX_PAGE, offset=len(found))
                found += [describe(each) for each in page.items]
                if len(page.items) < MAX_PAGE:
                    break
        if query.format == "json":
            return json_file("prospects", "prospects", found)
        return csv_file("prospects", _HEADINGS, found)

    async def _changed(
        self, request: Request, tenant_id: str, values: dict[str, Any], version: int | None
    ) -> Response:
        prospect_id = request.path_params["id"]
        async with self._storage.tenant(tenant_id).write() as rows:
            prospect = await rows.prospects.update(
                prospect_id, values, actor=actor_of(request), version=version
            )
        return json_response({"success": True, "prospect": describe(prospect)})


_HEADINGS = {
    "first_name": "Prénom",
    "last_name": "Nom",
    "phone": "Téléphone",
    "email": "E-mail",
    "status": "Statut",
    "source": "Origine",
    "score": "Score",
    "interest": "Projet",
    "place": "Secteur",
    "budget_min": "Budget minimal",
    "budget_max": "Budget maximal",
    "property_type": "Bien",
    "deadline": "Délai",
    "assigned_to": "Suivi par",
    "notes": "Notes",
    "created_at": "Créé le",
}


def _statuses(shown: str) -> tuple[str, ...]:
    """The stored states that a page means by one of its own."""
    if shown == "all":
        return ()
    if shown == "lost":
        return ("lost", "not_qualified")
    return (STORED[shown],)


def _values(body: ProspectBody) -> dict[str, Any]:
    """The fields in our words. Invalid for a number or an address that can't be read: a page must
    say so, or nobody is called back."""
    values = translated(given(body, "version", "source"), "status", STORED)
    for name, read in (("phone", normalise), ("email", email_address)):
        if values.get(name) is not None:
            values[name] = read(values[name])
            if values[name] is None:
                raise Invalid("This can't be read.", field=name)
    for name in ("first_name", "last_name", "name"):
        if name in values:
            values[name] = plain_name(values[name])
    return values


async def _add_or_complete(
    rows: TenantRows, values: dict[str, Any], source: str, actor: str
) -> tuple[str, bool]:
    """The prospect's id, and whether there was one."""
    status = values.pop("status", "new")
    first, last = values.get("first_name") or "", values.get("last_name") or ""
    values["name"] = values.get("name") or plain_name(f"{first} {last}")
    # Two who add the same person at once: the second one waits here, and finds the first one's.
    await rows.contacts.person(
        name=values["name"],
        phone=values.get("phone"),
        email=values.get("email"),
        source="operator",
    )
    same = await rows.prospects.same_person(values.get("phone"), values.get("email"))
    if same is not None:
        missing = {
            name: value
            for name, value in values.items()
            if value and getattr(same, name) in (None, "")
        }
        if missing:
            await rows.prospects.update(same.id, missing, actor=actor)
        return same.id, True
    new = NewProspect(**values, source="web", created_by=source)
    prospect_id = await rows.prospects.add(new, contact_source="operator")
    if status != "new":
        await rows.prospects.update(prospect_id, {"status": status}, actor=actor)
    return prospect_id, False


def describe_contact(prospect: Prospect) -> ProspectContact:
    """Who it is. A name is stored as it was said; the pages want two."""
    first, last = split_name(prospect.name)
    if prospect.first_name or prospect.last_name:
        first, last = prospect.first_name or "", prospect.last_name or ""
    return {
        "id": prospect.id,
        "first_name": first,
        "last_name": last,
        "phone": prospect.phone,
        "email": prospect.email,
    }


def describe(prospect: Prospect) -> ProspectJson:
    """A prospect: the fields that the pages read, and ours."""
    return {
        **describe_contact(prospect),
        "status": SHOWN.get(prospect.status, prospect.status),
        "source": "assistant" if prospect.created_by == "sara" else prospect.created_by,
        "created_at": prospect.created_at.isoformat(),
        "updated_at": prospect.updated_at.isoformat(),
        "name": prospect.name,
        "interest": prospect.interest,
        "place": prospect.place,
        "budget_min": prospect.budget_min,
        "budget_max": prospect.budget_max,
        "property_type": prospect.property_type,
        "deadline": prospect.deadline,
        "notes": prospect.notes,
        "score": prospect.score,
        "score_reasons": prospect.score_reasons,
        "missing": prospect.missing,
        "answers": prospect.answers,
        "assigned_to": prospect.assigned_to,
        "contact_id": prospect.contact_id,
        "call_id": prospect.call_id,
        "converted_at": iso(prospect.converted_at),
        "version": prospect.version,
    }
