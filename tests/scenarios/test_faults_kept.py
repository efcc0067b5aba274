"""What `make faults` keeps: call by call, so that a run can be broken off and taken up."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import Results
from sandbox.breakdown import Kind, Moment
from sandbox.report import CallReport
from sandbox.silences import Silence
from tests.scenarios.breakdowns import Cell


def cell(kind: Kind, moment: Moment, *wrong: str) -> Cell:
    call: dict[str, Any] = {"events": [], "turns": [], "outcome": "booked"}
    report = CallReport("CA1", 1, "+33639981234", "+33199000000", None, scenario="rescue")
    return Cell("realtime", kind, moment, report, call, [{}], list(wrong))


def test_a_call_that_is_kept_as_it_must_be_is_not_played_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "faults.json"
    monkeypatch.setattr(Cell, "silence", Silence(0.0, 1200.0, "caller"))
    monkeypatch.setattr(Cell, "rescue", None)
    first = Results(path)
    first.add(cell("cut", "goodbye"), 8)
    first.add(cell("hang", "greeting", "2 appointments"), 8)
    first.add(cell("close", "greeting"), 8)

    later = Results(path)
    assert later.settled(("realtime", "cut", "goodbye"))
    assert not later.settled(("realtime", "hang", "greeting")), "it wasn't as it must be"
    assert not later.settled(("realtime", "hang", "goodbye")), "it wasn't played"
    assert not later.settled(("vapi, realtime", "cut", "goodbye"))
    later.add(cell("hang", "greeting"), 4)
    monkeypatch.setattr(Cell, "silence", Silence(0.0, 2600.0, "caller"))
    later.add(cell("close", "greeting"), 4)
    assert later.settled(("realtime", "hang", "greeting"))
    assert not later.settled(("realtime", "close", "greeting")), "too long a silence"

    kept = json.loads(path.read_text())["realtime"]["calls"]
    assert [(each["kind"], each["moment"]) for each in kept] == [
        ("hang", "greeting"),
        ("close", "greeting"),
        ("cut", "goodbye"),
    ]
