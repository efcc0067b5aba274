"""What a breakdown looks like on a Realtime session's socket: events in, what is sent out. Pure."""

import json
from collections.abc import Iterator
from itertools import cycle
from typing import Any

from sandbox.breakdown import Breakdown
from sandbox.realtime_response import ServerEvent

#: Kinds of which a session that is being opened shows something in its handshake: the HTTP status.
HANDSHAKE_STATUS = {"refuse": 503, "429": 429, "5xx": 500}
#: No JSON, no object, no event that anybody knows, one without its fields.
_NONSENSE = (
    "{",
    "[1, 2]",
    "null",
    '"hm"',
    '{"type": 7}',
    '{"type": "moon.phase", "phase": "full"}',
    '{"type": "response.output_audio.delta", "delta": "?"}',
)


class Spoiler:
    """Between a session and its socket, from the moment of the breakdown on."""

    def __init__(self, breakdown: Breakdown) -> None:
        self._kind = breakdown.kind
        self._left = breakdown.at
        self.lag_s = breakdown.seconds if breakdown.kind == "lag" else 0.0
        self._nonsense = cycle(_NONSENSE)
        self._held: str | None = None

    @property
    def dead(self) -> bool:
        """Nothing is read any more either."""
        return self._kind == "half_dead"

    @property
    def over(self) -> bool:
        """The connection ends now."""
        return self._kind in ("close", "cut", "refuse") and self._left <= 0

    @property
    def close_code(self) -> int | None:
        """With which code; None: without a word."""
        return 1011 if self._kind == "close" else None

    def spoil(self, event: ServerEvent) -> Iterator[str]:
        """What leaves instead of this event, now."""
        text = json.dumps(event)
        if self._kind in ("brown_out", "half_dead"):
            return
        if self._kind == "garbage":
            yield next(self._nonsense)
            return
        if self._kind == "out_of_order":
            yield from self._swapped(event, text)
            return
        if self._kind in ("close", "cut", "refuse"):
            if self._left <= 0:
                return
            self._left -= 1
        yield text
        if self._kind == "duplicates":
            yield text

    def _swapped(self, event: dict[str, Any], text: str) -> Iterator[str]:
        """Each event after the one that follows it, except sound: that is one stream."""
        if event["type"] == "response.output_audio.delta":
            yield text
            return
        held, self._held = self._held, text
        if held is None:
            return
        yield text
        yield held
        self._held = None
