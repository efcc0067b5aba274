"""Somebody who telephones: speaks recorded French in 20 ms frames, listens, follows a script."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from sandbox.bank import bank
from sandbox.leg import Leg
from sandbox.recogniser import Recording, recognise_ulaw
from sandbox.report import CallLog, Utterance
from sandbox.scenario import Step
from sandbox.speech import (
    FRAME_BYTES,
    FRAME_MS,
    Ear,
    EarEvent,
    is_speech,
    quiet,
    read_stamp,
    stamp,
)

#: "The agent has finished": it has been silent for this long after having spoken.
DONE_MS = 400
#: What is shorter than this is no answer: the beginning of a word that was taken back.
_WORD_MS = 300
#: Somebody who waits for longer than this for what they wait for hangs up.
PATIENCE_MS = 20_000
_KEY_FRAMES = 15  # between two keys
_SILENCE_FRAME = b"\xff" * FRAME_BYTES

#: How the labels of the server's own sentences begin.
_LINE = "line:"

Listener = Callable[[str, bytes], None]


class Voices(Protocol):
    """What the emulated model says, by the tag its sessions stamp their audio with."""

    def follow(self, tag: int, listener: Listener) -> None:
        """Tell the listener (text, audio) of what it has said and will say."""
        ...

    def speaks_to(self, tag: int, call_tag: int) -> bool:
        """Whether this is the voice of a session that hears this caller."""
        ...

    def sentences(self) -> Collection[Recording]:
        """What the cascade's voice has said lately: its audio bears no stamp, and arrives
        resampled."""
        ...


class ScriptedCaller:
    """Holds the phone of one call. Driven by the line's ticks alone; never waits.

    Its frames carry `tag` and a running number from the first one on. `voices` None: the agent's
    words aren't known (a real model), the caller goes by the sound of a voice.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        tag: int,
        log: CallLog,
        voices: Voices | None,
        done_ms: int = DONE_MS,
        patience_ms: int = PATIENCE_MS,
    ) -> None:
        self._script = _Script(steps, done_ms, patience_ms)
        self._tag = tag
        self._log = log
        self._hearing = _Hearing(log, voices, tag)
        self._repeats_after: tuple[str, ...] = ()
        self._last_said = ""
        self._phone: Leg | None = None
        self._sequence = 0
        self._frames: list[bytes] = []  # what is being said, next frame last
        self._saying: Utterance | None = None
        self._keys = ""
        self._key_pause = 0
        log.ear_position = self._hearing.position

    def get_to_know(self, lines: Mapping[str, bytes], repeats_after: Sequence[str]) -> None:
        """`lines`: sentences of the server's own (text → µ-law), heard like others, but no answer
        to anything. After a sentence with one of `repeats_after` in it they repeat themselves."""
        self._hearing.get_to_know_lines(lines)
        self._repeats_after = tuple(each.casefold() for each in repeats_after)

    # ------------------------------------------------------------------ the line

    def answered(self, phone: Leg) -> None:
        """Somebody has taken the call."""
        self._phone = phone

    def speak(self) -> bytes:
        """The next frame: of an utterance, or of the quiet in between."""
        if not self._frames:
            self._act()
        frame = self._frames.pop() if self._frames else quiet(self._tag, self._sequence)
        self._sequence += 1
        if self._saying is not None and not self._frames:
            self._finish(self._saying)
        return frame

    def hear(self, frame: bytes | None) -> None:
        """What the line gives."""
        speech = frame is not None and is_speech(frame)
        self._hearing.feed(frame, speech=speech)
        if self._hearing.was_only_a_line():
            self._script.disregard()
        answers = not self._hearing.is_line
        self._script.listen(agent=speech, caller=self._saying is not None, answers=answers)

    def expect(self, label: str, text: str, audio: bytes) -> None:
        """The carrier will say this."""
        self._hearing.expect(label, text, audio)

    def connected(self) -> None:
        """A stream begins."""
        self._hearing.forget_voice()

    def cleared(self) -> None:
        """The agent was interrupted."""
        self._hearing.cleared()

    def hung_up(self) -> None:
        """The line is dead."""
        self._frames.clear()
        if self._saying is not None:
            self._finish(self._saying)
        self._hearing.end()

    # ------------------------------------------------------------------ the script

    def _act(self) -> None:
        """Whatever is due now."""
        if self._keys:
            self._press_next()
            return
        if self._is_asked_again():
            self._say(self._last_said)
            return
        step = self._script.due()
        if step is None:
            if self._script.out_of_patience and self._phone is not None:
                self._log.give_up(self._script.waiting_for)
                self._phone.hang_up()
            return
        if step.say:
            self._say(step.say)
        elif step.press:
            self._keys, self._key_pause = step.press, 0
            self._press_next()
        elif step.hang_up and self._phone is not None:
            self._phone.hang_up()

    def _is_asked_again(self) -> bool:
        """Who is asked to repeat something does, once they have been asked to the end."""
        asked = self._hearing.last_said.casefold()
        if not (self._last_said and self._script.agent_is_done) or not asked:
            return False
        self._hearing.last_said = ""
        return any(each in asked for each in self._repeats_after)

    def _say(self, clip_id: str) -> None:
        self._last_said = clip_id
        self._hearing.last_said = ""
        clip = bank()[clip_id]
        audio = stamp(clip.audio, self._tag, self._sequence)
        self._frames = [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]
        self._frames.reverse()
        over_agent = self._script.agent_is_speaking
        self._saying = self._log.caller_started(clip_id, clip.text, over_agent=over_agent)
        if self._phone is not None:
            self._phone.speech_began()

    def _finish(self, said: Utterance) -> None:
        self._saying = None
        self._log.caller_finished(said)
        self._script.acted()
        if self._phone is not None:
            self._phone.speech_ended(said.text)

    def _press_next(self) -> None:
        self._key_pause -= 1
        if self._key_pause > 0:
            return
        digit, self._keys = self._keys[0], self._keys[1:]
        self._key_pause = _KEY_FRAMES
        if not self._keys:
            self._script.acted()
        if self._phone is not None:
            self._phone.press(digit)


class _Script:
    """Which step is due, from who has been speaking. Counts frames, so it needs no clock. Pure."""

    def __init__(self, steps: Sequence[Step], done_ms: int, patience_ms: int) -> None:
        self._steps = [*steps, Step(wait_end=True)]
        self._done_ms = done_ms
        self._patience_ms = patience_ms
        self._at = 0
        self._agent_ms = 0  # the agent's speech since the last deed
        self._run_ms = 0  # … without a pause that would end it
        self._agent_silent_ms = done_ms
        self._nobody_ms = 0
        self._waited_ms = 0
        self._hold_ms = 0  # of a silence that is kept on purpose

    @property
    def agent_is_speaking(self) -> bool:
        """Whether what the agent says hasn't come to its end (a breath is none)."""
        return self._agent_silent_ms < self._done_ms / 2

    @property
    def agent_is_done(self) -> bool:
        """Nobody has spoken for as long as it takes to be sure of that."""
        return self._nobody_ms >= self._done_ms

    @property
    def waiting_for(self) -> str:
        """What the present step waits for."""
        step = self._steps[self._at]
        return f"step {self._at + 1}: {'the end' if step.wait_end else step.wait}"

    @property
    def out_of_patience(self) -> bool:
        """Whether nobody would wait any longer. The end is waited for as long as the call lasts."""
        return self._waited_ms > self._patience_ms and not self._steps[self._at].wait_end

    def listen(self, *, agent: bool, caller: bool, answers: bool = True) -> None:
        """20 ms in which these spoke; `answers`: what the agent said may be an answer."""
        if self._hold_ms > 0:
            self._hold_ms -= FRAME_MS
        else:
            self._waited_ms += FRAME_MS
        self._nobody_ms = 0 if agent or caller else self._nobody_ms + FRAME_MS
        if agent:
            if self._agent_silent_ms >= self._done_ms:
                self._run_ms = 0
            self._agent_silent_ms = 0
            self._agent_ms += FRAME_MS if answers else 0
            self._run_ms += FRAME_MS
        else:
            self._agent_silent_ms += FRAME_MS

    def due(self) -> Step | None:
        """The step to be done now; it then counts as begun. Silence is kept here."""
        step = self._steps[self._at]
        if self._hold_ms > 0 or step.wait_end or not self._reached(step):
            return None
        self._at += 1
        if step.stay_silent_ms:
            self._hold_ms = step.stay_silent_ms
            self.acted()
            return None
        return step

    def disregard(self) -> None:
        """What the agent has said since the last deed was no answer."""
        self._agent_ms = 0

    def acted(self) -> None:
        """A deed is done: what is waited for next starts from here."""
        self._agent_ms = self._run_ms = self._waited_ms = self._nobody_ms = 0

    def _reached(self, step: Step) -> bool:
        if step.wait == "agent_done":
            return self._agent_ms >= _WORD_MS and self._agent_silent_ms >= self._done_ms
        if step.wait == "agent_speaking":
            return self._agent_silent_ms == 0 and self._run_ms >= max(step.over_ms, FRAME_MS)
        if step.wait == "silence":
            return self._nobody_ms >= max(step.over_ms, 2 * self._done_ms)
        return True


class _Hearing:
    """What the caller makes of the agent's voice, told to the log."""

    def __init__(self, log: CallLog, voices: Voices | None, tag: int) -> None:
        self._log = log
        self._voices = voices
        self._tag = tag
        self._lines: dict[str, bytes] = {}
        self._texts: dict[str, str] = {}
        self._ear = self._new_ear()
        self._is_line = self._was_line = False
        #: The last thing that was said, once it has come to its end.
        self.last_said = ""
        self._known_tag: int | None = None
        self._current: Utterance | None = None
        self._frame_at = 0.0
        self._voice_ms = 0  # without an ear: how long the voice has been heard
        self._silent_ms = 0
        self._strange: bytearray | None = None  # a voice that the ear doesn't know, so far

    def feed(self, frame: bytes | None, *, speech: bool) -> None:
        """20 ms."""
        if speech:
            self._log.agent_sounded()
        if self._voices is None:
            self._by_sound(speech=speech)
            return
        if self._is_strange(frame, speech=speech, voices=self._voices):
            self._by_likeness(frame or _SILENCE_FRAME, self._voices, speech=speech)
            return
        if frame is None and self._ear.hearing is None:
            return
        self._frame_at = self._log.clock()
        if frame is not None:
            self._get_to_know(frame, self._voices)
        for event in self._ear.feed(_SILENCE_FRAME if frame is None else frame):
            self._note(event)

    def expect(self, label: str, text: str, audio: bytes) -> None:
        """This may be heard."""
        self._texts[label] = text
        self._ear.expect(label, audio)

    def position(self) -> tuple[str, float] | None:
        """What is being heard, and how many ms of it have really been played by now."""
        if self._voices is None or self._strange is not None:
            return ("", float(self._voice_ms)) if self._current else None
        hearing = self._ear.hearing
        if hearing is None:
            return None
        label, frames, _ = hearing
        into_frame = min(FRAME_MS, (self._log.clock() - self._frame_at) * 1000)
        return label, (frames - 1) * FRAME_MS + into_frame

    def forget_voice(self) -> None:
        """Somebody else may speak now: the next stamp says who."""
        self._known_tag = None
        self._keep_defects()
        self._ear = self._new_ear()

    @property
    def is_line(self) -> bool:
        """What is heard just now, or was heard last, is a sentence of the server's own."""
        return self._is_line

    def was_only_a_line(self) -> bool:
        """Whether what has just been recognised by its likeness was a sentence of the server's own:
        told once."""
        was, self._was_line = self._was_line, False
        return was

    def get_to_know_lines(self, lines: Mapping[str, bytes]) -> None:
        """These sentences may be heard at any time."""
        self._lines = {f"{_LINE}{text}": audio for text, audio in lines.items()}
        for text, audio in lines.items():
            self.expect(f"{_LINE}{text}", text, audio)

    def _new_ear(self) -> Ear:
        ear = Ear()
        for label, audio in self._lines.items():
            ear.expect(label, audio)
        return ear

    def cleared(self) -> None:
        """The rest of what was being said won't come."""
        if self._voices is not None:
            for event in self._ear.cleared():
                self._note(event)

    def end(self) -> None:
        """Nothing more will come."""
        if self._voices is not None and self._strange is not None:
            self._recognise(self._voices)
        if self._voices is None:
            self._close(self._voice_ms, cut=False)
            return
        for event in self._ear.flush():
            self._note(event)
        self._keep_defects()
        self._ear = self._new_ear()

    def _get_to_know(self, frame: bytes, voices: Voices) -> None:
        """The first voice on a stream is the agent's; another one may take over from it."""
        mark = read_stamp(frame)
        if mark is None or mark.tag == self._known_tag:
            return
        if self._known_tag is not None:
            if not voices.speaks_to(mark.tag, self._tag):
                return  # crossed: the ear will say so
            for event in self._ear.flush():
                self._note(event)
            self._keep_defects()
            self._ear = self._new_ear()
        self._known_tag = mark.tag
        voices.follow(mark.tag, lambda text, audio: self.expect(text, text, audio))

    def _note(self, event: EarEvent) -> None:
        if event.kind == "started":
            who = "carrier" if event.label.startswith("say:") else "agent"
            text = self._texts.get(event.label, event.label)
            self._is_line = event.label.startswith(_LINE)
            self._current = self._log.agent_started(who, event.label, text, line=self._is_line)
        elif event.kind in ("finished", "cut"):
            self._close(event.frames_heard * FRAME_MS, cut=event.kind == "cut")
        else:
            self._log.emit("ear", defect=event.kind, label=event.label, count=event.count)

    def _by_sound(self, *, speech: bool) -> None:
        """A voice whose words aren't known: an utterance is sound without a long pause in it."""
        if speech:
            if self._current is None:
                self._current, self._voice_ms = self._log.agent_started("agent", "", ""), 0
            self._voice_ms += self._silent_ms + FRAME_MS
            self._silent_ms = 0
        elif self._current is not None:
            self._silent_ms += FRAME_MS
            if self._silent_ms >= DONE_MS:
                self._close(self._voice_ms, cut=False)
                self._silent_ms = 0

    def _is_strange(self, frame: bytes | None, *, speech: bool, voices: Voices) -> bool:
        """Whether this is the cascade's voice, or the pause after it."""
        known = frame is not None and (read_stamp(frame) is not None or self._ear.knows(frame))
        if self._strange is not None:
            if known and speech:
                self._recognise(voices)
            return self._strange is not None
        return bool(speech and not known and voices.sentences())

    def _by_likeness(self, frame: bytes, voices: Voices, *, speech: bool) -> None:
        """A voice whose sentences are known but not to the bit: by sound, then compared."""
        if self._strange is None:
            self._strange = bytearray()
            for event in self._ear.flush():  # it breaks off a voice that the ear knows
                self._note(event)
            self._is_line = False  # until it is recognised as one
        self._strange += frame
        self._by_sound(speech=speech)
        if self._current is None:
            self._strange = None
        elif self._silent_ms >= DONE_MS - FRAME_MS:
            self._recognise(voices)

    def _recognise(self, voices: Voices) -> None:
        """The utterance is over: what was it?"""
        audio, self._strange = bytes(self._strange or b""), None
        current = self._current
        if current is None:
            return
        found = recognise_ulaw(audio, voices.sentences())
        words = [each.words() for each in found]
        current.text = current.label = " ".join(words)
        answer = [each.heard for each in found if f"{_LINE}{each.label}" not in self._lines]
        self._was_line = bool(found) and sum(answer) < _WORD_MS
        self._close(self._voice_ms, cut=bool(found) and not found[-1].complete)
        self._silent_ms = 0

    def _close(self, heard_ms: float, *, cut: bool) -> None:
        if self._current is not None:
            self.last_said = self._current.text
            self._log.agent_finished(self._current, heard_ms, cut=cut)
            self._current = None

    def _keep_defects(self) -> None:
        counts = self._log.report.ear_defects
        defects = self._ear.defects
        for name in ("lost", "late", "repeated", "reordered", "crossed", "unknown"):
            counts[name] = counts.get(name, 0) + getattr(defects, name)
