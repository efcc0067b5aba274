"""Asks vendors whose breakers are open how they are, so that no caller pays for finding out."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from domain.breaker import Breakers
from domain.errors import ProviderError
from voice.agents import RUNG_SECONDS
from voice.events import AgentGone, Event
from voice.ports import AgentConnector, AgentSpec

log = structlog.get_logger(__name__)

#: How often we look whether a vendor that was left alone may be asked, seconds …
EVERY_SECONDS: Final = 1.0
#: … and when a probe that has no limits of its own is given up.
LONGEST_SECONDS: Final = 10.0
#: A call waits so long for a first sound (`voice.call_rules.Rules.agent_within`).
FIRST_SOUND_SECONDS: Final = 4.0

#: Asks a vendor for a sign, at our own expense, as a call would and within a call's limits. Raises
#: ProviderError, or TimeoutError.
Probe = Callable[[], Awaitable[None]]


class Probes:
    """`probes`: by the breaker's key. A tenant's own key is tried by that tenant's calls alone."""

    def __init__(self, breakers: Breakers, probes: Mapping[str, Probe]) -> None:
        self._breakers = breakers
        self._probes = probes
        for key in probes:
            breakers.leave_to_probes(key)

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            await self.once()

    async def once(self) -> None:
        """Each vendor whose pause is over, once, all at the same time."""
        async with asyncio.TaskGroup() as tasks:
            for key in list(self._breakers.open_keys()):
                if key in self._probes and self._breakers.begin_try(key):
                    tasks.create_task(self._ask(key))

    async def _ask(self, key: str) -> None:
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await self._probes[key]()
        except (ProviderError, TimeoutError):
            self._breakers.failed(key)
        else:
            self._breakers.answered(key)
            log.info("agent.well_again", vendor=key.partition(":")[0])


async def speaks(connector: AgentConnector, spec: AgentSpec) -> None:
    """A `Probe`: a leg as a call opens it, and a word from it: who accepts connections and never
    speaks isn't well."""
    async with asyncio.timeout(RUNG_SECONDS):
        leg = await connector.connect(spec)
    try:
        ear = _Ear()
        leg.listen(ear)
        leg.say("Bonjour.")
        async with asyncio.timeout(FIRST_SOUND_SECONDS):
            await ear.settled.wait()
    finally:
        await leg.close()
    if ear.gone is not None:
        raise ProviderError("probe", ear.gone, retryable=True, code="gone")


class _Ear:
    """Waits for a sound."""

    def __init__(self) -> None:
        self.settled = asyncio.Event()
        self.gone: str | None = None

    def on_agent_audio(self, item_id: str, payload: str) -> None:
        self.settled.set()

    def on_agent_event(self, event: Event) -> None:
        if isinstance(event, AgentGone) and not self.settled.is_set():
            self.gone = event.reason
            self.settled.set()
