"""The cascade's three models behind their breakers: what one call learns, the next one knows."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from domain.breaker import FIRST_PAUSE, Breakers
from domain.errors import ProviderError
from domain.language_model import FunctionSpec, ModelMessage
from tests.fakes.clock import FakeClock
from tests.voice.cascade_models import FAILURE, SPEC, Hearing, Speaking, Thinking, request
from tests.voice.test_bridge import Figures
from voice.agents import Agents, Speaker
from voice.cascade import CascadeConnector, CascadeModels, hears, speaks, thinks
from voice.cascade_links import GIVEN_UP_SECONDS, STT, TTS, CascadeLinks
from voice.cascade_reply import Voice
from voice.ladder import DEFAULT, Loss, Rung
from voice.probes import Probes
from voice.turn_model import LLM, TurnModel

VOICES = {"female": "anna"}
ASKED = [ModelMessage("user", "Bonjour.")]


class World:
    """A node with a cascade. `say`, `think`, `hear` ask one of its models."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.breakers = Breakers(self.clock)
        self.hearing, self.thinking, self.speaking = Hearing([""]), Thinking(["Oui."]), Speaking()
        models = CascadeModels(self.hearing, self.thinking, self.speaking, VOICES)
        self.links = CascadeLinks(models, self.breakers, self.clock)
        self.models = self.links.models
        self.turns = TurnModel(self.thinking, self.breakers)

    async def hear(self) -> None:
        await self.models.stt.transcribe(b"", 8000, "fr")

    async def think(self) -> None:
        async with contextlib.aclosing(self.models.llm.answer(ASKED)) as pieces:
            async for _ in pieces:
                pass

    async def say(self) -> None:
        async with contextlib.aclosing(self.models.tts.speak("Oui.", "anna")) as sounds:
            async for _ in sounds:
                pass

    async def wait_in_vain(self, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Give it up after so long."""

        async def ask() -> None:
            await work()

        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(ask())
            await asyncio.sleep(0.01)
            self.clock.advance(seconds)
            asking.cancel()


def refused(status: int) -> ProviderError:
    return ProviderError("llm", "no", retryable=False, status=status)


async def failing(work: Callable[[], Awaitable[None]]) -> None:
    with pytest.raises(ProviderError):
        await work()


async def test_each_of_the_three_has_its_own() -> None:
    world = World()
    world.hearing.script = [FAILURE]
    await failing(world.hear)
    assert world.links.are_well, "once may be bad luck"
    await failing(world.hear)
    assert not world.links.are_well
    assert [key for key in (STT, LLM, TTS) if not world.breakers.allows(key)] == [STT]
    world.hearing.script = ["Oui."]
    await world.hear()
    assert world.links.are_well, "a call that runs has found it well again"
    world.speaking.failures = 2
    await failing(world.say)
    await failing(world.say)
    assert not world.links.are_well


@pytest.mark.parametrize(
    ("status", "counts"),
    [(400, False), (422, False), (401, True), (404, True), (429, True), (500, True)],
)
async def test_a_request_that_a_model_cannot_take_is_no_breakdown(
    status: int, *, counts: bool
) -> None:
    world = World()
    world.thinking.script = [refused(status)]
    for _ in range(2):
        await failing(world.think)
    assert world.links.are_well is not counts
    assert world.turns.allowed is not counts


async def test_who_gives_up_a_model_that_is_silent_has_learnt_something() -> None:
    world = World()
    world.thinking.pace = 30
    for _ in range(5):
        await world.wait_in_vain(world.think, GIVEN_UP_SECONDS - 0.1)
    assert world.links.are_well, "callers go on speaking"
    for _ in range(2):
        await world.wait_in_vain(world.think, GIVEN_UP_SECONDS)
    assert not world.links.are_well


async def test_an_answer_that_has_begun_may_be_given_up() -> None:
    world = World()
    await failing_once(world)
    answer = world.models.llm.answer(ASKED)
    await anext(answer)
    world.clock.advance(10)
    await answer.aclose()
    await failing_once(world)
    assert world.links.are_well


async def failing_once(world: World) -> None:
    world.thinking.script = [FAILURE]
    await failing(world.think)
    world.thinking.script = ["Oui, bien sûr."]


async def test_by_turns_nobody_waits_for_a_model_that_the_cascade_was_lost_for() -> None:
    world = World()
    world.thinking.pace = 30
    async with asyncio.TaskGroup() as tasks:
        connector = CascadeConnector(world.models, tasks, lambda: world.links.are_well)
        speaker = Speaker(connector, lambda _: True, lambda _: "", world.links)
        agents = Agents({Rung.CASCADE: speaker}, world.breakers, Figures())
        await world.wait_in_vain(world.think, 4.0)  # the agent was stuck, and asked once more
        asking = tasks.create_task(world.think())
        await asyncio.sleep(0.01)
        world.clock.advance(2.0)
        assert world.turns.allowed
        agents.lost("cascade:fake-llm", SPEC, "agent_stuck")
        assert not world.turns.allowed
        assert agents.available(SPEC, DEFAULT) == []
        asking.cancel()
    world.thinking.pace = 0.001
    world.clock.advance(FIRST_PAUSE)
    await Probes(world.breakers, {LLM: partial(thinks, world.thinking, SPEC)}).once()
    assert world.turns.allowed


async def test_a_rescue_in_spite_of_a_breaker_asks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.cascade._AT_ONCE_SECONDS", 0.1)
    world = World()
    for _ in range(2):
        world.breakers.failed(LLM)
    lost = [Loss(Rung.CASCADE, "agent_stuck")]
    async with asyncio.TaskGroup() as tasks:
        connector = CascadeConnector(world.models, tasks, lambda: world.links.are_well)
        speaker = Speaker(connector, lambda _: True, lambda _: "", world.links)
        agents = Agents({Rung.CASCADE: speaker}, world.breakers, Figures())
        world.thinking.pace = 30
        await failing(partial(discarded, agents, lost))
        world.thinking.pace = 0.001
        await discarded(agents, lost)
        assert world.links.are_well


async def discarded(agents: Agents, lost: list[Loss]) -> None:
    await (await agents.connect(SPEC, DEFAULT, lost)).close()


# ------------------------------------------------------------------------------------- probes


class Toolless(Thinking):
    """Takes no functions, as some models of one's own don't."""

    async def answer(self, messages, functions=()):  # type: ignore[no-untyped-def]
        if functions:
            raise refused(400)
        async for piece in super().answer(messages, functions):
            yield piece


async def test_a_probe_asks_for_what_calls_need() -> None:
    function = FunctionSpec("end_call", "", {"type": "object", "properties": {}})
    spec = SPEC.__class__("", (function,), "", "", "fr", "")
    await thinks(Thinking(["Oui."]), spec)
    await thinks(Thinking([[request("end_call")]]), spec)
    with pytest.raises(ProviderError):
        await thinks(Thinking([[]]), spec)
    with pytest.raises(ProviderError):
        await thinks(Toolless(["Oui."]), spec)


async def test_a_probe_waits_as_long_as_a_call_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.cascade.STT_SECONDS", 0.1)
    monkeypatch.setattr("voice.cascade.FIRST_SOUND_SECONDS", 0.1)
    monkeypatch.setattr("voice.cascade._AT_ONCE_SECONDS", 0.01)
    slow = CascadeModels(
        Hearing([""], latency=0.03), Thinking(["Oui."], pace=0.03), Speaking(latency=0.03), VOICES
    )
    async with asyncio.TaskGroup() as tasks:
        await CascadeConnector(slow, tasks).probe(SPEC)
    with pytest.raises(ProviderError):
        await hears(Hearing([""], latency=1), SPEC)
    with pytest.raises(ProviderError):
        await speaks(Voice(Speaking(latency=1), "anna"))
