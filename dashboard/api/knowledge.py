"""What the agent may know: `/api/v1/knowledge/…`, the documents and a question on trial.

A document is stored and its job put in one transaction; it is read by a worker (`status` pending,
indexing, ready, failed). `ask` runs the very search that the agent uses.
"""

import asyncio
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import clean_text, json_response, read_json
from dashboard.api.knowledge_shapes import (
    UPLOAD,
    DeletedDocuments,
    DocumentAnswer,
    DocumentDeleted,
    DocumentList,
    DocumentSaved,
    DocumentsQuery,
    KnowledgeAnswer,
)
from dashboard.api.operations import operation
from dashboard.api.query import is_identifier, offset_of, page_of
from dashboard.api.upload import Upload, received
from dashboard.catalogue import has_sentence, sentence
from domain.errors import Invalid, NotFound
from domain.knowledge import Found, Knowledge, Passage
from domain.permissions import May
from domain.tenant import Tenant
from storage import Storage, TenantRows
from storage.knowledge.changes import (
    add_document,
    delete_document,
    refuse_beyond,
    reindex_document,
    restore_document,
)
from storage.knowledge.documents import Document, DocumentFile, NewDocument
from storage.knowledge.formats import source_type_of
from storage.knowledge.parsing.blocks import MAX_BYTES

DEFAULT_LIMIT, MAX_LIMIT = 50, 100
#: Of a document's text in a list, characters: 100 of them are still a page of a few megabytes.
LONGEST_LISTED = 32_768
LONGEST_TITLE, LONGEST_CATEGORY, LONGEST_URL, LONGEST_QUESTION = 200, 80, 2000, 500
#: Files that are held in memory at once, on their way into the database.
_STORING_AT_ONCE = 4
MAX_PASSAGES = 10
#: What may be posted as text; files are uploaded.
TEXT_TYPES = ("text", "markdown", "html")


class DocumentBody(msgspec.Struct, frozen=True):
    """`content` with its `sourceType`, or `url`."""

    title: str | None = None
    content: str | None = None
    sourceType: str | None = None
    url: str | None = None
    category: str | None = None


class ChangeBody(msgspec.Struct, frozen=True):
    """What is absent stays as it is."""

    title: str | UnsetType = UNSET
    category: str | UnsetType | None = UNSET
    content: str | UnsetType = UNSET


class QuestionBody(msgspec.Struct, frozen=True):
    """`question`, or `query` as older pages call it."""

    question: str | None = None
    query: str | None = None
    limit: int = 5


class KnowledgeDocuments:
    """The handlers."""

    def __init__(self, storage: Storage, knowledge: Knowledge) -> None:
        self._storage = storage
        self._knowledge = knowledge
        self._storing = asyncio.Semaphore(_STORING_AT_ONCE)

    # ------------------------------------------------------------------------------- reading

    @operation("List documents", may=May.VIEW, query=DocumentsQuery, answer=DocumentList)
    async def index(self, request: Request) -> Response:
        """GET: latest first; `limit` and `offset`."""
        tenant, query = tenant_access(request).tenant, request.query_params
        limit = page_of(query, default=DEFAULT_LIMIT, largest=MAX_LIMIT).limit
        offset = offset_of(query)
        async with self._storage.tenant(tenant.id).read() as rows:
            found = await rows.knowledge.list(limit=limit, offset=offset)
            texts = await rows.knowledge.contents([each.id for each in found.items], LONGEST_LISTED)
        listed = [{**describe(each, tenant), "content": texts.get(each.id)} for each in found.items]
        return json_response(
            {
                "success": True,
                "documents": listed,
                "total": found.total,
                "limit": limit,
                "offset": offset,
            }
        )

    @operation("Show a document", may=May.VIEW, answer=DocumentAnswer)
    async def show(self, request: Request) -> Response:
        """GET one, with its text as it was read."""
        tenant, document_id = tenant_access(request).tenant, _id(request)
        async with self._storage.tenant(tenant.id).read() as rows:
            document = await _living(rows, document_id)
            content = await rows.knowledge.content(document_id)
        described = {**describe(document, tenant), "content": content or ""}
        return json_response({"success": True, "document": described})

    @operation("List deleted documents", may=May.VIEW, answer=DeletedDocuments)
    async def deleted(self, request: Request) -> Response:
        """GET: those that can be restored, longest deleted first."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            found = await rows.knowledge.deleted()
        listed = [describe(each, tenant) for each in found]
        return json_response({"success": True, "documents": listed, "total": len(listed)})

    # ------------------------------------------------------------------------------- writing

    @operation(
        "Add a document",
        may=May.SETTINGS,
        body=DocumentBody,
        answer=DocumentSaved,
        status=201,
        problems=(409,),
    )
    async def create(self, request: Request) -> Response:
        """POST: a text, or the address of a page."""
        tenant = tenant_access(request).tenant
        new = new_document(await read_json(request, DocumentBody))
        return await self._add(tenant, new, None)

    @operation(
        "Upload a document",
        may=May.SETTINGS,
        body=UPLOAD,
        form=True,
        answer=DocumentSaved,
        status=201,
        problems=(409,),
    )
    async def upload(self, request: Request) -> Response:
        """POST: a file (multipart/form-data: `file`, `title`, `category`)."""
        tenant = tenant_access(request).tenant
        async with received(request, self._storing, max_bytes=MAX_BYTES) as upload:
            new, file = new_file(upload)
            return await self._add(tenant, new, file)

    async def _add(self, tenant: Tenant, new: NewDocument, file: DocumentFile | None) -> Response:
        async with self._storage.tenant(tenant.id).write() as rows:
            document = await _living(rows, await add_document(rows, new, file))
        return _told(tenant, "document_added", document, status=201)

    @operation(
        "Change a document",
        may=May.SETTINGS,
        body=ChangeBody,
        answer=DocumentSaved,
        problems=(409,),
    )
    async def change(self, request: Request) -> Response:
        """PATCH: its title, its category; its text, where it came as text. 422 otherwise."""
        tenant, document_id = tenant_access(request).tenant, _id(request)
        body = await read_json(request, ChangeBody)
        title = UNSET if body.title is UNSET else _title(body.title)
        category = UNSET if body.category is UNSET else _category(body.category)
        content = None if body.content is UNSET else _content(body.content)
        async with self._storage.tenant(tenant.id).write() as rows:
            before = await _living(rows, document_id)
            if content is not None:
                if before.source_type == "url" or await rows.knowledge.file(document_id):
                    raise Invalid(
                        "The text of this document comes from a file or a page; only that of a "
                        "posted document can be changed.",
                        field="content",
                        message_key="document_not_editable",
                    )
                await refuse_beyond(rows, len(content.encode()))
            await rows.knowledge.change(
                document_id,
                title=before.title if title is UNSET else title,
                category=before.category if category is UNSET else category,
                content=content,
            )
            # Passages are found by the title too.
            if content is not None or (title is not UNSET and title != before.title):
                await reindex_document(rows, document_id)
            document = await _living(rows, document_id)
        return _told(tenant, "document_changed", document)

    @operation("Read a document again", may=May.SETTINGS, answer=DocumentSaved)
    async def reindex(self, request: Request) -> Response:
        """POST: read it again; what was read answers until then."""
        tenant, document_id = tenant_access(request).tenant, _id(request)
        async with self._storage.tenant(tenant.id).write() as rows:
            if not await reindex_document(rows, document_id):
                raise _unknown()
            document = await _living(rows, document_id)
        return _told(tenant, "document_reindexed", document)

    @operation("Delete a document", may=May.SETTINGS, answer=DocumentDeleted)
    async def delete(self, request: Request) -> Response:
        """DELETE: it answers nothing from now on; it can be restored for 30 days."""
        tenant, document_id = tenant_access(request).tenant, _id(request)
        async with self._storage.tenant(tenant.id).write() as rows:
            if not await delete_document(rows, document_id):
                raise _unknown()
        message = sentence(tenant.locale, "document_deleted")
        return json_response({"success": True, "message": message})

    @operation("Restore a document", may=May.SETTINGS, answer=DocumentSaved, problems=(409, 422))
    async def restore(self, request: Request) -> Response:
        """POST: a deleted one is read again."""
        tenant, document_id = tenant_access(request).tenant, _id(request)
        async with self._storage.tenant(tenant.id).write() as rows:
            if not await restore_document(rows, document_id):
                raise _unknown()
            document = await _living(rows, document_id)
        return _told(tenant, "document_restored", document)

    # -------------------------------------------------------------------------------- asking

    @operation(
        "Ask a question on trial",
        may=May.VIEW,
        body=QuestionBody,
        answer=KnowledgeAnswer,
        changes=False,
    )
    async def ask(self, request: Request) -> Response:
        """POST: what the agent would find. `status`: found, ambiguous (it will ask which) or
        nothing (it will say so); each passage with its source."""
        tenant = tenant_access(request).tenant
        body = await read_json(request, QuestionBody)
        question = clean_text(
            body.question or body.query,
            "question",
            longest=LONGEST_QUESTION,
            key="question_invalid",
        )
        if not 1 <= body.limit <= MAX_PASSAGES:
            raise Invalid(f"limit lies between 1 and {MAX_PASSAGES}.", field="limit")
        found = await self._knowledge.search(tenant.id, question, body.limit)
        status = status_of(found)
        return json_response(
            {
                "success": True,
                "status": status,
                "message": sentence(tenant.locale, f"question_{status}"),
                "question": question,
                "passages": [describe_passage(each) for each in found.passages],
            }
        )


def status_of(found: Found) -> str:
    """`found`, `ambiguous` or `nothing`."""
    if not found.passages:
        return "nothing"
    return "ambiguous" if found.ambiguous else "found"


def describe_passage(passage: Passage) -> dict[str, Any]:
    """A passage with its source."""
    return {
        "id": passage.chunk_id,
        "kind": passage.kind,
        "text": passage.text,
        "heading": passage.heading,
        "score": passage.score,
        "source": {
            "documentId": passage.document_id,
            "title": passage.title,
            "url": passage.url or None,
            "heading": passage.heading,
        },
    }


def describe(document: Document, tenant: Tenant) -> dict[str, Any]:
    """A document in a list. `error` is a sentence, `errorCode` its key."""
    error = document.error
    said = sentence(tenant.locale, error) if error and has_sentence(error) else None
    return {
        "id": document.id,
        "title": document.title,
        "url": document.url,
        "sourceType": document.source_type,
        "category": document.category,
        "chunkCount": document.chunk_count,
        "status": document.status,
        "error": said or (sentence(tenant.locale, "document_internal") if error else None),
        "errorCode": error,
        "errorDetail": document.error_detail,
        "created_at": document.created_at.isoformat(),
        "updated_at": document.updated_at.isoformat(),
        "indexed_at": _iso(document.indexed_at),
        "deleted_at": _iso(document.deleted_at),
    }


def _told(tenant: Tenant, key: str, document: Document, *, status: int = 200) -> Response:
    return json_response(
        {
            "success": True,
            "message": sentence(tenant.locale, key),
            "document": describe(document, tenant),
        },
        status,
    )


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant is not None else None


def _id(request: Request) -> str:
    document_id: str = request.path_params["id"]
    if not is_identifier(document_id):
        raise _unknown()
    return document_id


def _unknown() -> NotFound:
    return NotFound("There is no such document.", message_key="document_unknown")


async def _living(rows: TenantRows, document_id: str) -> Document:
    document = await rows.knowledge.get(document_id)
    if document is None:
        raise _unknown()
    return document


# ------------------------------------------------------------------------------- what was sent


def new_document(body: DocumentBody) -> NewDocument:
    """What a posted text or address becomes. Raises Invalid."""
    category = _category(body.category)
    if body.url:
        if body.content:
            raise Invalid("Give either content or url.", field="url")
        url = _url(body.url)
        # Called by its address until the page has told its own title.
        title = _title(body.title) if body.title else url
        return NewDocument(title=title, source_type="url", url=url, category=category)
    source_type = body.sourceType or "text"
    if source_type not in TEXT_TYPES:
        raise Invalid(f"sourceType is one of: {', '.join(TEXT_TYPES)}.", field="sourceType")
    return NewDocument(
        title=_title(body.title),
        source_type=source_type,
        content=_content(body.content),
        category=category,
    )


def new_file(upload: Upload) -> tuple[NewDocument, DocumentFile]:
    """What an uploaded file becomes. Raises Invalid."""
    source_type = source_type_of(upload.media_type, upload.name, upload.data[:2048])
    if source_type is None:
        raise Invalid(
            "This format can't be read; send PDF, HTML, Markdown, text or CSV.",
            field="file",
            message_key="document_unsupported",
        )
    title = _title(upload.fields.get("title") or _stem(upload.name) or "Document")
    category = _category(upload.fields.get("category"))
    media_type = upload.media_type[:100] or "application/octet-stream"
    new = NewDocument(title=title, source_type=source_type, category=category)
    return new, DocumentFile(media_type, upload.data)


def _stem(name: str) -> str:
    """`Tarifs_2026.pdf` → `Tarifs 2026`."""
    stem, dot, _ = name.rpartition(".")
    return (stem if dot else name).replace("_", " ").strip()


def _title(text: str | None) -> str:
    return clean_text(text, "title", longest=LONGEST_TITLE, key="document_title_invalid")


def _category(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    key = "document_category_invalid"
    return clean_text(text, "category", longest=LONGEST_CATEGORY, key=key)


def _content(text: str | None) -> str:
    if not text or not text.strip():
        raise Invalid(
            "Give the text in content, or an address in url.",
            field="content",
            message_key="document_content_missing",
        )
    return text


def _url(text: str) -> str:
    """What looks like the address of a page; whether it may be fetched is the door's to say."""
    url = text.strip()
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and url.isprintable()
        # A password would be kept in plain, and the door refuses it anyway.
        good = good and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good or len(url) > LONGEST_URL or " " in url:
        raise Invalid(
            "Give an absolute address: https://….", field="url", message_key="document_url_invalid"
        )
    return url
