"""What an emulated Realtime session sends, now and later; its ids and its time."""

import heapq
from typing import Any

from sandbox.realtime_record import SessionRecord
from sandbox.realtime_response import ServerEvent
from sandbox.realtime_shapes import Refused


class Outbox:
    """Server events in the order of sending, each with an id of its own."""

    def __init__(self, record: SessionRecord) -> None:
        self.record = record
        self.now = record.connected_at
        self._ready: list[ServerEvent] = []
        self._later: list[tuple[float, int, ServerEvent]] = []
        self._ids = 0

    def new_id(self, kind: str) -> str:
        """A fresh id, of at most 32 characters."""
        self._ids += 1
        return f"{kind}_{self.record.number:06d}{self._ids:010d}"

    def emit(self, kind: str, **fields: Any) -> None:
        """Send one event."""
        self.send([{"type": kind, **fields}])

    def send(self, events: list[ServerEvent]) -> None:
        """Send events."""
        self._ready.extend({"event_id": self.new_id("event"), **event} for event in events)

    def later(self, delay_s: float, events: list[ServerEvent]) -> None:
        """Send events after a delay."""
        for event in events:
            self._ids += 1
            heapq.heappush(self._later, (self.now + delay_s, self._ids, event))

    def refuse(self, refusal: Refused, event_id: str | None = None) -> None:
        """Send an error event, and keep it in the record. The session goes on."""
        error = {
            "type": refusal.kind,
            "code": refusal.code,
            "message": refusal.message,
            "param": refusal.param,
            "event_id": event_id,
        }
        self.record.errors.append(error)
        self.emit("error", error=error)

    def due(self) -> float:
        """When the next delayed event is to go."""
        return self._later[0][0] if self._later else float("inf")

    def advance(self, now: float) -> None:
        """Let time pass."""
        self.now = now
        while self._later and self._later[0][0] <= now:
            self.send([heapq.heappop(self._later)[2]])

    @property
    def ready(self) -> bool:
        """Whether there is something to send now."""
        return bool(self._ready)

    def drain(self) -> list[ServerEvent]:
        """What is to be sent now, in order."""
        ready, self._ready = self._ready, []
        return ready
