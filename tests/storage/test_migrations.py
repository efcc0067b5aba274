"""One chain of migrations leads to the schema, from nothing, once, and back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from domain.errors import OperatorError
from storage import Database, migrations
from storage.schema import metadata, tenants
from tests.fakes.clock import START
from tests.forked import Forked, forked
from tests.postgres import PostgresServer
from tests.storage import opening_process

Result = TypeVar("Result")

HEAD = migrations.head()

#: Without the lock that makes one process wait, two rounds have never passed.
ROUNDS = 2

#: SQLite's full text index and its shadow tables, which SQLAlchemy knows nothing of.
FULL_TEXT = "knowledge_index"


def _engine(url: str) -> AsyncEngine:
    """Without our settings, so that what is tested is the file or the server."""
    scheme, rest = url.split("://", 1)
    driver = {"sqlite": "aiosqlite", "postgresql": "asyncpg"}[scheme]
    return create_async_engine(f"{scheme}+{driver}://{rest}")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    engine = _engine(url)
    async with engine.begin() as connection:
        yield connection
    await engine.dispose()


async def on(url: str, function: Callable[..., Result], *arguments: Any) -> Result:
    """`function(connection, *arguments)` in a transaction, with a connection as `connected` has it;
    SQLite's without the driver's thread, whose trips there cost more than what is done there."""
    if not url.startswith("sqlite"):
        async with connected(url) as connection:
            return await connection.run_sync(function, *arguments)
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            return function(connection, *arguments)
    finally:
        engine.dispose()


def columns(
    connection: sa.Connection, tables: Sequence[str] | None = None
) -> dict[str, dict[str, Any]]:
    """The columns of each table, as the database tells them."""
    found = sa.inspect(connection).get_multi_columns(filter_names=tables).items()
    return {name: {each["name"]: each for each in those} for (_, name), those in found}


def described(connection: sa.Connection, tables: Sequence[str] | None = None) -> dict[str, Any]:
    """Everything about the tables (None: all there are) that a database can tell, in comparable
    form."""
    inspector = sa.inspect(connection)
    # All tables of each aspect at once: one by one takes ten times as long.
    keys = inspector.get_multi_pk_constraint(filter_names=tables)
    foreign = inspector.get_multi_foreign_keys(filter_names=tables)
    unique = inspector.get_multi_unique_constraints(filter_names=tables)
    checks = inspector.get_multi_check_constraints(filter_names=tables)
    indexes = inspector.get_multi_indexes(filter_names=tables)
    described: dict[str, Any] = {}
    for table, its_columns in columns(connection, tables).items():
        # Procrastinate's are its own (tests/storage/test_procrastinate_schema.py).
        if table.startswith(("alembic_version", "procrastinate_", FULL_TEXT)):
            continue
        key = (None, table)
        described[table] = {
            "columns": {
                name: (
                    str(column["type"]),
                    column["nullable"],
                    column["default"],
                    column.get("identity"),
                )
                for name, column in its_columns.items()
            },
            "order": list(its_columns),
            "primary key": keys[key],
            "foreign keys": _by_name(foreign[key]),
            "unique": _by_name(unique[key]),
            "checks": _by_name(checks[key]),
            "indexes": _by_name(
                {
                    **index,
                    "dialect_options": {
                        name: str(value) for name, value in index.get("dialect_options", {}).items()
                    },
                }
                for index in indexes[key]
            ),
        }
    return described


def _ours(name: str | None, kind: str, _parents: Any) -> bool:
    # Made by statements of its own (storage/schema/knowledge.py).
    if kind == "index" and name == "ix_knowledge_chunks_terms":
        return False
    return kind != "table" or not str(name).startswith(("procrastinate_", FULL_TEXT))


def _full_text(connection: sa.Connection) -> set[str]:
    """SQLite's statements of what the metadata can't say: the virtual table and its triggers."""
    if connection.dialect.name != "sqlite":
        return set()
    statements = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE type = 'trigger' OR sql LIKE 'CREATE VIRTUAL%'"
    )
    return set(statements.scalars())


def _by_name(things: Any) -> dict[str, Any]:
    return {thing["name"]: dict(thing) for thing in things}


@contextmanager
def another_empty(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if dialect == "sqlite":
        yield f"sqlite:///{tmp_path}/another.sqlite3"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database() as name:
        yield server.url(name)


async def test_the_migrated_database_is_the_schema(
    url: str, dialect: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    def create(connection: sa.Connection) -> tuple[dict[str, Any], set[str]]:
        metadata.create_all(connection)
        return look(connection)

    def look(connection: sa.Connection) -> tuple[dict[str, Any], set[str]]:
        return described(connection), _full_text(connection)

    migrated, statements = await on(url, look)
    with another_empty(dialect, request, tmp_path) as other:
        created, wanted = await on(other, create)
    assert statements == wanted
    assert set(migrated) == set(metadata.tables)
    for table in created:
        for aspect in created[table]:
            assert migrated[table][aspect] == created[table][aspect], (table, aspect)


async def test_alembic_finds_no_difference(url: str) -> None:
    def differences(connection: sa.Connection) -> list[Any]:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": _ours}
        )
        return list(compare_metadata(context, metadata))

    assert await on(url, differences) == []


async def test_down_and_up_again(migrated_url: str) -> None:
    async with connected(migrated_url) as connection:
        await connection.run_sync(migrations.downgrade, "base")
        assert await connection.run_sync(described) == {}
    async with connected(migrated_url) as connection:
        assert await connection.run_sync(migrations.current) is None
    database = await Database.open(migrated_url)
    async with database.read() as reading:
        assert (await reading.execute(sa.select(tenants))).all() == []
        assert await reading.run_sync(migrations.current) == HEAD
    await database.close()


async def test_opening_again_keeps_what_is_there(url: str) -> None:
    first = await Database.open(url)
    async with first.write() as connection:
        await connection.execute(
            sa.insert(tenants).values(
                id="kept",
                name="Garage",
                code="0001",
                timezone="Europe/Paris",
                locale="fr-FR",
                sector="autre",
                created_at=START,
                updated_at=START,
            )
        )
    await first.close()
    second = await Database.open(url)
    async with second.read() as connection:
        assert (await connection.execute(sa.select(tenants.c.id))).scalars().all() == ["kept"]
    await second.close()


async def test_a_migration_that_fails_leaves_nothing(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = migrations.upgrade

    def broken(connection: sa.Connection) -> None:
        whole(connection)
        connection.exec_driver_sql("SELECT * FROM no_such_table")

    monkeypatch.setattr(migrations, "upgrade", broken)
    with pytest.raises((OperatorError, sa.exc.DBAPIError), match="no_such_table"):
        await Database.open(empty_url)
    async with connected(empty_url) as connection:
        assert await connection.run_sync(lambda c: sa.inspect(c).get_table_names()) == []
    monkeypatch.undo()
    await (await Database.open(empty_url)).close()


def test_processes_that_start_together_migrate_once(
    dialect: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Two real processes and several empty databases, each opened by both at once."""
    with forked(*(Forked(opening_process.main) for _ in range(2))) as processes:
        assert [process.hears() for process in processes] == ["ready"] * 2
        for number in range(ROUNDS):
            with another_empty(dialect, request, tmp_path / str(number)) as url:
                for process in processes:
                    process.tell(url)
                assert [process.hears() for process in processes] == ["done"] * 2
                assert asyncio.run(_versions(url)) == [HEAD]
        assert [process.end() for process in processes] == [0, 0]


async def _versions(url: str) -> list[str]:
    async with connected(url) as connection:
        rows = await connection.exec_driver_sql("SELECT version_num FROM alembic_version")
        return list(rows.scalars())
