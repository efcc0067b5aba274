"""Is the caller loud? Our own ears: cheap, without understanding, and independent of any agent.

They only tell loud from quiet, and so know when somebody who isn't heard speaks, and when words
that were spoken to an agent now gone came to an end. The conversation's turns are the agent's.

Pure. Give it one frame in three (`EVERY`): 60 ms are fine enough, and cheap.
"""

from binascii import a2b_base64

from voice.audio import loudness

#: Of so many frames of 20 ms one is looked at …
EVERY = 3
#: … and of that so many base64 characters: 9 ms of sound.
LOOKED_AT = 96
#: Below this (RMS of 16-bit samples) nobody speaks: line noise is some tens.
FLOOR = 250.0
#: How far above the background speech is, as a factor (10 dB).
ABOVE = 3.2
#: The background follows what it hears: slowly up, so that speech doesn't become background within
#: a sentence, at once down.
RISE = 1.01
#: So many loud looks in a row are speech (180 ms): a click is not.
LOUD_LOOKS = 3
#: So many quiet looks in a row end it (480 ms): what servers' voice detection takes, too.
QUIET_LOOKS = 8


class Ears:
    """One caller's audio. `loud`: somebody speaks, as far as loudness can tell."""

    __slots__ = ("_background", "_run", "loud")

    def __init__(self) -> None:
        self.loud = False
        self._run = 0
        self._background = FLOOR

    def hear(self, payload: str) -> bool:
        """A frame of 20 ms, base64 µ-law. True when `loud` has changed."""
        try:
            level = loudness(a2b_base64(payload[:LOOKED_AT]))
        except ValueError:
            return False  # no base64: not for us to judge
        if level < self._background:
            self._background = max(float(level), 1.0)
        else:
            self._background *= RISE
        loud = level > max(FLOOR, self._background * ABOVE)
        if loud is self.loud:
            self._run = 0
            return False
        self._run += 1
        if self._run < (LOUD_LOOKS if loud else QUIET_LOOKS):
            return False
        self.loud = loud
        self._run = 0
        return True
