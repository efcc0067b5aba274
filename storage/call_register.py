"""Calls as the webhooks and the bridge see them: by CallSid or id, tenant or not."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.errors import Invalid, NotFound
from storage.calls import CALL_COLUMNS, CallRow, NewCall
from storage.columns import Instant
from storage.conflicts import unless_taken
from storage.database import Database
from storage.live_events import NewEvent, store
from storage.schema import (
    TRANSFER_STATES,
    contact_addresses,
    stream_tokens,
)
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


class StreamToken(NamedTuple):
    """A one-time token of a media stream, as it is stored."""

    hash: str
    expires_at: datetime


class CallRegister:
    """The state of calls that nodes share."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    # --------------------------------------------------------------------------- opening

    async def open_call(
        self, new: NewCall, opening: Mapping[str, Any], token: StreamToken | None = None
    ) -> OpenedCall:
        """Journal a call with its opening (what the webhook answers it with) and the token that
        its stream must present, once per CallSid: a repeated webhook gets the earlier row with the
        earlier opening, and its own token isn't stored."""
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
            "contact_id": _known(new.tenant_id, new.from_number),
        }
        async with self._database.write() as connection:
            insert = unless_taken(connection, table, *CALL_COLUMNS).values(**row)
            created = (await connection.execute(insert)).mappings().first()
            if created is not None:
                await self._add_token(connection, new.call_sid, token)
                call = CallRow(**created)
                await self._publish(connection, call, "call.started", _started(call))
                return OpenedCall(call, created=True)
            earlier = sa.select(*CALL_COLUMNS).where(table.c.call_sid == new.call_sid)
            return OpenedCall(
                CallRow(**(await connection.execute(earlier)).mappings().one()), created=False
            )

    async def reopen(
        self,
        call_id: str,
        opening: Mapping[str, Any],
        stage: str,
        token: StreamToken | None = None,
        *,
        unless: str = "",
        attempts: int | None = None,
    ) -> CallRow | None:
        """Answer a running call anew: what a repeated webhook is answered with from now on, where
        the call stands, and the token of its next stream, until which no node carries it, and no
        call at Vapi commands it. With `attempts`, one more is counted, if there have been so many
        so far: of several that answer at once, one does. None when somebody else has, and when it
        is in the stage `unless`, has ended or is unknown."""
        now = self._clock.now()
        statement = (
            sa.update(table)
            .where(table.c.id == call_id, table.c.outcome.is_(None), table.c.stage != unless)
            .values(opening=dict(opening), stage=stage, node_id=None, vapi_passed_at=now)
            .returning(*CALL_COLUMNS)
        )
        if attempts is not None:
            statement = statement.where(table.c.attempts == attempts)
            statement = statement.values(attempts=attempts + 1)
        async with self._database.write() as connection:
            row = (await connection.execute(statement)).mappings().first()
            if row is None:
                return None
            await self._add_token(connection, row["call_sid"], token)
            return CallRow(**row)

    async def bind_call(self, call_id: str, tenant_id: str, found_by: str) -> bool:
        """Give an unbound, unfinished call its tenant; False when it isn't one (any more)."""
        statement = (
            sa.update(table)
            .where(table.c.id == call_id, table.c.tenant_id.is_(None), table.c.outcome.is_(None))
            .values(
                tenant_id=tenant_id,
                found_by=found_by,
                contact_id=_known(tenant_id, table.c.from_number),
            )
            .returning(*CALL_COLUMNS)
        )
        async with self._database.write() as connection:
            row = (await connection.execute(statement)).mappings().first()
            if row is None:
                return False
            call = CallRow(**row)
            await self._publish(connection, call, "call.started", _started(call))
            return True

    async def get_call(self, call_id: str) -> CallRow | None:
        """By our id."""
        return await self._call(table.c.id == call_id)

    async def call_by_sid(self, call_sid: str) -> CallRow | None:
        """By the carrier's id."""
        return await self._call(table.c.call_sid == call_sid)

    # --------------------------------------------------------------------- stream tokens

    async def _add_token(
        self, connection: AsyncConnection, call_sid: str, token: StreamToken | None
    ) -> None:
        if token is None:
            return
        row = {
            "token_hash": token.hash,
            "call_sid": call_sid,
            "created_at": self._clock.now(),
            "expires_at": token.expires_at,
        }
        await connection.execute(sa.insert(stream_tokens), row)

    async def join_stream(
        self, token_hash: str, call_sid: str, stage: str, now: datetime, node_id: str | None = None
    ) -> CallRow | None:
        """Use the token up and let its stream join the call, which moves to `stage`, counts as
        answered and is carried by this node from now on. None when the token doesn't open this
        call, now, for the first time, and when the call has ended or has no tenant."""
        use = (
            sa.update(stream_tokens)
            .where(
                stream_tokens.c.token_hash == token_hash,
                stream_tokens.c.call_sid == call_sid,
                stream_tokens.c.used_at.is_(None),
                stream_tokens.c.expires_at > now,
            )
            .values(used_at=now)
        )
        join = (
            sa.update(table)
            .where(
                table.c.call_sid == call_sid,
                table.c.outcome.is_(None),
                table.c.tenant_id.is_not(None),
            )
            .values(
                stage=stage,
                node_id=node_id,
                call_status="in-progress",
                answered_at=sa.func.coalesce(table.c.answered_at, sa.literal(now, Instant)),
                seen_at=now,
            )
            .returning(*CALL_COLUMNS)
        )
        async with self._database.write() as connection:
            if (await connection.execute(use)).rowcount != 1:
                return None
            row = (await connection.execute(join)).mappings().first()
            if row is None:
                return None
            call = CallRow(**row)
            # A later stream of the same call (`continue`) answers it once more.
            again = call.answered_at != now
            await self._publish(connection, call, "call.answered", {"again": again})
            return call

    # -------------------------------------------------------------------------- progress

    async def set_stage(
        self,
        call_id: str,
        stage: str,
        *,
        only_from: Sequence[str] | None = None,
        carried_by: str | None = None,
    ) -> bool:
        """Move a call to `stage`; False when it isn't in one of `only_from`, not `carried_by` this
        node, or unknown."""
        conditions = [table.c.id == call_id]
        if carried_by is not None:
            conditions.append(table.c.node_id == carried_by)
        if only_from is not None:
            conditions.append(table.c.stage.in_(only_from))
        return await self._update(*conditions, stage=stage)

    async def put_down(self, call_id: str) -> None:
        """The call goes on without a stream: no node carries it, and none is missed."""
        await self._update(table.c.id == call_id, node_id=None)

    async def settled_elsewhere(self, call_sids: Sequence[str], node_id: str) -> set[str]:
        """Which of these calls this node need not expect: they have ended, or another node carries
        them."""
        elsewhere = sa.and_(table.c.node_id.is_not(None), table.c.node_id != node_id)
        statement = sa.select(table.c.call_sid).where(
            table.c.call_sid.in_(call_sids), sa.or_(table.c.outcome.is_not(None), elsewhere)
        )
        async with self._database.read() as connection:
            return set((await connection.execute(statement)).scalars())

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

    async def set_transfer(
        self, call_id: str, number: str | None, state: str, *, carried_by: str | None = None
    ) -> bool:
        """Where a transfer to `number` stands: dialling | accepted | failed. False when the call
        isn't `carried_by` this node."""
        if state not in TRANSFER_STATES:
            raise Invalid(f"must be one of {', '.join(TRANSFER_STATES)}", field="transfer_state")
        conditions = [table.c.id == call_id]
        if carried_by is not None:
            conditions.append(table.c.node_id == carried_by)
        return await self._update(
            *conditions,
            transfer_number=number,
            transfer_state=state,
            transfer_at=self._clock.now(),
        )

    async def hand_over(
        self, call_id: str, number: str, *, stage: str, only_from: Sequence[str]
    ) -> CallRow | None:
        """The call moves to `stage` and begins to ring `number`; from here on no node carries it,
        so that its stream's end is not its own. The call as it was before, or None when it isn't in
        one of `only_from` (any more)."""
        going_on = (
            table.c.id == call_id,
            table.c.outcome.is_(None),
            table.c.stage.in_(only_from),
            sa.or_(table.c.transfer_state.is_(None), table.c.transfer_state == "failed"),
        )
        async with self._database.write() as connection:
            statement = sa.select(*CALL_COLUMNS).where(*going_on).with_for_update()
            row = (await connection.execute(statement)).mappings().first()
            if row is None:
                return None
            await connection.execute(
                sa.update(table)
                .where(table.c.id == call_id)
                .values(
                    stage=stage,
                    node_id=None,
                    transfer_number=number,
                    transfer_state="dialling",
                    transfer_at=self._clock.now(),
                )
            )
            return CallRow(**row)

    async def take_back(self, before: CallRow, *, only_from: str) -> bool:
        """`hand_over` came to nothing: the call is as it was `before`, unless it has moved on."""
        return await self._update(
            table.c.id == before.id,
            table.c.outcome.is_(None),
            table.c.stage == only_from,
            table.c.node_id.is_(None),
            stage=before.stage,
            node_id=before.node_id,
            transfer_number=before.transfer_number,
            transfer_state=before.transfer_state,
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

    async def claim_unseen(self, before: datetime, seen: datetime, limit: int) -> list[CallRow]:
        """Calls without an outcome that began, and were last seen alive, before then; oldest first.

        They count as seen at `seen` from now on, so that nobody else claims them meanwhile: of
        several nodes that ask at once, one gets each.
        """
        chosen = (
            sa.select(table.c.id)
            .where(
                table.c.outcome.is_(None),
                table.c.started_at < before,
                sa.or_(table.c.seen_at.is_(None), table.c.seen_at < before),
            )
            .order_by(table.c.started_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("chosen")  # and not a subquery, which PostgreSQL might run more than once
        )
        statement = (
            sa.update(table)
            .where(table.c.id.in_(sa.select(chosen.c.id)))
            .values(seen_at=seen)
            .returning(*CALL_COLUMNS)
        )
        async with self._database.single() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        return sorted((CallRow(**row) for row in rows), key=lambda row: row.started_at)

    async def touch(self, call_ids: Sequence[str], now: datetime) -> None:
        """These calls are alive on this node."""
        remaining = iter(call_ids)
        async with self._database.write() as connection:
            while batch := list(islice(remaining, _BATCH)):
                await connection.execute(
                    sa.update(table).where(table.c.id.in_(batch)).values(seen_at=now)
                )

    # ----------------------------------------------------------------------------- shared

    async def _publish(
        self, connection: AsyncConnection, call: CallRow, kind: str, data: Mapping[str, Any]
    ) -> None:
        """Tell the tenant's dashboards; the transaction's last statement. Nobody, when the call
        has no tenant (yet)."""
        if call.tenant_id is not None:
            event = NewEvent(call.tenant_id, self._clock.now(), kind, call.id, data)
            await store(connection, [event])

    async def _call(self, condition: sa.ColumnElement[bool]) -> CallRow | None:
        async with self._database.read() as connection:
            result = await connection.execute(sa.select(*CALL_COLUMNS).where(condition))
            row = result.mappings().first()
        return None if row is None else CallRow(**row)

    async def _update(self, *conditions: sa.ColumnElement[bool], **values: Any) -> bool:
        async with self._database.write() as connection:
            changed = await connection.execute(sa.update(table).where(*conditions).values(**values))
            return changed.rowcount > 0


def _started(call: CallRow) -> dict[str, Any]:
    return {
        "from_number": call.from_number,
        "to_number": call.to_number,
        "direction": call.direction,
        "found_by": call.found_by,
        "started_at": call.started_at.isoformat(),
    }


def _known(tenant_id: str | None, number: str | sa.Column[str]) -> Any:
    """The tenant's person who has this number, if it is known: who the caller may be."""
    if tenant_id is None:
        return sa.null()
    it = contact_addresses.c
    mine = (it.tenant_id == tenant_id, it.kind == "phone", it.value == number)
    return sa.select(it.contact_id).where(*mine).scalar_subquery()
