"""Text to speech behind any server that speaks OpenAI's `audio/speech`.

https://platform.openai.com/docs/api-reference/audio/createSpeech, in the form `pcm`: 24,000 16-bit
samples a second, without a header.
"""

import contextlib
import re
from collections.abc import AsyncGenerator, Iterator
from typing import Final

from providers.openai.compatible import CompatibleServer, Patience, Waiting
from providers.openai.speech_stream import SpeechStream

VENDOR: Final = "tts"

RATE: Final = 24_000
#: Characters that one request may have, by the vendor's rule.
MAX_CHARACTERS: Final = 4_096

#: As long as a request may speak, at 9 characters a second: about 22 MB.
PATIENCE: Final = Patience(
    connect=1.5, first=4.0, between=3.0, total=30.0, response_bytes=24 * 1024 * 1024
)

#: What a server may say that it sends, and isn't what was asked for.
_FOREIGN: Final = re.compile(r"application/json|text/|audio/(mpeg|mp3|ogg|opus|aac|flac|webm|mp4)")


class OpenAISpeech:
    """A TextToSpeech. `base_url` is `http(s)://host/v1`, `api_key` "" for a server that wants none;
    `rate`: samples a second of a server that answers without a header, and of all that is given.
    An async context manager, or to be closed with `aclose()`."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        *,
        rate: int = RATE,
        patience: Patience = PATIENCE,
    ) -> None:
        self._server = CompatibleServer(VENDOR, base_url, api_key, patience)
        self._speech = self._server.client.audio.speech.with_streaming_response
        self._model = model
        self._rate = rate

    @property
    def name(self) -> str:
        return self._model

    @property
    def rate(self) -> int:
        return self._rate

    async def aclose(self) -> None:
        """Close all connections."""
        await self._server.aclose()

    async def __aenter__(self) -> "OpenAISpeech":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def speak(self, text: str, voice: str) -> AsyncGenerator[bytes, None]:
        """See `TextToSpeech.speak`. A text beyond MAX_CHARACTERS takes several requests; one
        without a letter or digit none, and is silent."""
        for part in parts(text):
            async with contextlib.aclosing(self._speak(part, voice)) as pieces:
                async for piece in pieces:
                    yield piece

    async def _speak(self, text: str, voice: str) -> AsyncGenerator[bytes, None]:
        waiting = Waiting(self._server)
        request = self._speech.create(
            model=self._model, input=text, voice=voice, response_format="pcm"
        )
        stream = SpeechStream(self._rate)
        async with contextlib.AsyncExitStack() as stack:
            response = await waiting.of(stack.enter_async_context(request))
            self._check(response.headers.get("content-type", ""))
            chunks = response.iter_bytes()
            while True:
                try:
                    chunk = await waiting.of(anext(chunks))
                except StopAsyncIteration:
                    break
                if piece := self._read(stream, chunk):
                    waiting.progressed()
                    yield piece
                    waiting.progressed()  # how long it took to use isn't the vendor's concern
        if not stream.given:
            raise self._server.unusable("an answer without a sound")

    def _read(self, stream: SpeechStream, chunk: bytes) -> bytes:
        try:
            return stream.feed(chunk)
        except ValueError as error:
            raise self._server.unusable(f"an answer that is no speech: {error}") from error

    def _check(self, content_type: str) -> None:
        if _FOREIGN.match(content_type.strip().lower()):
            raise self._server.unusable("an answer of another kind than was asked for")


def parts(text: str) -> Iterator[str]:
    """The text in pieces that one request takes each, cut at white space where there is any."""
    rest = text.strip()
    while rest:
        piece = rest[:MAX_CHARACTERS]
        if len(rest) > MAX_CHARACTERS and " " in piece:
            piece = piece[: piece.rindex(" ")]
        rest = rest[len(piece) :].lstrip()
        if any(each.isalnum() for each in piece):
            yield piece
