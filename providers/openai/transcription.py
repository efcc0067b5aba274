"""Speech to text behind any server that speaks OpenAI's transcriptions.

https://platform.openai.com/docs/api-reference/audio/createTranscription. A turn is sent as a WAV
file: raw samples are taken by nobody.
"""

import io
import wave
from typing import Final

from openai import omit

from providers.openai.compatible import CompatibleServer, Patience, Waiting

VENDOR: Final = "stt"

#: The answer comes whole: `first` is what counts.
PATIENCE: Final = Patience(
    connect=1.5, first=6.0, between=6.0, total=6.0, response_bytes=256 * 1024
)

#: OpenAI refuses a file that is shorter ("Minimum audio length is 0.1 seconds") or larger (25 MB).
SHORTEST_SECONDS: Final = 0.1
MAX_FILE_BYTES: Final = 25_000_000

#: Whisper reads no more than 224 tokens of a prompt; this is about as many.
MAX_HINT: Final = 600

_SAMPLE_BYTES: Final = 2


class OpenAITranscription:
    """A SpeechToText. `base_url` is `http(s)://host/v1`, `api_key` "" for a server that wants none.
    An async context manager, or to be closed with `aclose()`."""

    def __init__(
        self, base_url: str, api_key: str, model: str, *, patience: Patience = PATIENCE
    ) -> None:
        self._server = CompatibleServer(VENDOR, base_url, api_key, patience)
        self._transcriptions = self._server.client.audio.transcriptions
        self._model = model

    @property
    def name(self) -> str:
        return self._model

    async def aclose(self) -> None:
        """Close all connections."""
        await self._server.aclose()

    async def __aenter__(self) -> "OpenAITranscription":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def transcribe(self, pcm: bytes, rate: int, language: str, hint: str = "") -> str:
        """See `SpeechToText.transcribe`. What is too short to be a word isn't sent. ValueError for
        half a sample, or for more than a file may hold (13 minutes at 16 kHz)."""
        if len(pcm) < SHORTEST_SECONDS * rate * _SAMPLE_BYTES:
            return ""
        answer = await Waiting(self._server).of(
            self._transcriptions.create(
                file=("turn.wav", wav(pcm, rate), "audio/wav"),
                model=self._model,
                language=language or omit,
                prompt=hint[:MAX_HINT] or omit,
                response_format="json",
            )
        )
        text = getattr(answer, "text", None)  # a page of HTML arrives as plain text
        if not isinstance(text, str):
            raise self._server.unusable("an answer without a text")
        return text.strip()


def wav(pcm: bytes, rate: int) -> bytes:
    """16-bit mono samples as a WAV file. ValueError as for `transcribe`."""
    if len(pcm) % _SAMPLE_BYTES:
        raise ValueError("half a sample")
    if len(pcm) >= MAX_FILE_BYTES:
        raise ValueError(f"{len(pcm)} bytes are more than a file may hold")
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(_SAMPLE_BYTES)
        writer.setframerate(rate)
        writer.writeframes(pcm)
    return file.getvalue()
