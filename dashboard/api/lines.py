"""A business's lines: whose they are, and whether they forward to us (real-users.md §1.3, §1.4)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, TypedDict

import msgspec
import phonenumbers
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import operator_access, tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import Door, operation
from dashboard.api.phone_config import LINE, LINE_FIELD, PhoneConfig
from dashboard.api.query import is_identifier
from dashboard.api.settings import ApiSettings
from dashboard.catalogue import CATALOGUES, sentence
from domain.errors import Conflict, Invalid, NotFound
from domain.forwarding_codes import forwarding_codes
from domain.lines import CLAIM_LAPSES, CODE_SPOKEN
from domain.messages import language_of
from domain.permissions import May
from domain.phone import normalise
from domain.text_address import refusal
from storage import Line, LineCheck, Storage

MICROS = 1_000_000


class LineCheckBody(msgspec.Struct, frozen=True):
    """`number`: the line, as people write it; absent: the one that is configured."""

    number: str | None = None


class LineCodeBody(msgspec.Struct, frozen=True):
    """What was spoken on the line."""

    code: Annotated[str, msgspec.Meta(max_length=20)]


class TenantLineBody(msgspec.Struct, frozen=True):
    """A business's own line, which forwards to us."""

    number: str


class SpendingBody(msgspec.Struct, frozen=True, rename="camel"):
    """`cap` in the deployment's currency, a day; null: the deployment's own counts."""

    cap: Annotated[float, msgspec.Meta(ge=0, le=1_000_000)] | None


class ForwardingCodeJson(TypedDict):
    """`line` mobile, landline or box; `when` all, voice, busy, no_answer or unreachable. Null
    codes: it is done in the operator's customer area. `verified`: seen to work at `operators`."""

    line: str
    when: str
    activate: str | None
    check: str | None
    cancel: str | None
    operators: str
    verified: bool


class LineCheckJson(TypedDict):
    """`state` queued, calling or done; `verdict` works, not_forwarded, hidden, code_spoken,
    code_not_heard or unknown; `message` can be shown; `expectsCode`: one was spoken."""

    id: str
    number: str
    kind: str
    state: str
    verdict: str | None
    reason: str | None
    message: str
    expectsCode: bool
    createdAt: str
    finishedAt: str | None
    codes: list[ForwardingCodeJson]


class LineCheckAnswer(TypedDict):
    """One check."""

    success: bool
    check: LineCheckJson


class LineCheckList(TypedDict):
    """The latest first."""

    success: bool
    checks: list[LineCheckJson]


class LineCodeAnswer(LineCheckAnswer):
    """`verified`: whether that was the code."""

    verified: bool


class NumberJson(TypedDict):
    """`kind` line (the business's own, which forwards to us), dedicated (ours, for it alone) or
    shared (ours, for all); `state` verified, unverified, lost, dedicated or shared; `reason` can be
    shown."""

    number: str
    written: str
    kind: str
    state: str
    reason: str
    claimedAt: str | None
    verifiedAt: str | None
    lapsesAt: str | None
    lastCheck: LineCheckJson | None


class NumberList(TypedDict):
    """`forwardTo`: the number to which lines are forwarded; null: there is none yet."""

    success: bool
    numbers: list[NumberJson]
    forwardTo: str | None


class TenantLines(TypedDict):
    """In E.164."""

    success: bool
    lines: list[str]


class SpendingAnswer(TypedDict):
    """In the deployment's currency, estimated; `ownCap` null: the deployment's counts."""

    success: bool
    spentToday: float
    cap: float | None
    ownCap: float | None


class LineEndpoints:
    """The handlers."""

    def __init__(self, storage: Storage, settings: ApiSettings) -> None:
        self._storage = storage
        self._settings = settings
        self._phone = PhoneConfig(storage, settings)

    @operation("List the business's numbers", may=May.VIEW, answer=NumberList)
    async def numbers(self, request: Request) -> Response:
        """Its lines that forward to us, with how each stands and why, and the numbers of ours that
        they can be forwarded to."""
        tenant = tenant_access(request).tenant
        dedicated = await self._storage.operator.numbers(tenant.id)
        async with self._storage.tenant(tenant.id).read() as rows:
            lines, checks = await rows.lines.list(), await rows.lines.checks()
            config = (await rows.channels.get("phone")).config
        to = self._forward_to(dedicated)
        latest: dict[str, LineCheckJson] = {}
        for check in reversed(checks):
            latest[check.number] = self._shown(check, to, tenant.locale)
        listed = [_line(line, latest.get(line.number), tenant.locale) for line in lines]
        wanted = self._read(config.get(LINE))
        if wanted is not None and wanted not in {line.number for line in lines}:
            listed.append(_number(wanted, "line", "lost", tenant.locale, latest.get(wanted)))
        listed += [_number(each, "dedicated", "dedicated", tenant.locale) for each in dedicated]
        shared = self._settings.shared_number
        if shared is not None:
            listed.append(_number(shared, "shared", "shared", tenant.locale))
        return json_response({"success": True, "numbers": listed, "forwardTo": to})

    @operation(
        "Check the forwarding of a line",
        may=May.SETTINGS,
        body=LineCheckBody,
        body_optional=True,
        answer=LineCheckAnswer,
        status=202,
        problems=(409,),
    )
    async def begin(self, request: Request) -> Response:
        """We call the line, and see whether the call comes back. Where another organisation claims
        the line without proof, a code is spoken on it instead. One at a time, three a day; 409
        while one is under way, and where another organisation has proven the line."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, LineCheckBody, may_be_empty=True)
        dedicated = await self._storage.operator.numbers(tenant.id)
        to = self._forward_to(dedicated)
        if to is None:
            raise Conflict("There is no number to forward to.", message_key="check_no_number")
        number = await self._number(tenant.id, body.number)
        kind = await self._storage.lines.kind_of_check(tenant.id, number)
        async with self._storage.tenant(tenant.id).write() as rows:
            check = await rows.lines.begin(number, kind)
        shown = self._shown(check, to, tenant.locale)
        return json_response({"success": True, "check": shown}, 202)

    @operation("List forwarding checks", may=May.VIEW, answer=LineCheckList)
    async def index(self, request: Request) -> Response:
        """The latest twenty."""
        tenant = tenant_access(request).tenant
        to = self._forward_to(await self._storage.operator.numbers(tenant.id))
        async with self._storage.tenant(tenant.id).read() as rows:
            checks = await rows.lines.checks()
        listed = [self._shown(check, to, tenant.locale) for check in checks]
        return json_response({"success": True, "checks": listed})

    @operation("Show a forwarding check", may=May.VIEW, answer=LineCheckAnswer)
    async def show(self, request: Request) -> Response:
        """How it stands; the live event `line.check` tells of changes."""
        return json_response({"success": True, "check": await self._check(request)})

    @operation(
        "Enter the code that was spoken on the line",
        may=May.SETTINGS,
        body=LineCodeBody,
        answer=LineCodeAnswer,
        problems=(409,),
    )
    async def prove(self, request: Request) -> Response:
        """With the right one, the line is the business's from now on, and whoever claimed it is
        told. 409 when no code is waited for (any more)."""
        tenant, check_id = tenant_access(request).tenant, _id(request, "id")
        body = await read_json(request, LineCodeBody)
        verified = await self._storage.lines.prove(tenant.id, check_id, body.code)
        check = await self._check(request)
        return json_response({"success": True, "verified": verified, "check": check})

    # ------------------------------------------------------------------------ the operator

    @operation("List a tenant's lines", may=Door.OPERATOR, answer=TenantLines)
    async def lines(self, request: Request) -> Response:
        """Those that forward to us."""
        operator_access(request)
        tenant_id = await self._tenant(request)
        return await self._lines(tenant_id)

    @operation(
        "Give a line to a tenant",
        may=Door.OPERATOR,
        body=TenantLineBody,
        answer=TenantLines,
    )
    async def assign(self, request: Request) -> Response:
        """Whoever had it before loses it, and is told."""
        operator_access(request)
        tenant_id = await self._tenant(request)
        body = await read_json(request, TenantLineBody)
        number = self._read(body.number)
        if number is None:
            raise Invalid("can't be read", field="number", message_key="number_unreadable")
        await self._phone.check({LINE: body.number})
        await self._storage.lines.assign(tenant_id, number)
        return await self._lines(tenant_id)

    @operation("Show what a tenant spends", may=Door.OPERATOR, answer=SpendingAnswer)
    async def spending(self, request: Request) -> Response:
        """Today's SMS and forwarding checks, estimated, and the cap on them."""
        operator_access(request)
        return await self._spending(await self._tenant(request))

    @operation(
        "Cap what a tenant spends", may=Door.OPERATOR, body=SpendingBody, answer=SpendingAnswer
    )
    async def set_cap(self, request: Request) -> Response:
        """A cap of its own, in place of the deployment's."""
        operator_access(request)
        tenant_id = await self._tenant(request)
        body = await read_json(request, SpendingBody)
        async with self._storage.tenant(tenant_id).write() as rows:
            cap = None if body.cap is None else round(body.cap * MICROS)
            await rows.spending.set_cap(cap)
        return await self._spending(tenant_id)

    # ------------------------------------------------------------------------------- parts

    async def _tenant(self, request: Request) -> str:
        tenant_id = _id(request, "id")
        if await self._storage.operator.get_tenant(tenant_id) is None:
            raise NotFound("There is no tenant with this id.", message_key="tenant_unknown")
        return tenant_id

    async def _lines(self, tenant_id: str) -> Response:
        lines = await self._storage.operator.lines(tenant_id)
        return json_response({"success": True, "lines": lines})

    async def _spending(self, tenant_id: str) -> Response:
        async with self._storage.tenant(tenant_id).read() as rows:
            spent, own = await rows.spending.today(), await rows.spending.own_cap()
        cap = self._settings.spend_cap if own is None else own
        shown = {
            "spentToday": spent / MICROS,
            "cap": None if cap is None else cap / MICROS,
            "ownCap": None if own is None else own / MICROS,
        }
        return json_response({"success": True, **shown})

    async def _check(self, request: Request) -> LineCheckJson:
        tenant = tenant_access(request).tenant
        to = self._forward_to(await self._storage.operator.numbers(tenant.id))
        async with self._storage.tenant(tenant.id).read() as rows:
            check = await rows.lines.check(_id(request, "id"))
        return self._shown(check, to, tenant.locale)

    async def _number(self, tenant_id: str, given: str | None) -> str:
        """The line to be checked, in E.164; one that we may call."""
        if given is None:
            async with self._storage.tenant(tenant_id).read() as rows:
                given = (await rows.channels.get("phone")).config.get(LINE)
        number = self._read(given)
        if number is None:
            if given and str(given).strip():
                raise Invalid("can't be read", field=LINE_FIELD, message_key="line_unreadable")
            raise Conflict("There is no line to check.", message_key="check_no_line")
        await self._phone.check({LINE: number})
        if refusal("call", number, self._settings.allowed_countries) is not None:
            raise Invalid("can't be called", field="number", message_key="line_not_callable")
        return number

    def _read(self, value: Any) -> str | None:
        return normalise(value, self._settings.default_region) if isinstance(value, str) else None

    def _forward_to(self, dedicated: Sequence[str]) -> str | None:
        return dedicated[0] if dedicated else self._settings.shared_number

    def _shown(self, check: LineCheck, to: str | None, locale: str) -> LineCheckJson:
        return {
            "id": check.id,
            "number": check.number,
            "kind": check.kind,
            "state": check.state,
            "verdict": check.verdict,
            "reason": check.reason,
            "message": _message(check, locale),
            "expectsCode": check.verdict == CODE_SPOKEN,
            "createdAt": check.created_at.isoformat(),
            "finishedAt": _iso(check.finished_at),
            "codes": _codes(check.number, to),
        }


def _codes(line: str, to: str | None) -> list[ForwardingCodeJson]:
    """None while there is nothing to forward to, or from."""
    if to is None or normalise(line) is None or normalise(to) is None:
        return []
    return [
        {
            "line": each.line,
            "when": each.when,
            "activate": each.activate,
            "check": each.check,
            "cancel": each.cancel,
            "operators": each.operators,
            "verified": each.verified,
        }
        for each in forwarding_codes(line, to)
    ]


def _message(check: LineCheck, locale: str) -> str:
    key = f"check_{check.verdict if check.state == 'done' else check.state}"
    known = CATALOGUES[language_of(locale)]
    keys = (f"{key}_{check.reason}", key, "check_unknown")
    return sentence(locale, next(each for each in keys if each in known))


def _line(line: Line, check: LineCheckJson | None, locale: str) -> NumberJson:
    state = "unverified" if line.verified_at is None else "verified"
    shown = _number(line.number, "line", state, locale, check)
    if check is not None and check["state"] == "done" and check["verdict"] != "works":
        shown["reason"] = check["message"]
    lapses = None
    if line.verified_at is None and line.claimed_at is not None:
        lapses = line.claimed_at + CLAIM_LAPSES
    shown["claimedAt"] = _iso(line.claimed_at or line.created_at)
    shown["verifiedAt"], shown["lapsesAt"] = _iso(line.verified_at), _iso(lapses)
    return shown


def _number(
    number: str, kind: str, state: str, locale: str, check: LineCheckJson | None = None
) -> NumberJson:
    return {
        "number": number,
        "written": _written(number),
        "kind": kind,
        "state": state,
        "reason": sentence(locale, f"line_state_{state}"),
        "claimedAt": None,
        "verifiedAt": None,
        "lapsesAt": None,
        "lastCheck": check,
    }


def _written(number: str) -> str:
    """+33261910077 → "+33 2 61 91 00 77"; what an import or an older server left unread stays."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _id(request: Request, name: str) -> str:
    value: str = request.path_params[name]
    if not is_identifier(value):
        raise NotFound("There is nothing with this id.")
    return value


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant else None
