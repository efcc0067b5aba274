"""Nodes that end under calls, as `make kill` does it many times: two processes on one PostgreSQL.

Played once: two callers make appointments with one node, which is killed while one of them is in
the middle of it and the other is being greeted; when it has been started again, the other node is
stopped (SIGTERM) under both calls, and a third caller rings.
"""

import asyncio
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.kill import Break, Line, Theatre, figures, theatre
from sandbox.scenario import Scenario, parse
from tests.postgres import PostgresServer

pytestmark = pytest.mark.timeout(120)

#: The claim is 2.5 s; this machine may be busy with other tests.
CLAIM_SECONDS, BUSY_SECONDS = 2.5, 1.5
STREAM = "/media-stream"
HERE = Path(__file__).parent


@dataclass(slots=True)
class Evening:
    """What was observed."""

    breaks: list[Break] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    ready: dict[str, Any] = field(default_factory=dict)
    streams: list[int] = field(default_factory=list)
    exit_code: int | None = None
    log: str = ""


async def until_streams(line: Line, count: int) -> None:
    async with asyncio.timeout(20):
        while len(line.streams) < count:
            await asyncio.sleep(0.02)


async def rings(play: Theatre, tasks: asyncio.TaskGroup, scenario: Scenario) -> Line:
    """A call that has its stream, and goes on in the background."""
    known = set(play.lines)
    tasks.create_task(play.ring(await play.business(), scenario))
    async with asyncio.timeout(20):
        while set(play.lines) == known:
            await asyncio.sleep(0.02)
    (sid,) = set(play.lines) - known
    await until_streams(play.lines[sid], 1)
    return play.lines[sid]


async def evening(play: Theatre, it: Evening) -> None:
    booking = parse((HERE / "kill" / "booking.toml").read_text(), "booking")
    short = parse((HERE / "two_nodes" / "short.toml").read_text(), "short")
    a, b = play.nodes
    async with asyncio.TaskGroup() as tasks:
        play.balancer.pins = {STREAM: [0]}
        one = await rings(play, tasks, booking)
        await asyncio.sleep(4)
        other = await rings(play, tasks, booking)
        await asyncio.sleep(0.6)
        play.balancer.pins = {}
        await play.kill(a)
        await until_streams(one, 2)
        await until_streams(other, 2)
        await a.start()
        await play.balancer.looked()

        assert b.process is not None
        b.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{b.url}/readyz")
        it.ready = {"status": answer.status_code, **answer.json()}
        await play.balancer.looked()
        await rings(play, tasks, short)
        it.exit_code = await asyncio.to_thread(b.process.wait, 60)
    it.streams = play.balancer.where(STREAM)
    it.log = b.log


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Evening:
    async def run(database: str) -> Evening:
        it = Evening()
        async with theatre(tmp_path_factory.mktemp("kill"), database) as play:
            await evening(play, it)
            it.complaints = await play.complaints()
            it.breaks, it.outcomes = play.breaks(), play.outcomes()
            it.lines = list(play.lines.values())
            return it

    with postgres_server.database() as name:
        return asyncio.run(run(postgres_server.url(name)))


def test_no_call_is_lost_and_no_deed_done_twice(it: Evening) -> None:
    assert it.complaints == []
    assert it.outcomes == {"booked": 2, "abandoned": 1}


def test_callers_hear_somebody_again_in_time(it: Evening) -> None:
    assert len(it.breaks) == 2
    for each in it.breaks:
        assert each.silence is not None
        assert each.silence < CLAIM_SECONDS + BUSY_SECONDS
        assert each.stream < 1.9, "Twilio asked by itself, before a heartbeat was missed"


def test_a_node_that_stops_says_so_and_finishes_its_calls(it: Evening) -> None:
    assert it.ready["status"] == 503
    assert it.ready["reason"] == "draining"
    one, other, _ = it.lines
    assert len(one.streams) == len(other.streams) == 2, "neither was handed over"
    assert it.exit_code == -signal.SIGTERM
    assert '"event":"drain.over"' in it.log
    assert '"event":"call.handed_over"' not in it.log


def test_new_callers_go_to_the_other_node(it: Evening) -> None:
    assert it.streams == [0, 0, 1, 1, 0]


def test_figures() -> None:
    assert figures([]) == {}
    assert figures([0.1, 0.3, 0.2]) == {"p50": 0.2, "p95": 0.3, "max": 0.3}
