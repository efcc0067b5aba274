"""What is done to documents, each with the job that makes it true, in the caller's transaction."""

from collections.abc import Sequence
from typing import Final

from domain.errors import Conflict
from domain.jobs import Jobs
from storage import TenantRows, assistants
from storage.knowledge.documents import DocumentFile, NewDocument

#: The job that reads a document, and the one that an index elsewhere forgets its passages by.
INDEX: Final = "knowledge.index"
FORGET: Final = "knowledge.forget"
#: All of a tenant's documents, the deleted ones too: ten of the largest.
MAX_TENANT_BYTES: Final = 100 * 1024 * 1024


async def wake(jobs: Jobs, document_id: str) -> None:
    """Let the document be indexed, once the transaction of `jobs` commits."""
    await jobs.put(INDEX, {"document_id": document_id}, key=f"{INDEX}:{document_id}")


async def wake_assistant(rows: TenantRows) -> None:
    """The tenant's assistant searches documents if there are any."""
    await assistants.wake(rows.jobs, (await rows.tenant()).id)


async def forget(jobs: Jobs, passages: Sequence[str]) -> None:
    """Let an index elsewhere forget these passages, all of one document and one revision."""
    if passages:
        document_id, revision, _ = passages[0].rsplit("-", 2)
        count = 1 + max(int(each.rsplit("-", 1)[1]) for each in passages)
        payload = {"document_id": document_id, "revision": int(revision), "count": count}
        await jobs.put(FORGET, payload, key=f"{FORGET}:{document_id}:{revision}")


async def add_document(rows: TenantRows, new: NewDocument, file: DocumentFile | None = None) -> str:
    """Store one, to be read; its id. Conflict when there is no more room."""
    await refuse_beyond(rows, len(file.content) if file else len(new.content.encode()))
    document_id = await rows.knowledge.add(new, file)
    await wake(rows.jobs, document_id)
    return document_id


async def reindex_document(rows: TenantRows, document_id: str) -> bool:
    """Read it again; what was read answers until then. False when there is none."""
    if await rows.knowledge.reindex(document_id) is None:
        return False
    await wake(rows.jobs, document_id)
    return True


async def delete_document(rows: TenantRows, document_id: str) -> bool:
    """It answers nothing from the commit on. False when there is none."""
    gone = await rows.knowledge.chunk_ids(document_id)
    if not await rows.knowledge.delete(document_id):
        return False
    await rows.jobs.cancel(f"{INDEX}:{document_id}")
    await wake_assistant(rows)
    await forget(rows.jobs, gone)
    return True


async def restore_document(rows: TenantRows, document_id: str) -> bool:
    """A deleted one is read again. False when there is none, Conflict when there is no room."""
    if not await rows.knowledge.restore(document_id):
        return False
    await wake(rows.jobs, document_id)
    return True


async def refuse_beyond(rows: TenantRows, size: int) -> None:
    """Conflict when so many more bytes are too many."""
    if await rows.knowledge.stored_bytes() + size > MAX_TENANT_BYTES:
        raise Conflict(
            f"All documents together may take {MAX_TENANT_BYTES} bytes; delete some.",
            message_key="knowledge_full",
        )
