"""How late a server is with what it says of the caller's audio, by a clock of our own."""

import pytest

from providers.openai.lateness import Sent

FRAME_MS, FRAME_SECONDS = 20.0, 0.02


def line(sent: Sent, seconds: float, since: float = 0.0) -> float:
    """The caller's frames for so long; when the last of them left."""
    now = since
    for number in range(round(seconds / FRAME_SECONDS)):
        now = since + number * FRAME_SECONDS
        sent.add(FRAME_MS, now)
    return now


@pytest.mark.parametrize("late", [0.4, 1.5, 3.0, 20.0])
def test_it_is_the_time_since_that_position_left(late: float) -> None:
    sent = Sent()
    line(sent, 5.0 + late)
    assert sent.seconds_since(5000.0, 5.0 + late) == pytest.approx(late, abs=0.13)
    assert (sent.seconds_since(5000.0, 5.0 + late) or 0) <= late, "at least so much, never more"


def test_what_was_replayed_left_when_it_was_replayed() -> None:
    sent = Sent()
    for _ in range(250):
        sent.add(FRAME_MS, 0.0)
    line(sent, 0.5, since=0.02)
    assert (sent.seconds_since(300.0, 0.5) or 0) < 0.5


def test_a_gap_of_our_own_is_nobody_s_lateness() -> None:
    sent = Sent()
    stood_still = line(sent, 5.0)
    line(sent, 0.4, since=stood_still + 3.0)
    assert sent.seconds_since(4000.0, stood_still + 3.4) is None
    assert (sent.seconds_since(5100.0, stood_still + 3.4) or 0) < 0.5


def test_what_never_left_or_is_forgotten_tells_nothing() -> None:
    sent = Sent()
    assert sent.seconds_since(100.0, 1.0) is None
    line(sent, 120.0)
    assert sent.seconds_since(1000.0, 120.0) is None
    assert sent.seconds_since(500_000.0, 120.0) is None
