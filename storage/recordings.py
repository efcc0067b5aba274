"""Recordings of calls at the carrier: begun once the caller has heard of it, deleted when they say
no, and at the end of their time.

A row is there before the carrier is asked. Jobs look at it: `recording.start` begins one that was
announced, `recording.delete` stops and deletes. Who says no leaves a row that says so until then,
so that nothing is begun afterwards.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from storage.conflicts import insert_unless_taken
from storage.jobs import jobs_on
from storage.schema import call_logs
from storage.schema import recordings as table
from storage.scope import Scope, new_id

START, DELETE = "recording.start", "recording.delete"
ANNOUNCED, RECORDING, REFUSED, KEPT, FAILED = (
    "announced",
    "recording",
    "refused",
    "kept",
    "failed",
)
_CALL: Final = "call"
_VOICEMAIL: Final = "voicemail"


@dataclass(frozen=True, slots=True)
class Recording:
    """`recording_sid` None: the carrier hasn't said it, or was never asked."""

    id: str
    call_id: str
    call_sid: str
    recording_sid: str | None
    state: str
    started_at: datetime | None


_COLUMNS = tuple(table.c[name] for name in Recording.__slots__)


class Recordings:
    """A tenant's."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def announced(self, call_id: str) -> bool:
        """The caller has heard that the call is recorded: begin, unless it was begun or refused
        before."""
        recording_id = await self._add(call_id, ANNOUNCED)
        if recording_id is not None:
            await self._jobs.put(
                START, {"recording_id": recording_id}, key=f"{START}:{recording_id}"
            )
        return recording_id is not None

    async def refuse(self, call_id: str) -> bool:
        """The caller says no: what there is is stopped and deleted, and nothing is begun. True if
        one was under way."""
        added = await self._add(call_id, REFUSED)
        it = await self.of_call(call_id)
        if added is not None or it is None:
            return False
        await self._change(it.id, state=REFUSED)
        await self.delete_at(it.id, None)
        return True

    async def kept(self, call_id: str, recording_sid: str) -> None:
        """The caller has left a message at the carrier: it is deleted at the end of its time."""
        values = {"recording_sid": recording_sid, "started_at": self._scope.now()}
        recording_id = await self._add(call_id, KEPT, source=_VOICEMAIL, **values)
        if recording_id is not None:
            await self.delete_at(recording_id, None)  # which knows how long that is

    async def _add(
        self, call_id: str, state: str, *, source: str = _CALL, **values: Any
    ) -> str | None:
        """The id of a new row; None: the call has one, or isn't the tenant's."""
        call = await self._scope.first(
            self._scope.select(call_logs, call_logs.c.call_sid).where(call_logs.c.id == call_id)
        )
        if call is None:
            return None
        row = {
            "id": new_id(),
            "tenant_id": self._scope.tenant_id,
            "source": source,
            "call_id": call_id,
            "call_sid": call["call_sid"],
            "state": state,
            "created_at": self._scope.now(),
            **values,
        }
        taken = await insert_unless_taken(self._scope.connection, table, row)
        return str(row["id"]) if taken else None

    async def get(self, recording_id: str) -> Recording | None:
        """One of the tenant's, or None."""
        row = await self._scope.first(
            self._scope.select(table, *_COLUMNS).where(table.c.id == recording_id)
        )
        return None if row is None else Recording(**row)

    async def of_call(self, call_id: str) -> Recording | None:
        """The call's own; None: it isn't recorded."""
        row = await self._scope.first(
            self._scope.select(table, *_COLUMNS).where(
                table.c.call_id == call_id, table.c.source == _CALL
            )
        )
        return None if row is None else Recording(**row)

    async def claim(self, recording_id: str) -> bool:
        """The carrier is about to be asked, once: False when it was, or nobody wants it."""
        return await self._change(recording_id, only=ANNOUNCED, state=RECORDING)

    async def started(self, recording_id: str, recording_sid: str, address: str) -> bool:
        """The carrier records, at this address. False when the caller has refused meanwhile."""
        await self._change(recording_id, recording_sid=recording_sid, started_at=self._scope.now())
        it = await self.get(recording_id)
        if it is None or it.state != RECORDING:
            return False
        await self._scope.connection.execute(
            self._scope.update(call_logs)
            .where(call_logs.c.id == it.call_id)
            .values(recording_url=address)
        )
        return True

    async def failed(self, recording_id: str) -> None:
        """The carrier refused: there is none."""
        await self._change(recording_id, only=RECORDING, state=FAILED)

    async def delete_at(self, recording_id: str, at: datetime | None) -> None:
        """Have it deleted then; None: now."""
        payload = {"recording_id": recording_id}
        await self._jobs.put(DELETE, payload, key=f"{DELETE}:{recording_id}", at=at)

    async def gone(self, recording_id: str) -> None:
        """The carrier has deleted it. A refusal stays as long as its call lasts."""
        it = await self.get(recording_id)
        if it is None:
            return
        await self._scope.connection.execute(
            self._scope.update(call_logs)
            .where(call_logs.c.id == it.call_id)
            .values(recording_url=None)
        )
        running = self._scope.select(call_logs, call_logs.c.id).where(
            call_logs.c.id == it.call_id, call_logs.c.outcome.is_(None)
        )
        if it.state == REFUSED and await self._scope.first(running) is not None:
            await self._change(recording_id, recording_sid=None)
            return
        await self._scope.connection.execute(
            self._scope.delete(table).where(table.c.id == recording_id)
        )

    @property
    def _jobs(self) -> Any:
        return jobs_on(self._scope.connection, self._scope.clock, self._scope.tenant_id)

    async def _change(self, recording_id: str, only: str | None = None, **values: Any) -> bool:
        statement = self._scope.update(table).where(table.c.id == recording_id)
        if only is not None:
            statement = statement.where(table.c.state == only)
        changed: sa.CursorResult[Any] = await self._scope.connection.execute(
            statement.values(**values)
        )
        return bool(changed.rowcount)
