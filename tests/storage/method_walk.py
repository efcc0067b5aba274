"""Everything that a tenant's handle can do, tried with another tenant's rows."""

import asyncio
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from zlib import crc32

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import CoccinelleError, Conflict, Forbidden, Invalid, NotFound
from storage import Storage, TenantRows
from storage.schema import metadata
from tests.furniture import Rows
from tests.invented import Inventor

#: What somebody is told who asks for what isn't theirs. Anything else was not understood.
_UNDERSTOOD = (NotFound, Conflict, Forbidden)
#: Likewise where it stands in a body.
_NOT_THERE = re.compile(r"\bno such\b|\bforeign key\b", re.IGNORECASE)
_ITEMS_SECONDS = 0.2
#: Ids of a table that a method has nothing to do with. (One in 8, and all rows of tables that have
#: such a column, took twice as long and found the same: 91 of 201 statements of the nouns that were
#: left without the tenant's id, one after the other, on 23 November 2026.)
_ONE_IN = 16
#: Shorter keys, such as a weekday, stand in anybody's answer.
_SHORTEST_ID = 8

Nouns = Callable[[TenantRows], Mapping[str, Any]]


#: What changes no table but those that it names, and by a DELETE those that hang on the first. What
#: triggers do is written to no table of `metadata`, but when a tenant goes (migration 0002).
_VERB = re.compile(r"\s*(INSERT INTO|UPDATE|DELETE FROM)\b", re.IGNORECASE)
_NOTHING = re.compile(r"(RELEASE |ROLLBACK TO )?SAVEPOINT\b")
_NAME = re.compile(rf"\b({'|'.join(map(re.escape, metadata.tables))})\b")


class _Undo(Exception):
    """Ends a transaction: what was tried stays nowhere."""


@dataclass
class Walked:
    """`leaks` and `changes`: what went wrong, in words. `unclear`: methods that no arguments were
    found for, with what was said. `methods`: all that were tried."""

    methods: set[str] = field(default_factory=set)
    leaks: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    unclear: dict[str, str] = field(default_factory=dict)

    def assert_clean(self) -> None:
        assert not self.leaks
        assert not self.changes
        assert not self.unclear, (
            "nothing that was tried was understood: give tests/invented.WORDS a word for the "
            f"parameter at fault: {self.unclear}"
        )


def nouns_of(rows: TenantRows) -> dict[str, Any]:
    """Every public noun of the handle, and the handle itself."""
    nouns: dict[str, Any] = {"": rows}
    for name in dir(rows):
        if not name.startswith("_") and not callable(getattr(rows, name)):
            nouns[name] = getattr(rows, name)
    return nouns


def methods_of(nouns: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, noun in nouns.items():
        for attribute in dir(noun):
            if not attribute.startswith("_") and inspect.ismethod(getattr(noun, attribute)):
                yield f"{name}.{attribute}".lstrip("."), getattr(noun, attribute)


def statements_of(furnished: Rows) -> dict[str, sa.Select[Any]]:
    """By table, what reads all rows that the furnished tenant has, and what hangs on them."""
    tenant_id = furnished["tenants"][0]["id"]
    found: dict[str, sa.Select[Any]] = {}
    for name, table in metadata.tables.items():
        mine: list[sa.ColumnElement[bool]] = [
            table.c[key.name].in_([row[key.name] for row in furnished[name]])
            for key in list(table.primary_key.columns)[:1]
        ]
        if "tenant_id" in table.c:
            mine.append(table.c.tenant_id == tenant_id)
        for foreign in table.foreign_keys:
            parents = [row[foreign.column.name] for row in furnished[foreign.column.table.name]]
            mine.append(foreign.parent.in_(parents))
        found[name] = sa.select(table).where(sa.or_(*mine))
    return found


async def belongings(connection: AsyncConnection, furnished: Rows) -> dict[str, list[str]]:
    """All rows that the furnished tenant has, in every table, and what hangs on them."""
    return await read(connection, statements_of(furnished))


async def read(
    connection: AsyncConnection, statements: Mapping[str, sa.Select[Any]]
) -> dict[str, list[str]]:
    """What these find, as text."""
    return {
        name: sorted(map(repr, (await connection.execute(statement)).all()))
        for name, statement in statements.items()
    }


async def walk(
    storage: Storage,
    visitor: str,
    furnished: Rows,
    mark: str,
    nouns: Nouns = nouns_of,
    *,
    all_ids: bool = False,
) -> Walked:
    """Try every method as `visitor` (a tenant's id) with the values of furnished rows: of the
    tables that its statements name, of the first of those with a column of its parameters' names,
    and of one in `_ONE_IN` others; with `all_ids`, of each."""
    walked = Walked()
    ids = ids_of(furnished)
    inventors = {table: [Inventor(row) for row in rows] for table, rows in furnished.items()}
    async with storage.tenant(visitor).read() as rows:
        statements = statements_of(furnished)
        before = await read(rows._scope.connection, statements)
        methods = {name: method.__func__ for name, method in methods_of(nouns(rows))}
    for name, function in methods.items():
        walked.methods.add(name)
        said, understood = "", False
        choice = _Choice(name, list(_all_arguments(function, furnished, inventors)), all_ids)
        while (arguments := choice.next()) is not None:
            attempt = _Attempt(storage, visitor, name, nouns, arguments)
            result, changed = await attempt.run(before, statements, choice.named)
            leaked = told(repr(result), mark, ids) - told(repr(arguments), mark, ids)
            walked.leaks += [f"{name}({arguments}) told {secret!r}" for secret in leaked]
            walked.changes += [f"{name}({arguments}) changed {table}" for table in changed]
            said = repr(result)
            understood |= not isinstance(result, Exception) or _is_understood(result)
        if not understood:
            walked.unclear[name] = said
    return walked


def _is_understood(error: Exception) -> bool:
    """Whether somebody is told that what they named isn't theirs, by us or by a foreign key."""
    return isinstance(error, _UNDERSTOOD) or (
        isinstance(error, Invalid | IntegrityError) and _NOT_THERE.search(str(error)) is not None
    )


def _all_arguments(
    function: Any, furnished: Rows, inventors: Mapping[str, list[Inventor]]
) -> Iterator[tuple[str, bool, dict[str, Any]]]:
    """For each table's first row, and for all rows of those with a column of such a name: the
    table, whether it has one and these are its first, and arguments."""
    tried: set[str] = set()
    names = inspect.signature(function).parameters.keys()
    for table, rows in furnished.items():
        fits = first = bool(names & rows[0].keys())
        for inventor in inventors[table][: None if fits else 1]:
            arguments = inventor.arguments(function)
            shown = repr(arguments)
            if shown not in tried:
                tried.add(shown)
                yield table, first, arguments
                first = False


@dataclass
class _Choice:
    """What a method is tried with. `named`: the tables that its statements have named so far."""

    method: str
    waiting: list[tuple[str, bool, dict[str, Any]]]
    all_ids: bool
    named: set[str] = field(default_factory=set)

    def next(self) -> dict[str, Any] | None:
        for position, (table, fits, arguments) in enumerate(self.waiting):
            if fits or self.all_ids or table in self.named or self._drawn(table):
                del self.waiting[position]
                return arguments
        if self.waiting and not self.named:  # it has met no table yet
            return self.waiting.pop()[2]
        return None

    def _drawn(self, table: str) -> bool:
        return crc32(f"{self.method} {table}".encode()) % _ONE_IN == 0


@dataclass(frozen=True)
class _Attempt:
    storage: Storage
    visitor: str
    method: str
    nouns: Nouns
    arguments: dict[str, Any]

    async def run(
        self,
        before: Mapping[str, list[str]],
        statements: Mapping[str, sa.Select[Any]],
        named: set[str],
    ) -> tuple[Any, list[str]]:
        """What it answered or raised, and the furnished tables that it changed. The tables of its
        statements are added to `named`."""
        result: Any = None
        changed: list[str] = []
        try:
            async with self.storage.tenant(self.visitor).write() as rows:
                connection = rows._scope.connection
                with _writes(connection, named) as written:
                    result = await self._answer(rows)
                if written:
                    changed = await _changed(connection, before, statements, written)
                raise _Undo
        except _Undo:
            return result, changed

    async def _answer(self, rows: TenantRows) -> Any:
        try:
            noun, _, verb = self.method.rpartition(".")
            answer = getattr(self.nouns(rows)[noun], verb)(**self.arguments)
            if inspect.isawaitable(answer):
                answer = await answer
            return await _items(answer) if hasattr(answer, "__aiter__") else answer
        except (CoccinelleError, DBAPIError, TypeError, ValueError, KeyError) as error:
            return error


async def _items(stream: Any) -> list[Any]:
    items: list[Any] = []
    try:
        async with asyncio.timeout(_ITEMS_SECONDS):
            async for item in stream:
                items.append(item)
    except TimeoutError:
        pass
    return items


async def _changed(
    connection: AsyncConnection,
    before: Mapping[str, list[str]],
    statements: Mapping[str, sa.Select[Any]],
    written: list[str],
) -> list[str]:
    tables = touched(written)
    try:
        now = await read(connection, {name: statements[name] for name in before if name in tables})
    except DBAPIError:
        return []  # a statement failed and took the transaction with it: nothing is changed
    return [table for table in now if now[table] != before[table]]


def touched(written: list[str]) -> Collection[str]:
    """The tables that these statements may have changed: those they name, and those that hang on
    one of which rows were deleted; all where it can't be told."""
    found: set[str] = set()
    for statement in written:
        verb = _VERB.match(statement)
        if _NOTHING.match(statement):
            continue
        if verb is None:
            return metadata.tables.keys()
        named = _NAME.findall(statement)
        found |= _hanging(named[0]) if verb[1].upper() == "DELETE" else set(named)
    return found & metadata.tables.keys()


@cache
def _hanging(name: str) -> frozenset[str]:
    """This table and all whose rows go or change with its rows, by foreign keys."""
    found, new = {name}, {name}
    while new:
        new = {
            table.name
            for table in metadata.tables.values()
            for key in table.foreign_keys
            if key.column.table.name in new
        } - found
        found |= new
    return frozenset(found)


class _writes:
    """The statements of a block that change something; the tables of all of them."""

    def __init__(self, connection: AsyncConnection, named: set[str]) -> None:
        self._connection = connection.sync_connection
        self._named = named
        self._seen: list[str] = []

    def __enter__(self) -> list[str]:
        event.listen(self._connection, "before_cursor_execute", self._see)
        return self._seen

    def __exit__(self, *_: object) -> None:
        event.remove(self._connection, "before_cursor_execute", self._see)

    def _see(self, _c: Any, _k: Any, statement: str, *_rest: Any) -> None:
        self._named.update(_NAME.findall(statement))
        if not statement.lstrip().upper().startswith("SELECT"):
            self._seen.append(statement)


def ids_of(furnished: Rows) -> set[str]:
    """The keys of all furnished rows that are invented texts."""
    return {
        row[column.name]
        for name, rows in furnished.items()
        for row in rows
        for column in metadata.tables[name].primary_key.columns
        if isinstance(row[column.name], str) and len(row[column.name]) > _SHORTEST_ID
    }


def told(text: str, mark: str, ids: set[str]) -> set[str]:
    """What of somebody's marked texts and ids stands in `text`."""
    return set(re.findall(rf"{mark} [\w.]+ \d", text)) | {each for each in ids if each in text}
