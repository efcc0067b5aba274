"""What functions were run for during a call, or for a turn of a text conversation: once each,
whoever repeats the question."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from domain.errors import Conflict
from storage.schema import call_logs, conversation_functions, function_calls
from storage.scope import Scope, new_id

#: No call lasts longer: bounds a search by when calls began.
_LONGEST_CALL = timedelta(days=1)
#: Of both tables, which differ in what they belong to.
_COLUMNS = (
    "function_call_id",
    "name",
    "arguments",
    "result",
    "effect",
    "then",
    "detail",
    "started_at",
    "finished_at",
)


@dataclass(frozen=True, slots=True)
class TextTurn:
    """One answer in a text conversation: to the messages up to this number."""

    conversation_id: str
    turn: int


#: What functions run for: a call (its id), or a turn of a text conversation.
Occasion = str | TextTurn


@dataclass(frozen=True, slots=True)
class FunctionRun:
    """A function that has run.

    `function_call_id` is the model's, `arguments_hash` a digest of the canonical arguments.
    `effect` is the `domain.outcome.Outcome` it achieved, if any; `then` and `detail` what the call
    must do next, as in `voice.events.FunctionFinished`.
    """

    occasion: Occasion
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
    """The functions run for a tenant's callers and correspondents.

    A request is the same within its call or conversation; an effect within its call, or its turn:
    months later somebody may well want the same again.
    """

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def find(self, occasion: Occasion, function_call_id: str) -> StoredResult | None:
        """The answer to this very function call, if it has run."""
        table, conditions = _whole(occasion)
        return await self._first(table, *conditions, table.c.function_call_id == function_call_id)

    async def find_effect(
        self, occasion: Occasion, name: str, arguments_hash: str
    ) -> StoredResult | None:
        """The answer to the same question on the same occasion, if it had an effect."""
        table, conditions = _whole(occasion)
        if isinstance(occasion, TextTurn):
            conditions.append(table.c.turn == occasion.turn)
        return await self._first(
            table,
            *conditions,
            table.c.name == name,
            table.c.arguments_hash == arguments_hash,
            table.c.effect.is_not(None),
        )

    async def record(self, run: FunctionRun) -> None:
        """Store it, in the transaction of its effect.

        Raises Conflict when the same function call, or the same question with an effect, was
        stored meanwhile; let it leave the `write` block, which undoes the second effect.
        """
        occasion = run.occasion
        belongs: dict[str, Any] = (
            {"conversation_id": occasion.conversation_id, "turn": occasion.turn}
            if isinstance(occasion, TextTurn)
            else {"call_id": occasion}
        )
        table, _ = _whole(occasion)
        try:
            await self._scope.insert(
                table,
                id=new_id(),
                **belongs,
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
            raise Conflict(
                "this function call has run already, or the occasion isn't ours"
            ) from error

    async def of_call(self, call_id: str) -> list[StoredResult]:
        """All that ran during a call, in order."""
        return await self._all(call_id)

    async def of_number(
        self, number: str, names: Collection[str], since: datetime
    ) -> list[StoredResult]:
        """What ran of these functions since then, in all calls from a number (E.164), in order."""
        table = function_calls
        calls = sa.select(call_logs.c.id).where(
            call_logs.c.tenant_id == self._scope.tenant_id,
            call_logs.c.from_number == number,
            call_logs.c.started_at >= since - _LONGEST_CALL,
        )
        statement = self._scope.select(table, *_columns(table)).where(
            table.c.call_id.in_(calls), table.c.name.in_(names), table.c.started_at >= since
        )
        rows = await self._scope.all(statement.order_by(table.c.started_at, table.c.id))
        return [StoredResult(**row) for row in rows]

    async def of_conversation(self, conversation_id: str) -> list[StoredResult]:
        """All that ran for a text conversation, in order."""
        return await self._all(TextTurn(conversation_id, 0))

    async def _all(self, occasion: Occasion) -> list[StoredResult]:
        table, conditions = _whole(occasion)
        statement = self._scope.select(table, *_columns(table)).where(*conditions)
        rows = await self._scope.all(statement.order_by(table.c.started_at, table.c.id))
        return [StoredResult(**row) for row in rows]

    async def _first(
        self, table: sa.Table, *conditions: sa.ColumnElement[bool]
    ) -> StoredResult | None:
        row = await self._scope.first(
            self._scope.select(table, *_columns(table)).where(*conditions)
        )
        return None if row is None else StoredResult(**row)


def _whole(occasion: Occasion) -> tuple[sa.Table, list[sa.ColumnElement[bool]]]:
    """The table, and what selects the whole call or conversation."""
    if isinstance(occasion, TextTurn):
        table = conversation_functions
        return table, [table.c.conversation_id == occasion.conversation_id]
    return function_calls, [function_calls.c.call_id == occasion]


def _columns(table: sa.Table) -> list[sa.ColumnElement[Any]]:
    return [table.c[name] for name in _COLUMNS]
