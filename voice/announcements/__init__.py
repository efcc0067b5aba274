"""Our own lines, spoken beforehand: there when no vendor is."""

from collections.abc import Mapping, Sequence
from importlib.resources import files

from domain.messages import Language, text
from voice.audio import pieces

LANGUAGES: tuple[Language, ...] = ("fr", "en")
#: Keys of `domain.messages`: sentences without variables.
KEYS = ("hold_1", "hold_2", "hold_3", "repeat", "goodbye", "max_duration_goodbye", "transfer_wait")
#: A frame of a telephone line: 20 ms.
FRAME_BYTES = 160
#: µ-law's zero.
_SILENCE = b"\xff"


class SpokenLines:
    """Sentences as pieces of base64 µ-law, by their text. An `Announcements` of `voice.bridge`."""

    def __init__(self, audio: Mapping[str, bytes]) -> None:
        self._pieces = {words: tuple(pieces(mulaw)) for words, mulaw in audio.items()}

    def audio(self, text: str) -> Sequence[str]:
        return self._pieces.get(text, ())

    def of(self, gender: str) -> "SpokenLines":
        """In the voice of an agent of this gender: these have but one voice."""
        return self


def bundled() -> dict[str, bytes]:
    """The lines that come with the program: text → µ-law, 8 kHz, whole frames of 20 ms."""
    here = files(__package__)
    return {
        text(language, key): _whole_frames(here.joinpath(f"{language}_{key}.ulaw").read_bytes())
        for language in LANGUAGES
        for key in KEYS
    }


def _whole_frames(mulaw: bytes) -> bytes:
    """What follows on the line begins with a frame of its own."""
    return mulaw + _SILENCE * (-len(mulaw) % FRAME_BYTES)
