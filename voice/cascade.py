"""Opens the cascade's legs (`voice.cascade_leg`), and asks its three models for a sign."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from domain.errors import ProviderError
from domain.language_model import LanguageModel, ModelDone
from domain.speech import SpeechToText
from voice.audio import RATE
from voice.cascade_leg import STT_SECONDS, Work
from voice.cascade_leg import CascadeLeg as CascadeLeg
from voice.cascade_leg import CascadeModels as CascadeModels
from voice.cascade_memory import Memory
from voice.cascade_reply import FIRST_SOUND_SECONDS, Voice
from voice.ports import AgentSpec

#: Until a cascade that failed is trusted without a try, and how long a try may take while a caller
#: waits for it, seconds.
_SUSPECT_SECONDS: Final = 60.0
_AT_ONCE_SECONDS: Final = 1.2


class CascadeConnector:
    """Opens legs; an AgentConnector. `tasks` outlives them all; `are_well`: nothing is known
    against the models, whoever asked them last."""

    def __init__(
        self,
        models: CascadeModels,
        tasks: asyncio.TaskGroup,
        are_well: Callable[[], bool] = lambda: True,
    ) -> None:
        self._models = models
        self._tasks = tasks
        self._are_well = are_well
        self._failed_at: float | None = None

    async def connect(self, spec: AgentSpec) -> "CascadeLeg":
        """A leg. There is no connection to open; but when one of the three has failed within the
        last minute, all must answer first. Raises ProviderError."""
        if self._in_doubt() or not self._are_well():
            try:
                async with asyncio.timeout(_AT_ONCE_SECONDS):
                    await self.probe(spec)
            except TimeoutError as error:
                raise _no_sign() from error
        leg = CascadeLeg(spec, self._models, self._suspect)
        self._tasks.create_task(leg.run(), name="cascade")
        runs = False
        try:
            await leg.running.wait()
            runs = True
        finally:
            if not runs:
                await leg.close()
        return leg

    def _suspect(self) -> None:
        self._failed_at = asyncio.get_running_loop().time()

    def _in_doubt(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._failed_at is not None and now - self._failed_at < _SUSPECT_SECONDS

    async def probe(self, spec: AgentSpec) -> None:
        """Each of the three must give a sign, within a call's limits; then there is no doubt any
        more. Raises ProviderError."""
        models = self._models
        await _all(
            (
                partial(hears, models.stt, spec),
                partial(thinks, models.llm, spec),
                partial(speaks, models.voice(spec.gender)),
            )
        )
        self._failed_at = None


async def hears(stt: SpeechToText, spec: AgentSpec) -> None:
    """Half a second of silence is understood in time. Raises ProviderError."""
    try:
        async with asyncio.timeout(STT_SECONDS):
            await stt.transcribe(bytes(RATE), RATE, spec.language)
    except TimeoutError as error:
        raise _no_sign() from error


async def thinks(llm: LanguageModel, spec: AgentSpec) -> None:
    """A greeting is answered, by a model that takes the functions of `spec`. Raises ProviderError;
    how long the first word may take is the model's own limit (`domain.language_model`)."""
    asked = Memory(spec).messages("Bonjour.")
    async with contextlib.aclosing(llm.answer(asked, spec.functions)) as answer:
        async for piece in answer:
            if not isinstance(piece, ModelDone):
                return
    raise ProviderError("llm", "an empty answer", retryable=True, code="empty")


async def speaks(voice: Voice) -> None:
    """A word begins to sound in time. Raises ProviderError."""
    async with contextlib.aclosing(voice.speech.speak("Bonjour.", voice.name)) as sound:
        try:
            async with asyncio.timeout(FIRST_SOUND_SECONDS):
                first = await anext(sound, None)
        except TimeoutError as error:
            raise _no_sign() from error
    if not first:
        raise _no_sign()


def _no_sign() -> ProviderError:
    return ProviderError("cascade", "no sign in time", retryable=True, code="probe")


async def _all(probes: Sequence[Work]) -> None:
    """At the same time. Raises the first one's ProviderError."""
    failures: list[ProviderError] = []
    try:
        async with asyncio.TaskGroup() as tasks:
            for probe in probes:
                tasks.create_task(probe())
    except* ProviderError as group:
        failures = [each for each in group.exceptions if isinstance(each, ProviderError)]
    if failures:
        raise failures[0]
