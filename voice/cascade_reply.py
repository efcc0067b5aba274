"""One answer of the cascade: the model's words, sentence by sentence, spoken as they come.

While sentence 1 plays, sentence 2 is on its way to the caller and sentence 3 is being synthesised:
never more ahead. An answer may be made before it is wanted (the caller might go on) or be held in
its middle (the caller says "oui"): then its sound is kept, and nothing is done.
"""

import asyncio
import contextlib
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from domain.errors import ProviderError
from domain.language_model import FunctionRequest, ModelPiece, TextPiece
from domain.speech import TextToSpeech
from voice import events as ev
from voice.audio import BYTES_PER_MS, FRAME_BYTES, ToTelephone, loudness
from voice.sentence_split import SentenceSplitter, spoken_text

#: µ-law bytes of one piece that goes out: 100 ms.
_PIECE: Final = 100 * BYTES_PER_MS
#: PCM of one step of resampling, seconds; after so many steps the event loop has its turn.
_STEP_SECONDS: Final = 0.04
_STEPS: Final = 2
#: Steps of one sentence that wait to be sent: 30 s of sound.
_BUFFERED: Final = 750
#: Sentences that are made and haven't begun to be played; what the model may have asked for.
_AHEAD: Final = 2
_MOST_PARTS: Final = 32
#: A sign of life while what was made is played, seconds.
_SIGN_SECONDS: Final = 1.5
#: Longest sound of one answer: three minutes.
_MAX_BYTES: Final = 180_000 * BYTES_PER_MS
#: Until a sentence's first sound, and between two pieces of it, seconds.
FIRST_SOUND_SECONDS: Final = 3.0
_NEXT_SOUND_SECONDS: Final = 2.5
#: French, read aloud.
_LETTERS_A_SECOND: Final = 15
#: Speech that goes on after an interruption begins at a pause of this much before it, at most.
_STEP_BACK_BYTES: Final = 480 * BYTES_PER_MS


class Audience(Protocol):
    """Who an answer reports to: the leg."""

    def audio(self, item_id: str, payload: str) -> None:
        """Base64 µ-law for the caller."""
        ...

    def event(self, event: ev.Event) -> None:
        """See `voice.events`."""
        ...

    def new_id(self, kind: str) -> str:
        """A name for a response ("resp") or an item ("item")."""
        ...

    def said(self, reply: "Reply") -> None:
        """More of it was sent, or it is known how much was heard."""
        ...

    def called(self, reply: "Reply", requests: Sequence[FunctionRequest]) -> None:
        """It asks for functions."""
        ...


@dataclass(slots=True)
class _Sentence:
    text: str
    sound: "asyncio.Queue[bytes | ProviderError | None]" = field(
        default_factory=lambda: asyncio.Queue(_BUFFERED)
    )


_Part = _Sentence | FunctionRequest | None


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks."""

    speech: TextToSpeech
    name: str


class Reply:
    """`words`: the model's answer, or one sentence of ours. Begins held; `open()` lets it out."""

    def __init__(
        self,
        words: AsyncGenerator[str | FunctionRequest, None],
        voice: Voice,
        audience: Audience,
        now: Callable[[], float],
        *,
        ours: bool = False,
    ) -> None:
        self.ours = ours  # a sentence of ours, not of the model's
        self._words = words
        self._voice = voice
        self._audience = audience
        self._now = now
        self._sound = bytearray()
        self._begins: list[tuple[int, str]] = []  # where each sentence begins, in bytes
        self._between = False  # two sentences: the last one is complete
        self._told = 0  # sentences whose words were reported for this item
        self._opened = asyncio.Event()
        self._base = 0  # where the present item begins, in bytes
        self._opened_at = 0.0
        self._ends_at = 0.0  # when what was sent will have been played
        self.sent = 0
        self._ahead = asyncio.Semaphore(_AHEAD)
        self.usage: dict[str, int] = {}
        self.response_id = self.item_id = ""
        self.items: dict[str, int] = {}
        self.made = False  # nothing more will come
        self.called = False
        self.place: int | None = None  # in the memory

    # ---------------------------------------------------------------------- letting it out

    @property
    def is_open(self) -> bool:
        return self._opened.is_set()

    @property
    def silent_seconds(self) -> float:
        """For how long it has been wanted and nothing of it sounded; 0.0 while it does."""
        if not self.is_open:
            return 0.0
        return max(0.0, self._now() - max(self._opened_at, self._ends_at))

    @property
    def unheard_ms(self) -> float:
        """Sound that was made and not sent, or sent and cut."""
        return (len(self._sound) - self.sent) / BYTES_PER_MS

    def open(self) -> None:
        """Its sound goes out from here on, as a response of its own."""
        self.response_id, self.item_id = (
            self._audience.new_id("resp"),
            self._audience.new_id("item"),
        )
        self._base = self.sent
        self.items[self.item_id] = self._base
        self._told = sum(1 for begin, _ in self._begins if begin < self.sent)
        self._opened_at = self._now()
        self._opened.set()
        self._audience.event(ev.ResponseStarted(self.response_id))
        if self.sent and self._told:
            rest = self.words(self.sent, len(self._sound))
            self._audience.event(ev.AgentText(self.item_id, rest + " "))
            self._told = len(self._begins)
        self._flush()

    def hold(self) -> None:
        """Nothing goes out until it is opened again."""
        self._opened.clear()

    def cut(self, item_id: str, heard_ms: float) -> None:
        """The caller's buffer was cleared: so much of the item was heard."""
        base = self.items.get(item_id)
        if base is not None:
            if item_id == self.item_id:
                self._tell_what_was_sent()
            self.sent = min(self.sent, base + round(heard_ms) * BYTES_PER_MS)
            self._ends_at = self._now()
            self._audience.said(self)

    def step_back(self) -> None:
        """Go on from a pause before the place where it was cut: half words aren't repeated well."""
        begin = max(0, self.sent - _STEP_BACK_BYTES)
        starts = [at for at, _ in self._begins if begin <= at <= self.sent]
        if starts:
            self.sent = starts[-1]
            return
        frames = range(begin, max(begin, self.sent - FRAME_BYTES) + 1, FRAME_BYTES)
        levels = {at: loudness(bytes(self._sound[at : at + FRAME_BYTES])) for at in frames}
        if levels:
            self.sent = min(levels, key=lambda at: levels[at])

    def words(self, begin: int, end: int) -> str:
        """What is said between these places; of a sentence that is cut, its share of words. One
        that is still being made is taken for as long as it would be read aloud."""
        said = []
        for number, (at, text) in enumerate(self._begins):
            later = number + 1 < len(self._begins)
            stop = self._begins[number + 1][0] if later else len(self._sound)
            length = max(1, stop - at)
            if not later and not self._between:
                letters = sum(each.isalnum() for each in text)
                length = max(length, letters * 1000 // _LETTERS_A_SECOND * BYTES_PER_MS)
            words = text.split()
            first = round(len(words) * min(1.0, max(0.0, (begin - at) / length)))
            last = round(len(words) * min(1.0, max(0.0, (end - at) / length)))
            said += words[first:last]
        return " ".join(said)

    # ------------------------------------------------------------------------- making it

    async def run(self) -> None:
        """Make it to its end. Raises ProviderError, after what was said has been told."""
        failures: list[ProviderError] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                parts: asyncio.Queue[_Part] = asyncio.Queue(_MOST_PARTS)
                tasks.create_task(self._think(parts, tasks))
                await self._speak(parts)
        except* ProviderError as group:
            failures = [each for each in group.exceptions if isinstance(each, ProviderError)]
        if failures:
            if self.is_open:
                self._tell_what_was_sent()
                self._audience.said(self)
            raise failures[0]
        self.made = True

    def _tell_what_was_sent(self) -> None:
        """Of a sentence that is being made all words were told; its sound may never come."""
        if self._begins and not self._between:
            sent = self.words(self._base, self.sent)
            self._audience.event(ev.AgentText(self.item_id, sent, final=True))

    async def _think(self, parts: "asyncio.Queue[_Part]", tasks: asyncio.TaskGroup) -> None:
        async with contextlib.aclosing(self._words):
            async for part in self._words:
                if isinstance(part, FunctionRequest):
                    await parts.put(part)
                    continue
                await self._ahead.acquire()
                sentence = _Sentence(part)
                tasks.create_task(self._synthesise(sentence))
                await parts.put(sentence)
        await parts.put(None)

    async def _speak(self, parts: "asyncio.Queue[_Part]") -> None:
        requests = []
        while (part := await self._next(parts)) is not None:
            if isinstance(part, FunctionRequest):
                requests.append(part)
                continue
            began = await self._send(part)
            await self._opened.wait()
            # Once it is played, there is room for another one.
            loop = asyncio.get_running_loop()
            loop.call_later(max(0.0, began - self._now()), self._ahead.release)
        await self._opened.wait()
        if requests:
            self.called = True
            self._audience.called(self, requests)

    async def _next(self, parts: "asyncio.Queue[_Part]") -> "_Part":
        """The next part; while what was sent is being played, signs of life."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SIGN_SECONDS):
                    return await parts.get()
            if self._opened.is_set() and self._now() < self._ends_at:
                self._audience.event(ev.AgentText(self.item_id, ""))

    async def _send(self, sentence: _Sentence) -> float:
        """Send a sentence as it is made; when it begins to be played."""
        self._begins.append((len(self._sound), sentence.text))
        self._between = False
        began = max(self._ends_at, self._now())
        while (piece := await sentence.sound.get()) is not None:
            if isinstance(piece, ProviderError):
                raise piece
            if len(self._sound) + len(piece) > _MAX_BYTES:
                raise ProviderError(
                    "tts", "an answer without end", retryable=False, code="too_long"
                )
            self._sound += piece
            self._flush()
        self._between = True
        self._flush()
        return began

    def _flush(self) -> None:
        """Send what there is: pieces of 100 ms, and what a sentence ends with."""
        if not self._opened.is_set():
            return
        before = self.sent
        while len(self._sound) - self.sent >= _PIECE or (
            self._between and self.sent < len(self._sound)
        ):
            self._tell_words()
            piece = bytes(self._sound[self.sent : self.sent + _PIECE])
            self.sent += len(piece)
            self._ends_at = max(self._ends_at, self._now()) + len(piece) / BYTES_PER_MS / 1000
            self._audience.audio(self.item_id, b64encode(piece).decode())
            if not self._opened.is_set():
                return  # what it caused has silenced it
        if self.sent > before:
            self._audience.said(self)

    def _tell_words(self) -> None:
        while self._told < len(self._begins) and self._begins[self._told][0] <= self.sent:
            text = self._begins[self._told][1]
            self._told += 1
            self._audience.event(ev.AgentText(self.item_id, text + " "))

    # --------------------------------------------------------------------------- one sentence

    async def _synthesise(self, sentence: _Sentence) -> None:
        """Speak it; once more if that fails before anything was spoken."""
        for again in (True, False):
            begun = False
            try:
                async with contextlib.aclosing(self._sounds(sentence.text)) as pieces:
                    async for piece in pieces:
                        begun = True
                        await sentence.sound.put(piece)
                await sentence.sound.put(None)
                return
            except ProviderError as error:
                if begun or not again:
                    await sentence.sound.put(error)
                    return

    async def _sounds(self, text: str) -> AsyncGenerator[bytes, None]:
        speech = self._voice.speech
        telephone = ToTelephone(speech.rate)
        step = round(speech.rate * _STEP_SECONDS) * 2
        steps = 0
        async with contextlib.aclosing(speech.speak(text, self._voice.name)) as sounds:
            async for sound in _in_time(sounds):
                for at in range(0, len(sound), step):
                    yield telephone.feed(sound[at : at + step])
                    steps += 1
                    if not steps % _STEPS:
                        await asyncio.sleep(0)
        yield telephone.end()


async def _in_time(sounds: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    seconds = FIRST_SOUND_SECONDS
    while True:
        try:
            async with asyncio.timeout(seconds):
                sound = await anext(sounds)
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise ProviderError(
                "tts", "no sound in time", retryable=True, code="stalled"
            ) from error
        seconds = _NEXT_SOUND_SECONDS
        yield sound


async def one_sentence(text: str) -> AsyncGenerator[str | FunctionRequest, None]:
    """A sentence of ours, in the pieces that are spoken."""
    splitter = SentenceSplitter()
    for sentence in (*splitter.feed(spoken_text(text)), *splitter.rest()):
        yield sentence


async def model_words(
    pieces: AsyncGenerator[ModelPiece, None], count: Callable[[Mapping[str, int]], None]
) -> AsyncGenerator[str | FunctionRequest, None]:
    """A model's answer: whole sentences as they are generated, then the functions it asks for.
    `count` is told the usage. ProviderError for an answer with nothing to say or do: filtered,
    thoughts alone, a smile."""
    splitter = SentenceSplitter()
    requests: list[FunctionRequest] = []
    why = ""
    empty = True
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, TextPiece):
                for sentence in splitter.feed(piece.text):
                    empty = False
                    yield sentence
            elif isinstance(piece, FunctionRequest):
                requests.append(piece)
            else:
                why = piece.why
                count(piece.usage)
    for sentence in splitter.rest():
        empty = False
        yield sentence
    for request in requests:
        yield request
    if empty and not requests:
        raise ProviderError("llm", f"an empty answer ({why})", retryable=True, code="empty")
