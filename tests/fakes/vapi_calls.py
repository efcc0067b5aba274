"""Legs to an emulated Vapi, and somebody who talks into them in real time."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from providers.vapi.connector import VapiConnector
from providers.vapi.leg import VapiLeg
from providers.vapi.rest import VapiAccount
from sandbox.brain import Brain
from sandbox.speech import FRAME_BYTES, Ear, clip, quiet, render, stamp
from sandbox.vapi import VapiEmulator
from sandbox.vapi_faults import VapiFaults
from sandbox.vapi_record import CallRecord
from server.clock import SystemClock
from voice import events as ev
from voice.ports import AgentSpec, CallFacts

KEY = "vapi-private-key"
GREETING = "Je vous écoute."
FACTS = CallFacts("call-1", "CA1", "t_42", "+33639981234")
TAG = 5


@dataclass
class Line:
    """A leg, what it reported, and the caller at its other end."""

    vapi: VapiEmulator
    leg: VapiLeg
    heard: list[ev.Event | tuple[str, str]] = field(default_factory=list)
    #: (monotonic second, event), audio left out.
    times: list[tuple[float, ev.Event]] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _frames: list[bytes] = field(default_factory=list)
    _sequence: int = 0
    sending: bool = True

    def on_agent_audio(self, item_id: str, payload: str) -> None:
        self.heard.append((item_id, payload))
        self._news.set()

    def on_agent_event(self, event: ev.Event) -> None:
        self.heard.append(event)
        self.times.append((asyncio.get_running_loop().time(), event))
        self._news.set()

    @property
    def record(self) -> CallRecord:
        """The latest call at Vapi."""
        return list(self.vapi.calls.values())[-1]

    @property
    def events(self) -> list[ev.Event]:
        return [each for each in self.heard if not isinstance(each, tuple)]

    def of(self, *kinds: type) -> list[Any]:
        return [each for each in self.events if isinstance(each, kinds)]

    def audio(self, item_id: str | None = None) -> bytes:
        """What the caller was sent."""
        return b"".join(
            base64.b64decode(each[1])
            for each in self.heard
            if isinstance(each, tuple) and item_id in (None, each[0])
        )

    def words(self) -> list[str]:
        """The last text of each item."""
        texts: dict[str, str] = {}
        for each in self.of(ev.AgentText):
            texts[each.item_id] = each.text
        return list(texts.values())

    def speak(self, clip_id: str) -> None:
        """The caller says this, from the next frame on."""
        audio = clip(clip_id)
        self._frames += [audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES)]

    async def talk(self) -> None:
        """Twilio's side: a frame each 20 ms, quiet ones too."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if self.sending:
                self.frame()
            due += 0.02
            await asyncio.sleep(max(0.0, due - loop.time()))

    def frame(self) -> None:
        if self._frames:
            audio = stamp(self._frames.pop(0), TAG, self._sequence)
        else:
            audio = quiet(TAG, self._sequence)
        self._sequence += 1
        self.leg.hear(base64.b64encode(audio).decode())

    async def until(self, condition: Callable[[], object], seconds: float = 5) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await self._news.wait()

    async def hears(self, kind: type, count: int = 1, seconds: float = 5) -> Any:
        """The n-th event of this kind."""
        await self.until(lambda: len(self.of(kind)) >= count, seconds)
        return self.of(kind)[count - 1]


def spec(assistant_id: str | None, **changes: Any) -> AgentSpec:
    values: dict[str, Any] = {
        "instructions": "Tu es Sara, du Garage du Port.",
        "functions": (),
        "model": "",
        "voice": "",
        "language": "fr",
        "api_key": "",
        "call": FACTS,
        "assistant_id": assistant_id,
    }
    return AgentSpec(**{**values, **changes})


@dataclass
class Vendor:
    """A running emulator, and our connector to it. For one test after the other: see `fresh`."""

    vapi: VapiEmulator
    account: VapiAccount
    connector: VapiConnector
    remembered: list[tuple[CallFacts, str]] = field(default_factory=list)
    rules: Sequence[Mapping[str, Any]] = ()

    def fresh(self, faults: VapiFaults | None = None) -> "Vendor":
        """As if it had just begun."""
        self.vapi.faults = faults or VapiFaults()
        self.vapi.transport_url = ""
        self.vapi.requests.clear()
        self.vapi.calls.clear()
        self.remembered.clear()
        self.rules = ()
        return self


@contextlib.asynccontextmanager
async def vendor() -> AsyncIterator[Vendor]:
    """Runs while the block does."""
    it: Vendor

    async def remember(facts: CallFacts, call_id: str) -> bool:
        it.remembered.append((facts, call_id))
        return True

    async with (
        VapiEmulator(KEY, lambda _tag: Brain(it.rules), latency_ms=50) as vapi,
        VapiAccount(vapi.url, KEY) as account,
        asyncio.TaskGroup() as tasks,
    ):

        def spawn(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
            tasks.create_task(work(), name=name)

        connector = VapiConnector(account, SystemClock(), spawn, remember)
        it = Vendor(vapi, account, connector)
        yield it


def assistant(vapi: VapiEmulator, **changes: Any) -> str:
    """Store one; its id."""
    body = {
        "name": "t_42",
        "firstMessage": GREETING,
        "model": {"provider": "openai", "model": "gpt-5.4-mini"},
        "serverMessages": [],
        **changes,
    }
    assistant_id = f"00000000-0000-4000-8000-{len(vapi.assistants):012d}"
    moment = "2026-11-22T20:00:00.000Z"
    vapi.assistants[assistant_id] = {**body, "id": assistant_id, "createdAt": moment}
    return assistant_id


@contextlib.asynccontextmanager
async def line(
    vendor: Vendor,
    *,
    stored: Mapping[str, Any] | None = None,
    talks: bool = True,
    **changes: Any,
) -> AsyncIterator[Line]:
    """A joined call with its caller on the line."""
    assistant_id = assistant(vendor.vapi, **(stored or {}))
    leg = await vendor.connector.connect(spec(assistant_id, **changes))
    it = Line(vendor.vapi, leg)
    async with asyncio.TaskGroup() as tasks:
        talking = tasks.create_task(it.talk()) if talks else None
        leg.listen(it)
        try:
            yield it
        finally:
            if talking is not None:
                talking.cancel()
            await leg.close()


def ear(expected: str, audio: bytes) -> Ear:
    """An ear that has heard all this audio, and knows the sentence to expect."""
    listening = Ear()
    listening.expect(expected, render(expected))
    whole = len(audio) - len(audio) % FRAME_BYTES
    for at in range(0, whole, FRAME_BYTES):
        listening.feed(audio[at : at + FRAME_BYTES])
    return listening
