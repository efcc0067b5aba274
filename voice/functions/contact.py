"""Who the caller is, as far as a function must know: a number, an address, a name."""

import re

from domain.folding import unaccented
from domain.phone import normalise
from voice.functions.context import CallContext
from voice.functions.function import Refused

#: What models write when they mean the number that is calling.
_CALLING = re.compile(
    r"(?:le |the )?(?:(?:même|meme|same)(?: num[ée]ro| number)?|(?:num[ée]ro )?(?:de l')?appelant"
    r"|caller(?:'?s)?(?: number)?|caller_number|ce num[ée]ro|this number)",
    re.IGNORECASE,
)
_LETTER = re.compile(r"[^\W\d_]")
_TITLES = frozenset(
    "m mr mme mlle monsieur madame mademoiselle dr docteur me maitre mrs ms miss doctor".split()
)
#: "Durand" and "Marie Élise de la Durand": nobody tells us more, and who guesses says many.
_MOST_MORE = 4
_ROLES = frozenset(("client", "cliente", "caller", "customer", "appelant", "anonyme", "anonymous"))


def reachable_at(given: str | None, context: CallContext) -> str | None:
    """E.164 of the number given, of the caller when none was; None when that is withheld.

    Raises Refused when a number was given that can't be read: guessing it would lose the caller.
    """
    if given is None or _CALLING.fullmatch(given):
        return context.caller_number
    number = normalise(given, context.region)
    if number is None:
        raise Refused(
            "phone is not a telephone number; ask for it digit by digit, repeat it back, try again",
            sentence="phone_unreadable",
        )
    return number


def person(name: str | None) -> str | None:
    """The name if it can be somebody's: not a role, not a number."""
    if name is None or name.casefold() in _ROLES or not _LETTER.search(name):
        return None
    return name


def same_person(one: str, other: str) -> bool:
    """Whether two names can be the same person's: accents, case, order and titles aside, all words
    of one are among those of the other ("Mme Durand", "durand Élise"). A list of names is
    nobody's."""
    mine, theirs = _name_words(one), _name_words(other)
    if not mine or not theirs or abs(len(mine) - len(theirs)) > _MOST_MORE:
        return False
    return mine <= theirs or theirs <= mine


def _name_words(name: str) -> frozenset[str]:
    plain = "".join(c if c.isalnum() else " " for c in unaccented(name))
    return frozenset(word for word in plain.split() if word not in _TITLES)
