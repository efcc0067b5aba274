"""search_knowledge: what the company's own documents say, or that they say nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec

from domain.knowledge import Found, Passage
from domain.messages import language_of, one_of
from storage import TenantRows
from voice.functions.arguments import clean_text, schema
from voice.functions.context import CallContext
from voice.functions.function import Answer, Refused, unavailable
from voice.functions.sentences import say
from voice.ports import FunctionSpec

NAME = "search_knowledge"
WRITES = False
EMPTY: Mapping[str, Any] = {"passages": []}

#: Seconds. A caller takes longer for silence; vapi-openai-pinecone.md §5.3.
SEARCH_SECONDS: Final = 0.8
#: Characters of all passages together: what can be read and said in one turn.
MAX_TEXT: Final = 900
MAX_PASSAGES: Final = 5
_MAX_SOURCE: Final = 80
_MAX_LABEL: Final = 60

_DESCRIPTION = {
    "fr": (
        "Cherche dans les documents de l'entreprise : prix, prestations, horaires, conditions, "
        "accès, questions fréquentes. À appeler avant toute réponse sur un fait. found : répondre "
        "avec passages et rien d'autre. ambiguous : demander laquelle, en citant options. "
        "nothing : dire qu'on ne sait pas et proposer de prendre un message."
    ),
    "en": (
        "Searches the company's documents: prices, services, hours, conditions, directions, "
        "frequent questions. Call it before any answer about a fact. found: answer from passages "
        "and nothing else. ambiguous: ask which one, naming the options. nothing: say that you "
        "don't know and offer to take a message."
    ),
}
_PARAMETERS = {
    "fr": {
        "question": (
            "La question en quelques mots, ceux de l'appelant : « prix vidange diesel ». Garder "
            "les chiffres et les références ; laisser de côté les formules et le récit."
        )
    },
    "en": {
        "question": (
            "The question in a few words, the caller's own: “price diesel oil change”. Keep "
            "figures and references; leave out courtesies and the story."
        )
    },
}


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """`question` as the caller put it, or shorter."""

    question: Annotated[str, msgspec.Meta(max_length=500)]


def spec(locale: str) -> FunctionSpec:
    """The function as the model sees it."""
    language = language_of(locale)
    return FunctionSpec(NAME, _DESCRIPTION[language], schema(Arguments, _PARAMETERS[language]))


def prepare(arguments: Arguments, context: CallContext) -> Arguments:
    """As it is; Refused when no letter or digit is in it."""
    if not any(c.isalnum() for c in arguments.question):
        raise Refused("question is empty; send what the caller asked")
    return arguments


def failed(arguments: Arguments, context: CallContext) -> Answer:
    """Nothing was looked up: nothing may be said."""
    return unavailable(NAME, context, EMPTY)


async def run(arguments: Arguments, context: CallContext, rows: TenantRows) -> Answer:
    """As `ask`: it opens what it reads itself."""
    return await ask(arguments, context)


async def ask(arguments: Arguments, context: CallContext) -> Answer:
    """{status: "found" | "ambiguous" | "nothing", passages: [{text, source}], note, options?}.

    Raises TimeoutError after SEARCH_SECONDS, OperatorError and ProviderError as the search does.
    """
    if context.knowledge is None:
        return failed(arguments, context)
    async with asyncio.timeout(SEARCH_SECONDS):
        found = await context.knowledge.search(
            context.tenant.id, arguments.question, limit=MAX_PASSAGES
        )
    return Answer(_result(found, context.locale))


def _result(found: Found, locale: str) -> dict[str, Any]:
    if not found.passages:
        return {"status": "nothing", "passages": [], "note": say(locale, "note_unknown")}
    result: dict[str, Any] = {"status": "found", "passages": _shown(found.passages)}
    if not found.ambiguous:
        return {**result, "note": say(locale, "note_material")}
    options = list(dict.fromkeys(_label(passage) for passage in found.passages))
    # The note is ours, and these are words of a document.
    which = say(locale, "note_which", options=one_of(locale, [f"« {each} »" for each in options]))
    note = f"{which} {say(locale, 'note_material')}"
    return {**result, "status": "ambiguous", "options": options, "note": note}


def _shown(passages: Sequence[Passage]) -> list[dict[str, str]]:
    """Each in quotation marks of its own: it is what a document says, not what we say."""
    shown: list[dict[str, str]] = []
    room = MAX_TEXT
    for passage in passages:
        text = _quotable(passage.text)
        if len(text) > room:
            if shown:
                break
            text = _cut(text, room)
        room -= len(text)
        place = clean_text(
            f"{passage.title} › {passage.heading}" if passage.heading else passage.title
        )
        shown.append({"text": f"« {text} »", "source": _quotable(place)[:_MAX_SOURCE]})
    return shown


def _quotable(text: str) -> str:
    return clean_text(text).replace("«", "“").replace("»", "”")


def _cut(text: str, room: int) -> str:
    """The sentences that fit, or the words."""
    ends = [
        at + 1 for at, c in enumerate(text[:room]) if c in ".!?" and text[at + 1 : at + 2] == " "
    ]
    return text[: ends[-1]] if ends else text[:room].rpartition(" ")[0] + "…"


def _label(passage: Passage) -> str:
    """What a row is called: "Vidange diesel" of "Vidange diesel — Prix : 89 €"."""
    label = _quotable(passage.text)
    for mark in (" — ", " : "):
        label = label.partition(mark)[0]
    return label if len(label) <= _MAX_LABEL else label[:_MAX_LABEL].rpartition(" ")[0] + "…"
