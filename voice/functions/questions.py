"""What a prospect is asked next, one question at a time."""

from collections.abc import Mapping
from typing import Final

from domain.messages import Language, language_of

#: By missing answer (`domain.qualification.questions`); "place:sell" stands before "place" for who
#: sells. Questions as one asks them on the telephone.
_FRENCH: Final[Mapping[str, str]] = {
    "project": "Est-ce pour acheter, vendre, louer ou faire estimer un bien ?",
    "need": "Que recherchez-vous exactement ?",
    "place": "Dans quel secteur cherchez-vous ?",
    "place:sell": "Où se trouve le bien ?",
    "place:estimate": "Où se trouve le bien ?",
    "property_type": "Quel type de bien est-ce : une maison, un appartement, autre chose ?",
    "budget": "Quel budget avez-vous en tête ?",
    "budget:rent": "Quel loyer mensuel souhaitez-vous ne pas dépasser ?",
    "rooms": "Combien de pièces ?",
    "surface": "Quelle surface, à peu près ?",
    "deadline": "Pour quand est-ce prévu ?",
    "financing": "Votre financement est-il déjà prévu ?",
    "name": "À quel nom, s'il vous plaît ?",
    "phone": "À quel numéro peut-on vous joindre ?",
}
_ENGLISH: Final[Mapping[str, str]] = {
    "project": "Is it to buy, to sell, to rent, or to have a property valued?",
    "need": "What exactly are you looking for?",
    "place": "Which area are you looking in?",
    "place:sell": "Where is the property?",
    "place:estimate": "Where is the property?",
    "property_type": "What kind of property is it: a house, a flat, something else?",
    "budget": "What budget do you have in mind?",
    "budget:rent": "What is the most you would pay a month?",
    "rooms": "How many rooms?",
    "surface": "What floor area, roughly?",
    "deadline": "When would that be for?",
    "financing": "Is your financing settled already?",
    "name": "What name is it, please?",
    "phone": "What number can we reach you on?",
}
_BY_LANGUAGE: Final[Mapping[Language, Mapping[str, str]]] = {"fr": _FRENCH, "en": _ENGLISH}


def question(missing: str, project: str, locale: str) -> str:
    """How one asks for it. KeyError for what nobody asks."""
    sentences = _BY_LANGUAGE[language_of(locale)]
    return sentences.get(f"{missing}:{project}") or sentences[missing]
