"""What an analyser must know of a language: its words without content, and which mean the same."""

from collections.abc import Mapping
from dataclasses import dataclass

from storage.knowledge import words_en, words_fr


@dataclass(frozen=True, slots=True)
class Words:
    """All in folded spelling: lower case, no accents.

    `stop`: say nothing. `weak`: say little ("changer", "forfait"): a passage isn't an answer for
    sharing them. `incidental`: the caller's own circumstances ("ma fille", "ma Clio"): count only
    where the documents speak of them. `same`: words that mean the first of each line. `phrases`:
    several words that are one term. `prefixes`: written together with the next word or not.
    `facts`: patterns of a passage and the term that it is found by besides.
    """

    algorithm: str  # of snowballstemmer
    stop: frozenset[str]
    weak: frozenset[str]
    incidental: frozenset[str]
    same: tuple[tuple[str, ...], ...]
    phrases: Mapping[str, str]
    prefixes: frozenset[str]
    facts: Mapping[str, str]


def _words(module: object) -> Words:
    same = tuple(tuple(line.split()) for line in module.SAME.split("\n") if line.strip())  # type: ignore[attr-defined]
    return Words(
        algorithm=module.ALGORITHM,  # type: ignore[attr-defined]
        stop=frozenset(module.STOP.split()),  # type: ignore[attr-defined]
        weak=frozenset(module.WEAK.split()),  # type: ignore[attr-defined]
        incidental=frozenset(module.INCIDENTAL.split()),  # type: ignore[attr-defined]
        same=same,
        phrases=module.PHRASES,  # type: ignore[attr-defined]
        prefixes=frozenset(module.PREFIXES.split()),  # type: ignore[attr-defined]
        facts=module.FACTS,  # type: ignore[attr-defined]
    )


FRENCH = _words(words_fr)
ENGLISH = _words(words_en)
