"""Migrations as releases see them: they expand first, say which server they need, and lose no row
on the way up or down."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa
import structlog
from alembic.script import Script

from domain.errors import OperatorError
from storage import Database, migrations
from storage.database import move_schema, schema_state
from storage.migrations import release_of, scripts
from storage.schema import metadata, schema_revisions
from tests.furniture import furnish
from tests.storage.test_migrations import another_empty, columns, connected, described, on

SCRIPTS = scripts.applied()
BY_REVISION = {script.revision: script for script in SCRIPTS}
EACH = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.revision)


# ------------------------------------------------------------------- what each script says


def test_files_are_called_by_their_revisions_in_order() -> None:
    """A server knows them by their files alone, without loading one."""
    assert list(migrations.revisions()) == [script.revision for script in SCRIPTS]


@EACH
def test_names_its_release_and_the_oldest_server(script: Script) -> None:
    release, oldest = release_of(script.module.release), release_of(script.module.oldest_server)
    assert oldest <= release <= release_of(migrations.SERVER_VERSION)
    if script.down_revision is not None:
        before = BY_REVISION[str(script.down_revision)].module
        assert release_of(before.release) <= release
        assert release_of(before.oldest_server) <= oldest


@EACH
def test_what_contracts_completes_an_older_release(script: Script) -> None:
    completes = getattr(script.module, "contracts", None)
    if completes is None:
        return
    expanded = release_of(BY_REVISION[completes].module.release)
    assert expanded < release_of(script.module.release), "contract a release later"
    assert expanded <= release_of(script.module.oldest_server), "older ones still use it"


def contractions(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What a server that was made for `before` can't do any more in `after`."""
    found = [f"{table} is gone" for table in before.keys() - after.keys()]
    for table in before.keys() & after.keys():
        old, new = before[table], after[table]
        for name, column in new["columns"].items():
            _type, nullable, default, identity = column
            if name not in old["columns"]:
                if not nullable and default is None and identity is None:
                    found.append(f"{table}.{name} must be given")
            elif column != old["columns"][name] and column != _relaxed(old["columns"][name]):
                found.append(f"{table}.{name} is another")
        found += [f"{table}.{name} is gone" for name in old["columns"].keys() - new["columns"]]
        for aspect in ("unique", "checks", "foreign keys"):
            for name, constraint in new[aspect].items():
                before_it = old[aspect].get(name)
                if (
                    constraint != before_it
                    and _concerns(constraint, old["columns"], new["columns"])
                    and not _widened(before_it, constraint)
                ):
                    found.append(f"{table} has the new or other constraint {name}")
        found += [
            f"{table} has the new unique index {name}"
            for name, index in new["indexes"].items()
            if index["unique"]
            and name not in old["indexes"]
            and _concerns(index, old["columns"], new["columns"])
        ]
    return found


def _relaxed(column: tuple[Any, ...]) -> tuple[Any, ...]:
    return (column[0], True, *column[2:])


def _concerns(
    constraint: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]
) -> bool:
    """Constraints that name a new column which may be NULL, as it is for whoever doesn't know it,
    or that name new columns alone, can't stop an older server. (A NULL is like no other, and no
    foreign key looks at a row that has one.)"""
    named = constraint.get("column_names", constraint.get("constrained_columns"))
    if named is None:
        text = str(constraint.get("sqltext", ""))
        words = set(re.findall(r"\w+", re.sub(r"'[^']*'", "", text)))
        return bool(words & old.keys()) or not words & new.keys()
    if any(name not in old and new[name][1] and new[name][2] is None for name in named):
        return False
    return any(name in old for name in named)


def _widened(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> bool:
    """A CHECK … IN (…) that takes all it took, and more. One that forbids what it lists doesn't."""
    if before is None or "sqltext" not in before:
        return False
    old, new = str(before["sqltext"]), str(after["sqltext"])
    taken, takes = (set(re.findall(r"'([^']*)'", text)) for text in (old, new))
    frames = {re.sub(r"'[^']*'(::text)?(, )?", "", text) for text in (old, new)}
    forbids = re.search(r"\bNOT\b|<>|!=|\bALL\b", new, re.IGNORECASE)
    return taken < takes and len(frames) == 1 and not forbids


@pytest.mark.parametrize(
    ("before", "after", "wider"),
    [
        ("status IN ('a', 'b')", "status IN ('a', 'b', 'c')", True),
        ("status = ANY (ARRAY['a'::text])", "status = ANY (ARRAY['a'::text, 'b'::text])", True),
        ("status IN ('a', 'b')", "status IN ('a')", False),
        ("status IN ('a', 'b')", "status IN ('a', 'c', 'd')", False),
        ("status IN ('a')", "kind IN ('a', 'b')", False),
        ("status IN ('a')", "status IN ('a', 'b') AND length(status) > 1", False),
        ("status NOT IN ('a')", "status NOT IN ('a', 'b')", False),
        ("status <> ALL (ARRAY['a'::text])", "status <> ALL (ARRAY['a'::text, 'b'::text])", False),
    ],
)
def test_a_check_is_widened_by_taking_more(before: str, after: str, wider: bool) -> None:
    assert _widened({"sqltext": before}, {"sqltext": after}) is wider


@pytest.mark.parametrize(
    ("constraint", "concerns"),
    [
        ({"column_names": ["kind", "added"]}, False),
        ({"constrained_columns": ["kind", "added"]}, False),
        ({"column_names": ["kind", "filled"]}, True),
        ({"column_names": ["added", "filled"]}, False),
        ({"column_names": ["kind"]}, True),
        ({"sqltext": "added IN ('kind')"}, False),
        ({"sqltext": "added IS NULL OR kind = 'x'"}, True),
    ],
)
def test_which_constraints_can_stop_an_older_server(
    constraint: Mapping[str, Any], concerns: bool
) -> None:
    old = {"kind": ("TEXT", False, None, None)}
    added = {"added": ("TEXT", True, None, None), "filled": ("TEXT", False, "''", None)}
    assert _concerns(constraint, old, {**old, **added}) is concerns


@pytest.mark.parametrize(
    ("statement", "seen"),
    [
        ("ALTER TABLE tickets DROP COLUMN category", "tickets.category is gone"),
        ("ALTER TABLE tickets RENAME COLUMN category TO kind", "tickets.category is gone"),
        ("ALTER TABLE tickets ADD COLUMN more TEXT", ""),
        ("ALTER TABLE tickets ADD COLUMN more TEXT NOT NULL DEFAULT ''", ""),
        ("CREATE INDEX more ON tickets (subject)", ""),
        ("CREATE UNIQUE INDEX more ON tickets (subject)", "tickets has the new unique index more"),
        ("DROP TABLE rate_counters", "rate_counters is gone"),
        ("CREATE TABLE more (id TEXT NOT NULL PRIMARY KEY)", ""),
    ],
)
async def test_a_contraction_would_be_seen(url: str, statement: str, seen: str) -> None:
    def tried(connection: sa.Connection) -> list[dict[str, Any]]:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        both = [described(connection, tables)]
        connection.exec_driver_sql(statement)
        both.append(described(connection, tables))
        connection.rollback()
        return both

    tables = ("tickets", "rate_counters", "more")
    before, after = await on(url, tried)
    found = contractions(before, after)
    assert (seen in found) if seen else not found


# ----------------------------------------------------------------------- with rows in place


#: Rows by table.
Contents = dict[str, list[dict[str, Any]]]


@dataclass
class Step:
    """What a migration, up or down, left: of the database's tables, of all rows, which `found` was
    there before; and what the database says of servers. `furnished`: with new rows in each."""

    revision: str | None
    tables: dict[str, Any]
    found: Contents
    stored: Contents
    furnished: Contents
    recorded: dict[str, str]


def _stored(connection: sa.Connection) -> Contents:
    """Every row, as the driver hands it over."""
    names = [
        name for name in sa.inspect(connection).get_table_names() if not name.startswith("alembic")
    ]
    contents: Contents = {name: [] for name in names}
    if connection.dialect.name == "sqlite":
        for name in names:
            rows = connection.exec_driver_sql(f'SELECT * FROM "{name}"')  # noqa: S608 - ours
            contents[name] = [dict(row) for row in rows.mappings()]
    elif names:  # in one statement: sixty take ten times as long
        each = (f"SELECT '{name}', to_jsonb({name}) FROM {name}" for name in names)  # noqa: S608
        for name, row in connection.exec_driver_sql(" UNION ALL ".join(each)):
            contents[name].append(json.loads(row) if isinstance(row, str) else row)
    return contents


def _recorded(connection: sa.Connection) -> dict[str, str]:
    if not sa.inspect(connection).has_table(schema_revisions.name):
        return {}
    rows = connection.execute(sa.select(schema_revisions))
    return {row.revision: row.oldest_server for row in rows}


async def _step(url: str, revision: str, found: Contents, *, furnishing: bool = False) -> Step:
    state = await move_schema(url, revision)

    def look(connection: sa.Connection) -> Step:
        stored = furnished = _stored(connection)
        recorded = _recorded(connection)
        tables: dict[str, Any] = {}
        if furnishing:
            tables = described(connection)
            furnish(connection, None, revision, copies=1, present=columns(connection))
            furnished = _stored(connection)
        return Step(state.revision, tables, found, stored, furnished, recorded)

    return await on(url, look)


#: Up one by one, down one by one, up at once, down at once.
Way = tuple[list[Step], list[Step], Step, Step]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def way(
    dialect: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Way:
    """All the way up and down, once, with a row in each table from the moment that there is one."""
    directory = tmp_path_factory.mktemp("way")
    with another_empty(dialect, request, directory) as url:
        up: list[Step] = []
        there: Contents = {}
        for script in SCRIPTS:
            up.append(await _step(url, script.revision, there, furnishing=True))
            there = up[-1].furnished
        down: list[Step] = []
        for script in SCRIPTS[:0:-1]:
            down.append(await _step(url, str(script.down_revision), there))
            there = down[-1].stored
        again = await _step(url, SCRIPTS[-1].revision, there)
        return up, down, again, await _step(url, "base", again.stored)


async def test_each_step_only_expands(way: Way) -> None:
    before: dict[str, Any] = {}
    for script, step in zip(SCRIPTS, way[0], strict=True):
        if not hasattr(script.module, "contracts"):
            assert contractions(before, step.tables) == [], script.revision
        before = step.tables


def _assert_kept(before: Contents, after: Contents) -> None:
    """What both know of is the same."""
    for table in before.keys() & after.keys() - {"schema_revisions"}:
        assert len(after[table]) == len(before[table]), table
        if after[table]:
            shared = sorted(before[table][0].keys() & after[table][0].keys())
            old, new = (
                sorted(repr([row[name] for name in shared]) for row in rows[table])
                for rows in (before, after)
            )
            assert new == old, table


async def test_up_and_down_step_by_step_with_rows_in_every_table(way: Way) -> None:
    up, down, again, base = way
    steps = (*up, *down, again, base)
    revisions = [script.revision for script in SCRIPTS]
    wanted = [*revisions, *revisions[-2::-1], revisions[-1], None]
    assert [step.revision for step in steps] == wanted
    for step in steps:
        _assert_kept(step.found, step.stored)
    for step in up:
        rows = step.furnished
        assert [name for name in metadata.tables.keys() & rows if not rows[name]] == []
    assert base.stored == {}


# --------------------------------------------------------- what the database says of servers


async def test_each_applied_revision_is_recorded_with_its_oldest_server(way: Way) -> None:
    oldest = {script.revision: script.module.oldest_server for script in SCRIPTS}
    revisions = list(oldest)
    # The third makes the table for it.
    for step in (*way[0][2:], *way[1][:-2], way[2]):
        applied = revisions[: revisions.index(str(step.revision)) + 1]
        assert step.recorded == {revision: oldest[revision] for revision in applied}


async def _as_if_a_newer_one_had_migrated(url: str, *oldest: str) -> None:
    async with connected(url) as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        for number, each in enumerate(oldest):
            row = {"revision": f"999{number}", "oldest_server": each}
            await connection.execute(sa.insert(schema_revisions).values(row))


async def test_a_server_runs_on_a_newer_schema_that_allows_it(migrated_url: str) -> None:
    await _as_if_a_newer_one_had_migrated(migrated_url, migrations.SERVER_VERSION)
    with structlog.testing.capture_logs() as logs:
        database = await Database.open(migrated_url)
    async with database.read() as connection:
        assert await connection.run_sync(migrations.current) == "9999"
    await database.close()
    assert [(each["event"], each["log_level"]) for each in logs] == [
        ("database.newer_than_server", "warning")
    ]


async def test_a_server_refuses_only_below_what_the_schema_asks(migrated_url: str) -> None:
    await _as_if_a_newer_one_had_migrated(migrated_url, "0.9.0", "0.10.0")
    with pytest.raises(OperatorError, match=r"revision 9999.*Install version 0\.10\.0 or newer"):
        await Database.open(migrated_url)
    state = await schema_state(migrated_url)
    assert (state.revision, state.known, state.oldest_server) == ("9999", False, "0.10.0")
    for revision in ("0003", "base"):
        with pytest.raises(OperatorError, match="doesn't know and can't undo"):
            await move_schema(migrated_url, revision)


async def test_a_newer_schema_that_says_nothing_is_left_alone(migrated_url: str) -> None:
    async with connected(migrated_url) as connection:
        await connection.exec_driver_sql("DELETE FROM schema_revisions")
    await _as_if_a_newer_one_had_migrated(migrated_url)
    with pytest.raises(OperatorError, match=r"9999.*Install a newer version"):
        await Database.open(migrated_url)


async def test_there_is_no_such_revision(empty_url: str, migrated_url: str) -> None:
    for url in (empty_url, migrated_url):
        with pytest.raises(OperatorError, match="8888"):
            await move_schema(url, "8888")


@pytest.mark.parametrize(
    ("older", "newer"),
    [("0.2.0", "0.2.1"), ("0.9.0", "0.10.0"), ("0.2", "0.2.0.1"), ("1.9.9", "2.0.0.dev1")],
)
def test_releases_are_compared_by_number(older: str, newer: str) -> None:
    assert release_of(older) < release_of(newer)
    assert release_of("0.2") == release_of("0.2.0")
