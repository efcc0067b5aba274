"""The cascade's three links as a test scripts them, and a listener that takes notes."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import ProviderError
from domain.language_model import (
    FunctionRequest,
    FunctionSpec,
    ModelDone,
    ModelMessage,
    ModelPiece,
    TextPiece,
)
from sandbox.clips.make import mulaw
from voice import events as ev
from voice.cascade import CascadeLeg
from voice.ports import AgentSpec

CLIPS = Path(__file__).parent.parent.parent / "sandbox" / "clips"
SPEC = AgentSpec("Tu es Sara.", (), "", "", "fr", "")
FAILURE = ProviderError("vendor", "down", retryable=True, code="down")
QUIET = bytes(mulaw((at * 7919) % 31 - 15) for at in range(160))


def clip(name: str) -> bytes:
    """Somebody's words: a file of the recorded turns, else of the callers' clips."""
    for folder in (CLIPS / "hesitations", CLIPS / "caller"):
        if (folder / f"{name}.ulaw").exists():
            return (folder / f"{name}.ulaw").read_bytes()
    raise FileNotFoundError(name)


@dataclass
class Hearing:
    """A SpeechToText: each entry is a transcript, or an error, or seconds to be silent for."""

    script: list[str | ProviderError | float] = field(default_factory=list)
    latency: float = 0.02
    name: str = "fake-stt"
    asked: list[float] = field(default_factory=list)  # seconds of audio

    async def transcribe(self, pcm: bytes, rate: int, language: str, hint: str = "") -> str:
        self.asked.append(len(pcm) / 2 / rate)
        await asyncio.sleep(self.latency)
        what = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(what, ProviderError):
            raise what
        if isinstance(what, float):
            await asyncio.sleep(what)
            return ""
        return what


@dataclass
class Thinking:
    """A LanguageModel: per answer its text, requests, or an error."""

    script: list[str | list[FunctionRequest] | ProviderError] = field(default_factory=list)
    pace: float = 0.001
    name: str = "fake-llm"
    asked: list[list[ModelMessage]] = field(default_factory=list)
    stopped: int = 0

    async def answer(
        self, messages: Sequence[ModelMessage], functions: Sequence[FunctionSpec] = ()
    ) -> AsyncGenerator[ModelPiece, None]:
        self.asked.append(list(messages))
        what = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(what, ProviderError):
            raise what
        try:
            if isinstance(what, str):
                for word in what.split(" "):
                    await asyncio.sleep(self.pace)
                    yield TextPiece(word + " ")
            else:
                for request in what:
                    yield request
            yield ModelDone("stop", {"total_tokens": 7})
        except (GeneratorExit, asyncio.CancelledError):
            self.stopped += 1
            raise


@dataclass
class Speaking:
    """A TextToSpeech: a tone of 50 ms a character, at once; fails as often as `failures` says, and
    always at a certain letter."""

    failures: int = 0
    latency: float = 0.01
    ms: int = 50
    rate: int = 24_000
    breaks_at: str = ""
    name: str = "fake-tts"
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def speak(self, text: str, voice: str) -> AsyncGenerator[bytes, None]:
        self.asked.append((text, voice))
        await asyncio.sleep(self.latency)
        if self.failures:
            self.failures -= 1
            raise FAILURE
        for letter in text:
            if letter == self.breaks_at:
                raise FAILURE
            yield b"\x00\x10\x00\xf0" * (self.rate * self.ms // 2000)


@dataclass
class Ear:
    """An AgentListener that plays in real time and does, like the bridge, what the heart would do
    about an interruption."""

    leg: CascadeLeg | None = None
    events: list[ev.Event] = field(default_factory=list)
    sound: list[tuple[str, int, float]] = field(default_factory=list)  # item, ms, when
    cleared: list[float] = field(default_factory=list)

    def on_agent_audio(self, item_id: str, payload: str) -> None:
        now = asyncio.get_running_loop().time()
        self.sound.append((item_id, len(b64decode(payload)) // 8, now))

    def on_agent_event(self, event: ev.Event) -> None:
        self.events.append(event)
        if isinstance(event, ev.CallerSpeechStarted):
            self.clear()

    def clear(self, *, cancel: bool = False) -> None:
        assert self.leg is not None
        now = asyncio.get_running_loop().time()
        self.cleared.append(now)
        self.leg.interrupt(
            [each for each in self._playing(now) if each[1] < each[2]], cancel=cancel
        )
        self.sound.clear()

    def _playing(self, now: float) -> list[tuple[str, float, float]]:
        heard: dict[str, list[float]] = {}
        ends = 0.0
        for item, ms, at in self.sound:
            begins = max(ends, at)
            ends = begins + ms / 1000
            share = heard.setdefault(item, [0.0, 0.0])
            share[0] += min(max(now - begins, 0.0) * 1000, ms)
            share[1] += ms
        return [(item, share[0], share[1]) for item, share in heard.items()]

    def of(self, kind: type) -> list:  # type: ignore[type-arg]
        return [each for each in self.events if isinstance(each, kind)]

    @property
    def text(self) -> str:
        return "".join(each.text for each in self.of(ev.AgentText)).strip()

    async def until(self, done: Callable[[], object], seconds: float = 4.0) -> None:
        async with asyncio.timeout(seconds):
            while not done():
                await asyncio.sleep(0.005)

    async def until_done(self, count: int = 1) -> None:
        await self.until(lambda: len(self.of(ev.ResponseDone)) >= count)


def hear(leg: CascadeLeg, sound: bytes, quiet_ms: int = 0) -> None:
    """Faster than life: audio time is counted in frames."""
    whole = sound + QUIET * (quiet_ms // 20)
    for at in range(0, len(whole), 160):
        leg.hear(b64encode(whole[at : at + 160]).decode())


async def hear_live(leg: CascadeLeg, sound: bytes, quiet_ms: int = 0) -> None:
    """A frame every 20 ms."""
    loop = asyncio.get_running_loop()
    whole = sound + QUIET * (quiet_ms // 20)
    began = loop.time()
    for number, at in enumerate(range(0, len(whole), 160)):
        await asyncio.sleep(max(0.0, began + number * 0.02 - loop.time()))
        leg.hear(b64encode(whole[at : at + 160]).decode())


def request(name: str, number: int = 1, **arguments: str) -> FunctionRequest:
    return FunctionRequest(f"call_{number}", name, json.dumps(arguments))
