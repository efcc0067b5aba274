"""The tables of a tenant's knowledge: documents, and the passages that they are split into."""

import sqlalchemy as sa

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
    identifier(),
    tenant(),
    words("document_id"),
    sa.Column("position", sa.Integer, nullable=False),
    words("kind"),  # row | prose
    text("heading", ""),
    words("content"),
    words("terms"),  # what it is found by: folded, French-aware, separated by spaces
    sa.ForeignKeyConstraint(
        ["tenant_id", "document_id"],
        ["knowledge_documents.tenant_id", "knowledge_documents.id"],
        ondelete="CASCADE",
    ),
    sa.UniqueConstraint("document_id", "position"),
    sa.Index(None, "tenant_id", "document_id"),
)
