"""The tenant's free time: which slots to offer a caller who listens."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from domain.agenda import DEFAULT_MINUTES, HORIZON_DAYS, Agenda
from domain.availability import (
    Slot,
    free_slots,
    nearest,
    verdict,
)
from domain.spoken import spoken_instant
from storage import TenantRows
from voice.functions.context import CallContext

#: How many slots a caller can be read at once, and how far around a full day we look.
MAX_SLOTS = 5
_DAYS_BEFORE = timedelta(days=7)
_DAYS_AFTER = timedelta(days=14)
_WEEK = timedelta(days=7)


def horizon(context: CallContext) -> date:
    """The last day that can be booked."""
    return context.today() + timedelta(days=HORIZON_DAYS)


async def load(rows: TenantRows, context: CallContext) -> Agenda:
    """The tenant's agenda."""
    return Agenda(context.tenant.timezone, tuple(await rows.hours.get()))


async def free(
    rows: TenantRows, context: CallContext, first: date, last: date, part: str | None = None
) -> list[Slot]:
    """Free slots from `first` to `last`, both included, oldest first; never past ones."""
    first, last = max(first, context.today()), min(last, horizon(context))
    if first > last:
        return []
    zone = context.tenant.timezone
    agenda = await load(rows, context)
    busy = await rows.appointments.busy(
        _midnight(first, zone), _midnight(last + timedelta(days=1), zone)
    )
    now = context.clock.now()
    return free_slots(agenda, agenda.plain(), {"": busy}, now, first, last, part_of_day=part)


async def opens(rows: TenantRows, context: CallContext, day: date) -> bool:
    """Whether anything could be booked that day if nobody had booked yet."""
    agenda = await load(rows, context)
    return bool(free_slots(agenda, agenda.plain(), {}, context.clock.now(), day, day))


async def is_free(rows: TenantRows, context: CallContext, start: datetime) -> bool:
    """Whether this very moment could be booked now, on the grid of `free` or off it."""
    agenda = await load(rows, context)
    if verdict(agenda, agenda.plain(), start, context.clock.now()) != "ok":
        return False
    begin = start.astimezone(UTC)
    return not await rows.appointments.busy(begin, begin + timedelta(minutes=DEFAULT_MINUTES))


async def soonest(rows: TenantRows, context: CallContext, part: str | None = None) -> list[Slot]:
    """The first days that together have MAX_SLOTS free slots: all slots of those days."""
    found: list[Slot] = []
    day = context.today()
    while day <= horizon(context):
        for slot in await free(rows, context, day, day + _WEEK - timedelta(days=1), part):
            if len(found) >= MAX_SLOTS and slot.start.date() != found[-1].start.date():
                return found
            found.append(slot)
        if len(found) >= MAX_SLOTS:
            return found
        day += _WEEK
    return found


async def around(
    rows: TenantRows, context: CallContext, wanted: datetime, part: str | None = None
) -> list[Slot]:
    """Free slots of the days around an instant, or of the soonest days if there are none."""
    day = min(max(wanted.date(), context.today()), horizon(context))
    slots = await free(rows, context, day - _DAYS_BEFORE, day + _DAYS_AFTER, part)
    if part is not None:  # the same day at another time is near, too
        slots = sorted({*slots, *await free(rows, context, day, day)}, key=_start)
    return slots or await soonest(rows, context)


async def alternatives(
    rows: TenantRows, context: CallContext, wanted: datetime, count: int = 3
) -> list[dict[str, Any]]:
    """What can be offered instead of an instant that can't be had, nearest first."""
    slots = await around(rows, context, wanted)
    return [shown(slot, context) for slot in nearest(slots, wanted, count)]


def spread(slots: Sequence[Slot], count: int) -> list[Slot]:
    """At most `count` of them, evenly, the first and the last always among them."""
    if len(slots) <= count:
        return list(slots)
    step = (len(slots) - 1) / (count - 1)
    return [slots[round(index * step)] for index in range(count)]


def thinned(slots: Sequence[Slot], per_day: int = 2) -> list[Slot]:
    """At most `per_day` of each day."""
    days = groupby(slots, key=lambda slot: slot.start.date())
    return [slot for _, day in days for slot in spread(list(day), per_day)]


def shown(slot: Slot, context: CallContext) -> dict[str, Any]:
    """{start, spoken, resource?} as the agent reads it."""
    result = {
        "start": slot.start.isoformat(),
        "spoken": spoken_instant(slot.start, context.today(), context.locale),
    }
    return {**result, "resource": slot.resource} if slot.resource else result


def _midnight(day: date, timezone: str) -> datetime:
    return datetime.combine(day, time.min, ZoneInfo(timezone)).astimezone(UTC)


def _start(slot: Slot) -> datetime:
    return slot.start
