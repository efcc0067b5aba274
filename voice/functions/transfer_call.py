"""transfer_call: the caller is put through to somebody of the tenant's."""

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.messages import language_of
from storage import TenantRows
from voice.functions.arguments import Text, schema
from voice.functions.context import CallContext
from voice.functions.function import Answer
from voice.functions.sentences import say
from voice.ports import FunctionSpec

NAME = "transfer_call"
WRITES = False
EMPTY: Mapping[str, Any] = {}

_DESCRIPTION = {
    "fr": (
        "Passe l'appel à une personne de l'entreprise. À appeler quand l'appelant le demande, "
        "quand il est en colère, ou en cas d'urgence. Si status vaut unavailable, dire spoken et "
        "prendre un message."
    ),
    "en": (
        "Puts the call through to a person of the business. Call it when the caller asks for it, "
        "is angry, or in an emergency. If status is unavailable, say spoken and take a message."
    ),
}
_PARAMETERS = {
    "fr": {"reason": "Pourquoi l'appelant veut parler à quelqu'un, en quelques mots."},
    "en": {"reason": "Why the caller wants to talk to somebody, in a few words."},
}


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """Only words for the timeline: whom to call isn't the model's to choose."""

    reason: Text | None = None


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    language = language_of(locale)
    return FunctionSpec(NAME, _DESCRIPTION[language], schema(Arguments, _PARAMETERS[language]))


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """As they are."""
    return arguments


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """A transfer needs no storage: a human is the best answer when storage fails."""
    return _answer(arguments, context)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "transferring"} and then="transfer", or {status: "unavailable", spoken}."""
    return _answer(arguments, context)


def _answer(arguments: Arguments, context: CallContext) -> Answer:
    number = context.transfer_number
    if number is None or number == context.caller_number:  # their own line is engaged
        spoken = say(context.locale, "transfer_unavailable")
        return Answer({"status": "unavailable", "spoken": spoken})
    return Answer({"status": "transferring"}, then="transfer", detail=arguments.reason or "")
