"""Who changed what of a person, a prospect or a ticket."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from storage.columns import iso_instant
from storage.schema import record_history as table
from storage.scope import Scope

#: Who acts when nobody else is named: the agent on the telephone or in a conversation.
ASSISTANT = "assistant"

_COLUMNS = (table.c.seq, table.c.at, table.c.actor, table.c.action, table.c.changes)


@dataclass(frozen=True, slots=True)
class Change:
    """`changes`: by column, what it was and what it became. `actor`: "assistant", "system", a
    user's or a key's name as the API knows it; `seq` rises."""

    seq: int
    at: datetime
    actor: str
    action: str
    changes: dict[str, list[Any]]


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The columns of `after` that are not what they were."""
    return {
        name: [_plain(before.get(name)), _plain(value)]
        for name, value in after.items()
        if before.get(name) != value
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso_instant(value)
    return value.isoformat() if isinstance(value, date) else value


async def remember(
    scope: Scope, actor: str, action: str, changes: Mapping[str, list[Any]], **subject: str
) -> None:
    """Write one line; `subject` is contact_id, prospect_id or ticket_id."""
    await scope.insert(
        table,
        at=scope.now(),
        actor=actor,
        action=action,
        changes=dict(changes),
        **subject,
    )


async def history(scope: Scope, **subject: str) -> list[Change]:
    """All lines of one subject, the earliest first."""
    ((column, value),) = subject.items()
    statement = scope.select(table, *_COLUMNS).where(table.c[column] == value)
    rows = await scope.all(statement.order_by(table.c.seq))
    return [Change(**row) for row in rows]
