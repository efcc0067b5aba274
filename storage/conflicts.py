"""INSERT … ON CONFLICT DO NOTHING, which SQLAlchemy spells per dialect."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert


def unless_taken(
    connection: AsyncConnection, table: sa.Table, *returning: sa.ColumnElement[Any]
) -> ReturningInsert[Any]:
    """The statement that inserts the rows given with it, but for those that violate a unique
    constraint, and returns these columns of the inserted ones.

    A row that another transaction has inserted but not yet committed is waited for.
    """
    if connection.dialect.name == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing().returning(*returning)
    return sqlite.insert(table).on_conflict_do_nothing().returning(*returning)


async def insert_unless_taken(
    connection: AsyncConnection,
    table: sa.Table,
    rows: Mapping[str, Any] | Sequence[Mapping[str, Any]],
) -> int:
    """Insert those rows; how many they were."""
    statement = unless_taken(connection, table, *table.primary_key.columns)
    return len((await connection.execute(statement, rows)).all())
