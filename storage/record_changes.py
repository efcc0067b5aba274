"""Changing a row that people and the agent share: who was first counts, and both are remembered."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from domain.errors import Conflict, NotFound
from storage.history import differences, remember
from storage.scope import Scope


async def change(
    scope: Scope,
    table: sa.Table,
    subject: Mapping[str, str],
    values: Mapping[str, Any],
    *,
    actor: str,
    action: str = "updated",
    version: int | None = None,
) -> dict[str, list[Any]]:
    """Set columns of one row and write down what they were; {} when nothing changes.

    `subject` is the history's column and the row's id. With `version` (of the row as it was read),
    Conflict when somebody else has changed it since; without, the last one wins. NotFound when the
    tenant has no such row."""
    ((_, row_id),) = subject.items()
    locked = scope.select(table).where(table.c.id == row_id).with_for_update()
    row = await scope.first(locked)
    if row is None:
        raise NotFound("no such entry")
    if version is not None and version != row["version"]:
        raise Conflict(
            "somebody else has changed this meanwhile; read it again",
            message_key="changed_meanwhile",
        )
    changed = differences(dict(row), values)
    if changed:
        await scope.connection.execute(
            scope.update(table)
            .where(table.c.id == row_id)
            .values(**values, version=row["version"] + 1, updated_at=scope.now())
        )
        await remember(scope, actor, action, changed, **subject)
    return changed
