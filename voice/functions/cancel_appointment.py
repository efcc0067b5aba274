"""cancel_appointment: a moment is given back, by whoever proves that it is theirs."""

from collections.abc import Mapping
from typing import Any

from domain.messages import language_of
from domain.outcome import Outcome
from storage import Change, TenantRows
from voice.functions.arguments import Phrase, schema
from voice.functions.context import CallContext
from voice.functions.diary import holder_of
from voice.functions.facts import PARAMETERS, Facts, prepared
from voice.functions.function import Answer, unavailable
from voice.functions.refusals import door_of, when
from voice.functions.sentences import say
from voice.functions.verification import not_verified, verified
from voice.functions.which import which_one
from voice.ports import FunctionSpec

NAME = "cancel_appointment"
WRITES = True
EMPTY: Mapping[str, Any] = {}

_DESCRIPTION = {
    "fr": (
        "Annule un rendez-vous, quand l'appelant a dit oui à l'annulation. Avec appointment_id, ou "
        "avec le nom et le jour, ou le code. Ne dire que c'est annulé que si status vaut cancelled."
    ),
    "en": (
        "Cancels an appointment once the caller has said yes to cancelling. With appointment_id, "
        "or the name and the day, or the code. Say that it is cancelled only when status is "
        "cancelled."
    ),
}
_REASON = {
    "fr": {"reason": "La raison, si l'appelant la donne."},
    "en": {"reason": "The reason, if the caller gives it."},
}


class Arguments(Facts, frozen=True, kw_only=True):
    """What the caller says of the appointment, and why they don't come."""

    reason: Phrase | None = None


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    language = language_of(locale)
    parameters = {**PARAMETERS[language], **_REASON[language]}
    return FunctionSpec(NAME, _DESCRIPTION[language], schema(Arguments, parameters))


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """The day in ISO; Refused when it can't be read, or when nothing was said."""
    return prepared(arguments, context)


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Nothing is known to be cancelled."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "cancelled", appointment_id, spoken}, or what says nothing."""
    found = await verified(arguments, context, rows)
    if not found:
        return not_verified(context)
    if len(found) > 1:
        return which_one(found, context)
    change = Change(door_of(context), context.call_id, holder=holder_of(context))
    cancelled = await rows.appointments.cancel(found[0].id, arguments.reason, change=change)
    spoken = say(
        context.locale,
        "appointment_cancelled",
        when=when(cancelled.start_utc, context, article=True),
    )
    return Answer(
        {"status": "cancelled", "appointment_id": cancelled.id, "spoken": spoken},
        effect=Outcome.CANCELLED,
    )
