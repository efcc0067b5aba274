"""Connects the agent of a call: the first of the ladder's rungs that is there, allowed and well."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from domain.breaker import Breakers, State
from domain.errors import ProviderError
from voice.ladder import Rung, speaking
from voice.ports import AgentConnector, AgentLeg, AgentSpec, CallMetrics

log = structlog.get_logger(__name__)

#: How long one rung may take, seconds (the issue's rule).
RUNG_SECONDS = 1.5
#: How often we look whether a vendor that was left alone may be asked how it is …
PROBE_EVERY_SECONDS = 1.0
#: … and how long it may take to answer: more than a caller would wait.
PROBE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Speaker:
    """A rung that speaks. `usable`: configured, and allowed for this call; `account`: whose limits
    and keys it uses, so that one tenant's empty account isn't everybody's ("" is ours); `probe`:
    asks the vendor for a sign, at our own expense, and raises ProviderError."""

    connector: AgentConnector
    usable: Callable[[AgentSpec], bool]
    account: Callable[[AgentSpec], str]
    probe: Callable[[], Awaitable[None]] | None = None


class Agents:
    """The speaking rungs of this node."""

    def __init__(
        self, speakers: Mapping[Rung, Speaker], breakers: Breakers, metrics: CallMetrics
    ) -> None:
        self._speakers = speakers
        self._breakers = breakers
        self._metrics = metrics

    def available(self, spec: AgentSpec, rungs: Sequence[Rung]) -> list[Rung]:
        """Those that could be tried now, in order."""
        return [rung for rung in speaking(rungs) if self._is_available(rung, spec)]

    async def connect(
        self, spec: AgentSpec, rungs: Sequence[Rung], lost: Sequence[str] = ()
    ) -> AgentLeg:
        """A leg that is ready for audio. `lost`: rungs that this call has had. ProviderError
        `no_agent` when none of them takes the call."""
        left = [rung for rung in speaking(rungs, lost) if self._is_available(rung, spec)]
        while left:
            rung = left.pop(0)
            leg = await self._try(rung, spec)
            if leg is not None:
                return leg
        raise ProviderError("ladder", "no agent can speak", retryable=True, code="no_agent")

    async def probe(self) -> None:
        """Ask, for ever, the vendors whose breakers are open: no caller pays for finding out that
        one is well again. But a tenant's own key is tried by that tenant's calls alone."""
        while True:
            await asyncio.sleep(PROBE_EVERY_SECONDS)
            await self.probe_once()

    async def probe_once(self) -> None:
        """Each vendor whose pause is over, once."""
        for key in list(self._breakers.open_keys()):
            name, _, account = key.partition(":")
            rung = rung_of(key)
            speaker = self._speakers.get(rung) if rung is not None and not account else None
            probe = speaker.probe if speaker is not None else None
            if probe is None or self._breakers.state(key) is not State.HALF_OPEN:
                continue
            self._breakers.attempt(key)
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await probe()
            except (ProviderError, TimeoutError):
                self._breakers.failed(key)
            else:
                self._breakers.succeeded(key)
                log.info("agent.well_again", rung=name)

    def lost(self, name: str, spec: AgentSpec) -> None:
        """A leg that was connected has died, hung or fallen silent."""
        rung = rung_of(name)
        if rung is not None and rung in self._speakers:
            self._breakers.failed(self._key(rung, spec))

    def _is_available(self, rung: Rung, spec: AgentSpec) -> bool:
        speaker = self._speakers.get(rung)
        if speaker is None or not speaker.usable(spec):
            return False
        key = self._key(rung, spec)
        if speaker.probe is not None and not speaker.account(spec):
            return self._breakers.state(key) is State.CLOSED
        return self._breakers.allows(key)

    def _key(self, rung: Rung, spec: AgentSpec) -> str:
        return f"{rung.value}:{self._speakers[rung].account(spec)}"

    async def _try(self, rung: Rung, spec: AgentSpec) -> AgentLeg | None:
        key = self._key(rung, spec)
        if not self._breakers.attempt(key):
            return None
        told = False
        try:
            async with asyncio.timeout(RUNG_SECONDS):
                leg = await self._speakers[rung].connector.connect(spec)
            self._breakers.succeeded(key)
            told = True
            return leg
        except (ProviderError, TimeoutError) as error:
            reason = error.code or error.reason if isinstance(error, ProviderError) else "timeout"
            if is_the_vendors(error):
                self._breakers.failed(key)
                told = True
            log.warning("agent.stepped_over", rung=rung.value, reason=reason)
            self._metrics.count("agents_stepped_over", rung.value)
            return None
        finally:
            if not told:
                self._breakers.released(key)


def rung_of(leg_name: str) -> Rung | None:
    """Which rung a leg stands on: its name begins with it ("realtime:gpt-…")."""
    prefix = leg_name.partition(":")[0]
    return Rung(prefix) if prefix in {rung.value for rung in Rung} else None


def is_the_vendors(error: ProviderError | TimeoutError) -> bool:
    """Not one tenant's own mistake, such as a wrong key or a model that doesn't exist; but too many
    requests, or calls, are everybody's concern."""
    if isinstance(error, TimeoutError) or error.status is None:
        return True
    return error.status >= 500 or error.status == 429
