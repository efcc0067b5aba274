"""The tables of a tenant's knowledge: documents, and the passages that they are split into.

Passages are found by `knowledge_chunks.terms`, which we write (`storage.knowledge.analysis`): the
databases index words, they don't analyse them. PostgreSQL: a GIN index over a tsvector of exactly
these words. SQLite: the FTS5 table `knowledge_index`, kept by triggers, which cascades fire too.
"""

import sqlalchemy as sa

from storage.columns import CleanText
from storage.schema.base import (
    created,
    identifier,
    instant,
    metadata,
    one_of,
    tenant,
    text,
    updated,
    words,
)

DOCUMENT_TYPES = ("text", "markdown", "html", "pdf", "url")
#: pending → indexing → ready | failed; deleted ones answer nothing, and are purged later.
DOCUMENT_STATUSES = ("pending", "indexing", "ready", "failed", "deleted")

knowledge_documents = sa.Table(
    "knowledge_documents",
    metadata,
    identifier(),
    tenant(),
    words("title"),
    words("source_type"),
    text("url"),
    text("category"),
    text("content", ""),  # the extracted text, as a person reads it
    text("status", "pending"),
    text("error"),  # a key of the catalogue: why it failed
    text("error_detail"),
    sa.Column("revision", sa.Integer, nullable=False, server_default="1"),
    sa.Column("chunk_count", sa.Integer, nullable=False, server_default="0"),
    created(),
    updated(),
    instant("indexed_at"),
    instant("deleted_at"),
    sa.UniqueConstraint("tenant_id", "id"),
    sa.Index(None, "tenant_id", "created_at"),
    one_of("source_type", DOCUMENT_TYPES),
    one_of("status", DOCUMENT_STATUSES),
)

#: What was uploaded, byte by byte, so that it can be indexed anew.
knowledge_files = sa.Table(
    "knowledge_files",
    metadata,
    tenant(primary_key=True),
    sa.Column("document_id", sa.Text, primary_key=True),
    words("media_type"),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.ForeignKeyConstraint(
        ["tenant_id", "document_id"],
        ["knowledge_documents.tenant_id", "knowledge_documents.id"],
        ondelete="CASCADE",
    ),
)

#: One passage: a price list's row, a question with its answer, a paragraph.
knowledge_chunks = sa.Table(
    "knowledge_chunks",
    metadata,
    # Numbers are what FTS5 knows rows by. Without this column they would be SQLite's own, which
    # VACUUM deals out anew.
    sa.Column(
        "number",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        sa.Identity(),
        primary_key=True,
    ),
    sa.Column("id", CleanText, nullable=False),
    tenant(),
    words("document_id"),
    sa.Column("position", sa.Integer, nullable=False),
    words("kind"),  # row | prose
    text("heading", ""),
    words("content"),
    # What it is found by, separated by spaces; each word begins with its tenant's mark.
    words("terms"),
    sa.ForeignKeyConstraint(
        ["tenant_id", "document_id"],
        ["knowledge_documents.tenant_id", "knowledge_documents.id"],
        ondelete="CASCADE",
    ),
    sa.UniqueConstraint("id"),
    sa.UniqueConstraint("document_id", "position"),
    sa.Index(None, "tenant_id", "document_id"),
)

#: `array_to_tsvector` takes the words as they are; PostgreSQL's parser would read "205x" its way.
TERMS_VECTOR = "array_to_tsvector(string_to_array(terms, ' '))"

# Read on every call, written when an owner changes something: no list of pending entries to be
# scanned with each search (https://www.postgresql.org/docs/18/gin.html#GIN-FAST-UPDATE).
_POSTGRESQL = (
    f"CREATE INDEX ix_knowledge_chunks_terms ON knowledge_chunks USING gin ({TERMS_VECTOR}) "
    "WITH (fastupdate = off)",
)

#: `detail=none`: which passages have a word is all that is asked; ranking is ours.
_SQLITE = (
    """CREATE VIRTUAL TABLE knowledge_index USING fts5(
        terms, content='knowledge_chunks', content_rowid='number',
        tokenize='unicode61 remove_diacritics 0', detail='none', columnsize=0)""",
    """CREATE TRIGGER knowledge_chunks_added AFTER INSERT ON knowledge_chunks BEGIN
        INSERT INTO knowledge_index (rowid, terms) VALUES (new.number, new.terms); END""",
    """CREATE TRIGGER knowledge_chunks_removed AFTER DELETE ON knowledge_chunks BEGIN
        INSERT INTO knowledge_index (knowledge_index, rowid, terms)
        VALUES ('delete', old.number, old.terms); END""",
    """CREATE TRIGGER knowledge_chunks_changed AFTER UPDATE OF number, terms ON knowledge_chunks
        BEGIN
        INSERT INTO knowledge_index (knowledge_index, rowid, terms)
        VALUES ('delete', old.number, old.terms);
        INSERT INTO knowledge_index (rowid, terms) VALUES (new.number, new.terms); END""",
)

for _dialect, _statements in (("postgresql", _POSTGRESQL), ("sqlite", _SQLITE)):
    for _statement in _statements:
        _ddl: sa.DDL = sa.DDL(_statement)  # type: ignore[no-untyped-call]
        sa.event.listen(knowledge_chunks, "after_create", _ddl.execute_if(dialect=_dialect))
