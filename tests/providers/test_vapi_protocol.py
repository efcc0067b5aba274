"""Vapi's frames and messages as events, without sockets and without waiting."""

import json
from base64 import b64decode
from typing import Any

import pytest

from providers.vapi.messages import overrides
from providers.vapi.protocol import Audio, VapiProtocol
from sandbox.speech import FRAME_BYTES, hush, render
from tests.fakes.vapi_calls import spec
from voice import events as ev

QUIET = b"\xff" * FRAME_BYTES
VOICE = render("Bonjour.")
LOUD = VOICE[FRAME_BYTES : 2 * FRAME_BYTES]


class Wire:
    """One call, with time of its own."""

    def __init__(self, **changes: Any) -> None:
        self.protocol = VapiProtocol(spec("a", **changes), "v-1")
        self.now = 100.0
        self.out: list[Any] = []
        self.sound = b""

    def take(self, outputs: list[Any]) -> None:
        for each in outputs:
            if isinstance(each, Audio):
                self.sound += b64decode(each.payload)
            elif not isinstance(each, ev.AgentText):
                self.out.append(each)

    def frames(self, frame: bytes, ms: int, *, check: bool = True) -> "Wire":
        for _ in range(ms // 20):
            self.take(self.protocol.audio(frame, self.now))
            self.passes(20) if check else None
        return self

    def tells(self, kind: str, **fields: Any) -> "Wire":
        text = json.dumps({"type": kind, **fields}).encode()
        self.take(self.protocol.message(text, self.now))
        return self

    def passes(self, ms: int) -> "Wire":
        """Time, in which the caller's frames come."""
        for _ in range(ms // 20):
            self.now += 0.02
            self.take(self.protocol.check(self.now))
        return self

    def happened(self) -> list[Any]:
        out, self.out = self.out, []
        return out


def speech(status: str, role: str) -> dict[str, str]:
    return {"kind": "speech-update", "status": status, "role": role}


def test_silence_is_no_speech() -> None:
    wire = Wire().frames(QUIET, 2000).frames(hush(1), 2000)
    assert wire.happened() == []
    assert wire.sound == b""


def test_sound_alone_makes_an_utterance() -> None:
    wire = Wire().frames(QUIET, 400).frames(LOUD, 300)
    assert wire.happened() == [ev.ResponseStarted("vapi-1")]
    wire.frames(QUIET, 600)
    assert wire.happened() == [], "a pause between two sentences"
    wire.frames(LOUD, 300).frames(QUIET, 720)
    assert wire.happened() == [ev.ResponseDone("vapi-1", "completed")]
    wire.frames(QUIET, 2000)
    assert wire.happened() == []
    assert len(wire.sound) // 8 <= 300 + 600 + 300 + 720 + 40


def test_by_its_word_it_ends_at_once() -> None:
    wire = Wire().tells(**speech("started", "assistant")).frames(LOUD, 300)
    wire.frames(QUIET, 1000)
    assert wire.happened() == [ev.ResponseStarted("vapi-1")], "it says that it speaks"
    wire.frames(LOUD, 300).tells(**speech("stopped", "assistant")).frames(QUIET, 100)
    assert wire.happened() == [ev.ResponseDone("vapi-1", "completed")]


def test_one_that_sends_no_silence() -> None:
    wire = Wire().frames(LOUD, 300).passes(900)
    done = ev.ResponseDone("vapi-1", "completed")
    assert wire.happened() == [ev.ResponseStarted("vapi-1"), done]
    wire.passes(30_000)
    assert wire.happened() == [], "it is the caller's turn"


def test_a_word_without_sound() -> None:
    wire = Wire().tells(**speech("started", "assistant")).tells(**speech("stopped", "assistant"))
    wire.passes(700)
    done = ev.ResponseDone("vapi-1", "completed")
    assert wire.happened() == [ev.ResponseStarted("vapi-1"), done]


def test_large_pieces() -> None:
    wire = Wire()
    whole = QUIET * 10 + VOICE + QUIET * 40
    wire.take(wire.protocol.audio(whole, wire.now))
    done = ev.ResponseDone("vapi-1", "completed")
    assert wire.happened() == [ev.ResponseStarted("vapi-1"), done]
    assert VOICE in wire.sound


def test_what_is_cut_stays_cut_until_it_speaks_anew() -> None:
    wire = Wire().tells(**speech("started", "assistant")).frames(LOUD, 300)
    before = len(wire.sound)
    wire.take(wire.protocol.interrupt(cancel=False))
    cancelled = ev.ResponseDone("vapi-1", "cancelled")
    assert wire.happened() == [ev.ResponseStarted("vapi-1"), cancelled]
    wire.frames(LOUD, 400)
    assert (wire.happened(), len(wire.sound)) == ([], before)
    wire.frames(QUIET, 200).frames(LOUD, 100)
    assert wire.happened() == [ev.ResponseStarted("vapi-2")]
    wire.take(wire.protocol.interrupt(cancel=False))
    wire.tells(**speech("started", "assistant")).frames(LOUD, 100)
    assert wire.happened()[-1] == ev.ResponseStarted("vapi-3")


def test_an_interruption_of_nothing_cuts_nothing() -> None:
    wire = Wire()
    wire.take(wire.protocol.interrupt(cancel=False))
    wire.frames(LOUD, 100)
    assert wire.happened() == [ev.ResponseStarted("vapi-1")]


# ------------------------------------------------------------------------------ the caller


def test_the_caller_by_speech_updates() -> None:
    wire = Wire().tells(**speech("started", "user")).tells("user-interrupted")
    wire.tells(**speech("stopped", "user"))
    wire.tells("transcript", role="user", transcriptType="partial", transcript="Je")
    wire.tells("transcript", role="user", transcriptType="final", transcript="Je voudrais")
    assert wire.happened() == [
        ev.CallerSpeechStarted(),
        ev.CallerSpeechStopped(),
        ev.CallerSaid("vapi-caller-1", "Je voudrais"),
    ]


def test_a_word_in_passing_interrupts_nothing() -> None:
    """What does is for the assistant's plan to decide: Vapi says so."""
    wire = Wire().tells(**speech("started", "assistant")).frames(LOUD, 200)
    wire.tells(**speech("started", "user")).frames(LOUD, 200).tells(**speech("stopped", "user"))
    wire.tells("transcript", role="user", transcriptType="final", transcript="Oui.")
    assert wire.happened() == [
        ev.ResponseStarted("vapi-1"),
        ev.CallerSaid("vapi-caller-1", "Oui."),
    ]
    wire.tells(**speech("started", "user")).frames(LOUD, 100).tells("user-interrupted")
    assert wire.happened() == [ev.CallerSpeechStarted()]


def test_who_goes_on_speaking_has_begun_when_it_is_over() -> None:
    wire = Wire().tells(**speech("started", "assistant")).frames(LOUD, 200)
    wire.tells(**speech("started", "user")).frames(LOUD, 200)
    wire.tells(**speech("stopped", "assistant")).frames(QUIET, 100)
    assert wire.happened()[1:] == [
        ev.ResponseDone("vapi-1", "completed"),
        ev.CallerSpeechStarted(),
    ]


def test_the_caller_by_transcripts_alone() -> None:
    wire = Wire()
    kind = 'transcript[transcriptType="final"]'
    wire.tells("transcript", role="user", transcriptType="partial", transcript="Je")
    wire.tells(kind, role="user", transcriptType="final", transcript="Je voudrais")
    wire.tells(kind, role="user", transcriptType="final", transcript="un rendez-vous")
    turn = [ev.CallerSpeechStarted(), ev.CallerSpeechStopped()]
    assert wire.happened() == [
        *turn,
        ev.CallerSaid("vapi-caller-1", "Je voudrais"),
        *turn,
        ev.CallerSaid("vapi-caller-2", "un rendez-vous"),
    ]


def test_a_caller_who_never_stopped_has_stopped_when_it_answers() -> None:
    wire = Wire().tells("user-interrupted").frames(LOUD, 60)
    assert wire.happened() == [
        ev.CallerSpeechStarted(),
        ev.CallerSpeechStopped(),
        ev.ResponseStarted("vapi-1"),
    ]


def test_the_same_transcript_twice() -> None:
    wire = Wire()
    for _ in range(2):
        wire.tells("transcript", role="user", transcriptType="final", transcript="Oui.")
    assert len([each for each in wire.happened() if isinstance(each, ev.CallerSaid)]) == 1
    wire.passes(1000)
    wire.tells("transcript", role="user", transcriptType="final", transcript="Oui.")
    assert len([each for each in wire.happened() if isinstance(each, ev.CallerSaid)]) == 1


# --------------------------------------------------------------------------------- words


def texts(wire: Wire, outputs: list[Any]) -> list[str]:
    return [each.text for each in outputs if isinstance(each, ev.AgentText)]


def collect(wire: Wire, frames: int) -> list[str]:
    said: list[str] = []
    for _ in range(frames):
        said += texts(wire, wire.protocol.audio(LOUD, wire.now))
        wire.now += 0.02
    return said


@pytest.mark.parametrize("kind", ["model-output", "voice-input"])
def test_words_come_as_fast_as_they_are_spoken(kind: str) -> None:
    wire = Wire()
    whole = "Je peux vous proposer mardi à neuf heures, ou mercredi à quatorze heures."
    field = "output" if kind == "model-output" else "input"
    wire.tells(kind, **{field: whole})
    assert wire.happened() == [ev.ResponseStarted("vapi-1")], "a sign of life before any sound"
    said = collect(wire, 60)
    assert whole.startswith(said[-1])
    assert 8 <= len(said[-1]) <= 24
    cut = texts(wire, wire.protocol.interrupt(cancel=False))
    assert not cut or len(cut[0]) < len(whole) / 2


def test_the_transcript_knows_better() -> None:
    wire = Wire()
    wire.tells("model-output", output="Bonjour ").tells("model-output", output="monsieur.")
    collect(wire, 30)
    message = b'{"type":"transcript","role":"assistant","transcript":"Bonjour monsieur."}'
    (told,) = wire.protocol.message(message, wire.now)
    assert told == ev.AgentText("vapi-1", "Bonjour monsieur.", final=True)
    assert wire.protocol.message(message, wire.now) == [], "and not twice"


def test_words_of_an_order_are_known_without_any_message() -> None:
    wire = Wire()
    wire.protocol.say("Un instant, je regarde.")
    said = collect(wire, 100)
    assert said[-1] == "Un instant, je regarde."


@pytest.mark.parametrize("output", [None, 7, {"tool_calls": []}, "", "  "])
def test_what_isnt_spoken_is_no_response(output: Any) -> None:
    wire = Wire().tells("model-output", output=output)
    assert wire.happened() == []


# ------------------------------------------------------------------------------ its end


def test_silence_that_stops_coming_is_a_stall() -> None:
    wire = Wire().frames(QUIET, 1000).passes(1100)
    assert wire.happened() == []
    wire.passes(400)
    assert wire.happened()[0] == ev.AgentGone("stalled")


def test_a_stall_of_our_own_isnt_taken_for_theirs() -> None:
    """The caller's frames are read first, then Vapi's, which have been there all the time."""
    wire = Wire().frames(QUIET, 1000)
    wire.now += 5.0
    for _ in range(200):
        wire.take(wire.protocol.check(wire.now))
    wire.frames(QUIET, 500)
    assert wire.happened() == []


def test_a_break_in_mid_speech() -> None:
    wire = Wire().tells(**speech("started", "assistant")).frames(LOUD, 300).passes(2100)
    assert ev.AgentGone("stalled") in wire.happened()


def test_one_that_says_nothing_from_the_beginning() -> None:
    wire = Wire().passes(2400)
    assert wire.happened() == []
    wire.passes(500)
    assert wire.happened()[0] == ev.AgentGone("mute")
    waits = Wire(resumed=True).passes(20_000)
    assert waits.happened() == [], "it was told to wait"


def test_the_end_by_vapis_own_rules_is_a_loss() -> None:
    wire = Wire().tells("status-update", status="ended", endedReason="silence-timed-out")
    assert wire.happened() == [ev.AgentGone("silence-timed-out")]
    wire = Wire().tells("status-update", status="in-progress")
    assert wire.happened() == []


@pytest.mark.parametrize(
    "reason", ["assistant-ended-call", "assistant-said-end-call-phrase", "assistant-ended-call-x"]
)
def test_the_end_by_the_assistants_own_will_is_a_goodbye(reason: str) -> None:
    wire = Wire().frames(LOUD, 200)
    for _ in range(2):
        wire.tells("status-update", status="ended", endedReason=reason)
    assert wire.happened() == [
        ev.ResponseStarted("vapi-1"),
        ev.FunctionCalled("v-1-end", "end_call", "{}"),
        ev.ResponseDone("vapi-1", "completed"),
    ]
    assert wire.protocol.ended
    wire.passes(5000)
    assert wire.happened() == []


# ----------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"null", b"[]", b'{"type":7}', b"\xff", b"[" * 100_000, b'{"message":{"type":[]}}'],
)
def test_garbage_is_counted(text: bytes) -> None:
    wire = Wire()
    assert wire.protocol.message(text, wire.now) == []
    assert wire.protocol.malformed == 1


def test_unknown_types_are_counted_and_envelopes_opened() -> None:
    wire = Wire().tells("moon-phase", phase="full").tells("hang")
    assert wire.protocol.unknown == 1
    inner = {"type": "speech-update", "status": "started", "role": "user"}
    wire.take(wire.protocol.message(json.dumps({"message": inner}).encode(), wire.now))
    assert wire.happened() == [ev.CallerSpeechStarted()]


def test_a_note_goes_with_the_answer_or_alone() -> None:
    protocol = Wire().protocol
    assert protocol.tell("[Touches : 1]", "user") == []
    (order,) = map(json.loads, protocol.respond())
    assert order == {
        "type": "add-message",
        "message": {"role": "user", "content": "[Touches : 1]"},
        "triggerResponseEnabled": True,
    }
    assert protocol.tell("une", "system") == []
    (first,) = map(json.loads, protocol.tell("deux", "system"))
    assert first["message"]["content"] == "une"
    (second, say) = map(json.loads, protocol.say("Bonjour."))
    assert second["message"]["content"] == "deux"
    assert second["triggerResponseEnabled"] is False
    assert say == {"type": "say", "content": "Bonjour.", "endCallAfterSpoken": False}
    assert protocol.settle() == []


def test_what_is_said_after_a_cut_of_ours_takes_its_place() -> None:
    wire = Wire().tells(**speech("started", "assistant")).frames(LOUD, 100)
    wire.take(wire.protocol.interrupt(cancel=True))
    replacing, following = (json.loads(wire.protocol.say("Au revoir.")[0]) for _ in range(2))
    assert replacing["interruptAssistantEnabled"] is True
    assert "interruptAssistantEnabled" not in following
    wire.tells(**speech("started", "assistant")).frames(LOUD, 100)
    wire.take(wire.protocol.interrupt(cancel=False))
    assert "interruptAssistantEnabled" not in json.loads(wire.protocol.say("Oui ?")[0])


def test_only_whole_fields_are_overridden() -> None:
    assert "model" not in overrides(spec("a", resumed=True))
    assert overrides(spec("a", resumed=True))["firstMessageMode"] == "assistant-waits-for-user"
    assert "variableValues" not in overrides(spec("a", call=None))
