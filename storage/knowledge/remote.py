"""Search by meaning at a vendor, answers from our own rows.

The index elsewhere proposes ids; what is said is read here, from the tenant's own passages: an id
that is deleted, or somebody else's, vanishes. What it can't answer, the embedded search does: it
fails, it is late (what was written shows some seconds after), or it finds nothing near enough.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog

from domain.clock import Clock
from domain.errors import ProviderError
from domain.knowledge import Found, Knowledge, Passage, PassageIndex
from storage import Storage
from storage.knowledge.analysis import fold

log = structlog.get_logger(__name__)

#: How near a passage must be, unless set: below it, an embedding model calls anything related, and
#: to answer what nobody wrote is worse than to leave it to the embedded search. High on purpose
#: until it is measured with the index that is used: `make recall`.
MIN_SCORE: Final = 0.6
#: After a document was indexed, the embedded search answers for so long. Pinecone: "searchable
#: within approximately one minute", and the job that publishes it runs after the indexing.
FRESH: Final = timedelta(seconds=120)
#: Two rows answer equally well when their scores differ by less.
_EQUAL: Final = 0.03
#: Further passages are given when they come this near to the best one's score.
_NEAR: Final = 0.8
#: More than are given, since some may be gone.
_ASKED: Final = 4

#: References and numbers ("R1234yf", "205/55", "13 kg"): meaning doesn't know them apart, so they
#: must stand in the passage. Where they don't, the embedded search is asked, which knows more.
_REFERENCE: Final = re.compile(r"\b\w*\d\w*\b")

Count = Callable[[str], None]


class RemoteKnowledge:
    """`domain.knowledge.Knowledge` over an index elsewhere. `count` is told who answered:
    `remote`, or why the embedded search did (`failed`, `fresh`, `nothing_near`)."""

    def __init__(
        self,
        storage: Storage,
        index: PassageIndex,
        embedded: Knowledge,
        clock: Clock,
        *,
        min_score: float = MIN_SCORE,
        count: Count = lambda _who: None,
    ) -> None:
        self._storage = storage
        self._index = index
        self._embedded = embedded
        self._clock = clock
        self._min_score = min_score
        self._count = count

    async def search(self, tenant_id: str, question: str, limit: int = 5) -> Found:
        """See `Knowledge.search`. As long as the index's own time limit at most, and the embedded
        search's milliseconds."""
        who, found = await self._remote(tenant_id, question, limit)
        self._count(who)
        if found.passages:
            return found
        log.info("knowledge.embedded_instead", tenant_id=tenant_id, cause=who)
        return await self._embedded.search(tenant_id, question, limit)

    async def _remote(self, tenant_id: str, question: str, limit: int) -> tuple[str, Found]:
        async with self._storage.tenant(tenant_id).read() as rows:
            latest = await rows.knowledge.latest_indexing()
        if latest is not None and self._clock.now() - latest < FRESH:
            return "fresh", Found()
        try:
            near = await self._index.query(tenant_id, question, limit * _ASKED)
        except ProviderError as error:
            log.warning("knowledge.index_failed", tenant_id=tenant_id, reason=error.reason)
            return "failed", Found()
        scores = {chunk_id: score for chunk_id, score in near if score >= self._min_score}
        async with self._storage.tenant(tenant_id).read() as rows:
            known = await rows.knowledge.passages(scores.keys())
        ranked = [
            replace(known[chunk_id], score=round(score, 4))
            for chunk_id, score in scores.items()
            if chunk_id in known and _has_references(question, known[chunk_id])
        ]
        found = chosen(ranked, limit)
        return ("remote" if found.passages else "nothing_near"), found


def chosen(ranked: list[Passage], limit: int) -> Found:
    """What is given of passages that are near enough, best first: rows that are equally near and
    say different things are for the caller to choose from."""
    said: dict[str, Passage] = {}
    for passage in sorted(ranked, key=lambda each: -each.score):
        said.setdefault(f"{passage.heading}\n{passage.text}".casefold(), passage)
    distinct = list(said.values())
    if not distinct:
        return Found()
    best = distinct[0]
    equal = [each for each in distinct if each.kind == "row" and best.score - each.score < _EQUAL]
    if best.kind == "row" and len(equal) > 1:
        return Found(tuple(equal[:limit]), ambiguous=True)
    near = [each for each in distinct if each.score >= _NEAR * best.score]
    return Found(tuple(near[:limit]))


def _has_references(question: str, passage: Passage) -> bool:
    there = set(_REFERENCE.findall(fold(f"{passage.heading} {passage.text}")))
    return set(_REFERENCE.findall(fold(question))) <= there
