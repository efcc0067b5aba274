"""Whose turn it is: noises, pauses, words; and the recorded hesitations, in short."""

import random
import time

import pytest

from benchmarks.hesitations import LATENCY, figures, onsets, plain_silence, recorded
from sandbox.clips.make import mulaw
from tests.voice.cascade_models import QUIET, clip
from voice.completeness import Completeness, completeness
from voice.transcripts import clean, is_back_channel
from voice.turn_taking import Patience, TurnTaking, Verdict

FINISHED, OPEN, UNFINISHED = Completeness.FINISHED, Completeness.OPEN, Completeness.UNFINISHED


def listen(taking: TurnTaking, sound: bytes) -> list[tuple[int, Verdict]]:
    found = []
    for at in range(0, len(sound) - 159, 160):
        verdict = taking.hear(sound[at : at + 160])
        if verdict is not None:
            found.append((at // 8 + 20, verdict))
    return found


def test_a_turn_begins_after_120_ms_of_speech_and_ends_by_its_words() -> None:
    taking = TurnTaking()
    words = clip("rdv_demain_14h")
    began = listen(taking, QUIET * 25 + words)
    assert began[0][1] is Verdict.BEGAN
    assert 620 <= began[0][0] <= 700
    assert [verdict for _, verdict in listen(taking, QUIET * 12)] == [Verdict.PAUSED]
    taking.understood("Je voudrais un rendez-vous demain à quatorze heures, s'il vous plaît.")
    ended = listen(taking, QUIET * 40)
    assert ended[-1][1] is Verdict.ENDED
    assert 240 + ended[-1][0] <= Patience().finished_level + 20
    assert not taking.in_turn


def test_an_unfinished_sentence_gets_more_time_and_words_that_go_on_resume_it() -> None:
    taking = TurnTaking()
    words = clip("rdv_demain_14h")
    listen(taking, QUIET * 25 + words + QUIET * 12)
    taking.understood("C'est pour euh.")
    assert taking.needs_ms == Patience().unfinished
    assert [each for _, each in listen(taking, QUIET * 30)] == [Verdict.QUIET]
    assert listen(taking, words)[0][1] is Verdict.RESUMED
    assert taking.needs_ms == Patience().unknown


@pytest.mark.parametrize("noise", [16, 60, 200])
def test_a_line_s_noise_and_a_click_are_nobody(noise: int) -> None:
    dice = random.Random(noise)
    line = bytes(mulaw(dice.randint(-noise, noise)) for _ in range(8000 * 6))
    click = bytes(mulaw(dice.randint(-9000, 9000)) for _ in range(8 * 60))
    taking = TurnTaking()
    assert listen(taking, line) == []
    assert listen(taking, (click + line[: 8 * 400]) * 5) == []


def test_a_frame_costs_microseconds() -> None:
    frames = [each for turn in recorded("tuning")[:12] for each in turn.frames]
    best = 1.0
    for _ in range(3):
        taking = TurnTaking()
        began = time.perf_counter()
        for frame in frames:
            taking.hear(frame)
        best = min(best, (time.perf_counter() - began) / len(frames))
    assert best < 30e-6  # 10 µs is the budget; the suite's machine is shared


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Oui.", FINISHED),
        ("Non merci.", FINISHED),
        ("Mardi à quatorze heures.", FINISHED),
        ("Est-ce que vous êtes ouverts ?", FINISHED),
        ("C'est le 06 39 98 76 54.", FINISHED),
        ("Zéro six, trente-neuf, quatre-vingt-dix-huit, douze, trente-quatre.", FINISHED),
        ("C'est marie arobase gmail point com.", FINISHED),
        ("C'est le 06 39 98.", UNFINISHED),
        ("Mon numéro, c'est le 07.", UNFINISHED),
        ("C'est marie arobase gmail.", UNFINISHED),
        ("C'est m, a, r, c.", UNFINISHED),
        ("Je voudrais un rendez-vous pour le.", UNFINISHED),
        ("Mardi et.", UNFINISHED),
        ("Bonjour.", UNFINISHED),
        ("", UNFINISHED),
        ("Alors…", UNFINISHED),
        ("Je m'appelle Marc Durand.", OPEN),
        ("J'ai un bruit au freinage.", OPEN),
    ],
)
def test_whether_something_is_finished(text: str, expected: Completeness) -> None:
    assert completeness(text) is expected


def test_what_transcribers_invent_is_nothing() -> None:
    assert clean("Sous-titres réalisés par la communauté d'Amara.org", 900) == ""
    assert clean("Merci d'avoir regardé cette vidéo !", 3000) == ""
    assert clean("Je voudrais un rendez-vous mardi prochain.", 140) == ""
    assert clean(" … ", 500) == ""
    assert clean(" Oui,  d'accord. ", 300) == "Oui, d'accord."


@pytest.mark.parametrize("text", ["Oui.", "D'accord !", "Mmh.", "Oui, d'accord.", "OK", "Ah, oui."])
def test_back_channels(text: str) -> None:
    assert is_back_channel(text)


@pytest.mark.parametrize("text", ["Non.", "Attendez.", "Oui mais mardi.", "Stop", ""])
def test_no_back_channels(text: str) -> None:
    assert not is_back_channel(text)


def test_the_recorded_hesitations() -> None:
    """The issue's limits: at most 5 % cut off, median added delay at most 700 ms. Over both halves;
    `python -m benchmarks.hesitations` shows each."""
    turns = recorded("tuning", "held_out")
    ours = figures(turns, LATENCY)
    assert ours.turns == 144
    assert ours.cut_share <= 0.05, ours.names
    assert ours.median_delay_ms <= 700
    # Hearing alone, with the same median delay, cuts off every third.
    assert plain_silence(turns, 700).cut_share > 0.25


def test_voices_over_the_agent_are_noticed_in_time() -> None:
    seen = list(onsets(recorded("back_channels", "interruptions")))
    assert all(noticed is not None for _, noticed, _ in seen)
    short = [murmur for name, _, murmur in seen if "00" in name and "back" in name]
    assert all(short)  # "oui"
    assert not any(murmur for name, _, murmur in seen if "interruptions" in name)


@pytest.mark.parametrize(
    "text", ["m" * 5000, "oui " * 900 + "x", "." * 5000, "a-" * 2000, "1 " * 2000]
)
def test_a_hostile_transcript_takes_no_longer_than_an_honest_one(text: str) -> None:
    began = time.perf_counter()
    completeness(clean(text, 60_000))
    is_back_channel(text)
    assert time.perf_counter() - began < 0.2
