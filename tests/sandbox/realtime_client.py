"""A bare Realtime client for the emulator's tests: it knows the socket and nothing of the rules."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from sandbox.openai_realtime import RealtimeEmulator
from sandbox.speech import FRAME_BYTES, clip, quiet, stamp

KEY = "sk-test"
MODEL = "gpt-realtime-2.1"
PCMU = {"type": "audio/pcmu"}
CHECK_AVAILABILITY = {
    "type": "function",
    "name": "check_availability",
    "description": "Free slots",
    "parameters": {"type": "object", "properties": {"date": {"type": "string"}}},
}
Event = dict[str, Any]


def session(**more: Any) -> Event:
    """A session.update for telephony. `more` replaces fields of the session."""
    detection = more.pop("turn_detection", {"type": "server_vad"})
    audio = {
        "input": {
            "format": PCMU,
            "transcription": {"model": "gpt-transcribe", "language": "fr"},
            "turn_detection": detection,
        },
        "output": {"format": PCMU, "voice": "marin"},
    }
    body = {"type": "realtime", "audio": audio, "tools": [CHECK_AVAILABILITY]}
    return {"type": "session.update", "session": {**body, **more}}


class Client:
    """One connection. `seen`: every event so far; `caller`: the tag of the call it passes on."""

    def __init__(self, connection: ClientConnection, caller: int) -> None:
        self.connection = connection
        self.seen: list[Event] = []
        self.caller = caller
        self._sent_frames = 0

    async def send(self, kind: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> Event:
        async with asyncio.timeout(5):
            event: Event = json.loads(await self.connection.recv())
        self.seen.append(event)
        return event

    async def until(self, kind: str, when: Callable[[Event], bool] = lambda _: True) -> Event:
        """Read on to the next event of this type."""
        while True:
            event = await self.next()
            if event["type"] == kind and when(event):
                return event

    async def error(self) -> Event:
        """The next error's content."""
        error: Event = (await self.until("error"))["error"]
        return error

    async def configure(self, **more: Any) -> Event:
        update = session(**more)
        await self.send(update["type"], session=update["session"])
        event: Event = (await self.until("session.updated"))["session"]
        return event

    async def hear(self, *sounds: str | int) -> None:
        """Pass on clips (by id) and pauses (in frames) of the caller's, as fast as it goes."""
        for sound in sounds:
            if isinstance(sound, int):
                audio = quiet(self.caller, self._sent_frames, sound)
            else:
                audio = stamp(clip(sound), self.caller, self._sent_frames)
            self._sent_frames += len(audio) // FRAME_BYTES
            for at in range(0, len(audio), FRAME_BYTES):
                frame = b64encode(audio[at : at + FRAME_BYTES]).decode("ascii")
                await self.send("input_audio_buffer.append", audio=frame)

    async def say(self, text: str) -> None:
        await self.send("response.create", response={"instructions": f"Dis exactement: «{text}»"})

    def kinds(self, prefix: str = "") -> list[str]:
        """Types of the events so far, repetitions left out."""
        kinds: list[str] = []
        for event in self.seen:
            if event["type"].startswith(prefix) and kinds[-1:] != [event["type"]]:
                kinds.append(event["type"])
        return kinds

    def audio(self) -> bytes:
        """All the model's sound so far."""
        return b"".join(
            b64decode(event["delta"])
            for event in self.seen
            if event["type"] == "response.output_audio.delta"
        )


def address(emulator: RealtimeEmulator, query: str = f"?model={MODEL}") -> str:
    return emulator.url.replace("http:", "ws:") + "/realtime" + query


@asynccontextmanager
async def dialled(emulator: RealtimeEmulator, caller: int = 7) -> AsyncIterator[Client]:
    """A connection whose session has been created."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with connect(address(emulator), additional_headers=headers) as connection:
        client = Client(connection, caller)
        await client.until("session.created")
        yield client
