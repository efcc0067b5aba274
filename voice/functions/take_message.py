"""take_message: words for somebody who isn't there; kept as a ticket of its own category."""

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.messages import language_of
from domain.outcome import Outcome
from domain.tickets import CALLBACK, MESSAGE
from storage import NewTicket, TenantRows
from voice.functions.arguments import Name, Phrase, Text, schema
from voice.functions.caller import contact_of
from voice.functions.contact import person, reachable_at
from voice.functions.context import CallContext
from voice.functions.function import Answer, unavailable
from voice.functions.sentences import say
from voice.ports import FunctionSpec

NAME = "take_message"
WRITES = True
EMPTY: Mapping[str, Any] = {}

_DESCRIPTION = {
    "fr": (
        "Note un message à transmettre, quand l'appelant veut joindre quelqu'un ou être rappelé. "
        "Ne dire que c'est noté que si status vaut created."
    ),
    "en": (
        "Notes a message to pass on, when the caller wants to reach somebody or be called back. "
        "Say that it is noted only when status is created."
    ),
}
_PARAMETERS = {
    "fr": {
        "message": "Le message, dans les mots de l'appelant.",
        "recipient": "La personne à qui il est destiné, si l'appelant l'a nommée.",
        "call_back": "false seulement si l'appelant ne veut pas être rappelé.",
        "call_back_when": "Quand il souhaite être rappelé, dans ses mots : demain matin…",
        "name": "Le nom de l'appelant, s'il l'a donné.",
        "phone": (
            "Le numéro où rappeler, si ce n'est pas celui dont il appelle, ou s'il est masqué. "
            "À omettre sinon."
        ),
    },
    "en": {
        "message": "The message, in the caller's words.",
        "recipient": "Whom it is for, if the caller named somebody.",
        "call_back": "false only if the caller doesn't want to be called back.",
        "call_back_when": "When they wish to be called back, in their words: tomorrow morning…",
        "name": "The caller's name, if given.",
        "phone": (
            "The number to call back, if it isn't the one they call from, or if that is withheld. "
            "Otherwise leave out."
        ),
    },
}


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """Once prepared, `phone` is E.164 or None."""

    message: Text
    recipient: Name | None = None
    call_back: bool = True
    call_back_when: Phrase | None = None
    name: Name | None = None
    phone: Phrase | None = None


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    language = language_of(locale)
    return FunctionSpec(NAME, _DESCRIPTION[language], schema(Arguments, _PARAMETERS[language]))


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """Raises Refused when a number was given that can't be read."""
    return msgspec.structs.replace(
        arguments,
        name=person(arguments.name),
        phone=reachable_at(arguments.phone, context),
    )


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Nothing is known to be recorded."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "created", ticket_id, missing}. A message is a call to return unless the caller
    says otherwise; `missing`: ["phone"] when nobody knows which number to call."""
    call_back = arguments.call_back and arguments.phone is not None
    ticket_id = await rows.tickets.add(
        NewTicket(
            customer_name=arguments.name or "",
            customer_phone=arguments.phone,
            subject=_subject(arguments, context),
            description=arguments.message,
            priority="medium",
            category=CALLBACK if call_back else MESSAGE,
            call_id=context.call_id,
            callback_when=arguments.call_back_when,
            contact_id=await contact_of(rows, context, arguments.name, arguments.phone),
        )
    )
    result: dict[str, Any] = {"status": "created", "ticket_id": ticket_id}
    if arguments.phone is None and arguments.call_back:
        result["missing"] = ["phone"]
    return Answer(result, effect=Outcome.MESSAGE)


def _subject(arguments: Arguments, context: CallContext) -> str:
    if arguments.recipient is None:
        return say(context.tenant.locale, "message_subject")
    return say(context.tenant.locale, "message_subject_for", recipient=arguments.recipient)
