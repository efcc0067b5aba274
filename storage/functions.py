"""What functions were run for during a call: once each, whoever repeats the question."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from domain.errors import Conflict
from storage.schema import function_calls as table
from storage.scope import Scope, new_id

_COLUMNS = (
    table.c.function_call_id,
    table.c.name,
    table.c.arguments,
    table.c.result,
    table.c.effect,
    table.c.then,
    table.c.detail,
    table.c.started_at,
    table.c.finished_at,
)


@dataclass(frozen=True, slots=True)
class FunctionRun:
    """A function that has run.

    `function_call_id` is the model's, `arguments_hash` a digest of the canonical arguments.
    `effect` is the `domain.outcome.Outcome` it achieved, if any; `then` and `detail` what the call
    must do next, as in `voice.events.FunctionFinished`.
    """

    call_id: str
    function_call_id: str
    name: str
    arguments: Mapping[str, Any]
    arguments_hash: str
    result: Mapping[str, Any]
    started_at: datetime
    finished_at: datetime
    effect: str | None = None
    then: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StoredResult:
    """What a function answered."""

    function_call_id: str
    name: str
    result: dict[str, Any]
    effect: str | None
    then: str
    detail: str
    arguments: dict[str, Any] = field(default_factory=dict)
    started_at: datetime | None = None
    finished_at: datetime | None = None


class Functions:
    """The functions run for a tenant's calls."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def find(self, call_id: str, function_call_id: str) -> StoredResult | None:
        """The answer to this very function call, if it has run."""
        return await self._first(call_id, table.c.function_call_id == function_call_id)

    async def find_effect(
        self, call_id: str, name: str, arguments_hash: str
    ) -> StoredResult | None:
        """The answer to the same question in the same call, if it had an effect."""
        return await self._first(
            call_id,
            table.c.name == name,
            table.c.arguments_hash == arguments_hash,
            table.c.effect.is_not(None),
        )

    async def record(self, run: FunctionRun) -> None:
        """Store it, in the transaction of its effect.

        Raises Conflict when the same function call, or the same question with an effect, was
        stored meanwhile; let it leave the `write` block, which undoes the second effect.
        """
        try:
            await self._scope.insert(
                table,
                id=new_id(),
                call_id=run.call_id,
                function_call_id=run.function_call_id,
                name=run.name,
                arguments=dict(run.arguments),
                arguments_hash=run.arguments_hash,
                result=dict(run.result),
                effect=run.effect,
                then=run.then,
                detail=run.detail,
                started_at=run.started_at,
                finished_at=run.finished_at,
            )
        except IntegrityError as error:
            raise Conflict("this function call has run already, or the call isn't ours") from error

    async def of_call(self, call_id: str) -> list[StoredResult]:
        """All that ran during a call, in order."""
        statement = self._scope.select(table, *_COLUMNS).where(table.c.call_id == call_id)
        rows = await self._scope.all(statement.order_by(table.c.started_at, table.c.id))
        return [StoredResult(**row) for row in rows]

    async def _first(
        self, call_id: str, *conditions: sa.ColumnElement[bool]
    ) -> StoredResult | None:
        statement = self._scope.select(table, *_COLUMNS).where(
            table.c.call_id == call_id, *conditions
        )
        row = await self._scope.first(statement)
        return None if row is None else StoredResult(**row)
