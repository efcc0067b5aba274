import io
from typing import Any

import pytest

from server.demo.show import Screen
from server.demo.story import Line, Story, figures, lost_frames, transcript

BOOKED: dict[str, Any] = {
    "name": "book_appointment",
    "arguments": {"start": "2026-11-24T14:30", "name": "Jean"},
    "result": {"status": "booked", "appointment_id": "A1", "spoken": "mardi 24 novembre à 14 h 30"},
    "effect": "booked",
}
LOOKED: dict[str, Any] = {
    "name": "check_availability",
    "arguments": {"date": "2026-11-24"},
    "result": {"slots": [{"spoken": "mardi à 14 h"}, {"spoken": "mardi à 14 h 30"}]},
    "effect": None,
}
REPORT: dict[str, Any] = {
    "answered_ms": 300.0,
    "first_sound_ms": 850.0,
    "turns": [{"latency_ms": 700.0}, {"latency_ms": 900.0}, {"latency_ms": 800.0}],
    "barge_ins": [{"latency_ms": 120.0}, {"latency_ms": None}],
    "frames_sent": 1000,
    "frames_played": 900,
    "frames_discarded": 1,
    "ear_defects": {"lost": 2, "repeated": 0},
    "model": {"sessions": [{"defects": {"lost": 3}}]},
}


def said(story: Story, *events: dict[str, Any]) -> list[tuple[str, str]]:
    return [(line.who, line.text) for event in events for line in story.hear(event)]


def known(story: Story, **call: Any) -> list[str]:
    return [f"{line.who}: {line.text}" for line in story.read(call)]


def test_the_line_is_told_as_it_sounds() -> None:
    story = Story("Garage du Port")
    lines = said(
        story,
        {"event": "ringing", "call": "CA1", "from": "+336", "to": "+339", "forwarded_from": "+331"},
        {"event": "agent_says", "text": "Bonjour."},
        {"event": "caller_says", "text": "Allô ?"},
        {"event": "barge_in", "text": "Allô ?"},
        {"event": "cleared", "latency_ms": 123.4},
        {"event": "hung_up", "by": "server"},
        {"event": "something_new"},
    )
    assert lines == [
        ("ringing", "+336 calls +339, forwarded by +331"),
        ("Sara", "« Bonjour. »"),
        ("caller", "« Allô ? »"),
        ("barge-in", "the caller interrupts Sara"),
        ("barge-in", "Sara is silent 123 ms after the caller began"),
        ("hang-up", "by the server"),
    ]
    assert story.call_sid == "CA1"


def test_what_the_server_knows_is_told_once() -> None:
    story = Story("Garage du Port")
    connected = {"name": "agent_connected", "agent": "realtime:m", "waited_ms": 140}
    assert known(story) == []
    first = known(story, found_by="forwarded_from", events=[connected])
    assert first == [
        "tenant: Garage du Port, found by the number that forwarded the call",
        "agent: realtime:m is there in 140 ms",
    ]
    assert known(story, found_by="forwarded_from", events=[connected]) == []


def test_each_function_is_told_once_with_its_answer() -> None:
    story = Story("Garage du Port")
    looked = "check_availability(date=2026-11-24) → 2 slots: mardi à 14 h; mardi à 14 h 30"
    assert known(story, functions=[LOOKED]) == [f"function: {looked}"]
    told = known(story, functions=[LOOKED, BOOKED], outcome="booked")
    assert len(told) == 3
    assert told[0].startswith("function: book_appointment(")
    assert told[1] == "booked: appointment A1 is committed"
    assert told[2] == "outcome: stored: booked"


def test_a_goodbye_that_was_heard() -> None:
    story = Story("Garage du Port")
    lines = said(
        story,
        {"event": "agent_says", "text": "Au revoir."},
        {"event": "agent_said", "cut": False},
        {"event": "hung_up", "by": "server"},
    )
    assert lines[1:] == [
        ("goodbye", "« Au revoir. » was heard to its end"),
        ("hang-up", "by the server"),
    ]


@pytest.mark.parametrize(("cut", "by"), [(True, "server"), (False, "caller")])
def test_no_goodbye_that_was_not(cut: bool, by: str) -> None:
    story = Story("Garage du Port")
    said(story, {"event": "agent_says", "text": "Au re"}, {"event": "agent_said", "cut": cut})
    assert said(story, {"event": "hung_up", "by": by}) == [("hang-up", f"by the {by}")]


def test_without_ears_the_agent_is_told_by_the_server() -> None:
    story = Story("Garage du Port", ears=False)
    assert said(story, {"event": "agent_says", "text": "?"}) == []
    turns = [{"who": "agent", "text": "Bonjour."}, {"who": "caller", "text": "Allô"}]
    assert known(story, turns=turns) == ["Sara: « Bonjour. »"]
    assert known(story, turns=turns) == []


def test_both_sides_tell_the_same_time() -> None:
    story = Story("Garage du Port")
    began = "2026-11-22T16:00:00+00:00"
    done = {**BOOKED, "at": "2026-11-22T16:00:02+00:00", "duration_ms": 500}
    lines = [*story.read({"started_at": began, "functions": [done]})]
    lines += story.hear({"event": "caller_says", "text": "Oui", "ms": 1500.0})
    assert [(line.at, line.kind) for line in lines] == [
        (2.5, "function"),
        (2.5, "outcome"),
        (1.5, "caller"),
    ]


def test_a_sandbox_that_refuses() -> None:
    story = Story("Garage du Port")
    assert said(story, {"event": "refused", "why": "no such scenario"}) == []
    assert story.refused == "no such scenario"


def test_figures() -> None:
    assert figures(REPORT) == [
        ("time to first sound", "850 ms after ringing, 550 ms after the answer"),
        ("turn latency", "800 ms median, 900 ms at most, 3 times"),
        ("barge-in → silence", "120 ms"),
        ("frames lost", "6 of 1900"),
    ]


def test_figures_of_a_call_in_which_nothing_was_heard() -> None:
    assert dict(figures({})) == {
        "time to first sound": "none",
        "turn latency": "none",
        "barge-in → silence": "none",
        "frames lost": "0 of 0",
    }
    assert lost_frames({"ear_defects": None, "model": None}) == 0


def test_transcript() -> None:
    turns = [
        {"who": "agent", "text": "Bonjour, je", "cut": True, "at": "2026-11-22T16:00:01+00:00"},
        {"who": "caller", "text": "Allô ?", "at": "2026-11-22T16:00:02+00:00"},
    ]
    call = {"started_at": "2026-11-22T15:58:58+00:00", "turns": turns}
    assert transcript(call, "Sara") == "1:03  Sara : Bonjour, je […]\n1:04  Appelant : Allô ?\n"


def test_without_a_terminal_lines_are_plain_and_whole() -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    screen.line(Line(1.25, "agent", "Sara", "« " + "très long " * 30 + "»"))
    screen.line(Line(2, "error", "error", "[bold]not markup[/bold]"))
    screen.figures([("frames lost", "0 of 10")])
    screen.places([("recording", "/a/" + "b" * 200)])
    lines = stream.getvalue().splitlines()
    assert "\x1b" not in stream.getvalue()
    assert lines[0].startswith("   1.2 s  Sara       « très long ")
    assert lines[0].endswith("»")
    assert lines[1].endswith("[bold]not markup[/bold]")
    assert "frames lost: 0 of 10" in lines
    assert "recording    /a/" + "b" * 200 in lines


@pytest.mark.parametrize("event", [{}, {"event": None}, {"event": "report"}, {"event": "ringing"}])
def test_incomplete_events_break_nothing(event: dict[str, Any]) -> None:
    list(Story("x").hear(event))
