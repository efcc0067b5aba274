"""qualify_prospect: what somebody who might become a customer is looking for."""

from collections.abc import Mapping
from typing import Any

import msgspec

from domain.messages import language_of
from domain.outcome import Outcome
from storage import NewProspect, TenantRows
from voice.functions.arguments import Amount, Name, Phrase, Text, schema
from voice.functions.contact import person, reachable_at
from voice.functions.context import CallContext
from voice.functions.function import Answer, unavailable
from voice.ports import FunctionSpec

NAME = "qualify_prospect"
WRITES = True
EMPTY: Mapping[str, Any] = {}

_DESCRIPTION = {
    "fr": (
        "Enregistre le projet d'un prospect. À appeler une seule fois, quand l'appelant a répondu "
        "aux questions utiles. missing liste ce qui n'est pas connu : ne pas insister."
    ),
    "en": (
        "Records what a prospect is looking for. Call it once, when the caller has answered the "
        "useful questions. missing lists what isn't known: don't insist."
    ),
}
_PARAMETERS = {
    "fr": {
        "name": "Le nom de la personne, tel qu'elle l'a donné.",
        "phone": (
            "Le numéro, si l'appelant en donne un autre que celui dont il appelle, ou si le sien "
            "est masqué. À omettre sinon."
        ),
        "interest": "Ce que la personne cherche : achat, vente, location, estimation, devis…",
        "place": "La ville ou le quartier.",
        "budget_min": "Le budget minimal, en euros entiers (loyer mensuel pour une location).",
        "budget_max": "Le budget maximal, en euros entiers (loyer mensuel pour une location).",
        "property_type": "Le type de bien : appartement, maison, T3, terrain, local…",
        "deadline": "Le délai ou la date souhaitée, dans les mots de l'appelant.",
        "notes": "Ce qu'il est utile de savoir d'autre.",
    },
    "en": {
        "name": "The person's name, as given.",
        "phone": (
            "The number, if the caller gives another one than they call from, or if theirs is "
            "withheld. Otherwise leave out."
        ),
        "interest": "What the person looks for: buying, selling, renting, a valuation, a quote…",
        "place": "The town or the neighbourhood.",
        "budget_min": "The lowest budget, in whole euros (monthly rent for a rental).",
        "budget_max": "The highest budget, in whole euros (monthly rent for a rental).",
        "property_type": "The kind of property: flat, house, land, premises…",
        "deadline": "The deadline or wished date, in the caller's words.",
        "notes": "What else is useful to know.",
    },
}


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """Budgets are whole euros; once prepared, min ≤ max and `phone` is E.164 or None."""

    interest: Phrase
    name: Name | None = None
    phone: Phrase | None = None
    place: Phrase | None = None
    budget_min: Amount | None = None
    budget_max: Amount | None = None
    property_type: Phrase | None = None
    deadline: Phrase | None = None
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
        budget_min=low,
        budget_max=high,
    )


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Nothing is known to be recorded."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """{status: "stored", prospect_id, missing}: `missing` are names of arguments."""
    prospect_id = await rows.prospects.add(
        NewProspect(
            name=arguments.name or "",
            phone=arguments.phone,
            interest=arguments.interest,
            place=arguments.place,
            budget_min=arguments.budget_min,
            budget_max=arguments.budget_max,
            property_type=arguments.property_type,
            deadline=arguments.deadline,
            notes=arguments.notes,
            call_id=context.call_id,
        )
    )
    return Answer(
        {"status": "stored", "prospect_id": prospect_id, "missing": _missing(arguments)},
        effect=Outcome.QUALIFIED,
    )


def _missing(arguments: Arguments) -> list[str]:
    """What somebody who calls back would have to ask first."""
    wanted = ("name", "phone", "place", "property_type", "deadline")
    missing = [name for name in wanted if getattr(arguments, name) is None]
    budget = arguments.budget_min is not None or arguments.budget_max is not None
    return missing if budget else [*missing, "budget_max"]
