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
from voice.agent_turn import AgentTurn
from voice.call_rules import Phase, Rules, Script
from voice.company import Company
from voice.conclusion import conclude, says
from voice.failover import Failover
from voice.function_calls import FunctionCalls
from voice.heard_turns import HeardTurn, HeardTurns
from voice.hearing import Doubt, Hearing
from voice.silence import Silence

__all__ = ["Call", "Phase", "Rules", "Script"]

PROMPT, MAXIMUM, GOODBYE = "silence", "maximum", "goodbye"
FILLER, DIGITS, OPENING = "filler", "digits", "opening"
AGENT, TURN, HOLD = "agent", "turn", "hold"

#: The last words are said.
ENDING = (Phase.CLOSING, Phase.LEAVING)

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
        # Each part owns its state: it is asked, and told what happens.
        self._agent = AgentTurn()
        self._hearing = Hearing(rules.deaf_after)
        self._turns = HeardTurns(script.disclosure, caller_turns, answered=answered)
        self._functions = FunctionCalls(rules, script.fillers)
        self._failover = Failover(rules, script)
        self._company = Company(rules, script.holds)
        self._silence = Silence(rules, script.silence_prompts)
        # Where the call stands.
        self._phase = Phase.OPENING
        self._joined: float | None = None
        self._ready = False  # an agent is there
        self._resumed = False  # from an earlier stream
        self._greets = False  # the agent does so by itself
        self._recording = False  # it was asked for
        self._digits = ""
        self._waiting_since: float | None = None  # for the agent's first sound
        self._achieved = set(achieved)
        # How it ends.
        self._because = ""
        self._words_due = False  # the last words were asked for and haven't begun to sound
        self._words_begun = False  # … but their response has begun
        self._expired = False  # the maximum is reached: nothing reopens the call
        self._ended_by = ""
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
            ev.AgentGone: lambda _: self._lose_agent("agent_gone"),
            ev.NoAgentLeft: lambda event: self._leave_stream(event.reason),
            ev.AnnouncementMissing: self._announcement_missing,
            ev.DigitPressed: self._digit_pressed,
            ev.CallerLeft: lambda event: self._over("caller" if event.hung_up else "network"),
            ev.TimerFired: self._timer_fired,
        }

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def ended_by(self) -> str:
        """Who or what ended the call: "caller", "agent", "silence", "maximum", "fault", or ""."""
        return self._ended_by

    @property
    def achieved(self) -> frozenset[Outcome]:
        """What functions have achieved, as far as this conversation knows."""
        return frozenset(self._achieved)

    @property
    def words_lost(self) -> bool:
        """The caller has spoken, or speaks, to an agent that is gone: the next one must hear it."""
        return self._hearing.to_replay or (self._hearing.speaking and not self._ready)

    @property
    def last_words_due(self) -> bool:
        """The caller has said something that hasn't been transcribed yet."""
        return self._hearing.transcript_due

    def on(self, event: ev.Event, now: float) -> list[ev.Command]:
        """Take note of an event; what is to be done, in order."""
        self._now = now
        self._out = []
        if self._counts(event):
            self._handlers[type(event)](event)
            self._keep_company()
        return self._out

    def _counts(self, event: ev.Event) -> bool:
        if self._phase is Phase.OVER:
            return isinstance(event, _AFTER_THE_END)
        if self._ready or self._phase is Phase.OPENING:
            return True
        ours = isinstance(event, ev.AgentText) and event.item_id.startswith(ev.ANNOUNCEMENT)
        return ours or not isinstance(event, _FROM_AN_AGENT)

    def outcome(self, elsewhere: Iterable[Outcome] = ()) -> Outcome:
        """What the call came to, as far as this conversation can tell. `elsewhere`: what was
        achieved on other streams of the call."""
        return conclude(
            self._achieved.union(elsewhere),
            reason=self._because or self._ended_by,
            caller_turns=self._turns.caller_turns,
            answered=self._turns.informed,
        )

    # ------------------------------------------------------------------------- beginning

    def _caller_joined(self, event: ev.CallerJoined) -> None:
        self._joined = self._now
        self._company.join(was_cut=event.was_cut)
        self._resumed = event.resumed
        if event.resumed:
            self._turns.disclose()
        self._do(ev.StartTimer(MAXIMUM, self._rules.max_seconds))
        self._do(ev.StartTimer(OPENING, self._rules.opening_cap))
        self._open()

    def _agent_ready(self, event: ev.AgentReady) -> None:
        if self._ready:
            return
        self._ready = True
        self._greets = event.greets
        if self._phase is Phase.TALKING:
            self._take_over()
        else:
            self._open()

    def _open(self) -> None:
        if self._phase is Phase.OPENING and self._ready and self._joined is not None:
            self._phase = Phase.TALKING
            self._waiting_since = self._joined
            self._give_notes()
            if self._greets and not self._resumed:
                self._expect_agent()
            else:
                self._ask(self._first_words())

    def _first_words(self) -> ev.Say:
        return ev.Say(self._script.resume if self._resumed else self._script.greeting)

    # ------------------------------------------------------------------- the agent speaks

    def _ask(self, command: ev.Say | ev.Respond) -> None:
        """Have the agent speak."""
        assert self._ready, "nobody there who could"
        self._do(command)
        self._expect_agent()

    def _expect_agent(self) -> None:
        """The agent was asked to speak: it begins soon, or it is stuck."""
        self._agent.ask()
        self._watch_agent()

    def _watch_agent(self) -> None:
        self._agent.sign(self._now)
        self._do(ev.StopTimer(PROMPT))
        self._do(ev.StartTimer(AGENT, self._failover.patience))

    def _agent_quiet(self) -> None:
        """No sign of the agent for so long?"""
        agent = self._agent
        if self._phase is not Phase.TALKING or not agent.owes:
            return
        left = agent.patience_left(self._now, self._failover.patience, self._hearing.speaking)
        if left:
            self._do(ev.StartTimer(AGENT, left))
            return
        self._event("agent_stuck", responding=agent.responding)
        if self._failover.fail():
            self._lose_agent("agent_stuck")
            return
        if agent.responding:
            self._interrupt(cancel=True)
        self._ask(ev.Respond() if agent.sounded else self._first_words())

    def _interrupt(self, *, cancel: bool = False) -> None:
        """Silence the agent: what it says, what it makes and what it was asked for."""
        self._agent.withdraw()
        self._do(ev.Interrupt(cancel))

    def _response_started(self, _: ev.ResponseStarted) -> None:
        self._agent.begin()
        self._turns.begin_response()
        self._words_begun |= self._words_due
        self._watch_agent()

    def _agent_audio_started(self, event: ev.AgentAudioStarted) -> None:
        ours = event.item_id.startswith(ev.ANNOUNCEMENT)
        self._agent.sound(announcing=ours)
        self._hearing.sound(announcing=ours)
        self._company.sound(announcing=ours)
        self._turns.sound(event.item_id, self._now)
        self._do(ev.StopTimer(PROMPT))
        if not ours or self._phase in ENDING:
            self._words_due = False  # these were the last words
        if ours:
            return
        self._agent.sign(self._now)
        self._failover.sound()
        self._functions.told()
        self._do(ev.StopTimer(OPENING))
        if self._waiting_since is not None:
            stage = "turn" if self._turns.anything else "first_sound"
            self._latency(stage, self._now - self._waiting_since)
            self._waiting_since = None

    def _agent_text(self, event: ev.AgentText) -> None:
        self._turns.words(event.item_id, event.text, final=event.final, now=self._now)
        if not event.item_id.startswith(ev.ANNOUNCEMENT):
            self._agent.sign(self._now)

    def _response_done(self, event: ev.ResponseDone) -> None:
        agent = self._agent
        agent.end()
        if self._words_begun and not agent.audible:
            self._words_due = False  # they came to nothing
        if not agent.asked:
            self._do(ev.StopTimer(AGENT))
        if event.usage:
            self._record("usage", dict(event.usage))
        if event.status != "completed":
            self._turns.break_off()
        elif agent.spoke:
            self._failover.answer()  # not for a beginning: the next may break off there, too
        if event.status == "failed" or self._came_to_nothing(event):
            self._response_failed(event)
        self._settle()

    def _came_to_nothing(self, event: ev.ResponseDone) -> bool:
        """The model was stopped, by a filter for instance, before it said or did anything."""
        goes_on = self._agent.spoke or self._agent.asked or self._busy()
        return event.status == "incomplete" and not goes_on

    def _response_failed(self, event: ev.ResponseDone) -> None:
        self._event("response_failed", code=event.error)
        given_up = self._failover.fail()
        if self._phase is not Phase.TALKING:
            if self._words_begun and not self._agent.spoke:
                self._last_words()
        elif given_up:
            self._lose_agent("agent_failed", event.error)
        elif not self._functions.running:
            retry = self._agent.sounded or self._hearing.speaking
            self._ask(ev.Respond() if retry else self._first_words())

    def _agent_dry(self, event: ev.AgentDry) -> None:
        self._agent.run_dry(event.dry)
        if event.dry and self._agent.owes:
            self._watch_agent()

    def _agent_heard(self, event: ev.AgentHeard) -> None:
        self._agent.silent()
        for turn in self._turns.heard(event.items):
            if not (turn.cut or turn.announced):
                self._failover.spoken_of(turn.response)
            self._was_heard(turn)
        self._settle()

    def _agent_cut(self, event: ev.AgentCut) -> None:
        self._agent.silent()
        responding, over = self._agent.responding, self._phase is Phase.OVER
        for turn in self._turns.cut(event.items, responding=responding, leaving=over):
            self._was_heard(turn)
        self._introduce()

    def _introduce(self) -> None:
        """The greeting was cut short: the agent is told, before it answers, to say who it is."""
        if not self._turns.disclosed and self._phase is Phase.TALKING and self._ready:
            self._turns.disclose()
            self._tell(self._script.introduce)

    def _was_heard(self, turn: HeardTurn) -> None:
        if not self._recording and not turn.announced and self._announces_recording(turn.text):
            self._recording = True
            self._do(ev.StartRecording())
        if turn.of_a_lost_agent and turn.text:
            self._failover.said(turn.text)
            if self._ready:  # it has been told what was said; this was still on the line
                self._give_notes()
        self._record("turn", turn.data, at=turn.began)

    def _announces_recording(self, text: str) -> bool:
        """Only what was heard to its end counts: the notice is the last thing of this."""
        return bool(self._script.recording) and says(text, self._script.recording)

    def _settle(self) -> None:
        """The agent may have come to rest: act on what was waiting for that."""
        agent, functions = self._agent, self._functions
        if agent.audible or agent.responding or self._words_due:
            return
        if self._phase in ENDING:
            self._finish()
        elif functions.running:
            self._start_filler()
        elif functions.ending and not agent.asked:
            self._close(functions.ending, self._script.goodbye)
        else:
            self._silence.rest()
            self._listen()

    # ------------------------------------------------------------------ the caller speaks

    def _caller_speech_started(self, _: ev.CallerSpeechStarted) -> None:
        agent = self._agent
        self._hearing.begin(self._now)
        self._turns.caller_speaks()
        agent.excuse()
        self._forget_silence()
        self._waiting_since = None
        self._do(ev.StopTimer(FILLER))
        self._do(ev.StartTimer(TURN, self._rules.longest_turn))
        if self._final():
            return
        self._caller_goes_on()
        audible = agent.audible
        if audible or agent.responding or agent.asked:
            self._interrupt()
        if not audible:  # otherwise `AgentCut` says how much of the greeting was heard
            self._introduce()

    def _final(self) -> bool:
        """The last words are on their way, and nothing that the caller does changes it: there is
        no time left, or nobody who could go on."""
        nobody = self._phase is Phase.CLOSING and not self._ready
        return self._phase is Phase.LEAVING or self._expired or nobody

    def _caller_goes_on(self) -> None:
        """The caller has more to say: whatever was about to end the call doesn't."""
        self._functions.overtake()
        if self._phase is Phase.CLOSING:
            self._phase = Phase.TALKING
            self._because = ""
            self._words_due = False
            self._do(ev.StopTimer(GOODBYE))
            self._give_notes()  # to an agent that came during the goodbye

    def _caller_speech_stopped(self, _: ev.CallerSpeechStopped) -> None:
        self._hearing.end()
        self._caller_finished()

    def _turn_without_end(self) -> None:
        """Noise without a pause; or an agent that heard the caller begin, and has died since."""
        self._event("speech_without_end")
        self._hearing.end(presumed=True)
        self._caller_finished()

    def _caller_finished(self) -> None:
        self._waiting_since = self._now
        self._do(ev.StopTimer(TURN))
        if self._functions.running:
            self._start_filler()
        elif self._phase is Phase.TALKING and not self._agent.owes:
            self._agent.owe()
            self._watch_agent()
        self._listen()

    def _caller_said(self, event: ev.CallerSaid) -> None:
        began = self._hearing.transcribed()
        if event.text.strip():
            self._caller_turn(event.text.strip(), self._now if began is None else began)

    def _caller_turn(self, text: str, began: float) -> None:
        self._turns.caller_said(text)
        self._record("turn", {"who": "caller", "text": text}, at=began)

    def _caller_audible(self, event: ev.CallerAudible) -> None:
        """Our own ears: all there is while no agent listens, and a check on one that does."""
        hearing, ready = self._hearing, self._ready
        if event.loud:
            if hearing.rise(self._now, listening=ready):
                self._agent.excuse()  # it may hear how they go on
            if not ready and self._agent.audible and not self._final():
                self._interrupt()
        else:
            unnoticed = hearing.hush(self._now, listening=ready)
            if unnoticed is not None and self._phase is Phase.TALKING:
                self._unnoticed(unnoticed)
        if ready and hearing.speaking:
            rules = self._rules
            self._do(ev.StartTimer(TURN, rules.longest_turn if event.loud else rules.hushed_turn))

    def _unnoticed(self, seconds: float) -> None:
        """The caller was loud for so long, and the agent didn't notice."""
        hearing = self._hearing
        doubt = hearing.doubt(seconds, owes=self._agent.owes or self._agent.audible)
        if doubt is Doubt.GONE:
            self._do(ev.CheckAgent())
        elif doubt is not Doubt.NONE:
            self._event("agent_deaf", times=hearing.deaf)
            if doubt is Doubt.DEAF:
                self._lose_agent("agent_deaf")
            elif self._script.repeat:
                self._do(ev.Announce(self._script.repeat))

    def _digit_pressed(self, event: ev.DigitPressed) -> None:
        if self._final():
            return
        self._forget_silence()
        self._caller_goes_on()
        if self._agent.audible or self._agent.responding or self._agent.asked:
            self._interrupt(cancel=True)
        if event.digit != "#" or not self._digits:
            self._digits = (self._digits + event.digit)[-32:]
        if event.digit == "#":
            self._digits_entered()
        else:
            self._do(ev.StartTimer(DIGITS, self._rules.digits_pause))

    def _digits_entered(self) -> None:
        if not self._ready or self._phase is Phase.OPENING:  # nobody there to be told
            self._do(ev.StartTimer(DIGITS, self._rules.digits_pause))
            return
        keys, self._digits = self._digits, ""
        self._do(ev.StopTimer(DIGITS))
        if not keys or self._phase is not Phase.TALKING:
            return
        text = self._script.keys_pressed.replace("{keys}", " ".join(keys))
        self._caller_turn(text, self._now)
        self._waiting_since = self._now
        self._do(ev.TellAgent(text))
        self._ask(ev.Respond())

    # ------------------------------------------------------------------------- functions

    def _function_called(self, event: ev.FunctionCalled) -> None:
        agent = self._agent
        worded = agent.responding and agent.spoke
        if not self._functions.begin(event.function_call_id, worded=worded):
            return
        agent.sign(self._now)
        self._do(ev.StopTimer(PROMPT))
        self._do(ev.RunFunction(event.function_call_id, event.name, event.arguments))
        self._start_filler()

    def _function_finished(self, event: ev.FunctionFinished) -> None:
        agent, functions = self._agent, self._functions
        call = functions.finish(event.function_call_id)
        if event.effect is not None:
            self._achieved.add(event.effect)
        if self._phase is Phase.OVER:
            return  # committed all the same; the outcome counts it
        if not functions.running:
            self._do(ev.StopTimer(FILLER))
        output = json.dumps(dict(event.result), ensure_ascii=False, separators=(",", ":"))
        talking = self._phase is Phase.TALKING
        then = functions.what_follows(event, call) if talking else ""
        if call.orphaned:
            self._orphan_finished(event, output, then)
            return
        # With several functions at once, the last result lets the agent speak. (While the caller
        # speaks, the leg waits for the vendor's own answer.)
        respond = talking and not then and not functions.running
        self._do(ev.GiveResult(event.function_call_id, output, respond))
        if not then:
            self._failover.result_given(event.name, output, self._turns.responses)
        if respond:
            self._expect_agent()
        elif then == "end":
            # A model no faster than speech has been heard to its end by now.
            spoken = agent.spoke and (agent.audible or agent.responding)
            self._close(event.detail or "agent", self._script.goodbye, call.worded or spoken)
        elif then == "transfer":
            self._leave(event.detail)

    def _orphan_finished(self, event: ev.FunctionFinished, output: str, then: str) -> None:
        """Its asker is gone; the deed is done, and the agent that is there now must know."""
        self._failover.result_due(event.name, output)
        if self._ready:
            self._give_notes()
        if then == "end":
            self._close(event.detail or "agent", self._script.goodbye)
        elif then == "transfer":
            self._leave(event.detail)
        elif self._phase is Phase.TALKING and self._ready and not self._busy():
            self._ask(ev.Respond())

    def _busy(self) -> bool:
        return self._functions.running or self._hearing.speaking

    def _start_filler(self) -> None:
        self._do(ev.StartTimer(FILLER, self._functions.filler_after))

    def _fill(self) -> None:
        waiting = self._functions.running and self._ready and self._phase is Phase.TALKING
        if not waiting or self._agent.audible or self._hearing.speaking:
            return
        filler = self._functions.filler()
        if filler is not None:
            self._ask(ev.Say(filler))

    # --------------------------------------------------------------------------- silence

    def _forget_silence(self) -> None:
        self._silence.forget()
        self._do(ev.StopTimer(PROMPT))

    def _quiet(self) -> bool:
        """Nobody speaks, and it is the caller's turn."""
        agent = self._agent
        there = self._phase is Phase.TALKING and agent.sounded and self._ready
        return there and not (agent.audible or agent.owes or self._busy())

    def _listen(self) -> None:
        if self._quiet():
            self._do(ev.StartTimer(PROMPT, self._silence.lasts(self._now)))

    def _silence_lasts(self) -> None:
        silence = self._silence
        if not self._quiet() or not silence.counting:
            return
        if silence.too_long(self._now):
            self._close("silence", self._script.silence_goodbye)
        elif (words := silence.prompt()) is not None:
            self._ask(ev.Say(words))
        else:
            self._listen()

    # ----------------------------------------------------------------------------- endings

    def _close(self, because: str, words: str, spoken: bool = False) -> None:
        """Say the last words, unless the agent has, then hang up when they were heard, or at the
        cap."""
        self._begin_ending(Phase.CLOSING, because)
        self._do(ev.StopTimer(FILLER))
        if spoken:
            self._settle()
        else:
            self._say_last(words)

    def _leave(self, reason: str) -> None:
        """Say so, unless the agent does, then transfer the call."""
        self._begin_ending(Phase.LEAVING, "transfer")
        self._event("transfer_wanted", reason=reason)
        agent = self._agent
        if not (self._ready and agent.spoke and (agent.audible or agent.responding)):
            self._say_last(self._script.transfer_wait)

    def _begin_ending(self, phase: Phase, because: str) -> None:
        self._phase = phase
        self._because = because
        self._words_begun = False
        self._do(ev.StopTimer(PROMPT))
        self._do(ev.StartTimer(GOODBYE, self._rules.goodbye_cap))

    def _say_last(self, words: str) -> None:
        if self._ready:
            self._ask(ev.Say(words))
        else:
            self._do(ev.Announce(words))
        self._words_due = True

    def _last_words(self) -> None:
        """Of an agent that can't say them any more, or says nothing: they are ours. Those that it
        has said already aren't said twice."""
        said = self._agent.spoke and not self._words_due
        if self._ready:
            self._interrupt(cancel=True)
        self._agent.end()
        self._words_due = not said
        if said:
            self._settle()
        elif self._phase is Phase.LEAVING:
            self._do(ev.Announce(self._script.transfer_wait))
        else:
            maximum = self._because == "maximum"
            script = self._script
            self._do(ev.Announce(script.maximum_goodbye if maximum else script.goodbye))

    def _announcement_missing(self, _: ev.AnnouncementMissing) -> None:
        if self._phase in ENDING:
            self._words_due = False
            self._settle()

    def _finish(self) -> None:
        """The last words were heard, or aren't waited for any longer."""
        because = self._because
        if self._phase is Phase.LEAVING:
            self._over("transfer")
            self._do(ev.TransferCall(because))
        elif self._phase is Phase.CLOSING:
            self._over(because if because in ("silence", "maximum") else "agent")
            self._do(ev.HangUp(because))

    def _leave_stream(self, reason: str) -> None:
        self._over("fault")
        self._event("stream_left", reason=reason)
        self._do(ev.LeaveStream(reason))

    def _over(self, by: str) -> None:
        self._phase = Phase.OVER
        self._ended_by = by
        self._company.stop()
        for name in (PROMPT, MAXIMUM, GOODBYE, FILLER, DIGITS, OPENING, AGENT, TURN, HOLD):
            self._do(ev.StopTimer(name))

    def _time_is_up(self) -> None:
        self._expired = True
        if self._phase in (Phase.OPENING, Phase.TALKING):
            if self._phase is Phase.TALKING and self._ready:
                self._interrupt(cancel=True)
            self._close("maximum", self._script.maximum_goodbye)

    # -------------------------------------------------------------------- another agent

    def _agent_fault(self, event: ev.AgentFault) -> None:
        self._event("agent_fault", code=event.code, fatal=event.fatal)
        if event.fatal:
            self._lose_agent("agent_gone")

    def _agent_lags(self, event: ev.AgentLags) -> None:
        """It tells of words that by our own ears are over: all its answers would come as late, into
        whatever the caller says next. While they still speak, nothing is lost by waiting."""
        if not self._hearing.loud and self._phase is Phase.TALKING:
            self._event("agent_lags", ms=round(event.seconds * 1000))
            self._hearing.miss()  # the next one hears their last words anew
            self._lose_agent("agent_lags")

    def _agent_checked(self, event: ev.AgentChecked) -> None:
        if self._hearing.checking:
            if not event.alive:
                self._lose_agent("agent_gone")
            self._hearing.checked()

    def _agent_mute(self) -> None:
        """Nothing has sounded since the caller joined, or no next agent has come."""
        if not self._ready:
            self._leave_stream("no_agent")
        elif self._hearing.speaking:
            self._do(ev.StartTimer(OPENING, self._rules.opening_cap))
        else:
            self._lose_agent("agent_mute")

    def _lose_agent(self, reason: str, code: str = "") -> None:
        """The agent is gone, stuck or deaf: the ladder's next one takes over, on this stream."""
        agent = self._agent
        responding = agent.responding
        agent.lose()
        if self._phase in ENDING:
            self._ready = False
            if self._words_due or (responding and not agent.spoke):
                self._last_words()  # behind what is still on the line
            else:
                self._settle()
            return
        self._words_due = False
        if not self._ready or not self._failover.lose_agent():
            self._leave_stream(reason)
            return
        self._ready = False
        self._functions.orphan()
        self._turns.lose_agent()
        if responding:
            self._turns.break_off()
        self._hearing.lose_agent()
        for timer in (PROMPT, FILLER, AGENT, TURN):
            self._do(ev.StopTimer(timer))
        self._event("agent_lost", reason=reason)
        self._do(ev.ChangeAgent(reason, code))
        self._do(ev.StartTimer(OPENING, self._rules.opening_cap))
        if agent.sounded and not self._hearing.speaking:
            self._hold()  # behind what is still on the line, where the agent broke off

    def _take_over(self) -> None:
        """The next agent is there: it knows what was said, and goes on from there."""
        sounded = self._agent.sounded
        replayed = self._hearing.take_over()
        if sounded:
            self._do(ev.StopTimer(OPENING))
        self._give_notes()
        if replayed:  # it will hear for itself
            self._agent.owe()
            self._watch_agent()
        elif self._functions.running:
            self._start_filler()
        elif not sounded:
            self._ask(self._first_words())
        else:  # where the last one broke off
            answers = self._turns.last_was_caller
            self._ask(ev.Respond() if answers else ev.Say(self._script.resume))

    def _give_notes(self) -> None:
        """What an agent that is lost before it has spoken of them leaves to the next."""
        if self._failover.has_results:
            self._turns.answer_due()
        for note in self._failover.notes(self._turns.responses):
            self._tell(note)

    def _tell(self, note: str) -> None:
        """Put a note of ours before the agent."""
        self._do(ev.TellAgent(note, role="system"))

    # --------------------------------------------------------------- lines of our own

    def _keep_company(self) -> None:
        """Rule 7: see that a line of ours is due whenever the agent's turn has no sound."""
        alone = self._caller_is_alone()
        if alone is self._company.waiting:
            return
        if alone:
            after = self._company.wait(self._hearing.hushed_for(self._now))
            self._do(ev.StartTimer(HOLD, after))
        else:
            self._company.stop()
            self._do(ev.StopTimer(HOLD))

    def _caller_is_alone(self) -> bool:
        """It is the agent's turn, and nothing is to be heard. Into what our own ears hear nothing
        is said either; if it is noise, they get used to it."""
        if self._agent.sounds or self._joined is None:
            return False
        if self._hearing.speaking or (self._hearing.loud and self._ready):
            return False
        if self._phase in ENDING:
            return self._ready and (self._words_due or self._agent.responding)
        if self._phase is Phase.OVER:
            return False
        return not self._ready or self._agent.owes or self._functions.running

    def _hold(self) -> None:
        """A line of our own, another one each time."""
        self._company.stop()
        if self._phase in ENDING:
            self._last_words()
        elif (line := self._company.line()) is not None:
            self._do(ev.Announce(line))
            if self._functions.running:
                self._functions.bridged()

    # ----------------------------------------------------------------------------- timers

    def _timer_fired(self, event: ev.TimerFired) -> None:
        fired: Mapping[str, Callable[[], None]] = {
            PROMPT: self._silence_lasts,
            FILLER: self._fill,
            DIGITS: self._digits_entered,
            GOODBYE: self._finish,
            OPENING: self._agent_mute,
            AGENT: self._agent_quiet,
            TURN: self._turn_without_end,
            HOLD: self._hold,
            MAXIMUM: self._time_is_up,
        }
        fired[event.name]()

    # ----------------------------------------------------------------------------- small

    def _do(self, command: ev.Command) -> None:
        self._out.append(command)

    def _record(self, kind: str, data: Mapping[str, Any], at: float | None = None) -> None:
        self._do(ev.Record(kind, data, self._now if at is None else at))

    def _event(self, name: str, **more: Any) -> None:
        self._record("event", {"name": name, **more})

    def _latency(self, stage: str, seconds: float) -> None:
        self._record("latency", {"stage": stage, "ms": round(seconds * 1000, 1)})
