"""Live events as rows: what a dashboard is told at once, numbered in the order of their commits.

An event is written in the transaction of what it tells. Numbers are given before a commit, so that
two transactions at once could become visible in the other order, and a reader who has seen number
12 would never ask for the 11 that came later. Therefore a transaction that writes events holds a
lock per tenant from the first number to its commit: on PostgreSQL an advisory one, on SQLite the
one writer that there is. A tenant's events can then be read with "all after this number".

The lock is taken by the last statement of the transaction, and by none before: who waits for it
holds everything else already, so that it can't be part of a circle. (Nobody locks a tenant's row
FOR UPDATE and then publishes: a new event's foreign key asks for that row.) On PostgreSQL the same
statement wakes every node (NOTIFY, delivered at the commit) with `<tenant>:<number>`. A commit that
notifies waits for all others that do (PostgreSQL has one lock for that), which this one adds
nothing to: write few transactions with events, not many.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.schema import live_events as table

#: Where PostgreSQL announces them.
CHANNEL = "coccinelle_events"

_COLUMNS = (table.c.seq, table.c.at, table.c.kind, table.c.subject, table.c.data)

#: Locks, rows and announcements in one round trip. The rows wait for the locks, because they are
#: made from them; `ORDER BY` gives the numbers in the order of publishing.
_STORE = sa.text(
    f"""
    WITH held AS MATERIALIZED (
        SELECT count(*) FROM (
            SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:locks AS bigint[])) AS key
        ) AS taken
    ), stored AS (
        INSERT INTO live_events (tenant_id, at, kind, subject, data)
        SELECT new.tenant_id, new.at, new.kind, new.subject, new.data
        FROM held, unnest(
            CAST(:tenants AS text[]), CAST(:instants AS timestamptz[]), CAST(:kinds AS text[]),
            CAST(:subjects AS text[]), CAST(:data AS text[])
        ) WITH ORDINALITY AS new (tenant_id, at, kind, subject, data, position)
        ORDER BY new.position
        RETURNING tenant_id, seq
    )
    SELECT pg_notify('{CHANNEL}', tenant_id || ':' || max(seq)) FROM stored GROUP BY tenant_id
    """  # noqa: S608 - CHANNEL is our constant
)


@dataclass(frozen=True, slots=True)
class NewEvent:
    """`kind` is what happened ("call.started"), `subject` the id of what it happened to, `data`
    JSON-able."""

    tenant_id: str
    at: datetime
    kind: str
    subject: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """As stored. `seq` rises within a tenant, with holes; `at` is aware, in UTC."""

    seq: int
    at: datetime
    kind: str
    subject: str | None
    data: dict[str, Any]


async def store(connection: AsyncConnection, events: Sequence[NewEvent]) -> None:
    """Write events, of any tenants, in this order. Must be the transaction's last statement: see
    above."""
    if not events:
        return
    if connection.dialect.name != "postgresql":
        rows = [
            {
                "tenant_id": event.tenant_id,
                "at": event.at,
                "kind": event.kind,
                "subject": event.subject,
                "data": dict(event.data),
            }
            for event in events
        ]
        await connection.execute(sa.insert(table), rows)
        return
    # By number, always: two who want the same locks never wait for each other in turn.
    locks = sorted({_lock(tenant_id) for tenant_id in {event.tenant_id for event in events}})
    columns = {
        "locks": locks,
        "tenants": [event.tenant_id for event in events],
        "instants": [event.at for event in events],
        "kinds": [event.kind for event in events],
        "subjects": [event.subject for event in events],
        "data": [_json(event.data) for event in events],
    }
    await connection.execute(_STORE, columns)


async def read_after(
    connection: AsyncConnection, tenant_id: str, seq: int, limit: int
) -> list[LiveEvent]:
    """The tenant's events with a greater number, in order."""
    statement = (
        sa.select(*_COLUMNS)
        .where(table.c.tenant_id == tenant_id, table.c.seq > seq)
        .order_by(table.c.seq)
        .limit(limit)
    )
    return [LiveEvent(**row) for row in (await connection.execute(statement)).mappings()]


def _lock(tenant_id: str) -> int:
    """A tenant's lock: a signed 64-bit number among all advisory locks of the database."""
    digest = hashlib.blake2b(f"coccinelle.events:{tenant_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _json(data: Mapping[str, Any]) -> str:
    # ASCII: whatever was said survives, also what UTF-8 can't say.
    return json.dumps(dict(data), allow_nan=False, separators=(",", ":"))
