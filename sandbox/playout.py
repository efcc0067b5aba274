"""What Twilio plays to the caller: buffered audio with marks, played at real time. Pure."""

from collections import deque

FRAME_BYTES = 160
FRAME_SECONDS = 0.020
BYTES_PER_SECOND = 8000
#: µ-law silence, which completes a last frame that the server left short.
SILENCE = 0xFF
#: "More than 10 minutes buffered is discarded" (error 31931).
MAX_BUFFERED_BYTES = 10 * 60 * BYTES_PER_SECOND


class Playout:
    """Audio in any length, out in frames of 20 ms; times are seconds of the caller's clock.

    A mark is returned when the audio queued before it has been *played*, that is when the frame
    that carried its end is over, or at once when nothing is queued. `clear` returns all of them.
    """

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._offset = 0  # bytes of the first chunk already pulled
        self._received = 0
        self._pulled = 0
        self._marks: deque[tuple[int, str]] = deque()  # (position in the bytes received, name)
        self._frame_at = float("-inf")  # when the frame now in the air began
        self._frame_bytes = 0  # how much of it is the server's

    def add(self, audio: bytes) -> bool:
        """Queue audio. False when it was discarded because over 10 minutes are waiting."""
        if self.buffered + len(audio) > MAX_BUFFERED_BYTES:
            return False
        self._chunks.append(audio)
        self._received += len(audio)
        return True

    def mark(self, name: str, now: float) -> list[str]:
        """Queue a mark; those to return at once."""
        self._marks.append((self._received, name))
        return self.reached(now)

    def clear(self) -> list[str]:
        """Forget what is queued; all pending marks, in order."""
        self._chunks.clear()
        self._offset = 0
        self._received = self._pulled
        names = [name for _, name in self._marks]
        self._marks.clear()
        return names

    def pull(self, at: float) -> bytes | None:
        """The frame to play from `at` on; None when there is nothing to play."""
        taken = bytearray()
        while self._chunks and len(taken) < FRAME_BYTES:
            chunk = self._chunks[0]
            piece = chunk[self._offset : self._offset + FRAME_BYTES - len(taken)]
            taken += piece
            self._offset += len(piece)
            if self._offset >= len(chunk):
                self._chunks.popleft()
                self._offset = 0
        self._pulled += len(taken)
        self._frame_at, self._frame_bytes = at, len(taken)
        if not taken:
            return None
        return bytes(taken).ljust(FRAME_BYTES, bytes([SILENCE]))

    def reached(self, now: float) -> list[str]:
        """Marks whose audio has been played by `now`, in order; each is told once."""
        played = self.played_bytes(now)
        names = []
        while self._marks and self._marks[0][0] <= played:
            names.append(self._marks.popleft()[1])
        return names

    def played_bytes(self, now: float) -> int:
        """How much of all the audio the caller has heard, to the sample."""
        elapsed = max(0, round((now - self._frame_at) * BYTES_PER_SECOND)) if self._pulled else 0
        return self._pulled - self._frame_bytes + min(self._frame_bytes, elapsed)

    @property
    def buffered(self) -> int:
        """Bytes not yet handed to the ear."""
        return self._received - self._pulled

    @property
    def audible(self) -> bool:
        """Whether the frame in the air, or the next, is the server's."""
        return bool(self._chunks) or self._frame_bytes > 0
