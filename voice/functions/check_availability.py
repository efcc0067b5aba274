"""check_availability: which moments can be offered to the caller."""

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from domain.availability import Slot, nearest
from domain.errors import Conflict
from domain.messages import language_of, one_of
from domain.part_of_day import named_part
from domain.spoken import parse_day, parse_instant, spoken_day
from storage import TenantRows, Wish
from voice.functions.arguments import Name, Phrase, schema
from voice.functions.context import CallContext
from voice.functions.diary import MAX_SLOTS, Diary, holder_of, spread, thinned
from voice.functions.function import Answer, Refused, unavailable
from voice.functions.sentences import say
from voice.ports import FunctionSpec

#: How long the moment that was asked for is kept for the caller, seconds: as long as it takes to
#: give a name, a number and an e-mail address, spelled.
HOLD_SECONDS = 180
#: How many names of services or people a model is told.
MAX_SERVICES = 12

NAME = "check_availability"
WRITES = False
EMPTY: Mapping[str, Any] = {"slots": []}

_DESCRIPTION = {
    "fr": (
        "Donne les créneaux libres du jour demandé ; sans date, quelques-uns des plus proches. À "
        "appeler avant de proposer la moindre date, et de nouveau si l'appelant en demande "
        "d'autres. Ne proposer que ce qui est dans slots, deux ou trois à la fois, avec les mots "
        "de spoken ; lire note s'il y en a une. S'il revient services, demander lequel convient et "
        "rappeler la fonction avec."
    ),
    "en": (
        "Gives the free slots of the day asked for; without a date, some of the soonest. Call it "
        "before offering any date, and again when the caller asks for others. Offer only what is "
        "in slots, two or three at a time, in the words of spoken; read note if there is one. If "
        "services comes back, ask which one it is and call again with it."
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
        "resource": (
            "La personne, la salle ou le véhicule souhaité, seulement si l'appelant en nomme un."
        ),
    },
    "en": {
        "date": (
            "The day asked for: 2026-11-24, “tomorrow”, “next Tuesday”. If the caller said a time, "
            "add it: 2026-11-24T14:00. Leave out when any day will do."
        ),
        "part_of_day": "What was asked for: morning, afternoon or evening. Otherwise leave out.",
        "service": "What the appointment is for, if known.",
        "resource": "Whom, which room or which vehicle they want, only if the caller names one.",
    },
}


#: What counts as near to a part of a day of which nobody named the hour.
_MIDDLE = {"morning": time(10), "afternoon": time(16), "evening": time(19), None: time(12)}


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """`date` is a day or, once prepared, also an ISO day with a time."""

    date: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    part_of_day: Annotated[str, msgspec.Meta(max_length=60)] | None = None
    service: Phrase | None = None
    resource: Name | None = None


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
    """As `ask`, but nothing is held."""
    answer, _ = await _look(arguments, context, rows)
    return answer


async def ask(arguments: Arguments, context: CallContext) -> Answer:
    """{slots: [{start, spoken, resource?}], note?, services?}: a day asked for is given whole.

    The very moment that was asked for is held for this caller while they decide: nobody takes it
    while a name is being spelled.
    """
    async with context.storage.read() as rows:
        answer, wish = await _look(arguments, context, rows)
    if wish is None:
        return answer
    try:
        async with context.storage.write() as rows:
            await rows.bookings.book(wish)
    except Conflict:  # somebody was faster
        async with context.storage.read() as rows:
            answer, _ = await _look(arguments, context, rows)
    return answer


async def _look(
    arguments: Arguments, context: CallContext, rows: TenantRows
) -> tuple[Answer, Wish | None]:
    """What to answer, and what to hold."""
    diary = await Diary.open(rows, context, arguments.service, arguments.resource)
    slots, note, exact = await _choose(arguments, diary)
    notes = [note] if note else []
    if not slots:
        days = diary.agenda.horizon(diary.service)
        notes = [say(context.locale, "note_none", count=str(days))]
    if diary.unknown:
        notes.insert(0, _who_is_there(diary))
    result: dict[str, Any] = {"slots": [diary.shown(slot) for slot in slots]}
    if notes:
        result["note"] = " ".join(notes)
    services = [each.name for each in diary.agenda.services if each.active]
    if services and not diary.service.id:
        result["services"] = services[:MAX_SERVICES]
    return Answer(result), None if exact is None else _hold(exact, diary)


def _hold(slot: Slot, diary: Diary) -> Wish:
    context = diary.context
    return Wish(
        slot.start,
        service_id=diary.service.id or None,
        resource=diary.resource,
        call_id=context.call_id,
        by="voice" if context.text_turn is None else "text",
        holder=holder_of(context),
        hold_seconds=HOLD_SECONDS,
    )


def _who_is_there(diary: Diary) -> str:
    able = diary.agenda.able(diary.service)
    names = [each.name for each in able if each.name][:MAX_SERVICES]
    locale = diary.context.locale
    if not names:
        return say(locale, "note_nobody_named")
    return say(locale, "note_unknown_resource", names=one_of(locale, names))


async def _choose(arguments: Arguments, diary: Diary) -> tuple[list[Slot], str, Slot | None]:
    """The slots to offer, what is to be said about them, and the one that was asked for."""
    part = arguments.part_of_day
    if arguments.date is None:
        return *_extract(await diary.soonest(part), diary.context), None
    zone = ZoneInfo(diary.agenda.timezone)
    wanted = datetime.fromisoformat(arguments.date)
    if wanted.tzinfo is not None:
        return await _at(wanted.astimezone(zone), diary)
    day = wanted.date()
    slots = await diary.free(day, day, part)
    if slots:
        return slots, "", None
    return *await _elsewhere(datetime.combine(day, _MIDDLE[part], zone), part, diary), None


async def _at(wanted: datetime, diary: Diary) -> tuple[list[Slot], str, Slot | None]:
    """The hour that was named, first, and what is free around it."""
    day = wanted.date()
    slots = await diary.free(day, day)
    exact = await diary.at(wanted)
    if exact is not None:
        others = [slot for slot in slots if slot.start != wanted]
        return [exact, *nearest(others, wanted, MAX_SLOTS - 1)], "", exact
    if slots:
        note = say(diary.context.locale, "note_time_taken")
        return nearest(slots, wanted, MAX_SLOTS), note, None
    return *await _elsewhere(wanted, None, diary), None


def _extract(slots: list[Slot], context: CallContext) -> tuple[list[Slot], str]:
    chosen = spread(slots, MAX_SLOTS)
    if len(chosen) == len(slots):
        return chosen, ""
    return chosen, say(context.locale, "note_more", count=str(len(slots)))


async def _elsewhere(wanted: datetime, part: str | None, diary: Diary) -> tuple[list[Slot], str]:
    """Slots of other days, or of another part of that day, and why."""
    near = thinned(await diary.around(wanted, part))
    chosen = sorted(nearest(near, wanted, MAX_SLOTS), key=lambda slot: slot.start)
    return chosen, _reason(wanted.date(), part, diary)


def _reason(day: date, part: str | None, diary: Diary) -> str:
    """Why nothing is free that day."""
    locale, today, last = diary.context.locale, diary.context.today(), diary.horizon
    if day < today:
        return say(locale, "note_past")
    if day > last:
        return say(locale, "note_too_far", day=spoken_day(last, today, locale, article=True))
    spoken = spoken_day(day, today, locale, article=True)
    if not diary.opens(day):
        return say(locale, "note_closed", day=spoken)
    return say(locale, "note_part_full" if part else "note_full", day=spoken)
