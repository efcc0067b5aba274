"""Known recordings are recognised after a telephone line, a filter and another rate."""

import random

import pytest

from sandbox.audio import quiet, stamp
from sandbox.bank import clips
from sandbox.recogniser import RATE, audioop, callers, recognise, words

CALLERS = clips(role="caller")
#: Every clip is recognised; a third of them is enough for each run.
SAMPLE = CALLERS[::3]


def heard(*audios: bytes, rate: int = 16_000, volume: float = 0.8, late: int = 53) -> bytes:
    """`late`: samples by which the frames are shifted."""
    line = quiet(5, 0, 15)
    for audio in audios:
        line += stamp(audio, 5, 15) + quiet(5, 300, 12)
    pcm, _ = audioop.ratecv(audioop.ulaw2lin(line, 2), 2, 1, RATE, rate, None)
    return audioop.mul(pcm[2 * late :], 2, volume)


def test_what_callers_say() -> None:
    dice = random.Random(3)
    for clip in SAMPLE:
        pcm = heard(clip.audio, volume=dice.choice((0.5, 1.0)), late=dice.randrange(320))
        [found] = recognise(pcm, 16_000)
        assert words([found]) == clip.text, clip.id
        assert found.complete


def test_several_in_a_row() -> None:
    dice = random.Random(5)
    for _ in range(8):
        chosen = dice.sample(CALLERS, 3)
        found = recognise(heard(*(each.audio for each in chosen)), 16_000)
        assert words(found) == " ".join(each.text for each in chosen)
        assert [each.at for each in found] == sorted(each.at for each in found)


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100])
def test_at_any_rate(rate: int) -> None:
    clip = next(each for each in CALLERS if each.id == "rdv_freins_mardi")
    assert words(recognise(heard(clip.audio, rate=rate), rate)) == clip.text


def test_over_a_noisy_line() -> None:
    dice = random.Random(11)
    for clip in SAMPLE[:8]:
        pcm = heard(clip.audio)
        noise = b"".join(
            dice.randrange(-600, 600).to_bytes(2, "little", signed=True)
            for _ in range(len(pcm) // 2)
        )
        assert clip.text in words(recognise(audioop.add(pcm, noise, 2), 16_000))


def test_what_isnt_known_isnt_recognised() -> None:
    clip = next(each for each in CALLERS if each.id == "rdv_freins_mardi")
    others = [each for each in callers() if each.label != clip.id]
    assert clip.text not in words(recognise(heard(clip.audio), 16_000, others))
    dice = random.Random(1)
    noise = b"".join(
        dice.randrange(-9000, 9000).to_bytes(2, "little", signed=True) for _ in range(32_000)
    )
    assert recognise(noise, 16_000) == []
    assert recognise(bytes(64_000), 16_000) == []
    assert recognise(b"", 16_000) == []


def test_a_voice_backwards_is_no_voice() -> None:
    clip = next(each for each in CALLERS if each.id == "rdv_freins_mardi")
    backwards = audioop.reverse(audioop.ulaw2lin(clip.audio, 2), 2)
    assert recognise(backwards, RATE) == []
