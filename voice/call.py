"""THE HEART: what happens on a call → what is to be done about it. Never audio, never I/O.

Rules for editors, which must stay true:

1. Every way out of `talking` leads to a stored outcome: `outcome()` always has an answer.
2. Nobody waits for a vendor for ever: whatever we wait for (an answer, its end, the end of what the
   caller says, a goodbye to be heard, a function) has a timer beside it.
3. "Heard" comes only from `AgentHeard` and `AgentCut`: what the model generated was not yet said.
4. A function that has begun is never taken back: an interruption silences the agent, not the deed.
5. Silence is counted only while nobody speaks and nobody is about to: no caller speech, no audio
   on the line, no response being made or asked for, no function running.
6. Nothing is said into the caller's words: what was asked for and hasn't begun is withdrawn.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from domain.outcome import Outcome, strongest
from voice import events as ev

PROMPT, MAXIMUM, GOODBYE = "silence", "maximum", "goodbye"
FILLER, DIGITS, OPENING = "filler", "digits", "opening"
AGENT, TURN = "agent", "turn"

#: A model that fails this often in a row, without a word in between, is given up.
FAILURES_BEFORE_LEAVING = 2

#: A caller who hangs up on one of these words, once answered, leaves informed.
FAREWELLS = ("au revoir", "merci", "bonne journée", "bonne soirée", "goodbye", "bye", "thank")


#: What still counts after the end: a commit, what was heard until then, and the caller's last
#: words, which are written down a second after they were said.
_AFTER_THE_END = (ev.FunctionFinished, ev.AgentCut, ev.CallerSaid)


@dataclass(frozen=True, slots=True)
class Rules:
    """Durations in seconds; origins in docs/settings.md."""

    prompt_after: float = 8.0
    prompts: int = 2
    goodbye_after: float = 25.0
    max_seconds: float = 900.0
    filler_after: float = 1.2
    next_filler_after: float = 5.0
    goodbye_cap: float = 10.0
    digits_pause: float = 1.5
    opening_cap: float = 8.0
    agent_within: float = 10.0  # without a sign of an agent that owes us words
    longest_turn: float = 60.0  # without a pause: that is no speech but noise


@dataclass(frozen=True, slots=True)
class Script:
    """The sentences that are ours and not the model's, in the tenant's language."""

    greeting: str
    disclosure: str  # the part of the greeting that must be heard: an AI speaks
    resume: str
    silence_prompts: tuple[str, ...]
    silence_goodbye: str
    fillers: tuple[str, ...]
    goodbye: str
    maximum_goodbye: str
    transfer_wait: str
    keys_pressed: str  # "{keys}" is replaced
    introduce: str  # a note to the agent whose greeting nobody heard


class Phase(Enum):
    """Where the call stands."""

    OPENING = "opening"
    TALKING = "talking"
    CLOSING = "closing"  # the last words are on their way; then we hang up
    LEAVING = "leaving"  # … then the call is transferred
    OVER = "over"


@dataclass(slots=True)
class _Spoken:
    text: str = ""
    began: float = 0.0


@dataclass(slots=True)
class _Silence:
    began: float | None = None
    prompts: int = 0
    prompting: bool = False


@dataclass(slots=True)
class _Waiting:
    """The caller has finished; the agent's first sound is awaited."""

    since: float | None = None


@dataclass(slots=True)
class _State:
    joined: float | None = None
    ready: bool = False
    resumed: bool = False
    phase: Phase = Phase.OPENING
    caller_speaking: bool = False
    responding: bool = False
    audible: bool = False
    asked: bool = False  # the agent shall speak; the response hasn't begun
    progress: float = 0.0  # when the agent last gave a sign
    sounded: bool = False  # the agent has been on the line at least once
    spoke: bool = False  # the agent said something in the running response
    heard_anything: bool = False
    failures: int = 0
    fillers: int = 0
    digits: str = ""
    closing_because: str = ""
    caller_turns: int = 0
    addressed: bool = False  # the caller has said something on this stream
    answered: bool = False  # the agent's last answer was heard to its end
    ever_answered: bool = False
    farewell: bool = False  # the caller's last words were a goodbye
    introduced: bool = False
    words_due: bool = False  # the last words were asked for and haven't begun to sound
    words_begun: bool = False  # … but their response has begun
    expired: bool = False  # the maximum is reached: nothing reopens the call
    unspoken: bool = False  # a result of a function of which the agent hasn't spoken yet
    ending: str = ""  # why the call ends once that is said
    ended_by: str = ""
    functions: dict[str, str] = field(default_factory=dict)
    overtaken: set[str] = field(default_factory=set)  # into these the caller has spoken
    worded: set[str] = field(default_factory=set)  # of these the agent spoke when it called them
    spoken: dict[str, _Spoken] = field(default_factory=dict)
    caller_began: list[float] = field(default_factory=list)
    achieved: set[Outcome] = field(default_factory=set)


class Call:
    """One conversation between a caller and an agent.

    `on(event, now)` returns the commands to carry out, in order. `now` is monotonic seconds.
    Of earlier streams of the same call: `achieved`, what functions had achieved; how often the
    caller had spoken; and whether they had their last answer.
    """

    def __init__(
        self,
        script: Script,
        rules: Rules,
        achieved: Iterable[Outcome] = (),
        *,
        caller_turns: int = 0,
        answered: bool = False,
    ) -> None:
        self._script = script
        self._rules = rules
        self._state = _State(
            achieved=set(achieved),
            caller_turns=caller_turns,
            answered=answered,
            ever_answered=answered,
        )
        self._silence = _Silence()
        self._waiting = _Waiting()
        self._now = 0.0
        self._out: list[ev.Command] = []
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            ev.CallerJoined: self._caller_joined,
            ev.AgentReady: self._agent_ready,
            ev.AgentAudioStarted: self._agent_audio_started,
            ev.AgentHeard: self._agent_heard,
            ev.AgentCut: self._agent_cut,
            ev.CallerSpeechStarted: self._caller_speech_started,
            ev.CallerSpeechStopped: self._caller_speech_stopped,
            ev.CallerSaid: self._caller_said,
            ev.ResponseStarted: self._response_started,
            ev.AgentText: self._agent_text,
            ev.ResponseDone: self._response_done,
            ev.FunctionCalled: self._function_called,
            ev.FunctionFinished: self._function_finished,
            ev.AgentFault: self._agent_fault,
            ev.AgentGone: self._agent_gone,
            ev.DigitPressed: self._digit_pressed,
            ev.CallerLeft: self._caller_left,
            ev.TimerFired: self._timer_fired,
        }

    @property
    def phase(self) -> Phase:
        return self._state.phase

    @property
    def ended_by(self) -> str:
        """Who or what ended the call: "caller", "agent", "silence", "maximum", "fault", or ""."""
        return self._state.ended_by

    @property
    def last_words_due(self) -> bool:
        """The caller has said something that hasn't been transcribed yet."""
        return bool(self._state.caller_began) and not self._state.caller_speaking

    def on(self, event: ev.Event, now: float) -> list[ev.Command]:
        """Take note of an event; what is to be done, in order."""
        self._now = now
        self._out = []
        if self._state.phase is not Phase.OVER or isinstance(event, _AFTER_THE_END):
            self._handlers[type(event)](event)
        return self._out

    def outcome(self, elsewhere: Iterable[Outcome] = ()) -> Outcome:
        """What the call came to, as far as this conversation can tell. `elsewhere`: what was
        achieved on other streams of the call."""
        state = self._state
        return conclude(
            state.achieved.union(elsewhere),
            reason=state.closing_because or state.ended_by,
            caller_turns=state.caller_turns,
            answered=state.answered or (state.ever_answered and state.farewell),
        )

    # ------------------------------------------------------------------------- beginning

    def _caller_joined(self, event: ev.CallerJoined) -> None:
        self._state.joined = self._now
        self._state.resumed = self._state.introduced = event.resumed
        self._do(ev.StartTimer(MAXIMUM, self._rules.max_seconds))
        self._do(ev.StartTimer(OPENING, self._rules.opening_cap))
        self._open()

    def _agent_ready(self, _: ev.AgentReady) -> None:
        self._state.ready = True
        self._open()

    def _open(self) -> None:
        state = self._state
        if state.phase is Phase.OPENING and state.ready and state.joined is not None:
            state.phase = Phase.TALKING
            self._waiting.since = state.joined
            self._ask(self._first_words())

    def _first_words(self) -> ev.Say:
        return ev.Say(self._script.resume if self._state.resumed else self._script.greeting)

    # ------------------------------------------------------------------- the agent speaks

    def _ask(self, command: ev.Say | ev.Respond) -> None:
        """Have the agent speak."""
        self._do(command)
        self._expect_agent()

    def _expect_agent(self) -> None:
        """The agent was asked to speak: it begins soon, or it is stuck."""
        self._state.asked = True
        self._watch_agent()

    def _watch_agent(self) -> None:
        self._state.progress = self._now
        self._do(ev.StopTimer(PROMPT))
        self._do(ev.StartTimer(AGENT, self._rules.agent_within))

    def _agent_quiet(self) -> None:
        """No sign of the agent for so long?"""
        state = self._state
        if state.phase is not Phase.TALKING or not (state.asked or state.responding):
            return
        left = state.progress + self._rules.agent_within - self._now
        if left > 0.05:
            self._do(ev.StartTimer(AGENT, left))
        elif state.caller_speaking:  # the leg holds its answer back
            self._watch_agent()
        else:
            self._agent_stuck()

    def _agent_stuck(self) -> None:
        state = self._state
        state.failures += 1
        self._record("event", {"name": "agent_stuck", "responding": state.responding})
        if state.failures >= FAILURES_BEFORE_LEAVING:
            self._leave_stream("agent_stuck")
            return
        if state.responding:
            self._interrupt(cancel=True)
        self._ask(ev.Respond())

    def _interrupt(self, *, cancel: bool = False) -> None:
        """Silence the agent: what it says, what it makes and what it was asked for."""
        self._state.asked = False
        self._do(ev.Interrupt(cancel))

    def _response_started(self, _: ev.ResponseStarted) -> None:
        state = self._state
        state.responding = True
        state.asked = False
        state.spoke = False
        state.words_begun |= state.words_due
        self._watch_agent()

    def _agent_audio_started(self, event: ev.AgentAudioStarted) -> None:
        state = self._state
        state.audible = True
        state.sounded = True
        state.spoke = True
        state.unspoken = False
        state.words_due = False
        state.failures = 0
        state.progress = self._now
        self._spoken(event.item_id).began = self._now
        self._do(ev.StopTimer(PROMPT))
        self._do(ev.StopTimer(OPENING))
        if self._waiting.since is not None:
            stage = "turn" if state.heard_anything else "first_sound"
            self._latency(stage, self._now - self._waiting.since)
            self._waiting.since = None

    def _agent_text(self, event: ev.AgentText) -> None:
        spoken = self._spoken(event.item_id)
        spoken.text = event.text if event.final else spoken.text + event.text
        self._state.progress = self._now

    def _response_done(self, event: ev.ResponseDone) -> None:
        state = self._state
        state.responding = False
        if state.words_begun and not state.audible:
            state.words_due = False  # they came to nothing
        if not state.asked:
            self._do(ev.StopTimer(AGENT))
        if event.usage:
            self._record("usage", dict(event.usage))
        if event.status == "failed" or self._came_to_nothing(event):
            self._response_failed(event)
        self._settle()

    def _came_to_nothing(self, event: ev.ResponseDone) -> bool:
        """The model was stopped, by a filter for instance, before it said or did anything."""
        state = self._state
        goes_on = state.spoke or state.functions or state.asked or state.caller_speaking
        return event.status == "incomplete" and not goes_on

    def _response_failed(self, event: ev.ResponseDone) -> None:
        state = self._state
        state.failures += 1
        self._record("event", {"name": "response_failed", "code": event.error})
        if state.phase is not Phase.TALKING:
            return
        if state.failures >= FAILURES_BEFORE_LEAVING:
            self._leave_stream("agent_failed")
        elif not state.functions:
            retry = state.sounded or state.caller_speaking
            self._ask(ev.Respond() if retry else self._first_words())

    def _agent_heard(self, event: ev.AgentHeard) -> None:
        self._state.audible = False
        self._state.heard_anything = True
        for item_id, heard_ms in event.items:
            self._agent_turn(item_id, heard_ms, cut=False)
        if self._state.addressed:  # a greeting, or the words after a cut, answer nothing
            self._state.answered = True
            self._state.ever_answered |= self._state.caller_turns > 0
        self._settle()

    def _agent_cut(self, event: ev.AgentCut) -> None:
        self._state.audible = False
        for item_id, heard_ms, sent_ms in event.items:
            whole = heard_ms >= sent_ms
            self._state.heard_anything |= heard_ms > 0
            self._agent_turn(item_id, heard_ms, cut=not whole, share=heard_ms / (sent_ms or 1))
            if self._state.phase is not Phase.OVER:  # our own leaving takes no answer back
                self._state.answered = whole
        self._introduce()

    def _introduce(self) -> None:
        """The greeting was cut short: the agent is told, before it answers, to say who it is."""
        if not self._state.introduced and self._state.phase is Phase.TALKING:
            self._state.introduced = True
            self._do(ev.TellAgent(self._script.introduce, role="system"))

    def _agent_turn(self, item_id: str, heard_ms: float, *, cut: bool, share: float = 1.0) -> None:
        spoken = self._state.spoken.pop(item_id, None)
        if spoken is None or heard_ms <= 0:
            return
        text = first_words(spoken.text, share) if cut else spoken.text.strip()
        self._state.introduced |= not cut or len(text) >= len(self._script.disclosure)
        self._record(
            "turn",
            {"who": "agent", "text": text, "heard_until_ms": round(heard_ms), "cut": cut},
            at=spoken.began,
        )

    def _settle(self) -> None:
        """The agent may have come to rest: act on what was waiting for that."""
        state = self._state
        if state.audible or state.responding or state.words_due:
            return
        if state.phase is Phase.CLOSING:
            self._hang_up()
        elif state.phase is Phase.LEAVING:
            self._transfer()
        elif state.functions:
            self._start_filler()
        elif state.ending and not state.asked:
            self._close(state.ending, self._script.goodbye)
        else:
            if not self._silence.prompting:
                self._silence.began = None
            self._silence.prompting = False
            self._listen()

    # ------------------------------------------------------------------ the caller speaks

    def _caller_speech_started(self, _: ev.CallerSpeechStarted) -> None:
        state = self._state
        state.caller_speaking = True
        state.addressed = True
        state.answered = False
        state.caller_began.append(self._now)
        del state.caller_began[:-8]  # a bound: transcripts that never came
        self._forget_silence()
        self._waiting.since = None
        self._do(ev.StopTimer(FILLER))
        self._do(ev.StartTimer(TURN, self._rules.longest_turn))
        if self._final():
            return
        self._caller_goes_on()
        audible = state.audible
        if audible or state.responding or state.asked:
            self._interrupt()
        if not audible:  # otherwise `AgentCut` says how much of the greeting was heard
            self._introduce()

    def _final(self) -> bool:
        """The last words are on their way, and nothing that the caller does changes it."""
        return self._state.phase is Phase.LEAVING or self._state.expired

    def _caller_goes_on(self) -> None:
        """The caller has more to say: whatever was about to end the call doesn't."""
        state = self._state
        state.ending = ""
        state.overtaken.update(state.functions)
        if state.phase is Phase.CLOSING:
            state.phase = Phase.TALKING
            state.closing_because = ""
            state.words_due = False
            self._do(ev.StopTimer(GOODBYE))

    def _turn_without_end(self) -> None:
        self._record("event", {"name": "speech_without_end"})
        self._caller_speech_stopped(ev.CallerSpeechStopped())

    def _caller_speech_stopped(self, _: ev.CallerSpeechStopped) -> None:
        self._state.caller_speaking = False
        self._waiting.since = self._now
        self._do(ev.StopTimer(TURN))
        if self._state.functions:
            self._start_filler()
        self._listen()

    def _caller_said(self, event: ev.CallerSaid) -> None:
        began = self._state.caller_began.pop(0) if self._state.caller_began else self._now
        if event.text.strip():
            self._caller_turn(event.text.strip(), began)

    def _caller_turn(self, text: str, began: float) -> None:
        self._state.caller_turns += 1
        self._state.addressed = True
        self._state.farewell = any(word in text.casefold() for word in FAREWELLS)
        self._record("turn", {"who": "caller", "text": text}, at=began)

    def _digit_pressed(self, event: ev.DigitPressed) -> None:
        state = self._state
        if self._final():
            return
        self._forget_silence()
        self._caller_goes_on()
        if state.audible or state.responding or state.asked:
            self._interrupt(cancel=True)
        if event.digit != "#" or not state.digits:
            state.digits = (state.digits + event.digit)[-32:]
        if event.digit == "#":
            self._digits_entered()
        else:
            self._do(ev.StartTimer(DIGITS, self._rules.digits_pause))

    def _digits_entered(self) -> None:
        if self._state.phase is Phase.OPENING:  # nobody there yet whom they could be told
            self._do(ev.StartTimer(DIGITS, self._rules.digits_pause))
            return
        keys, self._state.digits = self._state.digits, ""
        self._do(ev.StopTimer(DIGITS))
        if not keys or self._state.phase is not Phase.TALKING:
            return
        text = self._script.keys_pressed.replace("{keys}", " ".join(keys))
        self._caller_turn(text, self._now)
        self._waiting.since = self._now
        self._do(ev.TellAgent(text))
        self._ask(ev.Respond())

    # ------------------------------------------------------------------------- functions

    def _function_called(self, event: ev.FunctionCalled) -> None:
        state = self._state
        if event.function_call_id in state.functions:
            return
        state.functions[event.function_call_id] = event.name
        if state.responding and state.spoke:
            state.worded.add(event.function_call_id)
        state.progress = self._now
        self._do(ev.StopTimer(PROMPT))
        self._do(ev.RunFunction(event.function_call_id, event.name, event.arguments))
        self._start_filler()

    def _function_finished(self, event: ev.FunctionFinished) -> None:
        state = self._state
        state.functions.pop(event.function_call_id, None)
        worded = event.function_call_id in state.worded
        state.worded.discard(event.function_call_id)
        if event.effect is not None:
            state.achieved.add(event.effect)
        if state.phase is Phase.OVER:
            return  # committed all the same; the outcome counts it
        if not state.functions:
            state.fillers = 0
            self._do(ev.StopTimer(FILLER))
        output = json.dumps(dict(event.result), ensure_ascii=False, separators=(",", ":"))
        then = self._what_follows(event)
        # With several functions at once, the last result lets the agent speak. (While the caller
        # speaks, the leg waits for the vendor's own answer.)
        respond = not then and state.phase is Phase.TALKING and not state.functions
        self._do(ev.GiveResult(event.function_call_id, output, respond))
        if respond:
            self._expect_agent()
        elif then == "end":
            # A model no faster than speech has been heard to its end by now.
            spoken = worded or (state.spoke and (state.audible or state.responding))
            self._close(event.detail or "agent", self._script.goodbye, spoken=spoken)
        elif then == "transfer":
            self._leave(event.detail)

    def _what_follows(self, event: ev.FunctionFinished) -> str:
        """ "end" or "transfer" at once, or "": the conversation goes on."""
        state = self._state
        overtaken = event.function_call_id in state.overtaken
        state.overtaken.discard(event.function_call_id)
        if state.phase is not Phase.TALKING:
            return ""
        if event.then == "end":
            if overtaken:
                return ""  # the caller has spoken since
            if state.functions or state.unspoken:  # what they have found is said first
                state.ending = event.detail or "agent"
                return ""
        state.unspoken |= event.then == ""
        return event.then

    def _start_filler(self) -> None:
        first = self._state.fillers == 0
        after = self._rules.filler_after if first else self._rules.next_filler_after
        self._do(ev.StartTimer(FILLER, after))

    def _fill(self) -> None:
        state = self._state
        busy = state.audible or state.caller_speaking or not state.functions
        if busy or state.phase is not Phase.TALKING or state.fillers >= len(self._script.fillers):
            return
        self._ask(ev.Say(self._script.fillers[state.fillers]))
        state.fillers += 1

    # --------------------------------------------------------------------------- silence

    def _forget_silence(self) -> None:
        self._silence = _Silence()
        self._do(ev.StopTimer(PROMPT))

    def _quiet(self) -> bool:
        state = self._state
        busy = state.caller_speaking or state.audible or state.responding or state.asked
        return state.phase is Phase.TALKING and state.sounded and not (busy or state.functions)

    def _listen(self) -> None:
        """Nobody speaks: start counting."""
        if not self._quiet():
            return
        silence = self._silence
        if silence.began is None:
            silence.began = self._now
            silence.prompts = 0
        left = silence.began + self._rules.goodbye_after - self._now
        if silence.prompts < self._rules.prompts:
            left = min(left, self._rules.prompt_after)
        self._do(ev.StartTimer(PROMPT, max(left, 0.0)))

    def _silence_lasts(self) -> None:
        silence = self._silence
        if not self._quiet() or silence.began is None:
            return
        if self._now >= silence.began + self._rules.goodbye_after - 0.05:
            self._close("silence", self._script.silence_goodbye)
        elif silence.prompts < self._rules.prompts:
            words = self._script.silence_prompts
            self._ask(ev.Say(words[min(silence.prompts, len(words) - 1)]))
            silence.prompting = True
            silence.prompts += 1
        else:
            self._listen()

    # ----------------------------------------------------------------------------- endings

    def _close(self, because: str, words: str, *, spoken: bool = False) -> None:
        """Say the last words, unless the agent has, then hang up when they were heard, or at the
        cap."""
        state = self._state
        state.phase = Phase.CLOSING
        state.closing_because = because
        state.ending = ""
        state.words_begun = False
        self._do(ev.StopTimer(PROMPT))
        self._do(ev.StopTimer(FILLER))
        self._do(ev.StartTimer(GOODBYE, self._rules.goodbye_cap))
        if spoken:
            self._settle()
        else:
            self._ask(ev.Say(words))
            state.words_due = True

    def _leave(self, reason: str) -> None:
        state = self._state
        state.phase = Phase.LEAVING
        state.closing_because = "transfer"
        state.words_begun = False
        self._do(ev.StopTimer(PROMPT))
        self._do(ev.StartTimer(GOODBYE, self._rules.goodbye_cap))
        self._record("event", {"name": "transfer_wanted", "reason": reason})
        if not (state.spoke and (state.audible or state.responding)):
            self._ask(ev.Say(self._script.transfer_wait))
            state.words_due = True

    def _hang_up(self) -> None:
        reason = self._state.closing_because
        self._over(reason if reason in ("silence", "maximum") else "agent")
        self._do(ev.HangUp(reason))

    def _transfer(self) -> None:
        self._over("transfer")
        self._do(ev.TransferCall(self._state.closing_because))

    def _leave_stream(self, reason: str) -> None:
        self._over("fault")
        self._record("event", {"name": "stream_left", "reason": reason})
        self._do(ev.LeaveStream(reason))

    def _over(self, by: str) -> None:
        self._state.phase = Phase.OVER
        self._state.ended_by = by
        for name in (PROMPT, MAXIMUM, GOODBYE, FILLER, DIGITS, OPENING, AGENT, TURN):
            self._do(ev.StopTimer(name))

    def _agent_fault(self, event: ev.AgentFault) -> None:
        self._record("event", {"name": "agent_fault", "code": event.code, "fatal": event.fatal})
        if event.fatal:
            self._agent_gone(ev.AgentGone(event.code))

    def _agent_gone(self, event: ev.AgentGone) -> None:
        state = self._state
        state.responding = state.asked = state.words_due = False
        if state.phase in (Phase.CLOSING, Phase.LEAVING):
            self._settle()  # of the last words, what is on the line is still heard
        else:
            self._leave_stream("agent_gone")

    def _caller_left(self, event: ev.CallerLeft) -> None:
        self._over("caller" if event.hung_up else "network")

    def _timer_fired(self, event: ev.TimerFired) -> None:
        fired: Mapping[str, Callable[[], None]] = {
            PROMPT: self._silence_lasts,
            FILLER: self._fill,
            DIGITS: self._digits_entered,
            GOODBYE: self._goodbye_too_long,
            OPENING: self._agent_mute,
            AGENT: self._agent_quiet,
            TURN: self._turn_without_end,
            MAXIMUM: self._time_is_up,
        }
        fired[event.name]()

    def _agent_mute(self) -> None:
        """Nothing has sounded since the caller joined."""
        if self._state.caller_speaking:
            self._do(ev.StartTimer(OPENING, self._rules.opening_cap))
        else:
            self._leave_stream("agent_mute")

    def _time_is_up(self) -> None:
        state = self._state
        state.expired = True
        if state.phase is Phase.TALKING:
            self._interrupt(cancel=True)
            self._close("maximum", self._script.maximum_goodbye)
        elif state.phase is Phase.OPENING:
            state.closing_because = "maximum"
            self._hang_up()

    def _goodbye_too_long(self) -> None:
        if self._state.phase is Phase.CLOSING:
            self._hang_up()
        elif self._state.phase is Phase.LEAVING:
            self._transfer()

    # ----------------------------------------------------------------------------- small

    def _do(self, command: ev.Command) -> None:
        self._out.append(command)

    def _record(self, kind: str, data: Mapping[str, Any], at: float | None = None) -> None:
        self._do(ev.Record(kind, data, self._now if at is None else at))

    def _latency(self, stage: str, seconds: float) -> None:
        self._record("latency", {"stage": stage, "ms": round(seconds * 1000, 1)})

    def _spoken(self, item_id: str) -> _Spoken:
        spoken = self._state.spoken
        if item_id not in spoken:
            while len(spoken) >= 16:  # a bound: items whose audio never came
                spoken.pop(next(iter(spoken)))
            spoken[item_id] = _Spoken(began=self._now)
        return spoken[item_id]


def conclude(
    achieved: Iterable[Outcome], *, reason: str, caller_turns: int, answered: bool
) -> Outcome:
    """The one outcome of a call.

    What was achieved weighs most; then why it ended. A caller who spoke and heard an answer to its
    end was informed; one who left before that abandoned the call.
    """
    best = strongest(achieved)
    if best is not None:
        return best
    if reason == "wrong_number":
        return Outcome.WRONG_NUMBER
    if reason == "overflow":
        return Outcome.OVERFLOW
    if reason == "fault":
        return Outcome.FAILED
    return Outcome.INFORMED if caller_turns and answered else Outcome.ABANDONED


def first_words(text: str, share: float) -> str:
    """The words of `text` that fit into this share (0–1) of its duration."""
    words = text.split()
    budget = len(text) * max(0.0, min(share, 1.0))
    kept: list[str] = []
    length = 0
    for word in words:
        length += len(word) + 1
        if length - 1 > budget:
            break
        kept.append(word)
    return " ".join(kept)
