"""Telephone audio frames: energy, and the stamp by which a frame is known again.

A frame is 20 ms of µ-law, 160 bytes. The stamp is a watermark in the lowest bits of a frame's
first 64 bytes (the smallest step of the quantiser, inaudible): whose audio this is (tag), which
frame of it (sequence) and whether somebody speaks. It survives µ-law passed through untouched, and
nothing else.
"""

import random
from functools import lru_cache
from typing import NamedTuple

BYTES_PER_MS = 8
FRAME_MS = 20
FRAME_BYTES = FRAME_MS * BYTES_PER_MS

_STAMPED = 64  # bytes of a frame that carry one bit each
_MARKER = 0xC5
_TAG_BITS = 24
_SEQUENCE_BITS = 24
_CHECK_BITS = 7
MAX_TAG = (1 << _TAG_BITS) - 1
SEQUENCE_MODULUS = 1 << _SEQUENCE_BITS

_CLEAR_LOWEST = bytes(byte & 0xFE for byte in range(256))
_LOWEST_AS_DIGIT = bytes(0x30 + (byte & 1) for byte in range(256))
_DIGIT_AS_BIT = bytes(max(byte - 0x30, 0) & 1 for byte in range(256))


def _magnitude(byte: int) -> int:
    """Absolute 16-bit linear value of a µ-law byte (ITU-T G.711)."""
    code = ~byte & 0x7F
    return (((code & 0x0F) << 3) + 0x84 << (code >> 4)) - 0x84


_LOUDNESS = bytes(min(_magnitude(byte) >> 6, 255) for byte in range(256))
# Mean absolute sample of about 320 (-40 dBFS): above line noise, below any voiced sound.
_SPEECH_LOUDNESS = FRAME_BYTES * 5


def _crc(byte: int) -> int:
    for _ in range(8):
        byte = byte << 1 ^ (0x12 if byte & 0x80 else 0)
        byte &= 0xFF
    return byte >> 1


_CRC = bytes(_crc(byte) for byte in range(256))


class Stamp(NamedTuple):
    """What a frame says about itself."""

    tag: int
    sequence: int
    speech: bool


def is_speech(frame: bytes, sensitivity: float = 1.0) -> bool:
    """Whether somebody speaks in this audio, by energy alone. `sensitivity`: 2.0 hears half as
    loud a voice, 0.5 wants one twice as loud."""
    limit = _SPEECH_LOUDNESS * len(frame) / FRAME_BYTES
    return sum(frame.translate(_LOUDNESS)) * sensitivity > limit


def masked(frame: bytes) -> bytes:
    """The frame without its stamp: two frames of the same sound compare equal."""
    return frame.translate(_CLEAR_LOWEST)


def stamp(audio: bytes, tag: int, sequence: int) -> bytes:
    """The audio with each of its frames stamped, the first as number `sequence`.

    Raises ValueError when the audio isn't whole frames or the tag doesn't fit.
    """
    return _stamped(audio, tag, sequence, speech=True)


def quiet(tag: int, sequence: int, frames: int = 1) -> bytes:
    """Stamped comfort noise, as a line carries while nobody speaks."""
    return _stamped(hush(frames, sequence), tag, sequence, speech=False)


def hush(frames: int, start: int = 0) -> bytes:
    """Comfort noise without a stamp. The same noise for the same arguments."""
    noise = _noise()
    return b"".join(noise[(start + at) % len(noise)] for at in range(frames))


def read_stamp(frame: bytes) -> Stamp | None:
    """The stamp of a frame, or None when there is none. Chance fakes one in 32,768 frames."""
    if len(frame) != FRAME_BYTES:
        return None
    word = int(frame[:_STAMPED].translate(_LOWEST_AS_DIGIT), 2)
    body = word >> _CHECK_BITS
    if body >> (_SEQUENCE_BITS + _TAG_BITS + 1) != _MARKER:
        return None
    if _check(body) != word & ((1 << _CHECK_BITS) - 1):
        return None
    sequence = (body >> 1) % SEQUENCE_MODULUS
    return Stamp((body >> (_SEQUENCE_BITS + 1)) & MAX_TAG, sequence, bool(body & 1))


def _stamped(audio: bytes, tag: int, sequence: int, *, speech: bool) -> bytes:
    if len(audio) % FRAME_BYTES:
        raise ValueError(f"audio of {len(audio)} bytes is not a whole number of 20 ms frames")
    if not 0 <= tag <= MAX_TAG:
        raise ValueError(f"tag {tag} does not fit in {_TAG_BITS} bits")
    parts: list[bytes] = []
    for number, at in enumerate(range(0, len(audio), FRAME_BYTES), sequence):
        body = _MARKER << _TAG_BITS | tag
        body = (body << _SEQUENCE_BITS | number % SEQUENCE_MODULUS) << 1 | speech
        bits = format(body << _CHECK_BITS | _check(body), "064b").encode().translate(_DIGIT_AS_BIT)
        clear = audio[at : at + _STAMPED].translate(_CLEAR_LOWEST)
        word = int.from_bytes(clear, "big") | int.from_bytes(bits, "big")
        parts.append(word.to_bytes(_STAMPED, "big"))
        parts.append(audio[at + _STAMPED : at + FRAME_BYTES])
    return b"".join(parts)


def _check(body: int) -> int:
    """CRC-7 (x⁷+x³+1): no one or two flipped bits of a stamp go unnoticed."""
    check = 0
    for byte in body.to_bytes(8, "big"):
        check = _CRC[check << 1 ^ byte]
    return check


@lru_cache(maxsize=1)
def _noise() -> tuple[bytes, ...]:
    dice = random.Random("comfort noise")
    # The four smallest steps of either sign: at most ±28 of 32,768.
    steps = (*range(0xFC, 0x100), *range(0x7C, 0x80))
    return tuple(bytes(dice.choices(steps, k=FRAME_BYTES)) for _ in range(64))
