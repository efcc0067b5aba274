"""What rows tell of whether a tenant's channels work: who called by its line, what waits."""

from datetime import timedelta
from typing import Final

import sqlalchemy as sa

from storage.schema import call_logs, tenant_lines
from storage.schema import channel_messages_log as texts
from storage.scope import Scope

#: A line by which somebody called within so long is forwarded. Origin: the people of 30 days are
#: also who tells whose a call is that says nothing else (voice/openings.py).
SEEN: Final = timedelta(days=30)


class ChannelHealth:
    """A tenant's channels, as they were seen to work or not."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def retrying(self, channel: str) -> bool:
        """Whether its latest text that was handed over waits to be tried again."""
        row = await self._scope.first(
            self._scope.select(texts, texts.c.status)
            .where(texts.c.channel_type == channel, texts.c.attempts > 0)
            .order_by(texts.c.created_at.desc(), texts.c.id.desc())
            .limit(1)
        )
        return row is not None and row["status"] == "queued"

    async def line_works(self) -> bool:
        """Whether the tenant's line was verified, or a call has come by it lately."""
        lines = self._scope.select(tenant_lines, tenant_lines.c.number)
        verified = lines.where(tenant_lines.c.verified_at.is_not(None)).limit(1)
        if await self._scope.first(verified) is not None:
            return True
        came = (
            self._scope.select(call_logs, call_logs.c.id)
            .where(
                call_logs.c.started_at >= self._scope.now() - SEEN,
                sa.or_(
                    call_logs.c.forwarded_from.in_(
                        sa.select(tenant_lines.c.number).where(
                            tenant_lines.c.tenant_id == self._scope.tenant_id
                        )
                    ),
                    call_logs.c.forwarded_from.in_(
                        sa.select(tenant_lines.c.forwarded_as).where(
                            tenant_lines.c.tenant_id == self._scope.tenant_id
                        )
                    ),
                ),
            )
            .limit(1)
        )
        return await self._scope.first(came) is not None
