"""A conversation by turns as nodes share it: which turn it stands at, and who is answering it.

Twilio asks for each turn with a request of its own, which may come twice and to any node. The
turn's number decides: `claim` gives it to one of those who ask, `answer` stores what is said to it,
together with the lines of the timeline, and moves on to the next.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from storage.calls import CALL_COLUMNS, CallRow
from storage.columns import Instant
from storage.database import Database
from storage.journal import JournalEntry, add_lines
from storage.live_events import NewEvent, store
from storage.schema import call_logs as table

#: Opening of a call that is conversed with by turns: {"kind": TURNS, "turn": n, …}.
TURNS = "turns"


class Claim(NamedTuple):
    """`call` is the call as it stands; `taken`: the turn is yours to answer."""

    call: CallRow
    taken: bool


class CallTurns:
    """The turns of running calls. Nothing here is changed of a call that has ended."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def claim(
        self,
        call_id: str,
        turn: int,
        heard: Mapping[str, Any],
        lines: Sequence[JournalEntry],
        stale_before: datetime,
    ) -> Claim | None:
        """Take this turn, with what was `heard` in it and the timeline's `lines` of that, unless
        somebody else has taken it after `stale_before`. A turn that is taken over keeps what was
        heard the first time. None when the call is unknown."""
        async with self._database.write() as connection:
            call = await _locked(connection, call_id)
            if call is None:
                return None
            if not _stands_at(call, turn):
                return Claim(call, taken=False)
            earlier = call.opening.get("heard")
            if earlier is not None and datetime.fromisoformat(earlier["since"]) > stale_before:
                return Claim(call, taken=False)
            kept = {key: value for key, value in (earlier or heard).items() if key != "since"}
            told = {**kept, "since": self._clock.now().isoformat()}
            values = {"opening": {**call.opening, "heard": told}}
            if earlier is None:
                await add_lines(connection, lines)
            return Claim(await _changed(connection, call_id, values), taken=True)

    async def answer(
        self,
        call_id: str,
        turn: int,
        opening: Mapping[str, Any],
        stage: str,
        lines: Sequence[JournalEntry],
    ) -> CallRow | None:
        """Answer this turn: what the next request is answered with, where the call stands from now
        on, and the timeline's lines. None when the turn has been answered, or the call has
        ended."""
        async with self._database.write() as connection:
            call = await _locked(connection, call_id)
            if call is None or not _stands_at(call, turn):
                return None
            values = {"opening": dict(opening), "stage": stage}
            changed = await _changed(connection, call_id, values)
            await add_lines(connection, lines)
            return changed

    async def begin(self, call_id: str, lines: Sequence[JournalEntry]) -> None:
        """The call is answered without a stream, by these first words."""
        now = self._clock.now()
        async with self._database.write() as connection:
            call = await _locked(connection, call_id)
            if call is None or call.outcome is not None:
                return
            values = {
                "call_status": "in-progress",
                "answered_at": sa.func.coalesce(table.c.answered_at, sa.literal(now, Instant)),
                "seen_at": now,
            }
            await _changed(connection, call_id, values)
            await add_lines(connection, lines)
            if call.tenant_id is not None:
                again = call.answered_at is not None
                event = NewEvent(call.tenant_id, now, "call.answered", call_id, {"again": again})
                await store(connection, [event])

    async def keep_recording(self, call_id: str, url: str) -> None:
        """Where the caller's voicemail can be fetched; the first one stays."""
        statement = (
            sa.update(table)
            .where(table.c.id == call_id, table.c.recording_url.is_(None))
            .values(recording_url=url)
        )
        async with self._database.write() as connection:
            await connection.execute(statement)


async def _locked(connection: AsyncConnection, call_id: str) -> CallRow | None:
    statement = sa.select(*CALL_COLUMNS).where(table.c.id == call_id).with_for_update()
    row = (await connection.execute(statement)).mappings().first()
    return None if row is None else CallRow(**row)


async def _changed(connection: AsyncConnection, call_id: str, values: Mapping[str, Any]) -> CallRow:
    statement = sa.update(table).where(table.c.id == call_id).values(**values)
    row = (await connection.execute(statement.returning(*CALL_COLUMNS))).mappings().one()
    return CallRow(**row)


def _stands_at(call: CallRow, turn: int) -> bool:
    opening = call.opening
    return call.outcome is None and opening.get("kind") == TURNS and opening.get("turn") == turn
