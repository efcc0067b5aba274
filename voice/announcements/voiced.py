"""Our own lines in the voices that the deployment has, spoken once when the server starts."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from domain.errors import ProviderError
from domain.speech import TextToSpeech
from voice.announcements import SpokenLines, bundled
from voice.audio import BYTES_PER_MS, ToTelephone

log = structlog.get_logger(__name__)

#: Seconds that one line may take, and between tries of what has failed.
LINE_SECONDS: Final = 20.0
AGAIN_SECONDS: Final = 60.0
TRIES: Final = 5
#: A line is some seconds long; what is shorter or longer isn't it.
_LEAST_MS, _MOST_MS = 400, 15_000
_STEP_SECONDS: Final = 0.04


class VoicedLines(SpokenLines):
    """The bundled lines, until each has been spoken by the synthesiser; what fails stays bundled.
    `voices`: gender → the synthesiser's name."""

    def __init__(self, speech: TextToSpeech, voices: Mapping[str, str]) -> None:
        self._bundled = bundled()
        super().__init__(self._bundled)
        self._speech = speech
        self._names = dict(voices)
        self._voiced: dict[str, dict[str, bytes]] = {}
        self._lines: dict[str, SpokenLines] = {}

    def of(self, gender: str) -> SpokenLines:
        return _Voice(self, gender)

    def line(self, text: str, gender: str) -> Sequence[str]:
        """Pieces of base64 µ-law in that voice, else as they came with the program."""
        lines = self._lines.get(gender)
        return lines.audio(text) if lines is not None else self.audio(text)

    async def run(self) -> None:
        """Speak them all, one after the other; what fails is tried again some times."""
        missing = 0
        for number in range(TRIES):
            if number:
                await asyncio.sleep(AGAIN_SECONDS)
            missing = sum([await self._speak_all(gender) for gender in self._names])
            if not missing:
                return
        log.warning("announcements.bundled", missing=missing)

    async def _speak_all(self, gender: str) -> int:
        """How many lines of this voice are still missing."""
        done = self._voiced.setdefault(gender, {})
        for words in self._bundled:
            if words not in done:
                mulaw = await self._spoken(words, self._names[gender])
                if mulaw:
                    done[words] = mulaw
        self._lines[gender] = SpokenLines({**self._bundled, **done})
        return len(self._bundled) - len(done)

    async def _spoken(self, words: str, voice: str) -> bytes:
        telephone = ToTelephone(self._speech.rate)
        step = round(self._speech.rate * _STEP_SECONDS) * 2
        mulaw = bytearray()
        try:
            async with (
                asyncio.timeout(LINE_SECONDS),
                contextlib.aclosing(self._speech.speak(words, voice)) as sounds,
            ):
                async for sound in sounds:
                    for at in range(0, len(sound), step):
                        mulaw += telephone.feed(sound[at : at + step])
                        await asyncio.sleep(0)
        except (ProviderError, TimeoutError) as error:
            log.info("announcements.failed", error=type(error).__name__)
            return b""
        whole = _LEAST_MS * BYTES_PER_MS <= len(mulaw) <= _MOST_MS * BYTES_PER_MS
        return bytes(mulaw) if whole else b""


class _Voice(SpokenLines):
    """One voice's lines, as they are when they are asked for."""

    def __init__(self, lines: VoicedLines, gender: str) -> None:
        super().__init__({})
        self._all = lines
        self._gender = gender

    def audio(self, text: str) -> Sequence[str]:
        return self._all.line(text, self._gender)
