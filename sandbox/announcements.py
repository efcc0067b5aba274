"""What the carrier itself lets a leg hear: spoken sentences and played files."""

import asyncio
import wave
from collections.abc import Callable
from io import BytesIO

from sandbox.leg import Leg
from sandbox.twiml import TwimlError

FRAME_BYTES = 160
#: `<Say loop="0">` means a thousand times.
ENDLESS = 1000

Render = Callable[[str], bytes]
#: Half a second of 1 kHz, before a recording: eight samples a period, µ-law.
BEEP = bytes((0xFF, 0x97, 0x90, 0x97, 0xFF, 0x17, 0x10, 0x17)) * 500
#: µ-law of the 16-bit sample 0, for files whose sound isn't transcoded but timed.
_SILENCE = b"\xff"


class _Audio:
    """A leg's source: plays µ-law to its end, once."""

    def __init__(self, audio: bytes) -> None:
        self._audio = audio
        self._at = 0
        self.over = asyncio.Event()

    def pull(self, at: float) -> bytes | None:
        """The next frame."""
        frame = self._audio[self._at : self._at + FRAME_BYTES]
        self._at += FRAME_BYTES
        if not frame:
            self.over.set()
            return None
        return frame.ljust(FRAME_BYTES, _SILENCE)


class Announcer:
    """Speaks for the carrier; `render` makes µ-law of a text."""

    def __init__(self, render: Render) -> None:
        self._render = render

    async def say(self, leg: Leg, text: str, *, times: int = 1) -> None:
        """Until it has been heard; cancelled, it falls silent."""
        audio = self._render(text)
        leg.party.expect(f"say:{text}", text, audio)
        leg.log.emit("carrier_says", text=text)
        for _ in range(times or ENDLESS):
            await self.play(leg, audio)

    async def beep(self, leg: Leg) -> None:
        """The tone before a recording."""
        leg.party.expect("say:beep", "(beep)", BEEP)
        await self.play(leg, BEEP)

    async def play(self, leg: Leg, audio: bytes) -> None:
        """Until it has been heard."""
        source = _Audio(audio)
        leg.source = source
        try:
            await source.over.wait()
        finally:
            if leg.source is source:
                leg.source = None

    @staticmethod
    def decode(body: bytes, content_type: str) -> bytes:
        """A file as µ-law: headerless µ-law as it is; of a WAV its length, as silence.

        Raises TwimlError 12300 for anything else.
        """
        kind = content_type.partition(";")[0].strip().lower()
        if kind in ("audio/basic", "audio/ulaw", "audio/x-mulaw"):
            return body
        if kind not in ("audio/wav", "audio/wave", "audio/x-wav"):
            raise TwimlError(12300, f"<Play>: content type {content_type!r} is not emulated")
        try:
            with wave.open(BytesIO(body)) as file:
                seconds: float = file.getnframes() / file.getframerate()
        except (wave.Error, EOFError) as error:
            raise TwimlError(13325, f"<Play>: not a WAV file: {error}") from error
        return _SILENCE * round(seconds * 8000)
