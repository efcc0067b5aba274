"""Where a list goes on: the instant and the id of the last row that was given, sealed for nobody
to interpret, and understood only when we wrote it."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

import sqlalchemy as sa

from domain.errors import Invalid
from storage.columns import iso_instant
from storage.scope import MAX_PAGE, Scope

T = TypeVar("T")

_LONGEST = 300


def cursor_of(at: datetime, identifier: str) -> str:
    """The cursor behind a row."""
    return base64.urlsafe_b64encode(f"{iso_instant(at)} {identifier}".encode()).decode().rstrip("=")


def position(cursor: str) -> tuple[datetime, str]:
    """The instant and the id in a cursor of ours. Raises Invalid."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded.encode("ascii"), b"-_", validate=True).decode()
        stamp, _, identifier = text.partition(" ")
        at = datetime.fromisoformat(stamp)
        if len(cursor) > _LONGEST or at.tzinfo is None or not identifier:
            raise ValueError(cursor)
    except (ValueError, binascii.Error):
        raise Invalid("take the cursor from the previous page as it is", field="cursor") from None
    return at, identifier


class Listed(NamedTuple, Generic[T]):
    """A part of a list, how long the list is in all, and where it goes on; None: that was all."""

    items: list[T]
    total: int
    cursor: str | None


class Part(NamedTuple):
    """Which part of a list: the `limit` rows behind `cursor`, or else from the `offset`-th on."""

    limit: int = 50
    offset: int = 0
    cursor: str | None = None


FIRST_PART = Part()


def behind(
    cursor: str, at: sa.ColumnElement[Any], identifier: sa.ColumnElement[Any]
) -> sa.ColumnElement[bool]:
    """What comes after the cursor in a list that is ordered by `at`, latest first, then by id.
    Raises Invalid."""
    moment, last = position(cursor)
    return sa.or_(at < moment, sa.and_(at == moment, identifier > last))


async def listed(
    scope: Scope, statement: sa.Select[Any], at: sa.Column[Any], part: Part
) -> Listed[sa.RowMapping]:
    """A part of `statement`'s rows, latest `at` first; they have `at` and `id`. Raises Invalid."""
    identifier = at.table.c.id
    order = (at.desc(), identifier)
    if not part.cursor:
        found, total = await scope.page(statement, order, part.limit, part.offset)
        rows: Sequence[sa.RowMapping] = found
        more = part.offset + len(rows) < total
    else:
        if not 1 <= part.limit <= MAX_PAGE:
            raise Invalid(f"must lie between 1 and {MAX_PAGE}", field="limit")
        after = statement.where(behind(part.cursor, at, identifier))
        rows = await scope.all(after.order_by(*order).limit(part.limit + 1))
        more, rows = len(rows) > part.limit, rows[: part.limit]
        count = sa.select(sa.func.count()).select_from(statement.order_by(None).subquery())
        total = (await scope.connection.execute(count)).scalar_one()
    following = cursor_of(rows[-1][at.name], rows[-1]["id"]) if more and rows else None
    return Listed(list(rows), total, following)
