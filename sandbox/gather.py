"""`<Gather>` and `<Record>`: what a leg's party says or presses while a document waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sandbox.announcements import Announcer
from sandbox.leg import Input, Key, Leg, SpeechBegan, SpeechEnded
from sandbox.recording import LineRecording
from sandbox.twiml import Verb

#: With speechTimeout="auto" Twilio stops at the first pause.
AUTO_PAUSE_SECONDS = 0.6
CONFIDENCE = "0.91"
DEFAULT_TIMEOUT_SECONDS = 5.0

#: Gets a `<Play>`'s µ-law.
Media = Callable[[Verb], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Taped:
    """A recording: a WAV file, its length, and the key that ended it ("hangup" is never told)."""

    audio: bytes
    seconds: float
    ended_by: str


async def gather(leg: Leg, verb: Verb, announcer: Announcer, media: Media) -> dict[str, str] | None:
    """What was said or pressed, as the action's fields; None when nothing was.

    Prompts are interrupted by the first input (bargeIn), the timeout counts from their end.
    """
    kinds = frozenset(verb.get("input", "dtmf").split())
    inputs = leg.listen()
    try:
        first = await _during_prompts(leg, verb, announcer, media, _Wanted(inputs, kinds))
        wanted = _Wanted(inputs, kinds)
        if first is None:
            first = await wanted.next(verb.seconds("timeout", DEFAULT_TIMEOUT_SECONDS))
        if first is None:
            return None
        if isinstance(first, Key):
            return await _digits(first, verb, wanted)
        return await _speech(first, verb, wanted)
    finally:
        leg.stop_listening()


class _Wanted:
    """The inputs that a `<Gather>` asked for."""

    def __init__(self, inputs: "asyncio.Queue[Input]", kinds: frozenset[str]) -> None:
        self._inputs = inputs
        self._kinds = kinds

    async def next(self, seconds: float) -> Input | None:
        """The next one, or None when nothing comes in time."""
        try:
            async with asyncio.timeout(seconds):
                return await self.any()
        except TimeoutError:
            return None

    async def any(self) -> Input:
        """The next one, whenever."""
        while True:
            happened = await self._inputs.get()
            if ("dtmf" if isinstance(happened, Key) else "speech") in self._kinds:
                return happened


async def _during_prompts(
    leg: Leg, verb: Verb, announcer: Announcer, media: Media, wanted: _Wanted
) -> Input | None:
    if not verb.children:
        return None

    async def prompts() -> None:
        for child in verb.children:
            if child.name == "Say":
                await announcer.say(leg, child.text, times=int(child.seconds("loop", 1)))
            elif child.name == "Play":
                await announcer.play(leg, await media(child))
            else:
                await asyncio.sleep(child.seconds("length", 1))

    if not verb.flag("bargeIn", True):
        await prompts()
        return None
    async with asyncio.TaskGroup() as tasks:
        speaking = tasks.create_task(prompts())
        listening = tasks.create_task(wanted.any())
        speaking.add_done_callback(lambda _: listening.cancel())
        listening.add_done_callback(lambda _: speaking.cancel())
    return None if listening.cancelled() else listening.result()


async def _digits(first: Key, verb: Verb, wanted: _Wanted) -> dict[str, str] | None:
    finish = verb.get("finishOnKey", "#")
    limit = int(verb.seconds("numDigits", 0))
    pause = verb.seconds("timeout", DEFAULT_TIMEOUT_SECONDS)
    digits = ""
    key: Input | None = first
    while isinstance(key, Key) and not (finish and key.digit in finish):
        digits += key.digit
        if limit and len(digits) >= limit:
            break
        key = await wanted.next(pause)
    return {"Digits": digits} if digits else None


async def _speech(first: Input, verb: Verb, wanted: _Wanted) -> dict[str, str] | None:
    longest = verb.seconds("maxSpeechTime", 60)
    default = (
        AUTO_PAUSE_SECONDS
        if verb.get("speechTimeout", "auto") == "auto"
        else DEFAULT_TIMEOUT_SECONDS
    )
    pause = verb.seconds("speechTimeout", default)
    said: list[str] = []
    happened: Input | None = first
    while happened is not None:
        if isinstance(happened, Key):
            return await _digits(happened, verb, wanted)
        if isinstance(happened, SpeechEnded):
            said.append(happened.text)
        happened = await wanted.next(longest if isinstance(happened, SpeechBegan) else pause)
    text = " ".join(said)
    return {"SpeechResult": text, "Confidence": CONFIDENCE} if text else None


async def record(leg: Leg, verb: Verb) -> Taped | None:
    """Tape the party until they pause, press a key or the time is over; None when they only
    kept silent."""
    finish = verb.get("finishOnKey", "1234567890*#")
    pause = verb.seconds("timeout", DEFAULT_TIMEOUT_SECONDS)
    inputs = leg.listen()
    leg.tape = tape = LineRecording()
    spoken, key = False, ""
    try:
        async with asyncio.timeout(verb.seconds("maxLength", 3600)):
            talking = False
            while True:
                try:
                    async with asyncio.timeout(None if talking else pause):
                        happened = await inputs.get()
                except TimeoutError:
                    break
                if isinstance(happened, Key):
                    if happened.digit in finish:
                        key = happened.digit
                        break
                    continue
                spoken, talking = True, isinstance(happened, SpeechBegan)
    except TimeoutError:
        pass  # maxLength
    finally:
        leg.stop_listening()
        leg.tape = None
    return Taped(tape.caller_only(), tape.seconds, key) if spoken else None
