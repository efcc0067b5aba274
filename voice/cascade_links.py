"""The cascade's three models, each behind a breaker of its own, which all calls of a node share:
what one call learns of the language model the next one knows, by turns too."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from domain.breaker import Breakers, State
from domain.clock import Clock
from domain.errors import ProviderError
from domain.language_model import FunctionSpec, LanguageModel, ModelMessage, ModelPiece
from domain.speech import SpeechToText, TextToSpeech
from voice.agents import is_everybodys
from voice.cascade_leg import CascadeModels
from voice.spoken_before import SpokenBefore
from voice.turn_model import LLM

#: Their breakers, beside the language model's.
STT: Final = "stt:"
TTS: Final = "tts:"

#: Seconds. Who gave up a request after so long without a sign has waited in vain: the heart leaves
#: a silent agent after 4 s and, when it was silent before, after 2 s (`Rules.agent_within`).
GIVEN_UP_SECONDS: Final = 1.9


class CascadeLinks:
    """`models`: the three, watched, for calls; `unwatched`: for probes, which say themselves how it
    went. Also `voice.agents.Links`."""

    def __init__(self, models: CascadeModels, breakers: Breakers, clock: Clock) -> None:
        self.unwatched = models
        self._breakers = breakers
        self._watches = tuple(_Watch(key, breakers, clock) for key in (STT, LLM, TTS))
        stt, llm, tts = self._watches
        voice = _WatchedVoice(models.tts, tts)
        self.models = CascadeModels(
            _WatchedEars(models.stt, stt),
            _WatchedModel(models.llm, llm),
            voice,
            models.voices,
            SpokenBefore(voice),
        )

    @property
    def are_well(self) -> bool:
        return all(self._breakers.state(watch.key) is State.CLOSED for watch in self._watches)

    def blame(self) -> None:
        for watch in self._watches:
            watch.blame()


@dataclass(slots=True, eq=False)
class _Request:
    """One that is under way. `began`: monotonic seconds; `told`: its failure is counted."""

    began: float
    gave_a_sign: bool = False
    told: bool = False


class _Watch:
    """Tells a breaker how requests fare."""

    def __init__(self, key: str, breakers: Breakers, clock: Clock) -> None:
        self.key = key
        self._breakers = breakers
        self._clock = clock
        self._under_way: set[_Request] = set()

    @contextlib.contextmanager
    def request(self) -> Iterator[_Request]:
        """Around one request, from its beginning to its end, whoever ends it."""
        request = _Request(self._clock.monotonic())
        self._under_way.add(request)
        try:
            yield request
            self._breakers.succeeded(self.key)
        except ProviderError as error:
            if is_everybodys(error):
                self._failed(request)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            if request.gave_a_sign:
                self._breakers.succeeded(self.key)
            elif self._in_vain(request):
                self._failed(request)
            raise
        finally:
            self._under_way.discard(request)

    def blame(self) -> None:
        """An agent was given up because of whoever has kept it waiting."""
        for request in self._under_way:
            if not request.gave_a_sign and self._in_vain(request):
                self._failed(request)

    def _in_vain(self, request: _Request) -> bool:
        return self._clock.monotonic() - request.began >= GIVEN_UP_SECONDS

    def _failed(self, request: _Request) -> None:
        if not request.told:
            request.told = True
            self._breakers.failed(self.key)


class _WatchedEars:
    """A SpeechToText."""

    def __init__(self, stt: SpeechToText, watch: _Watch) -> None:
        self._stt = stt
        self._watch = watch
        self.name = stt.name

    async def transcribe(self, pcm: bytes, rate: int, language: str, hint: str = "") -> str:
        with self._watch.request():
            return await self._stt.transcribe(pcm, rate, language, hint)


class _WatchedModel:
    """A LanguageModel."""

    def __init__(self, llm: LanguageModel, watch: _Watch) -> None:
        self._llm = llm
        self._watch = watch
        self.name = llm.name

    async def answer(
        self, messages: Sequence[ModelMessage], functions: Sequence[FunctionSpec] = ()
    ) -> AsyncGenerator[ModelPiece, None]:
        with self._watch.request() as request:
            async with contextlib.aclosing(self._llm.answer(messages, functions)) as pieces:
                async for piece in pieces:
                    request.gave_a_sign = True
                    yield piece


class _WatchedVoice:
    """A TextToSpeech."""

    def __init__(self, tts: TextToSpeech, watch: _Watch) -> None:
        self._tts = tts
        self._watch = watch
        self.name = tts.name
        self.rate = tts.rate

    async def speak(self, text: str, voice: str) -> AsyncGenerator[bytes, None]:
        with self._watch.request() as request:
            async with contextlib.aclosing(self._tts.speak(text, voice)) as sounds:
                async for sound in sounds:
                    request.gave_a_sign = True
                    yield sound
