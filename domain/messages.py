"""Sentences that callers hear, by language and key."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

from domain.catalogue import en, fr

Language = Literal["fr", "en"]

_CATALOGUES: Final[Mapping[Language, Mapping[str, str]]] = {"fr": fr.MESSAGES, "en": en.MESSAGES}


def language_of(locale: str | None) -> Language:
    """The catalogue's language for a BCP 47 tag ("en-GB" → "en"); French for all we don't speak."""
    primary = (locale or "").strip().replace("_", "-").partition("-")[0].lower()
    return "en" if primary == "en" else "fr"


def text(locale: str | None, key: str, /, **values: str) -> str:
    """The sentence behind `key`, with `values` in its fields.

    Values are data: inserted once and never read as templates. Raises KeyError for an unknown key
    or a missing value.
    """
    return _CATALOGUES[language_of(locale)][key].format_map(values)


def one_of(locale: str | None, choices: Sequence[str]) -> str:
    """Choices as one says them: "a", "a ou b", "a, b ou c"; "" for none."""
    if len(choices) < 2:
        return "".join(choices)
    return text(locale, "or", first=", ".join(choices[:-1]), last=choices[-1])
