"""`<Gather>` and `<Record>`: what a leg's party says or presses while a document waits for it."""

import asyncio
from collections.abc import Awaitable, Callable

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


class Taping:
    """A `<Record>` of one leg: what it has taped so far, also when the caller hangs up in the
    middle of it."""

    def __init__(self, leg: Leg, verb: Verb) -> None:
        self._leg = leg
        self._verb = verb
        self._tape = LineRecording()
        self._spoken = False
        self._key = ""

    @property
    def is_empty(self) -> bool:
        """The party only kept silent."""
        return not self._spoken

    @property
    def audio(self) -> bytes:
        """A mono WAV file."""
        return self._tape.caller_only()

    @property
    def seconds(self) -> int:
        """Whole seconds, as Twilio tells them."""
        return round(self._tape.seconds)

    @property
    def ended_by(self) -> str:
        """`Digits` of the action: the key that ended it, or "hangup"."""
        return "hangup" if self._leg.record.over else self._key

    async def run(self) -> None:
        """Until they pause, press a key, or the time is over."""
        finish = self._verb.get("finishOnKey", "1234567890*#")
        pause = self._verb.seconds("timeout", DEFAULT_TIMEOUT_SECONDS)
        inputs = self._leg.listen()
        self._leg.tape = self._tape
        try:
            async with asyncio.timeout(self._verb.seconds("maxLength", 3600)):
                await self._until_the_end(inputs, finish, pause)
        except TimeoutError:
            pass  # maxLength
        finally:
            self._leg.stop_listening()
            self._leg.tape = None

    async def _until_the_end(
        self, inputs: "asyncio.Queue[Input]", finish: str, pause: float
    ) -> None:
        talking = False
        while True:
            try:
                async with asyncio.timeout(None if talking else pause):
                    happened = await inputs.get()
            except TimeoutError:
                return
            if not isinstance(happened, Key):
                self._spoken, talking = True, isinstance(happened, SpeechBegan)
            elif happened.digit in finish:
                self._key = happened.digit
                return


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
