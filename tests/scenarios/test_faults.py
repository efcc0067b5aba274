"""Vendors that break down in the middle of a call: a sample of each kind, each moment and each leg.
`make faults` plays all of them."""

import asyncio
import secrets
from collections.abc import Iterable

import pytest

from sandbox.breakdown import KINDS, MOMENTS, Kind, Moment
from tests.scenarios.breakdowns import APART, LEGS, LIMIT_MS, VAPI_KEY, Cell, play_all
from tests.scenarios.conftest import deployed
from voice.announcements import bundled

#: Each kind and each moment once, at least.
SAMPLE: tuple[tuple[str, Kind, Moment], ...] = (
    ("realtime, cascade", "refuse", "before_answer"),
    ("realtime, cascade", "cut", "agent_speech"),
    ("realtime", "brown_out", "caller_speech"),
    ("realtime", "half_dead", "agent_speech"),
    ("realtime", "close", "function_call"),
    ("realtime", "hang", "function_result"),
    ("realtime", "expired", "goodbye"),
    ("realtime", "late", "caller_speech"),
    ("realtime", "lag", "caller_speech"),
    ("realtime", "429", "agent_speech"),
    ("realtime", "duplicates", "greeting"),
    ("realtime", "out_of_order", "agent_speech"),
    ("vapi, realtime", "cut", "agent_speech"),
    ("vapi, realtime", "expired", "caller_speech"),
    ("stt, realtime", "garbage", "caller_speech"),
    ("llm, realtime", "5xx", "function_call"),
    ("tts, realtime", "5xx", "agent_speech"),
)
#: What a machine of two cores may be late by that plays all these calls, their callers, their ears
#: and their models at once, beside the rest of the suite: the server's timer, the emulated
#: carrier's, and a frame on each side. `make faults` plays fewer at once, and allows nothing.
LATE_MS = 700.0

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, Kind, Moment], Cell]:
    async def run(leg: str) -> list[Cell]:
        ladder, sample = LEGS[leg], [cell for cell in SAMPLE if cell[0] == leg]
        async with deployed(
            tmp_path_factory.mktemp("faults"),
            VAPI_KEY if "vapi" in ladder else "",
            cascade="cascade" in ladder,
            lines=bundled(),
            speed=1.2,
            ENCRYPTION_KEY=secrets.token_hex(32),
            VAPI_WEBHOOK_SECRET=secrets.token_hex(16),
        ) as deployment:
            return await play_all(deployment, sample, len(sample))

    async def at_once(legs: Iterable[str]) -> list[Cell]:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(run(leg)) for leg in legs]
        return [cell for task in running for cell in task.result()]

    async def all_of_them() -> list[Cell]:
        # One after the other: more servers than these at once, and two cores are late themselves.
        return [*await at_once(LEGS.keys() - APART), *await at_once(APART)]

    return {(cell.leg, cell.kind, cell.moment): cell for cell in asyncio.run(all_of_them())}


def test_the_sample_has_every_kind_every_moment_and_every_leg() -> None:
    assert {kind for _, kind, _ in SAMPLE} == set(KINDS)
    assert {moment for _, _, moment in SAMPLE} == set(MOMENTS)
    assert {leg for leg, _, _ in SAMPLE} == set(LEGS)


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
