"""What a Vapi call says and hears, as events; what we want of it, as its JSON orders. Pure.

Vapi does the turn-taking: it answers by itself, stops when the caller interrupts, and runs the
assistant's functions at our webhook. Its websocket carries audio without items, ends or marks, and
silence as well as speech (vapi-openai-pinecone.md §1.10); text frames are its client messages
(`speech-update`, `transcript`, …). Utterances are made of both: a message or a loud frame begins
one, a message and quiet end it, and either alone will do. Silence is never passed on as speech.

Orders go over the same socket, as Vapi's own web client sends them: in order with the audio, and
without another connection.
"""

from binascii import b2a_base64
from collections import deque
from dataclasses import dataclass
from typing import Final

from providers.vapi.messages import Message, add_message, read, say
from voice import events as ev
from voice.audio import BYTES_PER_MS, FRAME_BYTES, loudness
from voice.ports import AgentSpec

#: Louder than this (RMS of 16-bit samples, -50 dB) is a voice: synthesised speech has no noise.
LOUD: Final = 100
#: Of the quiet before a voice so much goes with it: the softest beginnings of words.
PREROLL_FRAMES: Final = 2
#: So much quiet ends an utterance: when Vapi has said that it ended, …
STOPPED_MS: Final = 100
#: … when it says nothing of the kind, …
QUIET_MS: Final = 700
#: … and when it said that it speaks. Longer than a pause between sentences.
SPEAKING_MS: Final = 1500
#: After an interruption what comes is dropped until it is quiet for so long, or speech begins anew.
CUT_MS: Final = 200
#: Vapi said that it stopped, and no sound has come: none will.
SOUNDLESS_SECONDS: Final = 0.5
#: French at a telephone's pace: what of a text has been spoken, where no transcript says it.
CHARACTERS_PER_SECOND: Final = 16
#: How often that is told.
TEXT_EVERY_MS: Final = 400
#: A socket that carries silence carries something all the time: without it for so long it is dead.
#: From a fault to our own line the caller may wait 2.5 s (the issue's rule).
STALL_SECONDS: Final = 1.2
#: … and one that carries only speech, when it breaks off in the middle of it.
GAP_SECONDS: Final = 1.8
#: An agent that greets, and of which nothing has come at all.
MUTE_SECONDS: Final = 2.5
#: Time between two checks that count: after a stall of our own, what has come is read first.
CHECK_SECONDS: Final = 0.1
#: So many frames of silence in a row between utterances, and we know that it sends silence.
SENDS_SILENCE: Final = 10
#: The same transcript within so many seconds is the same message come twice.
TWICE_SECONDS: Final = 0.3
#: Texts that were ordered and haven't been spoken yet.
MAX_SAYING: Final = 16
#: What a text message may say that becomes text of ours.
MAX_TEXT: Final = 10_000

#: `endedReason`s (§1.8) of a call that the assistant has ended on purpose.
_BY_THE_ASSISTANT: Final = ("assistant-ended-call", "assistant-said-end-call-phrase")

#: The model isn't asked in the caller's language: it is told to keep to it.
_ANSWER: Final = "Answer the caller now, in the language of the conversation."


@dataclass(frozen=True, slots=True)
class Audio:
    """Base64 µ-law for the caller."""

    item_id: str
    payload: str


Output = Audio | ev.Event


class VapiProtocol:
    """One call. Times are monotonic seconds."""

    def __init__(self, spec: AgentSpec, call_id: str) -> None:
        self._spec = spec
        self._call_id = call_id
        self._items = 0
        self._item: str | None = None  # a response is under way
        self._sounding = False  # and heard
        self._speaks: bool | None = None  # by its own word; None: it never said
        self._stopped_at = 0.0
        self._quiet_ms = 0.0
        self._sent_ms = 0.0
        self._told_ms = 0.0
        self._preroll: deque[bytes] = deque(maxlen=PREROLL_FRAMES)
        self._cut = False
        self._replaced = False  # the next sentence takes the place of what was cut
        self._words = ""  # of this item, as they were given to the voice
        self._voice_input = False
        self._transcript = ""  # of this item, as far as it was spoken
        self._told = ""
        self._last_item: str | None = None
        self._saying: deque[str] = deque(maxlen=MAX_SAYING)
        self._caller_speaks = False
        self._caller_waits = False
        self._hears_updates = False
        self._said = 0
        self._last_said = ("", 0.0)
        self._first_check: float | None = None
        self._last_check = 0.0
        self._last_audio: float | None = None
        self._anything = False
        self._silence = 0
        self._in_vain = 0
        self._note: tuple[str, str] | None = None
        self._ended_at: float | None = None
        self.unknown = 0
        self.malformed = 0

    @property
    def ended(self) -> bool:
        """The assistant has ended the call, and nothing more is to be had from it."""
        return self._ended_at is not None

    # --------------------------------------------------------------------------- orders

    def opening(self) -> list[bytes]:
        """The first orders. An agent that takes over is told what was said. Its instructions are
        the stored assistant's, which name the functions that it has, and have the facts of this
        call by `messages.overrides`; the call's own are another model's."""
        if not self._spec.resumed:
            return []
        return [add_message(role, text) for role, text in self._spec.history]

    def say(self, text: str) -> list[bytes]:
        """Speak this very sentence."""
        self._saying.append(text)
        replaces, self._replaced = self._replaced, False
        return [*self.settle(), say(text, replaces=replaces)]

    def respond(self) -> list[bytes]:
        """Answer now: there is no order for that but to a message, which is the note that came
        with it, if any."""
        note, self._note = self._note, None
        role, text = note or ("system", _ANSWER)
        return [add_message(role, text, respond=True)]

    def tell(self, text: str, role: str) -> list[bytes]:
        """Add a message. It is held back for a moment: `respond` may follow."""
        before = self.settle()
        self._note = (role, text)
        return before

    def settle(self) -> list[bytes]:
        """What was held back."""
        note, self._note = self._note, None
        return [] if note is None else [add_message(*note)]

    def interrupt(self, *, cancel: bool) -> list[Output]:
        """The caller hears no more of this. Vapi stops by itself when the caller interrupts it; for
        the rest (`cancel`) there is no order but to say something else instead. What still comes is
        dropped."""
        self._cut = self._sounding or self._speaks is True
        self._replaced = cancel and self._cut
        self._saying.clear()
        return self._close("cancelled")

    # ---------------------------------------------------------------------------- audio

    def audio(self, frame: bytes, now: float) -> list[Output]:
        """Audio from Vapi: raw µ-law of any length. The hot path."""
        self._last_audio = now
        self._anything = True
        if len(frame) <= 2 * FRAME_BYTES:
            return self._frame(frame, now)
        outputs: list[Output] = []
        for at in range(0, len(frame), FRAME_BYTES):
            outputs += self._frame(frame[at : at + FRAME_BYTES], now)
        return outputs

    def _frame(self, frame: bytes, now: float) -> list[Output]:
        if loudness(frame) > LOUD:
            return self._loud(frame)
        ms = len(frame) / BYTES_PER_MS
        self._quiet_ms += ms
        if self._speaks is False and self._silence < SENDS_SILENCE:
            self._silence += 1
        if self._sounding:
            outputs = self._pass_on(frame)
            if self._quiet_ms >= self._patience():
                outputs += self._close("completed")
            return outputs
        if self._cut and self._quiet_ms >= CUT_MS:
            self._cut = False
        if self._speaks is None and self._silence < SENDS_SILENCE:
            self._silence += 1
        self._preroll.append(frame)
        return []

    def _loud(self, frame: bytes) -> list[Output]:
        self._quiet_ms = 0.0
        if self._cut:
            return []
        if self._sounding:
            return self._pass_on(frame)
        outputs = self._open()
        self._sounding = True
        if self._silence < SENDS_SILENCE:
            self._silence = 0
        for each in self._preroll:
            outputs += self._pass_on(each)
        self._preroll.clear()
        return outputs + self._pass_on(frame)

    def _pass_on(self, frame: bytes) -> list[Output]:
        assert self._item is not None, "an utterance is open while it sounds"
        self._sent_ms += len(frame) / BYTES_PER_MS
        audio = Audio(self._item, b2a_base64(frame, newline=False).decode("ascii"))
        if self._sent_ms - self._told_ms < TEXT_EVERY_MS:
            return [audio]
        return [audio, *self._spoken_so_far()]

    def _patience(self) -> float:
        if self._speaks is None:
            return QUIET_MS
        return SPEAKING_MS if self._speaks else STOPPED_MS

    # ------------------------------------------------------------------------ utterances

    def _open(self) -> list[Output]:
        if self._item is not None:
            return []
        self._items += 1
        self._item = self._last_item = f"vapi-{self._items}"
        self._sent_ms = self._told_ms = 0.0
        self._transcript = self._told = ""
        outputs: list[Output] = []
        if self._caller_speaks:  # by starting to answer it says that they have finished
            outputs.append(self._caller_stops())
        return [*outputs, ev.ResponseStarted(self._item)]

    def _close(self, status: str) -> list[Output]:
        item = self._item
        if item is None:
            return []
        outputs = self._spoken(whole=status == "completed")
        self._item = None
        self._sounding = False
        self._quiet_ms = 0.0
        self._words, self._voice_input = "", False
        outputs.append(ev.ResponseDone(item, status))
        return outputs + self._caller_starts() if self._caller_waits else outputs

    def _spoken_so_far(self) -> list[Output]:
        self._told_ms = self._sent_ms
        return self._spoken(whole=False)

    def _spoken(self, *, whole: bool) -> list[Output]:
        """The words of this item: those of the transcript if it has come, else those that the
        voice was given, as far as it may have come with them."""
        assert self._item is not None, "only of an open one"
        if not self._words and self._saying and self._sounding:
            self._words = self._saying.popleft()
        text = self._transcript or (self._words if whole and self._sent_ms else self._so_far())
        if not text or text == self._told:
            return []
        self._told = text
        return [ev.AgentText(self._item, text, final=True)]

    def _so_far(self) -> str:
        """Whole words, by the time that they take."""
        share = int(self._sent_ms / 1000 * CHARACTERS_PER_SECOND)
        if share >= len(self._words):
            return self._words
        return self._words[:share].rpartition(" ")[0]

    # -------------------------------------------------------------------------- messages

    def message(self, text: bytes, now: float) -> list[Output]:
        """A text frame. What isn't known is counted and passed over."""
        self._anything = True
        message = read(text)
        if message is None:
            self.malformed += 1
            return []
        kind = message.type.partition("[")[0]  # `transcript[transcriptType="final"]` (§1.8)
        match kind:
            case "speech-update":
                return self._speech_update(message, now)
            case "transcript":
                return self._transcribed(message, now)
            case "user-interrupted":
                return self._caller_starts(interrupts=True)
            case "model-output" | "voice-input":
                return self._worded(message)
            case "status-update":
                return self._status(message, now)
            case "assistant.started" | "hang" | "conversation-update":
                return []
            case _:
                self.unknown += 1
                return []

    def _speech_update(self, message: Message, now: float) -> list[Output]:
        started = message.status == "started"
        if message.role == "user":
            self._hears_updates = True
            if started:
                return self._caller_starts()
            self._caller_waits = False
            return [self._caller_stops()] if self._caller_speaks else []
        self._speaks = started
        if started:
            self._cut = False
            return self._open()
        self._stopped_at = now
        return []

    def _caller_starts(self, *, interrupts: bool = False) -> list[Output]:
        """While it speaks, Vapi decides by the assistant's own plan what interrupts it: a "oui" in
        passing doesn't, nor does anything in the first message. Who speaks into the rest, and goes
        on, has begun to speak when it is over."""
        if self._caller_speaks:
            return []
        if self._sounding and not interrupts:
            self._caller_waits = True
            return []
        self._caller_waits = False
        self._caller_speaks = True
        return [ev.CallerSpeechStarted()]

    def _caller_stops(self) -> ev.Event:
        self._caller_speaks = False
        return ev.CallerSpeechStopped()

    def _transcribed(self, message: Message, now: float) -> list[Output]:
        text, final = message.transcript.strip()[:MAX_TEXT], message.transcript_type != "partial"
        if not text:
            return []
        if message.role != "user":
            return self._agent_transcribed(text) if final else []
        outputs: list[Output] = []
        if not self._hears_updates and not self._caller_speaks and not final:
            return self._caller_starts()
        if not final:
            return []
        before, at = self._last_said
        self._last_said = (text, now)
        if text == before and now - at < TWICE_SECONDS:
            return []
        if not self._hears_updates:
            outputs += self._caller_starts()
            self._caller_waits = False
            if self._caller_speaks:
                outputs.append(self._caller_stops())
        self._said += 1
        return [*outputs, ev.CallerSaid(f"vapi-caller-{self._said}", text)]

    def _agent_transcribed(self, text: str) -> list[Output]:
        """Of what is being said, or of what was said last: it comes behind the sound."""
        if self._last_item is None or text in self._transcript:
            return []
        self._transcript = self._told = f"{self._transcript} {text}".strip()
        return [ev.AgentText(self._last_item, self._transcript, final=True)]

    def _worded(self, message: Message) -> list[Output]:
        """Words for the voice: a sign of life, and what will be heard."""
        given = message.input if message.type == "voice-input" else message.output
        if not isinstance(given, str) or not given.strip():
            return []  # a function's call, for instance
        if message.type == "voice-input":
            if not self._voice_input:
                self._words, self._voice_input = "", True
            self._words = f"{self._words} {given.strip()}".strip()[:MAX_TEXT]
        elif not self._voice_input:
            self._words = (self._words + given)[:MAX_TEXT]
        if self._saying and self._saying[0] == given:
            self._saying.popleft()
        return [] if self._cut or self._caller_speaks else self._open()

    def _status(self, message: Message, now: float) -> list[Output]:
        if message.status != "ended":
            return []
        reason = message.ended_reason or "ended"
        if not reason.startswith(_BY_THE_ASSISTANT):
            return [ev.AgentGone(reason[:80])]
        if self._ended_at is not None:
            return []
        # Its own goodbye is on the line. The call comes to its end as it does when any other agent
        # calls this function, whose result nobody waits for.
        self._ended_at = now
        called = ev.FunctionCalled(f"{self._call_id}-end", "end_call", "{}")
        return [called, *self._close("completed")]

    # ------------------------------------------------------------------------------ time

    def check(self, now: float) -> list[Output]:
        """Time passes while the caller's audio goes in. Ends what nothing else ends, and says when
        the other side is dead."""
        if self._first_check is None:
            self._first_check = self._last_check = now
            return []
        if now - self._last_check < CHECK_SECONDS:
            return []
        self._last_check = now
        if self._ended_at is not None:
            return []
        outputs = self._overdue(now)
        self._in_vain = self._in_vain + 1 if self._dead(now) else 0
        if self._in_vain >= 2:
            return [*outputs, ev.AgentGone("stalled" if self._anything else "mute")]
        return outputs

    def _overdue(self, now: float) -> list[Output]:
        """An utterance that Vapi has ended, or has given up, without a frame of silence."""
        if self._item is None:
            return []
        gap = now - (self._last_audio or now)
        if self._sounding:
            limit = self._patience() / 1000
            return self._close("completed") if gap >= limit and self._speaks is not True else []
        soundless = self._speaks is False and now - self._stopped_at >= SOUNDLESS_SECONDS
        return self._close("completed") if soundless else []

    def _dead(self, now: float) -> bool:
        if not self._anything:
            assert self._first_check is not None, "checked"
            return not self._spec.resumed and now - self._first_check >= MUTE_SECONDS
        gap = now - self._last_audio if self._last_audio is not None else 0.0
        if self._silence >= SENDS_SILENCE:
            return gap >= STALL_SECONDS
        return gap >= GAP_SECONDS and self._sounding and self._speaks is True
