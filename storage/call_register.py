"""Calls as the webhooks and the bridge see them: by CallSid or id, tenant or not."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from domain.clock import Clock
from domain.errors import Invalid, NotFound
from storage import messages
from storage.calls import CALL_COLUMNS, CallRow, NewCall
from storage.conflicts import unless_taken
from storage.database import Database
from storage.schema import TRANSFER_STATES, channel_messages_log, stream_tokens
from storage.schema import call_logs as table
from storage.scope import new_id

#: Ids in one statement: well below what either database takes as parameters.
_BATCH = 500


class OpenedCall(NamedTuple):
    """`created` is False when this CallSid had been opened before: `call` is the earlier one."""

    call: CallRow
    created: bool


class PendingTransfer(NamedTuple):
    """A transfer under way: our dial to `number` on behalf of `from_number`."""

    call_id: str
    from_number: str
    number: str


class CallRegister:
    """The state of calls that nodes share."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # --------------------------------------------------------------------------- opening

    async def open_call(self, new: NewCall, opening: Mapping[str, Any]) -> OpenedCall:
        """Journal a call with its opening (what the webhook answered it with), once per CallSid:
        a repeated webhook gets the earlier row, with the earlier opening."""
        now = self._clock.now()
        row = {
            "id": new_id(),
            "tenant_id": new.tenant_id,
            "call_sid": new.call_sid,
            "from_number": new.from_number,
            "from_raw": new.from_raw,
            "to_number": new.to_number,
            "forwarded_from": new.forwarded_from,
            "forwarded_from_raw": new.forwarded_from_raw,
            "direction": new.direction,
            "call_status": "ringing",
            "stage": new.stage,
            "found_by": new.found_by,
            "opening": dict(opening),
            "started_at": now,
            "created_at": now,
            "seen_at": now,
        }
        async with self._database.write() as connection:
            insert = unless_taken(connection, table, *CALL_COLUMNS)
            created = (await connection.execute(insert, row)).mappings().first()
            if created is not None:
                return OpenedCall(CallRow(**created), created=True)
            earlier = sa.select(*CALL_COLUMNS).where(table.c.call_sid == new.call_sid)
            return OpenedCall(
                CallRow(**(await connection.execute(earlier)).mappings().one()), created=False
            )

    async def set_opening(self, call_id: str, opening: Mapping[str, Any]) -> None:
        """Replace what a repeated webhook is to be answered with."""
        await self._update(table.c.id == call_id, opening=dict(opening))

    async def bind_call(self, call_id: str, tenant_id: str, found_by: str) -> bool:
        """Give an unbound, unfinished call its tenant; False when it isn't one (any more)."""
        return await self._update(
            table.c.id == call_id,
            table.c.tenant_id.is_(None),
            table.c.outcome.is_(None),
            tenant_id=tenant_id,
            found_by=found_by,
        )

    async def get_call(self, call_id: str) -> CallRow | None:
        """By our id."""
        return await self._call(table.c.id == call_id)

    async def call_by_sid(self, call_sid: str) -> CallRow | None:
        """By the carrier's id."""
        return await self._call(table.c.call_sid == call_sid)

    # --------------------------------------------------------------------- stream tokens

    async def new_stream_token(self, token_hash: str, call_sid: str, expires_at: datetime) -> None:
        """Remember a token, hashed, for one stream of this call. NotFound for an unknown call."""
        try:
            async with self._database.write() as connection:
                await connection.execute(
                    sa.insert(stream_tokens).values(
                        token_hash=token_hash,
                        call_sid=call_sid,
                        created_at=self._clock.now(),
                        expires_at=expires_at,
                    )
                )
        except IntegrityError as error:
            raise NotFound("no such call, or this token exists already") from error

    async def consume_stream_token(self, token_hash: str, call_sid: str, now: datetime) -> bool:
        """Use it up. True exactly once, for that call, before it expires."""
        async with self._database.write() as connection:
            used = await connection.execute(
                sa.update(stream_tokens)
                .where(
                    stream_tokens.c.token_hash == token_hash,
                    stream_tokens.c.call_sid == call_sid,
                    stream_tokens.c.used_at.is_(None),
                    stream_tokens.c.expires_at > now,
                )
                .values(used_at=now)
            )
            return used.rowcount == 1

    # -------------------------------------------------------------------------- progress

    async def set_stage(
        self, call_id: str, stage: str, *, only_from: Sequence[str] | None = None
    ) -> bool:
        """Move a call to `stage`; False when it isn't in one of `only_from`, or unknown."""
        conditions = [table.c.id == call_id]
        if only_from is not None:
            conditions.append(table.c.stage.in_(only_from))
        return await self._update(*conditions, stage=stage)

    async def mark_answered(self, call_id: str, at: datetime) -> bool:
        """The caller is connected; False when that was known, or the call has ended."""
        return await self._update(
            table.c.id == call_id,
            table.c.answered_at.is_(None),
            table.c.outcome.is_(None),
            answered_at=at,
            call_status="in-progress",
        )

    async def next_attempt(self, call_id: str) -> int:
        """Count one more attempt (at a stream, at asking for the tenant …): 1, 2, … NotFound."""
        statement = (
            sa.update(table)
            .where(table.c.id == call_id)
            .values(attempts=table.c.attempts + 1)
            .returning(table.c.attempts)
        )
        async with self._database.write() as connection:
            attempt = (await connection.execute(statement)).scalar()
        if attempt is None:
            raise NotFound("no such call")
        return int(attempt)

    # ------------------------------------------------------------------------- transfers

    async def set_transfer(self, call_id: str, number: str | None, state: str) -> None:
        """Where a transfer to `number` stands: dialling | accepted | failed."""
        if state not in TRANSFER_STATES:
            raise Invalid(f"must be one of {', '.join(TRANSFER_STATES)}", field="transfer_state")
        await self._update(
            table.c.id == call_id,
            transfer_number=number,
            transfer_state=state,
            transfer_at=self._clock.now(),
        )

    async def pending_transfers(self, since: datetime) -> list[PendingTransfer]:
        """Calls going on whose transfer we began to dial after `since`, and no end of which is
        known."""
        statement = sa.select(table.c.id, table.c.from_number, table.c.transfer_number).where(
            table.c.transfer_number.is_not(None),
            table.c.transfer_state == "dialling",
            table.c.outcome.is_(None),
            table.c.transfer_at >= since,
        )
        async with self._database.read() as connection:
            return [PendingTransfer(*row) for row in await connection.execute(statement)]

    # -------------------------------------------------------------------------- sweeping

    async def open_calls(self, before: datetime, limit: int) -> list[CallRow]:
        """Calls without an outcome that began, and were last seen alive, before then; oldest
        first."""
        statement = (
            sa.select(*CALL_COLUMNS)
            .where(
                table.c.outcome.is_(None),
                table.c.started_at < before,
                sa.or_(table.c.seen_at.is_(None), table.c.seen_at < before),
            )
            .order_by(table.c.started_at)
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).mappings()
            return [CallRow(**row) for row in rows]

    async def touch(self, call_ids: Sequence[str], now: datetime) -> None:
        """These calls are alive on this node."""
        remaining = iter(call_ids)
        async with self._database.write() as connection:
            while batch := list(islice(remaining, _BATCH)):
                await connection.execute(
                    sa.update(table).where(table.c.id.in_(batch)).values(seen_at=now)
                )

    # -------------------------------------------------------------------------- messages

    async def message_status(
        self, external_id: str, status: str, error_code: str | None, at: datetime
    ) -> bool:
        """Move the message with this vendor's id forward, whoever's it is; False when it is
        unknown, there already or further."""
        statement = messages.advance(
            sa.update(channel_messages_log), external_id, status, error_code, at
        )
        async with self._database.write() as connection:
            return (await connection.execute(statement)).rowcount > 0

    # ----------------------------------------------------------------------------- shared

    async def _call(self, condition: sa.ColumnElement[bool]) -> CallRow | None:
        async with self._database.read() as connection:
            result = await connection.execute(sa.select(*CALL_COLUMNS).where(condition))
            row = result.mappings().first()
        return None if row is None else CallRow(**row)

    async def _update(self, *conditions: sa.ColumnElement[bool], **values: Any) -> bool:
        async with self._database.write() as connection:
            changed = await connection.execute(sa.update(table).where(*conditions).values(**values))
            return changed.rowcount > 0
