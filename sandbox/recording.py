"""A recording of the line: stereo, 8 kHz, 16 bit; caller left, what was played to them right."""

import wave
from io import BytesIO
from pathlib import Path

FRAME_BYTES = 160
_SILENCE = bytes([0xFF]) * FRAME_BYTES


def _linear(code: int) -> int:
    """One µ-law byte as 16-bit PCM (ITU-T G.711)."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 0x07)
    return 0x84 - magnitude if code & 0x80 else magnitude - 0x84


_LOW = bytes(_linear(code) & 0xFF for code in range(256))
_HIGH = bytes((_linear(code) >> 8) & 0xFF for code in range(256))


class LineRecording:
    """Both directions of one call, frame by frame."""

    def __init__(self) -> None:
        self._caller = bytearray()
        self._agent = bytearray()

    def add(self, caller: bytes, agent: bytes | None) -> None:
        """One tick; None where nothing was played."""
        self._caller += caller
        self._agent += _SILENCE if agent is None else agent

    @property
    def seconds(self) -> float:
        """How much has been recorded."""
        return len(self._caller) / 8000

    def caller_only(self) -> bytes:
        """The caller as a mono WAV file."""
        return _wav(1, _pcm(self._caller))

    def save(self, path: Path) -> None:
        """Write the stereo file, making its directory when it is missing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        stereo = bytearray(4 * len(self._caller))
        stereo[0::4], stereo[1::4] = self._caller.translate(_LOW), self._caller.translate(_HIGH)
        stereo[2::4], stereo[3::4] = self._agent.translate(_LOW), self._agent.translate(_HIGH)
        path.write_bytes(_wav(2, stereo))


def _pcm(ulaw: bytearray) -> bytearray:
    samples = bytearray(2 * len(ulaw))
    samples[0::2], samples[1::2] = ulaw.translate(_LOW), ulaw.translate(_HIGH)
    return samples


def _wav(channels: int, samples: bytearray) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(samples)
    return file.getvalue()
