"""Our own lines, spoken beforehand: there when no vendor is."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files

from domain.messages import Language, text
from voice.audio import BYTES_PER_MS

LANGUAGES: tuple[Language, ...] = ("fr", "en")
#: Keys of `domain.messages`: sentences without variables.
KEYS = ("hold_1", "hold_2", "hold_3", "repeat")
PIECE_MS = 100


class SpokenLines:
    """Sentences as pieces of base64 µ-law, by their text. An `Announcements` of `voice.bridge`."""

    def __init__(self, audio: Mapping[str, bytes]) -> None:
        self._pieces = {words: tuple(_pieces(mulaw)) for words, mulaw in audio.items()}

    def audio(self, text: str) -> Sequence[str]:
        return self._pieces.get(text, ())


def bundled() -> dict[str, bytes]:
    """The lines that come with the program: text → µ-law, 8 kHz."""
    here = files(__package__)
    return {
        text(language, key): here.joinpath(f"{language}_{key}.ulaw").read_bytes()
        for language in LANGUAGES
        for key in KEYS
    }


def _pieces(mulaw: bytes) -> Iterator[str]:
    size = PIECE_MS * BYTES_PER_MS
    for begin in range(0, len(mulaw), size):
        yield b64encode(mulaw[begin : begin + size]).decode()
