"""Databases of today's schema without migrating each: made once in a process, then copied.

Migrating a SQLite file takes a fifth of a second of the processor, a PostgreSQL database more; a
copy takes milliseconds. What migrating itself does is looked at in tests/storage/. And statements
are compiled once in a process, not again for each of its hundreds of databases.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event

from storage import Database, migrations
from tests.postgres import PostgresServer

_TEMPLATE = "migrated"


class _Compiled(dict[tuple[Any, ...], Any]):
    """What SQLAlchemy has compiled, for all engines of the same kind. Its keys begin with the
    engine's own dialect, which is another object for each engine."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        return super().get(_of_any_engine(key), default)

    def __setitem__(self, key: tuple[Any, ...], value: Any) -> None:
        super().__setitem__(_of_any_engine(key), value)


def _of_any_engine(key: tuple[Any, ...]) -> tuple[Any, ...]:
    dialect, *statement = key
    return (type(dialect), dialect.server_version_info, *statement)


_compiled = _Compiled()


@event.listens_for(Engine, "engine_connect")
def _compile_once(connection: Connection) -> None:
    connection.execution_options(compiled_cache=_compiled)


def migrated_file(path: Path) -> str:
    """Put a SQLite database of today's schema there, unless there is one; its DATABASE_URL."""
    if not path.exists():
        shutil.copy(_file(), path)
    return f"sqlite:///{path}"


@cache
def _file() -> Path:
    directory = tempfile.TemporaryDirectory(prefix="coccinelle-migrated-")
    _directories.append(directory)
    path = Path(directory.name) / "migrated.sqlite3"
    _migrate(f"sqlite:///{path}")
    return path


#: Removed when the process ends.
_directories: list[tempfile.TemporaryDirectory[str]] = []


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    """The name of a PostgreSQL database of today's schema, to be copied."""
    postgres_server.run(f"CREATE DATABASE {_TEMPLATE}")
    _migrate(postgres_server.url(_TEMPLATE))
    return _TEMPLATE


@pytest.fixture(scope="session")
def _reused(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    with postgres_server.database(migrated_template) as name:
        yield name


@pytest.fixture
def migrated_postgres_url(postgres_server: PostgresServer, _reused: str) -> Iterator[str]:
    """A PostgreSQL database of today's schema, without a row. Only its rows may be changed: the
    next test gets it as well, emptied, for making one takes a fifth of a second. Who changes what
    migrations wrote fails here, and not the tests after it."""
    yield postgres_server.url(_reused)
    postgres_server.run(_EMPTY.replace("HEAD", migrations.head()), on=_reused)


@pytest.fixture
def copied_postgres_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """A PostgreSQL database of today's schema, of this test alone: even that may be changed."""
    with postgres_server.database(migrated_template) as name:
        yield postgres_server.url(name)


#: Ends who is connected still, deletes all that migrations didn't write, and lets numbers begin
#: anew. Without triggers: nobody hears of it, and no order is needed.
_EMPTY = """
DO $$
DECLARE each text;
BEGIN
    PERFORM pg_terminate_backend(pid, 5000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    IF (SELECT version_num FROM alembic_version) <> 'HEAD' THEN
        RAISE 'This test left another revision behind. copied_postgres_url is for such tests.';
    END IF;
    SET LOCAL session_replication_role = replica;
    FOR each IN SELECT oid::regclass FROM pg_class
        WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
            AND relname NOT IN ('alembic_version', 'schema_revisions')
    LOOP EXECUTE 'DELETE FROM ' || each;
    END LOOP;
    PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
        FROM pg_sequences WHERE last_value IS NOT NULL;
END $$
"""


def _migrate(url: str) -> None:
    async def open_and_close() -> None:
        await (await Database.open(url)).close()

    # In a thread of its own: this one's event loop belongs to pytest.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, open_and_close()).result()
