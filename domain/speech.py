"""Speech to text and back, as calls and voicemail see it: 16-bit little-endian mono PCM."""

from collections.abc import AsyncGenerator
from typing import Protocol


class SpeechToText(Protocol):
    """Writes down one turn."""

    @property
    def name(self) -> str:
        """Which model this is, for timelines."""
        ...

    async def transcribe(self, pcm: bytes, rate: int, language: str, hint: str = "") -> str:
        """What was said in this recording; "" when nothing was. `language`: ISO 639-1; `hint`:
        names and words that are likely. Raises ProviderError."""
        ...


class TextToSpeech(Protocol):
    """Speaks one sentence."""

    @property
    def name(self) -> str:
        """Which model this is, for timelines."""
        ...

    @property
    def rate(self) -> int:
        """Samples a second of what it gives."""
        ...

    def speak(self, text: str, voice: str) -> AsyncGenerator[bytes, None]:
        """The sentence's audio as it is made, in pieces of whole samples. Closing the iterator
        stops it. Raises ProviderError."""
        ...
