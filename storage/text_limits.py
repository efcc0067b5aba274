"""What holds a tenant's texts back: how many a day it may send, and channels that are paused."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from storage.schema import channel_configurations, channel_pauses
from storage.schema import text_counters as counters
from storage.scope import Scope


@dataclass(frozen=True, slots=True)
class Pause:
    """A vendor takes nothing on this channel until the tenant acts."""

    channel: str
    code: str
    reason: str
    since: datetime


class TextLimits:
    """A tenant's limits, counted by the database: the same on every node."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def now(self) -> datetime:
        """The instant of this transaction's rows."""
        return self._scope.now()

    async def count(self, bucket: str, most: int) -> bool:
        """Count one more text of today (in UTC); False, and not counted, when there are `most`."""
        scope = self._scope
        today = scope.now().date()
        dialect = postgresql if scope.connection.dialect.name == "postgresql" else sqlite
        row = {"tenant_id": scope.tenant_id, "day": today, "bucket": bucket, "count": 1}
        counted = await scope.connection.execute(
            dialect.insert(counters)
            .values(row)
            .on_conflict_do_update(
                index_elements=[counters.c.tenant_id, counters.c.day, counters.c.bucket],
                set_={"count": counters.c.count + 1},
                where=counters.c.count < most,
            )
            .returning(counters.c.count)
        )
        number = counted.scalar_one_or_none()
        if number == 1:
            await scope.connection.execute(scope.delete(counters).where(counters.c.day < today))
        return number is not None and most > 0

    async def counted(self, bucket: str) -> int:
        """How many of today there are."""
        statement = self._scope.select(counters, counters.c.count).where(
            counters.c.day == self._scope.now().date(), counters.c.bucket == bucket
        )
        return int((await self._scope.connection.execute(statement)).scalar_one_or_none() or 0)

    async def pause(self, channel: str, code: str, reason: str) -> bool:
        """Let nothing go by this channel; False when it is paused already."""
        if await self.paused(channel) is not None:
            return False
        scope = self._scope
        await self.resume(channel)
        await scope.insert(
            channel_pauses, channel_type=channel, code=code, reason=reason, since=scope.now()
        )
        scope.publish("channel.paused", channel, {"code": code, "reason": reason})
        return True

    async def resume(self, channel: str) -> None:
        """Something got through, or the tenant has acted."""
        await self._scope.connection.execute(
            self._scope.delete(channel_pauses).where(channel_pauses.c.channel_type == channel)
        )

    async def paused(self, channel: str) -> Pause | None:
        """Whether, and why, nothing goes by this channel. What was saved since ends a pause."""
        saved = channel_configurations.c.updated_at
        row = await self._scope.first(
            self._pauses()
            .where(channel_pauses.c.channel_type == channel)
            .where(
                ~sa.exists().where(
                    channel_configurations.c.tenant_id == self._scope.tenant_id,
                    channel_configurations.c.channel_type == channel,
                    saved > channel_pauses.c.since,
                )
            )
        )
        return None if row is None else Pause(*(row[name] for name in _PAUSE))

    def _pauses(self) -> sa.Select[Any]:
        return self._scope.select(channel_pauses, *(channel_pauses.c[name] for name in _PAUSE))


_PAUSE = ("channel_type", "code", "reason", "since")
