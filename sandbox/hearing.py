"""What the emulated model makes of the caller's audio: when somebody speaks, and what is said."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from sandbox.audio import FRAME_MS, is_speech
from sandbox.bank import bank
from sandbox.ear import Defects, Ear

# Speech begins with 60 ms of sound within 100 ms: a click is no voice.
_ONSET_FRAMES = 3
_ONSET_WINDOW = 5
# A listener makes an utterance out when a tenth of it is missing, no more.
_INTELLIGIBLE = 0.9


class Voice(NamedTuple):
    """`ms`: where in the audio received so far speech began or ended."""

    kind: Literal["started", "stopped"]
    ms: int


@dataclass(slots=True)
class VoiceDetector:
    """Server voice detection by energy. `threshold` 0–1, 0.5 is the vendor's default."""

    threshold: float = 0.5
    silence_ms: int = 500
    speaking: bool = False
    _recent: list[bool] = field(default_factory=list)
    _silent_frames: int = 0

    def feed(self, frame: bytes, end_ms: int) -> Voice | None:
        """One frame that ends at `end_ms` of the audio."""
        speech = is_speech(frame, 0.5 / max(self.threshold, 0.01))
        if self.speaking:
            return self._in_speech(speech, end_ms)
        self._recent = [*self._recent[1 - _ONSET_WINDOW :], speech]
        if not speech or sum(self._recent) < _ONSET_FRAMES:
            return None
        first = len(self._recent) - self._recent.index(True)
        self.speaking, self._recent, self._silent_frames = True, [], 0
        return Voice("started", end_ms - first * FRAME_MS)

    def _in_speech(self, speech: bool, end_ms: int) -> Voice | None:
        self._silent_frames = 0 if speech else self._silent_frames + 1
        if self._silent_frames * FRAME_MS < self.silence_ms:
            return None
        self.speaking = False
        return Voice("stopped", end_ms)


@dataclass(frozen=True, slots=True)
class Turn:
    """What was said since the last turn. `clips`: those said to their end and made out; `text`: the
    words, as far as they came; `frames` of the `whole` frames until there arrived."""

    clips: tuple[str, ...]
    text: str
    frames: int
    whole: int


@dataclass(slots=True)
class _Portion:
    label: str
    first: int
    last: int
    frames: int

    @property
    def whole(self) -> int:
        return bank()[self.label].ms // FRAME_MS

    def words(self) -> str:
        words = bank()[self.label].text.split()
        start, end = (round(len(words) * at / self.whole) for at in (self.first, self.last))
        return " ".join(words[start:end])


class Hearing:
    """Gathers the utterances of one caller into turns."""

    def __init__(self) -> None:
        self._ear = Ear()
        self._portions: list[_Portion] = []
        # What of the utterance being said belongs to an earlier turn already.
        self._told: tuple[str, int, int] | None = None

    @property
    def tag(self) -> int | None:
        """The tag of the call heard, once there is one."""
        return self._ear.tag

    @property
    def defects(self) -> Defects:
        """Frames amiss on the way here."""
        return self._ear.defects

    def feed(self, frame: bytes) -> None:
        """One frame as it arrived."""
        for event in self._ear.feed(frame):
            if event.kind in ("finished", "cut"):
                last = event.position_ms // FRAME_MS
                self._add(event.label, last, event.frames_heard)
                self._told = None

    def take(self) -> Turn:
        """The turn that ends now; an utterance still under way is told as far as it has come."""
        under_way = self._ear.hearing
        if under_way is not None:
            label, frames, position = under_way
            self._add(label, position, frames)
            self._told = (label, position, frames)
        portions, self._portions = self._portions, []
        return Turn(
            clips=tuple(each.label for each in portions if _made_out(each)),
            text=" ".join(filter(None, (each.words() for each in portions))),
            frames=sum(each.frames for each in portions),
            whole=sum(each.last - each.first for each in portions),
        )

    def _add(self, label: str, last: int, frames: int) -> None:
        first = told = 0
        if self._told and self._told[0] == label:
            _, first, told = self._told
        self._portions.append(_Portion(label, first, last, frames - told))


def _made_out(portion: _Portion) -> bool:
    """Whether the utterance ended here, and enough of its last part arrived to know it by."""
    reached = portion.last >= portion.whole * _INTELLIGIBLE
    return reached and portion.frames >= (portion.last - portion.first) * _INTELLIGIBLE
