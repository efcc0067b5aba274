"""What the caller has actually heard: marks, generations, clear, the point to truncate at.

Pure and synchronous. Audio is counted in bytes of µ-law (8 per millisecond) since the last clear.
Twilio echoes a mark when all audio queued before it has been played, but also, at once, when the
queue is cleared (twilio.md §3.3): so each clear starts a new generation, whose number is in the
mark's name, and echoes of older ones are not "heard".
"""

from dataclasses import dataclass

from voice.audio import BYTES_PER_MS

# "A mark at most every 100 ms of audio" is the rule. The first mark of an utterance comes
# that soon, since it tells how long audio takes to reach the ear; after it time goes on evenly, and
# rarer marks say as much (a mark costs two frames: it goes out and comes back).
FIRST_MARK_MS = 100
MARK_EVERY_MS = 300


@dataclass(slots=True)
class _Item:
    id: str
    begins: int
    earlier: int = 0  # bytes of this item that were heard before the queue ran dry
    size: int = 0


class Playout:
    """One caller's playback queue at Twilio, as far as we can know it.

    Heard = what marks of this generation confirmed, plus the time since the last confirmation, and
    never more than was sent. Times are monotonic seconds.
    """

    __slots__ = (
        "_anchor",
        "_confirmed",
        "_generation",
        "_items",
        "_last",
        "_mark_at",
        "_marked",
        "_sent",
    )

    def __init__(self) -> None:
        self._generation = 0
        self._last = _Item("", 0)
        self._reset(0.0)

    def _reset(self, now: float) -> None:
        self._sent = 0
        self._marked = 0
        self._mark_at = 0
        self._confirmed = 0
        self._anchor = now
        self._items: list[_Item] = []

    def sent(self, item_id: str, size: int, now: float) -> str | None:
        """`size` bytes of this item went out. The name of the mark to send next, if one is due."""
        if self._heard(now) >= self._sent:  # the queue had run dry: these bytes play from now on
            self._confirmed = self._sent
            self._anchor = now
            self._mark_at = min(self._mark_at, self._sent + FIRST_MARK_MS * BYTES_PER_MS)
            self._mark_at = max(self._mark_at, self._marked + FIRST_MARK_MS * BYTES_PER_MS)
        if self._last.id != item_id:
            self._last = _Item(item_id, self._sent)
            self._items.append(self._last)
        elif not self._items:  # the item goes on after a pause in which all of it was heard
            self._last = _Item(item_id, self._sent, self._last.earlier + self._last.size)
            self._items.append(self._last)
        self._last.size += size
        self._sent += size
        if self._sent >= self._mark_at:
            return self._mark()
        return None

    def tail(self) -> str | None:
        """The mark for the end of an utterance, if its last bytes have none yet."""
        return self._mark() if self._sent > self._marked else None

    def _mark(self) -> str:
        self._marked = self._sent
        self._mark_at = self._sent + MARK_EVERY_MS * BYTES_PER_MS
        return f"{self._generation}:{self._sent}"

    def echoed(self, name: str, now: float) -> bool:
        """A mark came back. True when with it all that was sent has been heard."""
        generation, _, position = name.partition(":")
        if generation != str(self._generation) or not position.isascii() or not position.isdigit():
            return False
        heard = int(position[:12])
        if heard > self._sent:  # not a mark of ours
            return False
        if heard >= self._confirmed:
            self._confirmed = heard
            self._anchor = now
        return heard == self._sent

    def cleared(self, now: float) -> tuple[tuple[str, float, float], ...]:
        """The queue was cleared: a new generation. Per item (item_id, heard_ms, sent_ms)."""
        heard = self._heard(now)
        items = tuple(
            (
                item.id,
                (item.earlier + min(max(heard - item.begins, 0), item.size)) / BYTES_PER_MS,
                (item.earlier + item.size) / BYTES_PER_MS,
            )
            for item in self._items
        )
        self._generation += 1
        self._last = _Item("", 0)
        self._reset(now)
        return items

    def drained(self) -> tuple[tuple[str, float], ...]:
        """All has been heard: per item (item_id, heard_ms). Forgets them."""
        items = tuple((item.id, (item.earlier + item.size) / BYTES_PER_MS) for item in self._items)
        self._items = []
        return items

    def remaining_ms(self, now: float) -> float:
        """How much is still to be played, by our own clock."""
        return (self._sent - self._heard(now)) / BYTES_PER_MS

    def _heard(self, now: float) -> int:
        elapsed = round((now - self._anchor) * 1000) * BYTES_PER_MS
        return min(self._sent, self._confirmed + max(elapsed, 0))
