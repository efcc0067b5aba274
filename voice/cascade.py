"""Opens the cascade's legs (`voice.cascade_leg`)."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

from domain.errors import ProviderError
from voice.audio import RATE
from voice.cascade_leg import CascadeLeg as CascadeLeg
from voice.cascade_leg import CascadeModels as CascadeModels
from voice.cascade_leg import Work
from voice.cascade_memory import Memory
from voice.ports import AgentSpec

#: Until a cascade that failed is trusted without a try, and how long a try may take, seconds.
_SUSPECT_SECONDS: Final = 60.0
_PROBE_SECONDS: Final = 1.2


class CascadeConnector:
    """Opens legs; an AgentConnector. `tasks` outlives them all."""

    def __init__(self, models: CascadeModels, tasks: asyncio.TaskGroup) -> None:
        self._models = models
        self._tasks = tasks
        self._failed_at: float | None = None

    async def connect(self, spec: AgentSpec) -> "CascadeLeg":
        """A leg. There is no connection to open; but one of the three that failed within the last
        minute must answer first. Raises ProviderError."""
        now = asyncio.get_running_loop().time()
        if self._failed_at is not None and now - self._failed_at < _SUSPECT_SECONDS:
            await self.probe(spec)
        self._failed_at = None
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

    async def probe(self, spec: AgentSpec) -> None:
        """Each of the three must give a sign. Raises ProviderError."""
        voice = self._models.voice(spec.gender)

        async def speaks() -> None:
            async with contextlib.aclosing(voice.speech.speak("Bonjour.", voice.name)) as sound:
                await anext(sound, None)

        async def answers() -> None:
            asked = Memory(spec).messages("Bonjour.")
            async with contextlib.aclosing(self._models.llm.answer(asked)) as answer:
                await anext(answer, None)

        async def hears() -> None:
            await self._models.stt.transcribe(bytes(RATE), RATE, spec.language)

        probes = (speaks, answers, hears)
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await _all(probes)
        except TimeoutError as error:
            raise ProviderError(
                "cascade", "no sign in time", retryable=True, code="probe"
            ) from error


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
