"""SIGTERM: nothing new, time for what is under way, and then it goes on elsewhere."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from domain.errors import OperatorError
from server.commands.serve import _Server
from server.drain import Drain
from server.settings import Settings
from tests.fakes.clock import FakeClock
from tests.voice.carrier import LINE, Served, eventually, greeted, joined, serving
from voice.background import Background
from voice.journal import Journal
from voice.live_calls import LiveCalls


class Bridge:
    tenant_id = "t1"
    call_id = "row"

    def __init__(self, calls: LiveCalls) -> None:
        self._calls = calls
        self.handed_over_at: float | None = None

    def replaced(self) -> None:
        raise AssertionError("no other stream came")

    def hand_over(self) -> None:
        self.handed_over_at = self._calls.clock.monotonic()


class Store:
    """Where the journal's lines go."""

    async def append(self, entries: Any) -> None:
        return


@dataclass
class Node:
    others: bool = True
    said: list[str] = field(default_factory=list)
    id: str = "us"
    away: bool = False

    def relieved(self) -> bool:
        return self.others

    async def drain(self) -> None:
        self.said.append("draining")
        if self.away:
            raise OperatorError("the database is away")


@dataclass
class Case:
    tasks: asyncio.TaskGroup
    clock: FakeClock = field(default_factory=FakeClock)
    node: Node = field(default_factory=Node)
    at: dict[float, Callable[[], object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.calls = LiveCalls(self.clock, self.tasks, 9, relieved=self.node.relieved)
        self.drain = Drain(
            node=self.node,  # type: ignore[arg-type]
            live_calls=self.calls,
            journal=Journal(Store()),
            background=Background(self.tasks),
            clock=self.clock,
            seconds=900,
            alone_seconds=30,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for when in [when for when in self.at if when <= self.clock.monotonic()]:
            self.at.pop(when)()
        await asyncio.sleep(0)

    def call(self) -> Bridge:
        bridge = Bridge(self.calls)
        self.calls.join("CA1", bridge)
        return bridge

    async def over(self) -> float:
        """After how many seconds."""
        began = self.clock.monotonic()
        self.drain.begin()
        assert self.calls.draining, "at once"
        self.drain.begin()
        async with asyncio.timeout(10):
            while not self.drain.over:
                await asyncio.sleep(0)
        return self.clock.monotonic() - began


async def test_without_calls_there_is_nothing_to_wait_for() -> None:
    async with asyncio.TaskGroup() as tasks:
        case = Case(tasks)
        assert await case.over() == 0
        assert case.node.said == ["draining"]


async def test_a_call_is_waited_for_while_others_take_the_new_ones() -> None:
    async with asyncio.TaskGroup() as tasks:
        case = Case(tasks)
        bridge = case.call()
        case.at[600] = lambda: case.calls.leave("CA1", bridge)
        assert await case.over() == pytest.approx(600, abs=1)
        assert bridge.handed_over_at is None


async def test_who_is_about_to_act_for_a_call_elsewhere_waits() -> None:
    async with asyncio.TaskGroup() as tasks:
        case = Case(tasks)
        pending = ["a transfer"]
        case.drain.calls_elsewhere = lambda: bool(pending)
        case.at[4] = pending.clear
        assert await case.over() == pytest.approx(4, abs=0.2)


@pytest.mark.parametrize(("others", "limit"), [(True, 900), (False, 30)])
async def test_what_still_runs_at_the_limit_is_handed_over(others: bool, limit: float) -> None:
    async with asyncio.TaskGroup() as tasks:
        case = Case(tasks, node=Node(others))
        bridge = case.call()
        assert await case.over() == pytest.approx(limit, abs=1)
        assert bridge.handed_over_at == pytest.approx(limit, abs=1)


async def test_who_is_left_alone_meanwhile_waits_no_longer_than_one_who_always_was() -> None:
    async with asyncio.TaskGroup() as tasks:
        case = Case(tasks)
        case.call()
        case.at[10] = lambda: setattr(case.node, "others", False)
        assert await case.over() == pytest.approx(30, abs=1)


async def test_alone_a_stream_that_is_about_to_open_is_waited_for() -> None:
    async with asyncio.TaskGroup() as tasks:
        case = Case(tasks, node=Node(others=False))
        assert await case.calls.admit("CA1", "t1")
        case.at[2] = lambda: case.calls.release("CA1")
        assert await case.over() == pytest.approx(2, abs=1)


async def test_a_database_that_is_away_holds_nothing_up() -> None:
    async with asyncio.TaskGroup() as tasks:
        case = Case(tasks, node=Node(away=True))
        assert await case.over() == 0


# ------------------------------------------------------------------------------- the signals


class Waiting:
    over = False
    begun = 0

    def begin(self) -> None:
        self.begun += 1


class Worker:
    let_go_of = 0

    def let_go(self) -> None:
        self.let_go_of += 1


@pytest.fixture
def server() -> tuple[_Server, Waiting, Worker]:
    drain, worker = Waiting(), Worker()
    config = uvicorn.Config(lambda: None, log_config=None)
    return _Server(config, Settings.of(), worker, lambda: drain), drain, worker  # type: ignore[arg-type,return-value]


async def test_a_signal_to_terminate_drains(server: tuple[_Server, Waiting, Worker]) -> None:
    served, drain, worker = server
    assert not await served.on_tick(1)
    assert not drain.begun
    served.handle_exit(signal.SIGTERM, None)
    assert not await served.on_tick(2)
    assert drain.begun
    assert worker.let_go_of, "no more jobs either"
    drain.over = True
    assert await served.on_tick(3)


@pytest.mark.parametrize("numbers", [[signal.SIGTERM, signal.SIGTERM], [signal.SIGINT]])
async def test_who_insists_is_obeyed_at_once(
    server: tuple[_Server, Waiting, Worker], numbers: list[signal.Signals]
) -> None:
    served, drain, _ = server
    for number in numbers:
        served.handle_exit(number, None)
    assert await served.on_tick(1)
    assert not drain.over
    assert not served.force_exit, "what calls said is still stored"


# ------------------------------------------------------------------------ a server with calls


def drain_of(served: Served) -> Drain:
    drain: Drain = served.server.config.app.state.drain  # type: ignore[union-attr]
    return drain


async def test_alone_calls_go_on_and_new_callers_wait(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        said = await served.twilio.ring(ForwardedFrom=LINE)
        async with joined(served, said.token) as line:
            await greeted(served)
            drain = drain_of(served)
            drain.begin()
            parked = await served.twilio.ring(2, ForwardedFrom=LINE)
            assert parked.verbs == ["Say", "Pause", "Redirect"]
            assert (await served.twilio.http.get("/readyz")).status_code == 503

            # The stream breaks: it may come back here, for there is nobody else.
            line.is_lost()
            said = await served.twilio.goes_on()
            assert said.verbs == ["Connect"]
        async with joined(served, said.token, stream=2) as line:
            await line.presses("42#")
            await greeted(served, turns=2)
            assert not drain.over
            await line.stops()

        async def over() -> bool:
            return drain.over

        await eventually(over)
        assert len((await served.owner.get("/api/v1/calls"))["calls"]) == 1, "the other will be new"


async def test_a_call_that_is_handed_over_goes_on_with_what_was_said(tmp_path: Path) -> None:
    async with serving(tmp_path, drain_alone_seconds=0.0) as served:
        said = await served.twilio.ring(ForwardedFrom=LINE)
        async with joined(served, said.token) as line:
            await greeted(served)
            drain_of(served).begin()
            assert await line.is_closed() == 1012
        assert (await served.call())["outcome"] is None
        said = await served.twilio.goes_on()
        async with joined(served, said.token, stream=2) as line:
            await greeted(served, turns=2)
            await line.stops()
        assert await served.outcome()
