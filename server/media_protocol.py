"""uvicorn's websocket class, with a way for a route to take the connection over after the start.

Handshake, fragments, ping, close and errors stay with uvicorn and `websockets`; only whole text
frames skip the ASGI queue, and what we send goes straight to the transport. Offered to routes as
`scope["extensions"]["coccinelle.media"]`; a route that doesn't find it uses ASGI's own loop.

Touches these attributes of uvicorn's class: conn, queue, transport, frames, curr_msg_data_type,
read_paused, close_sent, close_timer, disconnected, keepalive_timeout. uvicorn is pinned to a minor
version; tests/server/test_media_protocol.py fails when any of this changes (docs/decisions).
"""

import struct
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

EXTENSION = "coccinelle.media"
#: How long a peer may take to follow our close; uvicorn's own.
CLOSE_SECONDS = 10.0


class MediaProtocol(WebSocketsSansIOProtocol):
    """One connection. Until `take_over` it behaves as uvicorn's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._on_text: Callable[[bytes], None] | None = None
        self._on_closed: Callable[[], None] | None = None

    def handle_connect(self, event: Any) -> None:
        """As uvicorn's, and offers the take-over to the route."""
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][EXTENSION] = self

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

    def keepalive_timeout(self) -> None:
        """The peer has answered no ping: gone without a word, and so is what it hasn't read."""
        super().keepalive_timeout()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        super().connection_lost(exc)
        self._closed()

    def _closed(self) -> None:
        on_closed, self._on_closed = self._on_closed, None
        if on_closed is not None:
            on_closed()
