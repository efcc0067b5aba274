"""Whose turn is it? The caller's audio and what is understood of it → when to listen, ask, answer.

Two stages. After 240 ms of quiet the turn so far is transcribed on speculation; then its words say
how long to wait on (`voice.completeness`): hardly at all behind "s'il vous plaît", more than a
second behind "et euh"; and so does the voice, if it fell (`voice.intonation`). Time is counted in
frames: audio that comes faster than life, as when an agent takes over, is judged alike. Pure.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

from voice.audio import FRAME_MS
from voice.completeness import Completeness, completeness, hesitates
from voice.intonation import FALL, WINDOW_MS, contour
from voice.speech_detection import ONSET_MS, SpeechDetector


class Verdict(Enum):
    """BEGAN: the caller speaks. PAUSED: transcribe what was said so far. RESUMED: not over yet.
    QUIET: so long that the call may count it as a stop. ENDED: the agent's turn."""

    BEGAN = "began"
    PAUSED = "paused"
    RESUMED = "resumed"
    QUIET = "quiet"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Patience:
    """Milliseconds of quiet. Tuned on sandbox/clips/hesitations, its tuning half; the figures of
    the other half are in benchmarks/README.md."""

    ask: int = 240  # pauses within words and sounds are shorter (French plosives: 150 ms)
    finished: int = 480
    finished_level: int = 680  # the words are whole, but the voice stays up
    open: int = 680
    open_level: int = 1120
    # A caller who looked for words in this turn will do so again; or the voice tells nothing.
    open_hesitant: int = 960
    unfinished: int = 1240
    unknown: int = 1120  # nothing is understood yet: the transcriber is slow or doesn't answer
    quiet: int = 600


#: A turn that is shorter may be a back-channel ("oui", "d'accord"): the issue's figure.
MURMUR_MS: Final = 400
#: A pause that the caller went on after, and that counts as looking for words.
_LONG_PAUSE_MS: Final = 440
#: Speech before the pause, and the pause itself, to look at the voice.
_KEPT_FRAMES: Final = (WINDOW_MS + 300) // FRAME_MS


class TurnTaking:
    """One caller. Feed it every frame of the line, in order."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._detector = SpeechDetector()
        self._speaking = False
        self._quiet_ms = 0
        self._since_ms = 0
        self._asked = self._told = self._hesitant = False
        self._text: str | None = None
        self._fell: bool | None = None
        self._frames: deque[bytes] = deque(maxlen=_KEPT_FRAMES)

    @property
    def in_turn(self) -> bool:
        """Between BEGAN and ENDED."""
        return self._speaking

    @property
    def quiet_ms(self) -> int:
        """Since the last sound of speech."""
        return self._quiet_ms

    @property
    def spoken_ms(self) -> int:
        """From the first to the last sound of this turn."""
        return self._since_ms - self._quiet_ms

    @property
    def is_murmur(self) -> bool:
        """So far it is no longer than a back-channel."""
        return self.spoken_ms < MURMUR_MS

    def hear(self, frame: bytes) -> Verdict | None:
        """20 ms of µ-law."""
        detector = self._detector
        self._frames.append(frame)
        loud = detector.hear(frame)
        if not self._speaking:
            return self._begin() if loud and detector.begins() else None
        self._since_ms += FRAME_MS
        if loud and (not self._asked or detector.goes_on()):
            return self._go_on()
        self._quiet_ms += FRAME_MS
        return self._while_quiet()

    def understood(self, text: str) -> None:
        """What was said until this pause. Only for the pause that lasts."""
        self._text = text
        self._hesitant |= hesitates(text)

    def finish(self) -> None:
        """The turn is over, whatever the audio says: what comes next is another one."""
        self._speaking = False
        self._detector.forget()

    @property
    def needs_ms(self) -> int:
        """How long the quiet must last, by what is known."""
        patience = self._patience
        if self._text is None:
            return patience.unknown
        state = completeness(self._text)
        if state is Completeness.UNFINISHED:
            return patience.unfinished
        up = self._fell is False
        if state is Completeness.FINISHED:
            asks = self._text.rstrip().endswith("?")
            return patience.finished_level if up and not asks else patience.finished
        if up:
            return patience.open_level
        unsure = self._hesitant or self._fell is None
        return patience.open_hesitant if unsure else patience.open

    def _begin(self) -> Verdict:
        self._speaking = True
        self._quiet_ms = 0
        self._since_ms = ONSET_MS
        self._asked = self._told = self._hesitant = False
        self._text = None
        return Verdict.BEGAN

    def _go_on(self) -> Verdict | None:
        paused, self._asked, self._told = self._asked, False, False
        if paused:
            self._hesitant |= self._quiet_ms > _LONG_PAUSE_MS
            self._text = None
        self._quiet_ms = 0
        return Verdict.RESUMED if paused else None

    def _while_quiet(self) -> Verdict | None:
        if not self._asked:
            if self._quiet_ms < self._patience.ask:
                return None
            self._asked = True
            self._fell = self._falls()
            return Verdict.PAUSED
        if self._quiet_ms >= self.needs_ms:
            self.finish()
            return Verdict.ENDED
        if not self._told and self._quiet_ms >= self._patience.quiet:
            self._told = True
            return Verdict.QUIET
        return None

    def _falls(self) -> bool | None:
        """The voice, before this pause; None without a clear one."""
        quiet = self._quiet_ms // FRAME_MS
        ratio = contour(b"".join(list(self._frames)[:-quiet]))
        return None if ratio is None else ratio < FALL
