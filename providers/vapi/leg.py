"""The agent that is Vapi's assistant, on our media stream: a websocket around `protocol`.

The socket is picows', as the realtime model's is: its callbacks run on the event loop's reader, and
a frame costs neither a task nor a queue. What bounds a leg is the socket's own buffer. There is no
timer: the caller's frames, fifty a second, are the clock by which the leg looks after the other
side.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from binascii import a2b_base64
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import picows

from domain.clock import Clock
from domain.errors import CoccinelleError, OperatorError, ProviderError
from domain.fetching import AddressRefused
from providers.vapi.addresses import VENDOR
from providers.vapi.protocol import Audio, Output, VapiProtocol, overrides
from providers.vapi.rest import VapiAccount, VapiCall
from voice.events import AgentGone, AgentReady, FunctionCalled
from voice.ports import AgentListener, AgentSpec, CallFacts

#: Seconds. A caller waits meanwhile: beyond these the ladder tries something else.
OPEN_SECONDS: Final = 4.0
#: … for the database to take down which call this is.
REMEMBER_SECONDS: Final = 1.0

#: Seconds for the vendor to answer our close frame, then for the socket to let go.
CLOSE_SECONDS: Final = 1.0
ABORT_SECONDS: Final = 0.5

#: A vendor that says nothing at all is asked for a sign: silence is audio here, and comes too.
PING_AFTER_SECONDS: Final = 2.0
PONG_WITHIN_SECONDS: Final = 2.0

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

#: picows writes the whole handshake at its debug level, and the address is the key to the call.
_socket_log = logging.getLogger("providers.vapi.socket")
_socket_log.setLevel(logging.WARNING)

#: Starts work that nobody waits for: its name, and what makes it. It outlives the call.
Spawn = Callable[[str, Callable[[], Coroutine[Any, Any, None]]], None]
#: Stores which call at Vapi (the second) one of ours is; False when ours is over.
Remember = Callable[[CallFacts, str], Awaitable[bool]]


class VapiConnector:
    """Opens legs; an AgentConnector.

    `remember` is done before any audio flows: by it a function's request is known to belong to the
    call. `spawn` ends calls that nobody wants any more. `tls`: another trust store.
    """

    def __init__(
        self,
        account: VapiAccount,
        clock: Clock,
        spawn: Spawn,
        remember: Remember,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._account = account
        self._clock = clock
        self._spawn = spawn
        self._remember = remember
        self._tls = tls or ssl.create_default_context()  # reads the trust store: once

    async def connect(self, spec: AgentSpec) -> "VapiLeg":
        """A call that has been joined, within 11 s. Raises ProviderError."""
        if not spec.assistant_id:
            raise ProviderError(
                VENDOR, "the tenant has no assistant", retryable=False, status=404, code="nobody"
            )
        facts = spec.call
        # If this is cancelled before it answers, Vapi may have made a call that we don't know of:
        # nobody joins it, and Vapi gives its line back by itself.
        call = await self._account.create_websocket_call(
            spec.assistant_id,
            customer_number=facts.caller_number if facts is not None else None,
            overrides=overrides(spec),
        )
        leg = VapiLeg(spec, call, self._account, self._clock, self._spawn)
        ready = False
        try:
            if facts is not None:
                await self._remembered(facts, call.id)
            await self._open(leg, call)
            ready = True
        finally:
            if not ready:
                leg.abandon()
        return leg

    async def _remembered(self, facts: CallFacts, vapi_call_id: str) -> None:
        try:
            async with asyncio.timeout(REMEMBER_SECONDS):
                live = await self._remember(facts, vapi_call_id)
        except (TimeoutError, OperatorError) as error:
            raise ProviderError(
                VENDOR,
                "the call can't be stored, and its functions would be refused",
                retryable=True,
                code="not_remembered",
            ) from error
        if not live:  # our own affair, and no failure of Vapi's: so a status of that kind
            raise ProviderError(
                VENDOR, "the call is over", retryable=False, status=409, code="call_over"
            )

    async def _open(self, leg: "VapiLeg", call: VapiCall) -> None:
        assert call.websocket_url is not None, "creation has seen to it"
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                factory = await self._socket_factory(call.websocket_url)
                await picows.ws_connect(
                    lambda _request, _response: leg,
                    call.websocket_url,
                    ssl_context=self._tls,
                    websocket_handshake_timeout=OPEN_SECONDS,
                    logger_name=_socket_log,
                    disconnect_on_exception=False,
                    enable_auto_ping=True,
                    auto_ping_idle_timeout=PING_AFTER_SECONDS,
                    auto_ping_reply_timeout=PONG_WITHIN_SECONDS,
                    max_frame_size=MAX_MESSAGE_BYTES,
                    max_redirects=0,
                    socket_factory=factory,
                )
        except TimeoutError as error:
            raise ProviderError(
                VENDOR, "no connection in time", retryable=True, code="open_timeout"
            ) from error
        except picows.WSHandshakeError as error:
            raise _refused(error) from error
        except (picows.WSError, OSError, AddressRefused) as error:
            raise ProviderError(
                VENDOR, f"no connection: {type(error).__name__}", retryable=True, code="connect"
            ) from error
        if not leg.is_open:
            raise ProviderError(
                VENDOR, "closed during the handshake", retryable=True, code="connect"
            )

    async def _socket_factory(
        self, address: str
    ) -> Callable[[picows.WSParsedURL], socket.socket] | None:
        """None: dial it as it is. Otherwise the guarded door has dialled."""
        if self._account.addresses.judge(address, plain="ws", tls="wss") == "operator":
            return None
        host = urlsplit(address).hostname or ""
        opened = await self._account.guard.connect(host, 443, ports=frozenset({443}))
        return lambda _url: opened


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
        self._report(self._protocol.interrupt())

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


def _refused(error: picows.WSHandshakeError) -> ProviderError:
    status = error.response.status.value if error.response is not None else None
    reason = "the handshake was refused" if status is None else f"refused with status {status}"
    # Whatever it is, it is Vapi's: it has named this address a moment ago. So no 4xx is told, which
    # would be taken for a mistake of the tenant's.
    told = status if status is not None and (status >= 500 or status == 429) else None
    return ProviderError(VENDOR, reason, retryable=True, status=told, code="handshake")


def _nowhere(_type: picows.WSMsgType, _frame: bytes) -> None:
    """Where frames go before a connection and after it."""


def _nothing() -> int:
    return 0
