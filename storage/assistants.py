"""Tenants' assistants at Vapi: who makes one just now, and which is theirs.

Vapi has no idempotency keys: two requests make two assistants. So whoever is about to ask takes the
tenant's claim first, and notes that it asks; whoever comes after a crash sees from that note that
an assistant may exist whose id nobody stored, and looks for it by its metadata.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from domain.clock import Clock
from domain.jobs import Jobs
from storage.columns import Instant
from storage.conflicts import insert_unless_taken
from storage.database import Database
from storage.schema import assistant_claims as table
from storage.schema import channel_configurations, deployment, tenants
from storage.scope import Scope, new_id

#: The job that brings a tenant's assistant up to date.
PROVISION: Final = "vapi.provision"
#: Assistants speak; one of another channel would have a row of its own.
_CHANNEL: Final = "phone"
#: An attempt that is silent for so long has died. Longer than a job of this kind may take.
CLAIM: Final = timedelta(seconds=150)
#: The longest words about a failure.
_LONGEST_ERROR: Final = 300


@dataclass(frozen=True, slots=True)
class Claim:
    """What is known of a tenant's assistant to the one who holds its claim. `asked_at`: somebody
    asked for one before, and never stored an answer. `assistant_id`, `config_hash`: the one that
    calls use, and what it was made of. `refused_hash`: of what Vapi doesn't take."""

    by: str
    assistant_id: str | None
    config_hash: str | None
    asked_at: datetime | None
    refused_hash: str | None


@dataclass(frozen=True, slots=True)
class AssistantState:
    """As `Claim`, without one. `error`: why the last attempt failed."""

    tenant_id: str
    assistant_id: str | None
    config_hash: str | None = None
    refused_hash: str | None = None
    error: str | None = None


async def wake(jobs: Jobs, tenant_id: str, *, check: bool = False) -> None:
    """What the tenant's assistant is made of has changed: bring it up to date once the transaction
    of `jobs` commits. The job compares; to wake it for nothing costs no request. `check`: it may be
    gone."""
    await jobs.put(PROVISION, {"check": True} if check else {}, key=f"{PROVISION}:{tenant_id}")


class Assistants:
    """One tenant's."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def usable(self) -> str | None:
        """The assistant that a call may use: stored, and made by this deployment. One that was only
        imported has somebody else's tools and addresses."""
        same = [
            table.c[name] == channel_configurations.c[name]
            for name in ("tenant_id", "channel_type", "assistant_id")
        ]
        statement = (
            self._scope.select(channel_configurations, channel_configurations.c.assistant_id)
            .where(channel_configurations.c.channel_type == _CHANNEL)
            .join(table, sa.and_(*same))
        )
        row = await self._scope.first(statement)
        return None if row is None else row["assistant_id"]

    async def state(self) -> AssistantState:
        """What is known of it."""
        row = await self._row()
        tenant_id = self._scope.tenant_id
        if row is None:
            return AssistantState(tenant_id, None)
        known = (row["config_hash"], row["refused_hash"], row["error"])
        return AssistantState(tenant_id, await self.usable(), *known)

    async def claim(self, by: str) -> Claim | datetime:
        """The claim, `by`'s alone from the commit on and for CLAIM; or until when another has it.
        NotFound when there is no such tenant."""
        await self._scope.tenant()
        now = self._scope.now()
        await insert_unless_taken(
            self._scope.connection,
            table,
            {"tenant_id": self._scope.tenant_id, "channel_type": _CHANNEL, "updated_at": now},
        )
        free = sa.or_(
            table.c.claimed_by.is_(None), table.c.claimed_by == by, table.c.claimed_until <= now
        )
        taken = await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.channel_type == _CHANNEL, free)
            .values(claimed_by=by, claimed_until=now + CLAIM, updated_at=now)
        )
        row = await self._row()
        assert row is not None, "inserted above"
        if not taken.rowcount:
            until: datetime = row["claimed_until"]
            return until
        known = (row["config_hash"], row["asked_at"], row["refused_hash"])
        return Claim(by, await self.usable(), *known)

    async def asking(self, by: str) -> bool:
        """Note, before the request, that one is asked for; since when, if that isn't the first
        time. False: the claim was lost."""
        now = sa.literal(self._scope.now(), Instant)
        return await self._change(by, asked_at=sa.func.coalesce(table.c.asked_at, now))

    async def store(self, by: str, assistant_id: str, config_hash: str) -> bool:
        """It exists, made of this: calls use it from the commit on, and the claim is given back.
        False, and nothing is stored, when the claim was lost meanwhile."""
        stored = await self._change(
            by,
            assistant_id=assistant_id,
            config_hash=config_hash,
            asked_at=None,
            refused_hash=None,
            error=None,
            **_FREE,
        )
        if not stored:
            return False
        now = self._scope.now()
        await insert_unless_taken(
            self._scope.connection,
            channel_configurations,
            {
                "id": new_id(),
                "tenant_id": self._scope.tenant_id,
                "channel_type": _CHANNEL,
                "configured": True,
                "created_at": now,
                "updated_at": now,
            },
        )
        await self._set(assistant_id)
        return True

    async def lost(self, by: str) -> bool:
        """The one that was stored is gone at Vapi: no call uses it from the commit on. The claim is
        kept. False when it was lost meanwhile."""
        if not await self._change(by, assistant_id=None, config_hash=None):
            return False
        await self._set(None)
        return True

    async def not_made(self, by: str) -> bool:
        """None can have come of what was asked for after `asking`: there is nothing to look for.
        The claim is kept. False when it was lost meanwhile."""
        return await self._change(by, asked_at=None)

    async def refused(self, by: str, config_hash: str) -> bool:
        """Vapi doesn't take what is made of this: it needn't be sent again. The claim is kept.
        False when it was lost meanwhile."""
        return await self._change(by, refused_hash=config_hash)

    async def failed(self, by: str, error: str) -> bool:
        """It came to nothing, and the claim is given back; calls use what they used before. False
        when it was lost meanwhile."""
        return await self._change(by, error=error[:_LONGEST_ERROR], **_FREE)

    async def settled(self, by: str) -> bool:
        """All is as it should be, whatever failed before, and the claim is given back. False when
        it was lost meanwhile."""
        return await self._change(by, error=None, **_FREE)

    async def give_back(self, by: str) -> bool:
        """The claim, with nothing changed. False when it was lost meanwhile."""
        return await self._change(by, **_FREE)

    async def _row(self) -> sa.RowMapping | None:
        return await self._scope.first(
            self._scope.select(table).where(table.c.channel_type == _CHANNEL)
        )

    async def _set(self, assistant_id: str | None) -> None:
        await self._scope.connection.execute(
            self._scope.update(channel_configurations)
            .where(channel_configurations.c.channel_type == _CHANNEL)
            .values(assistant_id=assistant_id)
        )

    async def _change(self, by: str, **values: Any) -> bool:
        changed = await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.channel_type == _CHANNEL, table.c.claimed_by == by)
            .values(updated_at=self._scope.now(), **values)
        )
        return changed.rowcount > 0


_FREE: Mapping[str, Any] = {"claimed_by": None, "claimed_until": None}


class AssistantRegister:
    """The deployment's view: its name, and whose which assistant is."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def deployment_id(self) -> str:
        """What this deployment calls itself in others' accounts: random, made once, for ever."""
        statement = sa.select(deployment.c.value).where(deployment.c.name == "id")
        async with self._database.read() as connection:
            known: str | None = (await connection.execute(statement)).scalar()
        if known is not None:
            return known
        row = {"name": "id", "value": new_id(), "created_at": self._clock.now()}
        async with self._database.write() as connection:
            await insert_unless_taken(connection, deployment, row)
            made: str = (await connection.execute(statement)).scalar_one()
        return made

    async def is_stored(self, assistant_id: str) -> bool:
        """Whether it is some tenant's."""
        statement = sa.select(sa.literal(1)).where(
            channel_configurations.c.assistant_id == assistant_id
        )
        async with self._database.read() as connection:
            return (await connection.execute(statement.limit(1))).first() is not None

    async def active_tenants(self) -> Sequence[str]:
        """The ids of all that are served."""
        statement = sa.select(tenants.c.id).where(tenants.c.status == "active")
        async with self._database.read() as connection:
            return list((await connection.execute(statement.order_by(tenants.c.id))).scalars())
