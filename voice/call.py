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
7. While it is the agent's turn the line is never silent for long: what an agent is late with, or
   can't give any more, is bridged by a line of our own (`Announce`), until the next agent is there.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from domain.outcome import Outcome
from voice import events as ev
from voice.call_state import (
    Given,
    Phase,
    Rescue,
    Rules,
    Script,
    Silence,
    Spoken,
    State,
    Waiting,
)
from voice.conclusion import FAREWELLS, conclude, first_words, says

__all__ = ["Call", "Phase", "Rules", "Script"]

PROMPT, MAXIMUM, GOODBYE = "silence", "maximum", "goodbye"
FILLER, DIGITS, OPENING = "filler", "digits", "opening"
AGENT, TURN, HOLD = "agent", "turn", "hold"

#: An agent that is stuck is stopped by silencing the line: so often we look whether a line of our
#: own has been heard, s.
AFTER_OUR_LINE = 0.3

#: A model that fails this often in a row, without a word in between, is given up.
FAILURES_BEFORE_LEAVING = 2


#: What still counts after the end: a commit, what was heard until then, and the caller's last
#: words, which are written down a second after they were said.
_AFTER_THE_END = (ev.FunctionFinished, ev.AgentCut, ev.CallerSaid)

#: What a leg reports. Of one that has been given up nothing counts any more.
_FROM_AN_AGENT = (
    *(ev.CallerSpeechStarted, ev.CallerSpeechStopped, ev.CallerSaid, ev.AgentText),
    *(ev.ResponseStarted, ev.ResponseDone, ev.FunctionCalled),
    *(ev.AgentFault, ev.AgentLags, ev.AgentChecked, ev.AgentGone),
)


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
        self._state = State(
            achieved=set(achieved),
            caller_turns=caller_turns,
            answered=answered,
            ever_answered=answered,
        )
        self._silence = Silence()
        self._waiting = Waiting()
        self._rescue = Rescue()
        self._now = 0.0
        self._out: list[ev.Command] = []
        self._handlers: Mapping[type, Callable[[Any], None]] = {
            ev.CallerJoined: self._caller_joined,
            ev.AgentReady: self._agent_ready,
            ev.AgentAudioStarted: self._agent_audio_started,
            ev.AgentDry: self._agent_dry,
            ev.AgentHeard: self._agent_heard,
            ev.AgentCut: self._agent_cut,
            ev.CallerSpeechStarted: self._caller_speech_started,
            ev.CallerSpeechStopped: self._caller_speech_stopped,
            ev.CallerAudible: self._caller_audible,
            ev.CallerSaid: self._caller_said,
            ev.ResponseStarted: self._response_started,
            ev.AgentText: self._agent_text,
            ev.ResponseDone: self._response_done,
            ev.FunctionCalled: self._function_called,
            ev.FunctionFinished: self._function_finished,
            ev.AgentFault: self._agent_fault,
            ev.AgentLags: self._agent_lags,
            ev.AgentChecked: self._agent_checked,
            ev.AgentGone: self._agent_gone,
            ev.NoAgentLeft: self._no_agent_left,
            ev.AnnouncementMissing: self._announcement_missing,
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
    def achieved(self) -> frozenset[Outcome]:
        """What functions have achieved, as far as this conversation knows."""
        return frozenset(self._state.achieved)

    @property
    def words_lost(self) -> bool:
        """The caller has spoken, or speaks, to an agent that is gone: the next one must hear it."""
        return self._rescue.replaying or (self._state.caller_speaking and not self._state.ready)

    @property
    def last_words_due(self) -> bool:
        """The caller has said something that hasn't been transcribed yet."""
        return bool(self._state.caller_began) and not self._state.caller_speaking

    def on(self, event: ev.Event, now: float) -> list[ev.Command]:
        """Take note of an event; what is to be done, in order."""
        self._now = now
        self._out = []
        if self._counts(event):
            self._handlers[type(event)](event)
            self._keep_company()
        return self._out

    def _counts(self, event: ev.Event) -> bool:
        state = self._state
        if state.phase is Phase.OVER:
            return isinstance(event, _AFTER_THE_END)
        if state.ready or state.phase is Phase.OPENING:
            return True
        ours = isinstance(event, ev.AgentText) and event.item_id.startswith(ev.ANNOUNCEMENT)
        return ours or not isinstance(event, _FROM_AN_AGENT)

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
        self._rescue.was_cut = event.was_cut
        self._state.resumed = self._state.introduced = event.resumed
        self._do(ev.StartTimer(MAXIMUM, self._rules.max_seconds))
        self._do(ev.StartTimer(OPENING, self._rules.opening_cap))
        self._open()

    def _agent_ready(self, event: ev.AgentReady) -> None:
        if self._state.ready:
            return
        self._state.ready = True
        self._state.greets = event.greets
        if self._state.phase is Phase.TALKING:
            self._take_over()
        else:
            self._open()

    def _open(self) -> None:
        state = self._state
        if state.phase is Phase.OPENING and state.ready and state.joined is not None:
            state.phase = Phase.TALKING
            self._waiting.since = state.joined
            self._give_notes()
            if state.greets and not state.resumed:
                self._expect_agent()
            else:
                self._ask(self._first_words())

    def _first_words(self) -> ev.Say:
        return ev.Say(self._script.resume if self._state.resumed else self._script.greeting)

    # ------------------------------------------------------------------- the agent speaks

    def _ask(self, command: ev.Say | ev.Respond) -> None:
        """Have the agent speak."""
        assert self._state.ready, "nobody there who could"
        self._do(command)
        self._expect_agent()

    def _expect_agent(self) -> None:
        """The agent was asked to speak: it begins soon, or it is stuck."""
        self._state.asked = True
        self._watch_agent()

    def _watch_agent(self) -> None:
        self._state.progress = self._now
        self._do(ev.StopTimer(PROMPT))
        self._do(ev.StartTimer(AGENT, self._patience()))

    def _patience(self) -> float:
        """Who was stuck already gets half the time, and so does who takes over from such a one."""
        again = self._state.failures or self._rescue.in_vain
        return self._rules.agent_within / (2 if again else 1)

    def _agent_quiet(self) -> None:
        """No sign of the agent for so long?"""
        state = self._state
        if state.phase is not Phase.TALKING or not self._agent_owes():
            return
        left = state.progress + self._patience() - self._now
        if self._sounds() and not state.announcing:  # that is a sign
            self._watch_agent()
        elif left > 0.05:
            self._do(ev.StartTimer(AGENT, left))
        elif state.caller_speaking:  # the leg holds its answer back
            self._watch_agent()
        elif state.responding and state.announcing and self._sounds():  # not into a line of our own
            self._do(ev.StartTimer(AGENT, AFTER_OUR_LINE))
        else:
            self._agent_stuck()

    def _agent_owes(self) -> bool:
        return self._state.asked or self._state.responding or self._state.owed

    def _agent_stuck(self) -> None:
        state = self._state
        state.failures += 1
        self._record("event", {"name": "agent_stuck", "responding": state.responding})
        if state.failures >= FAILURES_BEFORE_LEAVING:
            self._lose_agent("agent_stuck")
            return
        if state.responding:
            self._interrupt(cancel=True)
        self._ask(ev.Respond() if state.sounded else self._first_words())

    def _interrupt(self, *, cancel: bool = False) -> None:
        """Silence the agent: what it says, what it makes and what it was asked for."""
        self._state.asked = self._state.owed = False
        self._do(ev.Interrupt(cancel))

    def _response_started(self, _: ev.ResponseStarted) -> None:
        state = self._state
        state.responding = True
        state.responses += 1
        state.asked = state.owed = False
        state.spoke = False
        state.words_begun |= state.words_due
        self._watch_agent()

    def _agent_audio_started(self, event: ev.AgentAudioStarted) -> None:
        state = self._state
        state.audible = True
        state.dry = False
        state.announcing = event.item_id.startswith(ev.ANNOUNCEMENT)
        self._rescue.was_cut = False
        self._rescue.hushed = None
        self._do(ev.StopTimer(PROMPT))
        if state.announcing:
            self._spoken(event.item_id).began = self._now
            if state.phase in (Phase.CLOSING, Phase.LEAVING):
                state.words_due = False  # these were the last words
            return  # the agent owes its answer all the same
        self._rescue.held = self._rescue.in_vain = 0
        self._rescue.unheard = self._rescue.replayed = False
        state.owed = False
        state.sounded = True
        state.spoke = True
        state.unspoken = False
        state.words_due = False
        state.progress = self._now
        self._spoken(event.item_id).began = self._now
        self._do(ev.StopTimer(OPENING))
        if self._waiting.since is not None:
            stage = "turn" if state.heard_anything else "first_sound"
            self._latency(stage, self._now - self._waiting.since)
            self._waiting.since = None

    def _agent_text(self, event: ev.AgentText) -> None:
        spoken = self._spoken(event.item_id)
        spoken.text = event.text if event.final else spoken.text + event.text
        if not event.item_id.startswith(ev.ANNOUNCEMENT):
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
        if event.status != "completed":
            self._broken_off()
        elif state.spoke:
            state.failures = 0  # not for a beginning: the next answer may break off there, too
        if event.status == "failed" or self._came_to_nothing(event):
            self._response_failed(event)
        self._settle()

    def _broken_off(self) -> None:
        """What the running response has said so far is all that there is of it."""
        for item_id, spoken in self._state.spoken.items():
            spoken.broken_off |= self._is_of_the_last_response(item_id)

    def _is_of_the_last_response(self, item_id: str) -> bool:
        spoken = self._state.spoken.get(item_id)
        ours = item_id.startswith(ev.ANNOUNCEMENT)
        return not ours and spoken is not None and spoken.response == self._state.responses

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
            if state.words_begun and not state.spoke:
                self._last_words()
            return
        if state.failures >= FAILURES_BEFORE_LEAVING:
            self._lose_agent("agent_failed", event.error)
        elif not state.functions:
            retry = state.sounded or state.caller_speaking
            self._ask(ev.Respond() if retry else self._first_words())

    def _agent_dry(self, event: ev.AgentDry) -> None:
        self._state.dry = event.dry
        if event.dry and self._agent_owes():
            self._watch_agent()

    def _sounds(self) -> bool:
        """There is something to be heard, as far as we know."""
        return self._state.audible and not self._state.dry

    def _agent_heard(self, event: ev.AgentHeard) -> None:
        self._state.audible = self._state.dry = False
        whole = True
        for item_id, heard_ms in event.items:
            spoken = self._state.spoken.get(item_id)
            whole = spoken is None or not spoken.broken_off
            if spoken is not None and whole and not item_id.startswith(ev.ANNOUNCEMENT):
                self._spoken_of(spoken)
            self._agent_turn(item_id, heard_ms, cut=False)
        if _only_announced(event.items):
            self._settle()
            return
        self._state.heard_anything = True
        if self._state.addressed and whole:  # a greeting, or the words after a cut, answer nothing
            self._state.answered = True
            self._state.ever_answered |= self._state.caller_turns > 0
        self._settle()

    def _spoken_of(self, spoken: Spoken) -> None:
        """The agent was heard to the end: what it had been given before that answer is said."""
        given = self._rescue.given
        given[:] = [each for each in given if each.response >= spoken.response]

    def _agent_cut(self, event: ev.AgentCut) -> None:
        self._state.audible = self._state.dry = False
        for item_id, heard_ms, sent_ms in event.items:
            more_to_come = self._state.responding and self._is_of_the_last_response(item_id)
            whole = heard_ms >= sent_ms and not more_to_come
            self._state.heard_anything |= heard_ms > 0
            self._agent_turn(item_id, heard_ms, cut=not whole, share=heard_ms / (sent_ms or 1))
            answer = not item_id.startswith(ev.ANNOUNCEMENT)
            if answer and self._state.phase is not Phase.OVER:  # our own leaving takes none back
                self._state.answered = whole
        self._introduce()

    def _introduce(self) -> None:
        """The greeting was cut short: the agent is told, before it answers, to say who it is."""
        state = self._state
        if not state.introduced and state.phase is Phase.TALKING and state.ready:
            self._state.introduced = True
            self._do(ev.TellAgent(self._script.introduce, role="system"))

    def _agent_turn(self, item_id: str, heard_ms: float, *, cut: bool, share: float = 1.0) -> None:
        spoken = self._state.spoken.pop(item_id, None)
        if spoken is None or heard_ms <= 0:
            return
        text = first_words(spoken.text, share) if cut else spoken.text.strip()
        cut |= spoken.broken_off
        if not item_id.startswith(ev.ANNOUNCEMENT):
            self._state.introduced |= not cut or len(text) >= len(self._script.disclosure)
            self._state.last_was_caller &= not text
            self._heard_of_recording(text)
            if spoken.of_a_lost_agent and text:
                self._said_by_a_lost_agent(text)
        turn = {"who": "agent", "text": text, "heard_until_ms": round(heard_ms), "cut": cut}
        if item_id.startswith(ev.ANNOUNCEMENT):
            turn["announced"] = True  # nothing that another agent must know
        self._record("turn", turn, at=spoken.began)

    def _heard_of_recording(self, text: str) -> None:
        """Only what was heard to its end counts: the notice is the last thing of this."""
        announced = self._script.recording
        if announced and not self._state.recording and says(text, announced):
            self._state.recording = True
            self._do(ev.StartRecording())

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
        state.answered = state.owed = False
        self._rescue.noticed = True
        self._rescue.presumed = self._rescue.unheard = self._rescue.replayed = False
        self._rescue.deaf = 0
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
        """The last words are on their way, and nothing that the caller does changes it: there is
        no time left, or nobody who could go on."""
        state = self._state
        nobody = state.phase is Phase.CLOSING and not state.ready
        return state.phase is Phase.LEAVING or state.expired or nobody

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
        """Noise without a pause; or an agent that heard the caller begin, and has died since."""
        self._record("event", {"name": "speech_without_end"})
        self._caller_speech_stopped(ev.CallerSpeechStopped())
        self._rescue.presumed = True

    def _caller_speech_stopped(self, _: ev.CallerSpeechStopped) -> None:
        state = self._state
        state.caller_speaking = False
        self._rescue.presumed = False
        self._waiting.since = self._now
        self._do(ev.StopTimer(TURN))
        if state.functions:
            self._start_filler()
        elif state.phase is Phase.TALKING and not self._agent_owes():
            state.owed = True
            self._watch_agent()
        self._listen()

    def _caller_said(self, event: ev.CallerSaid) -> None:
        began = self._state.caller_began.pop(0) if self._state.caller_began else self._now
        self._rescue.replayed = False
        if event.text.strip():
            self._caller_turn(event.text.strip(), began)

    def _caller_turn(self, text: str, began: float) -> None:
        self._state.caller_turns += 1
        self._state.addressed = True
        self._state.last_was_caller = True
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
        if not self._state.ready or self._state.phase is Phase.OPENING:  # nobody there to be told
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
        asked_here = state.functions.pop(event.function_call_id, None) is not None
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
        if not asked_here or event.function_call_id in self._rescue.orphans:
            self._orphan_finished(event, output, then)
            return
        # With several functions at once, the last result lets the agent speak. (While the caller
        # speaks, the leg waits for the vendor's own answer.)
        respond = not then and state.phase is Phase.TALKING and not state.functions
        self._do(ev.GiveResult(event.function_call_id, output, respond))
        if not then:
            self._rescue.given.append(Given(self._note(event, output), self._state.responses))
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
        busy = state.audible or state.caller_speaking or not (state.functions and state.ready)
        if busy or state.phase is not Phase.TALKING or state.fillers >= len(self._script.fillers):
            return
        self._ask(ev.Say(self._script.fillers[state.fillers]))
        state.fillers += 1

    # --------------------------------------------------------------------------- silence

    def _forget_silence(self) -> None:
        self._silence = Silence()
        self._do(ev.StopTimer(PROMPT))

    def _quiet(self) -> bool:
        state = self._state
        busy = state.caller_speaking or state.audible or self._agent_owes()
        there = state.phase is Phase.TALKING and state.sounded and state.ready
        return there and not (busy or state.functions)

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
        elif not state.ready:
            self._announce_last(words)
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
        if not state.ready:
            self._announce_last(self._script.transfer_wait)
        elif not (state.spoke and (state.audible or state.responding)):
            self._ask(ev.Say(self._script.transfer_wait))
            state.words_due = True

    def _last_words(self) -> None:
        """Of an agent that can't say them any more, or says nothing: they are ours. Those that it
        has said already aren't said twice."""
        state = self._state
        said = state.spoke and not state.words_due
        if state.ready:
            self._interrupt(cancel=True)
        state.responding = state.words_due = False
        if said:
            self._settle()
        elif state.phase is Phase.LEAVING:
            self._announce_last(self._script.transfer_wait)
        else:
            maximum = state.closing_because == "maximum"
            self._announce_last(self._script.maximum_goodbye if maximum else self._script.goodbye)

    def _announce_last(self, words: str) -> None:
        self._state.words_due = True
        self._do(ev.Announce(words))

    def _announcement_missing(self, _: ev.AnnouncementMissing) -> None:
        if self._state.phase in (Phase.CLOSING, Phase.LEAVING):
            self._state.words_due = False
            self._settle()

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
        self._rescue.holding = False
        for name in (PROMPT, MAXIMUM, GOODBYE, FILLER, DIGITS, OPENING, AGENT, TURN, HOLD):
            self._do(ev.StopTimer(name))

    def _agent_fault(self, event: ev.AgentFault) -> None:
        self._record("event", {"name": "agent_fault", "code": event.code, "fatal": event.fatal})
        if event.fatal:
            self._agent_gone(ev.AgentGone(event.code))

    def _agent_lags(self, event: ev.AgentLags) -> None:
        """It tells of words that by our own ears are over: all its answers would come as late, into
        whatever the caller says next. While they still speak, nothing is lost by waiting."""
        if self._rescue.loud_since is None and self._state.phase is Phase.TALKING:
            self._record("event", {"name": "agent_lags", "ms": round(event.seconds * 1000)})
            self._rescue.unheard = True  # the next one hears their last words anew
            self._lose_agent("agent_lags")

    def _agent_gone(self, event: ev.AgentGone) -> None:
        self._lose_agent("agent_gone")

    # -------------------------------------------------------------------- another agent

    def _lose_agent(self, reason: str, code: str = "") -> None:
        """The agent is gone, stuck or deaf: the ladder's next one takes over, on this stream."""
        state, rescue = self._state, self._rescue
        responding = state.responding
        state.asked = state.owed = False
        if state.phase in (Phase.CLOSING, Phase.LEAVING):
            state.ready = False
            if state.words_due or (state.responding and not state.spoke):
                self._last_words()  # behind what is still on the line
            else:
                state.responding = False
                self._settle()
            return
        state.responding = state.words_due = False
        rescue.in_vain += 1
        in_vain = rescue.changes >= self._rules.agents or rescue.in_vain > self._rules.in_vain
        if not state.ready or in_vain:
            self._leave_stream(reason)
            return
        rescue.changes += 1
        rescue.orphans.update(state.functions)
        to_nobody = rescue.unheard or rescue.deaf > 0 or rescue.loud_since is not None
        to_nobody |= rescue.replayed or rescue.checking
        rescue.replaying = state.caller_speaking or bool(state.caller_began) or to_nobody
        rescue.deaf = 0
        rescue.unheard = rescue.presumed = rescue.replayed = rescue.checking = False
        rescue.notes[:0] = [each.note for each in rescue.given]
        rescue.given.clear()
        for spoken in state.spoken.values():
            spoken.of_a_lost_agent = True
        if responding:
            self._broken_off()
        state.ready = False
        state.failures = 0
        state.caller_began.clear()
        # From here on our own ears alone tell whether the caller speaks.
        state.caller_speaking = rescue.loud_since is not None
        for timer in (PROMPT, FILLER, AGENT, TURN):
            self._do(ev.StopTimer(timer))
        self._record("event", {"name": "agent_lost", "reason": reason})
        self._do(ev.ChangeAgent(reason, code))
        self._do(ev.StartTimer(OPENING, self._rules.opening_cap))
        if state.sounded and not state.caller_speaking:
            self._hold()  # behind what is still on the line, where the agent broke off

    def _take_over(self) -> None:
        """The next agent is there: it knows what was said, and goes on from there."""
        state, rescue = self._state, self._rescue
        rescue.replayed = rescue.replaying or state.caller_speaking
        rescue.replaying = state.caller_speaking = False
        if state.sounded:
            self._do(ev.StopTimer(OPENING))
        self._give_notes()
        if rescue.replayed:  # it will hear for itself
            state.owed = True
            self._watch_agent()
        elif state.functions:
            self._start_filler()
        else:
            answers = state.last_was_caller and state.sounded
            self._ask(ev.Respond() if answers else self._words_again())

    def _words_again(self) -> ev.Say:
        """Where the last agent broke off."""
        return ev.Say(self._script.resume) if self._state.sounded else self._first_words()

    def _no_agent_left(self, event: ev.NoAgentLeft) -> None:
        self._leave_stream(event.reason)

    def _orphan_finished(self, event: ev.FunctionFinished, output: str, then: str) -> None:
        """Its asker is gone; the deed is done, and the agent that is there now must know."""
        state = self._state
        self._rescue.orphans.discard(event.function_call_id)
        self._rescue.notes.append(self._note(event, output))
        if state.ready:
            self._give_notes()
        if then == "end":
            self._close(event.detail or "agent", self._script.goodbye)
        elif then == "transfer":
            self._leave(event.detail)
        elif state.phase is Phase.TALKING and state.ready and not self._busy():
            self._ask(ev.Respond())

    def _busy(self) -> bool:
        return bool(self._state.functions) or self._state.caller_speaking

    def _note(self, event: ev.FunctionFinished, output: str) -> str:
        note = self._script.function_note
        return note.replace("{name}", event.name).replace("{result}", output)

    def _give_notes(self) -> None:
        """What an agent that is lost before it has spoken of them leaves to the next."""
        rescue = self._rescue
        for note in (*rescue.said, *rescue.notes):
            self._do(ev.TellAgent(note, role="system"))
        rescue.given += [Given(note, self._state.responses) for note in rescue.notes]
        self._state.last_was_caller |= bool(rescue.notes)
        rescue.said.clear()
        rescue.notes.clear()

    def _said_by_a_lost_agent(self, text: str) -> None:
        """It was still on the line when the next one was told what had been said."""
        note = self._script.said_note.replace("{text}", text)
        if self._state.ready:
            self._do(ev.TellAgent(note, role="system"))
        else:
            self._rescue.said.append(note)

    # --------------------------------------------------------------- lines of our own

    def _keep_company(self) -> None:
        """Rule 7: see that a line of ours is due whenever the agent's turn has no sound."""
        state, rescue = self._state, self._rescue
        alone = (
            state.joined is not None
            and not (self._sounds() or state.caller_speaking)
            and self._words_are_due()
        )
        # Into what our own ears hear nothing is said either; if it is noise, they get used to it.
        alone = alone and (rescue.loud_since is None or not state.ready)
        if alone and not rescue.holding:
            self._do(ev.StartTimer(HOLD, self._hold_after()))
        elif rescue.holding and not alone:
            self._do(ev.StopTimer(HOLD))
        rescue.holding = alone

    def _words_are_due(self) -> bool:
        """It is the agent's turn."""
        state = self._state
        if state.phase in (Phase.CLOSING, Phase.LEAVING):
            return state.ready and (state.words_due or state.responding)
        if state.phase is Phase.OVER:
            return False
        return not state.ready or self._agent_owes() or bool(state.functions)

    def _hold_after(self) -> float:
        """Counted from when the caller fell silent, if our ears know."""
        rescue, rules = self._rescue, self._rules
        if rescue.was_cut:
            return rules.hold_after_cut
        silent = self._now - rescue.hushed if rescue.hushed is not None else 0.0
        return max(rules.hold_after - silent, 0.0)

    def _hold(self) -> None:
        """A line of our own, another one each time."""
        rescue, lines = self._rescue, self._script.holds
        rescue.holding = False
        if self._state.phase in (Phase.CLOSING, Phase.LEAVING):
            self._last_words()
        elif lines:
            self._do(ev.Announce(lines[min(rescue.held, len(lines) - 1)]))
            rescue.held += 1
            if self._state.functions:
                self._state.fillers += 1

    def _caller_audible(self, event: ev.CallerAudible) -> None:
        """Our own ears: all there is while no agent listens, and a check on one that does."""
        state, rescue = self._state, self._rescue
        if event.loud:
            rescue.hushed = None
            if rescue.presumed:  # too early: the caller goes on, and the agent may hear it
                state.caller_speaking, state.owed, rescue.presumed = True, False, False
            if state.caller_speaking and state.ready:
                self._do(ev.StartTimer(TURN, self._rules.longest_turn))
            rescue.loud_since, rescue.noticed = self._now, state.caller_speaking
            if not state.ready:
                state.caller_speaking = True
                if state.audible and not self._final():
                    self._interrupt()
            return
        since, rescue.loud_since = rescue.loud_since, None
        rescue.hushed = self._now
        if not state.ready:
            state.caller_speaking = False
            rescue.replaying = True
        elif state.caller_speaking:
            self._do(ev.StartTimer(TURN, self._rules.hushed_turn))
        elif since is not None and not rescue.noticed and state.phase is Phase.TALKING:
            self._unnoticed(self._now - since)

    def _unnoticed(self, seconds: float) -> None:
        """The caller was loud for so long, and the agent didn't notice."""
        owes = self._agent_owes() or self._state.audible
        if seconds < self._rules.deaf_after:
            if not (owes or self._rescue.checking):  # a cough, or "oui" to a dead line
                self._rescue.checking = True
                self._do(ev.CheckAgent())
        elif owes:
            self._rescue.unheard = True
        else:
            self._deaf_agent()

    def _agent_checked(self, event: ev.AgentChecked) -> None:
        if not self._rescue.checking:
            return
        if not event.alive:
            self._lose_agent("agent_gone")
        self._rescue.checking = False

    def _deaf_agent(self) -> None:
        """The caller has spoken, and the agent didn't notice. Once may be noise, or too soft for
        it: the caller is asked again. Twice is deaf."""
        self._rescue.deaf += 1
        self._record("event", {"name": "agent_deaf", "times": self._rescue.deaf})
        if self._rescue.deaf > 1:
            self._lose_agent("agent_deaf")
        elif self._script.repeat:
            self._do(ev.Announce(self._script.repeat))

    # ----------------------------------------------------------------------- the end

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
            HOLD: self._hold,
            MAXIMUM: self._time_is_up,
        }
        fired[event.name]()

    def _agent_mute(self) -> None:
        """Nothing has sounded since the caller joined, or no next agent has come."""
        if not self._state.ready:
            self._leave_stream("no_agent")
        elif self._state.caller_speaking:
            self._do(ev.StartTimer(OPENING, self._rules.opening_cap))
        else:
            self._lose_agent("agent_mute")

    def _time_is_up(self) -> None:
        state = self._state
        state.expired = True
        if state.phase is Phase.TALKING and state.ready:
            self._interrupt(cancel=True)
            self._close("maximum", self._script.maximum_goodbye)
        elif state.phase in (Phase.OPENING, Phase.TALKING):
            self._close("maximum", self._script.maximum_goodbye)

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

    def _spoken(self, item_id: str) -> Spoken:
        spoken = self._state.spoken
        if item_id not in spoken:
            while len(spoken) >= 16:  # a bound: items whose audio never came
                spoken.pop(next(iter(spoken)))
            spoken[item_id] = Spoken(began=self._now, response=self._state.responses)
        return spoken[item_id]


def _only_announced(items: Iterable[tuple[str, float]]) -> bool:
    """All that was heard were lines of ours."""
    names = [item_id for item_id, _ in items]
    return bool(names) and all(name.startswith(ev.ANNOUNCEMENT) for name in names)
