"""uvicorn's websocket class, with a way for a route to take the connection over after the start.

Handshake, fragments, ping, close and errors stay with uvicorn and `websockets`. What we send goes
straight to the transport, and once a route has taken over, whole text frames, which is what a
caller's audio comes in, skip `websockets`' parser (a third of the cost of a frame) and the ASGI
queue. Offered to routes as `scope["extensions"]["coccinelle.media"]`; a route that doesn't find it
uses ASGI's own loop.

After the handshake the stream of bytes is cut into frames here, and `websockets` is given the
others one whole frame at a time; so the two never disagree about where a frame begins. A client
that sends before its handshake is answered is left to `websockets` altogether.

Touches these attributes of uvicorn's class: conn, config, queue, transport, frames,
curr_msg_data_type, handshake_complete, read_paused, close_sent, close_timer, disconnected,
keepalive_timeout. uvicorn is pinned to a minor version; tests/server/test_media_protocol.py fails
when any of this changes (docs/decisions).
"""

import struct
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

try:
    from websockets.speedups import apply_mask
except ImportError:  # the wheel without C, on an unusual machine
    from websockets.utils import apply_mask

EXTENSION = "coccinelle.media"
#: How long a peer may take to follow our close; uvicorn's own.
CLOSE_SECONDS = 10.0
#: Bytes that a peer which goes on sending pings may leave unread: more than audio ever comes to
#: (voice.bridge.MAX_BUFFERED).
MAX_UNREAD = 5 * 1024 * 1024


class MediaProtocol(WebSocketsSansIOProtocol):
    """One connection. Until `take_over` it behaves as uvicorn's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_text: Callable[[bytes], None] | None = None
        self._on_closed: Callable[[], None] | None = None
        self._cutting = False  # frames are cut here
        self._early = False  # the client sent before its handshake was answered
        self._rest = b""  # the beginning of a frame whose end is to come

    def handle_connect(self, event: Any) -> None:
        """As uvicorn's, and offers the take-over to the route."""
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][EXTENSION] = self
            self._early = len(self.conn.reader.buffer) > 0
            self._cutting = True

    # ------------------------------------------------------------------ what the route may do

    def take_over(self, on_text: Callable[[bytes], None], on_closed: Callable[[], None]) -> None:
        """From now on whole text frames go to `on_text`, and the end to `on_closed`, once.

        What uvicorn had already queued is delivered first, in order.
        """
        self._on_text, self._on_closed = on_text, on_closed
        while not self.queue.empty():
            message = self.queue.get_nowait()
            if message["type"] == "websocket.receive":
                text = message.get("text")
                if text is not None:
                    on_text(text.encode())
            elif message["type"] == "websocket.disconnect":
                self._closed()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def send_text(self, text: bytes) -> None:
        """One text frame, now. A connection that is closing swallows it."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        size = len(text)
        if size < 126:
            header = bytes((0x81, size))
        elif size < 65536:
            header = b"\x81\x7e" + struct.pack("!H", size)
        else:
            header = b"\x81\x7f" + struct.pack("!Q", size)
        self.transport.write(header + text)

    def close(self, code: int = 1000) -> None:
        """Begin the closing handshake; a peer that doesn't follow is cut off. Idempotent."""
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.conn.send_close(code)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            # Not `transport.close`: it would wait for ever for a peer that doesn't read.
            self.close_timer = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)
        self._closed()

    @property
    def buffered(self) -> int:
        """Bytes that the peer hasn't taken yet."""
        return self.transport.get_write_buffer_size()

    # ---------------------------------------------------------------------- uvicorn's callbacks

    def data_received(self, data: bytes) -> None:
        """Bytes from the network."""
        if not self._cutting:
            super().data_received(data)
            return
        if self._early or not self.handshake_complete:
            self._early = True
            super().data_received(data)
            return
        # Nearly always: one caller's frame, masked, of 126 to 65,535 bytes (RFC 6455 §5.2).
        if (
            not self._rest
            and self._on_text is not None
            and len(data) > 8
            and data[:2] == b"\x81\xfe"
            and len(data) == 8 + (data[2] << 8 | data[3])
        ):
            self._on_text(apply_mask(data[8:], data[4:8]))
            return
        self._cut(self._rest + data if self._rest else data)

    def _cut(self, data: bytes) -> None:
        at, size = 0, len(data)
        self._rest = b""
        while at < size:
            end = _frame_end(data, at)
            if (end or 0) - at > self.config.ws_max_size + 14:  # even if all of it is there
                self._cutting = False  # too big: `websockets` says so to the peer
                super().data_received(data[at:])
                return
            if end is None or end > size:
                self._rest = data[at:]
                return
            self._frame(data[at:end])
            at = end

    def _frame(self, frame: bytes) -> None:
        """One whole frame."""
        if self._on_text is None or frame[0] != 0x81 or not frame[1] & 0x80:
            super().data_received(frame)
            return
        payload = {126: 8, 127: 14}.get(frame[1] & 0x7F, 6)
        self._on_text(apply_mask(frame[payload:], frame[payload - 4 : payload]))

    def handle_text(self, event: Frame) -> None:
        """A whole text frame goes straight to the route that took over."""
        if self._on_text is not None and event.fin:
            self._on_text(bytes(event.data))
        else:
            super().handle_text(event)

    def send_receive_event_to_app(self) -> None:
        """The end of a fragmented message, or a binary one (which Media Streams doesn't know)."""
        if self._on_text is None:
            super().send_receive_event_to_app()
            return
        data, self.frames = b"".join(self.frames), []
        if self.curr_msg_data_type == "text":
            self._on_text(data)

    def handle_close(self, event: Frame) -> None:
        """The peer closes."""
        super().handle_close(event)
        self._closed()

    def handle_ping(self) -> None:
        """Answered, but not to a peer that sends without reading: the answers would pile up."""
        super().handle_ping()
        if self.buffered > MAX_UNREAD:
            self.transport.abort()

    def keepalive_timeout(self) -> None:
        """The peer has answered no ping: gone without a word, and so is what it hasn't read."""
        super().keepalive_timeout()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        self._closed()

    def _closed(self) -> None:
        """Tell the route, once."""
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is not None:
            on_closed()


def _frame_end(data: bytes, at: int) -> int | None:
    """Where the frame that begins at `at` ends; None while its header is incomplete."""
    header = data[at : at + 10]
    if len(header) < 2:
        return None
    length = header[1] & 0x7F
    begins = at + 2 + (4 if header[1] & 0x80 else 0)
    if length == 126:
        return begins + 2 + int.from_bytes(header[2:4]) if len(header) >= 4 else None
    if length == 127:
        return begins + 8 + int.from_bytes(header[2:10]) if len(header) == 10 else None
    return begins + length
