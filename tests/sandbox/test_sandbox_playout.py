import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.playout import MAX_BUFFERED_BYTES, Playout


def test_audio_of_any_length_comes_out_in_frames_and_the_last_is_filled() -> None:
    playout = Playout()
    playout.add(b"a" * 100)
    playout.add(b"b" * 100)
    assert playout.pull(0.0) == b"a" * 100 + b"b" * 60
    assert playout.pull(0.02) == b"b" * 40 + b"\xff" * 120
    assert playout.pull(0.04) is None


def test_a_mark_comes_back_when_what_precedes_it_has_been_heard() -> None:
    playout = Playout()
    playout.add(bytes(320))
    assert playout.mark("half", 0.0) == []
    playout.add(bytes(160))
    assert playout.mark("all", 0.0) == []
    playout.pull(0.0)
    playout.pull(0.02)
    assert playout.reached(0.039) == []  # the second frame is still in the air
    assert playout.reached(0.04) == ["half"]
    playout.pull(0.04)
    assert playout.reached(0.06) == ["all"]


def test_a_mark_with_nothing_before_it_comes_back_at_once() -> None:
    playout = Playout()
    assert playout.mark("now", 0.0) == ["now"]
    playout.add(bytes(160))
    playout.pull(0.0)
    assert playout.mark("later", 0.01) == []  # the frame in the air counts
    assert playout.reached(0.02) == ["later"]
    assert playout.mark("now again", 0.03) == ["now again"]


def test_clear_gives_all_marks_back_and_forgets_the_rest() -> None:
    playout = Playout()
    for name in ("a", "b"):
        playout.add(bytes(1600))
        playout.mark(name, 0.0)
    playout.pull(0.0)
    assert playout.clear() == ["a", "b"]
    assert playout.pull(0.02) is None
    assert playout.played_bytes(0.02) == 160
    playout.add(b"n" * 160)
    assert playout.pull(0.04) == b"n" * 160


def test_the_position_is_known_to_the_sample() -> None:
    playout = Playout()
    playout.add(bytes(400))
    playout.pull(1.0)
    assert playout.played_bytes(1.01) == 80
    playout.pull(1.02)
    playout.pull(1.04)
    assert playout.played_bytes(1.045) == 360
    assert playout.played_bytes(2.0) == 400


def test_more_than_ten_minutes_are_refused() -> None:
    playout = Playout()
    assert playout.add(bytes(MAX_BUFFERED_BYTES - 1))
    assert not playout.add(bytes(2))
    assert playout.add(bytes(1))
    assert playout.buffered == MAX_BUFFERED_BYTES


@given(
    st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=700),
            st.sampled_from(["mark", "pull", "pull", "clear"]),
        ),
        max_size=60,
    )
)
def test_every_mark_comes_back_once_in_order_and_never_early(steps: list[bytes | str]) -> None:
    playout, at, sent = Playout(), 0.0, 0
    due: list[tuple[str, int]] = []  # mark and how much must have been played

    def back(names: list[str], *, cleared: bool = False) -> None:
        for name in names:
            expected, position = due.pop(0)
            assert name == expected
            assert cleared or playout.played_bytes(at) >= position

    for number, step in enumerate(steps):
        if isinstance(step, bytes):
            playout.add(step)
            sent += len(step)
        elif step == "mark":
            due.append((str(number), sent))
            back(playout.mark(str(number), at))
        elif step == "clear":
            back(playout.clear(), cleared=True)
            assert not due
            sent = playout.played_bytes(at + 1)
        else:
            at = round(at + 0.02, 6)
            back(playout.reached(at))
            playout.pull(at)
            if playout.buffered == 0 and due:
                assert playout.played_bytes(at) < due[0][1]
    while playout.pull(at) is not None:
        at += 0.02
    back(playout.reached(at + 1))
    assert not due
    assert playout.played_bytes(at + 1) == pytest.approx(sent)
