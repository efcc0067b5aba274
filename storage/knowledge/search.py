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
from storage.knowledge.analysis import MAX_QUESTION, WEAK, Sought, analyser, fold
from storage.knowledge.documents import Candidate, Documents

#: The least part of a question, by weight, that a passage must cover to be an answer.
ENOUGH: Final = 0.6
#: The same for a row, when a price is asked: another service's price is the worst of answers.
ENOUGH_FOR_A_PRICE: Final = 0.7
#: Further passages are given when they cover this much of what the best one covers.
_NEAR: Final = 0.8
#: Two rows answer equally well when what they cover differs by less.
_EQUAL: Final = 0.08
#: How many passages are looked at closely.
_CANDIDATES: Final = 60
#: The weight of a word that says little, where a passage has it; a rare one weighs 4 to 8.
_LITTLE: Final = 0.3
#: Less than this part of a question isn't looked up in every passage that has it.
_LIGHT: Final = 0.03
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
#: Longer ones begin with a story, characters.
_STORY: Final = 70
_ASKS: Final = re.compile(
    r"\b(?:est[- ]ce qu(?:e |')|savoir si |savoir |je cherche |je voudrais |j'aimerais |il faut "
    r"|do you |can i |could you |i need |i'm looking for )"
)
_AMOUNT: Final = re.compile(r"\d\s?(?:€|euros?\b|eur\b|£)", re.IGNORECASE)
#: What stands between a row's label and its columns (`split`).
_AFTER_LABEL: Final = " — "
_DIGITS: Final = re.compile(r"\d+")
#: A label that is of many figures: "plus de 150 000 €", "de 8 à 12 ans", "15-20 kg".
_OF_MANY: Final = re.compile(
    r"\b(?:plus|moins|a partir|au dela|au dessus|des|jusqu|entre|de \S+ a"
    r"|over|under|above|below|up|from|between|to)\b|\d\s?[-+]\s?\d"
)
#: "30 000", which is one figure.
_GROUPED: Final = re.compile(r"(?<=\d)[ .\u00a0\u202f](?=\d{3}(?!\d))")


#: Term → the numbers of the passages that have it.
Postings = Mapping[str, Collection[int]]


@dataclass(frozen=True, slots=True)
class _Weighed:
    """A term that was asked for: where it stands and how much it matters."""

    term: str
    weight: float
    numbers: Collection[int]
    beginning: bool = False  # of a longer word: "kiné"

    def stands_in(self, terms: Collection[str]) -> bool:
        if self.beginning:
            return any(term.startswith(self.term) for term in terms)
        return self.term in terms


class EmbeddedKnowledge:
    """`domain.knowledge.Knowledge` over our own tables."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def search(self, tenant_id: str, question: str, limit: int = 5) -> Found:
        """See `Knowledge.search`. Some milliseconds."""
        async with self._storage.tenant(tenant_id).read() as rows:
            tenant = await rows.tenant()
            questions = analyser(tenant.locale)
            for text in (question, focus(question)):
                sought = questions.question(text) if text else ()
                if (
                    sought
                    and (found := await _answer(rows.knowledge, text, sought, limit)).passages
                ):
                    return found
        return Found()


async def _answer(
    knowledge: Documents, question: str, sought: Sequence[Sought], limit: int
) -> Found:
    if not sought:
        return Found()
    total = await knowledge.count_chunks()
    # Words that say little ("prix", "changer") stand everywhere: not worth the longest of lists.
    strong = [one for one in sought if one.weight > WEAK]
    little = [one.term for one in sought if one.weight <= WEAK] if strong else []
    sought = strong or sought
    terms = list(dict.fromkeys(term for one in sought for term in (one.term, *one.parts)))
    exact: Postings = dict(zip(terms, await knowledge.postings(terms), strict=True))
    unknown = [one.term for one in sought if not exact[one.term] and _may_begin(one)]
    begun = await knowledge.postings(unknown, beginnings=True)
    asked = weigh(sought, exact, dict(zip(unknown, begun, strict=True)), total)
    best = shortlist(asked)
    if not best:
        return Found()
    candidates = await knowledge.candidates(best)
    asked += [
        _Weighed(term, _LITTLE, ())
        for term in little
        if any(term in one.terms or term in one.heading_terms for one in candidates)
    ]
    return rank(question, asked, candidates, limit)


def focus(question: str) -> str:
    """What is asked at the end of a long story ("… j'ai emménagé hier, est-ce que vous …"); ""
    when the question is short, or tells no story."""
    question = question[:MAX_QUESTION]
    starts = [match.end() for match in _ASKS.finditer(question.lower().replace("’", "'"))]
    if len(question) < _STORY or not starts:
        return ""
    asked = question[starts[-1] :].strip()
    return asked if len(asked.split()) >= 3 else ""


def _may_begin(one: Sought) -> bool:
    """Whether a word that no passage has may be the beginning of one that some have."""
    return len(one.term) >= 4 and one.term.isalpha() and not one.incidental and one.weight == 1


def weigh(
    sought: Sequence[Sought], postings: Postings, longer: Postings, total: int
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
        elif longer.get(one.term):
            weight = one.weight * _rarity(len(longer[one.term]), total)
            asked.append(_Weighed(one.term, weight, longer[one.term], beginning=True))
        elif found or not (one.incidental or one.weight <= WEAK):
            asked.append(_Weighed(one.term, one.weight * _rarity(len(found), total), found))
    return asked


def _rarity(count: int, total: int) -> float:
    """BM25's inverse document frequency."""
    return log(1 + (max(total, count) + _SMOOTHING - count + 0.5) / (count + 0.5))


def shortlist(asked: Sequence[_Weighed]) -> list[int]:
    """The numbers of the passages that cover enough, the best _CANDIDATES of them."""
    whole = sum(one.weight for one in asked)
    # A word that nearly every passage has ("prix") has the longest list and decides nothing.
    light = sum(one.weight for one in asked if one.weight < _LIGHT * whole)
    covered: dict[int, float] = {}
    for one in asked:
        if one.weight >= _LIGHT * whole:
            for number in one.numbers:
                covered[number] = covered.get(number, 0.0) + one.weight
    enough = [number for number, has in covered.items() if has + light >= ENOUGH * whole]
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
    ranked = [
        _rank(candidate, asked, price=price)
        for candidate in candidates
        if not _of_another_figure(candidate, asked)
    ]
    ranked = [one for one in ranked if one.covers >= _enough(one.candidate.passage, price=price)]
    ranked.sort(key=lambda one: (-one.score, one.candidate.number))
    if not ranked:
        return Found()
    best = ranked[0]
    equal = [one for one in ranked if _equal(one, best)]
    ambiguous = best.candidate.passage.kind == "row" and len(_distinct(equal)) > 1
    given = equal if ambiguous else [one for one in ranked if one.covers >= _NEAR * best.covers]
    return Found(tuple(_distinct(given)[:limit]), ambiguous)


def _enough(passage: Passage, *, price: bool) -> float:
    return ENOUGH_FOR_A_PRICE if price and passage.kind == "row" else ENOUGH


def _of_another_figure(candidate: Candidate, asked: Sequence[_Weighed]) -> bool:
    """Whether a row is about another size, model or number than was asked: it lacks a figure of the
    question, and is called by one that the question lacks ("205/65 R16" for "205/55 R16"). What
    else they share doesn't make its price the answer."""
    if candidate.passage.kind != "row":
        return False
    figures = [one for one in asked if any(c.isdigit() for c in one.term)]
    there = {*candidate.terms, *candidate.heading_terms}
    if all(one.stands_in(there) for one in figures):
        return False
    label = _GROUPED.sub("", candidate.passage.text.partition(_AFTER_LABEL)[0])
    if _OF_MANY.search(fold(label)):
        return False
    named = {figure for one in figures for figure in _DIGITS.findall(one.term)}
    # A reference is asked for as one word, which the row has: "20555r16".
    references = "".join(one.term for one in figures if one.stands_in(there))
    return any(
        figure not in named and figure not in references for figure in _DIGITS.findall(label)
    )


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
        if one.stands_in(own):
            covered += one.weight
        elif one.stands_in(above):
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
