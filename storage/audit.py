"""Who did what: one line for each change that somebody made, and for each reading of what was said.

A line is written in the transaction of the change that it tells of, so that neither is without the
other. Who acts is told by `acting(...)` around a request; without it, the server itself did it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from storage.schema import audit_log as table
from storage.scope import Scope, new_id

#: Rows whose ids one line names; an import makes thousands.
MOST_NAMED: Final = 20


@dataclass(frozen=True, slots=True)
class Actor:
    """`kind`: one of `storage.schema.ACTOR_KINDS`; `id` the user's or the key's, `role` the user's
    role or the key's scopes."""

    kind: str
    id: str | None = None
    role: str | None = None


SYSTEM: Final = Actor("system")


@dataclass(slots=True)
class Acting:
    """What is under way, and whether it has its line yet. `writes`: its first transaction that
    writes the tenant's rows gets one unasked, unless one was recorded in it."""

    actor: Actor
    action: str = ""
    subject_type: str | None = None
    subject_id: str | None = None
    fields: tuple[str, ...] = ()
    writes: bool = False
    #: Whose log it belongs to, when that isn't whose credential it is.
    tenant_id: str | None = None
    noted: bool = field(default=False, init=False)


_ACTING: ContextVar[Acting | None] = ContextVar("acting", default=None)


@contextmanager
def acting(act: Acting) -> Iterator[Acting]:
    """Until the end of the block, `act` is what transactions are about."""
    token = _ACTING.set(act)
    try:
        yield act
    finally:
        _ACTING.reset(token)


def under_way() -> Acting | None:
    """What is under way here, if somebody acts."""
    return _ACTING.get()


@dataclass(frozen=True, slots=True)
class AuditLine:
    """As stored."""

    id: str
    at: datetime
    actor_kind: str
    actor_id: str | None
    actor_role: str | None
    action: str
    subject_type: str | None
    subject_id: str | None
    changes: Mapping[str, Any]


class Audit:
    """A tenant's audit log."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def record(
        self,
        action: str,
        subject_type: str | None = None,
        subject_id: str | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """One line: `action` as "prospect.converted". `changes` names what changed, and holds no
        contents, no secrets and nothing personal."""
        act = under_way()
        await _write(self._scope, act, action, subject_type, subject_id, changes or {})
        self._scope.audited.append(action)

    async def list(
        self,
        *,
        limit: int,
        before: tuple[datetime, str] | None = None,
        action: str | None = None,
        subject_id: str | None = None,
        actor_id: str | None = None,
    ) -> "list[AuditLine]":
        """Latest first; `before`: only what is older than the line of this instant and id."""
        it = table.c
        statement = self._scope.select(table, *(it[name] for name in AuditLine.__slots__))
        for column, value in (
            (it.action, action),
            (it.subject_id, subject_id),
            (it.actor_id, actor_id),
        ):
            if value is not None:
                statement = statement.where(column == value)
        if before is not None:
            at, line_id = before
            statement = statement.where(sa.or_(it.at < at, sa.and_(it.at == at, it.id < line_id)))
        statement = statement.order_by(it.at.desc(), it.id.desc()).limit(limit)
        return [AuditLine(**row) for row in await self._scope.all(statement)]


async def settle(scope: Scope) -> None:
    """At the end of a transaction: the line of what is under way, if it has none yet."""
    act = under_way()
    if act is None or not act.writes or act.noted or scope.audited:
        return
    changes: dict[str, Any] = {}
    if act.fields:
        changes["fields"] = list(act.fields)
    if scope.inserted:
        changes["created"] = scope.inserted[:MOST_NAMED]
    subject_id = act.subject_id
    if subject_id is None and scope.inserted:
        subject_id = scope.inserted[0].partition(":")[2]
    await _write(scope, act, act.action, act.subject_type, subject_id, changes)
    scope.audited.append(act.action)


def committed(scope: Scope) -> None:
    """The transaction has been stored, its lines with it."""
    act = under_way()
    if act is not None and scope.audited:
        act.noted = True


async def _write(
    scope: Scope,
    act: Acting | None,
    action: str,
    subject_type: str | None,
    subject_id: str | None,
    changes: Mapping[str, Any],
) -> None:
    actor = act.actor if act is not None else SYSTEM
    await scope.connection.execute(
        sa.insert(table).values(
            id=new_id(),
            tenant_id=scope.tenant_id,
            at=scope.now(),
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_role=actor.role,
            action=action,
            subject_type=subject_type,
            subject_id=subject_id,
            changes=dict(changes),
        )
    )
