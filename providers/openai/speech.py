"""Text to speech behind any server that speaks OpenAI's `audio/speech`.

https://platform.openai.com/docs/api-reference/audio/createSpeech, in the form `pcm` (at OpenAI
24,000 16-bit samples a second, without a header) or `wav`.
"""

import contextlib
import re
from collections.abc import AsyncGenerator, Iterator
from typing import Final, Literal

from providers.openai.compatible import CompatibleServer, Patience, Waiting
from providers.openai.speech_stream import RATES, SpeechStream

VENDOR: Final = "tts"

RATE: Final = 24_000
#: Characters that one request may have, by the vendor's rule.
MAX_CHARACTERS: Final = 4_096

#: As long as a request may speak, at 9 characters a second: about 22 MB.
PATIENCE: Final = Patience(
    connect=1.5, first=4.0, between=3.0, total=30.0, response_bytes=24 * 1024 * 1024
)

#: A sentence of so many letters, spoken at more than so many a second, has lost its end, however
#: orderly the answer ended (samples without a header don't say how many they are): French read
#: aloud has some 15 letters a second, and nobody understands 50.
SENTENCE_LETTERS: Final = 10
MOST_LETTERS: Final = 50

#: What a server may say that it sends, and isn't what was asked for.
_FOREIGN: Final = re.compile(
    r"application/json|text/[a-z]*|audio/(mpeg|mp3|ogg|opus|aac|flac|webm|mp4)"
)
#: What a type may say of samples without a header (RFC 2586): `audio/L16;rate=16000;channels=1`.
_PARAMETER: Final = re.compile(r';\s*(rate|channels)\s*=\s*"?(\d{1,9})\b')

Form = Literal["pcm", "wav"]


class OpenAISpeech:
    """A TextToSpeech. `base_url` is `http(s)://host/v1`, `api_key` "" for a server that wants none;
    `form`: what is asked for, though either is taken; `rate`: samples a second of all that is
    given, and of what a server sends without saying its rate. An async context manager, or to be
    closed with `aclose()`."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        model: str,
        *,
        form: Form = "pcm",
        rate: int = RATE,
        patience: Patience = PATIENCE,
    ) -> None:
        self._server = CompatibleServer(VENDOR, base_url, api_key, patience)
        self._speech = self._server.client.audio.speech.with_streaming_response
        self._model = model
        self._form: Form = form
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
            model=self._model, input=text, voice=voice, response_format=self._form
        )
        async with contextlib.AsyncExitStack() as stack:
            response = await waiting.of(stack.enter_async_context(request))
            rate = self._rate_of(response.headers.get("content-type", "").strip().lower())
            stream = SpeechStream(self._rate, rate)
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
        if stream.is_cut:
            raise self._server.unusable("ended before its WAV was whole", "cut")
        letters = sum(each.isalnum() for each in text)
        if letters >= SENTENCE_LETTERS and stream.given / 2 / self._rate < letters / MOST_LETTERS:
            raise self._server.unusable("ended before so much could be said", "cut")

    def _read(self, stream: SpeechStream, chunk: bytes) -> bytes:
        try:
            return stream.feed(chunk)
        except ValueError as error:
            raise self._server.unusable(f"an answer that is no speech: {error}") from error

    def _rate_of(self, content_type: str) -> int | None:
        """The rate that the answer's type names, if it does. Raises ProviderError for a type that
        isn't what was asked for."""
        foreign = _FOREIGN.match(content_type)
        if foreign:
            raise self._server.unusable(f"an answer in {foreign.group()}, and neither PCM nor WAV")
        said = {name: int(value) for name, value in _PARAMETER.findall(content_type)}
        rate = said.get("rate")
        if said.get("channels", 1) != 1 or (rate is not None and rate not in RATES):
            raise self._server.unusable("an answer that isn't mono, or has no rate of speech")
        return rate


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
