"""Vendors that break down in the middle of a call: a sample of each kind and each moment, all calls
at once in one server. `make faults` plays all of them."""

import asyncio
import secrets

import pytest

from sandbox.breakdown import KINDS, MOMENTS, Kind, Moment
from tests.scenarios.breakdowns import LIMIT_MS, Cell, play_all
from tests.scenarios.conftest import deployed
from voice.announcements import bundled

#: Each kind and each moment once, at least.
SAMPLE: tuple[tuple[str, Kind, Moment], ...] = (
    ("realtime, cascade", "refuse", "before_answer"),
    ("realtime", "cut", "greeting"),
    ("realtime", "brown_out", "caller_speech"),
    ("realtime", "half_dead", "agent_speech"),
    ("realtime", "close", "function_call"),
    ("realtime", "hang", "function_result"),
    ("realtime", "expired", "goodbye"),
    ("realtime", "late", "caller_speech"),
    ("realtime", "lag", "caller_speech"),
    ("realtime", "429", "agent_speech"),
    ("realtime", "5xx", "function_result"),
    ("realtime", "garbage", "caller_speech"),
    ("realtime", "duplicates", "greeting"),
    ("realtime", "out_of_order", "agent_speech"),
)
#: What a machine of two cores may be late by that plays all these calls, their callers, their ears
#: and their models at once, beside the rest of the suite: the server's timer, the emulated
#: carrier's, and a frame on each side. `make faults` plays fewer at once, and allows nothing.
LATE_MS = 700.0

pytestmark = pytest.mark.timeout(150)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, Kind, Moment], Cell]:
    async def run(*, cascade: bool) -> list[Cell]:
        sample = [cell for cell in SAMPLE if ("cascade" in cell[0]) is cascade]
        async with deployed(
            tmp_path_factory.mktemp("faults"),
            cascade=cascade,
            lines=bundled(),
            speed=1.2,
            ENCRYPTION_KEY=secrets.token_hex(32),
        ) as deployment:
            return await play_all(deployment, sample, len(sample))

    async def both() -> list[Cell]:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(run(cascade=each)) for each in (True, False)]
        return [cell for task in running for cell in task.result()]

    return {(cell.leg, cell.kind, cell.moment): cell for cell in asyncio.run(both())}


def test_the_sample_has_every_kind_and_every_moment() -> None:
    assert {kind for _, kind, _ in SAMPLE} == set(KINDS)
    assert {moment for _, _, moment in SAMPLE} == set(MOMENTS)


@pytest.mark.parametrize("cell", SAMPLE, ids=lambda cell: "-".join(cell).replace(", ", "_"))
def test_the_caller_notices_no_more_than_a_breath(
    played: dict[tuple[str, Kind, Moment], Cell], cell: tuple[str, Kind, Moment]
) -> None:
    """No silence above 2.5 s, one appointment, one outcome, what was heard is stored, and who
    takes over knows what was said."""
    it = played[cell]
    assert not it.wrong, (it.wrong, it.report.utterances, it.call["events"])
    assert it.silence is not None
    assert it.silence.ms <= LIMIT_MS + LATE_MS, (it.silence, it.report.utterances)
