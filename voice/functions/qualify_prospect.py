"""qualify_prospect: what somebody who might become a customer is looking for, as it is told.

One row per conversation: called again with what was learnt since, it completes the same prospect.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from domain.agent import normalise_sector
from domain.messages import language_of
from domain.outcome import Outcome
from domain.qualification import Answers, project_of
from storage import TenantRows
from storage.prospects import Interview
from voice.functions.arguments import Amount, Name, Phrase, Text, schema
from voice.functions.caller import contact_of
from voice.functions.contact import person, reachable_at
from voice.functions.context import CallContext
from voice.functions.function import Answer, unavailable
from voice.functions.questions import question
from voice.functions.spoken_email import read_email
from voice.ports import FunctionSpec

NAME = "qualify_prospect"
WRITES = True
EMPTY: Mapping[str, Any] = {}
#: The trade whose questions are about a property.
REAL_ESTATE = "immobilier"

#: Square metres and rooms: an estate has more than 32 bits never.
Count = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]

_DESCRIPTION = {
    "fr": (
        "Enregistre le projet d'un prospect. À appeler dès que la demande est comprise, puis à "
        "nouveau quand l'appelant a répondu : la même fiche est complétée. Ne donner que ce qui a "
        "été dit. missing liste ce qui n'est pas connu et next la question à poser : une à la "
        "fois, trois ou quatre en tout, sans insister."
    ),
    "en": (
        "Records what a prospect is looking for. Call it as soon as the request is understood, and "
        "again when the caller has answered: the same record is completed. Give only what was "
        "said. missing lists what isn't known and next is the question to ask: one at a time, "
        "three or four in all, without insisting."
    ),
}
_PARAMETERS = {
    "fr": {
        "name": "Le nom de la personne, tel qu'elle l'a donné.",
        "phone": (
            "Le numéro, si l'appelant en donne un autre que celui dont il appelle, ou si le sien "
            "est masqué. À omettre sinon."
        ),
        "email": "L'adresse e-mail, si l'appelant la donne. Ne jamais en inventer.",
        "interest": "Ce que la personne veut : acheter, vendre, louer, estimer, un devis…",
        "place": "La ville ou le quartier.",
        "budget_min": "Le budget minimal, en euros entiers (loyer mensuel pour une location).",
        "budget_max": "Le budget maximal, en euros entiers (loyer mensuel pour une location).",
        "property_type": "Le type de bien : appartement, maison, T3, terrain, local…",
        "surface": "La surface, en mètres carrés entiers.",
        "rooms": "Le nombre de pièces.",
        "deadline": "Le délai ou la date souhaitée, dans les mots de l'appelant.",
        "financing": "Le financement : accord de la banque, apport, bien à vendre, pas encore vu…",
        "notes": "Ce qu'il est utile de savoir d'autre.",
    },
    "en": {
        "name": "The person's name, as given.",
        "phone": (
            "The number, if the caller gives another one than they call from, or if theirs is "
            "withheld. Otherwise leave out."
        ),
        "email": "The e-mail address, if the caller gives it. Never make one up.",
        "interest": "What the person wants: to buy, sell, rent, a valuation, a quote…",
        "place": "The town or the neighbourhood.",
        "budget_min": "The lowest budget, in whole euros (monthly rent for a rental).",
        "budget_max": "The highest budget, in whole euros (monthly rent for a rental).",
        "property_type": "The kind of property: flat, house, land, premises…",
        "surface": "The floor area, in whole square metres.",
        "rooms": "The number of rooms.",
        "deadline": "The deadline or wished date, in the caller's words.",
        "financing": "The financing: the bank agrees, own funds, a property to sell, not yet…",
        "notes": "What else is useful to know.",
    },
}


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """Budgets are whole euros; once prepared, min ≤ max and `phone` is E.164 or None."""

    interest: Phrase
    name: Name | None = None
    phone: Phrase | None = None
    email: Phrase | None = None
    place: Phrase | None = None
    budget_min: Amount | None = None
    budget_max: Amount | None = None
    property_type: Phrase | None = None
    surface: Count | None = None
    rooms: Count | None = None
    deadline: Phrase | None = None
    financing: Phrase | None = None
    notes: Text | None = None


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    language = language_of(locale)
    return FunctionSpec(NAME, _DESCRIPTION[language], schema(Arguments, _PARAMETERS[language]))


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """Raises Refused when a number was given that can't be read."""
    low, high = arguments.budget_min, arguments.budget_max
    if low is not None and high is not None and low > high:
        low, high = high, low
    return msgspec.structs.replace(
        arguments,
        name=person(arguments.name),
        phone=reachable_at(arguments.phone, context),
        email=arguments.email and read_email(arguments.email),
        budget_min=low,
        budget_max=high,
    )


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Nothing is known to be recorded."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "stored", prospect_id, missing, next}: `missing` are names of arguments, the next
    to ask first; `next` is how one asks it, absent when nothing is missing."""
    project = project_of(arguments.interest, arguments.property_type)
    contact_id = await contact_of(rows, context, arguments.name, arguments.phone, arguments.email)
    prospect, judged = await rows.prospects.interview(
        Interview(
            key=_conversation(context),
            answers=Answers(
                project=project or None,
                need=arguments.interest,
                place=arguments.place,
                property_type=arguments.property_type,
                budget_min=arguments.budget_min,
                budget_max=arguments.budget_max,
                surface=arguments.surface,
                rooms=arguments.rooms,
                deadline=arguments.deadline,
                financing=arguments.financing,
                name=arguments.name,
                phone=arguments.phone,
                email=arguments.email,
            ),
            real_estate=normalise_sector(context.tenant.sector) == REAL_ESTATE,
            interest=arguments.interest,
            notes=arguments.notes,
            call_id=context.call_id,
            contact_id=contact_id,
            source=context.channel,
        )
    )
    missing = [_ARGUMENTS.get(each, each) for each in judged.missing]
    result: dict[str, Any] = {
        "status": "stored",
        "prospect_id": prospect.id,
        "missing": missing,
    }
    if judged.missing:
        result["next"] = question(judged.missing[0], judged.project, context.locale)
    return Answer(result, effect=Outcome.QUALIFIED)


def _conversation(context: CallContext) -> str:
    if context.text_turn is not None:
        return f"conversation:{context.text_turn.conversation_id}"
    return f"call:{context.call_id}"


#: Which argument answers a question, where the names differ.
_ARGUMENTS = {"budget": "budget_max", "need": "interest", "project": "interest"}
