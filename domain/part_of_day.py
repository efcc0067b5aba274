"""Morning, afternoon, evening: as people say it, and of which a time is."""

import re
from datetime import time
from typing import Final, Literal

from domain.folding import bare_words

PartOfDay = Literal["morning", "afternoon", "evening"]

_NOON: Final = time(12)
_EVENING: Final = time(18)
_PARTS: Final[tuple[tuple[PartOfDay, re.Pattern[str]], ...]] = (
    # "après-midi" before anything that "midi" might mean.
    ("afternoon", re.compile(r"\b(?:apres ?midi|aprem|afternoon|pm)\b")),
    ("evening", re.compile(r"\b(?:soir|soiree|evening|tonight|night|nuit)\b")),
    ("morning", re.compile(r"\b(?:matin|matinee|morning|am)\b")),
)


def named_part(text: str | None) -> PartOfDay | None:
    """ "ce matin", "l'après-midi", "evening" …; None when it names none, or several."""
    plain = bare_words((text or "")[:80])
    named = [part for part, words in _PARTS if words.search(plain)]
    return named[0] if len(named) == 1 else None


def part_of(at: time) -> PartOfDay:
    """Of which part of the day a time is: morning until noon, evening from six."""
    if at < _NOON:
        return "morning"
    return "afternoon" if at < _EVENING else "evening"
