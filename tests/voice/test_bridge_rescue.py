"""The shell of a call whose agent is replaced in its middle."""

import asyncio

import pytest

from tests.voice.test_bridge import FRAME, Leg, World, talking
from tests.voice.test_call import SCRIPT
from tests.voice.test_ears import QUIET, SPEECH
from voice import events as ev
from voice.announcements import SpokenLines
from voice.call import Phase

LINES = SpokenLines(dict.fromkeys((*SCRIPT.holds, SCRIPT.repeat), b"\x10" * 4000))


def with_lines(world: World) -> None:
    world.bridge._announcements = LINES


def marks(world: World) -> list[str]:
    return [m["mark"]["name"] for m in world.socket.sent if m["event"] == "mark"]


def heard(world: World) -> None:
    """The carrier has played all that it was sent."""
    world.echo(marks(world)[-1])


def turns(world: World) -> list[tuple[str, str]]:
    return list(world.bridge._turns)


async def test_the_next_agent_goes_on_with_what_was_said() -> None:
    async with talking() as world:
        with_lines(world)
        second = Leg()
        world.actions.others.append(second)
        world.speak()
        world.bridge.on_agent_event(ev.ResponseDone("r", "completed"))
        heard(world)
        world.bridge.on_agent_event(ev.AgentGone("1006"))
        await asyncio.sleep(0.02)
        assert world.leg.closed
        assert world.actions.told == (("agent", "Bonjour à vous"),)
        assert second.done == [("say", SCRIPT.resume)]
        heard(world)
        assert turns(world) == [("agent", "Bonjour à vous")], "our lines need no agent's attention"
        world.frame()
        assert second.done[-1] == ("hear", FRAME)
        assert world.bridge.agent_name == second.name
        await second.close()


async def test_words_that_nobody_understood_are_played_to_the_next() -> None:
    async with talking() as world:
        second = Leg()
        world.actions.others.append(second)
        world.speak()
        world.bridge.on_agent_event(ev.ResponseDone("r", "completed"))
        heard(world)
        for _ in range(60):
            world.frame(QUIET)
        for _ in range(50):
            world.frame(SPEECH)
        world.bridge.on_agent_event(ev.CallerSpeechStarted())
        world.bridge.on_agent_event(ev.AgentGone("1006"))
        for _ in range(40):
            world.frame(QUIET)
        await asyncio.sleep(0.02)
        replayed = [payload for what, *(payload,) in second.done if what == "hear"]
        assert replayed.count(SPEECH) == 50
        assert 0 < replayed.index(SPEECH) <= 30, "and a moment before them, not the whole call"
        assert ("say", SCRIPT.resume) not in second.done
        await second.close()


@pytest.mark.parametrize("alive", [True, False])
async def test_a_short_word_to_which_nothing_comes(alive: bool) -> None:
    """ "Oui." Either the agent took it for a cough, or its line is dead: it is asked."""
    async with talking() as world:
        second = Leg()
        world.actions.others.append(second)
        world.leg.alive = alive
        world.speak()
        world.bridge.on_agent_event(ev.ResponseDone("r", "completed"))
        heard(world)
        for payload in (QUIET,) * 60 + (SPEECH,) * 18 + (QUIET,) * 30:
            world.frame(payload)
        await asyncio.sleep(0.02)
        assert world.leg.done.count(("answers?",)) == 1
        assert world.leg.closed is not alive
        assert second.done.count(("hear", SPEECH)) == (0 if alive else 18)
        await second.close()


async def test_an_announcement_is_no_item_of_the_agents() -> None:
    async with talking() as world:
        with_lines(world)
        world.bridge._announce(SCRIPT.holds[0])
        world.speak("i2")
        world.bridge.on_agent_event(ev.CallerSpeechStarted())
        ((_, items, _),) = [each for each in world.leg.done if each[0] == "interrupt"]
        assert [item for item, _, _ in items] == ["i2"]


async def test_a_stuck_response_doesnt_keep_our_line_from_being_heard() -> None:
    async with talking() as world:
        with_lines(world)
        world.bridge.on_agent_event(ev.ResponseStarted("r"))
        world.bridge._announce(SCRIPT.holds[0])
        heard(world)
        assert not world.bridge._audible


async def test_nobody_left_leaves_the_stream() -> None:
    async with talking() as world:
        world.bridge.on_agent_event(ev.AgentGone("1006"))
        await asyncio.sleep(0.02)
        assert world.bridge.call.phase is Phase.OVER
        assert world.socket.closed == 1000


async def test_a_caller_who_leaves_meanwhile_leaves_no_agent_behind() -> None:
    async with talking() as world:
        second = Leg()

        async def later(*_: object) -> Leg:
            await asyncio.sleep(0.05)
            return second

        world.actions.next_agent = later  # type: ignore[method-assign]
        world.bridge.on_agent_event(ev.AgentGone("1006"))
        world.bridge.on_closed()
        await asyncio.sleep(0.1)
        assert second.closed
        assert world.leg.closed


async def test_a_response_that_dries_up_is_told_and_so_is_its_going_on() -> None:
    async with talking() as world:
        told: list[ev.Event] = []
        feed = world.bridge._feed
        world.bridge._feed = lambda event: (told.append(event), feed(event))  # type: ignore[method-assign]
        world.speak()
        heard(world)
        world.bridge.on_agent_audio("i1", QUIET)
        dry = [event for event in told if isinstance(event, ev.AgentDry)]
        assert dry == [ev.AgentDry(True), ev.AgentDry(False)]


async def test_a_quiet_line_is_not_kept() -> None:
    async with talking() as world:
        for _ in range(500):
            world.frame(QUIET)
        assert len(world.bridge._frames) <= 30
        for _ in range(200):
            world.frame(SPEECH)
        assert len(world.bridge._frames) >= 200
        for _ in range(50):
            world.frame(QUIET)
        world.speak("i2")
        assert len(world.bridge._frames) <= 30


async def test_a_sentence_that_breaks_off_is_noticed_without_a_mark(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voice.bridge.DRY_SECONDS", 0.05)
    async with talking() as world:
        told: list[ev.Event] = []
        feed = world.bridge._feed
        world.bridge._feed = lambda event: (told.append(event), feed(event))  # type: ignore[method-assign]
        world.bridge.on_agent_event(ev.ResponseStarted("r"))
        world.bridge.on_agent_audio("i1", QUIET)
        await asyncio.sleep(0.02)
        world.bridge.on_agent_audio("i1", QUIET)
        assert ev.AgentDry(True) not in told
        await asyncio.sleep(0.3)
        assert told[-1] == ev.AgentDry(True)


async def test_the_first_sound_of_each_agent_is_told_once() -> None:
    async with talking() as world:
        with_lines(world)
        first, second = world.leg, Leg()
        second.name = "another"
        world.actions.others.append(second)
        assert world.actions.sounds == []
        world.speak()
        world.speak("i2", frames=3)
        assert world.actions.sounds == [first.name]
        world.bridge.on_agent_event(ev.ResponseDone("r", "completed"))
        heard(world)
        world.bridge.on_agent_event(ev.AgentGone("1006"))
        await asyncio.sleep(0.02)
        assert world.actions.sounds == [first.name], "a line of our own is no agent's"
        heard(world)
        world.speak("i3")
        assert world.actions.sounds == [first.name, "another"]


async def test_what_ran_elsewhere_for_a_lost_agent_is_told_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its commit comes after the next agent was briefed."""
    monkeypatch.setattr("voice.bridge.LATE_SECONDS", 0.01)
    async with talking() as world:
        second = Leg()
        world.actions.others.append(second)
        world.bridge.on_agent_event(ev.AgentGone("1006"))
        await asyncio.sleep(0.03)
        assert not [each for each in second.done if each[0] == "tell"]
        world.actions.late = [ev.FunctionFinished("v1", "book_appointment", {"status": "booked"})]
        await asyncio.sleep(0.03)
        note = '[book_appointment : {"status":"booked"}]'
        assert second.done[-2:] == [("tell", note, "system"), ("respond",)]
        await second.close()
