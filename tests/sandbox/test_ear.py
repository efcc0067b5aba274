"""The ear: what was said, and every frame amiss."""

import time
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.speech import FRAME_BYTES, Ear, EarEvent, clip, hush, quiet, render, stamp

CLIP = "rdv_freins_mardi"
TAG = 4711


def frames(audio: bytes) -> list[bytes]:
    return [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]


def call(clip_id: str = CLIP, *, before: int = 3, after: int = 3) -> list[bytes]:
    """Stamped: quiet, a clip, quiet."""
    audio = clip(clip_id)
    said = len(audio) // FRAME_BYTES
    return frames(
        quiet(TAG, 0, before) + stamp(audio, TAG, before) + quiet(TAG, before + said, after)
    )


def listen(ear: Ear, heard: list[bytes]) -> list[EarEvent]:
    return [event for frame in heard for event in ear.feed(frame)]


def counts(ear: Ear) -> dict[str, int]:
    return {name: count for name, count in asdict(ear.defects).items() if count}


def test_an_utterance_is_known_from_its_first_frame_to_its_last() -> None:
    ear = Ear()
    events = listen(ear, call())
    whole = len(clip(CLIP)) // FRAME_BYTES
    assert events == [
        EarEvent("started", CLIP, 1, 20),
        EarEvent("finished", CLIP, whole, whole * 20),
    ]
    assert ear.tag == TAG
    assert not ear.defects.any()


def test_what_is_being_said_can_be_asked() -> None:
    ear = Ear()
    assert ear.hearing is None
    listen(ear, call()[:13])
    assert ear.hearing == (CLIP, 10, 10)


def test_a_lost_frame_is_noticed() -> None:
    ear = Ear()
    heard = call()
    del heard[20:23]
    events = listen(ear, heard)
    assert EarEvent("lost", CLIP, 17, 340, 3) in events
    assert events[-1].kind == "finished"
    assert events[-1].frames_heard == len(clip(CLIP)) // FRAME_BYTES - 3
    assert counts(ear) == {"lost": 3}


def test_a_frame_lost_in_silence_is_noticed() -> None:
    ear = Ear()
    heard = call(before=30)
    del heard[10]
    listen(ear, heard)
    assert counts(ear) == {"lost": 1}


def test_without_a_stamp_the_sound_tells_what_is_lost() -> None:
    ear = Ear()
    heard = frames(clip(CLIP))
    del heard[20:23]
    events = listen(ear, heard)
    assert [event.kind for event in events] == ["started", "lost", "finished"]
    assert counts(ear) == {"lost": 3}


def test_a_frame_that_comes_late_is_reordered_not_lost() -> None:
    ear = Ear()
    heard = call()
    heard[20], heard[21] = heard[21], heard[20]
    events = listen(ear, heard)
    assert [event.kind for event in events] == ["started", "lost", "reordered", "finished"]
    assert counts(ear) == {"reordered": 1}


def test_a_repeated_frame_is_noticed() -> None:
    ear = Ear()
    heard = call()
    heard.insert(21, heard[20])
    listen(ear, heard)
    assert counts(ear) == {"repeated": 1}


def test_another_calls_frame_is_crossed() -> None:
    ear = Ear(TAG)
    heard = call()
    heard.insert(20, stamp(clip("oui_marc")[:FRAME_BYTES], TAG + 1, 20))
    events = listen(ear, heard)
    assert EarEvent("crossed", CLIP, 17, 340, 1) in events
    assert events[-1].frames_heard == len(clip(CLIP)) // FRAME_BYTES
    assert counts(ear) == {"crossed": 1}


def test_a_stutter_inside_an_utterance_is_late() -> None:
    ear = Ear()
    heard = call()
    heard[20:20] = [b"\xff" * FRAME_BYTES] * 4  # what a carrier plays when its buffer runs dry
    events = listen(ear, heard)
    assert EarEvent("late", CLIP, 17, 340, 4) in events
    assert events[-1].kind == "finished"
    assert counts(ear) == {"late": 4}


def test_an_utterance_that_stops_in_the_middle_is_cut() -> None:
    ear = Ear()
    said = frames(stamp(clip(CLIP)[: 40 * FRAME_BYTES], TAG, 0) + quiet(TAG, 40, 60))
    events = listen(ear, said)
    assert events[-1] == EarEvent("cut", CLIP, 40, 800)
    assert not ear.defects.any()


def test_the_end_of_the_line_cuts_too() -> None:
    ear = Ear()
    listen(ear, frames(clip(CLIP)[: 40 * FRAME_BYTES]))
    assert ear.flush() == [EarEvent("cut", CLIP, 40, 800)]
    assert ear.flush() == []


def test_a_clear_is_no_loss() -> None:
    ear = Ear()
    audio = stamp(render("Je peux vous proposer mardi ou jeudi."), TAG, 0)
    ear.expect("first", render("Je peux vous proposer mardi ou jeudi."))
    ear.expect("second", render("D'accord."))
    listen(ear, frames(audio)[:30])
    assert [event.kind for event in ear.cleared()] == ["cut"]
    events = listen(ear, frames(stamp(render("D'accord."), TAG, len(audio) // FRAME_BYTES)))
    assert [event.label for event in events] == ["second", "second"]
    assert not ear.defects.any()


def test_only_one_gap_is_forgiven() -> None:
    ear = Ear()
    heard = call(before=60)
    listen(ear, heard[:10])
    ear.cleared()
    listen(ear, [*heard[20:30], *heard[31:]])
    assert counts(ear) == {"lost": 1}


def test_renderings_that_begin_alike_are_told_apart_in_the_end() -> None:
    texts = ("Je peux vous proposer", "Je peux vous proposer mardi", "Je peux vous proposer jeudi")
    for said in texts:
        ear = Ear()
        for text in texts:
            ear.expect(text, render(text))
        audio = render(said)
        events = listen(ear, frames(stamp(audio, TAG, 0) + quiet(TAG, len(audio) // 160, 5)))
        assert [event.kind for event in events] == ["started", "finished"]
        assert events[-1].label == said
        assert events[-1].frames_heard == len(audio) // FRAME_BYTES


def test_a_loss_where_a_phrase_is_repeated_is_placed_right() -> None:
    text = "Mardi 24 novembre à dix heures, ou mardi 24 novembre à onze heures."
    ear = Ear()
    ear.expect(text, render(text))
    heard = frames(stamp(render(text), TAG, 0))
    total = len(heard)
    del heard[5]
    events = listen(ear, heard)
    assert events[-1] == EarEvent("finished", text, total - 1, total * 20)


def test_strange_sounds_are_counted_and_told_once_a_run() -> None:
    ear = Ear()
    shifted = clip(CLIP)[80:][: 30 * FRAME_BYTES]  # half a frame off: nothing of it is known
    events = listen(ear, frames(shifted))
    assert events[0].kind == "unknown"
    assert counts(ear)["unknown"] > 10
    assert sum(event.kind == "unknown" for event in events) < counts(ear)["unknown"]


def test_comfort_noise_is_nothing() -> None:
    ear = Ear()
    assert listen(ear, frames(hush(50))) == []
    assert not ear.defects.any()


def test_a_frame_is_160_bytes() -> None:
    with pytest.raises(ValueError, match="160"):
        Ear().feed(b"\xff" * 159)


@given(
    st.lists(
        st.tuples(st.sampled_from(["lose", "repeat", "swap"]), st.integers(5, 150)),
        max_size=4,
        unique_by=lambda each: each[1] // 6,
    )
)
def test_every_mishap_is_counted_exactly(mishaps: list[tuple[str, int]]) -> None:
    # At least two frames apart: each mishap stands alone.
    mishaps = [(what, at // 6 * 6 + 2) for what, at in mishaps]
    heard = call()
    for what, at in sorted(mishaps, key=lambda each: -each[1]):
        if what == "lose":
            del heard[at]
        elif what == "repeat":
            heard.insert(at, heard[at])
        else:
            heard[at], heard[at + 1] = heard[at + 1], heard[at]
    ear = Ear()
    listen(ear, heard)
    done = [what for what, _ in mishaps]
    expected = {
        "lost": done.count("lose"),
        "repeated": done.count("repeat"),
        "reordered": done.count("swap"),
    }
    assert counts(ear) == {name: count for name, count in expected.items() if count}


def test_listening_is_light() -> None:
    """40 calls at 50 frames a second are 2,000 frames: they must cost a small part of a second."""
    heard = call(before=20, after=20)
    best = 1.0
    for _ in range(5):
        ear = Ear()
        began = time.process_time()
        listen(ear, heard)
        best = min(best, (time.process_time() - began) / len(heard))
    assert best * 2_000 < 0.1
