"""What vendors bear, kept across all processes by the database.

How many run at once is counted where jobs run, in the queue itself: a process that dies takes its
places along. How many may begin per second is one instant per vendor (or tenant of a vendor), at
which it will have borne all that have begun: the generic cell rate algorithm (ITU-T I.371).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.jobs.queue import Lane, Vendor
from storage.schema import job_rates

#: What may begin at once is what a vendor bears in so many seconds, but at least one: workers look
#: several times a second, not all the time.
BURST_SECONDS = 0.5


class Running(Protocol):
    """Counts the running jobs of these kinds: of one tenant, or of `everyone`."""

    async def __call__(
        self,
        connection: AsyncConnection,
        kinds: Sequence[str],
        tenant_id: str | None,
        *,
        everyone: bool,
    ) -> int: ...


class Gate:
    """Lets jobs through to vendors, within one transaction that nobody else claims in."""

    def __init__(
        self,
        connection: AsyncConnection,
        now: datetime,
        vendors: Sequence[Vendor],
        running: Running,
    ) -> None:
        self._connection = connection
        self._now = now
        self._of_kind = {kind: vendor for vendor in vendors for kind in vendor.kinds}
        self._running = running

    async def admits(self, lane: Lane) -> bool:
        """Whether one more job of this lane may begin now."""
        vendor = self._of_kind.get(lane.kind)
        if vendor is None:
            return True
        return await self._has_room(vendor, lane) and await self._is_free(vendor, lane)

    async def entered(self, lane: Lane) -> None:
        """One has begun."""
        vendor = self._of_kind.get(lane.kind)
        if vendor is None:
            return
        for scope, per_second in _rates(vendor, lane):
            free_at = max(self._now, await self._free_at(scope, per_second) or self._now)
            await self._set_free_at(scope, free_at + timedelta(seconds=1 / per_second))

    async def _has_room(self, vendor: Vendor, lane: Lane) -> bool:
        everyone, tenants = vendor.limits.concurrent, vendor.limits.concurrent_per_tenant
        if tenants is not None:
            own = await self._running(
                self._connection, vendor.kinds, lane.tenant_id, everyone=False
            )
            if own >= tenants:
                return False
        if everyone is None:
            return True
        return await self._running(self._connection, vendor.kinds, None, everyone=True) < everyone

    async def _is_free(self, vendor: Vendor, lane: Lane) -> bool:
        for scope, per_second in _rates(vendor, lane):
            free_at = await self._free_at(scope, per_second)
            if free_at is not None and free_at > self._now + _burst(per_second):
                return False
        return True

    async def _free_at(self, scope: str, per_second: float) -> datetime | None:
        found = await self._connection.execute(
            sa.select(job_rates.c.free_at).where(job_rates.c.scope == scope)
        )
        free_at: datetime | None = found.scalar_one_or_none()
        # Farther ahead than jobs can have put it: the clock has been set back since.
        farthest = self._now + _burst(per_second) + timedelta(seconds=1 / per_second)
        return None if free_at is None or free_at > farthest else free_at

    async def _set_free_at(self, scope: str, free_at: datetime) -> None:
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        await self._connection.execute(
            dialect.insert(job_rates)
            .values(scope=scope, free_at=free_at)
            .on_conflict_do_update(index_elements=[job_rates.c.scope], set_={"free_at": free_at})
        )


def _burst(per_second: float) -> timedelta:
    """How far ahead of its rate a vendor may be."""
    more = max(1, int(per_second * BURST_SECONDS)) - 1
    return timedelta(seconds=more / per_second)


def _rates(vendor: Vendor, lane: Lane) -> Iterator[tuple[str, float]]:
    if vendor.limits.per_second is not None:
        yield vendor.name, vendor.limits.per_second
    if vendor.limits.per_second_per_tenant is not None:
        yield f"{vendor.name}/{lane.tenant_id or ''}", vendor.limits.per_second_per_tenant
