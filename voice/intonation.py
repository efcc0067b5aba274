"""Does the voice fall, or stay up? In French it falls at the end of a statement and stays up, or
rises, where its speaker goes on ("continuation majeure": Delattre, Les dix intonations de base du
français, 1966). Asked once per pause. Pure.

The pitch is found by what of the last tenth of a second is most like its last 20 ms.
"""

from typing import Final

from voice.audio import RATE, audioop

#: Of the end of speech so much is looked at, in milliseconds.
WINDOW_MS: Final = 420
_STEP: Final = RATE // 75
_MATCHED: Final = RATE // 50
#: Pitches of voices: 80 to 500 Hz, as samples of a period.
_SHORTEST, _LONGEST = RATE // 500, RATE // 80
#: How alike two periods of a voice are, squared correlation, and how loud a voice is at least.
_ALIKE: Final = 0.56
_LOUD: Final = 120
#: So many points make a contour; ends are compared by the middle of so many.
_POINTS, _END, _USED = 5, 4, 12
#: A fall, as a ratio: a semitone.
FALL: Final = 0.945


def contour(mulaw: bytes) -> float | None:
    """The pitch at the end of this speech as a ratio of that before; None without a clear voice."""
    samples = audioop.ulaw2lin(mulaw[-(WINDOW_MS * RATE // 1000 + _MATCHED + _LONGEST) :], 2)
    pitches = [
        pitch
        for end in range((_MATCHED + _LONGEST) * 2, len(samples) + 1, _STEP * 2)
        if (pitch := _pitch(samples[end - (_MATCHED + _LONGEST) * 2 : end])) is not None
    ]
    if len(pitches) < _POINTS:
        return None
    pitches = pitches[-_USED:]
    before, after = sorted(pitches[:_END]), sorted(pitches[-_END:])
    return after[_END // 2] / before[_END // 2]


def _pitch(samples: bytes) -> float | None:
    last = samples[-_MATCHED * 2 :]
    if audioop.rms(last, 2) < _LOUD:
        return None
    offset, factor = audioop.findfit(samples[: -_SHORTEST * 2], last)
    like = samples[offset * 2 : (offset + _MATCHED) * 2]
    # `findfactor` is Σab / Σbb: both ways multiplied, the squared correlation.
    if factor <= 0 or audioop.findfactor(like, last) * audioop.findfactor(last, like) < _ALIKE:
        return None
    return RATE / (_LONGEST - offset)
