"""find_appointment: what a caller has booked, for whoever proves that it is theirs."""

from collections.abc import Mapping, Sequence
from typing import Any

from domain.memory import remembered
from domain.messages import language_of
from storage import Appointment, TenantRows
from voice.functions.arguments import schema
from voice.functions.context import CallContext
from voice.functions.facts import PARAMETERS, Facts, prepared
from voice.functions.function import Answer, unavailable
from voice.functions.refusals import when
from voice.functions.sentences import say
from voice.functions.verification import not_verified, verified
from voice.ports import FunctionSpec

NAME = "find_appointment"
#: Tries are counted under the tenant's lock (verification.py).
WRITES = True
EMPTY: Mapping[str, Any] = {"appointments": []}

_DESCRIPTION = {
    "fr": (
        "Retrouve un rendez-vous déjà pris, pour le confirmer, le déplacer ou l'annuler. Demander "
        "d'abord le nom et le jour, ou le code de confirmation : rien ne peut être dit avant. Avec "
        "not_verified, dire spoken, sans jamais laisser entendre qu'un rendez-vous existe ou non."
    ),
    "en": (
        "Finds an appointment made before, to confirm, move or cancel it. First ask for the name "
        "and the day, or for the confirmation code: nothing may be said before. With not_verified "
        "say spoken, and never hint whether there is an appointment."
    ),
}


class Arguments(Facts, frozen=True, kw_only=True):
    """What the caller says of the appointment."""


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    language = language_of(locale)
    return FunctionSpec(NAME, _DESCRIPTION[language], schema(Arguments, PARAMETERS[language]))


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """The day in ISO; Refused when it can't be read, or when nothing was said."""
    return prepared(arguments, context)


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Nothing is known."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "found", appointments: [{appointment_id, start, spoken, service?}], known_of_them?:
    lines about their earlier calls and texts}, or what says nothing."""
    found = await verified(arguments, context, rows)
    if not found:
        return not_verified(context)
    spoken = say(context.locale, "appointment_found", when=when(found[0].start_utc, context))
    result: dict[str, Any] = {
        "status": "found",
        "appointments": [_shown(each, context) for each in found],
        "spoken": spoken,
    }
    known = await _known_of_them(found, context, rows)
    return Answer({**result, "known_of_them": known} if known else result)


async def _known_of_them(
    found: Sequence[Appointment], context: CallContext, rows: TenantRows
) -> list[str]:
    """What is remembered of the number, once its owner has told the second fact. By text the agent
    has it in its instructions; whoever proves a code from another telephone hears the appointment
    alone."""
    number = context.caller_number
    if context.call_id is None or number is None:
        return []
    if all(each.customer_phone != number for each in found):
        return []
    memory = await rows.memories.of_number(number, except_call=context.call_id)
    return list(remembered(memory, context.tenant.timezone, context.locale))


def _shown(appointment: Appointment, context: CallContext) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "appointment_id": appointment.id,
        "start": appointment.start_utc.astimezone(context.now().tzinfo).isoformat(),
        "spoken": when(appointment.start_utc, context),
    }
    return {**shown, "service": appointment.service} if appointment.service else shown
