"""The ladder: who is connected, who is stepped over, and how long that takes."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from domain.breaker import Breakers
from domain.errors import ProviderError
from tests.fakes.clock import FakeClock
from tests.voice.test_bridge import Figures, Leg
from voice import agents as module
from voice.agents import Agents, Speaker, rung_of
from voice.ladder import DEFAULT, Loss, Rung, ladder, speaking
from voice.ports import AgentLeg, AgentSpec

SPEC = AgentSpec(instructions="", functions=(), model="m", voice="v", language="fr", api_key="key")


class Vendor:
    """Answers with a leg, an error, or never."""

    def __init__(self, rung: Rung, error: Exception | None = None, *, hangs: bool = False) -> None:
        self.rung, self.error, self.hangs = rung, error, hangs
        self.asked = 0

    async def connect(self, spec: AgentSpec) -> AgentLeg:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        leg = Leg()
        leg.name = f"{self.rung.value}:{spec.model}"
        return leg


def down(status: int | None = None, vendor: str = "vendor") -> ProviderError:
    return ProviderError(vendor, "down", retryable=True, status=status)


def gone(*rungs: Rung, reason: str = "agent_gone") -> list[Loss]:
    return [Loss(rung, reason) for rung in rungs]


def agents(*vendors: Vendor, clock: FakeClock | None = None, **unusable: bool) -> Agents:
    speakers = {
        each.rung: Speaker(
            each,
            lambda _, rung=each.rung: unusable.get(rung.value, True),  # type: ignore[misc]
            lambda spec: spec.api_key,
        )
        for each in vendors
    }
    return Agents(speakers, Breakers(clock or FakeClock()), Figures())


async def test_the_first_rung_that_works_takes_the_call() -> None:
    vapi, realtime = Vendor(Rung.VAPI, down(503)), Vendor(Rung.REALTIME)
    leg = await agents(vapi, realtime).connect(SPEC, DEFAULT)
    assert leg.name == "realtime:m"


async def test_nobody_is_asked_who_isnt_configured() -> None:
    vapi, realtime = Vendor(Rung.VAPI), Vendor(Rung.REALTIME)
    leg = await agents(vapi, realtime, vapi=False).connect(SPEC, DEFAULT)
    assert (leg.name, vapi.asked) == ("realtime:m", 0)


async def test_a_tenants_own_order_counts() -> None:
    vapi, realtime = Vendor(Rung.VAPI), Vendor(Rung.REALTIME)
    ladder_of = ladder({"ladder": ["realtime", "nonsense", "vapi"]})
    assert (await agents(vapi, realtime).connect(SPEC, ladder_of)).name == "realtime:m"


async def test_a_vendor_that_hangs_costs_its_budget_and_then_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RUNG_SECONDS", 0.1)
    vapi, realtime = Vendor(Rung.VAPI, hangs=True), Vendor(Rung.REALTIME)
    both = agents(vapi, realtime)
    took = []
    for _ in range(4):
        began = time.monotonic()
        assert (await both.connect(SPEC, DEFAULT)).name == "realtime:m"
        took.append(time.monotonic() - began)
    assert vapi.asked == 2, "then its breaker is open"
    assert max(took[:2]) < 0.3
    assert max(took[2:]) < 0.02
    assert both.available(SPEC, DEFAULT) == [Rung.REALTIME]


@pytest.mark.parametrize(("status", "asked"), [(401, 5), (404, 5), (429, 2), (500, 2), (None, 2)])
async def test_one_tenants_mistake_opens_no_breaker(status: int | None, asked: int) -> None:
    vapi, realtime = Vendor(Rung.VAPI, down(status)), Vendor(Rung.REALTIME)
    both = agents(vapi, realtime)
    for _ in range(5):
        await both.connect(SPEC, DEFAULT)
    assert vapi.asked == asked


async def test_each_account_has_its_own_breaker() -> None:
    vapi = Vendor(Rung.VAPI, down(429))
    only = agents(vapi)
    for _ in range(3):
        with pytest.raises(ProviderError) as caught:
            await only.connect(SPEC, DEFAULT)
        assert caught.value.code == "no_agent"
    vapi.error = None
    other: Any = AgentSpec(
        instructions="", functions=(), model="m", voice="v", language="fr", api_key="another"
    )
    assert (await only.connect(other, DEFAULT)).name == "vapi:m"


async def test_what_a_call_has_lost_comes_last_but_comes() -> None:
    vapi, realtime = Vendor(Rung.VAPI), Vendor(Rung.REALTIME)
    lost = gone(Rung.VAPI)
    assert (await agents(vapi, realtime).connect(SPEC, DEFAULT, lost)).name == "realtime:m"
    assert (await agents(vapi).connect(SPEC, DEFAULT, lost)).name == "vapi:m"


async def test_our_own_database_is_no_vendor() -> None:
    vapi = Vendor(Rung.VAPI, down(vendor="storage"))
    only = agents(vapi)
    for _ in range(5):
        with pytest.raises(ProviderError):
            await only.connect(SPEC, DEFAULT)
    assert vapi.asked == 5


# ---------------------------------------------------------------------- legs that were connected


async def test_a_vendor_that_takes_calls_and_never_speaks_is_left_alone() -> None:
    realtime = Vendor(Rung.REALTIME)
    only = agents(realtime)
    for _ in range(2):
        leg = await only.connect(SPEC, DEFAULT)
        only.lost(leg.name, SPEC, "agent_mute")
    assert only.available(SPEC, DEFAULT) == []


async def test_one_that_speaks_between_two_failures_is_not() -> None:
    only = agents(Vendor(Rung.REALTIME))
    for _ in range(5):
        leg = await only.connect(SPEC, DEFAULT)
        only.sounded(leg.name, SPEC)
        only.lost(leg.name, SPEC, "agent_gone")
    assert only.available(SPEC, DEFAULT) == [Rung.REALTIME]


@pytest.mark.parametrize(
    ("reason", "code", "counts"),
    [
        ("agent_gone", "", True),
        ("agent_stuck", "", True),
        ("agent_lags", "", True),
        ("agent_deaf", "", False),
        ("agent_failed", "rate_limit_exceeded", True),
        ("agent_failed", "insufficient_quota", True),
        ("agent_failed", "server_error", True),
        ("agent_failed", "failed", True),
        ("agent_failed", "content_filter", False),
        ("agent_failed", "invalid_value", False),
        ("agent_failed", "max_output_tokens", False),
    ],
)
async def test_what_speaks_against_a_vendor(reason: str, code: str, counts: bool) -> None:
    only = agents(Vendor(Rung.REALTIME))
    for _ in range(2):
        only.lost("realtime:m", SPEC, reason, code)
    assert only.available(SPEC, DEFAULT) == ([] if counts else [Rung.REALTIME])


async def test_a_drop_of_many_calls_loses_none_of_them() -> None:
    realtime = Vendor(Rung.REALTIME)
    only = agents(realtime)
    legs = [await only.connect(SPEC, DEFAULT) for _ in range(10)]

    async def rescued(leg: AgentLeg) -> AgentLeg:
        only.lost(leg.name, SPEC, "agent_gone")
        return await only.connect(SPEC, DEFAULT, gone(Rung.REALTIME))

    again = [await rescued(leg) for leg in legs]
    assert realtime.asked == 20
    assert only.available(SPEC, DEFAULT) == [], "a new call doesn't ask yet"
    with pytest.raises(ProviderError):
        await only.connect(SPEC, DEFAULT, gone(Rung.REALTIME, Rung.REALTIME))
    only.sounded(again[0].name, SPEC)
    assert only.available(SPEC, DEFAULT) == [Rung.REALTIME]


async def test_a_rung_is_tried_in_spite_of_its_breaker_only_where_no_other_is_well() -> None:
    vapi, realtime = Vendor(Rung.VAPI, down()), Vendor(Rung.REALTIME)
    both = agents(vapi, realtime)
    for _ in range(2):
        both.lost("vapi:m", SPEC, "agent_gone")
    assert (await both.connect(SPEC, DEFAULT, gone(Rung.VAPI))).name == "realtime:m"
    assert vapi.asked == 0
    realtime.error = down()
    with pytest.raises(ProviderError):
        await both.connect(SPEC, DEFAULT, gone(Rung.VAPI))
    assert (realtime.asked, vapi.asked) == (2, 1)


async def test_who_failed_a_moment_ago_is_not_asked_twice_by_one_rescue() -> None:
    realtime = Vendor(Rung.REALTIME, down())
    with pytest.raises(ProviderError):
        await agents(realtime).connect(SPEC, DEFAULT, gone(Rung.REALTIME))
    assert realtime.asked == 1


class Trio:
    """`Links` of a rung that is made of several vendors."""

    def __init__(self) -> None:
        self.are_well = True
        self.blamed = 0

    def blame(self) -> None:
        self.blamed += 1


async def test_a_rung_made_of_others_is_as_well_as_they_are() -> None:
    trio, cascade = Trio(), Vendor(Rung.CASCADE)
    speaker = Speaker(cascade, lambda _: True, lambda _: "", trio)
    only = Agents({Rung.CASCADE: speaker}, Breakers(FakeClock()), Figures())
    for _ in range(5):
        only.lost("cascade:m", SPEC, "agent_failed", "llm_invalid_request_error")
    assert trio.blamed == 5
    assert only.available(SPEC, DEFAULT) == [Rung.CASCADE], "they tell for themselves"
    trio.are_well = False
    assert only.available(SPEC, DEFAULT) == []


async def test_an_attempt_that_is_cancelled_blocks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    vapi = Vendor(Rung.VAPI, down())
    only = agents(vapi, clock=clock)
    for _ in range(2):
        with pytest.raises(ProviderError):
            await only.connect(SPEC, DEFAULT)
    clock.advance(10)
    vapi.hangs = True
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):  # the caller hangs up
            await only.connect(SPEC, DEFAULT)
    vapi.hangs, vapi.error = False, None
    assert (await only.connect(SPEC, DEFAULT)).name == "vapi:m"


@pytest.mark.parametrize(
    ("config", "rungs"),
    [
        ({}, DEFAULT),
        ({"ladder": "vapi"}, DEFAULT),
        ({"ladder": []}, DEFAULT),
        ({"ladder": [3, None, {}]}, DEFAULT),
        ({"ladder": ["cascade"]}, (Rung.CASCADE, Rung.VOICEMAIL)),
        (
            {"ladder": ["voicemail", "turns", "turns"]},
            (Rung.TURNS, Rung.VOICEMAIL),
        ),
    ],
)
def test_a_ladder_always_ends_in_a_voicemail(config: dict[str, Any], rungs: Sequence[Rung]) -> None:
    assert ladder(config) == tuple(rungs)


def test_rungs_by_the_names_of_legs() -> None:
    assert rung_of("realtime:gpt-realtime-2.1") is Rung.REALTIME
    assert rung_of("fake:1") is None
    assert speaking(DEFAULT, gone(Rung.VAPI, Rung.VAPI, Rung.REALTIME)) == [
        Rung.CASCADE,
        Rung.REALTIME,
        Rung.VAPI,
    ]


def test_who_has_kept_a_caller_waiting_twice_is_not_waited_for_again() -> None:
    lost = gone(Rung.REALTIME, reason="agent_stuck")
    assert Rung.REALTIME in speaking(DEFAULT, lost)
    lost += gone(Rung.REALTIME, reason="agent_mute")
    assert speaking(DEFAULT, lost) == [Rung.VAPI, Rung.CASCADE]
