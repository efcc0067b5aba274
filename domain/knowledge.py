"""What a tenant's agent may know, as those who ask and those who keep it see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage of a tenant's document: a price list's row, a question with its answer, a
    paragraph. `heading` is where it stands, `url` "" unless the document has an address; `score`
    compares passages of one search only."""

    chunk_id: str
    document_id: str
    title: str
    url: str
    kind: str  # row | prose
    heading: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Found:
    """The passages that answer, best first; empty: nothing is known, and nothing may be said.

    `ambiguous`: the first ones answer equally well and say different things (two rows of a price
    list): whoever asks must say which.
    """

    passages: tuple[Passage, ...] = ()
    ambiguous: bool = False


class Knowledge(Protocol):
    """Searches one tenant's documents."""

    async def search(self, tenant_id: str, question: str, limit: int = 5) -> Found:
        """Raises OperatorError when the database can't be asked."""
        ...


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A passage as an index outside of our database is given it."""

    chunk_id: str
    document_id: str
    text: str  # heading and content together


class PassageIndex(Protocol):
    """An index of passages at a vendor, one namespace per tenant. It holds ids and text to find
    them by; what is said is read from our own rows, so that it can neither leak nor resurrect
    anything. All raise ProviderError."""

    async def upsert(self, tenant_id: str, entries: Sequence[IndexEntry]) -> None:
        """Add or replace; visible some seconds later."""
        ...

    async def delete(self, tenant_id: str, chunk_ids: Sequence[str]) -> None:
        """Forget these."""
        ...

    async def delete_tenant(self, tenant_id: str) -> None:
        """Forget everything of the tenant."""
        ...

    async def query(self, tenant_id: str, question: str, limit: int) -> list[tuple[str, float]]:
        """(chunk id, score) of the nearest passages, best first; the score lies in 0..1."""
        ...
