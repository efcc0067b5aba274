"""end_call: the conversation is over; the line is closed once the goodbye has been heard."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from domain.messages import language_of
from storage import TenantRows
from voice.functions.arguments import Text, schema
from voice.functions.context import CallContext
from voice.functions.function import Answer
from voice.ports import FunctionSpec

NAME = "end_call"
WRITES = False
EMPTY: Mapping[str, Any] = {}

#: What `Answer.detail` can say.
DONE, WRONG_NUMBER = "done", "wrong_number"

_DESCRIPTION = {
    "fr": (
        "Termine l'appel. À appeler après avoir dit au revoir, jamais au milieu d'une phrase ni "
        "tant que l'appelant attend une réponse."
    ),
    "en": (
        "Ends the call. Call it after the goodbye, never in the middle of a sentence nor while "
        "the caller waits for an answer."
    ),
}
_PARAMETERS = {
    "fr": {
        "reason": "done quand tout est dit ; wrong_number si l'appelant s'est trompé de numéro.",
    },
    "en": {
        "reason": "done when all is said; wrong_number if the caller has dialled a wrong number.",
    },
}
_WRONG = re.compile(
    r"(?:wrong|incorrect|mauvais|faux)[ _-]?num|erreur de num|tromp[ée]e? de num", re.IGNORECASE
)


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """Any words are taken: a call isn't kept open over a word that we don't know."""

    reason: Text | None = None


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    language = language_of(locale)
    parameters = schema(Arguments, _PARAMETERS[language])
    parameters["properties"]["reason"]["enum"] = [DONE, WRONG_NUMBER]
    return FunctionSpec(NAME, _DESCRIPTION[language], parameters)


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """One of the two reasons."""
    wrong = _WRONG.search(arguments.reason or "") is not None
    return Arguments(reason=WRONG_NUMBER if wrong else DONE)


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Ending needs no storage."""
    return _answer(arguments)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "ending"}, then="end", and the reason as the detail."""
    return _answer(arguments)


def _answer(arguments: Arguments) -> Answer:
    return Answer({"status": "ending"}, then="end", detail=arguments.reason or DONE)
