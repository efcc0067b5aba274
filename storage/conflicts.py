"""INSERT … ON CONFLICT DO NOTHING, which SQLAlchemy spells per dialect."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

Rows = Mapping[str, Any] | Sequence[Mapping[str, Any]]


def unless_taken(connection: AsyncConnection, table: sa.Table, rows: Rows) -> sa.Insert:
    """The statement that inserts those rows that violate no unique constraint.

    A row that another transaction has inserted but not yet committed is waited for.
    """
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).values(rows).on_conflict_do_nothing()
    return sqlite.insert(table).values(rows).on_conflict_do_nothing()


async def insert_unless_taken(connection: AsyncConnection, table: sa.Table, rows: Rows) -> int:
    """Insert those rows; how many they were."""
    return (await connection.execute(unless_taken(connection, table, rows))).rowcount
