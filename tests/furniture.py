"""Rows in every table there is, made from the tables themselves: a new table is covered unasked.

What a row holds is recognisable: each text carries the mark, the table and the column it stands
in, so that whoever reads it somewhere else knows from where it leaked.
"""

import re
import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from storage.columns import Instant, Json
from storage.schema import metadata
from tests.fakes.clock import START

Row = dict[str, Any]
#: Each table's rows; the n-th of one table belongs to the n-th of the tables it refers to.
Rows = dict[str, list[Row]]

#: Texts that code parses as soon as it reads them, which a mark would break.
_PARSED = {"timezone": "Europe/Paris", "locale": "fr-FR"}
#: Ends of the same: a passage's id ends with its revision and its place.
_ENDINGS = {"knowledge_chunks.id": "-1-0"}
#: The same of lists that hold more than words.
_EMPTY = frozenset({"ranges", "holiday_hours", "tried", "pending"})
#: Columns that refer to another table without a foreign key.
_REFERENCES = {"call_id": "call_logs", "node_id": "nodes"}

_ONE_OF = re.compile(r"^\s*(\w+) IN \((.*)\)\s*$", re.DOTALL)
_BETWEEN = re.compile(r"^\s*(\w+) BETWEEN (\d+) AND (\d+)\s*$")
_LENGTH = re.compile(r"^\s*length\((\w+)\) = (\d+)\s*$")


def furnish(
    connection: sa.Connection,
    tenant: Mapping[str, Any] | None,
    mark: str,
    *,
    copies: int = 3,
    present: Mapping[str, Collection[str]] | None = None,
    start: datetime = START,
) -> Rows:
    """Put `copies` rows into every table of the schema and return them as they are stored.

    They are of `tenant` (its row; None: of a new one each). `present` are the tables and columns
    that the database has (None: all). Instants begin with `start`: what lies far ahead is neither
    swept, purged nor taken for dead by a server that runs.
    """
    rows: Rows = {} if tenant is None else {"tenants": [dict(tenant)] * copies}
    for table in metadata.sorted_tables:
        if table.name in rows or (present is not None and table.name not in present):
            continue
        columns = [c for c in table.c if present is None or c.name in present[table.name]]
        rows[table.name] = []
        # Of what a tenant has one of, all copies are the same row.
        one_each = tenant is not None and one_per_tenant(table)
        for copy in range(copies):
            if one_each and copy:
                rows[table.name].append(rows[table.name][0])
                continue
            values = _values(table, columns, rows, mark, copy)
            values = {name: _moved(value, start) for name, value in values.items()}
            insert = sa.insert(table).values(values).returning(*columns)
            stored = connection.execute(insert).mappings().one()
            rows[table.name].append(dict(stored))
    return rows


def one_per_tenant(table: sa.Table) -> bool:
    """Whether its keys let a tenant have one row of it at most."""
    keys = [each for each in table.constraints if isinstance(each, sa.UniqueConstraint)]
    return any(
        [column.name for column in key.columns] == ["tenant_id"]
        for key in (table.primary_key, *keys)
    )


def _moved(value: Any, start: datetime) -> Any:
    """Parents' instants are moved already."""
    near = isinstance(value, datetime) and abs(value - START) < timedelta(days=30)
    return value - START + start if near else value


def _values(
    table: sa.Table, columns: Iterable[sa.Column[Any]], rows: Rows, mark: str, copy: int
) -> Row:
    checked = _checked(table, copy)
    values: Row = {}
    for position, column in enumerate(columns):
        if column.identity is not None:
            continue
        parent = _parent(column, rows, copy)
        if parent is not None:
            values[column.name] = parent
        elif column.name in checked:
            values[column.name] = checked[column.name]
        else:
            values[column.name] = _invented(table, column, mark, copy, position)
    return values


def _parent(column: sa.Column[Any], rows: Rows, copy: int) -> Any:
    for key in column.foreign_keys:
        table = key.column.table.name
        if table in rows and len(rows[table]) > copy:
            return rows[table][copy][key.column.name]
    table = _REFERENCES.get(column.name, "")
    return rows[table][copy]["id"] if table in rows else None


def _checked(table: sa.Table, copy: int) -> Row:
    """What a table's CHECKs demand of single columns; each copy gets another of those allowed."""
    demanded: Row = {}
    for constraint in table.constraints:
        if not isinstance(constraint, sa.CheckConstraint):
            continue
        text = str(constraint.sqltext)
        if found := _ONE_OF.match(text):
            allowed = re.findall(r"'([^']*)'", found[2])
            demanded[found[1]] = allowed[copy % len(allowed)]
        elif found := _BETWEEN.match(text):
            low, high = int(found[2]), int(found[3])
            demanded[found[1]] = low + copy % (high - low + 1)
        elif found := _LENGTH.match(text):
            demanded[found[1]] = uuid.uuid4().hex[: int(found[2])]
    return demanded


def _invented(table: sa.Table, column: sa.Column[Any], mark: str, copy: int, position: int) -> Any:
    kind = column.type
    if isinstance(kind, Instant):
        return START + timedelta(minutes=position, days=copy)
    if isinstance(kind, Json):
        return _json(column, f"{mark} {table.name}.{column.name} {copy}")
    if isinstance(kind, sa.Boolean):
        return True
    if isinstance(kind, sa.Integer):
        return position + copy
    if isinstance(kind, sa.Float | sa.Numeric):
        return position + 0.5
    if isinstance(kind, sa.Date):
        return date(2026, 11, 24) + timedelta(days=copy)
    if isinstance(kind, sa.Time):
        return time(5 + copy, 7 + position)
    if isinstance(kind, sa.LargeBinary):
        return f"{mark} {table.name}.{column.name} {copy}".encode()
    if column.primary_key:
        return uuid.uuid4().hex
    full = f"{table.name}.{column.name}"
    return _PARSED.get(column.name, f"{mark} {full} {copy}{_ENDINGS.get(full, '')}")


def _json(column: sa.Column[Any], text: str) -> Any:
    default = column.server_default
    if isinstance(default, sa.DefaultClause) and str(default.arg).startswith("["):
        if column.name == "media":  # of a message: objects, whose kind and name are shown
            return [{"kind": text, "name": text}]
        return [] if column.name in _EMPTY else [text]
    return {"mark": text}
