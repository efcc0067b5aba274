"""What holds for the whole agenda: `/api/v1/agenda/rules`, and the days that differ from the week:
`/api/v1/agenda/exceptions`."""

from datetime import date
from typing import Annotated, Literal, TypedDict, TypeVar

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.query import is_identifier, read_query
from dashboard.api.week import RangeBody, RangeJson, day_ranges, describe_ranges
from dashboard.catalogue import sentence
from domain.agenda import Agenda, DayException, Rules
from domain.errors import Invalid, NotFound
from domain.permissions import May
from storage import Storage
from storage.agenda_values import MAX_RANGES
from storage.day_exceptions import NewException
from storage.public_holidays import FRENCH_REGIONS

LONGEST_LABEL = 120

Label = Annotated[str, msgspec.Meta(max_length=LONGEST_LABEL)]
Ranges = Annotated[list[RangeBody], msgspec.Meta(max_length=MAX_RANGES)]


class HolidayJson(TypedDict):
    """A public holiday of the tenant's region."""

    date: str
    name: str


class RegionJson(TypedDict):
    """A region whose public holidays can be chosen."""

    code: str
    name: str


class RulesJson(TypedDict):
    """Minutes and days; null: no rule. `holiday_hours` count when `on_holidays` is special."""

    holiday_region: str | None
    on_holidays: Literal["open", "closed", "special"]
    holiday_hours: list[RangeJson]
    minutes: int
    step_minutes: int | None
    notice_minutes: int
    horizon_days: int
    daily_cap: int | None


class RulesAnswer(TypedDict):
    """The rules, the public holidays to come, and the regions of France to choose from; other
    countries are named by their codes (BE, DE-BY)."""

    success: bool
    rules: RulesJson
    holidays: list[HolidayJson]
    regions: list[RegionJson]


class RulesSaved(RulesAnswer):
    """The same, and what was done, in words."""

    message: str


class RulesBody(msgspec.Struct, frozen=True):
    """What is absent stays as it is. `minutes`: how long an appointment is for which nobody names
    a service; `step_minutes`: between two starts; `daily_cap`: of each resource."""

    holiday_region: Annotated[str, msgspec.Meta(max_length=20)] | UnsetType | None = UNSET
    on_holidays: Literal["open", "closed", "special"] | UnsetType = UNSET
    holiday_hours: Ranges | UnsetType = UNSET
    minutes: int | UnsetType = UNSET
    step_minutes: int | UnsetType | None = UNSET
    notice_minutes: int | UnsetType = UNSET
    horizon_days: int | UnsetType = UNSET
    daily_cap: int | UnsetType | None = UNSET


class ExceptionBody(msgspec.Struct, frozen=True):
    """The days `first` to `last` (absent: the same day), YYYY-MM-DD; without `ranges`
    closed. `resource_id` null: the whole business."""

    first: date
    last: date | None = None
    ranges: Ranges = []
    resource_id: str | None = None
    label: Label = ""


class ExceptionChangeBody(msgspec.Struct, frozen=True):
    """What is absent stays as it is."""

    first: date | UnsetType = UNSET
    last: date | UnsetType = UNSET
    ranges: Ranges | UnsetType = UNSET
    resource_id: str | UnsetType | None = UNSET
    label: Label | UnsetType = UNSET


class ExceptionsQuery(msgspec.Struct, frozen=True):
    """Those that touch the days `date_from` to `date_to`; of one resource, or of all."""

    date_from: date | None = None
    date_to: date | None = None
    resource_id: str | None = None


class ExceptionJson(TypedDict):
    """Days that differ from the week; without ranges closed. `resource_id` null: the business."""

    id: str
    first: str
    last: str
    ranges: list[RangeJson]
    is_closed: bool
    resource_id: str | None
    label: str


class ExceptionList(TypedDict):
    """By day."""

    success: bool
    exceptions: list[ExceptionJson]
    count: int


class ExceptionAnswer(TypedDict):
    """One, as it is now."""

    success: bool
    exception: ExceptionJson


class AgendaMessage(TypedDict):
    """What was done, in words."""

    success: bool
    message: str


class AgendaEndpoints:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("The rules of the agenda", may=May.VIEW, answer=RulesAnswer)
    async def rules(self, request: Request) -> Response:
        """What holds for all services that say nothing themselves."""
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            return json_response(_rules_answer(await rows.agenda.load()))

    @operation(
        "Change the rules of the agenda", may=May.SETTINGS, body=RulesBody, answer=RulesSaved
    )
    async def set_rules(self, request: Request) -> Response:
        """What is absent stays as it is."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, RulesBody)
        async with self._storage.tenant(tenant.id).write() as rows:
            try:
                await rows.agenda.set_rules(_changed(await rows.agenda.rules(), body))
            except Invalid as error:
                raise _outside(error) from None
            saved = _rules_answer(await rows.agenda.load())
        return json_response({**saved, "message": sentence(tenant.locale, "agenda_saved")})

    @operation("Days that differ", may=May.VIEW, query=ExceptionsQuery, answer=ExceptionList)
    async def exceptions(self, request: Request) -> Response:
        """Closed days, special hours and absences, by day."""
        query = read_query(request, ExceptionsQuery)
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            found = await rows.exceptions.list(query.date_from, query.date_to)
        if query.resource_id is not None:
            found = [each for each in found if each.resource == query.resource_id]
        shown = [describe_exception(each) for each in found]
        return json_response({"success": True, "exceptions": shown, "count": len(shown)})

    @operation(
        "Add days that differ",
        may=May.SETTINGS,
        body=ExceptionBody,
        answer=ExceptionAnswer,
        status=201,
        problems=(409,),
    )
    async def add_exception(self, request: Request) -> Response:
        """Close some days, or give them hours of their own, for all or for one resource."""
        body = await read_json(request, ExceptionBody)
        new = NewException(
            body.first,
            body.last or body.first,
            day_ranges(body.ranges, "ranges"),
            body.resource_id or None,
            _one_line(body.label),
        )
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            try:
                added = await rows.exceptions.add(new)
            except Invalid as error:
                raise _outside(error) from None
        return json_response({"success": True, "exception": describe_exception(added)}, 201)

    @operation("One exception", may=May.VIEW, answer=ExceptionAnswer)
    async def exception(self, request: Request) -> Response:
        """As it is now."""
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            found = await rows.exceptions.get(exception_id(request))
        return json_response({"success": True, "exception": describe_exception(found)})

    @operation(
        "Change days that differ",
        may=May.SETTINGS,
        body=ExceptionChangeBody,
        answer=ExceptionAnswer,
    )
    async def change_exception(self, request: Request) -> Response:
        """What is absent stays as it is."""
        body = await read_json(request, ExceptionChangeBody)
        async with self._storage.tenant(tenant_access(request).tenant.id).write() as rows:
            old = await rows.exceptions.get(exception_id(request))
            ranges = old.ranges
            if not isinstance(body.ranges, UnsetType):
                ranges = day_ranges(body.ranges, "ranges")
            new = NewException(
                kept(body.first, old.first),
                kept(body.last, old.last),
                ranges,
                kept(body.resource_id, old.resource) or None,
                _one_line(kept(body.label, old.label)),
            )
            try:
                changed = await rows.exceptions.change(old.id, new)
            except Invalid as error:
                raise _outside(error) from None
        return json_response({"success": True, "exception": describe_exception(changed)})

    @operation("Remove days that differ", may=May.SETTINGS, answer=AgendaMessage)
    async def remove_exception(self, request: Request) -> Response:
        """The week counts again on these days."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).write() as rows:
            await rows.exceptions.remove(exception_id(request))
        return json_response(
            {"success": True, "message": sentence(tenant.locale, "agenda_exception_removed")}
        )


T = TypeVar("T")


def kept(given: T | UnsetType, old: T) -> T:
    """What was given, or what was there."""
    return old if isinstance(given, UnsetType) else given


def exception_id(request: Request) -> str:
    """The id in the path; NotFound when it can't be one."""
    found: str = request.path_params["id"]
    if not is_identifier(found):
        raise NotFound("no such exception")
    return found


def describe_exception(exception: DayException) -> ExceptionJson:
    """As pages read it."""
    return {
        "id": exception.id,
        "first": exception.first.isoformat(),
        "last": exception.last.isoformat(),
        "ranges": describe_ranges(exception.ranges),
        "is_closed": not exception.ranges,
        "resource_id": exception.resource,
        "label": exception.label,
    }


def describe_holidays(agenda: Agenda) -> list[HolidayJson]:
    """The public holidays to come, by day."""
    return [
        {"date": day.isoformat(), "name": name} for day, name in sorted(agenda.holidays.items())
    ]


def _rules_answer(agenda: Agenda) -> RulesAnswer:
    rules = agenda.rules
    return {
        "success": True,
        "rules": {
            "holiday_region": rules.holiday_region,
            "on_holidays": rules.on_holidays,
            "holiday_hours": describe_ranges(rules.holiday_hours),
            "minutes": rules.minutes,
            "step_minutes": rules.step,
            "notice_minutes": rules.notice_minutes,
            "horizon_days": rules.horizon_days,
            "daily_cap": rules.daily_cap,
        },
        "holidays": describe_holidays(agenda),
        "regions": [{"code": code, "name": name} for code, name in FRENCH_REGIONS.items()],
    }


def _changed(old: Rules, body: RulesBody) -> Rules:
    hours = old.holiday_hours
    if not isinstance(body.holiday_hours, UnsetType):
        hours = day_ranges(body.holiday_hours, "holiday_hours")
    return Rules(
        kept(body.holiday_region, old.holiday_region) or None,
        kept(body.on_holidays, old.on_holidays),
        hours,
        kept(body.minutes, old.minutes),
        kept(body.step_minutes, old.step),
        kept(body.notice_minutes, old.notice_minutes),
        kept(body.horizon_days, old.horizon_days),
        kept(body.daily_cap, old.daily_cap),
    )


def _outside(error: Invalid) -> Invalid:
    """Errors name what was sent."""
    field = {"resource": "resource_id", "step": "step_minutes"}.get(error.field or "", error.field)
    return Invalid(error.detail, field=field, message_key=error.message_key)


def _one_line(label: str) -> str:
    text = label.strip()
    if text and not text.isprintable():
        raise Invalid("Give one line of printable characters.", field="label")
    return text
