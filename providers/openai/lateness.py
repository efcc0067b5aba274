"""How late a Realtime server is with what it says of the caller's audio. Pure.

Its `speech_started` and `speech_stopped` name a position in the audio that it was sent; we know
when that position left. A connection on which everything comes seconds late still looks alive.
"""

from collections import deque
from typing import Final

#: How often the position is noted, s: what is asked for is seconds.
_EVERY_SECONDS: Final = 0.1
#: So long it is remembered: a minute, the longest turn of a caller.
_MARKS: Final = 600
#: A caller's audio comes every 20 ms. After a gap like this it was we who stood still, or the
#: caller's line: what left before it measures nobody.
_GAP_SECONDS: Final = 0.5


class Sent:
    """Which part of the caller's audio left when. Times: seconds, monotonic."""

    __slots__ = ("_last", "_marks", "_ms")

    def __init__(self) -> None:
        self._ms = 0.0
        self._last = float("-inf")
        self._marks: deque[tuple[float, float]] = deque(maxlen=_MARKS)

    def add(self, ms: float, now: float) -> None:
        """So much more has left."""
        if now - self._last > _GAP_SECONDS:
            self._marks.clear()
        if not self._marks or now - self._marks[-1][1] >= _EVERY_SECONDS:
            self._marks.append((self._ms, now))
        self._ms += ms
        self._last = now

    def seconds_since(self, position_ms: float, now: float) -> float | None:
        """How long ago this position had left, at least; None when that isn't known."""
        after = None
        for mark_ms, at in reversed(self._marks):
            if mark_ms <= position_ms:
                return None if after is None else now - after
            after = at
        return None
