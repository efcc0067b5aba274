"""uvicorn's HTTP class, with bounds on what a stranger may send before anybody knows who it is.

uvicorn waits for ever for the end of a request's head, and keeps all of it, however long. A TLS
proxy in front has bounds of its own; without one, or behind one that passes everything on, a single
connection could take all the memory, and some thousands all the file descriptors.

Touches these methods and attributes of uvicorn's class: connection_made, connection_lost,
data_received, on_message_begin, on_headers_complete, on_body, transport, loop. uvicorn is pinned to
a minor version; tests/server/test_http_protocol.py fails when any of this changes.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Of request line and headers, as uvicorn's other HTTP class has it; Twilio's have about 2 KB.
MAX_HEAD = 64 * 1024
#: Of a body: several times what the largest that we take has, an uploaded document of 10 MB, so
#: that who sends more hears what is wrong. uvicorn keeps 64 KB of one that nobody reads.
MAX_BODY = 32 * 1024 * 1024
#: Of what frames a body: sizes of chunks, trailers.
MAX_FRAMING = 1024 * 1024
#: How long the head may take, seconds; nginx takes 60, Twilio sends it at once.
HEAD_SECONDS = 10.0


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._size = self._body = 0
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody has connected, and says what they want within a time."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """They have gone."""
        self._forget_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes from the network; too many of them end the connection."""
        super().data_received(data)
        self._size += len(data)
        limit = MAX_HEAD if self._in_head else MAX_FRAMING
        too_much = self._size > limit or self._body > MAX_BODY
        if too_much and self.transport.get_protocol() is self:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """A request begins: the first one, or another one on the same connection."""
        super().on_message_begin()
        self._size = self._body = 0
        self._in_head = True
        self._expect_head()

    def on_headers_complete(self) -> None:
        """Its head has come."""
        self._in_head = False
        self._size = 0
        self._forget_deadline()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of its body."""
        self._size -= len(body)
        self._body += len(body)
        super().on_body(body)

    def _expect_head(self) -> None:
        self._forget_deadline()
        self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
