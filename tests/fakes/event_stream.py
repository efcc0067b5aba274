"""A dashboard's side of server-sent events, by the specification and not by our library.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Received:
    """One event as it was dispatched."""

    kind: str
    id: str
    data: Any


class EventStream:
    """One open stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.response = response
        self.last_id = ""
        self.retry_ms: int | None = None
        self.comments = 0
        self._fields: dict[str, str] = {}

    async def next(self, seconds: float = 20.0) -> Received:
        """The next event. StopAsyncIteration when the stream ends before."""
        async with asyncio.timeout(seconds):
            while True:
                event = self._take(await anext(self._lines))
                if event is not None:
                    return event

    async def until(self, kind: str, seconds: float = 30.0) -> list[Received]:
        """All events up to the first of this kind."""
        events: list[Received] = []
        async with asyncio.timeout(seconds):
            while not events or events[-1].kind != kind:
                events.append(await self.next(seconds))
        return events

    async def end(self, seconds: float = 20.0) -> list[Received]:
        """What still comes, when the server ends the stream properly."""
        events: list[Received] = []
        async with asyncio.timeout(seconds):
            async for line in self._lines:
                event = self._take(line)
                if event is not None:
                    events.append(event)
        return events

    def _take(self, line: str) -> Received | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not name:
            self.comments += 1
        elif name == "retry":
            self.retry_ms = int(value)
        elif name == "data" and "data" in self._fields:
            self._fields["data"] += "\n" + value
        else:
            self._fields[name] = value
        return None

    def _dispatch(self) -> Received | None:
        fields, self._fields = self._fields, {}
        self.last_id = fields.get("id", self.last_id)
        if "data" not in fields:
            return None
        return Received(fields.get("event", "message"), self.last_id, json.loads(fields["data"]))


@asynccontextmanager
async def event_stream(
    client: httpx.AsyncClient, key: str, *, last_id: str = "", query: str = "", **headers: str
) -> AsyncIterator[EventStream]:
    """Opened as a browser would, and read only as fast as it is asked for."""
    sent: Mapping[str, str] = {
        "authorization": f"Bearer {key}",
        "accept": "text/event-stream",
        **({"last-event-id": last_id} if last_id else {}),
        **headers,
    }
    async with client.stream("GET", f"/api/v1/events{query}", headers=sent, timeout=30) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield EventStream(response)
