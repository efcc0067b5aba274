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


def test_calls_that_fail_together_open_it_once() -> None:
    clock = FakeClock()
    breakers = Breakers(clock)
    for _ in range(8):
        breakers.failed("vapi")
    clock.advance(FIRST_PAUSE)
    assert breakers.attempt("vapi")


def test_what_fails_later_but_began_before_makes_no_pause_longer() -> None:
    clock = FakeClock()
    breakers = opened(clock)
    clock.advance(FIRST_PAUSE - 1)
    breakers.failed("vapi")
    clock.advance(1)
    assert breakers.attempt("vapi")


def test_what_is_left_to_probes_is_no_calls_to_try() -> None:
    clock = FakeClock()
    breakers = opened(clock)
    breakers.leave_to_probes("vapi")
    assert not breakers.begin_try("vapi"), "not before its pause is over"
    clock.advance(FIRST_PAUSE)
    assert not breakers.allows("vapi")
    assert not breakers.attempt("vapi")
    assert breakers.begin_try("vapi")
    assert not breakers.begin_try("vapi"), "one at a time"
    breakers.answered("vapi")
    assert breakers.attempt("vapi")


def test_a_sign_of_life_is_no_call_that_has_worked() -> None:
    clock = FakeClock()
    breakers = opened(clock)
    for pause in (FIRST_PAUSE, FIRST_PAUSE * 2, FIRST_PAUSE * 4):
        clock.advance(pause - 0.1)
        assert not breakers.begin_try("vapi"), "the pause has grown"
        clock.advance(0.1)
        assert breakers.begin_try("vapi")
        breakers.answered("vapi")
        assert breakers.attempt("vapi")
        breakers.failed("vapi")
        assert breakers.state("vapi") is State.OPEN, "after a single failure"
    breakers.succeeded("vapi")
    breakers.failed("vapi")
    assert breakers.allows("vapi"), "a call that has worked makes all well"


def test_those_that_a_probe_may_ask() -> None:
    breakers = opened(FakeClock())
    breakers.failed("openai")
    assert list(breakers.open_keys()) == ["vapi"]
