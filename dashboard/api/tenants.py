"""The operator's nouns: tenants, their keys and their numbers (`/api/tenants…`)."""

import re
from functools import cache
from typing import Annotated, Any, TypedDict
from zoneinfo import available_timezones

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import operator_access
from dashboard.api.body import clean_text, json_response, read_json
from dashboard.api.keys import KeyList, KeyRevoked, ScopeName
from dashboard.api.keys import describe as describe_key
from dashboard.api.operations import Door, operation
from dashboard.api.query import is_identifier
from dashboard.api.settings import ApiSettings
from dashboard.catalogue import CATALOGUES
from domain.agent import normalise_sector
from domain.errors import Conflict, Invalid, NotFound
from domain.permissions import ADMIN
from domain.phone import normalise
from domain.tenant import DEFAULT_LOCALE, DEFAULT_TIMEZONE, Tenant
from storage import OperatorStore, Storage
from storage.audit import under_way

LONGEST_NAME = 200
LONGEST_LABEL = 100
#: Dedicated numbers that one request may give to a tenant.
MOST_NUMBERS = 50

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
#: BCP 47 as far as a business needs it: language, perhaps region.
_LOCALE = re.compile(r"([A-Za-z]{2})(?:[-_]([A-Za-z]{2}))?")


class TenantBody(msgspec.Struct, frozen=True):
    """A new tenant. `id` is the dashboard's own, when it has one; `numbers` are Twilio numbers of
    this deployment that ring for this tenant alone."""

    name: str
    timezone: str = DEFAULT_TIMEZONE
    locale: str = DEFAULT_LOCALE
    sector: str | None = None
    id: str | None = None
    numbers: Annotated[list[str], msgspec.Meta(max_length=MOST_NUMBERS)] = []


class KeyBody(msgspec.Struct, frozen=True):
    """A new key; `label` says for what, `scopes` what it opens: everything, unless given."""

    label: str = ""
    scopes: Annotated[list[ScopeName], msgspec.Meta(min_length=1, max_length=20)] = msgspec.field(
        default_factory=lambda: [ADMIN]
    )


class NumberBody(msgspec.Struct, frozen=True):
    """A Twilio number of this deployment that is to ring for the tenant alone."""

    number: str


class TenantJson(TypedDict):
    """`status` "active" or "suspended"; `code`: what a caller may key in."""

    id: str
    code: str
    name: str
    timezone: str
    locale: str
    sector: str
    status: str


class TenantList(TypedDict):
    """By name."""

    success: bool
    tenants: list[TenantJson]


class TenantAnswer(TenantJson):
    """With its dedicated numbers, in E.164."""

    success: bool
    numbers: list[str]


class TenantKeyMade(TypedDict):
    """`key`: nobody can read it again."""

    success: bool
    key: str
    tenant_id: str
    label: str
    scopes: list[str]


class TenantNumbers(TypedDict):
    """`id`: the tenant's."""

    success: bool
    id: str
    numbers: list[str]


class Tenants:
    """The handlers."""

    def __init__(self, storage: Storage, settings: ApiSettings) -> None:
        self._storage = storage
        self._operator = storage.operator
        self._settings = settings
        self._timezones = _timezones()

    @operation(
        "Create a tenant",
        may=Door.OPERATOR,
        body=TenantBody,
        answer=TenantAnswer,
        status=201,
        problems=(409,),
    )
    async def create(self, request: Request) -> Response:
        """POST: 201 with the tenant; 409 when its id or a number is taken."""
        operator_access(request)
        body = await read_json(request, TenantBody)
        name = clean_text(body.name, "name", longest=LONGEST_NAME, key="tenant_name_invalid")
        timezone, locale = self._timezone(body.timezone), locale_of(body.locale)
        if body.id is not None and not _ID.fullmatch(body.id):
            raise Invalid(
                "An id is 1 to 64 letters, digits, hyphens and underscores.",
                field="id",
                message_key="tenant_id_invalid",
            )
        numbers = await self._numbers(body.numbers)
        tenant = await self._operator.create_tenant(
            name, timezone, locale, normalise_sector(body.sector), body.id
        )
        for number in numbers:
            await self._operator.add_number(tenant.id, number)
        if (act := under_way()) is not None:
            act.tenant_id, act.subject_id = tenant.id, tenant.id
        return json_response({"success": True, **describe(tenant, numbers)}, status=201)

    @operation("List tenants", may=Door.OPERATOR, answer=TenantList)
    async def index(self, request: Request) -> Response:
        """GET: all of them."""
        operator_access(request)
        tenants = await self._operator.list_tenants()
        return json_response({"success": True, "tenants": [describe(each) for each in tenants]})

    @operation("Show a tenant", may=Door.OPERATOR, answer=TenantAnswer)
    async def show(self, request: Request) -> Response:
        """GET: one, with its dedicated numbers."""
        tenant = await self._tenant(request)
        numbers = await self._operator.numbers(tenant.id)
        return json_response({"success": True, **describe(tenant, numbers)})

    @operation("Suspend a tenant", may=Door.OPERATOR, answer=TenantAnswer)
    async def suspend(self, request: Request) -> Response:
        """POST: its keys and sessions open nothing, its numbers and lines are nobody's: callers
        hear what callers of unknown numbers hear. Its data stays."""
        return await self._set_status(request, "suspended")

    @operation("Resume a tenant", may=Door.OPERATOR, answer=TenantAnswer)
    async def resume(self, request: Request) -> Response:
        """POST: all is as it was before."""
        return await self._set_status(request, "active")

    async def _set_status(self, request: Request, status: str) -> Response:
        tenant = await self._tenant(request)
        await self._operator.set_tenant_status(tenant.id, status)
        return await self.show(request)

    @operation("List a tenant's keys", may=Door.OPERATOR, answer=KeyList)
    async def keys(self, request: Request) -> Response:
        """GET: all of them, revoked ones too."""
        tenant = await self._tenant(request)
        async with self._storage.tenant(tenant.id).read() as rows:
            keys, now = await rows.keys.list(), rows.keys.now()
        return json_response({"success": True, "keys": [describe_key(each, now) for each in keys]})

    @operation("Revoke a tenant's key", may=Door.OPERATOR, answer=KeyRevoked)
    async def revoke_key(self, request: Request) -> Response:
        """DELETE: it opens nothing any more, within seconds."""
        tenant, key_id = await self._tenant(request), request.path_params["key_id"]
        async with self._storage.tenant(tenant.id).write() as rows:
            key = await rows.keys.revoked(key_id) if is_identifier(key_id) else None
            if key is None:
                raise NotFound("There is no key with this id.", message_key="key_unknown")
            await rows.audit.record("key.revoked", "keys", key_id)
            now = rows.keys.now()
        return json_response({"success": True, "key": describe_key(key, now)})

    @operation(
        "Make a key of a tenant",
        may=Door.OPERATOR,
        body=KeyBody,
        body_optional=True,
        answer=TenantKeyMade,
        status=201,
    )
    async def create_key(self, request: Request) -> Response:
        """POST: 201 with the key, which nobody can read again."""
        tenant = await self._tenant(request)
        body = await read_json(request, KeyBody, may_be_empty=True)
        if len(body.label) > LONGEST_LABEL:
            raise Invalid(f"A label has at most {LONGEST_LABEL} characters.", field="label")
        label = body.label.strip()
        key = await self._operator.create_key(tenant.id, label, body.scopes)
        return json_response(
            {
                "success": True,
                "key": key,
                "tenant_id": tenant.id,
                "label": label,
                "scopes": body.scopes,
            },
            status=201,
        )

    @operation(
        "Give a tenant a number",
        may=Door.OPERATOR,
        body=NumberBody,
        answer=TenantNumbers,
        status=201,
        problems=(409,),
    )
    async def add_number(self, request: Request) -> Response:
        """POST: 201 with the tenant's dedicated numbers, also when it is one of them already; 409
        when it is another tenant's."""
        tenant = await self._tenant(request)
        body = await read_json(request, NumberBody)
        number = await free_number(
            self._operator, self._settings, body.number, field="number", tenant_id=tenant.id
        )
        await self._operator.add_number(tenant.id, number)
        numbers = await self._operator.numbers(tenant.id)
        return json_response({"success": True, "id": tenant.id, "numbers": numbers}, status=201)

    async def _tenant(self, request: Request) -> Tenant:
        operator_access(request)
        tenant_id = request.path_params["id"]
        tenant = await self._operator.get_tenant(tenant_id) if is_identifier(tenant_id) else None
        if tenant is None:
            raise NotFound("There is no tenant with this id.", message_key="tenant_unknown")
        return tenant

    def _timezone(self, name: str) -> str:
        if name not in self._timezones:
            raise Invalid(
                "Give an IANA time zone, such as Europe/Paris.",
                field="timezone",
                message_key="timezone_invalid",
            )
        return name

    async def _numbers(self, given: list[str]) -> list[str]:
        """In E.164, each once, none in other use. Raises Invalid, Conflict."""
        numbers: dict[str, None] = {}
        for index, text in enumerate(given):
            field = f"numbers[{index}]"
            number = await free_number(self._operator, self._settings, text, field=field)
            numbers[number] = None
        return list(numbers)


async def free_number(
    operator: OperatorStore,
    settings: ApiSettings,
    text: str,
    *,
    field: str,
    tenant_id: str | None = None,
) -> str:
    """A number that may ring for one tenant alone, in E.164; `tenant_id`'s own ones may, too.
    Raises Invalid for what can't be read or serves another purpose, Conflict when it's taken."""
    number = normalise(text, settings.default_region)
    if number is None:
        raise Invalid(
            "This can't be read as a telephone number; give it as +33….",
            field=field,
            message_key="number_unreadable",
        )
    own = [] if tenant_id is None else await operator.numbers(tenant_id)
    if number not in own and number in await operator.our_numbers():
        raise Conflict(
            "This number belongs to another tenant.", field=field, message_key="number_taken"
        )
    if number in settings.deployment_numbers:
        raise Invalid(
            "This is a shared number of the deployment; it can't belong to one tenant.",
            field=field,
            message_key="number_shared",
        )
    if await operator.is_line(number):
        raise Invalid(
            "This is a tenant's line that forwards to us, not a number of ours.",
            field=field,
            message_key="number_is_line",
        )
    if await operator.is_transfer_number(number):
        raise Invalid(
            "Calls are transferred to this number; it can't be one of ours.",
            field=field,
            message_key="number_is_transfer",
        )
    return number


@cache
def _timezones() -> frozenset[str]:
    """Read once, before the first request: it walks the whole zone directory."""
    return frozenset(available_timezones())


def locale_of(text: str) -> str:
    """ "FR_fr" → "fr-FR", "en" → "en". Raises Invalid for what isn't a locale and for languages
    whose sentences we don't have: their callers would hear French."""
    match = _LOCALE.fullmatch(text)
    language = match[1].lower() if match else ""
    if match is None or language not in CATALOGUES:
        raise Invalid(
            f"Give a locale such as fr-FR; languages: {', '.join(sorted(CATALOGUES))}.",
            field="locale",
            message_key="locale_invalid",
        )
    return f"{language}-{match[2].upper()}" if match[2] else language


def describe(tenant: Tenant, numbers: list[str] | None = None) -> dict[str, Any]:
    """A tenant as the operator sees it."""
    described: dict[str, Any] = {
        "id": tenant.id,
        "code": tenant.code,
        "name": tenant.name,
        "timezone": tenant.timezone,
        "locale": tenant.locale,
        "sector": tenant.sector,
        "status": tenant.status,
    }
    if numbers is not None:
        described["numbers"] = numbers
    return described
