"""What arrives at our doors: recorded once, before it is known whose it is.

A webhook records and is answered; a durable job (`text.receive`) finds out whose it is. A message
that is repeated finds its row, whoever repeats it and however many at once: the vendor's id is
unique.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from domain.clock import Clock
from domain.errors import OperatorError
from domain.tenant import Tenant
from storage.conflicts import unless_taken
from storage.database import Database
from storage.jobs import jobs_on
from storage.schema import channel_endpoints as endpoints
from storage.schema import channel_messages_log as sent
from storage.schema import conversations, tenant_numbers, tenants
from storage.schema import inbound_texts as table
from storage.scope import TENANT_COLUMNS, Scope, new_id

#: The job that takes a message on: payload {"inbound_id": …}.
RECEIVE: Final = "text.receive"

#: Webhooks that are stored in one transaction, at most.
_TOGETHER: Final = 64

NEW, ASKED, ROUTED, IGNORED = "new", "asked", "routed", "ignored"


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message at the door. `vendor_key`: "sms:SM…"; `payload` JSON-able; `tenant_id` when the
    door itself belongs to one tenant."""

    channel: str
    vendor_key: str
    sender: str = field(repr=False)
    recipient: str
    payload: Mapping[str, Any] = field(repr=False)
    tenant_id: str | None = None


@dataclass(frozen=True, slots=True)
class InboundText:
    """One row. `question`: what the sender was asked, with `candidates` in that order;
    `question_state` "" | sending | sent | unknown."""

    id: str
    tenant_id: str | None
    channel: str
    sender: str = field(repr=False)
    recipient: str
    payload: dict[str, Any] = field(repr=False)
    state: str
    question: str
    question_state: str
    candidates: tuple[str, ...]
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Wrote:
    """A tenant that may be meant: when it last wrote to that person, and when that person last
    wrote to it."""

    tenant: Tenant
    wrote_at: datetime | None
    heard_at: datetime | None


@dataclass(slots=True, eq=False)
class _Waiting:
    """What one webhook brought, until it is stored: then `recorded` says how much of it was new,
    or `error` why it isn't."""

    arrived: Sequence[Arrived]
    recorded: int = 0
    settled: bool = False
    error: Exception | None = None


class InboundTexts:
    """Unscoped: for verified webhooks and the job that they wake."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._turn = asyncio.Lock()
        self._waiting: deque[_Waiting] = deque()

    async def record(self, arrived: Sequence[Arrived]) -> int:
        """Record those that are new, and wake the job for each; how many they were. All or
        nothing: OperatorError when the database is away, and the vendor may come again.

        What arrives while the database is busy with others goes together in the next transaction:
        a burst costs as many commits as the database can make, and nobody waits for more than two.
        """
        if not arrived:
            return 0
        ours = _Waiting(arrived)
        self._waiting.append(ours)
        async with self._turn:
            while not ours.settled:
                await self._record_together()
        if ours.error is not None:
            raise ours.error
        return ours.recorded

    async def _record_together(self) -> None:
        count = min(len(self._waiting), _TOGETHER)
        batch = [self._waiting.popleft() for _ in range(count)]
        for each in batch:  # should whoever is at it be cancelled, the others' vendors come again
            each.error = OperatorError("interrupted while it was being stored")
        try:
            await self._store(batch)
        except OperatorError as error:
            for each in batch:
                each.error = error
        except Exception as error:  # noqa: BLE001 - one of them: the others mustn't pay for it
            if len(batch) == 1:
                batch[0].error = error
            for each in batch if len(batch) > 1 else ():
                await self._alone(each)
        finally:
            for each in batch:
                each.settled = True

    async def _alone(self, waiting: _Waiting) -> None:
        try:
            await self._store([waiting])
        except Exception as error:  # noqa: BLE001 - raised to whoever brought it
            waiting.error = error

    async def _store(self, batch: Sequence[_Waiting]) -> None:
        now = self._clock.now()
        rows = [(waiting, _row(each, now)) for waiting in batch for each in waiting.arrived]
        # In one order always: two who record the same messages never wait in a circle.
        rows.sort(key=lambda each: each[1]["vendor_key"])
        new: list[_Waiting] = []
        async with self._database.write() as connection:
            for waiting, row in rows:
                statement = unless_taken(connection, table, table.c.id).values(**row)
                if (await connection.execute(statement)).first() is not None:
                    new.append(waiting)
                    # In its tenant's turn: nobody waits for what another business is sent.
                    jobs = jobs_on(connection, self._clock, row["tenant_id"])
                    await jobs.put(RECEIVE, {"inbound_id": row["id"]}, key=f"inbound:{row['id']}")
        for waiting in batch:
            waiting.error = None
        for waiting in new:
            waiting.recorded += 1

    async def get(self, inbound_id: str) -> InboundText | None:
        """The row, or None."""
        async with self._database.read() as connection:
            row = (
                (await connection.execute(sa.select(*_COLUMNS).where(table.c.id == inbound_id)))
                .mappings()
                .first()
            )
        return None if row is None else _inbound(row)

    async def assign(self, inbound_ids: Sequence[str], tenant_id: str) -> None:
        """These are this tenant's."""
        await self._change(
            table.c.id.in_(inbound_ids), table.c.tenant_id.is_(None), tenant_id=tenant_id
        )

    async def ignore(self, inbound_id: str) -> None:
        """Nobody's, and nothing to be done: its words are forgotten."""
        await self._change(table.c.id == inbound_id, state=IGNORED, payload={})

    async def ask(self, inbound_id: str, question: str, candidates: Sequence[str]) -> bool:
        """The sender will be asked this. False when that was done before."""
        return await self._change(
            table.c.id == inbound_id,
            table.c.state == NEW,
            state=ASKED,
            question=question,
            question_state="sending",
            candidates=list(candidates),
        )

    async def wait_with(self, inbound_id: str) -> None:
        """The sender has been asked because of an earlier message; this one waits with it."""
        await self._change(table.c.id == inbound_id, table.c.state == NEW, state=ASKED)

    async def asked(self, inbound_id: str, outcome: str) -> None:
        """How asking went: sent, or unknown."""
        await self._change(table.c.id == inbound_id, question_state=outcome)

    async def waiting(self, channel: str, sender: str, since: datetime) -> list[InboundText]:
        """What this person wrote and nobody knows yet for whom, oldest first."""
        statement = sa.select(*_COLUMNS).where(
            table.c.channel == channel,
            table.c.sender == sender,
            table.c.state == ASKED,
            table.c.tenant_id.is_(None),
            table.c.received_at >= since,
        )
        async with self._database.read() as connection:
            rows = (
                (await connection.execute(statement.order_by(table.c.received_at, table.c.id)))
                .mappings()
                .all()
            )
        return [_inbound(row) for row in rows]

    async def wake(self, inbound_id: str) -> None:
        """Look at this row (again)."""
        async with self._database.write() as connection:
            jobs = jobs_on(connection, self._clock, None)
            await jobs.put(RECEIVE, {"inbound_id": inbound_id}, key=f"inbound:{inbound_id}")

    # -------------------------------------------------------------------------- whose it is

    async def endpoint(self, kind: str, value: str) -> tuple[str, str] | None:
        """(tenant's id, channel) of WhatsApp's phone_number_id, or of the digest of a key."""
        statement = (
            sa.select(endpoints.c.tenant_id, endpoints.c.channel)
            .join(tenants, tenants.c.id == endpoints.c.tenant_id)
            .where(
                endpoints.c.kind == kind,
                endpoints.c.value == value,
                tenants.c.status == "active",
            )
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else (row[0], row[1])

    async def owner_of_number(self, number: str) -> str | None:
        """The tenant for whom alone this number of ours rings."""
        statement = sa.select(tenant_numbers.c.tenant_id).where(tenant_numbers.c.number == number)
        async with self._database.read() as connection:
            found: str | None = (await connection.execute(statement)).scalar()
        return found

    async def who_wrote(self, channel: str, address: str, within: timedelta) -> list[Wrote]:
        """The active tenants that wrote to this address lately, the latest first."""
        since = self._clock.now() - within
        wrote = (
            sa.select(sent.c.tenant_id, sa.func.max(sent.c.created_at).label("wrote_at"))
            .where(
                sent.c.channel_type == channel,
                sent.c.to_address == address,
                sent.c.status.not_in(("suppressed", "cancelled", "failed", "expired")),
                sent.c.created_at >= since,
            )
            .group_by(sent.c.tenant_id)
            .subquery()
        )
        statement = (
            sa.select(
                *TENANT_COLUMNS,
                wrote.c.wrote_at,
                conversations.c.last_inbound_at.label("heard_at"),
            )
            .join(wrote, wrote.c.tenant_id == tenants.c.id)
            .outerjoin(
                conversations,
                sa.and_(
                    conversations.c.tenant_id == tenants.c.id,
                    conversations.c.channel == channel,
                    conversations.c.address == address,
                ),
            )
            .where(tenants.c.status == "active")
            .order_by(wrote.c.wrote_at.desc())
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).mappings().all()
        names = [column.name for column in TENANT_COLUMNS]
        return [
            Wrote(
                tenant=Tenant(**{name: row[name] for name in names}),
                wrote_at=row["wrote_at"],
                heard_at=row["heard_at"],
            )
            for row in rows
        ]

    async def _change(self, *conditions: sa.ColumnElement[bool], **values: Any) -> bool:
        async with self._database.write() as connection:
            changed = await connection.execute(sa.update(table).where(*conditions).values(**values))
        return bool(changed.rowcount)


class TenantInbound:
    """The same rows, once they are a tenant's."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def route(self, inbound_id: str) -> bool:
        """It reaches its conversation in this very transaction. False when it has before, or is
        another tenant's."""
        changed = await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == inbound_id, table.c.state.in_((NEW, ASKED)))
            .values(state=ROUTED, payload={}, question="")
        )
        return bool(changed.rowcount)


class Endpoints:
    """The addresses by which vendors name a tenant's channel."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def take(self, kind: str, value: str, channel: str) -> bool:
        """This is the tenant's from now on; False when it is another's."""
        row = {
            "kind": kind,
            "value": value,
            "tenant_id": self._scope.tenant_id,
            "channel": channel,
            "created_at": self._scope.now(),
        }
        statement = unless_taken(self._scope.connection, endpoints, endpoints.c.value).values(**row)
        if (await self._scope.connection.execute(statement)).first() is not None:
            return True
        ours = self._scope.select(endpoints, endpoints.c.value).where(
            endpoints.c.kind == kind, endpoints.c.value == value
        )
        return await self._scope.first(ours) is not None

    async def drop(self, channel: str, kind: str, *, but: str | None = None) -> None:
        """Forget the channel's addresses of this kind, but for one."""
        statement = self._scope.delete(endpoints).where(
            endpoints.c.channel == channel, endpoints.c.kind == kind
        )
        if but is not None:
            statement = statement.where(endpoints.c.value != but)
        await self._scope.connection.execute(statement)

    async def of(self, channel: str, kind: str) -> list[str]:
        """The channel's addresses of this kind."""
        statement = self._scope.select(endpoints, endpoints.c.value).where(
            endpoints.c.channel == channel, endpoints.c.kind == kind
        )
        return [row["value"] for row in await self._scope.all(statement)]


_COLUMNS = (
    table.c.id,
    table.c.tenant_id,
    table.c.channel,
    table.c.sender,
    table.c.recipient,
    table.c.payload,
    table.c.state,
    table.c.question,
    table.c.question_state,
    table.c.candidates,
    table.c.received_at,
)


def _row(each: Arrived, now: datetime) -> dict[str, Any]:
    return {
        "id": new_id(),
        "tenant_id": each.tenant_id,
        "channel": each.channel,
        "vendor_key": each.vendor_key,
        "sender": each.sender,
        "recipient": each.recipient,
        "payload": dict(each.payload),
        "received_at": now,
    }


def _inbound(row: sa.RowMapping) -> InboundText:
    return InboundText(**{**row, "candidates": tuple(row["candidates"])})
