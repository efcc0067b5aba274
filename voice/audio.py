"""µ-law telephone audio: its sizes, its loudness, and the way from and to 16-bit PCM.

Twilio and OpenAI's `audio/pcmu` speak the same G.711 µ-law at 8,000 samples a second, one byte a
sample (shared/reference/twilio.md §3.2, vapi-openai-pinecone.md §2.11): nothing is transcoded on
the realtime path. The cascade's models speak PCM of any rate.
"""

import math
import warnings
from base64 import b64encode
from collections.abc import Iterator
from typing import Final

with warnings.catch_warnings():
    # Gone from Python 3.13 on, where audioop-lts takes its place under the same name.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop as audioop

BYTES_PER_MS = 8
FRAME_MS = 20
FRAME_BYTES = FRAME_MS * BYTES_PER_MS
RATE: Final = 8_000

#: What the caller's telephone can't carry anyway.
_CUTOFF_HZ: Final = 3_650
#: By so much a resampled sound comes later: half the filter's length. engines.md §4: the filters of
#: soxr that are any good withhold 20 to 60 ms.
DELAY_SECONDS: Final = 0.001
#: Samples are filtered with 32 bits, of which speech takes 24: nothing overflows, nothing is lost.
_WIDE: Final = 4
_HEADROOM: Final = 1 / 256
_HIGHEST_RATE: Final = 192_000


def base64_size(encoded: str) -> int:
    """Bytes of audio in a base64 text, without decoding it."""
    return len(encoded) // 4 * 3 - encoded.count("=", -2)


def loudness(mulaw: bytes) -> int:
    """The root mean square of its samples, 0 to 32767."""
    return audioop.rms(audioop.ulaw2lin(mulaw, 2), 2)


def pcm(mulaw: bytes) -> bytes:
    """µ-law as 16-bit samples of the same rate."""
    return audioop.ulaw2lin(mulaw, 2)


def pieces(mulaw: bytes, milliseconds: int = 100) -> Iterator[str]:
    """Base64 pieces of this length, the last one shorter."""
    size = milliseconds * BYTES_PER_MS
    for begin in range(0, len(mulaw), size):
        yield b64encode(mulaw[begin : begin + size]).decode()


class ToTelephone:
    """16-bit mono PCM of any rate, piece by piece → µ-law 8 kHz, with a low-pass before it.

    The filter is made of `audioop`'s operations on whole pieces, in C: one multiplication and two
    additions per pair of taps: 6 ms for a second of 24 kHz, 22 ms for one of 48 kHz
    (docs/decisions/0020-cascade.md). Give it pieces of at most 40 ms where an event loop waits.
    ValueError for a rate that no speech has.
    """

    def __init__(self, rate: int) -> None:
        if not RATE <= rate <= _HIGHEST_RATE:
            raise ValueError(f"{rate} samples a second is no rate of speech")
        self._rate = rate
        self._odd = b""
        self._taps = _low_pass(rate) if rate > RATE else []
        # The samples before the piece: at the beginning, silence.
        self._before = bytes(_WIDE * max(0, 2 * len(self._taps) - 2))
        self._state: tuple[int, tuple[tuple[int, int], ...]] | None = None

    def feed(self, samples: bytes) -> bytes:
        """The next piece; half a sample at its end is kept for the next one."""
        samples = self._odd + samples
        whole = len(samples) & ~1
        samples, self._odd = samples[:whole], samples[whole:]
        if not samples:
            return b""
        if self._rate == RATE:
            return audioop.lin2ulaw(samples, 2)
        wide = audioop.mul(audioop.lin2lin(samples, 2, _WIDE), _WIDE, _HEADROOM)
        low = self._filtered(wide)
        low, self._state = audioop.ratecv(low, _WIDE, 1, self._rate, RATE, self._state)
        low = audioop.mul(low, _WIDE, 1 / _HEADROOM)
        return audioop.lin2ulaw(low, _WIDE)

    def end(self) -> bytes:
        """What the filter still holds: a millisecond."""
        if self._rate == RATE:
            return b""
        return self.feed(bytes(2 * (len(self._taps) - 1)))

    def _filtered(self, wide: bytes) -> bytes:
        """A symmetric filter: `_taps[0]` is its middle, each other one stands on both sides."""
        sound = self._before + wide
        size, middle = len(wide), (len(self._taps) - 1) * _WIDE
        self._before = sound[len(sound) - 2 * middle :]
        total = audioop.mul(sound[middle : middle + size], _WIDE, self._taps[0])
        for place, tap in enumerate(self._taps[1:], start=1):
            left, right = middle - place * _WIDE, middle + place * _WIDE
            pair = audioop.add(sound[left : left + size], sound[right : right + size], _WIDE)
            total = audioop.add(total, audioop.mul(pair, _WIDE, tap), _WIDE)
        return total


def _low_pass(rate: int) -> list[float]:
    """Half of a Blackman-windowed sinc, from its middle outwards; all of it sums up to 1."""
    reach = max(4, round(rate * DELAY_SECONDS))
    ratio = 2 * _CUTOFF_HZ / rate

    def tap(place: int) -> float:
        sinc = math.sin(math.pi * ratio * place) / (math.pi * place) if place else ratio
        angle = math.pi * (place + reach + 1) / (reach + 1)
        return sinc * (0.42 - 0.5 * math.cos(angle) + 0.08 * math.cos(2 * angle))

    taps = [tap(place) for place in range(reach + 1)]
    total = taps[0] + 2 * sum(taps[1:])
    return [each / total for each in taps]
