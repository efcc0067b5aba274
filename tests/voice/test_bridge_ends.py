"""The last words of a call, when those who carry them fail."""

import asyncio

import pytest
import structlog

from tests.voice.test_bridge import talking
from voice import events as ev
from voice.call import Phase


async def test_a_goodbye_is_heard_although_the_agent_dies_in_it() -> None:
    async with talking() as world:
        world.bridge.on_agent_event(ev.FunctionCalled("f1", "end_call", "{}"))
        await asyncio.sleep(0.05)
        world.speak("bye")  # and its `response.done` never comes
        world.bridge.on_agent_event(ev.AgentGone("1006"))
        await asyncio.sleep(0.05)
        assert world.actions.done == ["end_call"]
        world.echo("0:800")
        await asyncio.sleep(0.05)
        assert world.actions.done == ["end_call", "hang_up done"]


async def test_a_goodbye_that_was_heard_before_the_agent_died_ends_the_call() -> None:
    async with talking() as world:
        world.bridge.on_agent_event(ev.FunctionCalled("f1", "end_call", "{}"))
        await asyncio.sleep(0.05)
        world.speak("bye")
        world.echo("0:800")
        assert world.bridge.call.phase is Phase.CLOSING, "there may be more to come"
        world.bridge.on_agent_event(ev.AgentGone("1006"))
        await asyncio.sleep(0.05)
        assert world.actions.done == ["end_call", "hang_up done"]


async def test_a_line_on_which_nothing_comes_any_more_is_let_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voice.bridge.LOOK_SECONDS", 0.05)
    async with talking() as world:
        for _ in range(8):
            world.frame()
            await asyncio.sleep(0.03)
        assert world.socket.closed is None
        await asyncio.sleep(0.12)
        assert world.socket.closed is None, "a stall of ours is no death of theirs"
        await asyncio.sleep(0.15)
        assert world.socket.closed == 1011
        assert ("streams_dead", "") in world.figures.counted


async def test_the_last_words_are_waited_for_a_moment() -> None:
    async with talking() as world:
        world.bridge.on_agent_event(ev.CallerSpeechStarted())
        world.bridge.on_agent_event(ev.CallerSpeechStopped())
        world.twilio(event="stop", streamSid="MZ1", stop={"callSid": "CA1"})
        world.bridge.on_closed()
        assert not world.bridge.ended.is_set()
        world.bridge.on_agent_audio("i9", "AAAA")
        assert world.socket.sent == [], "nobody hears it"
        world.bridge.on_agent_event(ev.CallerSaid("c", "Merci, au revoir"))
        assert world.bridge.ended.is_set()
        await world.journal.flush()
        turns = [entry.data for entry in world.store.entries if entry.kind == "turn"]
        assert turns == [{"who": "caller", "text": "Merci, au revoir"}]


async def test_but_only_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voice.bridge.LAST_WORDS_SECONDS", 0.1)
    async with talking() as world:
        world.bridge.on_agent_event(ev.CallerSpeechStarted())
        world.bridge.on_agent_event(ev.CallerSpeechStopped())
        world.twilio(event="stop", streamSid="MZ1", stop={"callSid": "CA1"})
        async with asyncio.timeout(1):
            await world.bridge.ended.wait()


async def test_a_line_that_is_lost_is_not_waited_for() -> None:
    async with talking() as world:
        world.bridge.on_agent_event(ev.CallerSpeechStarted())
        world.bridge.on_agent_event(ev.CallerSpeechStopped())
        world.bridge.on_closed()
        assert world.bridge.ended.is_set()


async def test_a_line_of_the_log_says_whose_stream_it_is_about() -> None:
    with structlog.testing.capture_logs() as lines:
        async with talking() as world:
            for _ in range(11):
                world.bridge.on_text(b"{nonsense")
    (line,) = [line for line in lines if line["event"] == "stream.malformed"]
    assert (line["call_id"], line["tenant_id"]) == ("call-1", "tenant-1")
