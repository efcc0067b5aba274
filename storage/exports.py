"""What a business takes out: its rows in batches, the latest first, each in a moment of its own.

Nothing is counted and nothing is skipped by number: a batch begins behind the last row of the one
before, so that the millionth costs what the first does.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from domain.errors import Invalid
from storage.appointments.records import COLUMNS as APPOINTMENT_COLUMNS
from storage.appointments.records import Appointment
from storage.calls import CALL_COLUMNS, CallRow
from storage.cursors import behind, cursor_of
from storage.schema import call_logs, channel_messages_log, rendez_vous
from storage.scope import MAX_PAGE, Scope
from storage.text_rows import COLUMNS as TEXT_COLUMNS
from storage.text_rows import text_of


class Batch(NamedTuple):
    """Rows as their nouns give them, and where the next batch begins; None: that was all."""

    items: list[Any]
    cursor: str | None


class _Kind(NamedTuple):
    table: sa.Table
    at: str  # by which they are ordered, and chosen
    columns: tuple[sa.ColumnElement[Any], ...]
    made: Callable[[sa.RowMapping], Any]
    only: tuple[sa.ColumnElement[bool], ...] = ()


_KINDS: Final[Mapping[str, _Kind]] = {
    "calls": _Kind(call_logs, "started_at", CALL_COLUMNS, lambda row: CallRow(**row)),
    "appointments": _Kind(
        rendez_vous,
        "starts_at",
        APPOINTMENT_COLUMNS,
        lambda row: Appointment(**row),
        (rendez_vous.c.status != "held",),
    ),
    "messages": _Kind(channel_messages_log, "created_at", TEXT_COLUMNS, text_of),
}


class Exports:
    """A tenant's."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def batch(
        self,
        kind: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
        size: int = MAX_PAGE,
    ) -> Batch:
        """`kind` calls | appointments | messages; those of `since` ≤ when < `until`. Invalid for
        another kind, or a cursor that isn't ours."""
        if kind not in _KINDS:
            raise Invalid(f"must be one of {', '.join(_KINDS)}", field="kind")
        it = _KINDS[kind]
        at, identifier = it.table.c[it.at], it.table.c.id
        conditions = list(it.only)
        if since is not None:
            conditions.append(at >= since)
        if until is not None:
            conditions.append(at < until)
        if cursor:
            conditions.append(behind(cursor, at, identifier))
        # Once more under names of their own: what a noun makes of them may have renamed both.
        chosen = (*it.columns, at.label("behind_at"), identifier.label("behind_id"))
        statement = self._scope.select(it.table, *chosen).where(*conditions)
        rows = await self._scope.all(statement.order_by(at.desc(), identifier).limit(size + 1))
        page = rows[:size]
        following = None
        if len(rows) > size:
            following = cursor_of(page[-1]["behind_at"], page[-1]["behind_id"])
        return Batch([it.made(_without(row)) for row in page], following)


def _without(row: sa.RowMapping) -> Any:
    return {name: value for name, value in row.items() if not name.startswith("behind_")}
