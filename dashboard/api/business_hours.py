"""When the business is open: `GET|POST /api/v1/business-hours`.

A POST replaces the days that it names and leaves the others as they are. Exceptions and public
holidays are shown along; they are set at /api/v1/agenda.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.agenda import ExceptionJson, HolidayJson, describe_exception, describe_holidays
from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.operations import operation
from dashboard.api.week import DayBody, WeekdayJson, describe_week, week_of
from dashboard.catalogue import sentence
from domain.agenda import OpeningRange
from domain.errors import Invalid
from domain.permissions import May
from storage import Storage
from storage.rows import TenantRows


class HoursBody(msgspec.Struct, frozen=True):
    """What the page posts. `slot_minutes`: how long an appointment is for which nobody names a
    service."""

    hours: Annotated[list[DayBody], msgspec.Meta(min_length=1, max_length=7)]
    slot_minutes: int | None = None


class HoursAnswer(TypedDict):
    """All seven days, and what differs from them. `is_default`: nobody has set them yet."""

    success: bool
    hours: list[WeekdayJson]
    is_default: bool
    slot_minutes: int
    exceptions: list[ExceptionJson]
    holidays: list[HolidayJson]


class HoursSaved(HoursAnswer):
    """The same, and what was done, in words."""

    message: str


class BusinessHours:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("The opening hours", may=May.VIEW, answer=HoursAnswer)
    async def show(self, request: Request) -> Response:
        """All seven days, the business's exceptions from today on, and its public holidays."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            return json_response(await _describe(rows))

    @operation("Set opening hours", may=May.SETTINGS, body=HoursBody, answer=HoursSaved)
    async def save(self, request: Request) -> Response:
        """The days it names, all or nothing; the others stay as they are."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, HoursBody)
        posted = week_of(body.hours)
        async with self._storage.tenant(tenant.id).write() as rows:
            kept = [each for each in await rows.hours.get() if each.day not in posted]
            ranges = kept + [each for day in posted.values() for each in day]
            await _replace(rows, ranges)
            await set_length(rows, body.slot_minutes, "slot_minutes")
            saved = await _describe(rows)
        return json_response({**saved, "message": sentence(tenant.locale, "hours_saved")})


async def set_length(rows: TenantRows, minutes: int | None, field: str) -> None:
    """How long an appointment is for which nobody names a service. Raises Invalid with `field`."""
    rules = await rows.agenda.rules()
    if minutes is None or minutes == rules.minutes:
        return
    try:
        await rows.agenda.set_rules(replace(rules, minutes=minutes))
    except Invalid as error:
        raise Invalid(error.detail, field=field, message_key=error.message_key) from None


async def _replace(rows: TenantRows, ranges: Sequence[OpeningRange]) -> None:
    try:
        await rows.hours.replace(ranges)
    except Invalid as overlap:
        # Within a day we would have found it: a night runs into the next day's opening.
        raise Invalid(
            "The night of one day runs into the opening of the next.",
            field="hours",
            message_key="hours_overlap",
        ) from overlap


async def _describe(rows: TenantRows) -> HoursAnswer:
    agenda = await rows.agenda.load()
    return {
        "success": True,
        "hours": describe_week(agenda.hours),
        "is_default": await rows.hours.is_default(),
        "slot_minutes": agenda.rules.minutes,
        "exceptions": [
            describe_exception(each) for each in agenda.exceptions if each.resource is None
        ],
        "holidays": describe_holidays(agenda),
    }
