"""The audio connection of one emulated Vapi call: raw frames, or Twilio's media stream (bypass).

Speaks in real time, a frame each 20 ms, silence included, as the vendor's websocket transport was
seen to do. Text frames are its messages to the client, and the client's orders.
"""

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from itertools import cycle
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from sandbox.audio import FRAME_BYTES
from sandbox.vapi_assistant import Assistant
from sandbox.vapi_faults import VapiFaults
from sandbox.vapi_messages import DEFAULT_CLIENT_MESSAGES, subscribed

_FRAME_S = 0.020
#: Digital zero in µ-law: a synthesised voice has no noise behind it.
_SILENCE = b"\xff" * FRAME_BYTES
_GARBAGE = ("{", "[1, 2]", '{"type": 7}', '{"type": "moon-phase", "phase": "full"}', "null", '"hm"')


class Line:
    """One connection of one call; `run` lasts as long as it does."""

    def __init__(
        self,
        connection: ServerConnection,
        assistant: Assistant,
        faults: Callable[[], VapiFaults],
        *,
        bypass: bool,
    ) -> None:
        self._connection = connection
        self._assistant = assistant
        self._faults_now = faults
        self._bypass = bypass
        self._record = assistant.record
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()
        self._events = 0
        self._held: str | None = None
        self._nonsense = cycle(_GARBAGE)
        self._outbox: deque[tuple[float, str | bytes]] = deque()  # when it is due
        self._rest = b""
        self._stream_sid = ""
        self._started = not bypass
        self._closing = False

    async def run(self) -> None:
        """Until either side closes."""
        try:
            async with asyncio.TaskGroup() as tasks:
                speaking = tasks.create_task(self._speak())
                await self._listen()
                speaking.cancel()
        finally:
            reason = (
                "phone-call-provider-closed-websocket" if self._bypass else "customer-ended-call"
            )
            self._assistant.end(reason)

    @property
    def _faults(self) -> VapiFaults:
        return self._faults_now()

    # ----------------------------------------------------------------------- to the client

    def tell(self, kind: str, fields: Mapping[str, Any]) -> None:
        """A client message, if the assistant has it sent."""
        kinds = self._record.assistant.get("clientMessages", DEFAULT_CLIENT_MESSAGES)
        if self._bypass or not subscribed(kinds, kind, fields):
            return
        self._events += 1
        self._record.sent.append(kind)
        text = json.dumps({"type": kind, **fields})
        if self._faults.shuffle and self._held is None:
            self._held = text
            return
        for each in (text, self._held):
            if each is not None:
                self._text(each)
        self._held = None

    def forget(self) -> None:
        """An interruption: what the carrier has buffered is cleared."""
        if self._bypass and self._started:
            self._text(json.dumps({"event": "clear", "streamSid": self._stream_sid}))

    def close(self) -> None:
        """The call is over."""
        self._closing = True

    def _text(self, text: str) -> None:
        if self._silenced():
            return
        for _ in range(2 if self._faults.duplicates and not self._bypass else 1):
            self._write(text)
        if self._faults.garbage and not self._bypass:
            self._write(next(self._nonsense))

    def _write(self, message: str | bytes) -> None:
        self._outbox.append((self._clock() + self._faults.lag_s, message))

    async def _flush(self) -> None:
        while self._outbox and self._outbox[0][0] <= self._clock():
            await self._connection.send(self._outbox.popleft()[1])

    def _silenced(self) -> bool:
        """Whether a fault keeps everything from being sent."""
        since = self._clock() - self._began
        limits = (self._faults.mute_after_s, self._faults.half_dead_after_s)
        if self._faults.brown_out or self._faults.hung:
            return True
        return any(each is not None and since >= each for each in limits)

    async def _speak(self) -> None:
        count = 0
        begun = self._clock()
        try:
            if self._started:
                self._assistant.start(begun)
            while True:
                await asyncio.sleep(max(0.0, begun + count * _FRAME_S - self._clock()))
                now = self._clock()
                count += 1
                if self._started:
                    self._frame(self._assistant.tick(now))
                await self._flush()
                if await self._ends(now):
                    return
        except ConnectionClosed:
            return

    def _frame(self, frame: bytes | None) -> None:
        if frame is None:
            if self._faults.no_silence:
                return
            frame = _SILENCE
        if self._closing or self._silenced():
            return
        if self._bypass:
            media = {"payload": base64.b64encode(frame).decode()}
            self._text(
                json.dumps({"event": "media", "streamSid": self._stream_sid, "media": media})
            )
        else:
            self._write(frame)

    async def _ends(self, now: float) -> bool:
        faults, since = self._faults, now - self._began
        if faults.half_dead_after_s is not None and since >= faults.half_dead_after_s:
            self._connection.transport.pause_reading()  # and so no pong either
        late = faults.close_after_s is not None and since >= faults.close_after_s
        nth = faults.close_at_event is not None and self._events >= faults.close_at_event
        if late or nth:
            if faults.close_code is None:
                self._connection.transport.abort()
            else:
                await self._connection.close(faults.close_code)
            return True
        if self._closing and not self._outbox:
            await self._connection.close(1000, "call ended")
            return True
        if faults.ends_as:
            self._assistant.end(faults.ends_as)
        return False

    # --------------------------------------------------------------------- from the client

    async def _listen(self) -> None:
        try:
            async for message in self._connection:
                if self._bypass:
                    self._carrier(message)
                elif isinstance(message, bytes):
                    self._audio(message)
                else:
                    self._order(message)
        except ConnectionClosed:
            return

    def _audio(self, audio: bytes) -> None:
        audio = self._rest + audio
        whole = len(audio) - len(audio) % FRAME_BYTES
        self._rest = audio[whole:]
        now = self._clock()
        for at in range(0, whole, FRAME_BYTES):
            self._assistant.hear(audio[at : at + FRAME_BYTES], now)

    def _order(self, text: str) -> None:
        try:
            self._assistant.order(json.loads(text), self._clock())
        except ValueError as error:
            self._record.faults_seen.append(f"an order on the socket: {error}")

    def _carrier(self, message: str | bytes) -> None:
        """Twilio's side of a media stream (docs/voice/media-streams/websocket-messages)."""
        try:
            told = json.loads(message)
            event = told["event"]
            if event == "start":
                self._stream_sid = told["start"]["streamSid"]
                self._started = True
                self._assistant.start(self._clock())
            elif event == "media":
                self._audio(base64.b64decode(told["media"]["payload"], validate=True))
        except (ValueError, TypeError, KeyError) as error:
            self._record.faults_seen.append(f"a message of the carrier: {error!r}")


def refusal(connection: ServerConnection, status: int, why: str) -> Response:
    """An answer that ends a handshake."""
    return connection.respond(
        HTTPStatus(status), json.dumps({"message": why, "statusCode": status})
    )


def call_id_of(request: Request) -> str:
    """Of `/<id>/transport`; "" for anything else."""
    parts = request.path.split("?")[0].strip("/").split("/")
    return parts[0] if len(parts) == 2 and parts[1] == "transport" else ""
