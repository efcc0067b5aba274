"""The heart of a call when things come in awkward orders, late, or never."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.outcome import Outcome
from tests.voice.test_call import SCRIPT, Line, end_call, talking
from voice import events as ev
from voice.call import Phase, Rules

RULES = Rules()


def interrupts(commands: list[ev.Command]) -> list[ev.Interrupt]:
    return [command for command in commands if isinstance(command, ev.Interrupt)]


def ends(commands: list[ev.Command]) -> list[ev.Command]:
    kinds = ev.HangUp | ev.TransferCall | ev.LeaveStream
    return [command for command in commands if isinstance(command, kinds)]


def called(line: Line, function_call_id: str = "f1", name: str = "book_appointment") -> None:
    line.on(ev.FunctionCalled(function_call_id, name, "{}"))


def finished(line: Line, function_call_id: str = "f1", **more: str) -> list[ev.Command]:
    return line.on(ev.FunctionFinished(function_call_id, "f", {"status": "ok"}, None, **more))


# ------------------------------------------------------------ somebody always watches the clock


def test_an_answer_to_a_function_that_never_begins_is_asked_for_again_and_then_given_up() -> None:
    line = talking()
    line.caller_speaks("Demain à neuf heures ?")
    line.on(ev.ResponseStarted("r"))
    called(line)
    line.on(ev.ResponseDone("r", "completed"))
    finished(line)
    assert ev.Respond() in line.fire("agent")
    assert ev.ChangeAgent("agent_stuck") in line.fire("agent")


def test_a_sentence_that_never_begins_does_not_leave_the_caller_alone() -> None:
    line = talking()
    line.fire("silence")  # "Êtes-vous là ?" was asked for, and nothing comes
    assert ev.Respond() in line.fire("agent")
    line.agent_speaks("Je suis là", "i9")
    assert "agent" not in line.timers
    assert "silence" in line.timers


def test_a_response_that_never_ends_is_cancelled() -> None:
    line = talking()
    line.caller_speaks("Bonjour")
    line.on(ev.ResponseStarted("r"))
    stuck = line.fire("agent")
    assert ev.Interrupt(cancel=True) in stuck
    assert ev.Respond() in stuck


def test_a_response_that_goes_on_is_not_stuck() -> None:
    line = talking()
    line.on(ev.ResponseStarted("r"))
    due = line.timers["agent"]
    for _ in range(8):
        line.on(ev.AgentText("i2", "encore un mot "), after=1.5)
        if line.now >= due:
            assert line.fire("agent") == [ev.StartTimer("agent", line.timers["agent"] - line.now)]
            due = line.timers["agent"]
    assert line.call.phase is Phase.TALKING


def test_nobody_is_stuck_while_the_caller_speaks() -> None:
    line = talking()
    called(line)
    line.on(ev.CallerSpeechStarted())
    finished(line)  # the vendor answers once the caller has finished
    assert not ends(line.on(ev.TimerFired("agent"), after=60))
    assert not interrupts(line.on(ev.TimerFired("agent"), after=60))


def test_speech_whose_end_is_never_heard_counts_as_silence_in_the_end() -> None:
    line = talking()
    line.on(ev.CallerSpeechStarted())  # a motorway, a radio
    line.fire("turn")
    assert ev.Respond() in line.fire("agent")


def test_speech_that_ends_is_no_longer_watched() -> None:
    line = talking()
    line.on(ev.CallerSpeechStarted())
    line.on(ev.CallerSpeechStopped(), after=2)
    assert "turn" not in line.timers


@pytest.mark.parametrize("quiet", [True, False])
def test_a_lone_hash_key_is_a_turn_like_any_other(quiet: bool) -> None:
    line = talking()
    if not quiet:
        line.agent_speaks("Une longue phrase", "i2", heard=False)
    told = line.on(ev.DigitPressed("#"))
    assert ev.TellAgent("[Touches : #]") in told
    assert ev.Respond() in told


def test_keys_pressed_before_the_agent_is_there_are_kept_for_it() -> None:
    line = Line()
    line.on(ev.DigitPressed("4"))
    line.fire("digits")
    line.on(ev.AgentReady())
    assert ev.TellAgent("[Touches : 4]") in line.fire("digits")


def test_a_greeting_of_which_nothing_was_heard_does_not_switch_the_silence_off() -> None:
    line = Line()
    line.on(ev.AgentReady())
    line.agent_speaks(SCRIPT.greeting, heard=False)
    line.on(ev.CallerSpeechStarted())  # a cough
    line.on(ev.AgentCut((("i1", 0.0, 4000.0),)))
    line.on(ev.CallerSpeechStopped())
    assert "agent" in line.timers


def test_a_caller_who_talks_first_and_long_is_not_cut_off() -> None:
    line = Line()
    line.on(ev.AgentReady())
    line.on(ev.ResponseStarted("r"))
    line.on(ev.CallerSpeechStarted())
    assert not ends(line.fire("opening"))
    line.on(ev.CallerSpeechStopped())
    assert ev.ChangeAgent("agent_mute") in line.fire("opening")


def test_a_greeting_that_fails_is_tried_again_as_a_greeting() -> None:
    line = Line()
    line.on(ev.AgentReady())
    line.on(ev.ResponseStarted("r"))
    failed = line.on(ev.ResponseDone("r", "failed", error="server_error"))
    assert line.said(failed) == [SCRIPT.greeting]
    assert ev.Respond() not in failed


# --------------------------------------------------------------- nobody talks over the caller


def test_what_is_about_to_be_said_is_not_said_into_the_caller_s_words() -> None:
    line = talking()
    line.fire("silence")  # the prompt is on its way; nothing of it has begun
    assert ev.Interrupt() in line.on(ev.CallerSpeechStarted())


def test_a_goodbye_on_its_way_is_withdrawn_when_the_caller_speaks() -> None:
    line = talking()
    end_call(line)
    assert ev.Interrupt() in line.on(ev.CallerSpeechStarted())
    assert line.call.phase is Phase.TALKING


@pytest.mark.parametrize("still_speaking", [True, False])
def test_the_call_is_not_ended_on_a_caller_who_has_begun_to_speak(still_speaking: bool) -> None:
    line = talking()
    called(line, "e1", "end_call")
    line.on(ev.CallerSpeechStarted())
    if not still_speaking:
        line.on(ev.CallerSpeechStopped(), after=0.4)
    done = finished(line, "e1", then="end", detail="done")
    assert line.said(done) == []
    assert line.call.phase is Phase.TALKING
    line.agent_speaks("Bien sûr, dites-moi", "i7")
    assert line.call.phase is Phase.TALKING


# ------------------------------------------------------------------------ results are spoken


@pytest.mark.parametrize("order", [("f1", "e1"), ("e1", "f1")])
def test_a_result_is_spoken_before_the_call_ends(order: tuple[str, str]) -> None:
    """A model that books and ends the call in one breath."""
    line = talking()
    line.on(ev.ResponseStarted("r"))
    called(line, "f1")
    called(line, "e1", "end_call")
    line.on(ev.ResponseDone("r", "completed"))
    given: list[ev.Command] = []
    for function_call_id in order:
        end = {"then": "end", "detail": "done"} if function_call_id == "e1" else {}
        given += finished(line, function_call_id, **end)
    assert [c.respond for c in given if isinstance(c, ev.GiveResult)] == [False, True]
    assert line.said(given) == []
    line.agent_speaks("C'est réservé", "i5")
    assert line.said(line.done[-4:]) == [SCRIPT.goodbye]
    line.agent_speaks(SCRIPT.goodbye, "bye")
    assert line.done[-1] == ev.HangUp("done")


def test_a_caller_who_answers_the_result_is_not_hung_up_on() -> None:
    line = talking()
    called(line, "f1")
    called(line, "e1", "end_call")
    finished(line, "e1", then="end", detail="done")
    finished(line, "f1")
    line.agent_speaks("C'est réservé pour lundi", "i5", heard=False)
    line.on(ev.CallerSpeechStarted())
    line.on(ev.AgentCut((("i5", 500.0, 2000.0),)))
    line.on(ev.CallerSpeechStopped())
    line.agent_speaks("Mardi, alors", "i6")
    assert line.call.phase is Phase.TALKING


# ------------------------------------------------------------------------------- the last words


def test_a_key_in_the_goodbye_keeps_the_line_as_a_word_would() -> None:
    line = talking()
    end_call(line)
    line.on(ev.ResponseStarted("r2"))
    line.on(ev.AgentAudioStarted("bye"))
    line.on(ev.DigitPressed("1"))
    line.on(ev.AgentCut((("bye", 300.0, 900.0),)))
    line.on(ev.ResponseDone("r2", "cancelled"))
    assert line.call.phase is Phase.TALKING
    assert ev.Respond() in line.fire("digits")


@pytest.mark.parametrize("final", ["maximum", "transfer"])
def test_a_key_into_words_that_are_final_changes_nothing(final: str) -> None:
    line = talking()
    if final == "maximum":
        line.fire("maximum")
    else:
        called(line, "t1", "transfer_call")
        finished(line, "t1", then="transfer")
    line.on(ev.ResponseStarted("r2"))
    line.on(ev.AgentAudioStarted("w"))
    assert line.on(ev.DigitPressed("1")) == []
    line.on(ev.ResponseDone("r2", "completed"))
    assert ends(line.on(ev.AgentHeard((("w", 900.0),))))


def test_time_that_runs_out_during_a_goodbye_has_run_out() -> None:
    line = talking()
    end_call(line)
    line.agent_speaks(SCRIPT.goodbye, "bye", heard=False)
    line.on(ev.TimerFired("maximum"))
    assert not interrupts(line.on(ev.CallerSpeechStarted()))
    assert line.call.phase is Phase.CLOSING
    assert ends(line.fire("goodbye"))


def test_time_that_runs_out_before_the_agent_is_there_ends_the_call() -> None:
    line = Line()
    commands = line.on(ev.TimerFired("maximum"), after=900)
    assert line.said(commands) == []
    assert ev.Announce(SCRIPT.maximum_goodbye) in commands
    line.announced()
    assert line.done[-1] == ev.HangUp("maximum")


def test_last_words_that_come_to_nothing_are_not_waited_for() -> None:
    line = talking()
    end_call(line)
    line.on(ev.ResponseStarted("r2"))
    assert ev.HangUp("done") in line.on(ev.ResponseDone("r2", "cancelled"))


@pytest.mark.parametrize("status", ["failed", "incomplete"])
def test_a_goodbye_that_the_vendor_fails_is_ours(status: str) -> None:
    line = talking()
    end_call(line)
    line.on(ev.ResponseStarted("r2"))
    commands = line.on(ev.ResponseDone("r2", status))
    assert ev.Announce(SCRIPT.goodbye) in commands
    assert not ends(commands)
    line.announced()
    assert line.done[-1] == ev.HangUp("done")


def test_a_goodbye_that_nobody_can_say_is_not_waited_for() -> None:
    line = talking()
    end_call(line)
    line.on(ev.ResponseStarted("r2"))
    line.on(ev.ResponseDone("r2", "failed"))
    assert ends(line.on(ev.AnnouncementMissing()))


def test_a_transfer_whose_announcement_comes_to_nothing_goes_on() -> None:
    line = talking()
    called(line, "t1", "transfer_call")
    finished(line, "t1", then="transfer")
    line.on(ev.ResponseStarted("r2"))
    line.on(ev.CallerSpeechStarted())  # "oui merci": the vendor cancels its response
    assert ends(line.on(ev.ResponseDone("r2", "cancelled")))
    assert line.call.ended_by == "transfer"


@pytest.mark.parametrize("transferring", [False, True])
def test_last_words_on_the_line_are_heard_although_the_agent_has_gone(transferring: bool) -> None:
    line = talking()
    if transferring:
        called(line, "t1", "transfer_call")
        finished(line, "t1", then="transfer")
    else:
        end_call(line)
    line.on(ev.ResponseStarted("r2"))
    line.on(ev.AgentAudioStarted("bye"))
    assert not ends(line.on(ev.AgentGone("1006")))
    assert ends(line.on(ev.AgentHeard((("bye", 900.0),))))


def test_a_booking_made_by_one_who_hangs_up_on_it_counts() -> None:
    line = talking()
    called(line)
    line.on(ev.CallerLeft(True))
    line.on(ev.FunctionFinished("f1", "book_appointment", {}, Outcome.BOOKED))
    assert line.call.outcome() is Outcome.BOOKED


def test_thanks_that_are_transcribed_after_the_hang_up_still_count() -> None:
    line = talking()
    line.caller_speaks("Quels sont vos horaires ?")
    line.agent_speaks("De neuf heures à dix-huit heures.", "i2")
    line.on(ev.CallerSpeechStarted())
    line.on(ev.CallerSpeechStopped(), after=1.0)
    line.on(ev.CallerLeft(True), after=0.2)
    assert line.call.last_words_due
    line.on(ev.CallerSaid("c", "Merci, au revoir"), after=0.5)
    assert not line.call.last_words_due
    assert line.turns()[-1] == ("caller", "Merci, au revoir")
    assert line.call.outcome() is Outcome.INFORMED


# ------------------------------------------------------------------------------- in any order

WATCHES = {"silence", "agent", "goodbye", "digits", "opening", "turn"}
STEPS = (
    *("response", "audio", "text", "done", "failed", "cancelled", "heard", "speech", "pause"),
    *("said", "book", "end", "transfer", "finished", "digit", "#", "timer", "gone", "left"),
)
#: What belongs together, and what of it is likely to go wrong in the middle.
ANSWER = ("response", "audio", "text", "done", "heard")
FUNCTION = ("response", "book", "done", "finished")
ENDING = ("response", "end", "done", "finished")
OPS = st.one_of(
    st.sampled_from(STEPS).map(lambda step: (step,)),
    st.sampled_from([ANSWER, FUNCTION, ENDING, ("speech", "pause"), ("timer", *ANSWER)]),
)
SCENES = st.lists(OPS, max_size=12).map(lambda ops: [step for op in ops for step in op])
BEGINNINGS = st.sampled_from([(), ("ready",), ("ready", *ANSWER)])


class Wire:
    """A call between a caller and a vendor who keep to the order of things, and to nothing else:
    each may fall silent at any point."""

    def __init__(self) -> None:
        self.line = Line()
        self.ready = self.responding = self.audible = self.speaking = False
        self.functions: dict[str, str] = {}
        self.count = 0

    def on(self, event: ev.Event, after: float = 0.0) -> None:
        for command in self.line.on(event, after):
            if isinstance(command, ev.RunFunction):
                self.functions[command.function_call_id] = command.name
            elif isinstance(command, ev.ChangeAgent):
                self.ready = self.responding = self.speaking = False
            elif isinstance(command, ev.Interrupt) and self.audible:
                self.audible = False
                self.on(ev.AgentCut(((f"i{self.count}", 300.0, 900.0),)))

    def step(self, op: str) -> None:
        handler = getattr(self, f"_{'hash' if op == '#' else op}")
        handler()

    def _ready(self) -> None:
        self.ready = True
        self.on(ev.AgentReady())

    def _response(self) -> None:
        if self.ready and not self.responding:
            self.responding = True
            self.on(ev.ResponseStarted("r"))

    def _audio(self) -> None:
        if self.responding and not self.audible:
            self.count += 1
            self.audible = True
            self.on(ev.AgentAudioStarted(f"i{self.count}"))

    def _text(self) -> None:
        if self.responding:
            self.on(ev.AgentText(f"i{self.count}", "mot "))

    def _done(self, status: str = "completed") -> None:
        if self.responding:
            self.responding = False
            self.on(ev.ResponseDone("r", status), after=0.2)

    def _failed(self) -> None:
        self._done("failed")

    def _cancelled(self) -> None:
        self._done("cancelled")

    def _heard(self) -> None:
        if self.audible and not self.responding:
            self.audible = False
            self.on(ev.AgentHeard(((f"i{self.count}", 900.0),)), after=0.9)

    def _speech(self) -> None:
        if self.ready and not self.speaking:
            self.speaking = True
            self.on(ev.CallerSpeechStarted(), after=0.3)

    def _pause(self) -> None:
        if self.speaking:
            self.speaking = False
            self.on(ev.CallerSpeechStopped(), after=1.0)

    def _said(self) -> None:
        self.on(ev.CallerSaid("c", "oui"))

    def _call(self, name: str) -> None:
        if self.responding:
            self.count += 1
            self.on(ev.FunctionCalled(f"f{self.count}", name, "{}"))

    def _book(self) -> None:
        self._call("book_appointment")

    def _end(self) -> None:
        self._call("end_call")

    def _transfer(self) -> None:
        self._call("transfer_call")

    def _finished(self) -> None:
        if self.functions:
            function_call_id, name = self.functions.popitem()
            then = {"end_call": "end", "transfer_call": "transfer"}.get(name, "")
            self.on(ev.FunctionFinished(function_call_id, name, {}, None, then))

    def _digit(self) -> None:
        self.on(ev.DigitPressed("4"))

    def _hash(self) -> None:
        self.on(ev.DigitPressed("#"))

    def _timer(self) -> None:
        if self.line.timers:
            name = min(self.line.timers, key=self.line.timers.__getitem__)
            self.line.now = max(self.line.now, self.line.timers.pop(name))
            self.on(ev.TimerFired(name))

    def _gone(self) -> None:
        if self.ready:
            self.ready = self.responding = self.speaking = False
            self.on(ev.AgentGone("1006"))

    def _left(self) -> None:
        self.on(ev.CallerLeft(True))

    @property
    def waited_for(self) -> bool:
        """Somebody else than a timer will go on: the carrier's marks, or a function's limit."""
        return self.audible or bool(self.functions)


@given(BEGINNINGS, SCENES)
@settings(max_examples=400)
def test_no_call_is_left_alone(beginning: tuple[str, ...], scene: list[str]) -> None:
    """Whoever falls silent, at whatever point: something short is always being waited for."""
    wire = Wire()
    for op in [*beginning, *scene]:
        wire.step(op)
        if wire.line.call.phase is Phase.OVER:
            return
        assert wire.waited_for or WATCHES & wire.line.timers.keys(), op


@given(BEGINNINGS, SCENES)
@settings(max_examples=300)
def test_a_call_on_which_nothing_happens_any_more_ends_by_itself(
    beginning: tuple[str, ...], scene: list[str]
) -> None:
    wire = Wire()
    for op in [*beginning, *scene]:
        wire.step(op)
    while wire.functions:
        wire.step("finished")
    wire.step("done")
    wire.step("heard")
    silent_since = wire.line.now
    while wire.line.call.phase is not Phase.OVER:
        assert wire.line.now - silent_since < 150, "nobody says anything for minutes"
        wire.step("timer")
