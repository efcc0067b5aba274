"""An agent that is late, deaf, stuck or gone: the caller is kept company, and the next goes on."""

import pytest

from domain.outcome import Outcome
from tests.voice.test_call import SCRIPT, Line, talking
from voice import events as ev
from voice.call import Phase, Rules

RULES = Rules()
HOLD_1, HOLD_2 = SCRIPT.holds


def announced(commands: list[ev.Command]) -> list[str]:
    return [command.text for command in commands if isinstance(command, ev.Announce)]


def plays(line: Line, text: str, number: int = 1) -> None:
    """Our own line sounds and is heard."""
    item = f"announcement-{number}"
    line.on(ev.AgentText(item, text, final=True))
    line.on(ev.AgentAudioStarted(item))
    line.on(ev.AgentHeard(((item, 1200.0),)), after=1.2)


def asks(line: Line, text: str = "Vous êtes ouverts demain ?") -> None:
    line.on(ev.CallerSpeechStarted())
    line.on(ev.CallerSpeechStopped(), after=1.0)
    line.on(ev.CallerSaid("c", text))


# --------------------------------------------------------------------------- company


def test_an_agent_that_is_late_is_bridged_by_a_line_of_our_own() -> None:
    line = talking()
    asks(line)
    stopped = line.now
    assert announced(line.fire("hold")) == [HOLD_1]
    assert line.now - stopped <= 1.8
    plays(line, HOLD_1)
    assert announced(line.fire("hold")) == [HOLD_2]
    plays(line, HOLD_2, 2)
    assert announced(line.fire("hold")) == [HOLD_2], "the last one again"


def test_an_agent_that_is_in_time_is_left_alone() -> None:
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"), after=0.6)
    line.on(ev.AgentAudioStarted("i2"), after=0.4)
    assert "hold" not in line.timers
    assert not announced(line.done)


def test_a_function_that_takes_long_is_no_silence_either() -> None:
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"))
    line.on(ev.FunctionCalled("f1", "check_availability", "{}"))
    line.on(ev.ResponseDone("r", "completed"))
    assert announced(line.fire("hold")) == [HOLD_1]


def test_our_line_answers_nothing() -> None:
    line = talking()
    asks(line)
    line.fire("hold")
    plays(line, HOLD_1)
    line.on(ev.CallerLeft(True))
    assert line.call.outcome() is Outcome.ABANDONED
    assert ("agent", HOLD_1) in line.turns()


def test_the_callers_silence_is_not_ours_to_fill() -> None:
    line = talking()
    assert "hold" not in line.timers, "it is the caller's turn"
    line.on(ev.CallerSpeechStarted())
    assert "hold" not in line.timers


def test_an_agent_that_never_comes_is_waited_for_with_company() -> None:
    line = Line()
    assert announced(line.fire("hold")) == [HOLD_1]


def test_after_a_stream_that_broke_the_line_is_not_silent_again() -> None:
    line = Line()
    assert line.timers["hold"] == line.now + RULES.hold_after, "nobody has waited yet"
    line = Line(resumed=True)
    assert line.timers["hold"] == line.now + RULES.hold_after, "a transfer that failed"
    line = Line(resumed=True, was_cut=True)
    joined = line.now
    assert announced(line.fire("hold")) == [HOLD_1]
    assert line.now - joined == pytest.approx(RULES.hold_after_cut)
    assert line.said(line.on(ev.AgentReady())) == [SCRIPT.resume], "behind it"
    plays(line, HOLD_1)
    assert line.timers["hold"] == line.now + RULES.hold_after


def test_an_agent_that_sounds_at_once_needs_no_company_after_a_break() -> None:
    line = Line(resumed=True, was_cut=True)
    line.on(ev.AgentReady())
    line.on(ev.ResponseStarted("r"))
    line.on(ev.AgentAudioStarted("i1"), after=0.05)
    assert "hold" not in line.timers
    assert not announced(line.done)


# -------------------------------------------------------------------------- the change


def test_who_breaks_off_is_replaced_at_once_and_excused() -> None:
    line = talking()
    asks(line)
    line.agent_speaks("Oui, de neuf heures à", "i2", heard=False)
    gone = line.on(ev.AgentGone("1006"))
    assert ev.ChangeAgent("agent_gone") in gone
    assert announced(gone) == [HOLD_1]
    line.on(ev.AgentHeard((("i2", 900.0), ("announcement-1", 1200.0))), after=2)
    assert line.said(line.on(ev.AgentReady())) == [SCRIPT.resume]


def test_a_question_that_was_understood_is_answered_by_the_next() -> None:
    line = talking()
    asks(line)
    line.on(ev.AgentGone("1006"))
    assert not line.call.words_lost
    assert ev.Respond() in line.on(ev.AgentReady())


def test_a_question_that_nobody_understood_is_played_to_the_next() -> None:
    line = talking()
    line.on(ev.CallerSpeechStarted())
    line.on(ev.CallerSpeechStopped(), after=1)
    line.on(ev.AgentGone("1006"))  # before it was transcribed
    assert line.call.words_lost
    ready = line.on(ev.AgentReady())
    assert not any(isinstance(c, ev.Say | ev.Respond) for c in ready), "it hears for itself"
    assert {"agent", "hold"} <= line.timers.keys()


def test_nothing_is_said_into_the_words_of_a_caller_whose_agent_has_gone() -> None:
    line = talking()
    line.on(ev.CallerAudible(True))
    line.on(ev.CallerSpeechStarted())
    gone = line.on(ev.AgentGone("1006"))
    assert announced(gone) == []
    assert "hold" not in line.timers
    line.on(ev.CallerAudible(False), after=2)
    assert line.call.words_lost
    assert announced(line.fire("hold")) == [HOLD_1]


def test_who_speaks_into_our_line_silences_it() -> None:
    line = talking()
    line.on(ev.AgentGone("1006"))
    line.on(ev.AgentAudioStarted("announcement-1"))
    assert ev.Interrupt() in line.on(ev.CallerAudible(True))


def test_a_deed_of_the_last_agent_is_told_to_the_next() -> None:
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"))
    line.on(ev.FunctionCalled("f1", "book_appointment", "{}"))
    line.on(ev.AgentGone("1006"))
    finished = ev.FunctionFinished("f1", "book_appointment", {"status": "booked"}, Outcome.BOOKED)
    assert not any(isinstance(c, ev.GiveResult) for c in line.on(finished))
    ready = line.on(ev.AgentReady())
    note = '[book_appointment : {"status":"booked"}]'
    assert ready.index(ev.TellAgent(note, role="system")) < ready.index(ev.Respond())
    assert line.call.outcome() is Outcome.BOOKED


def test_a_deed_that_ends_after_the_next_has_come_is_told_too() -> None:
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"))
    line.on(ev.FunctionCalled("f1", "book_appointment", "{}"))
    line.on(ev.AgentGone("1006"))
    assert not any(isinstance(c, ev.Respond) for c in line.on(ev.AgentReady()))
    told = line.on(ev.FunctionFinished("f1", "book_appointment", {"status": "booked"}))
    assert [type(c) for c in told if isinstance(c, ev.TellAgent | ev.Respond | ev.GiveResult)] == [
        ev.TellAgent,
        ev.Respond,
    ]


def test_what_a_lost_agent_still_reports_counts_no_more() -> None:
    line = talking()
    line.on(ev.AgentGone("1006"))
    for event in (
        ev.ResponseStarted("r"),
        ev.ResponseDone("r", "failed"),
        ev.FunctionCalled("f", "end_call", "{}"),
        ev.AgentGone("again"),
    ):
        assert line.on(event) == []


def test_no_agent_left_means_another_stream() -> None:
    line = talking()
    line.on(ev.AgentGone("1006"))
    assert ev.LeaveStream("no_agent") in line.on(ev.NoAgentLeft("no_agent"))


def test_a_ladder_that_never_answers_is_left() -> None:
    line = talking()
    line.on(ev.AgentGone("1006"))
    assert ev.LeaveStream("no_agent") in line.fire("opening")


@pytest.mark.parametrize(("sounds", "changes"), [(True, RULES.agents), (False, RULES.in_vain)])
def test_agents_are_not_changed_for_ever(sounds: bool, changes: int) -> None:
    line = talking()
    for _ in range(changes):
        assert ev.ChangeAgent("agent_gone") in line.on(ev.AgentGone("1006"))
        line.on(ev.AgentReady())
        if sounds:
            line.agent_speaks("Je vous écoute.", "i2")
    assert ev.LeaveStream("agent_gone") in line.on(ev.AgentGone("1006"))


def test_vendors_that_take_calls_and_are_silent_are_left_within_seconds() -> None:
    """Each connects, and answers nothing."""
    line = talking()
    asks(line)
    began = line.now
    while not any(isinstance(each, ev.LeaveStream) for each in line.done):
        if isinstance(line.fire("agent")[-1], ev.StartTimer) and "opening" in line.timers:
            line.on(ev.AgentReady())
    assert line.now - began <= 4 + 2 + RULES.in_vain * (2 + 2)


def test_answers_that_break_off_after_their_first_word_are_failures_in_a_row() -> None:
    line = talking()
    asks(line)
    for number in (1, 2):
        line.agent_begins("Il me", f"i{number}", response=f"r{number}")
        line.on(ev.AgentDry(True), after=0.2)
        commands = line.on(ev.ResponseDone(f"r{number}", "failed", error="tts_stalled"))
        assert (ev.ChangeAgent("agent_failed", "tts_stalled") in commands) is (number == 2)
        line.on(ev.AgentHeard(((f"i{number}", 200.0),)))


def test_an_answer_that_broke_off_has_not_been_given() -> None:
    """The vendor's voice failed in the sentence that says what was booked."""
    line = talking()
    asks(line)
    line.on(ev.FunctionCalled("f1", "book_appointment", "{}"))
    line.on(ev.FunctionFinished("f1", "book_appointment", {"status": "booked"}, Outcome.BOOKED))
    line.agent_begins("C'est", response="r2")
    line.on(ev.ResponseDone("r2", "failed", error="tts_cut"))
    line.on(ev.AgentHeard((("i2", 200.0),)), after=0.2)
    (turn,) = [
        each.data
        for each in line.done
        if isinstance(each, ev.Record) and each.data.get("text") == "C'est"
    ]
    assert turn["cut"]
    line.on(ev.AgentGone("1006"))
    assert [each.text for each in told(line.on(ev.AgentReady()))] == [BOOKED]
    line.on(ev.CallerLeft(True))
    assert line.call.outcome() is Outcome.BOOKED


def test_who_speaks_into_a_pause_of_a_model_slower_than_speech_cuts_it() -> None:
    """All that had come was heard; the answer wasn't."""
    line = talking()
    asks(line)
    line.agent_begins("Il me reste", response="r2")
    line.on(ev.AgentDry(True), after=0.5)
    line.on(ev.CallerSpeechStarted(), after=0.3)
    (turn,) = [
        each.data
        for each in line.on(ev.AgentCut((("i2", 500.0, 500.0),)))
        if isinstance(each, ev.Record)
    ]
    assert (turn["text"], turn["cut"]) == ("Il me reste", True)
    line.on(ev.CallerLeft(True))
    assert line.call.outcome() is Outcome.ABANDONED


def test_what_was_still_on_the_line_is_told_to_the_next() -> None:
    """All of the sentence was at the carrier when its agent died: the caller heard it."""
    line = talking()
    asks(line)
    line.agent_begins("Mardi à dix heures ou à onze heures ?")
    line.on(ev.AgentGone("1006"))
    line.on(ev.AgentReady())
    commands = line.on(ev.AgentHeard((("i2", 2000.0),)), after=2.0)
    note = "[Dit : Mardi à dix heures ou à onze heures ?]"
    assert ev.TellAgent(note, role="system") in commands


def test_what_was_heard_before_the_next_has_come_is_told_to_it() -> None:
    line = talking()
    line.agent_begins("Mardi ou jeudi ?")
    line.on(ev.AgentGone("1006"))
    line.on(ev.CallerAudible(True), after=1)
    line.on(ev.AgentCut((("i2", 500.0, 1000.0),)))
    line.on(ev.CallerAudible(False), after=1)
    commands = line.on(ev.AgentReady())
    assert ev.TellAgent("[Dit : Mardi ou]", role="system") in commands
    assert line.call.phase is Phase.TALKING


@pytest.mark.parametrize("ready", [True, False])
def test_a_transfer_that_a_lost_agent_asked_for_is_made(ready: bool) -> None:
    line = talking()
    line.on(ev.FunctionCalled("f1", "transfer_call", "{}"))
    line.on(ev.AgentGone("1006"))
    if ready:
        line.on(ev.AgentReady())
    result = {"status": "transferring"}
    line.on(ev.FunctionFinished("f1", "transfer_call", result, None, "transfer", "wanted"))
    assert line.call.phase is Phase.LEAVING


def test_our_last_words_are_not_broken_off_by_a_caller_whom_nobody_hears() -> None:
    line = talking()
    line.on(ev.ResponseStarted("r"))
    line.on(ev.FunctionCalled("f1", "end_call", "{}"))
    line.on(ev.FunctionFinished("f1", "end_call", {"status": "ok"}, None, "end", "done"))
    line.on(ev.AgentGone("1006"))
    line.on(ev.AgentAudioStarted("announcement-1"))
    assert not [each for each in line.on(ev.CallerAudible(True)) if isinstance(each, ev.Interrupt)]
    assert ev.HangUp("done") in line.on(ev.AgentHeard((("announcement-1", 900.0),)))


def test_a_question_survives_two_agents() -> None:
    """The second took it, and died before it showed that it had heard it."""
    line = talking()
    line.on(ev.CallerSpeechStarted())
    line.on(ev.CallerSpeechStopped(), after=1.0)
    line.on(ev.AgentGone("1006"))
    assert line.call.words_lost
    line.on(ev.AgentReady())
    assert not line.call.words_lost
    line.on(ev.AgentGone("1006"))
    assert line.call.words_lost, "the third must hear it"
    line.on(ev.AgentReady())
    line.on(ev.CallerSpeechStarted())
    line.on(ev.CallerSpeechStopped(), after=1.0)
    line.on(ev.CallerSaid("c", "Vous êtes ouverts demain ?"))
    line.on(ev.AgentGone("1006"))
    assert not line.call.words_lost, "it is written down"


def test_a_greeting_that_is_late_is_still_the_greeting() -> None:
    line = Line()
    line.on(ev.AgentReady())
    line.on(ev.ResponseStarted("r"))
    line.fire("hold")
    plays(line, HOLD_1)
    assert line.said(line.fire("agent")) == [SCRIPT.greeting]


def test_the_maximum_ends_a_call_without_an_agent_too() -> None:
    line = talking()
    line.on(ev.AgentGone("1006"))
    assert ev.Announce(SCRIPT.maximum_goodbye) in line.fire("maximum")
    line.announced()
    assert line.done[-1] == ev.HangUp("maximum")
    assert line.call.phase is Phase.OVER


def test_keys_pressed_while_nobody_is_there_are_kept() -> None:
    line = talking()
    line.on(ev.AgentGone("1006"))
    line.on(ev.DigitPressed("4"))
    line.fire("digits")
    line.on(ev.AgentReady())
    assert ev.TellAgent("[Touches : 4]") in line.fire("digits")


# ----------------------------------------------------------------------------- deaf


def speaks_unheard(line: Line, seconds: float = 1.5) -> list[ev.Command]:
    line.on(ev.CallerAudible(True), after=1)
    return line.on(ev.CallerAudible(False), after=seconds)


def test_a_deaf_agent_is_found_out_by_our_own_ears() -> None:
    line = talking()
    assert announced(speaks_unheard(line)) == [SCRIPT.repeat]
    plays(line, SCRIPT.repeat)
    assert ev.ChangeAgent("agent_deaf") in speaks_unheard(line)
    assert line.call.words_lost


@pytest.mark.parametrize("noise", ["short", "heard", "over the agent"])
def test_not_every_noise_is_a_question(noise: str) -> None:
    line = talking()
    if noise == "short":
        commands = speaks_unheard(line, 0.5)
        assert ev.CheckAgent() in commands
        assert line.on(ev.AgentChecked(alive=True)) == []
    elif noise == "heard":
        line.on(ev.CallerAudible(True))
        line.on(ev.CallerSpeechStarted())
        commands = line.on(ev.CallerAudible(False), after=2)
    else:
        line.agent_speaks("Une longue phrase", "i2", heard=False)
        commands = speaks_unheard(line)
    assert announced(commands) == []


def test_a_short_word_to_a_dead_line_is_heard_by_the_next() -> None:
    """ "Oui", in a third of a second, and the agent's socket is half dead."""
    line = talking()
    assert ev.CheckAgent() in speaks_unheard(line, 0.35)
    assert ev.CheckAgent() not in speaks_unheard(line, 0.35), "one at a time"
    commands = line.on(ev.AgentChecked(alive=False), after=1.2)
    assert ev.ChangeAgent("agent_gone") in commands
    assert announced(commands) == [HOLD_1]
    assert line.call.words_lost


# ------------------------------------------------------------------- an agent of its own


def test_an_agent_that_greets_by_itself_is_not_asked_to() -> None:
    line = Line()
    ready = line.on(ev.AgentReady(greets=True))
    assert line.said(ready) == []
    assert "agent" in line.timers, "but it is waited for"


def test_one_that_takes_over_does_not_greet() -> None:
    line = Line(resumed=True)
    assert line.said(line.on(ev.AgentReady(greets=True))) == [SCRIPT.resume]


# --------------------------------------------------------------- in the middle of a response


def test_a_model_that_stops_sending_in_the_middle_of_a_sentence_is_silence_too() -> None:
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"))
    line.on(ev.AgentAudioStarted("i2"))
    line.on(ev.AgentDry(True), after=3.0)  # all that came was heard; `response.done` never comes
    assert announced(line.fire("hold")) == [HOLD_1]
    plays(line, HOLD_1)
    line.fire("agent")  # asked once more
    assert ev.ChangeAgent("agent_stuck") in line.fire("agent")


def test_a_model_that_is_a_little_slower_than_speech_is_left_alone() -> None:
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"))
    line.on(ev.AgentAudioStarted("i2"))
    for _ in range(30):
        line.on(ev.AgentDry(True), after=0.4)
        line.on(ev.AgentDry(False), after=0.2)
    assert "hold" not in line.timers
    assert not announced(line.done)


def test_a_long_answer_is_no_stuck_one() -> None:
    """Audio goes on for a minute; its words came with the first second."""
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"))
    line.on(ev.AgentAudioStarted("i2"))
    for _ in range(15):
        assert not any(isinstance(c, ev.Interrupt | ev.ChangeAgent) for c in line.fire("agent"))


# ------------------------------------------------------------- an agent that dies while it listens


def heard_to_speak(line: Line) -> None:
    """The caller has said something: the agent heard the beginning, our ears the end, too."""
    line.on(ev.CallerSpeechStarted())
    line.on(ev.CallerAudible(True), after=0.2)
    line.on(ev.CallerAudible(False), after=2.0)


def test_the_end_of_a_turn_that_no_agent_tells_is_taken_from_our_own_ears() -> None:
    line = talking()
    heard_to_speak(line)
    hushed = line.now
    line.fire("turn")
    assert announced(line.fire("hold")) == [HOLD_1]
    assert line.now - hushed == pytest.approx(RULES.hold_after), "counted from the caller's end"
    plays(line, HOLD_1)
    line.fire("agent")
    assert ev.ChangeAgent("agent_stuck") in line.fire("agent")
    assert line.call.words_lost, "the next one hears them"


def test_an_agent_that_tells_the_end_of_a_turn_is_believed() -> None:
    line = talking()
    heard_to_speak(line)
    line.on(ev.CallerSpeechStopped(), after=0.1)
    assert "turn" not in line.timers


def test_who_goes_on_after_a_pause_is_not_spoken_over() -> None:
    line = talking()
    heard_to_speak(line)
    line.fire("turn")
    line.on(ev.CallerAudible(True), after=0.1)
    assert "hold" not in line.timers
    assert line.timers["turn"] - line.now == pytest.approx(RULES.longest_turn)


def test_nothing_is_said_into_what_only_our_ears_hear() -> None:
    line = talking()
    asks(line)
    line.on(ev.CallerAudible(True), after=0.5)
    assert "hold" not in line.timers
    line.on(ev.CallerAudible(False), after=2.0)
    assert announced(line.fire("hold")) == [HOLD_1]


def test_words_to_an_agent_that_was_silent_already_are_played_to_the_next() -> None:
    line = talking()
    asks(line)
    line.on(ev.CallerAudible(True))
    line.on(ev.CallerAudible(False), after=1.5)
    line.on(ev.AgentGone("1006"))
    assert line.call.words_lost


BOOKED = '[book_appointment : {"status":"booked"}]'


def told(commands: list[ev.Command]) -> list[ev.TellAgent]:
    return [each for each in commands if isinstance(each, ev.TellAgent)]


def test_a_result_of_which_nobody_has_spoken_is_told_to_the_next() -> None:
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"))
    line.on(ev.FunctionCalled("f1", "book_appointment", "{}"))
    line.on(ev.ResponseDone("r", "completed"))
    line.on(ev.FunctionFinished("f1", "book_appointment", {"status": "booked"}, Outcome.BOOKED))
    line.on(ev.AgentGone("1006"))
    notes = told(line.on(ev.AgentReady()))
    assert [each.text for each in notes] == [BOOKED]
    assert notes[0].role == "system"


def test_a_result_that_was_spoken_of_is_not_told_again() -> None:
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"))
    line.on(ev.FunctionCalled("f1", "book_appointment", "{}"))
    line.on(ev.ResponseDone("r", "completed"))
    line.on(ev.FunctionFinished("f1", "book_appointment", {"status": "booked"}, Outcome.BOOKED))
    line.agent_speaks("C'est réservé", "i5")
    line.on(ev.AgentGone("1006"))
    assert not [each for each in line.on(ev.AgentReady()) if isinstance(each, ev.TellAgent)]


def test_words_from_before_a_result_do_not_speak_of_it() -> None:
    """ "Je regarde.", with the function in the same response; then the model dies."""
    line = talking()
    asks(line)
    line.agent_begins("Je regarde.", "i5")
    line.on(ev.FunctionCalled("f1", "book_appointment", "{}"))
    line.on(ev.ResponseDone("r", "completed"))
    line.on(ev.FunctionFinished("f1", "book_appointment", {"status": "booked"}, Outcome.BOOKED))
    line.on(ev.AgentHeard((("i5", 900.0),)), after=0.9)
    line.on(ev.AgentGone("1006"))
    assert [each.text for each in told(line.on(ev.AgentReady()))] == [BOOKED]


def test_a_result_is_told_until_somebody_has_spoken_of_it() -> None:
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"))
    line.on(ev.FunctionCalled("f1", "book_appointment", "{}"))
    line.on(ev.ResponseDone("r", "completed"))
    line.on(ev.FunctionFinished("f1", "book_appointment", {"status": "booked"}, Outcome.BOOKED))
    for _ in range(2):
        line.on(ev.AgentGone("1006"))
        assert [each.text for each in told(line.on(ev.AgentReady()))] == [BOOKED]
    line.agent_speaks("C'est réservé", "i5")
    line.on(ev.AgentGone("1006"))
    assert not told(line.on(ev.AgentReady()))


# ----------------------------------------------------------------------------- late


def test_an_agent_that_hears_of_words_long_over_is_replaced() -> None:
    """Every event of its comes three seconds late. The caller spoke for a second and a half, and
    hears something 2.5 s after their words at the latest."""
    line = talking()
    speaks_unheard(line, 1.5 + 0.5)  # our ears need half a second to be sure
    ended = line.now - 0.5
    assert announced(line.done) == [SCRIPT.repeat], "for all we know it is deaf"
    plays(line, SCRIPT.repeat)
    commands = line.on(ev.AgentLags(3.0), after=0.1)
    assert ev.ChangeAgent("agent_lags") in commands
    assert announced(commands) == [HOLD_1]
    assert line.now - ended <= 2.5
    assert line.call.words_lost, "the next one hears them anew"
    assert line.on(ev.CallerSpeechStarted()) == [], "of words long over"
    commands = line.on(ev.AgentReady(), after=0.4)
    assert not line.said(commands)
    assert ev.Respond() not in commands, "it answers what it hears by itself"


def test_an_agent_is_not_replaced_into_the_callers_words() -> None:
    line = talking()
    line.on(ev.CallerAudible(True))
    assert line.on(ev.AgentLags(3.0), after=3) == []
    line.on(ev.CallerSpeechStarted())
    line.on(ev.CallerAudible(False), after=2.0)
    hushed = line.now
    line.fire("turn")  # it doesn't say that they have ended
    assert announced(line.fire("hold")) == [HOLD_1]
    assert line.now - hushed <= RULES.hold_after + 0.01
    assert ev.ChangeAgent("agent_lags") in line.on(ev.AgentLags(3.0), after=0.5)


def test_a_goodbye_is_not_broken_off_for_being_late() -> None:
    line = talking()
    asks(line, "Au revoir.")
    line.on(ev.ResponseStarted("r"))
    line.on(ev.FunctionCalled("f1", "end_call", "{}"))
    line.on(ev.FunctionFinished("f1", "end_call", {"status": "ok"}, then="end", detail="done"))
    assert line.call.phase is Phase.CLOSING
    assert line.on(ev.AgentLags(3.0)) == []


def test_a_stuck_agent_is_not_stopped_into_a_line_of_our_own() -> None:
    """Silencing it would break our line off, and the caller would hear nothing until the next."""
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"))
    assert announced(line.fire("hold")) == [HOLD_1]
    line.on(ev.AgentText("announcement-1", HOLD_1, final=True))
    line.on(ev.AgentAudioStarted("announcement-1"))
    assert not any(isinstance(each, ev.Interrupt) for each in line.fire("agent"))
    line.on(ev.AgentHeard((("announcement-1", 2000.0),)))
    assert ev.Interrupt(cancel=True) in line.fire("agent")


def test_a_key_pressed_into_the_goodbye_of_a_dead_agent_keeps_no_call_open() -> None:
    """Nobody is there to be told of it, and no other agent is asked for an ended conversation."""
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"))
    line.on(ev.FunctionCalled("f1", "end_call", "{}"))
    line.on(ev.ResponseDone("r", "completed"))
    line.on(ev.FunctionFinished("f1", "end_call", {"status": "ok"}, then="end", detail="done"))
    line.on(ev.AgentGone("1006"))
    assert line.on(ev.DigitPressed("4")) == []
    assert line.call.phase is Phase.CLOSING
    assert "goodbye" in line.timers


def test_an_agent_that_comes_during_the_goodbye_is_briefed_when_the_caller_keeps_the_line() -> None:
    line = talking()
    asks(line)
    line.on(ev.ResponseStarted("r"))
    line.on(ev.AgentText("i2", "C'est noté. Au revoir !", final=True))
    line.on(ev.AgentAudioStarted("i2"))
    line.on(ev.FunctionCalled("f1", "end_call", "{}"))
    line.on(ev.AgentGone("1006"))
    line.on(ev.FunctionFinished("f1", "end_call", {"status": "ok"}, then="end", detail="done"))
    assert line.call.phase is Phase.CLOSING
    line.on(ev.AgentHeard((("i2", 1500.0),)), after=1.5)
    assert not told(line.on(ev.AgentReady()))
    heard = [each.text for each in told(line.on(ev.CallerSpeechStarted()))]
    assert "[Dit : C'est noté. Au revoir !]" in heard
    assert '[end_call : {"status":"ok"}]' in heard
    assert not told(line.on(ev.CallerSpeechStopped(), after=1.0))
    assert line.call.phase is Phase.TALKING


def test_what_ran_elsewhere_is_told_and_spoken_of() -> None:
    """Vapi's functions run at our webhook: nobody on this stream has asked for them."""
    line = talking()
    line.on(ev.AgentGone("1006"))
    line.on(ev.AgentReady())
    line.agent_speaks("Excusez-moi, nous avons été coupés.", "i2")
    booked = ev.FunctionFinished("v1", "book_appointment", {"status": "booked"}, Outcome.BOOKED)
    commands = line.on(booked)
    assert [each.text for each in told(commands)] == [BOOKED]
    assert ev.Respond() in commands
    assert not [each for each in commands if isinstance(each, ev.GiveResult)]
    assert Outcome.BOOKED in line.call.achieved
