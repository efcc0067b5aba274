"""The heart of a call, event by event."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.outcome import Outcome
from voice import events as ev
from voice.call import Call, Phase, Rules, Script
from voice.conclusion import conclude, first_words

SCRIPT = Script(
    greeting="Garage du Port, bonjour ! Je suis une IA. Que puis-je faire pour vous ?",
    disclosure="Garage du Port, bonjour ! Je suis une IA.",
    resume="Excusez-moi, nous avons été coupés.",
    silence_prompts=("Êtes-vous là ?", "Je ne vous entends pas."),
    silence_goodbye="Je raccroche, au revoir.",
    fillers=("Un instant.", "Encore un instant."),
    goodbye="Merci, au revoir.",
    maximum_goodbye="Je dois vous laisser.",
    transfer_wait="Je vous passe quelqu'un.",
    keys_pressed="[Touches : {keys}]",
    introduce="[Dis que tu es une IA.]",
    holds=("Un instant, s'il vous plaît.", "Je suis toujours là."),
    repeat="Pardon, pouvez-vous répéter ?",
    function_note="[{name} : {result}]",
    said_note="[Dit : {text}]",
)


class Line:
    """A call under test, with its clock and what it was told to do."""

    def __init__(
        self,
        *,
        resumed: bool = False,
        was_cut: bool = False,
        achieved: tuple[Outcome, ...] = (),
        script: Script = SCRIPT,
    ) -> None:
        self.call = Call(script, Rules(), achieved)
        self.now = 100.0
        self.done: list[ev.Command] = []
        self.timers: dict[str, float] = {}
        self.on(ev.CallerJoined(resumed, was_cut))

    def on(self, event: ev.Event, after: float = 0.0) -> list[ev.Command]:
        self.now += after
        commands = self.call.on(event, self.now)
        for command in commands:
            if isinstance(command, ev.StartTimer):
                self.timers[command.name] = self.now + command.seconds
            elif isinstance(command, ev.StopTimer):
                self.timers.pop(command.name, None)
        self.done += commands
        return commands

    def fire(self, name: str) -> list[ev.Command]:
        """Let time pass until this timer."""
        self.now = self.timers.pop(name)
        return self.on(ev.TimerFired(name))

    def said(self, commands: list[ev.Command]) -> list[str]:
        return [command.text for command in commands if isinstance(command, ev.Say)]

    def agent_begins(self, text: str, item: str = "i2", response: str = "r") -> None:
        self.on(ev.ResponseStarted(response))
        self.on(ev.AgentText(item, text))
        self.on(ev.AgentAudioStarted(item))

    def agent_speaks(self, text: str, item: str = "i1", *, heard: bool = True) -> None:
        self.agent_begins(text, item)
        self.on(ev.ResponseDone("r", "completed"))
        if heard:
            self.on(ev.AgentHeard(((item, 2000.0),)), after=2.0)

    def announced(self) -> None:
        """The line of ours that was ordered last has been heard."""
        last = [each.text for each in self.done if isinstance(each, ev.Announce)][-1]
        item = f"{ev.ANNOUNCEMENT}9"
        self.on(ev.AgentText(item, last, final=True))
        self.on(ev.AgentAudioStarted(item))
        self.on(ev.AgentHeard(((item, 2000.0),)), after=2.0)

    def caller_speaks(self, text: str) -> None:
        self.on(ev.CallerSpeechStarted())
        self.on(ev.CallerSpeechStopped(), after=1.0)
        self.on(ev.CallerSaid("c", text))

    def turns(self) -> list[tuple[str, str]]:
        return [
            (command.data["who"], command.data["text"])
            for command in self.done
            if isinstance(command, ev.Record) and command.kind == "turn"
        ]


def talking() -> Line:
    line = Line()
    line.on(ev.AgentReady())
    line.agent_speaks(SCRIPT.greeting)
    return line


def test_greets_once_both_are_there_whoever_comes_first() -> None:
    line = Line()
    assert line.said(line.on(ev.AgentReady())) == [SCRIPT.greeting]
    assert line.said(line.on(ev.AgentReady())) == []


def test_a_resumed_call_is_not_greeted_again() -> None:
    line = Line(resumed=True)
    assert line.said(line.on(ev.AgentReady())) == [SCRIPT.resume]


def test_a_mute_agent_is_left_at_the_cap() -> None:
    line = Line()
    line.on(ev.AgentReady())
    assert ev.ChangeAgent("agent_mute") in line.fire("opening")


def test_the_transcript_holds_what_was_heard() -> None:
    line = talking()
    line.caller_speaks("Bonjour")
    line.agent_speaks("Un deux trois quatre", "i2", heard=False)
    line.on(ev.CallerSpeechStarted(), after=0.5)
    line.on(ev.AgentCut((("i2", 1000.0, 2000.0),)))
    assert line.turns()[-1] == ("agent", "Un deux")


def test_an_item_of_which_nothing_was_heard_is_no_turn() -> None:
    line = talking()
    line.agent_speaks("Jamais entendu", "i2", heard=False)
    line.on(ev.AgentCut((("i2", 0.0, 2000.0),)))
    assert len(line.turns()) == 1


def test_barge_in_silences_the_agent_without_cancelling_what_the_vendor_cancels() -> None:
    line = talking()
    line.agent_speaks("Une longue phrase", "i2", heard=False)
    assert ev.Interrupt(cancel=False) in line.on(ev.CallerSpeechStarted())


def test_no_interruption_when_the_agent_is_silent() -> None:
    line = talking()
    assert not any(isinstance(c, ev.Interrupt) for c in line.on(ev.CallerSpeechStarted()))


def test_a_greeting_cut_short_is_made_good_by_a_note_to_the_agent() -> None:
    line = Line()
    line.on(ev.AgentReady())
    line.agent_speaks(SCRIPT.greeting, heard=False)
    line.on(ev.CallerSpeechStarted())
    cut = line.on(ev.AgentCut((("i1", 400.0, 4000.0),)))
    assert ev.TellAgent(SCRIPT.introduce, role="system") in cut
    assert not any(isinstance(c, ev.TellAgent) for c in line.on(ev.CallerSpeechStopped()))


def test_a_greeting_that_never_began_is_made_good_too() -> None:
    line = Line()
    line.on(ev.AgentReady())
    line.on(ev.ResponseStarted("r"))
    spoke = line.on(ev.CallerSpeechStarted())
    assert ev.Interrupt() in spoke
    assert ev.TellAgent(SCRIPT.introduce, role="system") in spoke


@pytest.mark.parametrize("heard_ms", [4000.0, 3600.0, 2600.0])
def test_a_greeting_of_which_enough_was_heard_needs_no_note(heard_ms: float) -> None:
    line = Line()
    line.on(ev.AgentReady())
    line.agent_speaks(SCRIPT.greeting, heard=False)
    line.on(ev.CallerSpeechStarted())
    cut = line.on(ev.AgentCut((("i1", heard_ms, 4000.0),)))
    assert not any(isinstance(command, ev.TellAgent) for command in cut)


def test_silence_prompts_twice_then_goodbye_at_25_seconds() -> None:
    line = talking()
    began = line.now
    assert line.timers["silence"] == began + 8
    for prompt in SCRIPT.silence_prompts:
        assert line.said(line.fire("silence")) == [prompt]
        line.agent_speaks(prompt, prompt)
    assert line.timers["silence"] == began + 25
    assert line.said(line.fire("silence")) == [SCRIPT.silence_goodbye]
    line.agent_speaks(SCRIPT.silence_goodbye, "bye")
    assert line.done[-1] == ev.HangUp("silence")
    assert line.call.outcome() is Outcome.ABANDONED


def test_speech_forgets_the_silence() -> None:
    line = talking()
    line.fire("silence")
    line.agent_speaks(SCRIPT.silence_prompts[0], "p1")
    line.caller_speaks("Oui, pardon")
    line.agent_speaks("Je vous écoute", "i3")
    assert line.timers["silence"] == line.now + 8
    assert line.said(line.fire("silence")) == [SCRIPT.silence_prompts[0]]


def test_no_silence_while_a_function_runs() -> None:
    line = talking()
    line.on(ev.FunctionCalled("f1", "check_availability", "{}"))
    assert "silence" not in line.timers


def test_a_slow_function_is_bridged_by_a_filler_and_then_another() -> None:
    line = talking()
    line.on(ev.FunctionCalled("f1", "book_appointment", "{}"))
    assert line.timers["filler"] == line.now + 1.2
    assert line.said(line.fire("filler")) == [SCRIPT.fillers[0]]
    line.agent_speaks(SCRIPT.fillers[0], "f")
    assert line.said(line.fire("filler")) == [SCRIPT.fillers[1]]
    line.agent_speaks(SCRIPT.fillers[1], "g")
    assert line.said(line.fire("filler")) == []


def test_a_function_runs_once_and_its_result_lets_the_agent_speak() -> None:
    line = talking()
    called = ev.FunctionCalled("f1", "check_availability", '{"date":"2026-11-24"}')
    assert ev.RunFunction("f1", called.name, called.arguments) in line.on(called)
    assert line.on(called) == []
    result = {"slots": [], "note": "fermé"}
    given = line.on(ev.FunctionFinished("f1", called.name, result))
    assert (
        ev.GiveResult("f1", json.dumps(result, ensure_ascii=False, separators=(",", ":")), True)
        in given
    )


def test_of_two_functions_the_last_result_lets_the_agent_speak() -> None:
    line = talking()
    line.on(ev.FunctionCalled("f1", "check_availability", "{}"))
    line.on(ev.FunctionCalled("f2", "qualify_prospect", "{}"))
    first = line.on(ev.FunctionFinished("f1", "check_availability", {}))
    last = line.on(ev.FunctionFinished("f2", "qualify_prospect", {}))
    assert [c.respond for c in first + last if isinstance(c, ev.GiveResult)] == [False, True]


def test_an_interruption_does_not_take_a_function_back() -> None:
    line = talking()
    line.on(ev.FunctionCalled("f1", "book_appointment", "{}"))
    line.on(ev.CallerSpeechStarted())
    given = line.on(
        ev.FunctionFinished("f1", "book_appointment", {"status": "booked"}, Outcome.BOOKED)
    )
    assert [c.respond for c in given if isinstance(c, ev.GiveResult)] == [True]
    assert not any(isinstance(c, ev.Interrupt) for c in given)
    assert line.call.outcome() is Outcome.BOOKED


def test_an_effect_that_commits_after_the_hang_up_still_counts() -> None:
    line = talking()
    line.on(ev.FunctionCalled("f1", "book_appointment", "{}"))
    line.on(ev.CallerLeft(True))
    assert line.on(ev.FunctionFinished("f1", "book_appointment", {}, Outcome.BOOKED)) == []
    assert line.call.outcome() is Outcome.BOOKED


def end_call(line: Line, detail: str = "done") -> list[ev.Command]:
    line.on(ev.FunctionCalled("e1", "end_call", "{}"))
    return line.on(ev.FunctionFinished("e1", "end_call", {"status": "ending"}, None, "end", detail))


def test_the_goodbye_is_heard_before_the_hang_up() -> None:
    line = talking()
    line.caller_speaks("C'est tout, merci")
    assert line.said(end_call(line)) == [SCRIPT.goodbye]
    line.on(ev.ResponseDone("earlier", "completed"))  # the response that called the function
    assert line.call.phase is Phase.CLOSING
    line.agent_speaks(SCRIPT.goodbye, "bye")
    assert line.done[-1] == ev.HangUp("done")
    assert line.call.ended_by == "agent"
    assert line.call.outcome() is Outcome.INFORMED


def test_an_agent_that_has_said_goodbye_is_not_made_to_say_it_twice() -> None:
    line = talking()
    line.on(ev.ResponseStarted("r2"))
    line.on(ev.AgentText("i2", "Au revoir !"))
    line.on(ev.AgentAudioStarted("i2"))
    assert line.said(end_call(line)) == []
    line.on(ev.ResponseDone("r2", "completed"))
    assert ev.HangUp("done") in line.on(ev.AgentHeard((("i2", 900.0),)))


@pytest.mark.parametrize("done", [True, False])
def test_a_goodbye_heard_before_its_function_returns_is_not_said_again(done: bool) -> None:
    line = talking()  # the model is no faster than speech: its last word has just been heard
    line.on(ev.ResponseStarted("r2"))
    line.on(ev.AgentText("i2", "Au revoir !"))
    line.on(ev.AgentAudioStarted("i2"))
    line.on(ev.FunctionCalled("e", "end_call", "{}"))
    if done:
        line.on(ev.ResponseDone("r2", "completed"))
        line.on(ev.AgentHeard((("i2", 900.0),)))
    else:
        line.on(ev.AgentHeard((("i2", 900.0),)))
        line.on(ev.ResponseDone("r2", "completed"))
    ending = line.on(ev.FunctionFinished("e", "end_call", {}, None, "end", "done"))
    assert line.said(ending) == []
    assert ending[-1] == ev.HangUp("done")


def test_a_silent_end_after_an_earlier_goodbye_is_not_wordless() -> None:
    line = talking()
    line.agent_speaks("Au revoir !", "i2")
    line.caller_speaks("Au revoir")
    line.on(ev.ResponseStarted("r3"))
    assert line.said(end_call(line)) == [SCRIPT.goodbye]


def test_a_goodbye_that_is_never_heard_is_capped() -> None:
    line = talking()
    end_call(line)
    assert line.timers["goodbye"] == line.now + 10
    assert ev.HangUp("done") in line.fire("goodbye")


def test_a_caller_who_speaks_into_the_goodbye_keeps_the_line() -> None:
    line = talking()
    end_call(line)
    line.on(ev.ResponseStarted("r2"))
    line.on(ev.AgentAudioStarted("bye"))
    assert ev.Interrupt() in line.on(ev.CallerSpeechStarted())
    assert line.call.phase is Phase.TALKING
    assert "goodbye" not in line.timers


def test_the_maximum_is_final() -> None:
    line = talking()
    assert line.said(line.fire("maximum")) == [SCRIPT.maximum_goodbye]
    line.on(ev.CallerSpeechStarted())
    assert line.call.phase is Phase.CLOSING
    assert ev.HangUp("maximum") in line.fire("goodbye")


def test_transfer_waits_for_its_sentence() -> None:
    line = talking()
    line.on(ev.FunctionCalled("t", "transfer_call", "{}"))
    said = line.on(ev.FunctionFinished("t", "transfer_call", {}, None, "transfer", "humain"))
    assert line.said(said) == [SCRIPT.transfer_wait]
    line.agent_speaks(SCRIPT.transfer_wait, "tw")
    assert isinstance(line.done[-1], ev.TransferCall)
    assert line.call.ended_by == "transfer"


def test_a_dead_agent_is_replaced_and_the_stream_left_when_there_is_no_other() -> None:
    line = talking()
    assert ev.ChangeAgent("agent_gone") in line.on(ev.AgentGone("1006"))
    assert ev.LeaveStream("unreachable") in line.on(ev.NoAgentLeft("unreachable"))
    assert line.call.ended_by == "fault"


def test_an_agent_that_dies_in_the_goodbye_ends_the_call() -> None:
    line = talking()
    end_call(line)
    assert ev.Announce(SCRIPT.goodbye) in line.on(ev.AgentGone("1006"))
    assert line.call.phase is Phase.CLOSING
    line.announced()
    assert line.done[-1] == ev.HangUp("done")


def test_last_words_that_nobody_can_say_hold_nobody_up() -> None:
    line = talking()
    end_call(line)
    line.on(ev.AgentGone("1006"))
    assert ev.HangUp("done") in line.on(ev.AnnouncementMissing())


def test_an_agent_that_says_no_goodbye_is_not_waited_for() -> None:
    line = talking()
    end_call(line)
    assert ev.Announce(SCRIPT.goodbye) in line.fire("hold")
    line.announced()
    assert line.done[-1] == ev.HangUp("done")


def test_a_model_that_fails_twice_in_a_row_is_left() -> None:
    line = talking()
    failed = ev.ResponseDone("r", "failed", error="rate_limit_exceeded")
    assert ev.Respond() in line.on(failed)
    assert ev.ChangeAgent("agent_failed", "rate_limit_exceeded") in line.on(failed)


def test_a_model_that_is_stopped_before_its_first_word_has_failed() -> None:
    line = talking()
    line.caller_speaks("Bonjour")
    line.on(ev.ResponseStarted("r2"))
    filtered = ev.ResponseDone("r2", "incomplete", error="content_filter")
    assert ev.Respond() in line.on(filtered)
    line.on(ev.ResponseStarted("r3"))
    assert ev.ChangeAgent("agent_failed", "content_filter") in line.on(filtered)


def test_an_answer_cut_off_at_the_limit_of_tokens_is_an_answer() -> None:
    line = talking()
    line.caller_speaks("Bonjour")
    line.on(ev.ResponseStarted("r2"))
    line.on(ev.AgentText("i2", "Alors"))
    line.on(ev.AgentAudioStarted("i2"))
    done = line.on(ev.ResponseDone("r2", "incomplete", error="max_output_tokens"))
    assert ev.Respond() not in done


def test_a_response_stopped_after_its_function_waits_for_the_result() -> None:
    line = talking()
    line.on(ev.ResponseStarted("r2"))
    line.on(ev.FunctionCalled("f", "check_availability", "{}"))
    done = line.on(ev.ResponseDone("r2", "incomplete", error="max_output_tokens"))
    assert ev.Respond() not in done


def test_keys_reach_the_agent_as_one_turn() -> None:
    line = talking()
    for key in "12":
        line.on(ev.DigitPressed(key))
    commands = line.fire("digits")
    assert ev.TellAgent("[Touches : 1 2]") in commands
    assert ev.Respond() in commands
    assert line.turns()[-1] == ("caller", "[Touches : 1 2]")


def test_hash_ends_the_keys_at_once() -> None:
    line = talking()
    line.on(ev.DigitPressed("7"))
    assert ev.TellAgent("[Touches : 7]") in line.on(ev.DigitPressed("#"))


def test_a_key_interrupts_and_cancels() -> None:
    line = talking()
    line.agent_speaks("Une longue phrase", "i2", heard=False)
    assert ev.Interrupt(cancel=True) in line.on(ev.DigitPressed("1"))


def test_latencies_are_measured() -> None:
    line = talking()
    line.caller_speaks("Bonjour")
    line.on(ev.ResponseStarted("r2"))
    line.on(ev.AgentAudioStarted("i2"), after=0.4)
    latencies = [c.data for c in line.done if isinstance(c, ev.Record) and c.kind == "latency"]
    assert latencies == [{"stage": "first_sound", "ms": 0.0}, {"stage": "turn", "ms": 400.0}]


def test_after_the_end_nothing_is_done_any_more() -> None:
    line = talking()
    line.on(ev.CallerLeft(True))
    assert line.on(ev.CallerSpeechStarted()) == []
    assert line.on(ev.TimerFired("silence")) == []


@pytest.mark.parametrize(
    ("achieved", "reason", "turns", "answered", "outcome"),
    [
        ([Outcome.TICKET, Outcome.BOOKED], "silence", 3, False, Outcome.BOOKED),
        ([], "wrong_number", 1, True, Outcome.WRONG_NUMBER),
        ([], "fault", 1, True, Outcome.FAILED),
        ([], "done", 2, True, Outcome.INFORMED),
        ([], "caller", 2, False, Outcome.ABANDONED),
        ([], "caller", 0, True, Outcome.ABANDONED),
        ([Outcome.MESSAGE], "fault", 1, True, Outcome.MESSAGE),
    ],
)
def test_conclude(
    achieved: list[Outcome], reason: str, turns: int, answered: bool, outcome: Outcome
) -> None:
    assert conclude(achieved, reason=reason, caller_turns=turns, answered=answered) is outcome


def test_a_caller_who_says_thanks_and_hangs_up_was_informed() -> None:
    line = talking()
    line.caller_speaks("Quels sont vos horaires ?")
    line.agent_speaks("De neuf heures à dix-huit heures.", "i2")
    line.caller_speaks("Merci, au revoir")
    line.on(ev.CallerLeft(True))
    assert line.call.outcome() is Outcome.INFORMED


def test_a_caller_who_hangs_up_in_the_middle_abandoned() -> None:
    line = talking()
    line.caller_speaks("Je voudrais un rendez-vous")
    line.agent_speaks("Bien sûr, quel jour", "i2", heard=False)
    line.on(ev.AgentCut((("i2", 300.0, 2000.0),)))
    line.on(ev.CallerLeft(True))
    assert line.call.outcome() is Outcome.ABANDONED


@given(st.text(max_size=200), st.floats(0, 1))
def test_first_words_is_a_prefix_of_the_words(text: str, share: float) -> None:
    words = first_words(text, share).split()
    assert words == text.split()[: len(words)]


EVENTS = st.one_of(
    st.builds(ev.AgentReady),
    st.builds(ev.AgentAudioStarted, st.sampled_from(["a", "b", "announcement-1"])),
    st.builds(ev.CallerAudible, st.booleans()),
    st.builds(ev.NoAgentLeft, st.just("unreachable")),
    st.just(ev.AgentHeard((("announcement-1", 900.0),))),
    st.builds(lambda i, ms: ev.AgentHeard(((i, ms),)), st.sampled_from("ab"), st.floats(0, 5000)),
    st.builds(
        lambda i, ms: ev.AgentCut(((i, min(ms, 900.0), 900.0),)),
        st.sampled_from("ab"),
        st.floats(0, 5000),
    ),
    st.builds(ev.CallerSpeechStarted),
    st.builds(ev.CallerSpeechStopped),
    st.builds(ev.CallerSaid, st.just("c"), st.text(max_size=10)),
    st.builds(ev.ResponseStarted, st.just("r")),
    st.builds(ev.AgentText, st.sampled_from("ab"), st.text(max_size=10), st.booleans()),
    st.builds(ev.ResponseDone, st.just("r"), st.sampled_from(["completed", "failed", "cancelled"])),
    st.builds(ev.FunctionCalled, st.sampled_from("xy"), st.just("end_call"), st.just("{}")),
    st.builds(
        ev.FunctionFinished,
        st.sampled_from("xy"),
        st.just("f"),
        st.just({}),
        st.sampled_from([None, Outcome.BOOKED]),
        st.sampled_from(["", "end", "transfer"]),
    ),
    st.builds(ev.AgentFault, st.just("code"), st.just("message"), st.booleans()),
    st.builds(ev.AgentGone, st.just("gone")),
    st.builds(ev.DigitPressed, st.sampled_from("0123456789*#")),
    st.builds(ev.CallerLeft, st.booleans()),
    st.builds(
        ev.TimerFired,
        st.sampled_from(
            "silence maximum goodbye filler digits opening agent turn hold".split(),
        ),
    ),
)


@given(st.lists(st.tuples(EVENTS, st.floats(0, 30)), max_size=60))
def test_whatever_happens_in_whatever_order(happenings: list[tuple[ev.Event, float]]) -> None:
    """Never raises; ends at most once; never speaks after the end; always has an outcome."""
    line = Line()
    for event, after in happenings:
        was_over = line.call.phase is Phase.OVER
        commands = line.on(event, after)
        if was_over:
            assert all(isinstance(command, ev.Record) for command in commands)
    ends = [c for c in line.done if isinstance(c, ev.HangUp | ev.TransferCall | ev.LeaveStream)]
    assert len(ends) <= 1
    assert line.call.outcome() in Outcome
    if line.call.phase in (Phase.CLOSING, Phase.LEAVING):
        assert "goodbye" in line.timers, "rule 2: whatever we wait for has a timer beside it"


NOTICE = "Cet appel est enregistré ; dites « je refuse l'enregistrement » et il ne le sera pas."
RECORDED = replace(
    SCRIPT,
    greeting=f"Garage du Port, bonjour ! Je suis une IA. {NOTICE} Que puis-je faire pour vous ?",
    recording=NOTICE,
)


def _recorded(heard_ms: float, script: Script = RECORDED) -> list[ev.Command]:
    """What is done when so much of 6 s of greeting was heard."""
    line = Line(script=script)
    line.on(ev.AgentReady())
    line.agent_speaks(script.greeting, heard=False)
    line.on(ev.CallerSpeechStarted())
    line.on(ev.AgentCut((("i1", heard_ms, 6000.0),)))
    return [each for each in line.done if isinstance(each, ev.StartRecording)]


def test_recording_begins_once_the_notice_was_heard_and_only_once() -> None:
    line = Line(script=RECORDED)
    line.on(ev.AgentReady())
    assert ev.StartRecording() not in line.done
    line.agent_speaks(RECORDED.greeting.replace("«", "").replace("»", "").upper())
    line.agent_speaks(f"Comme je disais : {NOTICE}", "i2")
    assert line.done.count(ev.StartRecording()) == 1


def test_a_notice_that_was_cut_records_nothing() -> None:
    assert _recorded(2500.0) == []
    assert _recorded(6000.0) == [ev.StartRecording()]
    assert _recorded(6000.0, SCRIPT) == []


def test_a_caller_who_repeats_the_notice_begins_nothing() -> None:
    line = Line(script=replace(RECORDED, greeting=SCRIPT.greeting))
    line.on(ev.AgentReady())
    line.agent_speaks(SCRIPT.greeting)
    line.caller_speaks(NOTICE)
    assert ev.StartRecording() not in line.done
