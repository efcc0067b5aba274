"""Vendors that break down on demand: when, and what it looks like on a Realtime session's wire."""

import json
from typing import Any

import pytest

from sandbox.breakdown import KINDS, MOMENTS, Breakdown, Kind, Moment, Watch
from sandbox.realtime_breakdown import Spoiler
from sandbox.report import CallReport, Utterance
from sandbox.silences import at_the_breakdown, longest

CALL: list[tuple[str, dict[str, Any]]] = [
    ("agent_says", {"who": "agent", "text": "Bonjour, ici Sara.", "line": False}),
    ("caller_says", {"text": "Mardi ?"}),
    ("agent_says", {"who": "agent", "text": "Un instant.", "line": True}),
    ("agent_says", {"who": "agent", "text": "À quatorze heures ?", "line": False}),
    ("model_calls", {"name": "book_appointment"}),
    ("model_reads_result", {"output": "{}"}),
    ("agent_says", {"who": "agent", "text": "Merci, au revoir !", "line": False}),
]


@pytest.mark.parametrize(
    ("moment", "place"),
    [
        ("greeting", 0),
        ("caller_speech", 1),
        ("agent_speech", 3),
        ("function_call", 4),
        ("function_result", 5),
        ("goodbye", 6),
    ],
)
def test_a_moment_comes_once_and_in_its_place(moment: Moment, place: int) -> None:
    watch = Watch(moment)
    seen = [watch.sees(event, fields) for event, fields in [*CALL, *CALL]]
    assert [at for at, after in enumerate(seen) if after is not None] == [place]


def test_a_voice_that_is_recognised_late_says_what_was_written() -> None:
    """A cascade's: its words are known when they have been heard."""
    watch = Watch("goodbye")
    seen = [
        watch.sees("caller_says", {"text": "Merci"}),
        watch.sees("model_says", {"text": "C'est réservé."}),
        watch.sees("agent_says", {"who": "agent", "text": "", "line": False}),
        watch.sees("model_says", {"text": "Bonne journée, au revoir !"}),
        watch.sees("agent_says", {"who": "agent", "text": "", "line": False}),
    ]
    assert [after is not None for after in seen] == [False] * 4 + [True]


def test_what_is_not_known_is_refused() -> None:
    assert Breakdown.of({"kind": "cut", "moment": "goodbye"}).leg == "realtime"
    for values in (
        {"kind": "sulks", "moment": "goodbye"},
        {"kind": "cut", "moment": "lunch"},
        {"kind": "cut"},
        {"kind": "cut", "moment": "goodbye", "when": 3},
    ):
        with pytest.raises(ValueError, match=r"breakdown"):
            Breakdown.of(values)


EVENTS = [
    {"type": "response.created", "event_id": "e1"},
    {"type": "response.output_audio.delta", "event_id": "e2", "delta": "AAAA"},
    {"type": "response.done", "event_id": "e3"},
    {"type": "rate_limits.updated", "event_id": "e4"},
]


def sent(kind: Kind, at: int = 0) -> list[str]:
    spoiler = Spoiler(Breakdown(kind, "greeting", at=at))
    return [text for event in EVENTS for text in spoiler.spoil(event)]


def ids(texts: list[str]) -> list[str]:
    return [json.loads(text)["event_id"] for text in texts]


def test_what_leaves() -> None:
    assert sent("brown_out") == sent("half_dead") == sent("close") == sent("cut") == []
    assert ids(sent("close", at=2)) == ["e1", "e2"]
    assert ids(sent("duplicates")) == ["e1", "e1", "e2", "e2", "e3", "e3", "e4", "e4"]
    assert ids(sent("out_of_order")) == ["e2", "e3", "e1"], "the last one is held back"
    assert len(sent("garbage")) == len(EVENTS)
    assert not set(sent("garbage")) & {json.dumps(event) for event in EVENTS}
    for kind in ("hang", "late", "429", "5xx", "expired"):  # in the model, not on its socket
        assert ids(sent(kind)) == ["e1", "e2", "e3", "e4"]


def test_how_the_socket_ends() -> None:
    assert Spoiler(Breakdown("close", "greeting")).close_code == 1011
    assert Spoiler(Breakdown("cut", "greeting")).close_code is None
    over = {kind for kind in KINDS if Spoiler(Breakdown(kind, MOMENTS[1])).over}
    assert over == {"close", "cut", "refuse"}


def report(**changes: Any) -> CallReport:
    made = CallReport("CA1", 1, "+331", "+332", None, answered_ms=100.0)
    made.sounds = [[300.0, 2000.0], [4500.0, 5000.0], [9000.0, 9500.0]]
    made.utterances = [Utterance("caller", "c", "Mardi ?", 2400.0, 3600.0)]
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_silences_are_between_all_sounds() -> None:
    it = longest(report())
    assert it is not None
    assert (it.at_ms, it.ms, it.after) == (5000.0, 4000.0, "agent")
    it = at_the_breakdown(report(broke_down_ms=3000.0, sounds=[[300.0, 2000.0], [4500.0, 5000.0]]))
    assert it is not None
    assert (it.at_ms, it.ms, it.after) == (3600.0, 900.0, "caller")


def test_who_waits_in_vain_hears_silence_to_the_end() -> None:
    it = longest(report(gave_up="step 2", ended_ms=30_000.0))
    assert it is not None
    assert it.ms == 20_500.0
