"""The agent that speaks through OpenAI's Realtime API: a websocket around `realtime_protocol`.

The socket is picows': its callbacks run on the event loop's reader, so that a frame costs neither a
task nor a queue (shared/reference/engines.md §8). What bounds a leg is the socket's own buffer.
"""

import asyncio
import contextlib
import logging
import re
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote, urlsplit

import picows

from domain.errors import OperatorError, ProviderError
from providers.liveness import answers
from providers.openai.lateness import Sent
from providers.openai.realtime_events import Audio, HeardUntil
from providers.openai.realtime_protocol import RealtimeProtocol, append
from voice.audio import base64_size
from voice.events import AgentFault, AgentGone, AgentLags, AgentReady, Event
from voice.ports import AgentListener, AgentSpec

VENDOR: Final = "openai"

#: Seconds. A caller waits meanwhile: beyond these the ladder tries something else.
OPEN_SECONDS: Final = 4.0
CONFIGURE_SECONDS: Final = 3.0

#: Seconds for the vendor to answer our close frame, then for the socket to let go.
CLOSE_SECONDS: Final = 1.0
ABORT_SECONDS: Final = 0.5

#: A silent vendor is asked for a sign after 10 s, and given up 5 s later.
PING_AFTER_SECONDS: Final = 10.0
PONG_WITHIN_SECONDS: Final = 5.0

#: The vendor sends events far below this (an append of ours may have 15 MiB, its deltas have KBs).
MAX_MESSAGE_BYTES: Final = 1024 * 1024

#: Unsent bytes beyond which the caller's audio is dropped: about 20 s of it, none of it of use.
MAX_AUDIO_BACKLOG: Final = 256 * 1024

#: … and beyond which the leg is given up: only commands can get there.
MAX_BACKLOG: Final = 1024 * 1024

#: What is kept until the caller's stream is there: 15 s of µ-law as base64 characters, and events.
MAX_KEPT_AUDIO: Final = 15 * 8000 * 4 // 3
MAX_KEPT: Final = 2000

#: What the server says of the caller comes a third of a second late, or half a second. From here on
#: it is reported: the caller waits for so long on top of every answer.
LAG_SECONDS: Final = 1.5

#: Of the code in a close frame's reason, characters.
MAX_CODE: Final = 64

#: µ-law, 8 kHz.
_BYTES_PER_MS: Final = 8

#: An API error's code → the status that it has over HTTP, where a session is refused after the
#: handshake. The type doesn't tell: "inference_rate_limit_exceeded" comes as an
#: "invalid_request_error" (github.com/openai/openai-python/issues/2502). What is none of these, our
#: own names for a server's garbage included (`realtime_protocol`), has no status.
_STATUSES: Final = (
    (re.compile(r"rate_limit|quota|capacity|overloaded"), 429),
    (re.compile(r"server_error|internal_error|unavailable"), 503),
    (re.compile(r"invalid_api_key|authentication"), 401),
    (re.compile(r"_not_found$"), 404),
    (
        re.compile(
            r"invalid_(?!event$|audio$)|missing_|unknown_|unsupported_|empty_"
            r"|_(above_max|below_min)_|context_length"
        ),
        400,
    ),
)
#: Of those, what may pass; but an account with nothing left to spend stays so.
_PASSING: Final = frozenset({429, 503})
_LASTING: Final = re.compile("quota")
#: A refusal's close codes; 4000, with or without an error event before it, and with a reason like
#: "invalid_request_error.invalid_model" (github.com/livekit/agents-js/issues/1756).
_REFUSED: Final = range(3000, 5000)

_TEXT: Final = picows.WSMsgType.TEXT
_CONTINUATION: Final = picows.WSMsgType.CONTINUATION
_CLOSE: Final = picows.WSMsgType.CLOSE
_PONG: Final = picows.WSMsgType.PONG

#: picows writes the whole handshake, bearer token included, at its debug level: never let it.
_socket_log = logging.getLogger("providers.openai.realtime.socket")
_socket_log.setLevel(logging.WARNING)


class OpenAIRealtime:
    """Opens legs at `base_url` (`http(s)://host/v1`); an AgentConnector."""

    def __init__(self, base_url: str, *, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: another trust store than the system's. Raises OperatorError on a bad address."""
        self._endpoint = _endpoint(base_url)
        self._tls = tls
        if tls is None and self._endpoint.startswith("wss:"):
            self._tls = ssl.create_default_context()  # reads the trust store: once, not per call

    async def connect(self, spec: AgentSpec) -> "RealtimeLeg":
        """A configured leg, within 7 s. Raises ProviderError."""
        headers = {"Authorization": f"Bearer {_header_value(spec.api_key)}"}
        leg = RealtimeLeg(spec)
        ready = False
        try:
            await self._open(leg, f"{self._endpoint}?model={quote(spec.model, safe='')}", headers)
            await leg.configured()
            ready = True
        finally:
            if not ready:
                leg.abandon()
        return leg

    async def _open(self, leg: "RealtimeLeg", url: str, headers: dict[str, str]) -> None:
        try:
            async with asyncio.timeout(OPEN_SECONDS):
                await picows.ws_connect(
                    lambda _request, _response: leg,
                    url,
                    ssl_context=self._tls,
                    websocket_handshake_timeout=OPEN_SECONDS,
                    logger_name=_socket_log,
                    # A bug in a callback is logged by picows; the leg closes itself.
                    disconnect_on_exception=False,
                    enable_auto_ping=True,
                    auto_ping_idle_timeout=PING_AFTER_SECONDS,
                    auto_ping_reply_timeout=PONG_WITHIN_SECONDS,
                    max_frame_size=MAX_MESSAGE_BYTES,
                    extra_headers=headers,
                    max_redirects=0,  # the token goes to nobody else
                )
        except TimeoutError as error:
            raise ProviderError(
                VENDOR, "no connection in time", retryable=True, code="open_timeout"
            ) from error
        except picows.WSHandshakeError as error:
            raise _refused(error) from error
        except (picows.WSError, OSError) as error:
            raise ProviderError(
                VENDOR,
                f"no connection: {type(error).__name__}",
                retryable=not isinstance(error, ssl.SSLCertVerificationError),
                code="connect",
            ) from error
        if not leg.is_open:
            raise ProviderError(
                VENDOR, "closed during the handshake", retryable=True, code="connect"
            )


class RealtimeLeg(picows.WSListener):
    """One open conversation; an AgentLeg. See `voice.ports` for what its methods promise.

    After `close()` nothing is reported any more; otherwise `AgentGone` is the last event, once.
    """

    def __init__(self, spec: AgentSpec) -> None:
        self._name = f"realtime:{spec.model}"
        self._protocol = RealtimeProtocol(spec)
        self._listener: AgentListener | None = None
        self._transport: picows.WSTransport | None = None
        self._send: Callable[[picows.WSMsgType, bytes], None] = _nowhere
        self._backlog: Callable[[], int] = _nothing
        self._kept: deque[Audio | Event] = deque()
        self._kept_audio = 0
        self._fragments = bytearray()
        self._settled = asyncio.Event()
        self._refusal: ProviderError | None = None
        self._ready = False
        self._over = False  # nothing more is to be reported
        self._sent = Sent()
        self._now = asyncio.get_running_loop().time
        self.frames_dropped = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._over

    # --------------------------------------------------------------- towards the model

    def hear(self, payload: str) -> None:
        if self._backlog() > MAX_AUDIO_BACKLOG:
            self.frames_dropped += 1
            return
        frame = append(payload)
        if frame:
            self._send(_TEXT, frame)
            self._sent.add(base64_size(payload) / _BYTES_PER_MS, self._now())

    def say(self, text: str) -> None:
        self._write(self._protocol.say(text))

    def respond(self) -> None:
        self._write(self._protocol.respond())

    def interrupt(self, heard: Sequence[tuple[str, float, float]], *, cancel: bool) -> None:
        self._write(self._protocol.interrupt(heard, cancel=cancel))

    def tell(self, text: str, role: str) -> None:
        self._write(self._protocol.tell(text, role))

    def give_result(self, function_call_id: str, output: str, *, respond: bool) -> None:
        self._write(self._protocol.give_result(function_call_id, output, respond=respond))

    def _write(self, frames: list[bytes]) -> None:
        for frame in frames:
            self._send(_TEXT, frame)
        if frames and self._backlog() > MAX_BACKLOG:
            self._lose("backlog")

    # --------------------------------------------------------------- towards the bridge

    def listen(self, listener: AgentListener) -> None:
        self._listener = listener
        kept, self._kept, self._kept_audio = self._kept, deque(), 0
        for item in kept:
            if not isinstance(item, Audio):
                listener.on_agent_event(item)
            elif self._protocol.wanted(item):
                listener.on_agent_audio(item.item_id, item.payload)

    def _audio(self, audio: Audio) -> None:
        if self._listener is not None:
            self._listener.on_agent_audio(audio.item_id, audio.payload)
            return
        self._kept_audio += len(audio.payload)
        if self._kept_audio > MAX_KEPT_AUDIO:
            self._lose("nobody listens")
        else:
            self._keep(audio)

    def _event(self, event: Event) -> None:
        if not self._ready:
            self._configuring(event)
        if self._listener is not None:
            self._listener.on_agent_event(event)
        else:
            self._keep(event)
        if isinstance(event, AgentFault) and event.fatal:
            self._lose(event.code)

    def _keep(self, item: Audio | Event) -> None:
        if len(self._kept) >= MAX_KEPT and not isinstance(item, AgentGone):
            self._lose("nobody listens")
        else:
            self._kept.append(item)

    # ------------------------------------------------------------------- configuration

    async def configured(self) -> None:
        """Wait until the session is as we want it. Raises ProviderError."""
        try:
            async with asyncio.timeout(CONFIGURE_SECONDS):
                await self._settled.wait()
        except TimeoutError as error:
            raise ProviderError(
                VENDOR, "no session in time", retryable=True, code="configure_timeout"
            ) from error
        if self._refusal is not None:
            raise self._refusal

    def _configuring(self, event: Event) -> None:
        if isinstance(event, AgentReady):
            self._ready = True
        elif isinstance(event, AgentFault):
            self._refusal = _session_refused(event.code, event.message)
        elif isinstance(event, AgentGone):
            self._refusal = self._refusal or ProviderError(
                VENDOR, f"closed before it was ready: {event.reason}", retryable=True
            )
        else:
            return
        self._settled.set()

    # ---------------------------------------------------------------- picows' callbacks

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
            if frame.msg_type == _TEXT and frame.fin and not self._fragments:
                self._received(frame.get_payload_as_bytes())
            else:
                self._rare(transport, frame)
            done = True
        finally:
            if not done:
                self._lose("internal error")

    def _received(self, text: bytes) -> None:
        if self._over:
            return
        for output in self._protocol.receive(text):
            if isinstance(output, Audio):
                self._audio(output)
            elif isinstance(output, bytes):
                self._send(_TEXT, output)
            elif isinstance(output, HeardUntil):
                self._heard_until(output.ms)
            elif not self._over:
                self._event(output)

    def _heard_until(self, position_ms: float) -> None:
        late = self._sent.seconds_since(position_ms, self._now())
        if late is not None and late >= LAG_SECONDS and not self._over:
            self._event(AgentLags(late))

    def _rare(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == _CLOSE:
            self._closed_by_peer(transport, frame)
        elif frame.msg_type in (_TEXT, _CONTINUATION):
            self._fragment(frame)
        elif frame.msg_type != _PONG:
            self._lose("binary frame")

    def _fragment(self, frame: picows.WSFrame) -> None:
        self._fragments += frame.get_payload_as_bytes()
        if len(self._fragments) > MAX_MESSAGE_BYTES:
            self._lose("message too big")
        elif frame.fin:
            text, self._fragments = self._fragments, bytearray()
            self._received(bytes(text))

    def _closed_by_peer(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        code, reason = frame.get_close_code().value, frame.get_close_reason() or ""
        if not self._ready and code in _REFUSED and self._refusal is None:
            why = reason.rpartition(".")[2][:MAX_CODE]
            self._refusal = _session_refused(why, f"closed with {code}")
        transport.send_close(picows.WSCloseCode.OK)
        transport.disconnect()
        self._end(f"closed by the vendor: {code} {reason[:120]}".rstrip())

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        # We send no close frame before `_over`: picows did, since nothing answered its ping, or
        # since the vendor broke the websocket protocol.
        gave_up = transport.is_close_frame_sent
        self._end("no sign of life" if gave_up else "connection lost")

    def pause_writing(self) -> None:
        """The bound is ours: `_backlog`."""

    def resume_writing(self) -> None:
        """… and what was dropped stays dropped."""

    async def answers(self, seconds: float) -> bool:
        return await answers(self._transport, seconds)

    # -------------------------------------------------------------------------- ending

    def _lose(self, reason: str) -> None:
        """Give the connection up, from our side."""
        self.abort()
        self._end(reason)

    def _end(self, reason: str) -> None:
        """Report the end, unless it was reported or we closed."""
        if self._over:
            return
        self._send, self._backlog = _nowhere, _nothing
        self._over = True
        self._event(AgentGone(reason))

    def abandon(self) -> None:
        """Nobody wants this leg: no report, no farewell."""
        self._over = True
        self.abort()

    def abort(self) -> None:
        self._send, self._backlog = _nowhere, _nothing
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    async def close(self) -> None:
        self._over = True
        self._send, self._backlog = _nowhere, _nothing
        transport = self._transport
        if transport is None:
            return
        if not transport.is_disconnected:
            transport.send_close(picows.WSCloseCode.OK)
            await _gone(transport, CLOSE_SECONDS)
        if not transport.is_disconnected:
            transport.disconnect(graceful=False)
        await _gone(transport, ABORT_SECONDS)


async def _gone(transport: picows.WSTransport, seconds: float) -> None:
    """Wait until the socket is closed, for whatever reason, or the time is up."""
    with contextlib.suppress(TimeoutError, picows.WSError, OSError):
        async with asyncio.timeout(seconds):
            await transport.wait_disconnected()


def _endpoint(base_url: str) -> str:
    """`http(s)://h:p/v1` → `ws(s)://h:p/v1/realtime`."""
    parts = urlsplit(base_url.strip())
    scheme = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}.get(parts.scheme.lower())
    if scheme is None or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise OperatorError(
            "OPENAI_BASE_URL must look like https://api.openai.com/v1: "
            "http or https, a host, a path, and nothing else"
        )
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/realtime"


def _header_value(api_key: str) -> str:
    if not api_key or not api_key.isascii() or not api_key.isprintable():
        raise ProviderError(
            VENDOR,
            "no usable API key is configured",
            retryable=False,
            status=401,
            code="invalid_api_key",
        )
    return api_key


def _refused(error: picows.WSHandshakeError) -> ProviderError:
    status = error.response.status.value if error.response is not None else None
    retryable = status is None or status in (408, 425, 429) or status >= 500
    reason = "the handshake was refused" if status is None else f"refused with status {status}"
    return ProviderError(VENDOR, reason, retryable=retryable, status=status, code="handshake")


def _session_refused(code: str, message: str) -> ProviderError:
    status = next((status for words, status in _STATUSES if words.search(code)), None)
    return ProviderError(
        VENDOR,
        f"session refused: {code}: {message}",
        retryable=status in _PASSING and not _LASTING.search(code),
        status=status,
        code=code,
    )


def _nowhere(_type: picows.WSMsgType, _frame: bytes) -> None:
    """Where frames go before a connection and after it."""


def _nothing() -> int:
    return 0
