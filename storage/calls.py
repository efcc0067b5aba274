"""Calls as they are remembered, and a tenant's view of its own."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from domain.errors import Invalid
from domain.outcome import Outcome
from storage.cursors import Listed, Part, listed
from storage.schema import CALL_STATUSES, call_events, recordings
from storage.schema import call_logs as table
from storage.scope import MAX_PAGE, Page, Scope

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
    table.c.cost_cents,
    table.c.recording_url,
    table.c.vapi_cost_cents,
)

#: An address at Twilio (twilio.md §4.8), also one that the earlier service stored.
_RECORDING = re.compile(r"/Recordings/(RE[0-9a-f]{32})(?:\.(?:wav|mp3))?$")
#: A search reads so many of the latest transcripts at most, of about 2 kB each.
SEARCHED = 10_000
#: Words of one search; what is more than that narrows nothing down.
_MOST_WORDS = 8
#: The longest search, in characters.
LONGEST_SEARCH = 200


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
    cost_cents: int | None = None  # the carrier's; None: nobody has said
    recording_url: str | None = None
    vapi_cost_cents: int | None = None  # of a US dollar, beside the carrier's


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls: those of which all that isn't None is so. `status` as Twilio spells it; dates
    are days in the tenant's zone, both included; `search`: words that were said, all of them."""

    status: str | None = None
    direction: str | None = None
    outcome: str | None = None
    date_from: date | None = None
    date_to: date | None = None
    search: str | None = None
    with_words: bool = False  # only those on which something was said


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

    async def recording(self, call_id: str) -> str | None:
        """The carrier's id of what was recorded of one of the tenant's calls and kept; a message
        that the caller left counts."""
        it = recordings.c
        begun = self._scope.select(recordings, it.recording_sid, it.state).where(
            it.call_id == call_id
        )
        for each in await self._scope.all(begun.order_by(it.source, it.id)):
            if each["state"] in ("refused", "failed"):
                return None  # also while the carrier hasn't deleted it yet
            if each["recording_sid"] is not None:
                return str(each["recording_sid"])
        address = self._scope.select(table, table.c.recording_url).where(table.c.id == call_id)
        row = await self._scope.first(address)
        found = _RECORDING.search(row["recording_url"] or "") if row is not None else None
        return found[1] if found else None

    async def live(self) -> list[CallRow]:
        """Those that are going on, on whatever node, the latest first."""
        statement = self._scope.select(table, *CALL_COLUMNS).where(table.c.outcome.is_(None))
        order = (table.c.started_at.desc(), table.c.id)
        rows = await self._scope.all(statement.order_by(*order).limit(MAX_PAGE))
        return [CallRow(**row) for row in rows]

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
        which = CallFilter(status, direction, outcome, date_from, date_to)
        found = await self.find(which, Part(limit, offset))
        return Page(found.items, found.total)

    async def find(self, which: CallFilter, part: Part) -> Listed[CallRow]:
        """Latest first, by pages or behind a cursor. A search looks at the latest 10,000 of those
        that fit otherwise. Invalid for a value that doesn't exist, a cursor that isn't ours."""
        conditions = [
            *_equal("status", table.c.call_status, which.status, CALL_STATUSES),
            *_equal("direction", table.c.direction, which.direction, ("inbound", "outbound")),
            *_equal(
                "outcome", table.c.outcome, which.outcome, tuple(each.value for each in Outcome)
            ),
            *await self._between(which.date_from, which.date_to),
        ]
        if which.with_words:
            conditions.append(sa.func.coalesce(table.c.transcript, "") != "")
        if which.search and which.search.strip():
            latest = (
                self._scope.select(table, table.c.id)
                .where(*conditions)
                .order_by(table.c.started_at.desc(), table.c.id)
                .limit(SEARCHED)
            )
            conditions = [table.c.id.in_(latest), *self._said(which.search)]
        statement = self._scope.select(table, *CALL_COLUMNS).where(*conditions)
        found = await listed(self._scope, statement, table.c.started_at, part)
        return Listed([CallRow(**row) for row in found.items], found.total, found.cursor)

    def _said(self, search: str) -> _Conditions:
        if len(search) > LONGEST_SEARCH:
            raise Invalid(f"must have at most {LONGEST_SEARCH} characters", field="search")
        return [
            sa.or_(
                *(
                    column.ilike(f"%{_escaped(spelling)}%", escape="\\")
                    for column in (table.c.transcript, table.c.summary)
                    for spelling in _spellings(word)
                )
            )
            for word in search.split()[:_MOST_WORDS]
        ]

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


def _spellings(word: str) -> set[str]:
    """SQLite's LIKE takes é and É for different letters, unlike a and A."""
    return {word, word.lower(), word.upper(), word.capitalize()}


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
