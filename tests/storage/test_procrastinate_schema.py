"""Our migrations bring exactly the tables that the installed Procrastinate expects."""

import importlib
from collections.abc import Iterator
from importlib import resources
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
import sqlalchemy as sa
from procrastinate import sql

from storage import Database, migrations
from tests.postgres import PostgresServer, started
from tests.storage.test_migrations import connected

_SCRIPTS = resources.files(sql) / "migrations"

#: Everything that the library makes, in comparable form.
_MADE = {
    "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default "
    "FROM information_schema.columns WHERE table_name LIKE 'procrastinate%' ORDER BY 1, 2",
    "functions": "SELECT oid::regprocedure::text, prosrc FROM pg_proc "
    "WHERE proname LIKE 'procrastinate%' ORDER BY 1",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes "
    "WHERE tablename LIKE 'procrastinate%' AND indexname NOT LIKE 'ix_%' ORDER BY 1",
    "triggers": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger "
    "WHERE tgname LIKE 'procrastinate%' ORDER BY 1",
    "types": "SELECT typname, enumlabel FROM pg_type JOIN pg_enum ON enumtypid = pg_type.oid "
    "WHERE typname LIKE 'procrastinate%' ORDER BY 1, 2",
}


@pytest.fixture
def other_url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as name:
        yield postgres_server.url(name)


def _named() -> tuple[str, ...]:
    names: tuple[str, ...] = importlib.import_module(
        "storage.migrations.versions.0002_jobs"
    ).PROCRASTINATE
    return names


def test_the_installed_library_has_no_other_migrations() -> None:
    shipped = sorted(each.name.removesuffix(".sql") for each in _SCRIPTS.iterdir())
    assert [name for name in shipped if name[0].isdigit()] == list(_named())


async def test_it_is_the_library_s_own_schema(migrated_postgres_url: str, other_url: str) -> None:
    other = await asyncpg.connect(other_url)
    await other.execute((resources.files(sql) / "schema.sql").read_text())
    await other.close()
    assert await _made(migrated_postgres_url) == await _made(other_url)


@pytest.mark.long
async def test_a_postgresql_16_takes_them_in_one_transaction() -> None:
    # Before 17, a value that was added to a type can't be used in the same transaction.
    with started(oldest=True) as server, server.database() as name:
        await (await Database.open(server.url(name))).close()


async def test_nothing_of_it_is_left_after_a_downgrade(copied_postgres_url: str) -> None:
    async with connected(copied_postgres_url) as connection:
        await connection.run_sync(migrations.downgrade, "0001")
    assert not any((await _made(copied_postgres_url)).values())
    await (await Database.open(copied_postgres_url)).close()
    assert all((await _made(copied_postgres_url)).values())


async def test_a_plain_user_of_the_database_may_migrate_it(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    postgres_server.run("DROP ROLE IF EXISTS plain", "CREATE ROLE plain LOGIN")
    name = postgres_url.rpartition("/@")[2] or postgres_url
    database = name.split("/")[3].split("?")[0]
    postgres_server.run(f"ALTER DATABASE {database} OWNER TO plain")
    plain = postgres_url.replace("postgres@", "plain@")
    await (await Database.open(plain)).close()
    assert all((await _made(plain)).values())


async def _made(url: str) -> dict[str, Any]:
    async with connected(url) as connection:
        return {
            what: [tuple(row) for row in await connection.execute(sa.text(query))]
            for what, query in _MADE.items()
        }
