"""Whose call is this? Never a default tenant, never a guess.

`ForwardedFrom` and `From` can be forged: they select a tenant, they authorise nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

from domain.folding import bare_words
from domain.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Found:
    """The tenant, and how it was found: to | forwarded_from | history | name | code."""

    tenant: Tenant
    by: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """One tenant is likely; the caller is asked, and only a yes binds. `by`: history | name."""

    tenant: Tenant
    by: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Nothing tells: the caller is asked for the company."""


Decision = Found | Confirm | Ask


def whose(
    *,
    dialled: Tenant | None,
    forwarded: bool,
    line: Tenant | None,
    recent: Sequence[Tenant],
) -> Decision:
    """The order of the issue: (a) the number dialled, (b) the line that forwards, (c) another
    business's line, (d) the caller's history, (e) the question.

    `dialled`: whose own number `To` is. `forwarded`: ForwardedFrom was a number, and neither ours
    nor the caller's own. `line`: whose line that number is. `recent`: with whom the caller has had
    to do in the last 30 days.
    """
    if dialled is not None:
        return Found(dialled, "to")
    if line is not None:
        return Found(line, "forwarded_from")
    if forwarded:
        return Ask()
    if len(recent) == 1:
        return Confirm(recent[0], "history")
    return Ask()


_YES = re.compile(
    r"\b(oui|ouais|ouai|exact|exactement|tout a fait|bien sur|c est (ca|bien ca|bien cela|cela|bon)"
    r"|absolument|affirmatif|si|yes|yeah|yep|that s right|correct)\b"
)
_NO = re.compile(r"\b(non|pas|no|nope|not|erreur|faux)\b")


def is_yes(speech: str, digits: str) -> bool:
    """A clear yes: key 1, or words of agreement without any of refusal."""
    if digits:
        return digits == "1"
    words = fold(speech)
    return bool(_YES.search(words)) and not _NO.search(words)


def fold(text: str) -> str:
    """Lower case, no accents, no punctuation, single spaces: what the ear compares."""
    text = text.replace("œ", "oe").replace("Œ", "oe").replace("æ", "ae").replace("&", " et ")
    return bare_words(text)


# Words that callers put around a name, and forms of companies; alone they identify nobody.
_COMMON = frozenset(
    """le la les l un une de du des d et a au aux chez pour bonjour bonsoir allo oui je voudrais
    veux souhaite parler appelle joindre euh alors donc c est s il vous plait the of and for to
    societe entreprise sarl sas sasu eurl maison monsieur madame docteur maitre""".split()
)
# Trades, which many companies share.
_TRADES = frozenset(
    """garage cabinet agence salon restaurant boutique centre medical dentaire immobilier
    immobiliere institut atelier clinique etude syndic auto""".split()
)

#: So many other words may stand around a name for it to count as said, not just mentioned.
WORDS_AROUND = 2
#: Below this likeness (0–1) a name that was heard is not taken for a tenant's. "Dupond" has 0.83 of
#: "Dupont", and transcribers write either.
LIKENESS = 0.82
#: How much better the best must be than the second.
MARGIN = 0.12
#: Tenants are known by four digits: no more names than these are remembered.
_NAMES = 10_000


def match_company(speech: str, tenants: Sequence[Tenant]) -> Decision:
    """The tenant whose name was said: Found when said in full and by one tenant only, Confirm when
    said in part or merely alike, Ask otherwise."""
    said = [word for word in fold(speech).split() if word not in _COMMON]
    if not said:
        return Ask()
    whole = [tenant for tenant in tenants if _says_name(said, tenant)]
    if len(whole) == 1:
        name = set(_significant(whole[0]))
        certain = name <= set(said) and len(set(said) - name - _TRADES) <= WORDS_AROUND
        return (Found if certain else Confirm)(whole[0], "name")
    if whole:
        return _longest(whole)
    partly = [tenant for tenant in tenants if _says_part(said, tenant)]
    if len(partly) == 1:
        return Confirm(partly[0], "name")
    return _likeliest(said, tenants)


def _significant(tenant: Tenant) -> tuple[str, ...]:
    return _words(tenant.name)


# Remembered: while a name is looked for, nobody's audio moves.
@lru_cache(_NAMES)
def _words(name: str) -> tuple[str, ...]:
    return tuple(word for word in fold(name).split() if word not in _COMMON)


def _says_name(said: Sequence[str], tenant: Tenant) -> bool:
    name = {word for word in _significant(tenant) if word not in _TRADES}
    return bool(name) and name <= set(said)


def _says_part(said: Sequence[str], tenant: Tenant) -> bool:
    """Nothing but a part of the name: "le salon Léa" for Salon Léa & Fils."""
    words = set(said) - _TRADES
    return bool(words) and words <= set(_significant(tenant))


def _longest(tenants: Sequence[Tenant]) -> Decision:
    """Who says "Garage du Port Nord" also says "Garage du Port": likely the longest was meant."""
    by_length = sorted(tenants, key=lambda tenant: len(set(_significant(tenant))), reverse=True)
    best, second = (set(_significant(tenant)) for tenant in by_length[:2])
    if len(best) > len(second):
        return Confirm(by_length[0], "name")
    return Ask()


def _likeliest(said: Sequence[str], tenants: Sequence[Tenant]) -> Decision:
    heard = " ".join(word for word in said if word not in _TRADES)
    matcher = SequenceMatcher(None, b=heard)
    scores = sorted(
        ((_likeness(matcher, tenant), index) for index, tenant in enumerate(tenants)), reverse=True
    )
    if not heard or not scores or scores[0][0] < LIKENESS:
        return Ask()
    if len(scores) > 1 and scores[0][0] - scores[1][0] < MARGIN:
        return Ask()
    return Confirm(tenants[scores[0][1]], "name")


def _likeness(matcher: SequenceMatcher[str], tenant: Tenant) -> float:
    """0 for a name too unlike to matter, even as the second best: most are, and to know that costs
    a hundredth of knowing how unlike."""
    name = " ".join(word for word in _significant(tenant) if word not in _TRADES)
    matcher.set_seq1(name)
    enough = LIKENESS - MARGIN
    if not name or matcher.real_quick_ratio() < enough or matcher.quick_ratio() < enough:
        return 0.0
    return matcher.ratio()
