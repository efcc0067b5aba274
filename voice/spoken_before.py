"""Sentences of our own (greetings, fillers, goodbyes) are synthesised once and kept."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Final

from domain.speech import TextToSpeech

#: PCM that is kept, bytes: some five minutes at 24 kHz, the sentences of a hundred tenants.
MAX_BYTES: Final = 16 * 1024 * 1024
#: Bytes of one piece of what was kept: 85 ms at 24 kHz; the event loop has its turn between them.
_PIECE: Final = 4096


class SpokenBefore:
    """A TextToSpeech in front of another one. Only for sentences that come again and that hold
    nothing of a caller's: what is least recently used goes."""

    def __init__(self, speech: TextToSpeech, max_bytes: int = MAX_BYTES) -> None:
        self._speech = speech
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._size = 0

    @property
    def name(self) -> str:
        return self._speech.name

    @property
    def rate(self) -> int:
        return self._speech.rate

    async def speak(self, text: str, voice: str) -> AsyncGenerator[bytes, None]:
        """See `TextToSpeech.speak`. Kept once it has been spoken to its end."""
        known = self._kept.get((text, voice))
        if known is not None:
            self._kept.move_to_end((text, voice))
            for at in range(0, len(known), _PIECE):
                yield known[at : at + _PIECE]
                await asyncio.sleep(0)
            return
        sound = bytearray()
        async with contextlib.aclosing(self._speech.speak(text, voice)) as pieces:
            async for piece in pieces:
                sound += piece
                yield piece
        self._keep((text, voice), bytes(sound))

    def _keep(self, key: tuple[str, str], sound: bytes) -> None:
        if not sound or len(sound) > self._max_bytes // 4 or key in self._kept:
            return
        self._kept[key] = sound
        self._size += len(sound)
        while self._size > self._max_bytes:
            self._size -= len(self._kept.popitem(last=False)[1])
