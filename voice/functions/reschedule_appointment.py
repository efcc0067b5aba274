"""reschedule_appointment: another moment for the same appointment, or it stays where it is."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec

from domain.messages import language_of
from domain.outcome import Outcome
from domain.spoken import parse_instant
from storage import Change, TenantRows, Unavailable
from voice.functions.arguments import schema
from voice.functions.context import CallContext
from voice.functions.diary import holder_of
from voice.functions.facts import PARAMETERS, Facts, prepared
from voice.functions.function import Answer, Refused, unavailable
from voice.functions.refusals import door_of, not_had, when
from voice.functions.sentences import say
from voice.functions.verification import not_verified, verified
from voice.functions.which import which_one
from voice.ports import FunctionSpec

NAME = "reschedule_appointment"
WRITES = True
EMPTY: Mapping[str, Any] = {"alternatives": []}

_DESCRIPTION = {
    "fr": (
        "Déplace un rendez-vous, après check_availability et quand l'appelant a dit oui au nouveau "
        "créneau. Avec appointment_id, ou avec le nom et le jour actuel, ou le code. Ne dire que "
        "c'est déplacé que si status vaut moved ; sinon l'ancien rendez-vous reste valable."
    ),
    "en": (
        "Moves an appointment, after check_availability and once the caller has said yes to the "
        "new slot. With appointment_id, or the name and the current day, or the code. Say that it "
        "is moved only when status is moved; otherwise the old appointment stands."
    ),
}
_START = {
    "fr": {
        "start": (
            "Le nouveau début, repris tel quel du champ start d'un créneau : "
            "2026-11-24T14:00+01:00."
        )
    },
    "en": {
        "start": (
            "The new beginning, taken as it is from the start of a slot: 2026-11-24T14:00+01:00."
        )
    },
}


class Arguments(Facts, frozen=True, kw_only=True):
    """What the caller says of the appointment; once prepared, `start` has the tenant's offset."""

    start: Annotated[str, msgspec.Meta(max_length=60)]


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    language = language_of(locale)
    parameters = {**PARAMETERS[language], **_START[language]}
    return FunctionSpec(NAME, _DESCRIPTION[language], schema(Arguments, parameters))


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """The new instant on the tenant's clock, the old day in ISO. Refused when one can't be read,
    or when nothing was said that proves anything."""
    start = parse_instant(arguments.start, context.tenant.timezone)
    if start is None:
        raise Refused(
            "start can't be read; call check_availability and send a slot's start as it is",
            sentence="start_unreadable",
        )
    return prepared(msgspec.structs.replace(arguments, start=start.isoformat()), context)


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Nothing is known to be moved."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "moved", appointment_id, spoken}; {status, spoken, alternatives}; or what says
    nothing."""
    found = await verified(arguments, context, rows)
    if not found:
        return not_verified(context)
    if len(found) > 1:
        return which_one(found, context)
    start = datetime.fromisoformat(arguments.start).astimezone(ZoneInfo(context.tenant.timezone))
    change = Change(door_of(context), context.call_id, holder=holder_of(context))
    try:
        moved = await rows.bookings.move(found[0].id, start, change=change)
    except Unavailable as refused:
        return not_had("not_moved", refused, await rows.agenda.load(), context)
    spoken = say(context.locale, "appointment_moved", when=when(moved.start_utc, context))
    return Answer(
        {"status": "moved", "appointment_id": moved.id, "spoken": spoken},
        effect=Outcome.RESCHEDULED,
    )
