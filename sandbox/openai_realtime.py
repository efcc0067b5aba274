"""An emulator of OpenAI Realtime (GA) on 127.0.0.1: the websocket around `realtime_session`.

Strict where the vendor is (shared/reference/vapi-openai-pinecone.md §2). The model's mind is a
scenario's rules; its ears and its voice are the French speech of `sandbox/clips`.
"""

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from sandbox.audio import MAX_TAG
from sandbox.brain import Brain
from sandbox.breakdown import Breakdown
from sandbox.realtime_breakdown import HANDSHAKE_STATUS, Spoiler
from sandbox.realtime_config import default_config
from sandbox.realtime_record import SessionRecord
from sandbox.realtime_replies import Habits
from sandbox.realtime_response import Pace
from sandbox.realtime_schema import MAX_AUDIO_BASE64
from sandbox.realtime_session import Session

PATH = "/v1/realtime"
MAX_AGE_S = 3_600.0  # a session lasts 60 minutes at most
_CLOSE_EXPIRED = 1001
# Tags of what the model says have this bit, those of callers don't: they never meet.
AGENT_TAG_BIT = (MAX_TAG + 1) >> 1

Published = Callable[[int, str, bytes], None]
OnEvent = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True)
class Faults:
    """What goes wrong; may be set at any time. `refuse`: HTTP status of every handshake.
    `handshake_delay_s`: before a handshake is answered. `close_after_s`: of each session's life;
    with `close_code`, or by cutting the connection when that is None. `mute_after_s`: from then on
    a session says nothing at all. `fail`, `hang`: which responses of each session (1 = first)."""

    refuse: int | None = None
    handshake_delay_s: float = 0.0
    close_after_s: float | None = None
    close_code: int | None = None
    mute_after_s: float | None = None
    fail: frozenset[int] = frozenset()
    hang: frozenset[int] = frozenset()


class RealtimeEmulator:
    """`brains` makes the mind for a call from the tag that the caller's audio carries (None as
    long as none has been heard). `published(tag, text, audio)` is told of each rendering before
    it is sent; `on_event(name, fields)` of what a session hears, says and does."""

    def __init__(
        self,
        api_key: str,
        brains: Callable[[int | None], Brain],
        *,
        latency_ms: int = 120,
        chunk_ms: int = 200,
        speed: float = 8.0,
        faults: Faults | None = None,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self.sessions: list[SessionRecord] = []
        self.refusals: list[tuple[int, str]] = []
        self.faults = faults or Faults()
        self.published: Published | None = None
        self.on_event: OnEvent | None = None
        self.max_age_s = max_age_s
        #: Further keys that are good.
        self.keys: set[str] = set()
        self._api_key = api_key
        self._armed: dict[str, list[Breakdown]] = {}
        self._admitted: dict[ServerConnection, Breakdown] = {}
        self._lines: list[_Line] = []
        self._brains = brains
        self.pace = Pace(latency_ms / 1000, chunk_ms, speed)
        self._stack = AsyncExitStack()
        self._server: Server | None = None

    @property
    def url(self) -> str:
        """What OPENAI_BASE_URL is to be."""
        if self._server is None:
            raise RuntimeError("the emulator is not running: use `async with`")
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    def session(self, call_tag: int) -> SessionRecord | None:
        """The latest session that heard this call."""
        return next((each for each in reversed(self.sessions) if each.call_tag == call_tag), None)

    def arm(self, breakdown: Breakdown) -> None:
        """The next handshake with its key, or the session that it opens, breaks down so."""
        self._armed.setdefault(breakdown.key or self._api_key, []).append(breakdown)

    def befall(self, call_tag: int, breakdown: Breakdown) -> bool:
        """The session that hears this call breaks down now; False when none does."""
        now = asyncio.get_running_loop().time()
        lines = [each for each in self._lines if each.call_tag == call_tag and not each.broken]
        if lines and breakdown.kind == "refuse":
            self._armed.setdefault(lines[-1].key, []).append(breakdown)
        if lines:
            lines[-1].break_down(breakdown, now)
        return bool(lines)

    async def __aenter__(self) -> Self:
        self._server = await self._stack.enter_async_context(
            serve(
                self._serve,
                "127.0.0.1",
                0,
                process_request=self._admit,
                compression=None,
                max_size=MAX_AUDIO_BASE64 * 2,
            )
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for line in self._lines:
            line.abort_if_dead()  # nobody there would answer a goodbye
        await self._stack.aclose()
        self._server = None

    async def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        await asyncio.sleep(self.faults.handshake_delay_s)
        refusal = self._refusal(request)
        armed = self._armed.get(_key(request))
        if refusal is None and armed:
            refusal = await self._ails(connection, armed.pop(0))
        if refusal is None:
            return None
        status, code, message = refusal
        self.refusals.append((status, message))
        error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
        answer = connection.respond(HTTPStatus(status), json.dumps({"error": error}))
        del answer.headers["Content-Type"]
        answer.headers["Content-Type"] = "application/json"
        return answer

    async def _ails(
        self, connection: ServerConnection, breakdown: Breakdown
    ) -> tuple[int, str, str] | None:
        """A handshake of a vendor that breaks down."""
        if breakdown.kind == "hang":
            await asyncio.Event().wait()
        if breakdown.kind == "late":
            await asyncio.sleep(breakdown.seconds)
            return None
        if breakdown.kind in HANDSHAKE_STATUS:
            return HANDSHAKE_STATUS[breakdown.kind], "server_error", "As ordered."
        self._admitted[connection] = breakdown
        return None

    def _refusal(self, request: Request) -> tuple[int, str, str] | None:
        address = urlsplit(request.path)
        if self.faults.refuse is not None:
            return self.faults.refuse, "server_error", "The server cannot take this session."
        if address.path != PATH:
            return 404, "not_found", f"Invalid URL (GET {address.path})"
        if _key(request) not in {self._api_key, *self.keys}:
            return 401, "invalid_api_key", "Incorrect API key provided."
        if "OpenAI-Beta" in request.headers:
            message = "The beta API is not served here: remove the OpenAI-Beta header."
            return 400, "beta_api_disabled", message
        if not parse_qs(address.query).get("model"):
            return 400, "missing_model", "You must provide a model parameter."
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        model = parse_qs(urlsplit(connection.request.path).query)["model"][0]
        now = asyncio.get_running_loop().time()
        number = len(self.sessions) + 1
        epoch_end = int(time.time() + self.max_age_s)
        config = default_config(f"sess_{number:06d}", model, epoch_end)
        record = SessionRecord(number, AGENT_TAG_BIT | number, model, now, config)
        self.sessions.append(record)
        habits = Habits(self.pace, self.faults.fail, self.faults.hang)
        session = Session(record, self._brains, habits, self._publish, now + self.max_age_s)
        line = _Line(connection, session, self.faults, self._observer(record))
        breakdown = self._admitted.pop(connection, None)
        if breakdown is not None:
            line.break_down(breakdown, now)
        self._lines.append(line)
        try:
            await line.run()
        finally:
            self._lines.remove(line)
            record.closed_at = asyncio.get_running_loop().time()
            record.close_code = connection.close_code

    def _publish(self, tag: int, text: str, audio: bytes) -> None:
        if self.published is not None:
            self.published(tag, text, audio)

    def _observer(self, record: SessionRecord) -> OnEvent:
        def tell(name: str, fields: dict[str, Any]) -> None:
            if self.on_event is not None:
                self.on_event(name, {"call_tag": record.call_tag, **fields})

        return tell


class _Line:
    """One connection: reads into the session, and sends what it has to say when it is due."""

    def __init__(
        self, connection: ServerConnection, session: Session, faults: Faults, tell: OnEvent
    ) -> None:
        self._connection = connection
        self._session = session
        self._faults = faults
        self._tell = tell
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._wake = asyncio.Event()
        self._spoiler: Spoiler | None = None
        self._lagging: deque[tuple[float, str]] = deque()

    @property
    def call_tag(self) -> int | None:
        """Whom it hears."""
        return self._session.record.call_tag

    @property
    def key(self) -> str:
        """Who pays for it."""
        assert self._connection.request is not None
        return _key(self._connection.request)

    @property
    def broken(self) -> bool:
        """Whether it has broken down."""
        return self._spoiler is not None

    def break_down(self, breakdown: Breakdown, now: float) -> None:
        """From here on."""
        self._spoiler = Spoiler(breakdown)
        self._session.break_down(breakdown.kind, breakdown.seconds, now)
        if self._spoiler.dead:
            self._connection.transport.pause_reading()
        self._wake.set()

    def abort_if_dead(self) -> None:
        """Let a half-dead socket go."""
        if self._spoiler is not None and self._spoiler.dead:
            self._connection.transport.abort()

    async def run(self) -> None:
        """Until either side closes."""
        async with asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(self._write())
            await self._read()
            writer.cancel()

    async def _read(self) -> None:
        try:
            async for message in self._connection:
                if self._spoiler is not None and self._spoiler.dead:
                    await self._connection.wait_closed()
                    return
                self._take(message)
        except ConnectionClosed:
            return

    def _take(self, message: str | bytes) -> None:
        session = self._session
        now = self._clock()
        due = session.due()
        try:
            event = json.loads(message)
        except ValueError as problem:
            session.unreadable(f"Could not parse the message as JSON: {problem}")
        else:
            session.receive(event, now)
            _observe_client(event, self._tell)
        if session.has_news() or session.due() < due:
            self._wake.set()

    async def _write(self) -> None:
        try:
            while True:
                now = self._clock()
                if self._breaks(now):
                    await self._break()
                    return
                self._session.advance(now)
                await self._send(now)
                if self._session.expired:
                    await self._connection.close(_CLOSE_EXPIRED, "session expired")
                    return
                await self._pause()
        except ConnectionClosed:
            return

    async def _send(self, now: float) -> None:
        mute = self._faults.mute_after_s
        for event in self._session.drain():
            _observe(event, self._tell)
            if mute is None or now - self._began < mute:
                lag_s = self._spoiler.lag_s if self._spoiler is not None else 0.0
                self._lagging.extend((now + lag_s, text) for text in self._leaving(event))
        while self._lagging and self._lagging[0][0] <= now:
            await self._connection.send(self._lagging.popleft()[1])

    def _leaving(self, event: dict[str, Any]) -> Iterable[str]:
        # `_observe` may have been what broke it.
        return [json.dumps(event)] if self._spoiler is None else self._spoiler.spoil(event)

    async def _pause(self) -> None:
        until = self._session.due()
        if self._spoiler is not None and self._spoiler.over:
            return
        if self._faults.close_after_s is not None:
            until = min(until, self._began + self._faults.close_after_s)
        if self._lagging:
            until = min(until, self._lagging[0][0])
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _breaks(self, now: float) -> bool:
        after = self._faults.close_after_s
        if self._spoiler is not None and self._spoiler.over:
            return True
        return after is not None and now >= self._began + after

    async def _break(self) -> None:
        code = self._spoiler.close_code if self._spoiler is not None else self._faults.close_code
        if code is not None:
            await self._connection.close(code)
        else:
            self._connection.transport.abort()


def _key(request: Request) -> str:
    kind, _, key = request.headers.get("Authorization", "").partition(" ")
    return key if kind == "Bearer" else ""


def _observe_client(event: Any, tell: OnEvent) -> None:
    """What of the client's a spectator cares for."""
    item = event.get("item") if isinstance(event, dict) else None
    if isinstance(item, dict) and item.get("type") == "function_call_output":
        tell("model_reads_result", {"output": item.get("output")})


def _observe(event: dict[str, Any], tell: OnEvent) -> None:
    """What a spectator cares for."""
    kind = event["type"]
    if kind == "response.output_audio_transcript.done":
        tell("model_says", {"text": event["transcript"]})
    elif kind == "response.function_call_arguments.done":
        tell("model_calls", {"name": event["name"], "arguments": event["arguments"]})
    elif kind == "conversation.item.truncated":
        tell("model_truncated", {"audio_end_ms": event["audio_end_ms"]})
    elif kind == "error":
        tell("model_refuses", {"error": event["error"]})
