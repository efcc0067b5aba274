"""Calls as they are remembered, and a tenant's view of its own."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from domain.errors import Invalid
from domain.outcome import Outcome
from storage.schema import CALL_STATUSES, call_events
from storage.schema import call_logs as table
from storage.scope import Page, Scope

_Conditions = list[sa.ColumnElement[bool]]

CALL_COLUMNS = (
    table.c.id,
    table.c.tenant_id,
    table.c.call_sid,
    table.c.from_number,
    table.c.to_number,
    table.c.forwarded_from,
    table.c.direction,
    table.c.call_status,
    table.c.stage,
    table.c.outcome,
    table.c.found_by,
    table.c.agent,
    table.c.duration_seconds,
    table.c.transcript,
    table.c.summary,
    table.c.sentiment,
    table.c.actions_performed,
    table.c.rdv_created,
    table.c.qualified_prospect_created,
    table.c.ticket_created,
    table.c.started_at,
    table.c.answered_at,
    table.c.ended_at,
    table.c.created_at,
    table.c.seen_at,
    table.c.attempts,
    table.c.opening,
    table.c.transfer_number,
    table.c.transfer_state,
    table.c.usage,
    table.c.detail,
    table.c.node_id,
    table.c.contact_id,
)


@dataclass(frozen=True, slots=True)
class NewCall:
    """A call that rings. Numbers in E.164, `from_number` "" when withheld; the raw ones as the
    carrier sent them. `stage` is the caller's own word for where the call is."""

    call_sid: str
    from_number: str
    from_raw: str
    to_number: str
    stage: str
    forwarded_from: str | None = None
    forwarded_from_raw: str | None = None
    tenant_id: str | None = None
    found_by: str | None = None
    direction: str = "inbound"


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call as stored. Instants are aware, in UTC; `usage` sums the vendor's token counts."""

    id: str
    tenant_id: str | None
    call_sid: str
    from_number: str
    to_number: str
    forwarded_from: str | None
    direction: str
    call_status: str
    stage: str
    outcome: str | None
    found_by: str | None
    agent: str | None
    duration_seconds: int | None
    transcript: str | None
    summary: str | None
    sentiment: str | None
    actions_performed: list[str]
    rdv_created: bool
    qualified_prospect_created: bool
    ticket_created: bool
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    created_at: datetime
    seen_at: datetime | None
    attempts: int
    opening: dict[str, Any]
    transfer_number: str | None
    transfer_state: str | None
    usage: dict[str, Any] | None
    detail: str
    node_id: str | None  # whose bridge carries it
    contact_id: str | None = None  # whom the number proposes


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One line of a call's timeline. `kind`: turn | function | latency | usage | event."""

    seq: int
    at: datetime
    kind: str
    data: dict[str, Any]


class Calls:
    """A tenant's calls."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def get(self, call_id: str) -> CallRow | None:
        """One of the tenant's, or None."""
        statement = self._scope.select(table, *CALL_COLUMNS).where(table.c.id == call_id)
        row = await self._scope.first(statement)
        return None if row is None else CallRow(**row)

    async def timeline(self, call_id: str) -> list[TimelineEntry]:
        """What happened on one of the tenant's calls, in order; [] for anybody else's."""
        statement = self._events(call_id).order_by(call_events.c.at, call_events.c.seq)
        return [TimelineEntry(**row) for row in await self._scope.all(statement)]

    def _events(self, call_id: str) -> sa.Select[Any]:
        mine = self._scope.select(table, table.c.id).where(table.c.id == call_id)
        return sa.select(
            call_events.c.seq, call_events.c.at, call_events.c.kind, call_events.c.data
        ).where(call_events.c.call_id.in_(mine))

    async def list(
        self,
        *,
        status: str | None = None,
        direction: str | None = None,
        outcome: str | None = None,
        date_from: date | None = None,
        date_to: date | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> Page[CallRow]:
        """Latest first. Dates are days in the tenant's zone, both included. Invalid for a status,
        direction or outcome that doesn't exist."""
        conditions = [
            *_equal("status", table.c.call_status, status, CALL_STATUSES),
            *_equal("direction", table.c.direction, direction, ("inbound", "outbound")),
            *_equal("outcome", table.c.outcome, outcome, tuple(each.value for each in Outcome)),
            *await self._between(date_from, date_to),
        ]
        statement = self._scope.select(table, *CALL_COLUMNS).where(*conditions)
        order = (table.c.started_at.desc(), table.c.id)
        rows, total = await self._scope.page(statement, order, limit, offset)
        return Page([CallRow(**row) for row in rows], total)

    async def _between(self, first: date | None, last: date | None) -> _Conditions:
        if first is None and last is None:
            return []
        zone = ZoneInfo((await self._scope.tenant()).timezone)
        conditions: _Conditions = []
        if first is not None:
            conditions.append(table.c.started_at >= _midnight(first, zone))
        if last is not None:
            conditions.append(table.c.started_at < _midnight(last + timedelta(days=1), zone))
        return conditions


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def _equal(
    field: str, column: sa.Column[str], wanted: str | None, known: tuple[str, ...]
) -> _Conditions:
    if wanted is None:
        return []
    if wanted not in known:
        raise Invalid(f"must be one of {', '.join(known)}", field=field)
    return [column == wanted]
