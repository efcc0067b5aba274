"""A tenant's knowledge.

Frozen: types are spelled out here and not imported from the schema, which will move on.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
#: The release that brings it, and the oldest server that can run on this schema.
release = "0.2.0"
oldest_server = "0.2.0"

TEXT = sa.Text()
# SQLite: ISO 8601 in UTC, "2026-11-24T13:30:00.000000Z".
INSTANT = sa.DateTime(timezone=True).with_variant(sa.String(27), "sqlite")
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

POSTGRESQL = (
    "CREATE INDEX ix_knowledge_chunks_terms ON knowledge_chunks "
    "USING gin (array_to_tsvector(string_to_array(terms, ' '))) WITH (fastupdate = off)",
)
# A virtual table and its triggers, in the transaction of the rest like any other table.
SQLITE = (
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


def upgrade() -> None:
    _create_knowledge_documents()
    _create_knowledge_files()
    _create_knowledge_chunks()
    for statement in POSTGRESQL if op.get_bind().dialect.name == "postgresql" else SQLITE:
        op.execute(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE knowledge_index")
    for table in (
        "knowledge_chunks",
        "knowledge_files",
        "knowledge_documents",
    ):
        op.drop_table(table)


def _create_knowledge_documents() -> None:
    op.create_table(
        "knowledge_documents",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("title", TEXT, nullable=False),
        sa.Column("source_type", TEXT, nullable=False),
        sa.Column("url", TEXT, nullable=True),
        sa.Column("category", TEXT, nullable=True),
        sa.Column("content", TEXT, server_default="", nullable=False),
        sa.Column("status", TEXT, server_default="pending", nullable=False),
        sa.Column("error", TEXT, nullable=True),
        sa.Column("error_detail", TEXT, nullable=True),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.Column("chunk_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("indexed_at", INSTANT, nullable=True),
        sa.Column("deleted_at", INSTANT, nullable=True),
        sa.CheckConstraint(
            "source_type IN ('text', 'markdown', 'html', 'pdf', 'url')",
            name="ck_knowledge_documents_source_type",
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'indexing', 'ready', 'failed', 'deleted')",
            name="ck_knowledge_documents_status",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_knowledge_documents_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_knowledge_documents"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_knowledge_documents_tenant_id_id"),
    )
    op.create_index(
        "ix_knowledge_documents_tenant_id_created_at",
        "knowledge_documents",
        ["tenant_id", "created_at"],
        unique=False,
    )


def _create_knowledge_files() -> None:
    op.create_table(
        "knowledge_files",
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("document_id", TEXT, nullable=False),
        sa.Column("media_type", TEXT, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "document_id"],
            ["knowledge_documents.tenant_id", "knowledge_documents.id"],
            name="fk_knowledge_files_tenant_id_document_id_knowledge_documents",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_knowledge_files_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "document_id", name="pk_knowledge_files"),
    )


def _create_knowledge_chunks() -> None:
    op.create_table(
        "knowledge_chunks",
        sa.Column("number", SEQUENCE, sa.Identity(), nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tenant_id", TEXT, nullable=False),
        sa.Column("document_id", TEXT, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("heading", TEXT, server_default="", nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("terms", TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "document_id"],
            ["knowledge_documents.tenant_id", "knowledge_documents.id"],
            name="fk_knowledge_chunks_tenant_id_document_id_knowledge_documents",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id"],
            ["tenants.id"],
            name="fk_knowledge_chunks_tenant_id_tenants",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("number", name="pk_knowledge_chunks"),
        sa.UniqueConstraint("id", name="uq_knowledge_chunks_id"),
        sa.UniqueConstraint(
            "document_id", "position", name="uq_knowledge_chunks_document_id_position"
        ),
    )
    op.create_index(
        "ix_knowledge_chunks_tenant_id_document_id",
        "knowledge_chunks",
        ["tenant_id", "document_id"],
        unique=False,
    )
