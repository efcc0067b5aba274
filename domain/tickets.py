"""Tickets: which categories there are, and what is urgent whatever priority it was given."""

import re
from collections.abc import Mapping
from typing import Final

from domain.folding import unaccented

#: A message taken, a call to return, a request; the dashboard's own categories stand beside them
#: (real-users.md §2.1: technique, facturation, question, reclamation…).
MESSAGE: Final = "message"
CALLBACK: Final = "rappel"
REQUEST: Final = "demande"

#: What can't wait until somebody reads a list: danger for people or for a building. Whole words,
#: after folding; "pas d'urgence" and its like are taken out first.
_URGENT: Final = re.compile(
    r"\b(?:urgence|urgente?s?|incendie|en feu|au feu|fumee|fuite de gaz|odeur de gaz|"
    r"fuite d'?\s?eau|degats? des eaux|inondation|inondee?|colonne montante|"
    r"(?:bloquee?s?|coincee?s?) dans (?:l'|un )?\s?ascenseur|electrocut\w+|effondre\w*|"
    r"douleurs? (?:a la |dans la |thoracique)|infarctus|avc|hemorragie|saigne beaucoup|"
    r"ne respire (?:pas|plus)|inconsciente?|suicid\w+|gas leak|water leak|flood\w*|on fire|"
    r"fire|emergency|urgent|stuck in (?:the |a )?lift|chest pain)\b"
)
_NOT_URGENT: Final = re.compile(
    r"\b(?:pas|rien|aucune?|non|sans|not|no|nothing)\s(?:(?:d'|du tout |tres |vraiment |very |an )"
    r"?\s?)(?:urgence|urgente?s?|urgent|emergency)\b"
)


def is_urgent(*texts: str | None) -> bool:
    """Whether what somebody said can't wait. Errs towards yes: somebody looks once too often."""
    for text in texts:
        plain = unaccented(text or "").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        if _URGENT.search(_NOT_URGENT.sub(" ", plain)):
            return True
    return False


def told_as(category: str | None, priority: str) -> str:
    """The kind of notification that a new ticket is."""
    if priority == "urgent":
        return "ticket_urgent"
    by_category: Mapping[str | None, str] = {
        CALLBACK: "callback_promised",
        MESSAGE: "message_taken",
    }
    return by_category.get(category, "ticket_new")
