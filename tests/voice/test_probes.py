"""Probes: no caller pays for finding out that a vendor is well again."""

import asyncio
import dataclasses

import pytest

from domain.breaker import FIRST_PAUSE, Breakers
from domain.errors import ProviderError
from providers.openai.realtime import OpenAIRealtime
from sandbox.brain import Brain
from sandbox.openai_realtime import Faults, RealtimeEmulator
from tests.fakes.clock import FakeClock
from tests.voice.test_agents import SPEC, Vendor, down
from tests.voice.test_bridge import Figures, Leg
from voice import probes as module
from voice.agents import Agents, Speaker
from voice.events import AgentGone
from voice.ladder import DEFAULT, Rung
from voice.ports import AgentLeg, AgentListener, AgentSpec
from voice.probes import Probes, speaks

OURS = dataclasses.replace(SPEC, api_key="")


class World:
    """Vapi, whose probe answers as `answers` say."""

    def __init__(self, *answers: bool) -> None:
        self.clock = FakeClock()
        self.vapi = Vendor(Rung.VAPI, down(503))
        self.answers = list(answers)
        breakers = Breakers(self.clock)
        speaker = Speaker(self.vapi, lambda _: True, lambda spec: spec.api_key)
        self.agents = Agents({Rung.VAPI: speaker}, breakers, Figures())
        self.probes = Probes(breakers, {"vapi:": self.probe})

    async def probe(self) -> None:
        if not self.answers.pop(0):
            raise down()

    async def fail(self, spec: AgentSpec) -> None:
        with pytest.raises(ProviderError):
            await self.agents.connect(spec, DEFAULT)

    @property
    def is_available(self) -> bool:
        return self.agents.available(OURS, DEFAULT) == [Rung.VAPI]


async def test_no_caller_pays_for_finding_out_that_a_vendor_is_well_again() -> None:
    world = World(False, True)
    await world.fail(OURS)
    await world.fail(OURS)
    world.vapi.error = None
    await world.probes.once()
    assert not world.is_available, "not before the pause is over"
    world.clock.advance(FIRST_PAUSE)
    assert not world.is_available, "and then by a probe"
    await world.probes.once()
    assert not world.is_available, "which failed"
    world.clock.advance(FIRST_PAUSE * 2)
    await world.probes.once()
    assert world.is_available
    assert (await world.agents.connect(OURS, DEFAULT)).name == "vapi:m"
    assert world.vapi.asked == 3


async def test_a_full_account_that_answers_probes_is_asked_less_and_less() -> None:
    world = World(True, True)
    world.vapi.error = down(429)
    await world.fail(OURS)
    await world.fail(OURS)
    world.clock.advance(FIRST_PAUSE)
    await world.probes.once()
    await world.fail(OURS)
    assert not world.is_available, "one call was enough"
    world.clock.advance(FIRST_PAUSE)
    await world.probes.once()
    assert len(world.answers) == 1, "its pause is twice as long"
    world.clock.advance(FIRST_PAUSE)
    await world.probes.once()
    world.vapi.error = None
    leg = await world.agents.connect(OURS, DEFAULT)
    world.agents.sounded(leg.name, OURS)
    world.vapi.error = down(429)
    await world.fail(OURS)
    assert world.is_available, "a call has worked: all is as it was"


async def test_a_tenants_own_key_is_tried_by_its_own_calls() -> None:
    world = World()
    await world.fail(SPEC)
    await world.fail(SPEC)
    world.clock.advance(FIRST_PAUSE)
    await world.probes.once()
    world.vapi.error = None
    leg = await world.agents.connect(SPEC, DEFAULT)
    await world.fail(SPEC)  # until its first sound one call tries
    assert world.vapi.asked == 3
    world.agents.sounded(leg.name, SPEC)
    await world.agents.connect(SPEC, DEFAULT)


# ------------------------------------------------------------------------------- what is asked


class Speaking(Vendor):
    """Answers `say` with a sound, the end of the connection, or nothing."""

    def __init__(self, what: str) -> None:
        super().__init__(Rung.REALTIME, hangs=what == "hangs")
        self.what = what
        self.leg = Leg()

    async def connect(self, spec: AgentSpec) -> AgentLeg:
        await super().connect(spec)
        leg, what = self.leg, self.what
        listeners: list[AgentListener] = []

        def say(text: str) -> None:
            if what == "sounds":
                listeners[0].on_agent_audio("i", "AAAA")
            elif what == "goes":
                listeners[0].on_agent_event(AgentGone("1011"))

        leg.listen, leg.say = listeners.append, say  # type: ignore[method-assign]
        return leg


async def test_who_speaks_is_well() -> None:
    vendor = Speaking("sounds")
    await speaks(vendor, OURS)
    assert vendor.leg.closed


@pytest.mark.parametrize("what", ["goes", "is mute"])
async def test_who_takes_a_connection_and_says_nothing_isnt(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_SOUND_SECONDS", 0.05)
    vendor = Speaking(what)
    with pytest.raises((ProviderError, TimeoutError)):
        await speaks(vendor, OURS)
    assert vendor.leg.closed


async def test_a_probe_takes_no_longer_to_connect_than_a_call_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "RUNG_SECONDS", 0.05)
    async with asyncio.timeout(1):
        with pytest.raises(TimeoutError):
            await speaks(Speaking("hangs"), OURS)


@pytest.mark.parametrize("mute", [False, True])
async def test_the_realtime_vendor_itself(monkeypatch: pytest.MonkeyPatch, *, mute: bool) -> None:
    faults = Faults(hang=frozenset({1})) if mute else Faults()
    async with RealtimeEmulator("sk-ours", lambda _: Brain([]), latency_ms=5, faults=faults) as it:
        connector = OpenAIRealtime(it.url)
        ours = dataclasses.replace(OURS, voice="marin", api_key="sk-ours")
        if mute:
            monkeypatch.setattr(module, "FIRST_SOUND_SECONDS", 0.2)
            with pytest.raises(TimeoutError):
                await speaks(connector, ours)
        else:
            await speaks(connector, ours)
        assert [session.errors for session in it.sessions] == [[]]
