"""An agent made of speech-to-text → language model → text-to-speech: any servers that speak
OpenAI's protocol, one's own included. The turns are taken on our side (`voice.turn_taking`).

After 120 ms of the caller's speech the agent is silenced (`clear`). Whether that was "oui" or the
beginning of "oui, mais" nobody can tell by then. So the answer is held and not dropped: a murmur of
less than 400 ms, or of words that only say "I'm listening", cuts nothing; the agent goes on with
the sentence it was in. docs/decisions/0020-cascade.md.
"""

import asyncio
from binascii import a2b_base64
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from domain.errors import ProviderError
from domain.language_model import FunctionRequest, LanguageModel
from domain.messages import text
from domain.speech import SpeechToText, TextToSpeech
from voice import events as ev
from voice.audio import BYTES_PER_MS, RATE, pcm
from voice.cascade_memory import Memory
from voice.cascade_reply import Reply, Voice, model_words, one_sentence
from voice.completeness import Completeness, completeness
from voice.ports import AgentListener, AgentSpec
from voice.speech_detection import whole_frames
from voice.transcripts import clean, is_back_channel
from voice.turn_taking import TurnTaking, Verdict

log = structlog.get_logger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]

#: Sound before the first 120 ms that counted as speech: soft beginnings ("s", "f").
_EARLIER_FRAMES: Final = 20
#: A turn's audio, a minute: the heart takes what is longer for noise.
_LONGEST_TURN: Final = 60_000 * BYTES_PER_MS
#: Seconds for a transcription; one that is refused at once is tried again.
STT_SECONDS: Final = 3.0
#: A murmur over the last words of the agent answers them.
_NEARLY_OVER_MS: Final = 1200
#: How long a murmur may be that is one by its words.
_MURMUR_BY_WORDS_MS: Final = 800
#: Speech of which nothing was understood and that is worth asking again for.
_WORTH_ASKING_MS: Final = 700
#: So many of them in a row: the transcriber hears nothing, whatever is said.
_DEAF_AFTER: Final = 3
#: An answer that was stopped after so long without a sound hung: somebody of the three is late. The
#: heart waits 4 s at first, then half of it (`Rules.agent_within`), our limits add up to more.
STUCK_SECONDS: Final = 1.5
#: What is kept until the caller's stream is there.
_MAX_KEPT: Final = 4000
_MAX_QUEUE: Final = 8
#: Speech so soon behind a murmur belongs to it: "non… pas mardi". 1.5 s.
_SOON_FRAMES: Final = 75
_CLOSE_SECONDS: Final = 1.5


@dataclass(frozen=True, slots=True)
class CascadeModels:
    """The three links. `voices`: "female" and "male" → the synthesiser's name; `own`: speaks the
    sentences that are ours and come again (`voice.spoken_before`), else `tts` does."""

    stt: SpeechToText
    llm: LanguageModel
    tts: TextToSpeech
    voices: Mapping[str, str]
    own: TextToSpeech | None = None

    def voice(self, gender: str) -> Voice:
        """Who speaks for an agent of this gender."""
        return Voice(self.tts, self.voices.get(gender) or next(iter(self.voices.values())))

    def own_voice(self, gender: str) -> Voice:
        """The same voice, for our own sentences."""
        return Voice(self.own or self.tts, self.voice(gender).name)


class _End(Exception):
    """Ends the leg's tasks."""


class CascadeLeg:
    """One conversation; an AgentLeg and the Audience of its replies. See `voice.ports`."""

    def __init__(self, spec: AgentSpec, models: CascadeModels, failed: Callable[[], None]) -> None:
        self._spec = spec
        self._models = models
        self._failed = failed
        self._voice = models.voice(spec.gender)
        self._own_voice = models.own_voice(spec.gender)
        self._memory = Memory(spec)
        self._loop = asyncio.get_running_loop()
        self._group: asyncio.TaskGroup | None = None
        self.running = asyncio.Event()
        self._closed = asyncio.Event()
        self._gone = asyncio.Event()
        self._over = False
        self._listener: AgentListener | None = None
        self._kept: deque[tuple[str, str] | ev.Event] = deque([ev.AgentReady()])
        self._number = 0
        # The caller.
        self._taking = TurnTaking()
        self._held = b""
        self._before: deque[bytes] = deque(maxlen=_EARLIER_FRAMES)
        self._turn: bytearray | None = None
        self._frames = 0  # so far
        self._earlier = b""  # audio that belongs to the next turn, if that begins soon
        self._earlier_at = -_SOON_FRAMES
        self._turn_number = 0
        self._told_stop = False
        self._waiting_ms: int | None = None  # the turn is over, its words are awaited
        self._words: str | None = None  # of this pause
        self._hearing: asyncio.Task[None] | None = None
        self._wordless = 0  # turns in a row that were worth asking again for
        # The agent.
        self._reply: Reply | None = None  # being made, or held
        self._making: asyncio.Task[None] | None = None
        self._maybe: tuple[str, Reply, asyncio.Task[None]] | None = None  # on speculation
        self._last: Reply | None = None
        self._cut: Reply | None = None  # held by the caller's voice
        self._cut_audible = False
        self._being_cut = False
        self._cut_notes: list[int] = []  # what we were told because of it: "your greeting was cut"
        self._queue: deque[str | None] = deque()  # sentences; None: an answer
        self._result_due = False
        self._recent: deque[Reply] = deque(maxlen=6)
        self._first: Reply | None = None
        self._verdicts: Mapping[Verdict, Callable[[], None]] = {
            Verdict.BEGAN: self._began,
            Verdict.PAUSED: self._paused,
            Verdict.RESUMED: self._resumed,
            Verdict.QUIET: self._quiet,
            Verdict.ENDED: self._ended,
        }

    @property
    def name(self) -> str:
        return f"cascade:{self._models.llm.name}"

    # ------------------------------------------------------------------------- its life

    async def run(self) -> None:
        """Owns all that the leg does at the same time, until it is closed."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self.running.set()
                await self._closed.wait()
                raise _End
        except* _End:
            pass
        finally:
            self._over = True
            self._gone.set()

    async def answers(self, seconds: float) -> bool:
        """It listens with ears of its own; its models are asked sentence by sentence."""
        return True

    async def close(self) -> None:
        self._suspect_if_stuck()
        self._over = True
        self._closed.set()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._gone.wait()
        except TimeoutError:
            log.warning("cascade.slow_close")

    def _start(self, work: Work, name: str) -> asyncio.Task[None]:
        assert self._group is not None, "run() comes first"
        return self._group.create_task(self._guarded(work), name=name)

    async def _guarded(self, work: Work) -> None:
        """A bug of ours ends this leg, not the server: the next agent takes over."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001
            log.error("cascade.failed", error=type(error).__name__)
            self._lose("internal_error", "internal error")

    # ------------------------------------------------------------------- towards the bridge

    def listen(self, listener: AgentListener) -> None:
        self._listener = listener
        kept, self._kept = self._kept, deque()
        for item in kept:
            if isinstance(item, tuple):
                listener.on_agent_audio(*item)
            else:
                listener.on_agent_event(item)

    def audio(self, item_id: str, payload: str) -> None:
        """Of `Audience`."""
        if self._over:
            return
        if self._listener is not None:
            self._listener.on_agent_audio(item_id, payload)
        elif len(self._kept) < _MAX_KEPT:
            self._kept.append((item_id, payload))

    def event(self, event: ev.Event) -> None:
        """Of `Audience`."""
        if self._over:
            return
        if self._listener is not None:
            self._listener.on_agent_event(event)
        elif len(self._kept) < _MAX_KEPT:
            self._kept.append(event)

    def new_id(self, kind: str) -> str:
        """Of `Audience`."""
        self._number += 1
        return f"{kind}_{self._number}"

    def said(self, reply: Reply) -> None:
        """Of `Audience`."""
        if reply.place is not None:
            self._memory.heard(reply.place, reply.words(0, reply.sent))

    def called(self, reply: Reply, requests: Sequence[FunctionRequest]) -> None:
        """Of `Audience`."""
        if reply.place is not None:
            self._memory.called(reply.place, requests)
        for each in requests:
            self.event(ev.FunctionCalled(each.id, each.name, each.arguments))

    def _lose(self, code: str, message: str) -> None:
        if self._over:
            return
        self._failed()
        self.event(ev.AgentFault(code, message, fatal=True))
        self.event(ev.AgentGone(code))
        self._over = True
        self._closed.set()

    # ------------------------------------------------------------------ what it is asked for

    def say(self, text: str) -> None:
        self._want(text)

    def respond(self) -> None:
        if self._turn is not None or self._waiting_ms is not None:
            self._result_due = True  # behind the caller's words
        else:
            self._want(None)

    def tell(self, text: str, role: str) -> None:
        place = self._memory.note(text, role)
        if self._being_cut:
            self._cut_notes.append(place)

    def give_result(self, function_call_id: str, output: str, *, respond: bool) -> None:
        self._memory.result(function_call_id, output)
        if respond:
            self.respond()

    def interrupt(self, heard: Sequence[tuple[str, float, float]], *, cancel: bool) -> None:
        self._queue.clear()
        if cancel:
            self._suspect_if_stuck()
        for reply in self._recent:
            for item_id, heard_ms, _ in heard:
                reply.cut(item_id, heard_ms)
        if cancel:
            self._drop_cut()
            self._stop_reply()

    def _want(self, what: str | None) -> None:
        if what is None and None in self._queue:
            return
        if len(self._queue) < _MAX_QUEUE:
            self._queue.append(what)
        self._next()

    def _next(self) -> None:
        """Begin what is wanted, if nothing is being said."""
        if self._over or self._reply is not None or not self._queue:
            return
        what = self._queue.popleft()
        self._drop_cut()
        if what is None:
            self._result_due = False
            self._begin(self._model_reply(""))
        else:
            words = one_sentence(what)
            self._begin(Reply(words, self._own_voice, self, self._loop.time, ours=True))

    # ------------------------------------------------------------------------- the agent

    def _model_reply(self, asked: str) -> Reply:
        usage: dict[str, int] = {}
        pieces = self._models.llm.answer(self._memory.messages(asked), self._spec.functions)
        reply = Reply(model_words(pieces, usage.update), self._voice, self, self._loop.time)
        reply.usage = usage
        return reply

    def _begin(self, reply: Reply, making: asyncio.Task[None] | None = None) -> None:
        reply.place = self._memory.agent()
        self._recent.append(reply)
        self._first = self._first or reply
        self._reply = reply
        self._making = making or self._start(partial(self._make, reply), "reply")
        reply.open()

    async def _make(self, reply: Reply) -> None:
        """Make it; what goes wrong is told when somebody waits for it."""
        error: ProviderError | None = None
        try:
            await reply.run()
        except ProviderError as failure:
            error = failure
            log.warning("cascade.reply_failed", vendor=failure.vendor, reason=failure.reason)
        if reply is self._reply:
            self._finished(reply, error)
        elif error is not None:
            self._drop_speculation(reply)
            if reply is self._cut:
                self._cut = None

    def _finished(self, reply: Reply, error: ProviderError | None) -> None:
        self._reply = self._making = None
        self._last = reply
        status = "completed" if error is None else "failed"
        if error is not None:
            self._failed()
        code = "" if error is None else f"{error.vendor}_{error.code or 'failed'}"
        self.event(ev.ResponseDone(reply.response_id, status, dict(reply.usage), code))
        if self._result_due and self._turn is None and self._waiting_ms is None:
            self._want(None)
        self._next()

    def _stop_reply(self) -> None:
        """Nobody wants it any more."""
        reply, making = self._reply, self._making
        if reply is None:
            return
        reply.hold()
        self._reply = self._making = None
        self._last = reply
        if making is not None:
            making.cancel()
        self.event(ev.ResponseDone(reply.response_id, "cancelled", dict(reply.usage)))

    def _suspect_if_stuck(self) -> None:
        """An answer is given up before any of the three has said that it failed."""
        if self._reply is not None and self._reply.silent_seconds >= STUCK_SECONDS:
            self._failed()

    # ------------------------------------------------------------------------- the caller

    def hear(self, payload: str) -> None:
        if self._over:
            return
        try:
            mulaw = a2b_base64(payload)
        except ValueError:
            return  # no base64: nothing to hear
        frames, self._held = whole_frames(self._held, mulaw)
        for frame in frames:
            self._frame(frame)

    def _frame(self, frame: bytes) -> None:
        self._frames += 1
        self._before.append(frame)
        if self._turn is not None and len(self._turn) < _LONGEST_TURN:
            self._turn += frame
        verdict = self._taking.hear(frame)
        if verdict is not None:
            self._verdicts[verdict]()

    def _began(self) -> None:
        goes_on = self._waiting_ms is not None or self._frames - self._earlier_at < _SOON_FRAMES
        if self._waiting_ms is not None:  # its words will come with the rest
            self.event(ev.CallerSaid(self.new_id("caller"), ""))
        self._turn = bytearray(self._earlier if goes_on else b"") + b"".join(self._before)
        self._earlier = b""
        self._cancel_hearing()
        self._turn_number += 1
        self._told_stop = False
        self._waiting_ms = self._words = None
        self._silence_agent()

    def _silence_agent(self) -> None:
        """The caller speaks: hold the answer, if there is one, and see what it becomes."""
        reply, making = self._reply, self._making
        self._cut = reply or self._last
        sent = self._cut.sent if self._cut else 0
        if reply is not None:
            reply.hold()
        self._cut_notes.clear()
        self._being_cut = True
        self.event(ev.CallerSpeechStarted())
        self._being_cut = False
        self._cut_audible = self._cut is not None and self._cut.sent < sent
        if reply is None:
            if not self._cut_audible:
                self._cut = None
            return
        self._reply = None
        self._last = reply
        self._making = making
        self.event(ev.ResponseDone(reply.response_id, "cancelled", dict(reply.usage)))

    def _paused(self) -> None:
        assert self._turn is not None
        self._words = None
        self._turn_number += 1
        murmur = self._taking.is_murmur and self._may_go_on()
        self._transcribe(bytes(self._turn), self._taking.spoken_ms, murmur=murmur)
        if murmur:
            self._taking.finish()
            self._earlier, self._earlier_at = bytes(self._turn), self._frames
            self._turn = None
            self._go_on()

    def _may_go_on(self) -> bool:
        """Could what the caller's voice has cut be gone on with? Not what asked for functions, nor
        a goodbye, nor the very last words of an answer: a murmur then is a word of its own."""
        cut = self._cut
        if cut is None or cut.called or (cut.ours and cut is not self._first):
            return False
        return not cut.made or cut.unheard_ms > _NEARLY_OVER_MS

    def _go_on(self) -> None:
        """It was a murmur: the agent's answer goes on."""
        reply, self._cut = self._cut, None
        assert reply is not None
        self._memory.forget(self._cut_notes)
        self._stop_told()
        self.event(ev.CallerSaid(self.new_id("caller"), ""))
        reply.step_back()
        if reply.made:
            self._making = None
        self._reply = reply
        reply.open()
        if reply.made:
            self._finished(reply, None)

    def _resumed(self) -> None:
        self._turn_number += 1
        self._words = None
        self._cancel_hearing()
        self._drop_speculation()
        if self._told_stop:
            self._told_stop = False
            self.event(ev.CallerSaid(self.new_id("caller"), ""))
            self.event(ev.CallerSpeechStarted())

    def _quiet(self) -> None:
        self._stop_told()

    def _stop_told(self) -> None:
        if not self._told_stop:
            self._told_stop = True
            self.event(ev.CallerSpeechStopped())

    def _ended(self) -> None:
        turn, self._turn = self._turn, None
        self._stop_told()
        self._earlier = bytes(turn or b"")
        self._waiting_ms = self._taking.spoken_ms
        if self._words is not None:
            self._take_turn(self._words)
        elif self._hearing is None and turn is not None:
            self._transcribe(bytes(turn), self._waiting_ms, murmur=False)

    # ----------------------------------------------------------------- what the caller says

    def _transcribe(self, mulaw: bytes, spoken_ms: int, *, murmur: bool) -> None:
        self._cancel_hearing()
        number = self._turn_number
        hearing = partial(self._hear, mulaw, spoken_ms, number, murmur)
        self._hearing = self._start(hearing, "transcription")

    async def _hear(self, mulaw: bytes, spoken_ms: int, number: int, murmur: bool) -> None:
        try:
            words = clean(await self._understand(mulaw), spoken_ms)
        except ProviderError as error:
            self._unheard(error, number)
            return
        if murmur:
            self._murmured(words, number)
        elif number == self._turn_number:
            self._hearing = None
            self._words = words
            self._understood(words, spoken_ms)

    async def _understand(self, mulaw: bytes) -> str:
        """Transcribe; a refusal that comes at once may have been bad luck."""
        began = self._loop.time()
        try:
            async with asyncio.timeout(STT_SECONDS):
                try:
                    return await self._models.stt.transcribe(pcm(mulaw), RATE, self._spec.language)
                except ProviderError as error:
                    if not error.retryable or self._loop.time() - began > 1.0:
                        raise
                return await self._models.stt.transcribe(pcm(mulaw), RATE, self._spec.language)
        except TimeoutError as error:
            raise ProviderError(
                "stt", "no words in time", retryable=True, code="timeout"
            ) from error

    def _unheard(self, error: ProviderError, number: int) -> None:
        log.warning("cascade.deaf", vendor=error.vendor, reason=error.reason)
        self._hearing = None
        if number != self._turn_number:
            return
        if self._waiting_ms is not None:
            self._lose(f"stt_{error.code or 'failed'}", error.reason)

    def _murmured(self, words: str, number: int) -> None:
        """The agent has gone on meanwhile; if it was more than a murmur, it was wrong to."""
        self._hearing = None if number == self._turn_number else self._hearing
        if not words or is_back_channel(words) or self._turn is not None:
            return
        self._silence_agent()
        self._told_stop = False
        self._stop_told()
        self._take_turn(words)

    def _understood(self, words: str, spoken_ms: int) -> None:
        if self._waiting_ms is not None:
            self._take_turn(words)
            return
        self._taking.understood(words)
        murmur = spoken_ms < _MURMUR_BY_WORDS_MS and is_back_channel(words)
        if words and not murmur and completeness(words) is not Completeness.UNFINISHED:
            self._speculate(words)

    def _take_turn(self, words: str) -> None:
        """The caller's turn is over, and this is what was said."""
        spoken, self._waiting_ms = self._waiting_ms or 0, None
        self._earlier = b""
        by_words = spoken < _MURMUR_BY_WORDS_MS and (not words or is_back_channel(words))
        if by_words and self._may_go_on():
            self._drop_speculation()
            self._go_on()
            return
        self.event(ev.CallerSaid(self.new_id("caller"), words))
        if words:
            self._wordless = 0
            self._drop_cut()
            self._memory.caller(words)
            self._reply_to(words)
        elif self._may_go_on():
            self._go_on()
        else:
            self._nothing_said(spoken)

    def _nothing_said(self, spoken_ms: int) -> None:
        """Noise, or words that nobody could make out."""
        self._drop_cut()
        asks = spoken_ms >= _WORTH_ASKING_MS
        self._wordless += asks
        if self._wordless >= _DEAF_AFTER:
            self._lose("stt_empty", "no words, whatever is said")
        elif self._result_due:
            self._want(None)
        elif asks:
            self._want(text("fr" if self._spec.language == "fr" else "en", "repeat"))
        else:  # there is nothing to answer
            response = self.new_id("resp")
            self.event(ev.ResponseStarted(response))
            self.event(ev.ResponseDone(response, "completed"))

    def _reply_to(self, words: str) -> None:
        maybe, self._maybe = self._maybe, None
        self._result_due = False
        self._queue.clear()
        if maybe is not None and maybe[0] == words:
            self._begin(maybe[1], maybe[2])
            return
        if maybe is not None:
            maybe[2].cancel()
        self._want(None)

    def _speculate(self, words: str) -> None:
        """Make the answer while it isn't sure that the caller has finished."""
        self._drop_speculation()
        if self._cut is not None and not self._cut.made and self._making is not None:
            return  # one is held already
        reply = self._model_reply(words)
        self._maybe = words, reply, self._start(partial(self._make, reply), "speculation")

    def _drop_speculation(self, reply: Reply | None = None) -> None:
        if self._maybe is not None and reply in (None, self._maybe[1]):
            self._maybe[2].cancel()
            self._maybe = None

    def _drop_cut(self) -> None:
        """What the caller's voice has cut isn't wanted any more."""
        if self._cut is not None and self._making is not None and self._reply is None:
            self._making.cancel()
            self._making = None
        self._cut = None

    def _cancel_hearing(self) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
            self._hearing = None
