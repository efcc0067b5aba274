"""The bank of clips, the renderer and the stamp."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox import bank
from sandbox.audio import SEQUENCE_MODULUS, masked
from sandbox.speech import (
    FRAME_BYTES,
    MAX_TAG,
    Stamp,
    clip,
    clips,
    hush,
    is_speech,
    quiet,
    read_stamp,
    render,
    stamp,
)

FOLDER = Path(bank.__file__).parent / "clips"
CLIP = "rdv_freins_mardi"


def frames(audio: bytes) -> list[bytes]:
    return [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]


def test_at_least_forty_utterances_by_several_callers() -> None:
    callers = clips(role="caller")
    assert len({each.text for each in callers}) >= 40
    assert {each.voice for each in callers} == {"marc", "henri", "claire", "sonia"}
    assert clips(role="agent", voice="sara")
    assert sum(len(each.audio) for each in clips()) < 6_000_000


def test_every_phrase_of_the_list_is_spoken_and_nothing_else() -> None:
    spec = tomllib.loads((FOLDER / "phrases.toml").read_text("utf-8"))
    index = json.loads((FOLDER / "index.json").read_text("utf-8"))
    own = {name: text for each in spec["caller"].values() for name, text in each.items()}
    shared = spec["caller"]["all"]
    for each in clips(role="caller"):
        name = each.id.removesuffix(f"_{each.voice}")
        assert each.text == (shared.get(name) or own[each.id])
    files = {path.stem for path in (FOLDER / "caller").glob("*.ulaw")}
    assert files == {name for name, entry in index.items() if entry["role"] == "caller"}


@pytest.mark.parametrize("each", clips(role="caller"), ids=lambda each: each.id)
def test_an_utterance_is_whole_frames_of_speech(each: bank.Clip) -> None:
    assert len(each.audio) == each.ms * 8
    assert len(each.audio) % FRAME_BYTES == 0
    said = [is_speech(frame) for frame in frames(each.audio)]
    assert any(is_speech(frame, 1.5) for frame in frames(each.audio)[:2])
    assert any(is_speech(frame, 1.5) for frame in frames(each.audio)[-2:])
    assert sum(said) * 20 >= 140
    longest_pause = max(len(run) for run in "".join(".#"[each] for each in said).split("#"))
    assert longest_pause * 20 < 500  # the model's voice detection would end the turn


def test_no_two_frames_of_the_bank_are_alike() -> None:
    every = [masked(frame) for each in clips() for frame in frames(each.audio)]
    assert len(every) > 20_000
    assert len(set(every)) == len(every)


def test_an_unknown_clip_is_named() -> None:
    with pytest.raises(KeyError, match="no clip 'nobody'"):
        clip("nobody")


def test_known_phrases_are_said_in_one_breath() -> None:
    assert render("Je peux vous proposer") == clip("phrase:je peux vous proposer")
    assert render("je PEUX vous proposer.") == clip("phrase:je peux vous proposer")
    both = render("Très bien, au revoir !")
    assert both.startswith(clip("phrase:très bien"))
    assert both.endswith(clip("phrase:au revoir"))


def test_dates_and_times_are_said_in_words() -> None:
    words = ["mardi", "vingt", "quatre", "novembre", "à", "quatorze", "heures", "trente"]
    spoken = b"".join(clip(f"word:{word}") for word in words)
    assert render("mardi 24 novembre à 14h30") == spoken
    assert render("mardi vingt-quatre novembre à quatorze heures trente") == spoken


def test_unknown_words_are_said_by_syllables() -> None:
    assert render("Zabidou") == b"".join(clip(f"syllable:{each}") for each in ("za", "bi", "dou"))


@given(st.text(max_size=60))
def test_any_text_is_said_the_same_way_twice(text: str) -> None:
    audio = render(text)
    render.cache_clear()
    assert render(text) == audio
    assert len(audio) % FRAME_BYTES == 0
    if any(letter.isalpha() for letter in text.lower()):
        assert sum(map(is_speech, frames(audio))) >= 4


def test_nothing_to_say_is_no_sound() -> None:
    assert render("") == b""
    assert render(" … !") == b""


@given(
    tag=st.integers(0, MAX_TAG),
    sequence=st.integers(0, SEQUENCE_MODULUS - 1),
)
def test_a_stamp_is_read_back_and_leaves_the_sound(tag: int, sequence: int) -> None:
    audio = clip(CLIP)[: 3 * FRAME_BYTES]
    stamped = stamp(audio, tag, sequence)
    assert masked(stamped) == masked(audio)
    for offset, frame in enumerate(frames(stamped)):
        assert read_stamp(frame) == Stamp(tag, (sequence + offset) % SEQUENCE_MODULUS, True)


def test_quiet_is_stamped_and_no_speech() -> None:
    for offset, frame in enumerate(frames(quiet(9, 100, frames=5))):
        assert read_stamp(frame) == Stamp(9, 100 + offset, False)
        assert not is_speech(frame)
        assert frame != b"\xff" * FRAME_BYTES


@given(
    st.binary(min_size=FRAME_BYTES, max_size=FRAME_BYTES),
    st.sets(st.integers(0, 63), min_size=1, max_size=2),
)
def test_a_damaged_stamp_is_not_read_as_another(noise: bytes, flipped: set[int]) -> None:
    frame = bytearray(stamp(noise, 77, 5))
    for position in flipped:
        frame[position] ^= 1
    assert read_stamp(bytes(frame)) is None


def test_unstamped_audio_has_no_stamp() -> None:
    every = [frame for each in clips() for frame in frames(each.audio)]
    assert sum(read_stamp(frame) is not None for frame in every) <= 5  # by chance 27,000 / 32,768


@pytest.mark.parametrize("audio", [b"\xff", b"\xff" * 161])
def test_half_a_frame_is_not_stamped(audio: bytes) -> None:
    with pytest.raises(ValueError, match="whole number"):
        stamp(audio, 1, 1)


def test_a_tag_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        stamp(hush(1), MAX_TAG + 1, 0)


@pytest.mark.parametrize(
    ("sensitivity", "heard"), [(1.0, True), (0.05, False)], ids=["usual", "hard of hearing"]
)
def test_sensitivity(sensitivity: float, heard: bool) -> None:
    middle = clip(CLIP)[10 * FRAME_BYTES :][:FRAME_BYTES]
    assert is_speech(middle, sensitivity) is heard
