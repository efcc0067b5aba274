"""What is booked: `/api/v1/services` and, the same under another name, `/api/v1/appointment-types`.

The fields are those of the pages (real-users.md §1.7), and ours.
"""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, TypedDict

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.agenda import AgendaMessage, kept
from dashboard.api.auth import tenant_access
from dashboard.api.body import clean_text, json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.query import is_identifier
from dashboard.catalogue import sentence
from domain.agenda import DEFAULT_MINUTES
from domain.errors import Invalid, NotFound
from domain.permissions import May
from storage import Storage
from storage.resources import MAX_RESOURCES
from storage.services import NewService, StoredService

LONGEST_NAME, LONGEST_DESCRIPTION = 120, 2000
#: "#rrggbb", as <input type="color"> sends it.
COLOR = re.compile(r"#[0-9a-fA-F]{6}")
#: What the fields are called outside, where that differs: errors name what was sent.
_FIELDS = {
    "minutes": "duration_minutes",
    "before": "buffer_before_minutes",
    "after": "buffer_after_minutes",
    "step": "slot_step_minutes",
    "resources": "resource_ids",
    "price_cents": "price",
}

Name = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
Description = Annotated[str, msgspec.Meta(max_length=LONGEST_DESCRIPTION)]
ResourceIds = Annotated[list[str], msgspec.Meta(max_length=MAX_RESOURCES)]


class ServiceBody(msgspec.Struct, frozen=True):
    """Minutes; null: what the agenda's rules say. `price` in euros, null: on request.
    `resource_ids`: who can do it; none named means all."""

    name: Name
    description: Description | None = None
    duration_minutes: int = DEFAULT_MINUTES
    buffer_before_minutes: int = 0
    buffer_after_minutes: int = 0
    slot_step_minutes: int | None = None
    notice_minutes: int | None = None
    horizon_days: int | None = None
    daily_cap: int | None = None
    price: float | str | None = None
    color: str | None = None
    is_active: bool = True
    position: int = 0
    resource_ids: ResourceIds = []


class ServiceChangeBody(msgspec.Struct, frozen=True):
    """What is absent stays as it is."""

    name: Name | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    duration_minutes: int | UnsetType = UNSET
    buffer_before_minutes: int | UnsetType = UNSET
    buffer_after_minutes: int | UnsetType = UNSET
    slot_step_minutes: int | UnsetType | None = UNSET
    notice_minutes: int | UnsetType | None = UNSET
    horizon_days: int | UnsetType | None = UNSET
    daily_cap: int | UnsetType | None = UNSET
    price: float | str | UnsetType | None = UNSET
    color: str | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    position: int | UnsetType = UNSET
    resource_ids: ResourceIds | UnsetType = UNSET


class ServiceJson(TypedDict):
    """`price` in euros; null: on request."""

    id: str
    name: str
    description: str
    duration_minutes: int
    buffer_before_minutes: int
    buffer_after_minutes: int
    slot_step_minutes: int | None
    notice_minutes: int | None
    horizon_days: int | None
    daily_cap: int | None
    price: float | None
    color: str | None
    is_active: bool
    position: int
    resource_ids: list[str]
    created_at: str


class ServiceList(TypedDict):
    """By position and name; the same list under both names that pages read."""

    success: bool
    services: list[ServiceJson]
    appointment_types: list[ServiceJson]
    count: int


class ServiceAnswer(TypedDict):
    """One, as it is now, under both names that pages read."""

    success: bool
    service: ServiceJson
    appointment_type: ServiceJson


class ServiceEndpoints:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("What can be booked", may=May.VIEW, answer=ServiceList)
    async def index(self, request: Request) -> Response:
        """By position and name."""
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            shown = [_describe(each) for each in await rows.services.list()]
        return json_response(
            {
                "success": True,
                "services": shown,
                "appointment_types": shown,
                "count": len(shown),
            }
        )

    @operation(
        "Add a service",
        may=May.SETTINGS,
        body=ServiceBody,
        answer=ServiceAnswer,
        status=201,
        problems=(409,),
    )
    async def create(self, request: Request) -> Response:
        """With its length, its buffers, and who can do it."""
        body = await read_json(request, ServiceBody)
        new = NewService(
            name=_name(body.name),
            description=(body.description or "").strip(),
            minutes=body.duration_minutes,
            before=body.buffer_before_minutes,
            after=body.buffer_after_minutes,
            step=body.slot_step_minutes,
            notice_minutes=body.notice_minutes,
            horizon_days=body.horizon_days,
            daily_cap=body.daily_cap,
            price_cents=_cents(body.price),
            color=color_of(body.color),
            active=body.is_active,
            position=body.position,
            resources=tuple(body.resource_ids),
        )
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            try:
                added = await rows.services.add(new)
            except Invalid as error:
                raise _outside(error) from None
        return _answer(added, 201)

    @operation("One service", may=May.VIEW, answer=ServiceAnswer)
    async def show(self, request: Request) -> Response:
        """As it is now."""
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            return _answer(await rows.services.get(_id(request)))

    @operation("Change a service", may=May.SETTINGS, body=ServiceChangeBody, answer=ServiceAnswer)
    async def change(self, request: Request) -> Response:
        """What is absent stays as it is; what is booked stays as it was booked."""
        body = await read_json(request, ServiceChangeBody)
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            old = await rows.services.get(_id(request))
            try:
                changed = await rows.services.change(old.id, _changed(old, body))
            except Invalid as error:
                raise _outside(error) from None
        return _answer(changed)

    @operation("Remove a service", may=May.SETTINGS, answer=AgendaMessage)
    async def remove(self, request: Request) -> Response:
        """It is offered no more; what is booked stays booked."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            await rows.services.remove(_id(request))
        return json_response(
            {"success": True, "message": sentence(tenant.locale, "service_removed")}
        )


def color_of(text: str | None) -> str | None:
    """A colour, or none. Raises Invalid."""
    if not text:
        return None
    if not COLOR.fullmatch(text):
        raise Invalid("Write it as #rrggbb.", field="color", message_key="color_invalid")
    return text.lower()


def _changed(old: StoredService, body: ServiceChangeBody) -> NewService:
    cents = old.price_cents if isinstance(body.price, UnsetType) else _cents(body.price)
    resources = old.resources
    if not isinstance(body.resource_ids, UnsetType):
        resources = tuple(body.resource_ids)
    return NewService(
        name=_name(kept(body.name, old.name)),
        description=(kept(body.description, old.description) or "").strip(),
        minutes=kept(body.duration_minutes, old.minutes),
        before=kept(body.buffer_before_minutes, old.before),
        after=kept(body.buffer_after_minutes, old.after),
        step=kept(body.slot_step_minutes, old.step),
        notice_minutes=kept(body.notice_minutes, old.notice_minutes),
        horizon_days=kept(body.horizon_days, old.horizon_days),
        daily_cap=kept(body.daily_cap, old.daily_cap),
        price_cents=cents,
        color=color_of(kept(body.color, old.color)),
        active=kept(body.is_active, old.active),
        position=kept(body.position, old.position),
        resources=resources,
    )


def _id(request: Request) -> str:
    found: str = request.path_params["id"]
    if not is_identifier(found):
        raise NotFound("no such service")
    return found


def _name(text: str) -> str:
    return clean_text(text, "name", longest=LONGEST_NAME, key="invalid")


def _cents(price: float | str | None) -> int | None:
    """Euros, as a number or as it was typed ("45,50"). Raises Invalid."""
    if price is None or price == "":
        return None
    try:
        cents = Decimal(str(price).replace(",", ".")) * 100
        if cents.is_finite() and cents == cents.to_integral_value() and 0 <= cents < 10**9:
            return int(cents)
    except InvalidOperation:
        pass
    raise Invalid(
        "Give an amount in euros, with two decimals at most.",
        field="price",
        message_key="price_invalid",
    )


def _outside(error: Invalid) -> Invalid:
    field = _FIELDS.get(error.field or "", error.field)
    return Invalid(error.detail, field=field, message_key=error.message_key)


def _answer(service: StoredService, status: int = 200) -> Response:
    shown = _describe(service)
    return json_response({"success": True, "service": shown, "appointment_type": shown}, status)


def _describe(service: StoredService) -> ServiceJson:
    assert service.created_at is not None
    cents = service.price_cents
    return {
        "id": service.id,
        "name": service.name,
        "description": service.description,
        "duration_minutes": service.minutes,
        "buffer_before_minutes": service.before,
        "buffer_after_minutes": service.after,
        "slot_step_minutes": service.step,
        "notice_minutes": service.notice_minutes,
        "horizon_days": service.horizon_days,
        "daily_cap": service.daily_cap,
        "price": None if cents is None else cents / 100,
        "color": service.color,
        "is_active": service.active,
        "position": service.position,
        "resource_ids": list(service.resources),
        "created_at": service.created_at.isoformat(),
    }
