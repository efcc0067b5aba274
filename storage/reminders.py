"""What customers are told about an appointment unasked: confirmations, reminders.

A row per appointment, kind and start; unique, so that planning twice plans once. A durable job
wakes each row at its time and looks at the appointment again before anything goes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from domain.errors import NotFound
from storage.conflicts import insert_unless_taken
from storage.jobs import jobs_on
from storage.schema import channel_messages_log as texts
from storage.schema import reminders as table
from storage.schema import rendez_vous
from storage.scope import Scope, new_id

#: The job: payload {"reminder_id": …}.
SEND: Final = "reminder.send"

PLANNED, SENDING, SENT, DROPPED, FAILED = "planned", "sending", "sent", "dropped", "failed"
#: What became of being in a hurry (`Reminders.hasten`).
QUEUED, ALREADY, UNREACHABLE = "queued", "already", "unreachable"
#: In which states an appointment must be for a kind to be told; confirmed if it isn't named.
STILL: Final = {"cancelled": ("cancelled",)}
_OPEN: Final = (PLANNED, SENDING)
#: Which of the appointment's flags, that the dashboard reads, a kind sets.
_FLAGS: Final = {
    "24h": "reminder_24h_sent",
    "1h": "reminder_1h_sent",
    "confirmation": "confirmation_sent",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ought to be planned: `kind` 24h | 1h | confirmation | moved | cancelled."""

    kind: str
    due_at: datetime
    only_without_first: bool = False


@dataclass(frozen=True, slots=True)
class Reminder:
    """`tried`: (channel, id of the text), in order; `starts_at` is the appointment's start that it
    is about."""

    id: str
    tenant_id: str
    appointment_id: str
    kind: str
    starts_at: datetime
    due_at: datetime
    only_without_first: bool
    state: str
    reason: str | None
    tried: tuple[tuple[str, str], ...]
    created_at: datetime

    @property
    def open(self) -> bool:
        return self.state in _OPEN


class Reminders:
    """A tenant's."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._jobs = jobs_on(scope.connection, scope.clock, scope.tenant_id)

    async def plan(
        self, appointment_id: str, starts_at: datetime, wanted: Iterable[Wanted]
    ) -> None:
        """These, and of what was planned before only what still fits, are planned from now on.
        What has gone, or is on its way, stays as it is."""
        now = self._scope.now()
        kept = {each.kind: each for each in wanted}
        for row in await self.of(appointment_id):
            if row.state != PLANNED:
                continue
            still = kept.get(row.kind) if row.starts_at == starts_at else None
            if still is None:
                await self.settle(row.id, DROPPED, reason="changed")
                await self._jobs.cancel(_key(row.id))
        for each in kept.values():
            row_id = new_id()
            values: dict[str, Any] = {
                "id": row_id,
                "tenant_id": self._scope.tenant_id,
                "appointment_id": appointment_id,
                "kind": each.kind,
                "starts_at": starts_at,
                "due_at": each.due_at,
                "only_without_first": each.only_without_first,
                "created_at": now,
                "updated_at": now,
            }
            if await insert_unless_taken(self._scope.connection, table, values):
                await self.wake(row_id, each.due_at)
                continue
            # Planned before, for the same start: only its time may have changed. One that was
            # dropped because the appointment moved away, and has now come back, counts again.
            changed = await self._scope.connection.execute(
                self._scope.update(table)
                .where(
                    table.c.appointment_id == appointment_id,
                    table.c.kind == each.kind,
                    table.c.starts_at == starts_at,
                    sa.or_(
                        table.c.state == PLANNED,
                        sa.and_(table.c.state == DROPPED, table.c.reason == "changed"),
                    ),
                )
                .values(
                    state=PLANNED,
                    reason=None,
                    due_at=each.due_at,
                    only_without_first=each.only_without_first,
                    updated_at=now,
                )
            )
            if changed.rowcount:
                for row in await self.of(appointment_id):
                    if row.kind == each.kind and row.starts_at == starts_at:
                        await self.wake(row.id, each.due_at)

    async def hasten(self, appointment_id: str, starts_at: datetime, kind: str) -> str:
        """It goes now, planned or not, unless it went before: QUEUED, ALREADY, or UNREACHABLE when
        all channels have failed. The appointment is the tenant's."""
        mine = self._scope.select(rendez_vous, rendez_vous.c.id)
        if await self._scope.first(mine.where(rendez_vous.c.id == appointment_id)) is None:
            raise NotFound("no such appointment", message_key="appointment_unknown")
        now = self._scope.now()
        for row in await self.of(appointment_id):
            if (row.kind, row.starts_at) == (kind, starts_at):
                if row.state in (PLANNED, DROPPED):
                    await self._change(row.id, state=PLANNED, reason=None, due_at=now)
                    await self.wake(row.id, now)
                    return QUEUED
                return UNREACHABLE if row.state == FAILED else ALREADY
        row_id = new_id()
        values: dict[str, Any] = {
            "id": row_id,
            "tenant_id": self._scope.tenant_id,
            "appointment_id": appointment_id,
            "kind": kind,
            "starts_at": starts_at,
            "due_at": now,
            "only_without_first": False,
            "created_at": now,
            "updated_at": now,
        }
        if not await insert_unless_taken(self._scope.connection, table, values):
            return ALREADY  # planned at this very moment: it goes at its time
        await self.wake(row_id, now)
        return QUEUED

    async def wake(self, reminder_id: str, at: datetime) -> None:
        """Look at it then."""
        await self._jobs.put(SEND, {"reminder_id": reminder_id}, key=_key(reminder_id), at=at)

    async def get(self, reminder_id: str) -> Reminder | None:
        """One of the tenant's, held until the end of the transaction where the database can."""
        statement = self._scope.select(table, *_COLUMNS).where(table.c.id == reminder_id)
        row = await self._scope.first(statement.with_for_update())
        return None if row is None else _reminder(row)

    async def with_text(self, text_id: str) -> Reminder | None:
        """The one that this text was put for."""
        about = sa.select(texts.c.appointment_id).where(
            texts.c.id == text_id, texts.c.tenant_id == self._scope.tenant_id
        )
        statement = self._scope.select(table, *_COLUMNS).where(
            table.c.appointment_id == about.scalar_subquery()
        )
        rows = [_reminder(row) for row in await self._scope.all(statement.with_for_update())]
        return next((row for row in rows if text_id in {text for _, text in row.tried}), None)

    async def of(self, appointment_id: str) -> list[Reminder]:
        """An appointment's, in the order of their times."""
        statement = self._scope.select(table, *_COLUMNS).where(
            table.c.appointment_id == appointment_id
        )
        rows = await self._scope.all(statement.order_by(table.c.due_at, table.c.id))
        return [_reminder(row) for row in rows]

    async def went(self, appointment_id: str, kind: str, starts_at: datetime) -> bool:
        """Whether that one reached a vendor, or is on its way to one."""
        rows = await self.of(appointment_id)
        return any(
            row.kind == kind and row.starts_at == starts_at and row.state in (SENDING, SENT)
            for row in rows
        )

    async def trying(self, reminder_id: str, tried: Sequence[tuple[str, str]]) -> None:
        """Its text is in the outbox."""
        await self._change(
            reminder_id, state=SENDING, tried=[[channel, text] for channel, text in tried]
        )

    async def settle(self, reminder_id: str, state: str, *, reason: str | None = None) -> None:
        """It went, or it won't."""
        await self._change(reminder_id, state=state, reason=reason)

    async def mark_sent(self, reminder: Reminder) -> None:
        """It went: the appointment says so, too."""
        await self.settle(reminder.id, SENT)
        await self._flag(reminder, value=True)

    async def unmark(self, reminder: Reminder) -> None:
        """It went nowhere after all."""
        await self._flag(reminder, value=False)

    async def _flag(self, reminder: Reminder, *, value: bool) -> None:
        flag = _FLAGS.get(reminder.kind)
        if flag is not None:
            await self._scope.connection.execute(
                self._scope.update(rendez_vous)
                .where(rendez_vous.c.id == reminder.appointment_id)
                .values(**{flag: value})
            )

    async def _change(self, reminder_id: str, **values: Any) -> None:
        await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == reminder_id)
            .values(updated_at=self._scope.now(), **values)
        )


_COLUMNS = (
    table.c.id,
    table.c.tenant_id,
    table.c.appointment_id,
    table.c.kind,
    table.c.starts_at,
    table.c.due_at,
    table.c.only_without_first,
    table.c.state,
    table.c.reason,
    table.c.tried,
    table.c.created_at,
)


def _key(reminder_id: str) -> str:
    return f"reminder:{reminder_id}"


def _reminder(row: sa.RowMapping) -> Reminder:
    return Reminder(**{**row, "tried": tuple((a, b) for a, b in row["tried"])})
