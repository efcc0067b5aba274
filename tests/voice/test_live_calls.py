"""Calls in progress on a node: admission, replacement, legs that wait for their caller."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from domain.errors import OperatorError, ProviderError
from tests.fakes.clock import FakeClock
from voice import live_calls
from voice.live_calls import LiveCalls, let_go


class Stream:
    def __init__(self, tenant_id: str = "t1") -> None:
        self.call_id = "row"
        self.tenant_id = tenant_id
        self.let_go = False
        self.handed_over = False

    def replaced(self) -> None:
        self.let_go = True

    def hand_over(self) -> None:
        self.handed_over = True


class Leg:
    closed = False

    async def close(self) -> None:
        self.closed = True


async def nobody() -> Leg:
    """There is no agent to be had."""
    raise ProviderError("openai", "nobody there", retryable=False)


@asynccontextmanager
async def registry(per_node: int = 2, per_tenant: int | None = None) -> AsyncIterator[LiveCalls]:
    async with asyncio.TaskGroup() as tasks:
        yield LiveCalls(FakeClock(), tasks, per_node, per_tenant)


async def test_a_node_admits_so_many() -> None:
    async with registry(per_node=2) as calls:
        assert await calls.admit("CA1", "t1")
        assert await calls.admit("CA2", "t2")
        assert await calls.admit("CA1", "t1"), "a call that has its place keeps it"
        assert not await calls.admit("CA3", "t1")
        assert calls.is_full("CA3")
        assert not calls.is_full("CA2"), "this one has its place"


async def test_a_tenant_is_admitted_so_many_times() -> None:
    async with registry(per_node=9, per_tenant=1) as calls:
        assert await calls.admit("CA1", "t1")
        assert not await calls.admit("CA2", "t1")
        assert await calls.admit("CA3", "t2")


async def test_a_call_under_way_is_not_turned_away_for_its_tenants_limit() -> None:
    async with registry(per_node=2, per_tenant=1) as calls:
        assert await calls.admit("CA1", "t1")
        assert not await calls.admit("CA2", "t1")
        assert await calls.admit("CA2", "t1", under_way=True)
        assert not await calls.admit("CA3", "t1", under_way=True), "the node is full"


async def test_a_place_that_no_stream_takes_is_free_again() -> None:
    async with registry(per_node=1) as calls:
        assert await calls.admit("CA1", "t1")
        assert isinstance(calls.clock, FakeClock)
        calls.clock.advance(31)
        assert await calls.admit("CA2", "t1")


async def test_a_draining_node_is_closed_while_nobody_else_is_there() -> None:
    async with registry(per_node=1) as calls:
        assert not calls.is_closed
        assert await calls.admit("CA1", "t1")
        calls.draining = True
        assert calls.is_closed
        assert not calls.is_leaving
        assert await calls.admit("CA2", "t1", under_way=True), "it was let in before"
        calls.relieved = lambda: True
        assert calls.is_leaving
        assert not calls.is_closed
        assert await calls.admit("CA3", "t1"), "its stream opens elsewhere"


async def test_a_node_that_stops_lets_go_of_all_streams() -> None:
    async with registry() as calls:
        streams = [Stream(), Stream()]
        for number, stream in enumerate(streams):
            calls.join(f"CA{number}", stream)
        assert calls.hand_over() == ["row", "row"]
        assert all(stream.handed_over for stream in streams)


async def test_the_newest_stream_of_a_call_wins() -> None:
    async with registry() as calls:
        first, second = Stream(), Stream()
        calls.join("CA1", first)
        calls.join("CA1", second)
        assert (first.let_go, second.let_go) == (True, False)
        calls.leave("CA1", first)
        assert calls.call_sids() == ["CA1"]
        calls.leave("CA1", second)
        assert calls.call_sids() == []


async def test_a_prepared_leg_is_claimed_once() -> None:
    async with registry() as calls:
        leg = Leg()

        async def connect() -> Leg:
            await asyncio.sleep(0.01)
            return leg

        calls.prepare("CA1", connect)
        calls.prepare("CA1", connect)
        claimed = calls.claim("CA1", nobody)
        assert await claimed is leg
        with pytest.raises(ProviderError):
            await calls.claim("CA1", nobody)
        assert not leg.closed
        await let_go(claimed)
    assert leg.closed


async def test_a_leg_that_nobody_claims_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_calls, "KEEP_SECONDS", 0.05)
    leg = Leg()

    async def connect() -> Leg:
        return leg

    async with registry() as calls:
        calls.prepare("CA1", connect)
        await asyncio.sleep(0.1)
        assert leg.closed
        assert not calls._preparing


async def test_a_failed_connection_is_told_to_who_claims_it() -> None:
    async def connect() -> Leg:
        raise ProviderError("openai", "refused", retryable=False)

    async with registry() as calls:
        calls.prepare("CA1", connect)
        claimed = calls.claim("CA1", nobody)
        with pytest.raises(ProviderError):
            await claimed


async def test_a_leg_whose_claimer_left_meanwhile_is_closed() -> None:
    leg = Leg()
    go = asyncio.Event()

    async def connect() -> Leg:
        await go.wait()
        return leg

    async with registry() as calls:
        calls.prepare("CA1", connect)
        await asyncio.sleep(0)
        claimed = calls.claim("CA1", nobody)
        await let_go(claimed)
        go.set()
    assert leg.closed


async def test_a_claimer_without_a_prepared_leg_has_one_connected() -> None:
    leg = Leg()

    async def connect() -> Leg:
        return leg

    async with registry() as calls:
        claimed = calls.claim("CA1", connect)
        assert await claimed is leg
        assert not calls._preparing
        await let_go(claimed)
    assert leg.closed


async def test_whatever_keeps_an_agent_from_coming_ends_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_calls, "KEEP_SECONDS", 0.05)

    async def connect() -> Leg:
        raise OperatorError("the database is away")

    async with registry() as calls:
        calls.prepare("CA1", connect)
        calls.prepare("CA2", connect)
        claimed = calls.claim("CA1", nobody)
        with pytest.raises(ProviderError) as failure:
            await claimed
    assert failure.value.retryable
