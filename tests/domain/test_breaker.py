"""Breakers: whom to leave alone, and for how long."""

from domain.breaker import FAILURES, FIRST_PAUSE, LONGEST_PAUSE, TRIAL_SECONDS, Breakers, State
from tests.fakes.clock import FakeClock


def opened(clock: FakeClock) -> Breakers:
    breakers = Breakers(clock)
    for _ in range(FAILURES):
        assert breakers.attempt("vapi")
        breakers.failed("vapi")
    return breakers


def test_failures_in_a_row_open_it() -> None:
    breakers = opened(FakeClock())
    assert breakers.state("vapi") is State.OPEN
    assert not breakers.attempt("vapi")
    assert breakers.attempt("openai"), "each has its own"


def test_a_success_between_them_counts_them_anew() -> None:
    breakers = Breakers(FakeClock())
    for _ in range(5):
        breakers.failed("vapi")
        breakers.succeeded("vapi")
    assert breakers.allows("vapi")


def test_after_the_pause_one_may_try() -> None:
    clock = FakeClock()
    breakers = opened(clock)
    clock.advance(FIRST_PAUSE)
    assert breakers.attempt("vapi")
    assert not breakers.attempt("vapi"), "one at a time"
    breakers.succeeded("vapi")
    assert breakers.attempt("vapi")
    assert breakers.attempt("vapi")


def test_each_failed_try_doubles_the_pause_up_to_a_limit() -> None:
    clock = FakeClock()
    breakers = opened(clock)
    pause = FIRST_PAUSE
    for _ in range(10):
        clock.advance(pause - 0.1)
        assert not breakers.attempt("vapi")
        clock.advance(0.1)
        assert breakers.attempt("vapi")
        breakers.failed("vapi")
        pause = min(pause * 2, LONGEST_PAUSE)


def test_a_try_that_says_nothing_blocks_nobody_for_ever() -> None:
    clock = FakeClock()
    breakers = opened(clock)
    clock.advance(FIRST_PAUSE)
    assert breakers.attempt("vapi")
    clock.advance(TRIAL_SECONDS)
    assert breakers.attempt("vapi")
    breakers.released("vapi")
    assert breakers.attempt("vapi")


def test_those_that_a_probe_may_ask() -> None:
    breakers = opened(FakeClock())
    breakers.failed("openai")
    assert list(breakers.open_keys()) == ["vapi"]
