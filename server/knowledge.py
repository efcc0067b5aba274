"""Documents: what a worker of this deployment needs to read them."""

from domain.clock import Clock
from domain.jobs import JobKind
from domain.knowledge import PassageIndex
from providers.guarded import GuardedDoor
from server.settings import Settings
from storage import Storage
from storage.database import Database
from storage.knowledge.extract import Extractor
from storage.knowledge.indexing import Indexing


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
