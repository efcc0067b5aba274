"""refuse_recording: the caller doesn't want to be recorded."""

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.messages import language_of, text
from storage import TenantRows
from voice.functions.arguments import schema
from voice.functions.context import CallContext
from voice.functions.function import Answer, unavailable
from voice.ports import FunctionSpec

NAME = "refuse_recording"
WRITES = True
EMPTY: Mapping[str, Any] = {}

_DESCRIPTION = {
    "fr": (
        "Arrête l'enregistrement de l'appel et efface ce qui a été enregistré. À appeler dès que "
        "la personne refuse d'être enregistrée."
    ),
    "en": (
        "Stops the recording of the call and deletes what was recorded. Call it as soon as the "
        "caller refuses to be recorded."
    ),
}


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """None: there is nothing to choose."""


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    return FunctionSpec(NAME, _DESCRIPTION[language_of(locale)], schema(Arguments, {}))


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """As they are."""
    return arguments


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """It isn't stopped, and that is what is said."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "refused", spoken}: from now on nothing is recorded, and what there is goes."""
    if context.call_id is not None:
        await rows.recordings.refuse(context.call_id)
    return Answer({"status": "refused", "spoken": text(context.locale, "recording_refused")})
