"""The shell of a call: audio straight across, commands carried out, the end told once."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from domain.errors import ProviderError
from domain.outcome import Outcome
from server.clock import SystemClock
from storage.journal import JournalEntry
from tests.voice.test_call import SCRIPT
from voice import events as ev
from voice.bridge import Bridge, Identity, Surroundings
from voice.call import Call, Phase, Rules
from voice.journal import Journal
from voice.media_stream.protocol import Encoder

FRAME = base64.b64encode(b"\xff" * 160).decode()
SPEECH = base64.b64encode(b"\x20" * 800).decode()  # 100 ms


class Socket:
    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.closed: int | None = None
        self.buffered = 0

    def send(self, text: bytes) -> None:
        self.sent.append(json.loads(text))

    def close(self, code: int = 1000) -> None:
        if self.closed is None:
            self.closed = code

    def events(self) -> list[str]:
        return [message["event"] for message in self.sent]


class Leg:
    name = "fake:1"

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.listener: Bridge | None = None
        self.closed = False
        self.alive = True

    def listen(self, listener: Bridge) -> None:
        self.listener = listener
        listener.on_agent_event(ev.AgentReady())

    def hear(self, payload: str) -> None:
        self.done.append(("hear", payload))

    def say(self, text: str) -> None:
        self.done.append(("say", text))

    def respond(self) -> None:
        self.done.append(("respond",))

    def interrupt(self, heard: Sequence[tuple[str, float, float]], *, cancel: bool) -> None:
        self.done.append(("interrupt", tuple(heard), cancel))

    def tell(self, text: str, role: str) -> None:
        self.done.append(("tell", text, role))

    def give_result(self, function_call_id: str, output: str, *, respond: bool) -> None:
        self.done.append(("result", function_call_id, output, respond))

    async def answers(self, seconds: float) -> bool:
        self.done.append(("answers?",))
        return self.alive

    async def close(self) -> None:
        self.closed = True


class Actions:
    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.done: list[str] = []
        self.others: list[Leg] = []
        self.sounds: list[str] = []
        self.told: tuple[tuple[str, str], ...] = ()
        self.late: list[ev.FunctionFinished] = []

    def runs_elsewhere(self, agent: str) -> bool:
        return True

    async def ran_elsewhere(
        self, since: datetime | None, until: datetime
    ) -> list[ev.FunctionFinished]:
        late, self.late = self.late, []
        return late

    async def run_function(self, command: ev.RunFunction) -> ev.FunctionFinished:
        self.done.append(command.name)
        await asyncio.sleep(0.01)
        then = "end" if command.name == "end_call" else ""
        return ev.FunctionFinished(
            command.function_call_id, command.name, {"status": "ok"}, None, then, "done"
        )

    async def hang_up(self, reason: str) -> None:
        self.done.append(f"hang_up {reason}")
        if self.fails:
            raise ProviderError("twilio", "down", retryable=True)

    async def transfer(self, reason: str) -> None:
        self.done.append("transfer")

    async def leave(self, reason: str) -> None:
        self.done.append(f"leave {reason}")

    async def record(self) -> None:
        self.done.append("record")

    async def next_agent(
        self, lost: str | None, why: ev.ChangeAgent, turns: Sequence[tuple[str, str]]
    ) -> Leg:
        self.done.append(f"next_agent {why.reason}")
        self.told = tuple(turns)
        if not self.others:
            raise ProviderError("ladder", "nobody left", retryable=False, code="no_agent")
        return self.others.pop(0)

    def sounded(self, name: str) -> None:
        self.sounds.append(name)


class Figures:
    def __init__(self) -> None:
        self.observed: dict[str, list[float]] = {}
        self.counted: list[tuple[str, str]] = []

    def observe(self, stage: str, seconds: float) -> None:
        self.observed.setdefault(stage, []).append(seconds)

    def count(self, name: str, label: str = "") -> None:
        self.counted.append((name, label))


class Store:
    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []

    async def append(self, entries: Sequence[JournalEntry]) -> None:
        self.entries += entries


class World:
    def __init__(self, *, fails: bool = False) -> None:
        self.socket, self.leg, self.actions = Socket(), Leg(), Actions(fails=fails)
        self.figures, self.store = Figures(), Store()
        self.journal = Journal(self.store)
        self.bridge = Bridge(
            Call(SCRIPT, Rules()),
            Identity("call-1", "CA1", "tenant-1"),
            self.socket,
            Encoder("MZ1"),
            self.actions,
            Surroundings(SystemClock(), self.journal, self.figures),
        )

    def twilio(self, **message: Any) -> None:
        self.bridge.on_text(json.dumps(message).encode())

    def frame(self, payload: str = FRAME) -> None:
        self.twilio(event="media", streamSid="MZ1", media={"track": "inbound", "payload": payload})

    def echo(self, name: str) -> None:
        self.twilio(event="mark", streamSid="MZ1", mark={"name": name})

    def speak(self, item: str = "i1", frames: int = 1) -> None:
        self.bridge.on_agent_event(ev.ResponseStarted("r"))
        self.bridge.on_agent_event(ev.AgentText(item, "Bonjour à vous"))
        for _ in range(frames):
            self.bridge.on_agent_audio(item, SPEECH)


@asynccontextmanager
async def talking(*, fails: bool = False) -> AsyncIterator[World]:
    world = World(fails=fails)

    async def pending() -> Leg:
        return world.leg

    async with asyncio.TaskGroup() as tasks:
        world.bridge.start(tasks, resumed=False)
        await world.bridge.attach(pending())
        yield world
        world.bridge.on_closed()
        await world.bridge.close()
    assert world.leg.closed


async def test_frames_go_straight_to_the_agent_and_back() -> None:
    async with talking() as world:
        world.frame()
        world.speak()
        assert ("hear", FRAME) in world.leg.done
        assert world.socket.sent == [
            {"event": "media", "streamSid": "MZ1", "media": {"payload": SPEECH}},
            {"event": "mark", "streamSid": "MZ1", "mark": {"name": "0:800"}},
        ]


async def test_barge_in_clears_before_anything_else_and_truncates_at_what_was_heard() -> None:
    async with talking() as world:
        world.speak(frames=10)
        world.echo("0:800")
        world.socket.sent.clear()
        world.bridge.on_agent_event(ev.CallerSpeechStarted())
        assert world.socket.events() == ["clear"]
        ((_, items, cancel),) = [done for done in world.leg.done if done[0] == "interrupt"]
        assert cancel is False
        ((item, heard, sent),) = items
        assert (item, sent) == ("i1", 1000.0)
        assert 100.0 <= heard < 200.0
        assert world.figures.observed["barge_in"][0] < 0.01


async def test_the_end_of_an_utterance_is_marked_and_its_echo_is_heard() -> None:
    async with talking() as world:
        world.bridge.on_agent_event(ev.ResponseStarted("r"))
        world.bridge.on_agent_audio("i1", FRAME)
        assert world.socket.events() == ["media"]  # 20 ms: no mark yet
        world.bridge.on_agent_event(ev.ResponseDone("r", "completed"))
        assert world.socket.sent[-1]["mark"]["name"] == "0:160"
        world.echo("0:160")
        await world.journal.flush()
        assert world.bridge.call.phase is Phase.TALKING
        stages = [e.data["stage"] for e in world.store.entries if e.kind == "latency"]
        assert stages == ["agent_connect", "first_sound"]


async def test_a_model_slower_than_speech_is_not_taken_for_silent() -> None:
    async with talking() as world:
        world.speak()
        world.echo("0:800")  # the queue is empty, but the response goes on
        world.bridge.on_agent_audio("i1", SPEECH)
        world.bridge.on_agent_event(ev.ResponseDone("r", "completed"))
        world.echo("0:1600")
        await world.journal.flush()
        turns = [e.data for e in world.store.entries if e.kind == "turn"]
        assert [(turn["heard_until_ms"], turn["text"]) for turn in turns] == [
            (200, "Bonjour à vous")
        ]


async def test_a_flood_is_closed() -> None:
    async with talking() as world:
        for _ in range(1500):  # half a minute at once: somebody stalled
            world.frame()
        assert world.socket.closed is None
        for _ in range(100):
            world.frame()
        assert world.socket.closed == 1008


async def test_garbage_is_tolerated_a_little() -> None:
    async with talking() as world:
        for _ in range(10):
            world.bridge.on_text(b"{nonsense")
        assert world.socket.closed is None
        world.bridge.on_text(b"{nonsense")
        assert world.socket.closed == 1007


async def test_unknown_events_are_ignored() -> None:
    async with talking() as world:
        for _ in range(50):
            world.twilio(event="weather", streamSid="MZ1")
        assert world.socket.closed is None


async def test_an_unread_stream_is_given_up() -> None:
    async with talking() as world:
        world.socket.buffered = 5 * 1024 * 1024
        world.speak()
        assert world.socket.closed == 1011
        assert world.socket.sent == []


async def test_stop_is_a_hang_up_and_what_was_heard_is_kept() -> None:
    async with talking() as world:
        world.speak(frames=10)
        world.echo("0:4000")
        world.twilio(event="stop", streamSid="MZ1", stop={"callSid": "CA1"})
        assert world.bridge.ended.is_set()
        assert world.bridge.call.ended_by == "caller"
        await world.journal.flush()
        (turn,) = [e.data for e in world.store.entries if e.kind == "turn"]
        assert turn["cut"] is True
        assert turn["heard_until_ms"] >= 500


async def test_a_lost_stream_is_not_a_hang_up() -> None:
    async with talking() as world:
        world.bridge.on_closed()
        assert world.bridge.call.ended_by == "network"


async def test_a_newer_stream_replaces_this_one() -> None:
    async with talking() as world:
        world.bridge.replaced()
        assert world.socket.closed == 1000
        assert world.bridge.was_replaced


async def end_of_call(world: World) -> None:
    world.bridge.on_agent_event(ev.FunctionCalled("f1", "end_call", "{}"))
    await asyncio.sleep(0.05)
    world.speak("bye")
    world.bridge.on_agent_event(ev.ResponseDone("r", "completed"))
    world.echo("0:800")
    await asyncio.sleep(0.05)


async def test_a_function_runs_in_the_background_and_the_goodbye_is_heard_first() -> None:
    async with talking() as world:
        await end_of_call(world)
        assert world.actions.done == ["end_call", "hang_up done"]
        assert ("say", SCRIPT.goodbye) in world.leg.done
        assert world.bridge.call.outcome() is Outcome.ABANDONED


async def test_a_hang_up_that_fails_leaves_it_to_the_carriers_question() -> None:
    async with talking(fails=True) as world:
        await end_of_call(world)
        assert world.socket.closed == 1000


async def test_an_agent_that_cannot_be_reached_leaves_the_stream() -> None:
    world = World()

    async def pending() -> Leg:
        raise ProviderError("openai", "no connection", retryable=True, code="open_timeout")

    async with asyncio.TaskGroup() as tasks:
        world.bridge.start(tasks, resumed=False)
        await world.bridge.attach(pending())
        await asyncio.sleep(0.01)
        assert world.actions.done == ["leave agent_gone"], "so that no other stream follows"
        assert world.socket.closed == 1000
        assert world.bridge.call.ended_by == "fault"
        world.bridge.on_closed()


async def test_a_leg_that_comes_after_the_end_is_closed() -> None:
    world = World()
    arrives = asyncio.Event()

    async def pending() -> Leg:
        await arrives.wait()
        return world.leg

    async with asyncio.TaskGroup() as tasks:
        world.bridge.start(tasks, resumed=False)
        attaching = tasks.create_task(world.bridge.attach(pending()))
        world.bridge.on_closed()
        arrives.set()
        await attaching
    assert world.leg.closed


@pytest.mark.parametrize("digit", ["5", "*", "#"])
async def test_keys(digit: str) -> None:
    async with talking() as world:
        world.twilio(event="dtmf", streamSid="MZ1", dtmf={"track": "inbound_track", "digit": "7"})
        world.twilio(event="dtmf", streamSid="MZ1", dtmf={"track": "inbound_track", "digit": digit})
        world.twilio(event="dtmf", streamSid="MZ1", dtmf={"track": "inbound_track", "digit": "#"})
        told = [done for done in world.leg.done if done[0] == "tell"]
        assert told[0][1] == f"[Touches : 7{'' if digit == '#' else f' {digit}'}]"


async def test_marks_that_never_come_do_not_freeze_the_call(monkeypatch: Any) -> None:
    monkeypatch.setattr("voice.bridge.MARK_GRACE_SECONDS", 0.05)
    async with talking() as world:
        world.speak()
        world.bridge.on_agent_event(ev.ResponseDone("r", "completed"))
        await asyncio.sleep(0.25)
        assert ("marks_missing", "") in world.figures.counted
