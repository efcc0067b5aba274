"""INSERT … ON CONFLICT DO NOTHING, which SQLAlchemy spells per dialect."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


async def insert_unless_taken(
    connection: AsyncConnection,
    table: sa.Table,
    rows: Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> int:
    """Insert those rows that violate no unique constraint; how many that were.

    A row that another transaction has inserted but not yet committed is waited for.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(rows).on_conflict_do_nothing()
    return (await connection.execute(statement)).rowcount
