"""Documents: who searches them, and what a worker of this deployment needs to read them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from domain.clock import Clock
from domain.errors import OperatorError
from domain.jobs import JobKind, VendorLimits
from domain.knowledge import Knowledge, PassageIndex
from providers.guarded import GuardedDoor
from server.metrics import Metrics
from server.settings import Settings
from storage import Storage
from storage.database import Database
from storage.knowledge.extract import Extractor
from storage.knowledge.indexing import Indexing
from storage.knowledge.remote import RemoteKnowledge
from storage.knowledge.search import EmbeddedKnowledge

#: 100 writes a second to a namespace (its own limit) are far above this; a worker shares the
#: machine with calls. https://docs.pinecone.io/reference/api/database-limits
PINECONE_LIMITS = VendorLimits(concurrent=4, concurrent_per_tenant=2)


@asynccontextmanager
async def passage_index(settings: Settings) -> AsyncIterator[PassageIndex | None]:
    """Pinecone, if it is set; opening it reaches nobody. OperatorError when it is half set."""
    if settings.pinecone_api_key is None and settings.pinecone_host is None:
        yield None
        return
    if settings.pinecone_api_key is None or settings.pinecone_host is None:
        raise OperatorError(
            "PINECONE_API_KEY and PINECONE_HOST belong together: set both, or neither"
        )
    # Their package is loaded only where it is used, as the models' is.
    from providers.pinecone import pinecone_index

    key = settings.pinecone_api_key.get_secret_value()
    async with pinecone_index(key, settings.pinecone_host) as index:
        yield index


def knowledge_search(
    settings: Settings,
    storage: Storage,
    clock: Clock,
    metrics: Metrics,
    index: PassageIndex | None,
) -> Knowledge:
    """Our own tables, or `index` with our own tables behind it. Who answered is counted as the
    event `knowledge`."""
    embedded = EmbeddedKnowledge(storage)
    if index is None:
        return embedded
    return RemoteKnowledge(
        storage,
        index,
        embedded,
        clock,
        min_score=settings.pinecone_min_score,
        count=lambda who: metrics.count("knowledge", who),
    )


def document_jobs(
    settings: Settings,
    database: Database,
    storage: Storage,
    clock: Clock,
    index: PassageIndex | None = None,
) -> list[JobKind]:
    """The kinds of job that keep documents findable. `index`: where passages are published besides
    our own tables."""
    indexing = Indexing(
        database,
        storage,
        clock,
        extractor=Extractor(),
        fetcher=GuardedDoor(settings.guard_allowed_networks),
        index=index,
    )
    return indexing.kinds()
