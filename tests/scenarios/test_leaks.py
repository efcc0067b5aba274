"""Many calls through a real server process leave nothing behind; and the check can tell."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.soak import Level, Report, complaints, soak

LEVEL = Level(tasks=6, files=26, memory=120_000_000, streams=0)
CLEAN = Report(
    calls=60,
    warm_up=40,
    before=LEVEL,
    after=replace(LEVEL, memory=121_000_000),
    functions={"booked": 50, "created": 50},
    ended=100,
    stored=100,
    exit_code=0,
)


def test_nothing_left_is_no_complaint() -> None:
    assert complaints(CLEAN) == []


@pytest.mark.parametrize(
    "report",
    [
        replace(CLEAN, after=replace(LEVEL, tasks=7)),
        replace(CLEAN, after=replace(LEVEL, files=27)),
        replace(CLEAN, after=replace(LEVEL, streams=1)),
        replace(CLEAN, after=replace(LEVEL, memory=129_000_000)),
        replace(CLEAN, calls=1000, after=replace(LEVEL, memory=140_000_000)),
        replace(CLEAN, functions={"booked": 49, "created": 50, "taken": 1}),
        replace(CLEAN, ended=101),
        replace(CLEAN, stored=99),
        replace(CLEAN, unended=1),
        replace(CLEAN, usable_tokens=1),
        replace(CLEAN, unused_tokens=1),
        replace(CLEAN, journal_lost=1),
        replace(CLEAN, exit_code=3),
        replace(CLEAN, exit_code=None),
        replace(CLEAN, log="Traceback"),
    ],
)
def test_whatever_is_left_is_complained_of(report: Report) -> None:
    assert complaints(report)


@pytest.mark.timeout(180)
async def test_thirty_calls_leave_nothing(tmp_path: Path) -> None:
    assert complaints(await soak(tmp_path, 30, at_once=20, seconds=1.2, warm_up=30)) == []


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_a_thousand_calls_leave_nothing(tmp_path: Path) -> None:
    report = await soak(tmp_path, 1000, at_once=40, seconds=3.0, warm_up=200)
    assert complaints(report) == []
