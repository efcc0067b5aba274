"""check_availability: which moments can be offered to the caller."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from domain.agenda import DEFAULT_MINUTES, HORIZON_DAYS
from domain.availability import Slot, nearest
from domain.messages import language_of
from domain.part_of_day import named_part
from domain.spoken import parse_day, parse_instant, spoken_day
from storage import TenantRows
from voice.functions import diary
from voice.functions.arguments import Phrase, schema
from voice.functions.context import CallContext
from voice.functions.function import Answer, Refused, unavailable
from voice.functions.sentences import say
from voice.ports import FunctionSpec

NAME = "check_availability"
WRITES = False
EMPTY: Mapping[str, Any] = {"slots": []}

_DESCRIPTION = {
    "fr": (
        "Donne les créneaux libres du jour demandé ; sans date, quelques-uns des plus proches. À "
        "appeler avant de proposer la moindre date, et de nouveau si l'appelant en demande "
        "d'autres. Ne proposer que ce qui est dans slots, deux ou trois à la fois, avec les mots "
        "de spoken ; lire note s'il y en a une."
    ),
    "en": (
        "Gives the free slots of the day asked for; without a date, some of the soonest. Call it "
        "before offering any date, and again when the caller asks for others. Offer only what is "
        "in slots, two or three at a time, in the words of spoken; read note if there is one."
    ),
}
_PARAMETERS = {
    "fr": {
        "date": (
            "Le jour demandé : 2026-11-24, « demain », « mardi prochain ». Si l'appelant a dit une "
            "heure, l'ajouter : 2026-11-24T14:00. À omettre s'il est libre n'importe quand."
        ),
        "part_of_day": "Le moment demandé : morning, afternoon ou evening. À omettre sinon.",
        "service": "Le motif du rendez-vous, s'il est connu.",
    },
    "en": {
        "date": (
            "The day asked for: 2026-11-24, “tomorrow”, “next Tuesday”. If the caller said a time, "
            "add it: 2026-11-24T14:00. Leave out when any day will do."
        ),
        "part_of_day": "What was asked for: morning, afternoon or evening. Otherwise leave out.",
        "service": "What the appointment is for, if known.",
    },
}


#: What counts as near to a part of a day of which nobody named the hour.
_MIDDLE = {"morning": time(10), "afternoon": time(16), "evening": time(19), None: time(12)}


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """`date` is a day or, once prepared, also an ISO day with a time."""

    date: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    part_of_day: Annotated[str, msgspec.Meta(max_length=60)] | None = None
    service: Phrase | None = None


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    language = language_of(locale)
    return FunctionSpec(NAME, _DESCRIPTION[language], schema(Arguments, _PARAMETERS[language]))


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """The day in ISO, with the time if one was said; the part of the day as one of our words.

    Raises Refused for a day that can't be read.
    """
    part = named_part(arguments.part_of_day) or named_part(arguments.date)
    day = arguments.date and _day(arguments.date, context)
    return msgspec.structs.replace(arguments, date=day, part_of_day=part)


def _day(text: str, context: CallContext) -> str:
    timezone = context.tenant.timezone
    moment = parse_instant(text, timezone)
    if moment is not None and moment.time() != time.min:
        return moment.isoformat()
    day = parse_day(text, context.today(), timezone=timezone)
    if day is None:
        raise Refused(
            "date can't be read; ask which day, then send YYYY-MM-DD, or leave it out",
            sentence="day_unreadable",
        )
    return day.isoformat()


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Without a diary nothing is offered."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{slots: [{start, spoken, resource?}], note?}: a day asked for is given whole."""
    slots, note = await _choose(arguments, context, rows)
    if not slots:
        note = say(context.locale, "note_none", count=str(HORIZON_DAYS))
    result: dict[str, Any] = {"slots": [diary.shown(slot, context) for slot in slots]}
    return Answer({**result, "note": note} if note else result)


async def _choose(
    arguments: Arguments, context: CallContext, rows: TenantRows
) -> tuple[list[Slot], str]:
    """The slots to offer and what is to be said about them."""
    part = arguments.part_of_day
    if arguments.date is None:
        return _extract(await diary.soonest(rows, context, part), context)
    zone = ZoneInfo(context.tenant.timezone)
    wanted = datetime.fromisoformat(arguments.date)
    if wanted.tzinfo is not None:
        return await _at(wanted.astimezone(zone), context, rows)
    day = wanted.date()
    slots = await diary.free(rows, context, day, day, part)
    if slots:
        return slots, ""
    return await _elsewhere(datetime.combine(day, _MIDDLE[part], zone), part, context, rows)


async def _at(wanted: datetime, context: CallContext, rows: TenantRows) -> tuple[list[Slot], str]:
    """The hour that was named, first, and what is free around it."""
    day = wanted.date()
    slots = await diary.free(rows, context, day, day)
    if await diary.is_free(rows, context, wanted):
        exact = Slot(wanted, DEFAULT_MINUTES)
        others = [slot for slot in slots if slot.start != wanted]
        return [exact, *nearest(others, wanted, diary.MAX_SLOTS - 1)], ""
    if slots:
        return nearest(slots, wanted, diary.MAX_SLOTS), say(context.locale, "note_time_taken")
    return await _elsewhere(wanted, None, context, rows)


def _extract(slots: list[Slot], context: CallContext) -> tuple[list[Slot], str]:
    chosen = diary.spread(slots, diary.MAX_SLOTS)
    if len(chosen) == len(slots):
        return chosen, ""
    return chosen, say(context.locale, "note_more", count=str(len(slots)))


async def _elsewhere(
    wanted: datetime, part: str | None, context: CallContext, rows: TenantRows
) -> tuple[list[Slot], str]:
    """Slots of other days, or of another part of that day, and why."""
    near = diary.thinned(await diary.around(rows, context, wanted, part))
    chosen = sorted(nearest(near, wanted, diary.MAX_SLOTS), key=lambda slot: slot.start)
    return chosen, await _reason(wanted.date(), part, context, rows)


async def _reason(day: date, part: str | None, context: CallContext, rows: TenantRows) -> str:
    """Why nothing is free that day."""
    today, last = context.today(), diary.horizon(context)
    if day < today:
        return say(context.locale, "note_past")
    if day > last:
        spoken = spoken_day(last, today, context.locale, article=True)
        return say(context.locale, "note_too_far", day=spoken)
    spoken = spoken_day(day, today, context.locale, article=True)
    if not await diary.opens(rows, context, day):
        return say(context.locale, "note_closed", day=spoken)
    return say(context.locale, "note_part_full" if part else "note_full", day=spoken)
