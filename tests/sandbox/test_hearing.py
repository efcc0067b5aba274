"""Voice detection and the turns of the caller."""

from sandbox.hearing import Hearing, Turn, Voice, VoiceDetector
from sandbox.speech import FRAME_BYTES, clip, hush, quiet, stamp

FREINS = "Bonjour, c'est pour des plaquettes de frein, mardi si possible."


def frames(audio: bytes) -> list[bytes]:
    return [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]


def detect(detector: VoiceDetector, audio: bytes) -> list[Voice]:
    found = (detector.feed(frame, number * 20) for number, frame in enumerate(frames(audio), 1))
    return [voice for voice in found if voice]


def test_speech_begins_where_it_begins_and_ends_after_the_pause() -> None:
    audio = hush(10) + clip("rdv_freins_mardi") + hush(40)
    spoken_ms = len(clip("rdv_freins_mardi")) // 8
    started, stopped = detect(VoiceDetector(), audio)
    assert started.kind == "started"
    assert started.ms == 200
    assert stopped.kind == "stopped"
    assert 0 <= 200 + spoken_ms + 500 - stopped.ms < 120  # the last frames may be a breath


def test_the_pause_is_the_sessions() -> None:
    audio = clip("oui_marc") + hush(20) + clip("oui_marc") + hush(60)
    assert len(detect(VoiceDetector(silence_ms=300), audio)) == 4
    assert len(detect(VoiceDetector(silence_ms=500), audio)) == 2


def test_a_click_is_no_voice() -> None:
    loud = clip("oui_marc")[4 * FRAME_BYTES :][: 2 * FRAME_BYTES]
    assert detect(VoiceDetector(), hush(10) + loud + hush(50)) == []
    assert detect(VoiceDetector(), hush(100)) == []


def faint(audio: bytes, octaves: int) -> bytes:
    """The same voice further away: each octave halves it (a step of µ-law's exponent)."""
    return bytes(byte & 0x80 | min((byte & 0x7F) + octaves * 16, 0x7F) for byte in audio)


def test_a_high_threshold_wants_a_louder_voice() -> None:
    audio = hush(10) + faint(clip("rdv_freins_mardi"), 3) + hush(40)
    heard = [len(detect(VoiceDetector(threshold), audio)) for threshold in (0.2, 0.5, 1.0)]
    assert heard == sorted(heard, reverse=True)
    assert heard[0] >= 2
    assert heard[-1] == 0


def hear(hearing: Hearing, audio: bytes) -> None:
    for frame in frames(audio):
        hearing.feed(frame)


def test_a_turn_is_what_was_said_since_the_last() -> None:
    hearing = Hearing()
    hear(hearing, stamp(clip("oui_marc"), 5, 0))
    count = len(clip("oui_marc")) // FRAME_BYTES
    assert hearing.take() == Turn(("oui_marc",), "Oui.", count, count)
    assert hearing.take() == Turn((), "", 0, 0)
    assert hearing.tag == 5


def test_several_utterances_are_one_turn() -> None:
    hearing = Hearing()
    hear(hearing, clip("attendez_marc") + hush(10) + clip("change_avis_jeudi") + hush(5))
    turn = hearing.take()
    assert turn.clips == ("attendez_marc", "change_avis_jeudi")
    assert turn.text == "Attendez ! Ah non, en fait, je préfère jeudi matin."


def test_an_utterance_cut_short_is_words_and_no_clip() -> None:
    hearing = Hearing()
    half = clip("rdv_freins_mardi")[: 78 * FRAME_BYTES]
    hear(hearing, half + hush(40))
    turn = hearing.take()
    assert turn.clips == ()
    assert turn.text == "Bonjour, c'est pour des plaquettes"
    assert turn.frames == turn.whole == 78


def test_a_turn_that_ends_inside_an_utterance_leaves_the_rest_to_the_next() -> None:
    hearing = Hearing()
    audio = clip("rdv_freins_mardi")
    hear(hearing, audio[: 78 * FRAME_BYTES])
    first = hearing.take()
    hear(hearing, audio[78 * FRAME_BYTES :])
    second = hearing.take()
    assert first.clips == ()
    assert second.clips == ("rdv_freins_mardi",)
    assert f"{first.text} {second.text}" == FREINS
    assert first.frames + second.frames == len(audio) // FRAME_BYTES


def test_a_few_lost_frames_leave_it_intelligible_many_do_not() -> None:
    every = frames(stamp(clip("rdv_freins_mardi"), 5, 0) + quiet(5, 156, 3))
    for step, made_out in ((30, True), (4, False)):
        hearing = Hearing()
        for number, frame in enumerate(every):
            if number % step != step - 1:
                hearing.feed(frame)
        turn = hearing.take()
        assert (turn.clips == ("rdv_freins_mardi",)) is made_out
        assert turn.frames < turn.whole
        assert hearing.defects.lost >= 156 // step - 1
