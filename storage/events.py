"""A tenant's live events, as its own transactions see them."""

from collections.abc import Mapping
from typing import Any

from storage.live_events import LiveEvent, read_after
from storage.scope import Scope

#: The longest stretch that is read at once.
MAX_EVENTS = 500


class Events:
    """What this tenant's dashboards are told."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def publish(
        self, kind: str, subject: str | None = None, data: Mapping[str, Any] | None = None
    ) -> None:
        """Tell it when, and only if, this transaction is committed.

        Written at its end, in the order of publishing; see `storage.live_events`.
        """
        self._scope.publish(kind, subject, data or {})

    async def after(self, seq: int, limit: int = MAX_EVENTS) -> list[LiveEvent]:
        """The events with a greater number, in order; at most MAX_EVENTS. Those of this very
        transaction aren't among them yet."""
        scope = self._scope
        return await read_after(scope.connection, scope.tenant_id, seq, min(limit, MAX_EVENTS))
