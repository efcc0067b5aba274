"""The ladder: who is connected, who is stepped over, and how long that takes."""

import asyncio
import dataclasses
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
from voice.ladder import DEFAULT, Rung, ladder, speaking
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


def down(status: int | None = None) -> ProviderError:
    return ProviderError("vendor", "down", retryable=True, status=status)


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
    assert (await agents(vapi, realtime).connect(SPEC, DEFAULT, ["vapi"])).name == "realtime:m"
    assert (await agents(vapi).connect(SPEC, DEFAULT, ["vapi"])).name == "vapi:m"


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
    assert speaking(DEFAULT, ["vapi", "vapi", "realtime"]) == [
        Rung.CASCADE,
        Rung.REALTIME,
        Rung.VAPI,
    ]


# ----------------------------------------------------------------------------------- probes


def probed(vendor: Vendor, clock: FakeClock, answers: list[bool]) -> tuple[Agents, Breakers]:
    async def probe() -> None:
        if not answers.pop(0):
            raise down()

    breakers = Breakers(clock)
    speaker = Speaker(vendor, lambda _: True, lambda spec: spec.api_key, probe)
    return Agents({vendor.rung: speaker}, breakers, Figures()), breakers


async def test_no_caller_pays_for_finding_out_that_a_vendor_is_well_again() -> None:
    clock = FakeClock()
    vapi = Vendor(Rung.VAPI, down(503))
    ours = dataclasses.replace(SPEC, api_key="")
    only, _ = probed(vapi, clock, [False, True])
    for _ in range(2):
        with pytest.raises(ProviderError):
            await only.connect(ours, DEFAULT)
    vapi.error = None
    await only.probe_once()
    assert only.available(ours, DEFAULT) == [], "not before the pause is over"
    clock.advance(6)
    assert only.available(ours, DEFAULT) == [], "and then by a probe"
    await only.probe_once()
    assert only.available(ours, DEFAULT) == [], "which failed"
    clock.advance(11)
    await only.probe_once()
    assert only.available(ours, DEFAULT) == [Rung.VAPI]
    assert (await only.connect(ours, DEFAULT)).name == "vapi:m"
    assert vapi.asked == 3


async def test_a_tenants_own_key_is_tried_by_its_own_calls() -> None:
    clock = FakeClock()
    vapi = Vendor(Rung.VAPI, down(503))
    only, _ = probed(vapi, clock, [])
    for _ in range(2):
        with pytest.raises(ProviderError):
            await only.connect(SPEC, DEFAULT)
    clock.advance(6)
    await only.probe_once()
    vapi.error = None
    assert (await only.connect(SPEC, DEFAULT)).name == "vapi:m"
