"""The jobs that keep what a tenant's documents say findable.

A document's row is the truth: `pending` and `indexing` mean that it is to be read, and `revision`
which asking it is that a job answers. A job that dies anywhere leaves the row as it was, and the
next one begins anew; one that comes too late (deleted, asked anew) changes nothing, since all that
it writes is written in one transaction if the revision is still the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import sqlalchemy as sa
import structlog

from domain.clock import Clock
from domain.errors import Invalid, OperatorError, ProviderError
from domain.fetching import AddressRefused, Fetcher
from domain.jobs import BUG_ATTEMPTS, Again, Backoff, Job, JobKind
from domain.knowledge import PassageIndex
from storage import Database, Storage
from storage.knowledge.changes import FORGET, INDEX, forget, wake, wake_assistant
from storage.knowledge.documents import Document, chunk_id
from storage.knowledge.extract import Extracted, ExtractionFailed, Extractor
from storage.knowledge.formats import source_type_of
from storage.knowledge.parsing.blocks import MAX_BYTES
from storage.schema import knowledge_documents

log = structlog.get_logger(__name__)

PUBLISH: Final = "knowledge.publish"
RECONCILE: Final = "knowledge.reconcile"
PURGE: Final = "knowledge.purge"

#: Whoever added a page looks at it for a minute: 5 + 10 + 20 s, then it is called unreachable.
INDEX_BACKOFF: Final = Backoff(first=5.0, longest=60.0, attempts=4)
#: A vendor may be away for a night: about 17 h.
VENDOR_BACKOFF: Final = Backoff(first=5.0, longest=3600.0, attempts=24)
#: A fetch (20 s) and a reading (90 s), behind others that read.
INDEX_SECONDS: Final = 300.0
PUBLISH_SECONDS: Final = 300.0
#: A document that waits for so long has lost its job.
LOST_SECONDS: Final = 600.0
#: How long a deleted document can be restored, days (real-users.md §4.8: the bin of 30 days).
BIN_DAYS: Final = 30
PURGE_SECONDS: Final = 3600.0
#: How many documents of all tenants are looked after at once.
_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class _Source:
    """What is to be read."""

    data: bytes
    source_type: str
    charset: str = ""


class _Permanent(Exception):
    """Trying again can't help: `error` is a key of the catalogue."""

    def __init__(self, error: str, detail: str | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.detail = detail


class Indexing:
    """The handlers. `index`: where passages are published besides our own tables, or None."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        clock: Clock,
        *,
        extractor: Extractor,
        fetcher: Fetcher,
        index: PassageIndex | None = None,
    ) -> None:
        self._database = database
        self._storage = storage
        self._clock = clock
        self._extractor = extractor
        self._fetcher = fetcher
        self._index = index

    def kinds(self) -> list[JobKind]:
        """What the worker must know."""
        vendor = "pinecone" if self._index is not None else ""
        return [
            JobKind(INDEX, self.index, time_limit=INDEX_SECONDS, backoff=INDEX_BACKOFF),
            JobKind(
                PUBLISH,
                self.publish,
                vendor=vendor,
                time_limit=PUBLISH_SECONDS,
                backoff=VENDOR_BACKOFF,
            ),
            JobKind(FORGET, self.forget, vendor=vendor, backoff=VENDOR_BACKOFF),
            JobKind(RECONCILE, self.reconcile, every=LOST_SECONDS),
            JobKind(PURGE, self.purge, every=PURGE_SECONDS),
        ]

    # ------------------------------------------------------------------------------ indexing

    async def index(self, job: Job) -> None:
        """Read, split and store one document. Raises what is worth another try."""
        tenant_id, document_id = _subject(job)
        claimed = await self._claim(tenant_id, document_id)
        if claimed is None:
            return
        document, locale = claimed
        try:
            await self._index_claimed(tenant_id, document, locale, job)
        except _Permanent as failure:
            await self._fail(tenant_id, document, failure.error, failure.detail)
        except (OperatorError, ProviderError):
            raise  # passing, and never the last try: see `_refused`
        except Exception as error:
            # A bug of ours. The job's dead letter tells the operator where; the owner learns of it
            # here, and may try another form of the document.
            if job.attempt >= BUG_ATTEMPTS:
                await self._fail(tenant_id, document, "document_internal", type(error).__name__)
            raise

    async def _claim(self, tenant_id: str, document_id: str) -> tuple[Document, str] | None:
        """The document, `indexing`, and the tenant's locale; None when there is nothing to do."""
        async with self._storage.tenant(tenant_id).write() as rows:
            document = await rows.knowledge.get(document_id)
            if document is None or not await rows.knowledge.begin(document_id, document.revision):
                return None
            return document, (await rows.tenant()).locale

    async def _index_claimed(
        self, tenant_id: str, document: Document, locale: str, job: Job
    ) -> None:
        source = await self._source(tenant_id, document, job)
        # A page that was added by its address alone is called by its own name.
        nameless = document.title == document.url
        try:
            extracted = await self._extractor.extract(
                source.data,
                source.source_type,
                charset=source.charset,
                title="" if nameless else document.title,
                locale=locale,
            )
        except ExtractionFailed as failure:
            if failure.passing and job.attempt < INDEX_BACKOFF.attempts:
                raise ProviderError("parser", failure.reason, retryable=True) from failure
            raise _Permanent(f"document_{failure.reason}", failure.detail or None) from failure
        await self._store(tenant_id, document, extracted)

    async def _source(self, tenant_id: str, document: Document, job: Job) -> _Source:
        if document.source_type == "url":
            return await self._fetched(document.url or "", job)
        async with self._storage.tenant(tenant_id).read() as rows:
            file = await rows.knowledge.file(document.id)
            if file is not None:
                return _Source(file.content, document.source_type)
            content = await rows.knowledge.content(document.id)
        return _Source((content or "").encode(), document.source_type, "utf-8")

    async def _fetched(self, url: str, job: Job) -> _Source:
        try:
            page = await self._fetcher.fetch(url, max_bytes=MAX_BYTES)
        except AddressRefused as refused:
            if refused.retryable and job.attempt < INDEX_BACKOFF.attempts:
                raise ProviderError(
                    "web page", refused.code, retryable=True, status=refused.status
                ) from refused
            # What may be shown: never `reason`, which tells of our own network.
            detail = str(refused.status) if refused.status else refused.host or None
            raise _Permanent(f"address_{refused.code}", detail) from refused
        source_type = source_type_of(page.media_type, urlsplit(page.url).path, page.body[:2048])
        if source_type is None:
            raise _Permanent("document_unsupported", page.media_type[:100] or None)
        return _Source(page.body, source_type, page.charset)

    async def _store(self, tenant_id: str, document: Document, extracted: Extracted) -> None:
        """Everything of the document in one transaction, unless it was deleted or changed."""
        text_is_the_source = await self._is_posted(tenant_id, document)
        try:
            async with self._storage.tenant(tenant_id).write() as rows:
                gone = await rows.knowledge.replace_chunks(
                    document.id,
                    document.revision,
                    extracted.chunks,
                    content=None if text_is_the_source else extracted.content,
                )
                if gone is None:
                    return
                await wake_assistant(rows)
                rows.events.publish(
                    "document.ready", document.id, {"chunkCount": len(extracted.chunks)}
                )
                if extracted.title and document.title == document.url:
                    await rows.knowledge.change(
                        document.id, title=extracted.title, category=document.category
                    )
                if self._index is not None:
                    payload = {"document_id": document.id}
                    await rows.jobs.put(PUBLISH, payload, key=f"{PUBLISH}:{document.id}")
                    await forget(rows.jobs, gone)
        except Invalid as refused:
            raise _Permanent(refused.message_key or "document_too_much_text") from refused
        log.info("knowledge.indexed", tenant_id=tenant_id, count=len(extracted.chunks))

    async def _is_posted(self, tenant_id: str, document: Document) -> bool:
        """Whether its text is all that there is of it."""
        async with self._storage.tenant(tenant_id).read() as rows:
            return document.source_type != "url" and await rows.knowledge.file(document.id) is None

    async def _fail(
        self, tenant_id: str, document: Document, error: str, detail: str | None
    ) -> None:
        posted = await self._is_posted(tenant_id, document)
        async with self._storage.tenant(tenant_id).write() as rows:
            if await rows.knowledge.fail(document.id, document.revision, error, detail):
                if posted:
                    # The text that it answers from may have been replaced by the unreadable one:
                    # better nothing than a price that its owner has taken back.
                    await forget(rows.jobs, await rows.knowledge.silence(document.id))
                    await wake_assistant(rows)
                rows.events.publish("document.failed", document.id, {"errorCode": error})
        log.info("knowledge.failed", tenant_id=tenant_id, reason=error)

    # ----------------------------------------------------------------------- another's index

    async def publish(self, job: Job) -> None:
        """Give an index elsewhere what our rows hold of a document. Raises ProviderError."""
        tenant_id, document_id = _subject(job)
        if self._index is None:
            return
        handle = self._storage.tenant(tenant_id)
        async with handle.read() as rows:
            entries = await rows.knowledge.entries(document_id)
        if not entries:
            return
        await self._index.upsert(tenant_id, entries)
        # Whatever was replaced or deleted meanwhile may have been forgotten before it arrived.
        async with handle.read() as rows:
            present = {each.chunk_id for each in await rows.knowledge.entries(document_id)}
        late = [each.chunk_id for each in entries if each.chunk_id not in present]
        if late:
            await self._index.delete(tenant_id, late)

    async def forget(self, job: Job) -> None:
        """Let an index elsewhere forget passages that our rows no longer hold. Raises
        ProviderError."""
        tenant_id, document_id = _subject(job)
        if self._index is None:
            return
        revision, count = int(job.payload["revision"]), int(job.payload["count"])
        passages = [chunk_id(document_id, revision, at) for at in range(count)]
        await self._index.delete(tenant_id, passages)

    # --------------------------------------------------------------------------- reconciling

    async def reconcile(self, job: Job) -> None:
        """Wake the documents whose job was lost: buried by hand, or with an older database."""
        table = knowledge_documents
        before = self._clock.now() - timedelta(seconds=LOST_SECONDS)
        lost = await self._of_all_tenants(
            table.c.status.in_(("pending", "indexing")), table.c.updated_at < before
        )
        for tenant_id, document_id in lost:
            async with self._storage.tenant(tenant_id).write() as rows:
                await wake(rows.jobs, document_id)
        if lost:
            log.warning("knowledge.woken", count=len(lost))

    async def purge(self, job: Job) -> Again | None:
        """Forget what was deleted BIN_DAYS ago. Goes on at once when there is more: a tenant that
        deletes thousands doesn't hold up what others have deleted."""
        table = knowledge_documents
        before = self._clock.now() - timedelta(days=BIN_DAYS)
        old = await self._of_all_tenants(table.c.status == "deleted", table.c.deleted_at < before)
        for tenant_id, document_id in old:
            async with self._storage.tenant(tenant_id).write() as rows:
                await rows.knowledge.purge(document_id)
        if old:
            log.info("knowledge.purged", count=len(old))
        return Again(self._clock.now()) if len(old) == _AT_ONCE else None

    async def _of_all_tenants(self, *where: sa.ColumnElement[bool]) -> list[tuple[str, str]]:
        """(tenant, document), those that wait longest first."""
        table = knowledge_documents
        statement = sa.select(table.c.tenant_id, table.c.id).where(*where)
        async with self._database.read() as connection:
            found = await connection.execute(
                statement.order_by(table.c.updated_at, table.c.id).limit(_AT_ONCE)
            )
            return [(str(row.tenant_id), str(row.id)) for row in found]


def _subject(job: Job) -> tuple[str, str]:
    """Whose document. ValueError for a job that names none."""
    payload: Mapping[str, Any] = job.payload
    if job.tenant_id is None or not isinstance(payload.get("document_id"), str):
        raise ValueError("a job about a document names a tenant and a document")
    return job.tenant_id, payload["document_id"]
