"""What happens right now: `GET /api/v1/events`, as server-sent events.

Each event's `event` is its kind, its `id` its number, its `data` JSON: `seq`, `at`, `kind`,
`subject` (the id of what it is about) and `data`. Kinds: `call.started`, `call.answered`,
`call.agent`, `call.turn`, `call.function`, `call.ended`, `appointment.booked`,
`appointment.cancelled`, `prospect.qualified`, `ticket.created`, `document.ready`,
`document.failed`; clients ignore those they don't know. `Last-Event-ID` (or `?after=`) goes on
where a stream broke off, on whichever node; when that place isn't known any more, the first event
is a `reset`: load the lists anew.

Whoever accepts `application/json` and no event stream gets the stored events after `?after=`.
"""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Annotated, Any, TypedDict

import anyio
import msgspec
import structlog
from sse_starlette.event import ServerSentEvent
from sse_starlette.sse import EventSourceResponse, SendTimeoutError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.operations import operation
from dashboard.api.problem import NO_STORE, problem
from domain.errors import CallerError, Invalid, OperatorError
from domain.permissions import May
from storage import LiveEvent, Storage, Subscription

log = structlog.get_logger(__name__)

#: How many streams a tenant, and all tenants, may have open on one node. Each holds a socket; the
#: server allows itself 256 files beyond those of its calls.
STREAMS_PER_TENANT, STREAMS = 20, 150
#: A stream ends after this long and is opened again by its client: a key that was revoked, or a
#: tenant that was suspended, sees no more than this.
STREAM_SECONDS = 300.0
#: Proxies drop connections that are silent for 60 s.
HEARTBEAT_SECONDS = 15
#: A client that takes nothing for so long is let go; it comes back with Last-Event-ID.
SEND_SECONDS = 10.0
#: How often an idle stream looks whether the server is about to stop, and how long it may take to
#: say goodbye then. Well below SHUTDOWN_SECONDS.
LOOK_SECONDS, GOODBYE_SECONDS = 0.5, 2.0
#: How soon a client comes back, milliseconds; and waits longer while the database is away.
RETRY_MS, RETRY_LATER_MS = 1000, 5000

#: A number of ours: 63 bits.
_NUMBER = re.compile(r"[0-9]{1,18}")


class EventsQuery(msgspec.Struct, frozen=True):
    """The number of the last event that was seen."""

    after: Annotated[int, msgspec.Meta(ge=0)] = 0


class EventJson(TypedDict):
    """`subject` is the id of what it is about."""

    seq: int
    at: str
    kind: str
    subject: str | None
    data: Any


class StoredEvents(TypedDict):
    """`last`: go on after this one."""

    success: bool
    events: list[EventJson]
    last: int


class Events:
    """The handler; one per node, for it counts the streams."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._open = Counter[str]()

    @operation(
        "Follow what happens",
        may=May.CALLS,
        query=EventsQuery,
        answer=StoredEvents,
        media="application/json",
        audit_read="events.read",
    )
    async def index(self, request: Request) -> Response:
        """GET: the stream, or what is stored. Both show what is said on calls: each opening of a
        stream, and each look at what is stored, is noted in the audit log."""
        tenant = tenant_access(request).tenant
        after = _after(request)
        accepted = request.headers.get("accept", "")
        if "application/json" in accepted and "text/event-stream" not in accepted:
            return await self._stored(tenant.id, after or 0)
        return _Stream(self._storage, self._open, tenant.id, after)

    async def _stored(self, tenant_id: str, after: int) -> Response:
        async with self._storage.tenant(tenant_id).read() as rows:
            events = await rows.events.after(after)
        last = events[-1].seq if events else after
        shown = [describe(event) for event in events]
        return json_response({"success": True, "events": shown, "last": last})


def describe(event: LiveEvent) -> dict[str, object]:
    """An event as its reader sees it."""
    return {
        "seq": event.seq,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "subject": event.subject,
        "data": event.data,
    }


def _after(request: Request) -> int | None:
    """Where the client was; what its own stream told it goes before what its page asks for."""
    header = request.headers.get("last-event-id", "").strip()
    text = header or request.query_params.get("after", "")
    if not text:
        return None
    if not _NUMBER.fullmatch(text):
        raise Invalid(
            "after (or Last-Event-ID) is the id of an event.", field="after", message_key="invalid"
        )
    return int(text)


class _Stream(EventSourceResponse):
    """One client's stream; counted while it is open."""

    def __init__(
        self, storage: Storage, counted: Counter[str], tenant_id: str, after: int | None
    ) -> None:
        self._storage = storage
        self._counted = counted
        self._tenant_id = tenant_id
        self._after = after
        self._stopping = anyio.Event()
        self._subscription: Subscription | None = None
        super().__init__(
            self._events(),
            headers=NO_STORE,
            ping=HEARTBEAT_SECONDS,
            ping_message_factory=lambda: ServerSentEvent(comment=""),
            send_timeout=SEND_SECONDS,
            shutdown_event=self._stopping,
            shutdown_grace_period=GOODBYE_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the stream, or with 429."""
        if self._counted[self._tenant_id] >= STREAMS_PER_TENANT or self._counted.total() >= STREAMS:
            await self._refuse(scope, receive, send)
            return
        self._counted[self._tenant_id] += 1
        try:
            # Before the answer begins: what happens after it is never missed.
            async with AsyncExitStack() as stack:
                subscribed = self._storage.live_events.subscribe(self._tenant_id, self._after)
                try:
                    self._subscription = await stack.enter_async_context(subscribed)
                except OperatorError as error:
                    log.warning("events.not_begun", error=str(error))
                await super().__call__(scope, receive, send)
        except SendTimeoutError:
            log.info("events.reader_too_slow", tenant_id=self._tenant_id)
        finally:
            self._counted[self._tenant_id] -= 1
            if not self._counted[self._tenant_id]:
                del self._counted[self._tenant_id]

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = CallerError(
            "Too many event streams are open: close one, and share one between pages.",
            message_key="too_many_streams",
            status=429,
        )
        headers = {"retry-after": str(RETRY_LATER_MS // 1000)}
        await problem(error, Request(scope), headers)(scope, receive, send)

    async def _events(self) -> AsyncGenerator[ServerSentEvent, None]:
        yield ServerSentEvent(comment="", retry=RETRY_MS)
        if self._subscription is None:
            yield ServerSentEvent(comment="", retry=RETRY_LATER_MS)
            return
        try:
            async with aclosing(self._subscribed(self._subscription)) as events:
                async for event in events:
                    yield event
        except OperatorError as error:
            log.warning("events.broken_off", error=str(error))
            yield ServerSentEvent(comment="", retry=RETRY_LATER_MS)

    async def _subscribed(self, events: Subscription) -> AsyncGenerator[ServerSentEvent, None]:
        now = asyncio.get_running_loop().time
        until = now() + STREAM_SECONDS
        if events.missed:
            yield ServerSentEvent(event="reset", id=str(events.seq), data="{}")
        while not self._stopping.is_set() and now() < until:
            for event in await events.next(LOOK_SECONDS):
                data = msgspec.json.encode(describe(event)).decode()
                yield ServerSentEvent(event=event.kind, id=str(event.seq), data=data)
