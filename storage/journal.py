"""The journal: what happened on a call, and the one outcome that it came to."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.errors import Invalid
from domain.outcome import Outcome
from storage.database import Database
from storage.live_events import NewEvent, store
from storage.schema import CALL_STATUSES, EVENT_KINDS, call_events, function_calls
from storage.schema import call_logs as table

#: The carrier's last words on a call.
FINAL_STATUSES = ("completed", "failed", "busy", "no-answer", "canceled")


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One line of a call's timeline.

    `kind`: turn | function | latency | usage | event. `data` is JSON-able. Two kinds are read
    again: a turn's `who` ("caller" or "agent"), `text` (what was heard, not what was meant to be
    said) and `cut` (truthy: not heard to its end) make the transcript, and the numbers of `usage`
    are summed by name. Turns, functions (`name`, `result`) and the event named "agent_connected"
    (`agent`) are shown to dashboards at once. Whose call it is, the call's own row says.
    """

    call_id: str
    at: datetime
    kind: str
    data: Mapping[str, Any]


class CallJournal:
    """Writes timelines. Never called from the path of the audio."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def append(self, entries: Sequence[JournalEntry]) -> None:
        """Store entries, of any calls, in one transaction and in this order.

        Entries of a call that is gone (its tenant was deleted meanwhile) are left out.
        """
        if not entries:
            return
        rows = _rows(entries)
        try:
            async with self._database.write() as connection:
                await connection.execute(sa.insert(call_events), rows)
                await _publish(connection, rows)
        except IntegrityError:
            await self._append_known(rows)

    async def _append_known(self, rows: Sequence[Mapping[str, Any]]) -> None:
        async with self._database.write() as connection:
            mentioned = {row["call_id"] for row in rows}
            statement = sa.select(table.c.id).where(table.c.id.in_(mentioned))
            known = set((await connection.execute(statement)).scalars())
            kept = [row for row in rows if row["call_id"] in known]
            if kept:
                await connection.execute(sa.insert(call_events), kept)
                await _publish(connection, kept)

    async def finish(
        self,
        call_id: str,
        outcome: Outcome,
        ended_at: datetime,
        *,
        duration_seconds: int | None = None,
        agent: str | None = None,
        detail: str = "",
    ) -> bool:
        """Store what the call came to, with its transcript, usage and what functions achieved.

        The first one wins: False, and nothing is changed, when the call has an outcome already or
        doesn't exist. `duration_seconds` None: the carrier's when it has told it, else from answer
        (or ring) to `ended_at`.
        """
        async with self._database.write() as connection:
            statement = sa.select(
                table.c.tenant_id,
                table.c.started_at,
                table.c.answered_at,
                table.c.call_status,
                table.c.duration_seconds,
                table.c.transcript,
            ).where(table.c.id == call_id, table.c.outcome.is_(None))
            call = (await connection.execute(statement.with_for_update())).mappings().first()
            if call is None:
                return False
            if duration_seconds is None:
                duration_seconds = call["duration_seconds"]
            if duration_seconds is None:
                began = call["answered_at"] or call["started_at"]
                duration_seconds = max(0, round((ended_at - began).total_seconds()))
            values: dict[str, Any] = {
                "outcome": Outcome(outcome).value,
                "ended_at": ended_at,
                "duration_seconds": duration_seconds,
                "detail": detail,
                "call_status": _final_status(call["call_status"], outcome),
                **await _from_timeline(connection, call_id),
                **await _from_functions(connection, call_id),
            }
            # Of a call that we didn't hear, a vendor may have told the words already.
            values["transcript"] = values["transcript"] or call["transcript"] or ""
            if agent is not None:
                values["agent"] = agent
            await connection.execute(sa.update(table).where(table.c.id == call_id).values(**values))
            if call["tenant_id"] is not None:
                data = {name: values[name] for name in ("outcome", "duration_seconds", "detail")}
                ended = NewEvent(call["tenant_id"], ended_at, "call.ended", call_id, data)
                await store(connection, [ended])
            return True

    async def close_from_carrier(
        self, call_sid: str, status: str, duration: int | None = None
    ) -> bool:
        """Note the carrier's status and duration; never touches the outcome.

        False when the call is unknown, or has ended and `status` is an earlier one (reports
        overtake each other). Invalid for a status that the carrier doesn't have.
        """
        if status not in CALL_STATUSES:
            raise Invalid(f"must be one of {', '.join(CALL_STATUSES)}", field="CallStatus")
        conditions = [table.c.call_sid == call_sid]
        if status not in FINAL_STATUSES:
            conditions.append(table.c.call_status.not_in(FINAL_STATUSES))
        values: dict[str, Any] = {"call_status": status}
        if duration is not None:
            values["duration_seconds"] = duration
        async with self._database.write() as connection:
            changed = await connection.execute(sa.update(table).where(*conditions).values(**values))
            return changed.rowcount > 0


async def add_lines(connection: AsyncConnection, entries: Sequence[JournalEntry]) -> None:
    """Store lines of calls that exist, in a transaction of somebody else's, as its last statement.
    Invalid for an unknown kind."""
    if entries:
        rows = _rows(entries)
        await connection.execute(sa.insert(call_events), rows)
        await _publish(connection, rows)


def _rows(entries: Sequence[JournalEntry]) -> list[dict[str, Any]]:
    for each in entries:
        if each.kind not in EVENT_KINDS:
            raise Invalid(f"must be one of {', '.join(EVENT_KINDS)}", field="kind")
    return [
        {"call_id": each.call_id, "at": each.at, "kind": each.kind, "data": dict(each.data)}
        for each in entries
    ]


async def _publish(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Tell dashboards what of these lines an owner wants to see as it happens."""
    told = [(row, live) for row in rows if (live := _live(row["kind"], row["data"])) is not None]
    if not told:
        return
    calls = {row["call_id"] for row, _ in told}
    statement = sa.select(table.c.id, table.c.tenant_id).where(table.c.id.in_(calls))
    found = (await connection.execute(statement)).all()
    tenants = {row.id: row.tenant_id for row in found}
    events = [
        NewEvent(tenants[row["call_id"]], row["at"], kind, row["call_id"], data)
        for row, (kind, data) in told
        if tenants[row["call_id"]] is not None
    ]
    await store(connection, events)


def _live(kind: str, data: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """A line of a timeline as a live event's kind and data; None for what only the timeline
    keeps."""
    if kind == "turn":
        return "call.turn", {"who": data.get("who"), "text": data.get("text"), **_cut(data)}
    if kind == "function":
        return "call.function", {"name": data.get("name"), "result": data.get("result")}
    if kind == "event" and data.get("name") == "agent_connected":
        return "call.agent", {"agent": data.get("agent")}
    return None


def _cut(data: Mapping[str, Any]) -> dict[str, bool]:
    return {"cut": True} if data.get("cut") else {}


def _final_status(status: str, outcome: Outcome) -> str:
    if status in FINAL_STATUSES:
        return status  # the carrier has said it already, and knows better
    return "failed" if outcome == Outcome.FAILED else "completed"


async def _from_timeline(connection: AsyncConnection, call_id: str) -> dict[str, Any]:
    rows = await _entries(connection, call_id)
    return {
        "transcript": transcript(data for kind, data in rows if kind == "turn"),
        "usage": total_usage(data for kind, data in rows if kind == "usage"),
    }


async def _entries(
    connection: AsyncConnection, call_id: str
) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """(kind, data) of turns and usage. A turn is stored when it is over: by when it began is the
    order in which people talked."""
    statement = (
        sa.select(call_events.c.kind, call_events.c.data)
        .where(call_events.c.call_id == call_id, call_events.c.kind.in_(("turn", "usage")))
        .order_by(call_events.c.at, call_events.c.seq)
    )
    return [(kind, data) for kind, data in await connection.execute(statement)]


async def _effects(connection: AsyncConnection, call_id: str) -> Sequence[tuple[str, str]]:
    """(name, effect) of the functions that had one, in order."""
    statement = (
        sa.select(function_calls.c.name, function_calls.c.effect)
        .where(function_calls.c.call_id == call_id, function_calls.c.effect.is_not(None))
        .order_by(function_calls.c.finished_at, function_calls.c.id)
    )
    return [(name, effect) for name, effect in await connection.execute(statement)]


async def _from_functions(connection: AsyncConnection, call_id: str) -> dict[str, Any]:
    rows = await _effects(connection, call_id)
    effects = {effect for _, effect in rows}
    return {
        "actions_performed": [name for name, _ in rows],
        "rdv_created": Outcome.BOOKED in effects,
        "qualified_prospect_created": Outcome.QUALIFIED in effects,
        "ticket_created": bool(effects & {Outcome.TICKET, Outcome.MESSAGE}),
    }


def transcript(turns: Iterable[Mapping[str, Any]]) -> str:
    """One line per turn, "caller: …" or "agent: …"; turns in which nothing was heard are left
    out."""
    lines = ((turn.get("who", ""), str(turn.get("text", "")).strip()) for turn in turns)
    return "\n".join(f"{who}: {' '.join(text.split())}" for who, text in lines if text)


def total_usage(entries: Iterable[Mapping[str, Any]]) -> dict[str, float] | None:
    """The sum of every number, by name; None when there was no entry."""
    total: dict[str, float] | None = None
    for entry in entries:
        total = {} if total is None else total
        for name, value in entry.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                total[name] = total.get(name, 0) + value
    return total
