"""The caller's script, driven by hand, frame by frame."""

from collections.abc import Sequence
from typing import Any

import pytest

from sandbox.caller import ScriptedCaller
from sandbox.leg import Leg, Record
from sandbox.recogniser import Recording, audioop, recording
from sandbox.report import CallLog, CallReport
from sandbox.scenario import Step
from sandbox.speech import clip, is_speech, quiet, read_stamp, render, stamp

FRAME = 160


class Line:
    """A leg whose other end is the test; time is the frames that have passed."""

    def __init__(self, *steps: Step, voices: Any = None, patience_ms: int = 60_000) -> None:
        self.now = 0.0
        self.report = CallReport("CA1", 5, "+33639981234", "+33186000000", None)
        self.events: list[dict[str, Any]] = []
        log = CallLog(self.report, lambda: self.now, self.events.append)
        self.caller = ScriptedCaller(steps, tag=5, log=log, voices=voices, patience_ms=patience_ms)
        self.leg = Leg(Record("CA1", "+33639981234", "+33186000000", "inbound"), self.caller, log)
        self.sent: list[bytes] = []
        self.leg.sink = self.sent.append
        self.leg.answer()
        self.playing: list[bytes] = []

    def pull(self, at: float) -> bytes | None:
        return self.playing.pop(0) if self.playing else None

    def run(self, ms: int) -> None:
        self.leg.source = self
        for _ in range(ms // 20):
            self.leg.tick(self.now)
            self.now += 0.02

    def agent(self, audio: bytes) -> None:
        self.playing += [audio[at : at + FRAME] for at in range(0, len(audio), FRAME)]

    @property
    def speaking_from(self) -> list[int]:
        """Numbers of the frames at which the caller began to speak."""
        speech = [mark is not None and mark.speech for mark in map(read_stamp, self.sent)]
        pairs = zip([False, *speech], speech, strict=False)
        return [at for at, (before, now) in enumerate(pairs) if now and not before]


_CLIP = clip("rdv_bruit_freinage")
_FRAMES = [_CLIP[at : at + FRAME] for at in range(0, len(_CLIP), FRAME)]
VOICE = b"".join(frame for frame in _FRAMES if is_speech(frame))[
    :16000
]  # two seconds without a breath


def test_frames_are_stamped_and_numbered_from_the_first() -> None:
    line = Line(Step(wait="start", say="oui_marc"))
    line.run(1000)
    marks = [read_stamp(frame) for frame in line.sent]
    assert [(mark.tag, mark.sequence) for mark in marks if mark] == [(5, at) for at in range(50)]
    spoken = len(clip("oui_marc")) // FRAME
    assert [mark.speech for mark in marks if mark] == [True] * spoken + [False] * (50 - spoken)
    [said] = line.report.utterances
    assert (said.started_ms, said.ended_ms) == (0.0, (spoken - 1) * 20)


def test_the_agent_is_done_after_400_ms_of_silence() -> None:
    line = Line(Step(say="oui_marc"))
    line.run(3000)
    assert line.speaking_from == []  # nobody has spoken yet
    line.agent(VOICE)
    line.run(len(VOICE) // 8)
    began = len(line.sent)
    line.run(380)
    assert line.speaking_from == []
    line.run(100)
    [at] = line.speaking_from
    assert 20 <= at - began <= 21


def test_a_breath_is_not_the_end() -> None:
    line = Line(Step(say="oui_marc"))
    line.agent(VOICE + quiet(9, 0, 15) + VOICE)
    line.run(2 * len(VOICE) // 8 + 300)
    assert line.speaking_from == []


def test_the_caller_interrupts_after_so_much_speech() -> None:
    line = Line(Step(wait="agent_speaking", over_ms=900, say="attendez_marc"))
    line.run(500)
    line.agent(VOICE)
    line.run(2000)
    [at] = line.speaking_from
    assert at == 25 + 45
    [barge_in] = line.report.barge_ins
    assert barge_in.label == "attendez_marc"
    assert barge_in.at_ms == at * 20


def test_silence_is_kept_whatever_the_agent_says() -> None:
    line = Line(Step(stay_silent_ms=3000), Step(say="oui_marc"))
    line.agent(VOICE)
    line.run(len(VOICE) // 8 + 500)
    line.agent(VOICE)
    line.run(2800)
    assert line.speaking_from == []
    line.run(800)
    assert len(line.speaking_from) == 1


def test_waiting_for_silence_needs_both_to_be_silent() -> None:
    line = Line(Step(wait="start", say="oui_marc"), Step(wait="silence", over_ms=1000, press="1"))
    line.run(600)
    line.agent(VOICE)
    line.run(len(VOICE) // 8 + 900)
    assert line.report.pressed == []
    line.run(200)
    assert line.report.pressed == ["1"]


def test_keys_are_pressed_one_after_the_other() -> None:
    line = Line(Step(wait="start", press="42"))
    keys: list[tuple[str, float]] = []
    line.leg.on_key = lambda digit: keys.append((digit, line.now))
    line.run(1000)
    assert [digit for digit, _ in keys] == ["4", "2"]
    assert keys[1][1] - keys[0][1] >= 0.2


def test_after_the_last_step_the_end_is_waited_for_without_impatience() -> None:
    line = Line(Step(wait="start", say="oui_marc"), patience_ms=1000)
    line.run(5000)
    assert not line.leg.record.over


def test_nobody_waits_for_ever() -> None:
    line = Line(Step(say="oui_marc"), patience_ms=2000)
    line.run(2100)
    assert line.leg.record.over
    assert line.report.gave_up == "step 1: agent_done"
    assert line.report.hung_up_by == "caller"
    assert any(each["event"] == "gave_up" for each in line.events)


def test_hanging_up_in_the_middle_of_a_sentence_cuts_it() -> None:
    line = Line(Step(wait="agent_speaking", over_ms=500, hang_up=True))
    line.agent(VOICE)
    line.run(2000)
    assert line.report.hung_up_by == "caller"
    assert len(line.sent) < 40
    assert line.report.ended_ms is not None


def test_turn_latency_counts_from_the_last_frame_to_the_first_answer() -> None:
    line = Line(Step(wait="start", say="oui_marc"))
    line.run(len(clip("oui_marc")) // 8)
    line.run(600)
    line.agent(VOICE)
    line.run(200)
    [turn] = line.report.turns
    assert turn.label == "oui_marc"
    assert turn.latency_ms == pytest.approx(620, abs=21)


def test_what_was_being_said_is_no_answer() -> None:
    line = Line(Step(wait="agent_speaking", over_ms=200, say="attendez_marc"))
    line.agent(VOICE)
    line.run(1500)
    assert line.report.turns == []
    line.playing.clear()
    line.leg.log.cleared()
    line.caller.cleared()
    line.run(400)
    line.agent(VOICE)
    line.run(100)
    [turn] = line.report.turns
    said = next(each for each in line.report.utterances if each.who == "caller")
    assert said.ended_ms is not None
    assert turn.latency_ms == pytest.approx(1900 - said.ended_ms, abs=1)


# ------------------------------------------------------------------- with an ear


class Voices:
    def __init__(self, said: Sequence[str], tag: int) -> None:
        self._said, self._tag = said, tag

    def follow(self, tag: int, listener: Any) -> None:
        if tag == self._tag:
            for text in self._said:
                listener(text, render(text))

    def speaks_to(self, tag: int, call_tag: int) -> bool:
        return False


def test_the_ear_tells_what_was_said_and_how_far_it_came() -> None:
    sentence = "Je peux vous proposer mardi à neuf heures."
    line = Line(voices=Voices([sentence], 99))
    line.agent(stamp(render(sentence), 99, 0))
    line.run(800)
    line.now += 0.01
    position = line.leg.log.ear_position()
    assert position is not None
    assert position[0] == sentence
    assert position[1] == pytest.approx(800, abs=20)
    line.playing.clear()
    line.leg.log.cleared()
    line.caller.cleared()
    [said] = line.report.utterances
    assert (said.text, said.cut, said.heard_ms) == (sentence, True, 800)


def test_a_frame_that_is_missing_is_noticed() -> None:
    sentence = "Je peux vous proposer mardi à neuf heures."
    line = Line(voices=Voices([sentence], 99))
    line.agent(stamp(render(sentence), 99, 0))
    del line.playing[20:23]
    line.run(4000)
    line.leg.end("server")
    assert line.report.ear_defects["lost"] == 3
    assert not line.report.clean


def test_another_calls_voice_is_noticed() -> None:
    sentence = "Bonjour"
    line = Line(voices=Voices([sentence], 99))
    line.agent(stamp(render(sentence), 99, 0))
    line.agent(stamp(render(sentence), 98, 0))
    line.run(3000)
    line.leg.end("server")
    assert line.report.ear_defects["crossed"] == len(render(sentence)) // FRAME


# ------------------------------------------------------------------ the cascade's voice


class Cascade:
    """Voices of which the sentences are known, and arrive resampled and without stamps."""

    def __init__(self, *sentences: str) -> None:
        self._sentences = [recording(each, render(each)) for each in sentences]

    def follow(self, tag: int, listener: Any) -> None:
        raise AssertionError("nothing is stamped")

    def sentences(self) -> list[Recording]:
        return self._sentences


OFFER = "Je peux vous proposer mardi à neuf heures."
NAME = "Très bien. C'est à quel nom ?"


def resampled(*sentences: str) -> bytes:
    """Down the way of the cascade: 24,000 samples a second, a breath, then 8,000 again."""
    sound = b"\xff" * 37 + b"".join(render(each) + b"\xff" * 1000 for each in sentences)
    pcm, _ = audioop.ratecv(audioop.ulaw2lin(sound, 2), 2, 1, 8_000, 24_000, None)
    pcm, _ = audioop.ratecv(audioop.mul(pcm[2 * 5 :], 2, 0.8), 2, 1, 24_000, 8_000, None)
    sound = audioop.lin2ulaw(pcm, 2)
    return bytes(sound + b"\xff" * (-len(sound) % FRAME))


def test_sentences_of_a_resampled_voice_are_recognised() -> None:
    line = Line(voices=Cascade(NAME, "Bonjour.", OFFER))
    line.agent(resampled(OFFER, NAME))
    line.run(15_000)
    [heard] = [each for each in line.report.utterances if each.who == "agent"]
    assert (heard.text, heard.cut) == (f"{OFFER} {NAME}", False)
    assert heard.heard_ms is not None
    assert line.report.ear_defects.get("unknown", 0) == 0


def test_a_sentence_that_was_cut_is_half_a_sentence() -> None:
    line = Line(voices=Cascade(NAME, "Bonjour.", OFFER))
    whole = resampled(OFFER)
    line.agent(whole[: len(whole) // 2 // FRAME * FRAME])
    line.run(10_000)
    [heard] = [each for each in line.report.utterances if each.who == "agent"]
    assert heard.cut
    assert OFFER.startswith(heard.text)
    assert 10 < len(heard.text) < len(OFFER)


def test_a_line_that_goes_dead_in_the_middle() -> None:
    line = Line(voices=Cascade(OFFER))
    line.agent(resampled(OFFER))
    line.run(1500)
    line.leg.end("server")
    [heard] = [each for each in line.report.utterances if each.who == "agent"]
    assert heard.cut
    assert heard.ended_ms is not None


def test_a_voice_that_says_something_else_has_no_words() -> None:
    line = Line(voices=Cascade(OFFER))
    line.agent(resampled("Rappelez plus tard, nous sommes fermés."))
    line.run(10_000)
    heard = [each for each in line.report.utterances if each.who == "agent"]
    assert heard
    assert OFFER not in " ".join(each.text for each in heard)
