"""What the caller has heard, against a model of Twilio's queue."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from voice.media_stream.playout import Playout

MS = 8


def test_the_first_mark_comes_after_100_ms_and_then_one_every_300() -> None:
    playout = Playout()
    marks = [playout.sent("a", 20 * MS, 0.0) for _ in range(40)]
    assert [mark for mark in marks if mark] == ["0:800", "0:3200", "0:5600"]


def test_an_utterance_after_a_pause_begins_with_an_early_mark() -> None:
    playout = Playout()
    for _ in range(6):
        playout.sent("a", 20 * MS, 0.0)
    assert playout.tail() == "0:960"
    assert playout.echoed("0:960", 0.12)
    marks = [playout.sent("b", 20 * MS, 5.0) for _ in range(6)]
    assert [mark for mark in marks if mark] == ["0:1760"]


@given(st.lists(st.tuples(st.integers(1, 400), st.floats(0, 2)), max_size=30))
def test_marks_are_never_closer_than_100_ms(sends: list[tuple[int, float]]) -> None:
    playout, now, positions = Playout(), 0.0, []
    for milliseconds, pause in sends:
        now += pause
        mark = playout.sent("a", milliseconds * MS, now)
        if mark:
            positions.append(int(mark.split(":")[1]))
    gaps = [later - earlier for earlier, later in pairwise([0, *positions])]
    assert all(gap >= 100 * MS for gap in gaps)


def test_a_mark_confirms_and_time_adds_to_it() -> None:
    playout = Playout()
    playout.sent("a", 1000 * MS, 10.0)
    assert not playout.echoed("0:800", 10.3)  # 100 ms confirmed, late
    assert playout.cleared(10.5) == (("a", 300.0, 1000.0),)


def test_never_more_than_was_sent() -> None:
    playout = Playout()
    playout.sent("a", 200 * MS, 0.0)
    assert playout.cleared(99.0) == (("a", 200.0, 200.0),)


def test_echoes_of_a_cleared_generation_are_not_heard() -> None:
    playout = Playout()
    mark = playout.sent("a", 500 * MS, 0.0)
    assert mark is not None
    playout.cleared(0.1)
    playout.sent("b", 500 * MS, 0.1)
    assert not playout.echoed(mark, 0.1)
    assert playout.cleared(0.2) == (("b", 100.0, 500.0),)


def test_the_last_mark_says_that_all_was_heard() -> None:
    playout = Playout()
    playout.sent("a", 120 * MS, 0.0)
    playout.sent("a", 50 * MS, 0.0)
    assert playout.tail() == "0:1360"
    assert playout.tail() is None
    assert not playout.echoed("0:960", 0.12)
    assert playout.echoed("0:1360", 0.17)
    assert playout.drained() == (("a", 170.0),)


def test_a_pause_in_the_middle_of_an_item_keeps_its_position() -> None:
    playout = Playout()
    playout.sent("a", 200 * MS, 0.0)
    assert playout.echoed("0:1600", 0.2)
    assert playout.drained() == (("a", 200.0),)
    playout.sent("a", 300 * MS, 5.0)
    assert playout.cleared(5.1) == (("a", 300.0, 500.0),)


def test_later_items_were_not_heard() -> None:
    playout = Playout()
    playout.sent("a", 100 * MS, 0.0)
    playout.sent("b", 100 * MS, 0.0)
    assert playout.cleared(0.05) == (("a", 50.0, 100.0), ("b", 0.0, 100.0))


def test_strange_marks_are_ignored() -> None:
    playout = Playout()
    playout.sent("a", 100 * MS, 0.0)
    for name in ["", "x", "0:", "0:abc", "1:800", "0:9999999", "0:²", "0:-5", "0:" + "9" * 5000]:
        assert not playout.echoed(name, 0.0)
    assert playout.cleared(0.0) == (("a", 0.0, 100.0),)


@given(
    st.lists(
        st.tuples(st.sampled_from(["send", "clear", "wait"]), st.integers(1, 400)), max_size=40
    ),
    st.integers(0, 60),
)
def test_against_a_queue_that_plays_in_real_time(steps: list[tuple[str, int]], late: int) -> None:
    """Twilio plays 8 bytes a millisecond, echoes marks when played, each `late` ms later here.

    What we take for heard is never behind the truth by more than the echo's delay and a mark's
    spacing, and never ahead of what was sent.
    """
    playout, now, sent, played = Playout(), 0, 0, 0.0
    marks: list[tuple[int, str]] = []
    echoes: list[tuple[int, str]] = []

    def advance(to: int) -> None:
        nonlocal now, played
        for instant in range(now + 1, to + 1):
            played = min(sent, played + MS)
            for position, name in [m for m in marks if m[0] <= played]:
                marks.remove((position, name))
                echoes.append((instant + late, name))
            for due, name in [e for e in echoes if e[0] <= instant]:
                echoes.remove((due, name))
                playout.echoed(name, instant / 1000)
        now = to

    for step, amount in steps:
        if step == "send":
            mark = playout.sent("a", amount * MS, now / 1000)
            sent += amount * MS
            if mark:
                marks.append((sent, mark))
        elif step == "wait":
            advance(now + amount)
        else:
            truth = played
            items = playout.cleared(now / 1000)
            if items:
                heard = items[-1][1] * MS
                assert heard <= sent
                assert abs(heard - truth) <= (late + 1) * MS
            sent, played = 0, 0.0
            marks, echoes = [], [(now + late, name) for _, name in marks]
