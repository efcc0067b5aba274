"""Does the caller speak? Frame by frame, on our side, for the cascade: no vendor tells us there.

Loudness above the line's own noise, and how often the sound crosses zero: voices are low, hiss is
not. A few microseconds a frame, without a model: what is said decides about turns
(`voice.turn_taking`), not what it sounds like. Pure.
"""

from collections import deque
from typing import Final

from voice.audio import FRAME_BYTES, FRAME_MS, audioop

#: Below this (RMS of 16-bit samples) nobody speaks into a telephone.
FLOOR: Final = 160.0
#: How far above the line's noise speech is: 9 dB, 6 dB for what is as low as a voice.
ABOVE: Final = 2.8
ABOVE_VOICED: Final = 2.0
#: Crossings of zero in 20 ms below which a sound is as low as a voice: 2 kHz.
VOICED_CROSSINGS: Final = 80
#: The noise's level follows what it hears: slowly up, so that a sentence doesn't become noise, and
#: down within three frames.
RISE: Final = 1.004
FALL: Final = 0.4
#: 120 ms of speech (the issue's figure) within 200 ms are somebody who speaks, not a click.
ONSET_FRAMES: Final = 6
ONSET_WINDOW: Final = 10
#: After a pause, speech goes on with 60 ms of sound within 100 ms.
RESUME_FRAMES: Final = 3
RESUME_WINDOW: Final = 5


class SpeechDetector:
    """One caller's line. `speaking`, and for how long it has been quiet, in milliseconds."""

    __slots__ = ("_level", "_loud", "quiet_ms", "speaking")

    def __init__(self) -> None:
        self.speaking = False
        self.quiet_ms = 0
        self._level = FLOOR / ABOVE
        self._loud: deque[bool] = deque([False] * ONSET_WINDOW, maxlen=ONSET_WINDOW)

    def hear(self, frame: bytes) -> bool:
        """20 ms of µ-law; whether that frame itself is speech."""
        samples = audioop.ulaw2lin(frame, 2)
        level = audioop.rms(samples, 2)
        noise = self._level
        if level < noise:
            self._level = noise + (level - noise) * FALL
        else:
            self._level = noise * RISE
        loud = level > FLOOR and level > noise * ABOVE_VOICED
        if loud and level <= noise * ABOVE:
            loud = audioop.cross(samples, 2) * FRAME_BYTES // len(frame) < VOICED_CROSSINGS
        self._loud.append(loud)
        return loud

    def begins(self) -> bool:
        """Has somebody spoken for 120 ms?"""
        return self._loud[-1] and sum(self._loud) >= ONSET_FRAMES

    def goes_on(self) -> bool:
        """After a pause: is it speech again?"""
        recent = list(self._loud)[-RESUME_WINDOW:]
        return recent[-1] and sum(recent) >= RESUME_FRAMES

    def forget(self) -> None:
        """Count the next speech from its own beginning."""
        self._loud.extend([False] * ONSET_WINDOW)


def whole_frames(held: bytes, mulaw: bytes) -> tuple[list[bytes], bytes]:
    """Frames of 20 ms, and what is left for the next one."""
    sound = held + mulaw
    end = len(sound) - len(sound) % FRAME_BYTES
    frames = [sound[at : at + FRAME_BYTES] for at in range(0, end, FRAME_BYTES)]
    return frames, sound[end:]


#: Milliseconds that so many frames last.
ONSET_MS: Final = ONSET_FRAMES * FRAME_MS
