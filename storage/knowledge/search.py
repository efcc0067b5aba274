"""Search without a vendor: the database finds the passages that share words, we rank them.

Better nothing than a passage that shares only frequent words: who asks for the price of a clutch
must not hear that of a tyre. So a passage answers when it covers most of what was asked, each word
weighed by how rare it is among the tenant's own passages.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Final

from domain.knowledge import Found, Passage
from storage import Storage
from storage.knowledge.analysis import Sought, analyser, fold
from storage.knowledge.documents import Candidate

#: The least part of a question, by weight, that a passage must cover to be an answer.
ENOUGH: Final = 0.6
#: Further passages are given when they cover this much of what the best one covers.
_NEAR: Final = 0.8
#: Two rows answer equally well when what they cover differs by less.
_EQUAL: Final = 0.08
#: How many passages are looked at closely.
_CANDIDATES: Final = 60
#: A word that stands above a passage counts a little less than one that stands in it.
_ABOVE: Final = 0.9
#: What a passage gains over others of the same coverage, at most.
_FOR_A_PRICE: Final = 0.1
_FOR_NOTHING_ELSE: Final = 0.06
#: As if there were so many more passages: in a tenant's first three, no word is rare otherwise.
_SMOOTHING: Final = 10

_ASKS_A_PRICE: Final = re.compile(
    r"\b(?:combien(?! de (?:temps|jours|personnes|places|fois))|prix|tarifs?|cout\w*|cher"
    r"|how much|price|cost)\b"
)
_AMOUNT: Final = re.compile(r"\d\s?(?:€|euros?\b|eur\b|£)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Weighed:
    """A term that was asked for: where it stands and how much it matters."""

    term: str
    weight: float
    numbers: Collection[int]


class EmbeddedKnowledge:
    """`domain.knowledge.Knowledge` over our own tables."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def search(self, tenant_id: str, question: str, limit: int = 5) -> Found:
        """See `Knowledge.search`. Some milliseconds."""
        async with self._storage.tenant(tenant_id).read() as rows:
            tenant = await rows.tenant()
            sought = analyser(tenant.locale).question(question)
            if not sought:
                return Found()
            total = await rows.knowledge.count_chunks()
            terms = list(dict.fromkeys(t for s in sought for t in (s.term, *s.parts)))
            postings: dict[str, Collection[int]] = dict(
                zip(terms, await rows.knowledge.postings(terms), strict=True)
            )
            asked = weigh(sought, postings, total)
            best = shortlist(asked)
            if not best:
                return Found()
            candidates = await rows.knowledge.candidates(best)
        return rank(question, asked, candidates, limit)


def weigh(
    sought: Sequence[Sought], postings: Mapping[str, Collection[int]], total: int
) -> list[_Weighed]:
    """What was asked, each term by its rarity among `total` passages. What only describes the
    caller is left out where the documents don't know it."""
    asked: list[_Weighed] = []
    for one in sought:
        found = postings[one.term]
        if not found and one.parts:
            asked += [
                _Weighed(part, one.weight * _rarity(len(postings[part]), total), postings[part])
                for part in one.parts
            ]
        elif found or not (one.incidental or one.weight < 0.5):
            asked.append(_Weighed(one.term, one.weight * _rarity(len(found), total), found))
    return asked


def _rarity(count: int, total: int) -> float:
    """BM25's inverse document frequency."""
    return log(1 + (max(total, count) + _SMOOTHING - count + 0.5) / (count + 0.5))


def shortlist(asked: Sequence[_Weighed]) -> list[int]:
    """The numbers of the passages that cover enough, the best _CANDIDATES of them."""
    whole = sum(one.weight for one in asked)
    covered: dict[int, float] = {}
    for one in asked:
        for number in one.numbers:
            covered[number] = covered.get(number, 0.0) + one.weight
    enough = [number for number, weight in covered.items() if weight >= ENOUGH * whole]
    enough.sort(key=lambda number: (-covered[number], number))
    return enough[:_CANDIDATES]


@dataclass(frozen=True, slots=True)
class _Ranked:
    candidate: Candidate
    covers: float  # 0..1 of what was asked
    score: float


def rank(
    question: str, asked: Sequence[_Weighed], candidates: Sequence[Candidate], limit: int
) -> Found:
    """The passages that answer, best first."""
    price = _ASKS_A_PRICE.search(fold(question)) is not None
    ranked = [_rank(candidate, asked, price=price) for candidate in candidates]
    ranked = [one for one in ranked if one.covers >= ENOUGH]
    ranked.sort(key=lambda one: (-one.score, one.candidate.number))
    if not ranked:
        return Found()
    best = ranked[0]
    equal = [one for one in ranked if _equal(one, best)]
    ambiguous = best.candidate.passage.kind == "row" and len(_distinct(equal)) > 1
    given = equal if ambiguous else [one for one in ranked if one.covers >= _NEAR * best.covers]
    return Found(tuple(_distinct(given)[:limit]), ambiguous)


def _equal(one: _Ranked, best: _Ranked) -> bool:
    return (
        one.candidate.passage.kind == "row"
        and abs(one.covers - best.covers) < _EQUAL
        and one.score > best.score - _EQUAL - _FOR_NOTHING_ELSE
    )


def _rank(candidate: Candidate, asked: Sequence[_Weighed], *, price: bool) -> _Ranked:
    own, above = set(candidate.terms), set(candidate.heading_terms)
    whole = covered = 0.0
    wanted = set()
    for one in asked:
        whole += one.weight
        wanted.add(one.term)
        if one.term in own:
            covered += one.weight
        elif one.term in above:
            covered += one.weight * _ABOVE
    covers = covered / whole if whole else 0.0
    words = {term for term in own if not term.isdigit()}
    score = covers + _FOR_NOTHING_ELSE * (len(words & wanted) / len(words) if words else 0.0)
    if price and _AMOUNT.search(candidate.passage.text):
        score += _FOR_A_PRICE
    return _Ranked(candidate, covers, score)


def _distinct(ranked: Sequence[_Ranked]) -> list[Passage]:
    """The passages, each text once: the same list may stand in two documents."""
    said: dict[str, Passage] = {}
    for one in ranked:
        passage = replace(one.candidate.passage, score=round(one.score, 4))
        said.setdefault(f"{passage.heading}\n{passage.text}".casefold(), passage)
    return list(said.values())
