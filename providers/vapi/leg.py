"""The agent that is Vapi's assistant, on our media stream: a websocket around `protocol`.

The socket is picows', as the realtime model's is: its callbacks run on the event loop's reader, and
a frame costs neither a task nor a queue. What bounds a leg is the socket's own buffer. There is no
timer: the caller's frames, fifty a second, are the clock by which the leg looks after the other
side.
"""

import asyncio
import contextlib
from binascii import a2b_base64
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

import picows

from domain.clock import Clock
from domain.errors import CoccinelleError
from providers.liveness import answers
from providers.vapi.protocol import Audio, Output, VapiProtocol
from providers.vapi.rest import VapiAccount, VapiCall
from voice.events import AgentGone, AgentReady, FunctionCalled
from voice.ports import AgentListener, AgentSpec

#: Seconds for the vendor to answer our close frame, then for the socket to let go.
CLOSE_SECONDS: Final = 1.0
ABORT_SECONDS: Final = 0.5

#: Client messages are far below this (a conversation-update has the whole conversation).
MAX_MESSAGE_BYTES: Final = 1024 * 1024

#: Unsent bytes beyond which the caller's audio is dropped: 20 s of it, none of it of use.
MAX_AUDIO_BACKLOG: Final = 160 * 1024
#: … and beyond which the leg is given up: only orders can get there.
MAX_BACKLOG: Final = 1024 * 1024

#: What is kept until the caller's stream is there: 15 s of µ-law as base64 characters, and events.
MAX_KEPT_AUDIO: Final = 15 * 8000 * 4 // 3
MAX_KEPT: Final = 2000

#: One look in so many frames of the caller's: ten a second.
LOOK_EVERY: Final = 5
#: An assistant that has ended the call and whose goodbye leads to no end of ours.
ENDED_SECONDS: Final = 3.0

_BINARY: Final = picows.WSMsgType.BINARY
_TEXT: Final = picows.WSMsgType.TEXT
_CONTINUATION: Final = picows.WSMsgType.CONTINUATION
_CLOSE: Final = picows.WSMsgType.CLOSE
_PONG: Final = picows.WSMsgType.PONG
_END_CALL: Final = b'{"type":"end-call"}'

#: Starts work that nobody waits for: its name, and what makes it. It outlives the call.
Spawn = Callable[[str, Callable[[], Coroutine[Any, Any, None]]], None]


class VapiLeg(picows.WSListener):
    """One joined call; an AgentLeg. See `voice.ports` for what its methods promise.

    After `close()` nothing is reported any more; otherwise `AgentGone` is the last event, once.
    """

    def __init__(
        self,
        spec: AgentSpec,
        call: VapiCall,
        account: VapiAccount,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        self._name = f"vapi:{spec.assistant_id}"
        self._call = call
        self._account = account
        self._now = clock.monotonic
        self._spawn = spawn
        self._protocol = VapiProtocol(spec, call.id)
        self._listener: AgentListener | None = None
        self._transport: picows.WSTransport | None = None
        self._send: Callable[[picows.WSMsgType, bytes], None] = _nowhere
        self._backlog: Callable[[], int] = _nothing
        self._kept: deque[Output] = deque([AgentReady(greets=not spec.resumed)])
        self._kept_audio = 0
        self._fragments = bytearray()
        self._fragments_are: picows.WSMsgType = _TEXT
        self._heard = 0
        self._ended_at: float | None = None
        self._over = False  # nothing more is to be reported
        self._told_to_end = False  # Vapi knows, or has ended it by itself
        self.frames_dropped = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._over

    @property
    def messages_unknown(self) -> tuple[int, int]:
        """Of types that we don't know; that can't be read at all."""
        return self._protocol.unknown, self._protocol.malformed

    # ---------------------------------------------------------------- towards the assistant

    def hear(self, payload: str) -> None:
        self._heard += 1
        if not self._heard % LOOK_EVERY:
            self._look()
        if self._backlog() > MAX_AUDIO_BACKLOG:
            self.frames_dropped += 1
            return
        try:
            audio = a2b_base64(payload)
        except ValueError:  # no base64
            self.frames_dropped += 1
            return
        if audio:
            self._send(_BINARY, audio)

    def say(self, text: str) -> None:
        self._order(self._protocol.say(text))

    def respond(self) -> None:
        self._order(self._protocol.respond())

    def interrupt(self, heard: Sequence[tuple[str, float, float]], *, cancel: bool) -> None:
        # Vapi keeps its own account of what was heard, and can't be told ours.
        self._report(self._protocol.interrupt(cancel=cancel))

    def tell(self, text: str, role: str) -> None:
        self._write(self._protocol.tell(text, role))

    def give_result(self, function_call_id: str, output: str, *, respond: bool) -> None:
        """Nothing to give: Vapi asks our webhook for its functions, and has the answer from
        there."""
        if respond and self._protocol.ended:
            self._lose("ended by the assistant")

    def _order(self, orders: list[bytes]) -> None:
        """What wants words from it."""
        if self._protocol.ended:
            self._lose("ended by the assistant")
        else:
            self._write(orders)

    def _write(self, orders: Iterable[bytes]) -> None:
        for order in orders:
            self._send(_TEXT, order)
        if self._backlog() > MAX_BACKLOG:
            self._lose("backlog")

    def _look(self) -> None:
        if self._over:
            return
        now = self._now()
        self._write(self._protocol.settle())
        self._report(self._protocol.check(now))
        if self._ended_at is not None and now - self._ended_at > ENDED_SECONDS:
            self._lose("ended by the assistant")

    # ------------------------------------------------------------------- towards the bridge

    def listen(self, listener: AgentListener) -> None:
        self._listener = listener
        kept, self._kept, self._kept_audio = self._kept, deque(), 0
        for item in kept:
            self._deliver(listener, item)

    def _report(self, outputs: list[Output]) -> None:
        for output in outputs:
            if self._over:
                return
            if isinstance(output, AgentGone):
                self._lose(output.reason)
            elif self._listener is not None:
                self._deliver(self._listener, output)
            else:
                self._keep(output)
            if isinstance(output, FunctionCalled):
                self._told_to_end = True
                self._ended_at = self._now()

    def _deliver(self, listener: AgentListener, output: Output) -> None:
        if isinstance(output, Audio):
            listener.on_agent_audio(output.item_id, output.payload)
        else:
            listener.on_agent_event(output)

    def _keep(self, output: Output) -> None:
        if isinstance(output, Audio):
            self._kept_audio += len(output.payload)
        if self._kept_audio > MAX_KEPT_AUDIO or len(self._kept) >= MAX_KEPT:
            self._lose("nobody listens")
        else:
            self._kept.append(output)

    # -------------------------------------------------------------------- picows' callbacks

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        if self._over:  # nobody waits for this connection any more
            transport.disconnect(graceful=False)
            return
        self._transport = transport
        self._send = transport.send
        self._backlog = transport.underlying_transport.get_write_buffer_size
        self._write(self._protocol.opening())

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        done = False
        try:
            kind = frame.msg_type
            if kind in (_BINARY, _TEXT) and frame.fin and not self._fragments:
                self._received(kind, frame.get_payload_as_bytes())
            else:
                self._rare(transport, frame)
            done = True
        finally:
            if not done:
                self._lose("internal error")

    def _received(self, kind: picows.WSMsgType, payload: bytes) -> None:
        if self._over or self._protocol.ended:
            return
        if kind == _BINARY:
            self._report(self._protocol.audio(payload, self._now()))
        else:
            self._report(self._protocol.message(payload, self._now()))

    def _rare(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == _CLOSE:
            self._closed_by_peer(transport, frame)
        elif frame.msg_type in (_BINARY, _TEXT, _CONTINUATION):
            self._fragment(frame)
        elif frame.msg_type != _PONG:
            self._lose("unknown frame")

    def _fragment(self, frame: picows.WSFrame) -> None:
        if frame.msg_type != _CONTINUATION:
            self._fragments_are = frame.msg_type
        self._fragments += frame.get_payload_as_bytes()
        if len(self._fragments) > MAX_MESSAGE_BYTES:
            self._lose("message too big")
        elif frame.fin:
            whole, self._fragments = self._fragments, bytearray()
            self._received(self._fragments_are, bytes(whole))

    def _closed_by_peer(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        code = frame.get_close_code().value
        transport.send_close(picows.WSCloseCode.OK)
        transport.disconnect()
        self._gone(f"closed by the vendor: {code}")

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        gave_up = transport.is_close_frame_sent
        self._gone("no sign of life" if gave_up else "connection lost")

    def pause_writing(self) -> None:
        """The bound is ours: `_backlog`."""

    def resume_writing(self) -> None:
        """… and what was dropped stays dropped."""

    # ------------------------------------------------------------------------------ ending

    def _gone(self, reason: str) -> None:
        """The socket is closed: the end, unless the assistant's goodbye is on the line."""
        self._send, self._backlog = _nowhere, _nothing
        if not self._protocol.ended:
            self._end(reason)

    def _lose(self, reason: str) -> None:
        """Give the connection up, from our side."""
        self._abort()
        self._end(reason)

    def _end(self, reason: str) -> None:
        """Report the end, unless it was reported or we closed."""
        if self._over:
            return
        self._over = True
        self._hang_up_elsewhere()
        gone = AgentGone(reason)
        if self._listener is not None:
            self._listener.on_agent_event(gone)
        else:
            self._kept.append(gone)

    async def answers(self, seconds: float) -> bool:
        return await answers(self._transport, seconds)

    def abandon(self) -> None:
        """Nobody wants this leg: no report, no farewell; but Vapi's line is given back."""
        self._over = True
        self._abort()
        self._hang_up_elsewhere()

    def _abort(self) -> None:
        self._send, self._backlog = _nowhere, _nothing
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    async def close(self) -> None:
        transport = self._transport
        if not self._over and transport is not None and not transport.is_disconnected:
            self._over = self._told_to_end = True
            self._send(_TEXT, _END_CALL)
            transport.send_close(picows.WSCloseCode.OK)
            self._send, self._backlog = _nowhere, _nothing
            await _disconnected(transport, CLOSE_SECONDS)
        self._over = True
        self._hang_up_elsewhere()
        self._abort()
        if transport is not None:
            await _disconnected(transport, ABORT_SECONDS)

    def _hang_up_elsewhere(self) -> None:
        """A call whose socket is lost may go on at Vapi, and costs money and a line: end it by its
        control, once."""
        if not self._told_to_end:
            self._told_to_end = True
            self._spawn("vapi.end_call", self._end_by_control)

    async def _end_by_control(self) -> None:
        with contextlib.suppress(CoccinelleError):  # Vapi's own limits end it then
            await self._account.end(self._call)


async def _disconnected(transport: picows.WSTransport, seconds: float) -> None:
    """Wait until the socket is closed, for whatever reason, or the time is up."""
    with contextlib.suppress(TimeoutError, picows.WSError, OSError):
        async with asyncio.timeout(seconds):
            await transport.wait_disconnected()


def _nowhere(_type: picows.WSMsgType, _frame: bytes) -> None:
    """Where frames go before a connection and after it."""


def _nothing() -> int:
    return 0
