"""The agent's own instructions and their versions.

Calls read `config.sara.customInstructions` of the telephone channel, and nothing else. Whoever
changes that text (a page, the API, going back to an earlier version) makes or activates a version
in the same transaction, so that the version in use is always the one that calls have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from domain.errors import NotFound
from storage.audit import under_way
from storage.schema import instruction_versions as table
from storage.scope import Scope, new_id


@dataclass(frozen=True, slots=True)
class Version:
    """`number` counts from 1. `activation` None: never used; the greatest is the one in use."""

    id: str
    number: int
    text: str
    note: str
    created_by: str | None
    activation: int | None
    activated_at: datetime | None
    created_at: datetime


_COLUMNS = tuple(table.c[name] for name in Version.__slots__)


async def follow(scope: Scope, before: str, after: str) -> None:
    """The telephone's configuration has been saved, with this text instead of that. Whoever calls
    holds the channel's row."""
    used = await in_use(scope)
    if used is None and before:
        used = await add(scope, before, activate=True)
    if after != (used.text if used is not None else ""):
        await add(scope, after, activate=True)


async def add(
    scope: Scope, text: str, *, note: str = "", activate: bool, by: str | None = None
) -> Version:
    """One more version; NULL for its activation: nobody uses it yet."""
    act = under_way()
    if by is None and act is not None:
        by = f"{act.actor.kind}:{act.actor.id}" if act.actor.id else act.actor.kind
    now = scope.now()
    version = Version(
        id=new_id(),
        number=await _greatest(scope, table.c.number) + 1,
        text=text,
        note=note,
        created_by=by,
        activation=await _greatest(scope, table.c.activation) + 1 if activate else None,
        activated_at=now if activate else None,
        created_at=now,
    )
    await scope.insert(table, **{name: getattr(version, name) for name in Version.__slots__})
    return version


async def in_use(scope: Scope) -> Version | None:
    """The version that calls have; None: nobody has ever written one."""
    statement = scope.select(table, *_COLUMNS).where(table.c.activation.is_not(None))
    row = await scope.first(statement.order_by(table.c.activation.desc()).limit(1))
    return None if row is None else Version(**row)


async def use(scope: Scope, version_id: str) -> None:
    """It is the one in use from now on."""
    greatest = await _greatest(scope, table.c.activation)
    changed = scope.update(table).where(table.c.id == version_id)
    await scope.connection.execute(
        changed.values(activation=greatest + 1, activated_at=scope.now())
    )


async def _greatest(scope: Scope, column: sa.Column[Any]) -> int:
    statement = sa.select(sa.func.max(column)).where(table.c.tenant_id == scope.tenant_id)
    return int((await scope.connection.execute(statement)).scalar_one() or 0)


class Instructions:
    """A tenant's versions. They are activated by `Channels.instruct`."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def active(self) -> Version | None:
        """The one in use; None: nobody has ever written one, or none since there are versions."""
        return await in_use(self._scope)

    async def get(self, version_id: str) -> Version:
        """One of the tenant's. NotFound."""
        row = await self._scope.first(
            self._scope.select(table, *_COLUMNS).where(table.c.id == version_id)
        )
        if row is None:
            raise NotFound("no such version")
        return Version(**row)

    async def list(self, *, limit: int = 50, before: int | None = None) -> Sequence[Version]:
        """The latest first; `before`: only those with a smaller number."""
        statement = self._scope.select(table, *_COLUMNS)
        if before is not None:
            statement = statement.where(table.c.number < before)
        rows = await self._scope.all(statement.order_by(table.c.number.desc()).limit(limit))
        return [Version(**row) for row in rows]

    async def draft(self, text: str, *, note: str = "") -> Version:
        """A version that isn't used yet."""
        return await add(self._scope, text, note=note, activate=False)
