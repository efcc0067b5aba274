"""How the deployment's documents are doing, all tenants' together: for its operator."""

from collections.abc import Mapping

import sqlalchemy as sa

from storage.database import Database
from storage.schema import knowledge_documents as documents


async def documents_by_status(database: Database) -> Mapping[str, int]:
    """How many documents are pending, indexing, ready, failed; deleted ones aren't counted."""
    counted = (
        sa.select(documents.c.status, sa.func.count().label("number"))
        .where(documents.c.status != "deleted")
        .group_by(documents.c.status)
    )
    async with database.read() as connection:
        return {row.status: row.number for row in await connection.execute(counted)}
