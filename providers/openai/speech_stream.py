"""The bytes of a speech answer as whole samples of one rate. Pure.

What is wanted is 16-bit mono PCM; servers of one's own may answer with a WAV file of another rate
(LocalAI's voices have 16,000 or 22,050 samples a second), perhaps with lengths of 0 or -1 in its
header because it is made while it is sent; or with MP3, whatever they were asked for.
"""

import struct
import warnings
from typing import Final

with warnings.catch_warnings():
    # Gone from Python 3.13 on, where audioop-lts takes its place under the same name.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

_SAMPLE_BYTES: Final = 2
_PCM, _EXTENSIBLE = 1, 0xFFFE
#: A header that is longer holds pictures, not speech.
_MAX_HEADER: Final = 64 * 1024
#: A length from here on is no length: 2³¹ - 1 and 2³² - 1, perhaps less their headers, stand for
#: one that wasn't known yet.
_NO_LENGTH: Final = 0x7FFF_0000
#: A header that counts itself as samples announces too much; a lost sound is longer.
_SLACK_SECONDS: Final = 0.02
RATES: Final = range(8_000, 192_001)
#: How other files begin than those that were asked for.
_FOREIGN: Final = (b"ID3", b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b'{"', b"<!", b"<h")
#: MPEG audio layer III (ISO 11172-3, 13818-3, and 2.5 for lower rates) by the version's two bits:
#: samples a second, and kbit/s by the header's indices; 144 or 72 bytes for each of their quotient.
_MP3_RATES: Final = {
    3: (44_100, 48_000, 32_000),
    2: (22_050, 24_000, 16_000),
    0: (11_025, 12_000, 8_000),
}
_MP3_HIGH: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_LOW: Final = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MP3_HEADER: Final = 4


class SpeechStream:
    """Fed with bytes as they come. `rate`: of what it gives; `headerless`: of samples without a
    header, if it is another one."""

    def __init__(self, rate: int, headerless: int | None = None) -> None:
        self._rate = rate
        self._kept = b""
        self._left: int | None = None  # of the WAV's samples, in bytes
        self._header = True  # still to be read
        self._from = headerless or rate
        self._state: tuple[int, tuple[tuple[int, int], ...]] | None = None  # the resampler's
        self.given = 0  # bytes

    def feed(self, data: bytes) -> bytes:
        """Whole samples, perhaps none yet. Raises ValueError for what is no such speech."""
        self._kept += data
        if self._header and not self._open():
            return b""
        whole = len(self._kept) - len(self._kept) % _SAMPLE_BYTES
        if self._left is not None:
            whole = min(whole, self._left)
            self._left -= whole
        samples, self._kept = self._kept[:whole], self._kept[whole:]
        if self._left == 0:
            self._kept = b""  # what follows the samples says something about them
        samples = self._resampled(samples)
        self.given += len(samples)
        return samples

    @property
    def is_cut(self) -> bool:
        """If nothing more comes: whether its WAV has announced more than that, audibly more."""
        return (self._left or 0) > _SLACK_SECONDS * self._from * _SAMPLE_BYTES

    def _resampled(self, samples: bytes) -> bytes:
        if self._from == self._rate or not samples:
            return samples
        resampled, self._state = audioop.ratecv(
            samples, _SAMPLE_BYTES, 1, self._from, self._rate, self._state
        )
        return bytes(resampled)

    # ------------------------------------------------------------------------------ header

    def _open(self) -> bool:
        """Whether the samples' beginning has been found; the header is taken away."""
        if len(self._kept) < 4:
            return False
        if self._kept.startswith(b"RIFF"):
            return self._read_wav()
        if self._kept.startswith(_FOREIGN):
            raise ValueError("no PCM and no WAV")
        frame = _mp3_frame(self._kept)
        if frame:  # a sample or two may look like its beginning, but not like the next one as well
            if len(self._kept) < frame + _MP3_HEADER:
                return False
            if self._kept[frame : frame + 2] == self._kept[:2]:
                raise ValueError("MP3, and neither PCM nor WAV")
        self._header = False
        return True

    def _read_wav(self) -> bool:
        at, known = 12, False
        while len(self._kept) >= at + 8:
            name, size = struct.unpack_from("<4sI", self._kept, at)
            at += 8
            if name == b"data":
                if not known:
                    raise ValueError("a WAV without format")
                self._kept = self._kept[at:]
                self._left = size - size % _SAMPLE_BYTES if 0 < size < _NO_LENGTH else None
                self._header = False
                return True
            if size > _MAX_HEADER:
                raise ValueError("a WAV with a header beyond the size limit")
            if len(self._kept) < at + size:
                return False
            if name == b"fmt ":
                self._read_format(self._kept[at : at + size])
                known = True
            at += size + size % 2
        return False

    def _read_format(self, chunk: bytes) -> None:
        if len(chunk) < 16:
            raise ValueError("a WAV with half a format")
        coding, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
        if coding not in (_PCM, _EXTENSIBLE) or channels != 1 or bits != 16 or rate not in RATES:
            raise ValueError("a WAV that isn't 16-bit mono PCM")
        self._from = rate


def _mp3_frame(data: bytes) -> int:
    """Bytes of the MP3 frame that begins here; 0 when none does."""
    sync, layout = data[0] == 0xFF and data[1] >> 5 == 7, data[2]
    version, layer = data[1] >> 3 & 3, data[1] >> 1 & 3
    speed, rate = layout >> 4, layout >> 2 & 3
    if not sync or version not in _MP3_RATES or layer != 1 or speed in (0, 15) or rate == 3:
        return 0
    high = version == 3
    bits = (_MP3_HIGH if high else _MP3_LOW)[speed - 1] * 1000
    return (144 if high else 72) * bits // _MP3_RATES[version][rate] + (layout >> 1 & 1)
