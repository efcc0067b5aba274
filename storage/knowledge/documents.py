"""A tenant's documents and their passages, in one transaction."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from domain.errors import Conflict, Invalid
from domain.knowledge import IndexEntry, Passage
from storage.knowledge.split import MAX_TENANT_CHUNKS, Chunk
from storage.schema import DOCUMENT_TYPES
from storage.schema import knowledge_chunks as chunks
from storage.schema import knowledge_documents as table
from storage.schema import knowledge_files as files
from storage.scope import Page, Scope, new_id

#: Documents of one tenant; a small business has ten.
MAX_DOCUMENTS: Final = 500

_NO_ERROR: Final[Mapping[str, Any]] = {"error": None, "error_detail": None}

_COLUMNS = (
    table.c.id,
    table.c.title,
    table.c.source_type,
    table.c.url,
    table.c.category,
    table.c.status,
    table.c.error,
    table.c.error_detail,
    table.c.revision,
    table.c.chunk_count,
    table.c.created_at,
    table.c.updated_at,
    table.c.indexed_at,
    table.c.deleted_at,
)

_PASSAGE = (
    chunks.c.number,
    chunks.c.id,
    chunks.c.document_id,
    chunks.c.kind,
    chunks.c.heading,
    chunks.c.content,
    chunks.c.terms,
    table.c.title,
    table.c.url,
)


@dataclass(frozen=True, slots=True)
class NewDocument:
    """`source_type` is one of DOCUMENT_TYPES; `content` its text, where it came as text; `url`
    where it is fetched from, or "" ."""

    title: str
    source_type: str
    content: str = ""
    url: str = ""
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """As stored, without its content. `revision` counts what was asked to be indexed; `error` is
    a key of the catalogue. Its passages answer from the first successful indexing until it is
    deleted: an address that can't be fetched again doesn't silence what was read there."""

    id: str
    title: str
    source_type: str
    url: str | None
    category: str | None
    status: str  # pending | indexing | ready | failed | deleted
    error: str | None
    error_detail: str | None
    revision: int
    chunk_count: int
    created_at: datetime
    updated_at: datetime
    indexed_at: datetime | None
    deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class DocumentFile:
    """What was uploaded, byte by byte."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage with the words it is found by: of its content, and of its place."""

    number: int
    passage: Passage
    terms: tuple[str, ...]
    heading_terms: tuple[str, ...]


def mark(tenant_id: str) -> str:
    """What a tenant's words begin with in the index: eight letters. Every word has its own list
    per tenant, so that others' passages neither cost a search time nor make a word common."""
    digest = hashlib.sha256(tenant_id.encode()).hexdigest()[:8]
    return "".join(chr(ord("a") + int(digit, 16)) for digit in digest)


def chunk_id(document_id: str, revision: int, position: int) -> str:
    """The id of a passage: known from its document alone, so that an index elsewhere can be
    cleared of what our rows no longer hold."""
    return f"{document_id}-{revision}-{position}"


class Documents:
    """A tenant's knowledge."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    # -------------------------------------------------------------------------- documents

    async def add(self, new: NewDocument, file: DocumentFile | None = None) -> str:
        """Store one as `pending`; its id. Invalid for an unknown type, Conflict when there are
        MAX_DOCUMENTS."""
        if new.source_type not in DOCUMENT_TYPES:
            raise Invalid(f"must be one of {', '.join(DOCUMENT_TYPES)}", field="sourceType")
        await self._refuse_more()
        document_id, now = new_id(), self._scope.now()
        await self._scope.insert(
            table,
            id=document_id,
            title=new.title,
            source_type=new.source_type,
            url=new.url or None,
            category=new.category,
            content=new.content,
            created_at=now,
            updated_at=now,
        )
        if file is not None:
            await self._scope.insert(
                files, document_id=document_id, media_type=file.media_type, content=file.content
            )
        return document_id

    async def get(self, document_id: str) -> Document | None:
        """One of the tenant's that isn't deleted, or None."""
        row = await self._scope.first(self._living(*_COLUMNS).where(table.c.id == document_id))
        return None if row is None else Document(**row)

    async def content(self, document_id: str) -> str | None:
        """Its text as a person reads it; None when there is no such document."""
        statement = self._living(table.c.content).where(table.c.id == document_id)
        row = await self._scope.first(statement)
        return None if row is None else str(row["content"])

    async def contents(self, document_ids: Sequence[str], longest: int) -> dict[str, str]:
        """The texts of these, without those of more than `longest` characters."""
        statement = self._living(table.c.id, table.c.content).where(
            table.c.id.in_(document_ids), sa.func.length(table.c.content) <= longest
        )
        return {row["id"]: str(row["content"]) for row in await self._scope.all(statement)}

    async def file(self, document_id: str) -> DocumentFile | None:
        """What was uploaded, or None."""
        statement = self._scope.select(files, files.c.media_type, files.c.content)
        row = await self._scope.first(statement.where(files.c.document_id == document_id))
        return None if row is None else DocumentFile(row["media_type"], bytes(row["content"]))

    async def list(self, *, limit: int = 50, offset: int = 0) -> Page[Document]:
        """Latest first, without the deleted."""
        order = (table.c.created_at.desc(), table.c.id)
        rows, total = await self._scope.page(self._living(*_COLUMNS), order, limit, offset)
        return Page([Document(**row) for row in rows], total)

    async def has_any(self) -> bool:
        """Whether there is anything to be found."""
        statement = self._living(table.c.id).where(table.c.chunk_count > 0).limit(1)
        return await self._scope.first(statement) is not None

    async def delete(self, document_id: str) -> bool:
        """From this commit on it answers nothing. What it was made of is kept for `restore`, until
        `purge`. False when there is none."""
        changed = await self._change(
            document_id,
            {
                "status": "deleted",
                "deleted_at": self._scope.now(),
                "chunk_count": 0,
                "revision": table.c.revision + 1,  # whoever indexes it now comes too late
            },
        )
        if changed:
            await self._scope.connection.execute(
                self._scope.delete(chunks).where(chunks.c.document_id == document_id)
            )
        return changed

    async def deleted(self) -> Sequence[Document]:
        """Those that can be restored, or purged; longest deleted first."""
        statement = self._scope.select(table, *_COLUMNS).where(table.c.status == "deleted")
        rows = await self._scope.all(statement.order_by(table.c.deleted_at, table.c.id).limit(100))
        return [Document(**row) for row in rows]

    async def restore(self, document_id: str) -> bool:
        """A deleted one is `pending` again; False when it isn't deleted, or gone. Conflict when
        there are MAX_DOCUMENTS."""
        await self._refuse_more()
        changed = await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == document_id, table.c.status == "deleted")
            .values(
                status="pending",
                deleted_at=None,
                error=None,
                error_detail=None,
                updated_at=self._scope.now(),
            )
        )
        return bool(changed.rowcount)

    async def purge(self, document_id: str) -> bool:
        """Forget a deleted one altogether; False when it isn't deleted, or gone."""
        statement = self._scope.delete(table)
        changed = await self._scope.connection.execute(
            statement.where(table.c.id == document_id, table.c.status == "deleted")
        )
        return bool(changed.rowcount)

    async def change(
        self, document_id: str, *, title: str, category: str | None, content: str | None = None
    ) -> bool:
        """Its names, and its text where it came as text (None: stays). What was indexed stays as
        it is until `reindex`. False when there is none."""
        values: dict[str, Any] = {"title": title, "category": category}
        if content is not None:
            values["content"] = content
        return await self._change(document_id, values)

    async def stored_bytes(self) -> int:
        """What all of the tenant's documents take, the deleted ones too. Whoever else asks waits
        until this transaction ends, and sees what it has added."""
        await self._count_alone()
        sqlite = self._scope.connection.dialect.name == "sqlite"
        total = 0
        for owned in (table, files):
            # SQLite counts a text's characters, and those before a NUL only.
            length = (
                sa.func.length(sa.cast(owned.c.content, sa.BLOB))
                if sqlite
                else sa.func.octet_length(owned.c.content)
            )
            size = sa.func.coalesce(sa.func.sum(length), 0).label("size")
            row = await self._scope.first(self._scope.select(owned, size))
            total += int(row["size"]) if row is not None else 0
        return total

    async def chunk_ids(self, document_id: str) -> Sequence[str]:
        """The ids of its passages."""
        rows = await self._scope.all(
            self._scope.select(chunks, chunks.c.id).where(chunks.c.document_id == document_id)
        )
        return [row["id"] for row in rows]

    # --------------------------------------------------------------------------- indexing

    async def reindex(self, document_id: str) -> int | None:
        """Make it `pending` again; the revision that must be indexed now, or None. Its present
        passages answer until then."""
        values = {"status": "pending", "revision": table.c.revision + 1, **_NO_ERROR}
        if not await self._change(document_id, values):
            return None
        document = await self.get(document_id)
        return None if document is None else document.revision

    async def begin(self, document_id: str, revision: int) -> bool:
        """`indexing`, if that is still the revision and not done."""
        return await self._change(document_id, {"status": "indexing", **_NO_ERROR}, revision)

    async def fail(
        self, document_id: str, revision: int, error: str, detail: str | None = None
    ) -> bool:
        """`failed`, if that is still the revision. `error` is a key of the catalogue."""
        values = {"status": "failed", "error": error, "error_detail": detail}
        return await self._change(document_id, values, revision)

    async def silence(self, document_id: str) -> Sequence[str]:
        """It answers nothing until it is indexed again; the ids of the passages that are gone."""
        gone = await self.chunk_ids(document_id)
        if gone and await self._change(document_id, {"chunk_count": 0}):
            mine = chunks.c.document_id == document_id
            await self._scope.connection.execute(self._scope.delete(chunks).where(mine))
        return gone

    async def replace_chunks(
        self,
        document_id: str,
        revision: int,
        passages: Sequence[Chunk],
        *,
        content: str | None = None,
    ) -> Sequence[str] | None:
        """Put these passages in the place of all that the document had, and make it `ready`; the
        ids of those that are gone. None, and nothing changed, when the document is deleted or
        asked to be indexed anew since: compare-and-set by `revision`. Invalid beyond
        MAX_TENANT_CHUNKS."""
        await self._count_alone()
        values = {
            "status": "ready",
            "chunk_count": len(passages),
            "indexed_at": self._scope.now(),
            **_NO_ERROR,
            **({} if content is None else {"content": content}),
        }
        if not await self._change(document_id, values, revision):
            return None
        if await self.count_chunks() > MAX_TENANT_CHUNKS:
            raise Invalid(
                f"all documents together have more than {MAX_TENANT_CHUNKS} passages; delete some",
                message_key="knowledge_full",
            )
        mine = chunks.c.document_id == document_id
        gone = await self._scope.all(self._scope.select(chunks, chunks.c.id).where(mine))
        await self._scope.connection.execute(self._scope.delete(chunks).where(mine))
        prefix = mark(self._scope.tenant_id)
        await self._scope.insert_all(
            chunks,
            [
                {
                    "id": chunk_id(document_id, revision, at),
                    "document_id": document_id,
                    "position": at,
                    "kind": passage.kind,
                    "heading": passage.heading,
                    "content": passage.content,
                    "terms": _marked(passage.terms, prefix),
                }
                for at, passage in enumerate(passages)
            ],
        )
        return [row["id"] for row in gone]

    async def count_chunks(self) -> int:
        """How many passages can be found."""
        statement = self._living(sa.func.coalesce(sa.func.sum(table.c.chunk_count), 0).label("n"))
        row = await self._scope.first(statement)
        return 0 if row is None else int(row["n"])

    async def latest_indexing(self) -> datetime | None:
        """When a document was last indexed; None: never."""
        row = await self._scope.first(self._living(sa.func.max(table.c.indexed_at).label("at")))
        return None if row is None else row["at"]

    # --------------------------------------------------------------------------- passages

    async def entries(self, document_id: str) -> Sequence[IndexEntry]:
        """A document's passages as an index elsewhere is given them."""
        rows = await self._scope.all(
            self._passages().where(chunks.c.document_id == document_id).order_by(chunks.c.position)
        )
        return [
            IndexEntry(row["id"], row["document_id"], f"{row['heading']}\n{row['content']}".strip())
            for row in rows
        ]

    async def passages(self, chunk_ids: Collection[str]) -> dict[str, Passage]:
        """Those of these passages that are the tenant's and can be found, by id; score 0."""
        rows = await self._scope.all(self._passages().where(chunks.c.id.in_(list(chunk_ids))))
        return {row["id"]: _passage(row) for row in rows}

    async def postings(
        self, terms: Sequence[str], *, beginnings: bool = False
    ) -> Sequence[set[int]]:
        """For each of these terms, the numbers of the passages that have it, or with `beginnings`
        one that begins so. A term is letters and digits only; ValueError otherwise: it goes into
        the databases' query languages."""
        if not terms:
            return []
        if not all(term.isalnum() for term in terms):
            raise ValueError("a term is letters and digits")
        connection = self._scope.connection
        sqlite = connection.dialect.name == "sqlite"
        prefix = mark(self._scope.tenant_id)
        one = _SQLITE_POSTING if sqlite else _POSTGRESQL_POSTING
        statement = "SELECT " + ", ".join(one.format(at=at) for at in range(len(terms)))
        quote = '"' if sqlite else "'"
        end = (f"{quote}*" if sqlite else f"{quote}:*") if beginnings else quote
        row = (
            await connection.execute(
                sa.text(statement),
                {f"t{at}": f"{quote}{prefix}{term}{end}" for at, term in enumerate(terms)},
            )
        ).one()
        if sqlite:
            return [set(map(int, found.split(","))) if found else set() for found in row]
        return [set(found) for found in row]

    async def candidates(self, numbers: Collection[int]) -> Sequence[Candidate]:
        """These passages, as far as they are the tenant's."""
        if not numbers:
            return []
        # As many parameters each time, or nearly: every other number is another statement, which
        # the database would plan anew.
        wanted = list(numbers)
        wanted += wanted[-1:] * (-len(wanted) % _PARAMETERS)
        statement = self._passages().where(chunks.c.number.in_(wanted))
        return [_candidate(row) for row in await self._scope.all(statement)]

    # ---------------------------------------------------------------------------- private

    async def _count_alone(self) -> None:
        """Before anything is counted against a limit: two nodes would both find room for the last
        one. A lock, and the first of the transaction: of the rows, none exists yet."""
        if self._scope.connection.dialect.name == "postgresql":
            digest = hashlib.sha256(
                f"coccinelle.knowledge:{self._scope.tenant_id}".encode()
            ).digest()
            number = int.from_bytes(digest[:8], signed=True)
            await self._scope.connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))

    async def _refuse_more(self) -> None:
        await self._count_alone()
        if (await self.list(limit=1)).total >= MAX_DOCUMENTS:
            raise Conflict(
                f"there are {MAX_DOCUMENTS} documents already; delete one first",
                message_key="knowledge_full",
            )

    def _living(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        return self._scope.select(table, *columns).where(table.c.status != "deleted")

    def _passages(self) -> sa.Select[Any]:
        same = (table.c.tenant_id == chunks.c.tenant_id) & (table.c.id == chunks.c.document_id)
        return (
            self._scope.select(chunks, *_PASSAGE)
            .join(table, same)
            .where(table.c.status != "deleted")
        )

    async def _change(
        self, document_id: str, values: Mapping[str, Any], revision: int | None = None
    ) -> bool:
        """Change a document that isn't deleted; with a revision: if it is still that one, and
        not indexed yet."""
        statement = self._scope.update(table).where(
            table.c.id == document_id, table.c.status != "deleted"
        )
        if revision is not None:
            statement = statement.where(
                table.c.revision == revision, table.c.status.in_(("pending", "indexing"))
            )
        changed = await self._scope.connection.execute(
            statement.values(updated_at=self._scope.now(), **values)
        )
        return bool(changed.rowcount)


#: The parameters of `candidates` are a multiple of this.
_PARAMETERS: Final = 20

# One list per term and one row in all: a round trip, and no row objects to make.
_SQLITE_POSTING: Final = (
    "(SELECT group_concat(rowid) FROM knowledge_index WHERE knowledge_index MATCH :t{at})"
)
_POSTGRESQL_POSTING: Final = (
    "ARRAY(SELECT number FROM knowledge_chunks WHERE "
    "array_to_tsvector(string_to_array(terms, ' ')) @@ CAST(CAST(:t{at} AS text) AS tsquery))"
)


def _marked(terms: str, prefix: str) -> str:
    return " ".join(term if term == "|" else prefix + term for term in terms.split())


def _passage(row: sa.RowMapping) -> Passage:
    return Passage(
        chunk_id=row["id"],
        document_id=row["document_id"],
        title=row["title"],
        url=row["url"] or "",
        kind=row["kind"],
        heading=row["heading"],
        text=row["content"],
        score=0.0,
    )


def _candidate(row: sa.RowMapping) -> Candidate:
    own, _, place = row["terms"].partition("|")
    width = 8  # of the mark
    return Candidate(
        number=row["number"],
        passage=_passage(row),
        terms=tuple(term[width:] for term in own.split()),
        heading_terms=tuple(term[width:] for term in place.split()),
    )
