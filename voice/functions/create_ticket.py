"""create_ticket: a request that somebody of the tenant's must deal with."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from domain.folding import unaccented
from domain.messages import language_of
from domain.outcome import Outcome
from domain.tickets import CALLBACK, REQUEST
from storage import NewTicket, TenantRows
from voice.functions.arguments import Name, Phrase, Text, schema
from voice.functions.caller import contact_of
from voice.functions.contact import person, reachable_at
from voice.functions.context import CallContext
from voice.functions.function import Answer, unavailable
from voice.ports import FunctionSpec

NAME = "create_ticket"
WRITES = True
EMPTY: Mapping[str, Any] = {}

PRIORITIES = ("low", "medium", "high", "urgent")
_PRIORITY_WORDS = {
    "basse": "low", "faible": "low", "minor": "low",
    "haute": "high", "elevee": "high", "forte": "high", "important": "high", "importante": "high",
    "urgente": "urgent", "urgence": "urgent", "critical": "urgent", "critique": "urgent",
    "emergency": "urgent", "tres urgent": "urgent", "tres urgente": "urgent",
}  # fmt: skip

_DESCRIPTION = {
    "fr": (
        "Enregistre une demande ou un problème à traiter par l'entreprise : panne, réclamation, "
        "question sans réponse, demande de rappel. Une promesse de rappel l'exige. Ne dire que "
        "c'est transmis que si status vaut created."
    ),
    "en": (
        "Records a request or a problem that the business must deal with: a fault, a complaint, a "
        "question without an answer, a call-back. A promised call-back requires it. Say that it "
        "has been passed on only when status is created."
    ),
}
_PARAMETERS = {
    "fr": {
        "subject": "Le sujet en une phrase courte.",
        "description": "Ce que l'appelant a expliqué, avec les faits utiles.",
        "priority": "low, medium, high ou urgent (danger, fuite, personne bloquée).",
        "call_back": "true si on promet à l'appelant de le rappeler.",
        "call_back_when": "Quand il souhaite être rappelé, dans ses mots : demain matin…",
        "name": "Le nom de l'appelant, s'il l'a donné.",
        "phone": (
            "Le numéro où rappeler, si ce n'est pas celui dont il appelle, ou s'il est masqué. "
            "À omettre sinon."
        ),
    },
    "en": {
        "subject": "The subject in a short sentence.",
        "description": "What the caller explained, with the useful facts.",
        "priority": "low, medium, high or urgent (danger, a leak, somebody stuck).",
        "call_back": "true if the caller is promised a call back.",
        "call_back_when": "When they wish to be called back, in their words: tomorrow morning…",
        "name": "The caller's name, if given.",
        "phone": (
            "The number to call back, if it isn't the one they call from, or if that is withheld. "
            "Otherwise leave out."
        ),
    },
}


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """Once prepared, `priority` is one of PRIORITIES and `phone` E.164 or None."""

    subject: Phrase
    description: Text | None = None
    priority: Annotated[str, msgspec.Meta(max_length=60)] | None = None
    call_back: bool = False
    call_back_when: Phrase | None = None
    name: Name | None = None
    phone: Phrase | None = None


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    language = language_of(locale)
    parameters = schema(Arguments, _PARAMETERS[language])
    parameters["properties"]["priority"]["enum"] = list(PRIORITIES)
    return FunctionSpec(NAME, _DESCRIPTION[language], parameters)


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """Raises Refused when a number was given that can't be read."""
    return msgspec.structs.replace(
        arguments,
        priority=_priority(arguments.priority),
        name=person(arguments.name),
        phone=reachable_at(arguments.phone, context),
    )


def _priority(word: str | None) -> str:
    """A word that we don't know doesn't lose a request: it is medium."""
    plain = unaccented(word or "")
    known = _PRIORITY_WORDS.get(plain, plain)
    return known if known in PRIORITIES else "medium"


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Nothing is known to be recorded."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "created", ticket_id, missing}. What can't wait becomes urgent whatever was asked;
    `missing`: ["phone"] when a call-back is promised to nowhere."""
    call_back = arguments.call_back or arguments.call_back_when is not None
    ticket_id = await rows.tickets.add(
        NewTicket(
            customer_name=arguments.name or "",
            customer_phone=arguments.phone,
            subject=arguments.subject,
            description=arguments.description,
            priority=arguments.priority or "medium",
            category=CALLBACK if call_back else REQUEST,
            call_id=context.call_id,
            callback_when=arguments.call_back_when,
            contact_id=await contact_of(rows, context, arguments.name, arguments.phone),
        )
    )
    result: dict[str, Any] = {"status": "created", "ticket_id": ticket_id}
    if call_back and arguments.phone is None:
        result["missing"] = ["phone"]
    return Answer(result, effect=Outcome.TICKET)
