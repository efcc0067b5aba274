"""Our own ears: loud or quiet, whatever is sent."""

import base64
import random

from hypothesis import given
from hypothesis import strategies as st

from voice.audio import audioop
from voice.media_stream.ears import EVERY, Ears


def frame(level: int, seed: int = 0) -> str:
    """20 ms of noise of about this RMS."""
    dice = random.Random(seed)
    samples = b"".join(
        max(-32768, min(32767, round(dice.gauss(0, level)))).to_bytes(2, "little", signed=True)
        for _ in range(160)
    )
    return base64.b64encode(audioop.lin2ulaw(samples, 2)).decode()


QUIET, SPEECH, HUM = frame(20), frame(3000), frame(900)


def changes(ears: Ears, frames: list[str]) -> list[tuple[int, bool]]:
    """(milliseconds, loud) of every change."""
    looked_at = [(n, each) for n, each in enumerate(frames) if not n % EVERY]
    return [(20 * (n + 1), ears.loud) for n, each in looked_at if ears.hear(each)]


def test_speech_begins_and_ends() -> None:
    heard = changes(Ears(), [QUIET] * 50 + [SPEECH] * 100 + [QUIET] * 50)
    ((began, loud), (ended, still)) = heard
    assert (loud, still) == (True, False)
    assert 1000 < began <= 1260
    assert 3000 < ended <= 3540


def test_a_click_is_no_speech() -> None:
    assert changes(Ears(), [QUIET] * 50 + [SPEECH] * 4 + [QUIET] * 50) == []


def test_a_pause_for_breath_ends_nothing() -> None:
    frames = [QUIET] * 30 + ([SPEECH] * 40 + [QUIET] * 15) * 3
    assert [loud for _, loud in changes(Ears(), frames)] == [True]


def test_a_noisy_place_becomes_the_background() -> None:
    ears = Ears()
    changes(ears, [HUM] * 1500)  # half a minute
    assert not ears.loud
    assert [loud for _, loud in changes(ears, [frame(9000)] * 50)] == [True]


@given(st.lists(st.text(max_size=300), max_size=30))
def test_whatever_is_sent(payloads: list[str]) -> None:
    ears = Ears()
    for payload in payloads:
        ears.hear(payload)
