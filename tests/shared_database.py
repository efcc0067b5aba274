"""A database that is opened once for all tests of a folder, with their event loop, and emptied
after each: opening takes longer than most of the tests. For conftest.py to import from.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from storage import Database
from tests.databases import migrated_file

#: For tests that look into the database's files.
OWN_FILE = pytest.mark.parametrize("own_file", [True])

#: All but what migrations wrote, and the full-text index, which follows by triggers.
_TABLES = """
SELECT name FROM sqlite_master
WHERE type = 'table' AND name NOT IN ('alembic_version', 'schema_revisions')
    AND name NOT LIKE 'knowledge#_index%' ESCAPE '#'
"""
#: A test that left a transaction open fails after so long, s.
_EMPTYING_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Shared:
    """The database that all use, and the connection that empties it."""

    url: str
    database: Database
    emptying: sqlite3.Connection
    tables: tuple[str, ...]

    def empty(self) -> None:
        """Delete all that migrations didn't write, and let numbers begin anew."""
        self.emptying.execute("BEGIN IMMEDIATE")
        for table in self.tables:
            self.emptying.execute(f'DELETE FROM "{table}"')  # noqa: S608 - a name from the schema
        self.emptying.execute("COMMIT")


def share_loop(items: list[pytest.Item], folder: Path) -> None:
    """The tests of a folder share one event loop."""
    for item in items:
        if item.path.is_relative_to(folder) and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def opened_file(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    path = tmp_path_factory.mktemp("shared") / "database.sqlite3"
    url = migrated_file(path)
    database = await Database.open(url)
    with closing(
        sqlite3.connect(path, isolation_level=None, timeout=_EMPTYING_SECONDS)
    ) as emptying:
        emptying.execute("PRAGMA synchronous=OFF")
        tables = tuple(name for (name,) in emptying.execute(_TABLES))
        yield Shared(url, database, emptying, tables)
        await database.close()


@pytest.fixture
def dialect() -> str:
    """SQLite, unless a test asks for both (`parametrize("dialect", …)`)."""
    return "sqlite"


@pytest.fixture
def own_file() -> bool:
    """Whether the SQLite file is of this test alone (`OWN_FILE`)."""
    return False


@pytest.fixture
def shared(dialect: str, own_file: bool, request: pytest.FixtureRequest) -> Iterator[Shared | None]:
    if dialect != "sqlite" or own_file:
        yield None
        return
    opened: Shared = request.getfixturevalue("opened_file")
    yield opened
    opened.empty()


@pytest.fixture
def url(shared: Shared | None, dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A migrated database without a row. Only its rows may be changed."""
    if shared is not None:
        return shared.url
    if dialect == "sqlite":
        return migrated_file(tmp_path / "database.sqlite3")
    migrated: str = request.getfixturevalue("migrated_postgres_url")
    return migrated


@pytest_asyncio.fixture(loop_scope="session")
async def database(url: str, shared: Shared | None) -> AsyncIterator[Database]:
    """The same, opened. Leave it open."""
    if shared is not None:
        yield shared.database
        return
    database = await Database.open(url)
    yield database
    await database.close()
