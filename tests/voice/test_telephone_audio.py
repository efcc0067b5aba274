"""PCM of any rate → µ-law 8 kHz: what a telephone carries goes through, what it can't doesn't."""

import math
import random
import struct
import time

import pytest

from voice.audio import ToTelephone, audioop, pcm


def tone(rate: int, hertz: float, seconds: float = 0.5) -> bytes:
    count = int(rate * seconds)
    return struct.pack(
        f"<{count}h",
        *(int(10_000 * math.sin(2 * math.pi * hertz * at / rate)) for at in range(count)),
    )


def through(rate: int, sound: bytes, step: int = 1764) -> bytes:
    telephone = ToTelephone(rate)
    out = b"".join(telephone.feed(sound[at : at + step]) for at in range(0, len(sound), step))
    return out + telephone.end()


def decibels(mulaw: bytes) -> float:
    samples = pcm(mulaw)[800:-800]
    return 20 * math.log10(max(1, audioop.rms(samples, 2)) / 7071)


RATES = [16_000, 22_050, 24_000, 44_100, 48_000]


@pytest.mark.parametrize("rate", RATES)
def test_the_band_of_a_telephone_goes_through_and_nothing_folds_into_it(rate: int) -> None:
    for hertz in (300, 1000, 2500):
        assert abs(decibels(through(rate, tone(rate, hertz)))) < 1.0
    for hertz in (5200, 6000, 7000):
        assert decibels(through(rate, tone(rate, hertz))) < -45


@pytest.mark.parametrize("rate", [8000, *RATES])
def test_it_comes_a_millisecond_late_and_whole(rate: int) -> None:
    click = bytes(2 * (rate // 10)) + b"\xff\x7f" * (rate // 500) + bytes(2 * (rate // 10))
    out = pcm(through(rate, click))
    peak = max(range(0, len(out), 2), key=lambda at: abs(struct.unpack_from("<h", out, at)[0]))
    assert 100 <= peak / 16 <= 104
    assert abs(len(out) / 16 - (202 + (rate > 8000))) <= 1.5


@pytest.mark.parametrize("rate", [24_000, 22_050])
def test_pieces_of_any_size_make_the_same_sound(rate: int) -> None:
    dice = random.Random(1)
    sound = tone(rate, 700, 0.3)
    whole = through(rate, sound, len(sound))
    telephone, at, parts = ToTelephone(rate), 0, b""
    while at < len(sound):
        size = dice.randint(1, 999)  # odd ones too: half a sample
        parts += telephone.feed(sound[at : at + size])
        at += size
    parts += telephone.end()
    assert len(parts) == len(whole)
    assert sum(a != b for a, b in zip(parts, whole, strict=True)) < len(whole) * 0.01


def test_forty_milliseconds_take_far_less_than_one() -> None:
    telephone, piece = ToTelephone(24_000), tone(24_000, 700, 0.04)
    best = 1.0
    for _ in range(20):
        began = time.perf_counter()
        telephone.feed(piece)
        best = min(best, time.perf_counter() - began)
    assert best < 0.002


def test_rates_that_no_speech_has() -> None:
    for rate in (0, 4000, 1_000_000):
        with pytest.raises(ValueError, match="rate"):
            ToTelephone(rate)
