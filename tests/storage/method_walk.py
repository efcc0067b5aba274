"""Everything that a tenant's handle can do, tried with another tenant's rows."""

import asyncio
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.errors import CoccinelleError, Conflict, Forbidden, NotFound
from storage import Storage, TenantRows
from storage.schema import metadata
from tests.furniture import Rows
from tests.invented import Inventor

#: What somebody is told who asks for what isn't theirs. Anything else was not understood.
_UNDERSTOOD = (NotFound, Conflict, Forbidden)
_ITEMS_SECONDS = 0.2
#: Shorter keys, such as a weekday, stand in anybody's answer.
_SHORTEST_ID = 8

Nouns = Callable[[TenantRows], Mapping[str, Any]]


#: What changes no table but the one that it names; a DELETE may cascade.
_ROW_BY_ROW = re.compile(r"\s*(INSERT INTO|UPDATE)\b", re.IGNORECASE)


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


async def belongings(
    connection: AsyncConnection, furnished: Rows, only: Collection[str] = tuple(metadata.tables)
) -> dict[str, list[str]]:
    """All rows that the furnished tenant has, in every table, and what hangs on them."""
    tenant_id = furnished["tenants"][0]["id"]
    found: dict[str, list[str]] = {}
    for name in only:
        table = metadata.tables[name]
        mine: list[sa.ColumnElement[bool]] = [
            table.c[key.name].in_([row[key.name] for row in furnished[name]])
            for key in list(table.primary_key.columns)[:1]
        ]
        if "tenant_id" in table.c:
            mine.append(table.c.tenant_id == tenant_id)
        for foreign in table.foreign_keys:
            parents = [row[foreign.column.name] for row in furnished[foreign.column.table.name]]
            mine.append(foreign.parent.in_(parents))
        rows = (await connection.execute(sa.select(table).where(sa.or_(*mine)))).all()
        found[name] = sorted(map(repr, rows))
    return found


async def walk(
    storage: Storage,
    visitor: str,
    furnished: Rows,
    mark: str,
    nouns: Nouns = nouns_of,
) -> Walked:
    """Try every method as `visitor` (a tenant's id) with the values of each furnished row."""
    walked = Walked()
    ids = ids_of(furnished)
    async with storage.tenant(visitor).read() as rows:
        before = await belongings(rows._scope.connection, furnished)
        methods = {name: method.__func__ for name, method in methods_of(nouns(rows))}
    for name, function in methods.items():
        walked.methods.add(name)
        said, understood = "", False
        for arguments in _all_arguments(function, furnished):
            attempt = _Attempt(storage, visitor, name, nouns, arguments)
            result, changed = await attempt.run(before, furnished)
            leaked = told(repr(result), mark, ids) - told(repr(arguments), mark, ids)
            walked.leaks += [f"{name}({arguments}) told {secret!r}" for secret in leaked]
            walked.changes += [f"{name}({arguments}) changed {table}" for table in changed]
            said = repr(result)
            understood |= not isinstance(result, Exception) or isinstance(result, _UNDERSTOOD)
        if not understood:
            walked.unclear[name] = said
    return walked


def _all_arguments(function: Any, furnished: Rows) -> Iterator[dict[str, Any]]:
    """For each table's first row, and for all rows of those with a column of such a name."""
    tried: set[str] = set()
    names = inspect.signature(function).parameters.keys()
    for rows in furnished.values():
        for row in rows if names & rows[0].keys() else rows[:1]:
            arguments = Inventor(row).arguments(function)
            if repr(arguments) not in tried:
                tried.add(repr(arguments))
                yield arguments


@dataclass(frozen=True)
class _Attempt:
    storage: Storage
    visitor: str
    method: str
    nouns: Nouns
    arguments: dict[str, Any]

    async def run(self, before: Mapping[str, list[str]], furnished: Rows) -> tuple[Any, list[str]]:
        """What it answered or raised, and the furnished tables that it changed."""
        result: Any = None
        changed: list[str] = []
        try:
            async with self.storage.tenant(self.visitor).write() as rows:
                connection = rows._scope.connection
                with _writes(connection) as written:
                    result = await self._answer(rows)
                if written:
                    changed = await _changed(connection, before, furnished, written)
                raise _Undo
        except _Undo:
            return result, changed

    async def _answer(self, rows: TenantRows) -> Any:
        try:
            answer = dict(methods_of(self.nouns(rows)))[self.method](**self.arguments)
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
    furnished: Rows,
    written: list[str],
) -> list[str]:
    tables = set(before)
    if all(_ROW_BY_ROW.match(statement) for statement in written):
        tables = {name for name in before if re.search(rf"\b{name}\b", " ".join(written))}
    try:
        now = await belongings(connection, furnished, tables)
    except DBAPIError:
        return []  # a statement failed and took the transaction with it: nothing is changed
    return [table for table in now if now[table] != before[table]]


class _writes:
    """The statements of a block that change something."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection.sync_connection
        self._seen: list[str] = []

    def __enter__(self) -> list[str]:
        event.listen(self._connection, "before_cursor_execute", self._see)
        return self._seen

    def __exit__(self, *_: object) -> None:
        event.remove(self._connection, "before_cursor_execute", self._see)

    def _see(self, _c: Any, _k: Any, statement: str, *_rest: Any) -> None:
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
