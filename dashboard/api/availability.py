"""When somebody works, a day at a time, as the pages ask it: `GET|POST /api/v1/availability`; and
what is still free: `GET /api/v1/availability/slots`."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response, read_json
from dashboard.api.business_hours import set_length
from dashboard.api.operations import operation
from dashboard.api.query import is_identifier, read_query
from dashboard.api.resources import set_days
from dashboard.api.week import DayBody, RangeBody, RangeJson, describe_day, week_of
from dashboard.catalogue import sentence
from domain.agenda import OpeningRange
from domain.errors import Invalid, NotFound
from domain.permissions import May
from domain.spoken import spoken_instant
from storage import Storage
from storage.rows import TenantRows

#: The longest period that one question may be about, in days.
LONGEST_PERIOD = 366
_WEEK = range(1, 8)
#: Outside these years zones' arithmetic overflows.
_FIRST_YEAR, _LAST_YEAR = 2000, 2200
#: What the fields of a day are called here, and in a week of opening hours.
_FIELDS = {"open_time": "start_time", "close_time": "end_time", "is_open": "is_available"}


class AvailabilityQuery(msgspec.Struct, frozen=True):
    """Whose; absent: the business's."""

    agent_id: str | None = None


class AvailabilityBody(msgspec.Struct, frozen=True):
    """One day of a week, 1 = Monday … 7 = Sunday, HH:MM on the tenant's clock: with one break, or
    as `ranges`. `agent_id`: a resource; absent: the business itself. `slot_duration`: minutes, of
    the business."""

    day_of_week: int
    is_available: bool | Annotated[int, msgspec.Meta(ge=0, le=1)] = True
    start_time: str | None = None
    end_time: str | None = None
    break_start: str | None = None
    break_end: str | None = None
    ranges: Annotated[list[RangeBody], msgspec.Meta(max_length=24)] | None = None
    slot_duration: int | None = None
    agent_id: str | None = None


class AvailabilityDayJson(TypedDict):
    """A day, as the pages read it (real-users.md §1.7); `ranges` tell all."""

    day_of_week: int
    is_available: bool
    start_time: str | None
    end_time: str | None
    break_start: str | None
    break_end: str | None
    slot_duration: int
    ranges: list[RangeJson]


class AvailabilityAnswer(TypedDict):
    """Seven days. `is_default`: a resource's are the business's, the business's nobody's."""

    success: bool
    agent_id: str | None
    slots: list[AvailabilityDayJson]
    is_default: bool


class AvailabilitySaved(AvailabilityAnswer):
    """The same, and what was done, in words."""

    message: str


class SlotsQuery(msgspec.Struct, frozen=True):
    """The days `date_from` (today) to `date_to` (six days later), on the tenant's clock, for one
    service or none in particular, with one resource or anyone."""

    date_from: date | None = None
    date_to: date | None = None
    service_id: str | None = None
    resource_id: str | None = None
    part_of_day: Literal["morning", "afternoon", "evening"] | None = None


class SlotJson(TypedDict):
    """A free appointment: instants with the tenant's offset. `resource_id` is who would take it,
    null where there is nobody else; `also_free` could as well. `spoken`: as one says it."""

    start: str
    end: str
    minutes: int
    resource_id: str | None
    resource_name: str | None
    also_free: list[str]
    spoken: str


class SlotsAnswer(TypedDict):
    """By start. `timezone`: the tenant's."""

    success: bool
    timezone: str
    slots: list[SlotJson]
    count: int


class Availability:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation(
        "When somebody works",
        may=May.VIEW,
        query=AvailabilityQuery,
        problems=(404,),
        answer=AvailabilityAnswer,
    )
    async def show(self, request: Request) -> Response:
        """The week of a resource, or of the business."""
        query = read_query(request, AvailabilityQuery)
        async with self._storage.tenant(tenant_access(request).tenant.id).read() as rows:
            return json_response(await _week(rows, query.agent_id))

    @operation(
        "Set a day of somebody's week",
        may=May.SETTINGS,
        body=AvailabilityBody,
        answer=AvailabilitySaved,
        problems=(404,),
    )
    async def save(self, request: Request) -> Response:
        """One day; the others stay as they are."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, AvailabilityBody)
        async with self._storage.tenant(tenant.id).write() as rows:
            try:
                await _save(rows, body)
            except Invalid as error:
                raise _outside(error) from None
            saved = await _week(rows, body.agent_id)
        return json_response({**saved, "message": sentence(tenant.locale, "availability_saved")})

    @operation("Free appointments", may=May.VIEW, query=SlotsQuery, answer=SlotsAnswer)
    async def slots(self, request: Request) -> Response:
        """What can still be booked: hours, exceptions, public holidays, buffers, notice, horizon,
        daily caps and calendars elsewhere counted."""
        tenant = tenant_access(request).tenant
        query = read_query(request, SlotsQuery)
        _check_period(query)
        async with self._storage.tenant(tenant.id).read() as rows:
            found = await rows.agenda.free_time(
                query.date_from,
                query.date_to,
                service_id=query.service_id,
                resource=query.resource_id,
                part_of_day=query.part_of_day,
            )
            names = await rows.resources.names()
            today = await rows.agenda.today()
        shown: list[SlotJson] = [
            {
                "start": each.start.isoformat(),
                "end": _end(each.start, each.minutes),
                "minutes": each.minutes,
                "resource_id": each.resource or None,
                "resource_name": names.get(each.resource),
                "also_free": list(each.others),
                "spoken": spoken_instant(each.start, today, tenant.locale),
            }
            for each in found
        ]
        return json_response(
            {
                "success": True,
                "timezone": tenant.timezone,
                "slots": shown,
                "count": len(shown),
            }
        )


async def _week(rows: TenantRows, agent_id: str | None) -> AvailabilityAnswer:
    hours: tuple[OpeningRange, ...] | None
    minutes = (await rows.agenda.rules()).minutes
    if agent_id:
        hours = (await rows.resources.get(_identifier(agent_id))).hours
        is_default = hours is None
    else:
        hours, is_default = None, await rows.hours.is_default()
    week = tuple(await rows.hours.get()) if hours is None else hours
    return {
        "success": True,
        "agent_id": agent_id or None,
        "slots": [_day(day, [each for each in week if each.day == day], minutes) for day in _WEEK],
        "is_default": is_default,
    }


async def _save(rows: TenantRows, body: AvailabilityBody) -> None:
    day = DayBody(
        body.day_of_week,
        body.is_available,
        body.start_time,
        body.end_time,
        body.break_start,
        body.break_end,
        body.ranges,
    )
    if body.agent_id:
        await set_days(rows, await rows.resources.get(_identifier(body.agent_id)), [day])
        minutes = (await rows.agenda.rules()).minutes
        if body.slot_duration not in (None, minutes):
            raise Invalid(
                f"Appointments last {minutes} minutes: change a service, or the agenda's rules.",
                field="slot_duration",
                message_key="length_is_the_services",
            )
        return
    posted = week_of([day])
    others = [each for each in await rows.hours.get() if each.day not in posted]
    await rows.hours.replace([*others, *(each for ranges in posted.values() for each in ranges)])
    await set_length(rows, body.slot_duration, "slot_duration")


def _day(day: int, ranges: list[OpeningRange], minutes: int) -> AvailabilityDayJson:
    shown = describe_day(day, ranges)
    return {
        "day_of_week": day,
        "is_available": shown["is_open"],
        "start_time": shown["open_time"],
        "end_time": shown["close_time"],
        "break_start": shown["break_start"],
        "break_end": shown["break_end"],
        "slot_duration": minutes,
        "ranges": shown["ranges"],
    }


def _identifier(text: str) -> str:
    if not is_identifier(text):
        raise NotFound("no such resource")
    return text


def _outside(error: Invalid) -> Invalid:
    """An error in a week's day as one in ours."""
    field = (error.field or "").removeprefix("hours[0]").removeprefix(".")
    name = _FIELDS.get(field, field) or error.field
    return Invalid(error.detail, field=name, message_key=error.message_key)


def _check_period(query: SlotsQuery) -> None:
    first, last = query.date_from, query.date_to
    for name, day in (("date_from", first), ("date_to", last)):
        if day is not None and not _FIRST_YEAR <= day.year <= _LAST_YEAR:
            raise Invalid(f"{name} is no day of ours.", field=name, message_key="date_invalid")
    if first is not None and last is not None and (last - first).days >= LONGEST_PERIOD:
        raise Invalid(
            f"Ask for {LONGEST_PERIOD} days at most.",
            field="date_to",
            message_key="period_too_long",
        )


def _end(start: datetime, minutes: int) -> str:
    end = start.astimezone(UTC) + timedelta(minutes=minutes)
    return end.astimezone(start.tzinfo).isoformat()
