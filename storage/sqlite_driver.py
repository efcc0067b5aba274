"""SQLite in a thread of each connection: one trip there for a statement and its rows.

aiosqlite makes four as SQLAlchemy uses it (a cursor is made, executes, its rows are fetched, it is
closed), and a trip takes more of the processor than most statements.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import aiosqlite


async def connect(
    path: str, *, pragmas: Sequence[str], busy_timeout_seconds: float
) -> aiosqlite.Connection:
    """A connection with these settings, for `create_async_engine(async_creator=…)`.

    It begins no transaction by itself. Left alone, the driver begins one at the first write, and
    updates that read first are lost (engines.md §2).
    """

    def opened() -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None, timeout=busy_timeout_seconds)
        try:
            for pragma in pragmas:
                connection.execute(f"PRAGMA {pragma}").close()
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    connection = _Connection(opened, iter_chunk_size=1)
    # As SQLAlchemy does with those that it opens itself: a forgotten one keeps no process alive.
    connection._thread.daemon = True
    return await connection


class _Connection(aiosqlite.Connection):
    """aiosqlite's, with cursors as SQLAlchemy's adapter uses them: each for one statement."""

    def cursor(self) -> "_Cursor":  # type: ignore[override]
        return _Cursor(self)


class _Cursor:
    """A statement to be, then what came of it (PEP 249). Nothing in SQLite is open in between: no
    cursor keeps a transaction alive."""

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> "_Cursor":
        return self

    async def execute(self, statement: str, parameters: Any = ()) -> None:
        await self._send(sqlite3.Cursor.execute, statement, parameters)

    async def executemany(self, statement: str, parameters: Any) -> None:
        await self._send(sqlite3.Cursor.executemany, statement, parameters)

    async def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows

    async def close(self) -> None:
        self._rows = []

    async def _send(self, how: Callable[..., object], statement: str, parameters: Any) -> None:
        await self._connection._execute(self._run, how, statement, parameters)  # type: ignore[no-untyped-call]

    def _run(self, how: Callable[..., object], statement: str, parameters: Any) -> None:
        """In the connection's thread."""
        with closing(self._connection._conn.cursor()) as cursor:
            how(cursor, statement, parameters)
            self._rows = cursor.fetchall()
            self.description = cursor.description
            self.rowcount = cursor.rowcount
            self.lastrowid = cursor.lastrowid
