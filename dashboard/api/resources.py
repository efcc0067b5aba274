"""Who or what is booked: `/api/v1/resources`. The pages call them agents."""

from typing import Annotated, Literal, TypedDict

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.agenda import AgendaMessage, kept
from dashboard.api.auth import tenant_access
from dashboard.api.body import clean_text, json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.query import is_identifier
from dashboard.api.services import color_of
from dashboard.api.week import DayBody, WeekdayJson, describe_week, week_of
from dashboard.catalogue import sentence
from domain.agenda import OpeningRange
from domain.errors import NotFound
from domain.permissions import May
from storage import Storage
from storage.resources import NewResource, StoredResource
from storage.rows import TenantRows

LONGEST_NAME = 120

Name = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
Hours = Annotated[list[DayBody], msgspec.Meta(max_length=7)]
Kind = Literal["staff", "room", "vehicle"]


class ResourceBody(msgspec.Struct, frozen=True):
    """`hours`: days on which it works otherwise than the business; days that aren't named are the
    business's at that moment. None at all: whenever the business is open."""

    name: Name
    kind: Kind = "staff"
    is_active: bool = True
    position: int = 0
    color: str | None = None
    hours: Hours | None = None


class ResourceChangeBody(msgspec.Struct, frozen=True):
    """What is absent stays as it is. `hours` null: whenever the business is open."""

    name: Name | UnsetType = UNSET
    kind: Kind | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    position: int | UnsetType = UNSET
    color: str | UnsetType | None = UNSET
    hours: Hours | UnsetType | None = UNSET


class ResourceJson(TypedDict):
    """`hours` null: the business's. Who isn't active is offered to nobody."""

    id: str
    name: str
    kind: Kind
    is_active: bool
    position: int
    color: str | None
    hours: list[WeekdayJson] | None
    created_at: str


class ResourceList(TypedDict):
    """By position and name."""

    success: bool
    resources: list[ResourceJson]
    count: int


class ResourceAnswer(TypedDict):
    """One, as it is now."""

    success: bool
    resource: ResourceJson


class ResourceEndpoints:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("Who or what is booked", may=May.VIEW, answer=ResourceList)
    async def index(self, request: Request) -> Response:
        """By position and name; none means that the business itself is booked."""
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            shown = [_describe(each) for each in await rows.resources.list()]
        return json_response({"success": True, "resources": shown, "count": len(shown)})

    @operation(
        "Add a resource",
        may=May.SETTINGS,
        body=ResourceBody,
        answer=ResourceAnswer,
        status=201,
        problems=(409,),
    )
    async def create(self, request: Request) -> Response:
        """With a week of its own or the business's."""
        body = await read_json(request, ResourceBody)
        new = NewResource(
            _name(body.name), body.kind, body.is_active, body.position, color_of(body.color)
        )
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            added = await rows.resources.add(new)
            if body.hours:
                added = await _set_hours(rows, added, body.hours)
        return json_response({"success": True, "resource": _describe(added)}, 201)

    @operation("One resource", may=May.VIEW, answer=ResourceAnswer)
    async def show(self, request: Request) -> Response:
        """As it is now."""
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            found = await rows.resources.get(resource_id(request))
        return json_response({"success": True, "resource": _describe(found)})

    @operation(
        "Change a resource", may=May.SETTINGS, body=ResourceChangeBody, answer=ResourceAnswer
    )
    async def change(self, request: Request) -> Response:
        """What is absent stays as it is; what is booked stays booked."""
        body = await read_json(request, ResourceChangeBody)
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            old = await rows.resources.get(resource_id(request))
            new = NewResource(
                _name(kept(body.name, old.name)),
                kept(body.kind, old.kind),
                kept(body.is_active, old.active),
                kept(body.position, old.position),
                color_of(kept(body.color, old.color)),
            )
            changed = await rows.resources.change(old.id, new)
            if not isinstance(body.hours, UnsetType):
                changed = await _set_hours(rows, changed, body.hours)
        return json_response({"success": True, "resource": _describe(changed)})

    @operation("Remove a resource", may=May.SETTINGS, answer=AgendaMessage, problems=(409,))
    async def remove(self, request: Request) -> Response:
        """Refused while it has appointments to come, or while it alone can do a service."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            await rows.resources.remove(resource_id(request))
        return json_response(
            {"success": True, "message": sentence(tenant.locale, "resource_removed")}
        )


def resource_id(request: Request) -> str:
    """The id in the path; NotFound when it can't be one."""
    found: str = request.path_params["id"]
    if not is_identifier(found):
        raise NotFound("no such resource")
    return found


async def _set_hours(
    rows: TenantRows, resource: StoredResource, posted: list[DayBody] | None
) -> StoredResource:
    if not posted:
        return await rows.resources.set_hours(resource.id, None)
    return await set_days(rows, resource, posted)


async def set_days(
    rows: TenantRows, resource: StoredResource, posted: list[DayBody]
) -> StoredResource:
    """Replace these days of its week; the others stay its own, or become so as the business has
    them. Raises Invalid."""
    week = week_of(posted)
    before = tuple(await rows.hours.get()) if resource.hours is None else resource.hours
    ranges: list[OpeningRange] = [each for each in before if each.day not in week]
    ranges += [each for day in week.values() for each in day]
    return await rows.resources.set_hours(resource.id, ranges)


def _name(text: str) -> str:
    return clean_text(text, "name", longest=LONGEST_NAME, key="invalid")


def _describe(resource: StoredResource) -> ResourceJson:
    assert resource.created_at is not None
    return {
        "id": resource.id,
        "name": resource.name,
        "kind": resource.kind,
        "is_active": resource.active,
        "position": resource.position,
        "color": resource.color,
        "hours": None if resource.hours is None else describe_week(resource.hours),
        "created_at": resource.created_at.isoformat(),
    }
