"""Which call at Vapi is which of ours, and what Vapi tells about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from storage.calls import CALL_COLUMNS, CallRow
from storage.columns import Instant
from storage.database import Database
from storage.live_events import NewEvent, store
from storage.schema import call_events
from storage.schema import call_logs as table


@dataclass(frozen=True, slots=True)
class Turn:
    """`who`: "caller" or "agent"."""

    at: datetime
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class VapiReport:
    """What Vapi says of a call that it served. `cost_cents` of a US dollar; None and () where it
    says nothing."""

    summary: str | None = None
    cost_cents: int | None = None
    turns: Sequence[Turn] = ()
    transcript: str | None = None


class VapiCalls:
    """By Vapi's ids, whosever call it is: for its verified messages alone."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def link(self, call_id: str, vapi_call_id: str) -> bool:
        """From now on this call at Vapi is the one that serves ours; an earlier one of the same
        call is nobody's. False when ours has ended or is unknown, or the other serves another."""
        statement = (
            sa.update(table)
            .where(table.c.id == call_id, table.c.outcome.is_(None))
            .values(vapi_call_id=vapi_call_id, vapi_passed_at=None)
        )
        try:
            async with self._database.write() as connection:
                return (await connection.execute(statement)).rowcount > 0
        except IntegrityError:
            return False

    async def give_up(self, call_id: str) -> None:
        """Another agent has this call, or will: what serves it at Vapi commands nothing any more.
        What it cost and says of itself is still to be taken."""
        going_on = (table.c.vapi_call_id.is_not(None), table.c.vapi_passed_at.is_(None))
        statement = sa.update(table).where(table.c.id == call_id, *going_on)
        async with self._database.write() as connection:
            await connection.execute(statement.values(vapi_passed_at=self._clock.now()))

    async def find(self, vapi_call_id: str, *, serving: bool = False) -> CallRow | None:
        """Our call, if one is served by it, or was. `serving`: only if it still is."""
        statement = sa.select(*CALL_COLUMNS).where(table.c.vapi_call_id == vapi_call_id)
        if serving:
            statement = statement.where(table.c.vapi_passed_at.is_(None))
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).mappings().first()
        return None if row is None else CallRow(**row)

    async def of(self, call_id: str) -> str | None:
        """The call at Vapi that serves this one."""
        statement = sa.select(table.c.vapi_call_id).where(table.c.id == call_id)
        async with self._database.read() as connection:
            found: str | None = (await connection.execute(statement)).scalar()
        return found

    async def answered(self, call_id: str, stage: str, *, only_from: str) -> bool:
        """Vapi has the caller on the line, on a stream of its own. False when the call isn't in
        that stage (any more)."""
        now = self._clock.now()
        statement = (
            sa.update(table)
            .where(table.c.id == call_id, table.c.stage == only_from, table.c.outcome.is_(None))
            .values(
                stage=stage,
                call_status="in-progress",
                answered_at=sa.func.coalesce(table.c.answered_at, sa.literal(now, Instant)),
                seen_at=now,
            )
            .returning(table.c.tenant_id)
        )
        async with self._database.write() as connection:
            row = (await connection.execute(statement)).first()
            if row is None:
                return False
            if row.tenant_id is not None:
                event = NewEvent(row.tenant_id, now, "call.answered", call_id, {"again": False})
                await store(connection, [event])
            return True

    async def report(self, call_id: str, report: VapiReport) -> bool:
        """Fill in what is missing: the cost if it is told, the summary if Vapi had the call to its
        end, and the words only if we heard none ourselves. The same report twice changes nothing.
        False when there is no such call."""
        async with self._database.write() as connection:
            columns = (table.c.transcript, table.c.vapi_passed_at)
            statement = sa.select(*columns).where(table.c.id == call_id)
            call = (await connection.execute(statement.with_for_update())).first()
            if call is None:
                return False
            values: dict[str, object] = {}
            # Of a call that another agent went on with, Vapi knows the beginning only.
            if report.summary and call.vapi_passed_at is None:
                values["summary"] = report.summary
            if report.cost_cents is not None:
                values["vapi_cost_cents"] = report.cost_cents
            heard = await self._heard(connection, call_id)
            if not heard and report.turns:
                await connection.execute(
                    sa.insert(call_events),
                    [
                        {
                            "call_id": call_id,
                            "at": turn.at,
                            "kind": "turn",
                            "data": {"who": turn.who, "text": turn.text},
                        }
                        for turn in report.turns
                    ],
                )
            if not heard and not call.transcript and report.transcript:
                values["transcript"] = report.transcript
            if values:
                await connection.execute(
                    sa.update(table).where(table.c.id == call_id).values(values)
                )
            return True

    async def _heard(self, connection: AsyncConnection, call_id: str) -> bool:
        """Whether we listened: of what an assistant on our own stream believes to have said, only
        what we heard was said. Vapi's bypass we don't hear."""
        told = sa.select(call_events.c.kind, call_events.c.data).where(
            call_events.c.call_id == call_id, call_events.c.kind.in_(("turn", "event"))
        )
        return any(
            kind == "turn"
            or (data.get("name") == "agent_connected" and data.get("agent") != "vapi:bypass")
            for kind, data in await connection.execute(told)
        )
