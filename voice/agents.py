"""Connects the agent of a call: the first of the ladder's rungs that is there, allowed and well."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from domain.breaker import Breakers
from domain.errors import ProviderError
from voice.ladder import Loss, Rung, speaking
from voice.ports import AgentConnector, AgentLeg, AgentSpec, CallMetrics

log = structlog.get_logger(__name__)

#: How long one rung may take, seconds (the issue's rule).
RUNG_SECONDS = 1.5

#: Who raises a ProviderError for a failure that is no vendor's: our own database (`_Actions`).
OUR_OWN: Final = "storage"
#: Losses (`voice.events.ChangeAgent`) that speak against the vendor, or against our connection to
#: it. One that heard nothing may have been asked to hear noise.
_AGAINST_THE_VENDOR: Final = frozenset({"agent_gone", "agent_stuck", "agent_mute", "agent_lags"})
#: Refusals of the deployment's own account, where no tenant has a say in its key or its model.
_OF_THE_ACCOUNT: Final = frozenset({401, 402, 403, 404})
#: Of answers that failed, by the vendor's code: too much to do, nothing left to spend, an error of
#: its own ("failed": it says no more). What it refuses or filters may be what one tenant asks for.
_TOO_MUCH: Final = re.compile(
    r"rate_limit|quota|capacity|overload|unavailable|server_error|internal|timeout|failed$"
)


class Links(Protocol):
    """What a rung is made of, when that is several vendors, each behind a breaker of its own."""

    @property
    def are_well(self) -> bool:
        """All of them may be used now."""
        ...

    def blame(self) -> None:
        """A leg was lost: whoever was being waited for has failed."""
        ...


@dataclass(frozen=True, slots=True)
class Speaker:
    """A rung that speaks. `usable`: configured, and allowed for this call; `account`: whose limits
    and keys it uses, so that one tenant's empty account isn't everybody's ("" is ours)."""

    connector: AgentConnector
    usable: Callable[[AgentSpec], bool]
    account: Callable[[AgentSpec], str]
    links: Links | None = None


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
        self, spec: AgentSpec, rungs: Sequence[Rung], lost: Sequence[Loss] = ()
    ) -> AgentLeg:
        """A leg that is ready for audio. `lost`: agents that this call has had, in order.
        ProviderError `no_agent` when none of the rungs takes the call.

        When no rung is well, who has just lost an agent for the first time may try its rung once
        whatever the breaker says: what has cut off many calls at once opens it before most of them
        have asked, and a fresh connection may be all they need.
        """
        left = [rung for rung in speaking(rungs, lost) if self._is_available(rung, spec)]
        again = _lost_once(lost)
        if again in speaking(rungs, lost) and again not in left:
            left.append(again)
        for rung in left:
            leg = await self._try(rung, spec)
            if leg is not None:
                return leg
        raise ProviderError("ladder", "no agent can speak", retryable=True, code="no_agent")

    def sounded(self, name: str, spec: AgentSpec) -> None:
        """The first sound of a leg has come: it is connected, and it speaks."""
        rung = rung_of(name)
        if rung is not None and rung in self._speakers:
            self._breakers.succeeded(self._key(rung, spec))

    def lost(self, name: str, spec: AgentSpec, reason: str, code: str = "") -> None:
        """A leg that was connected has been given up, for this `reason` of
        `voice.events.ChangeAgent`; `code`: the vendor's, of an answer that failed."""
        rung = rung_of(name)
        if rung is None or rung not in self._speakers:
            return
        links = self._speakers[rung].links
        failed = reason == "agent_failed" and _TOO_MUCH.search(code)
        if links is not None:
            links.blame()
        elif reason in _AGAINST_THE_VENDOR or failed:
            self._breakers.failed(self._key(rung, spec))

    def _is_available(self, rung: Rung, spec: AgentSpec) -> bool:
        speaker = self._speakers.get(rung)
        if speaker is None or not speaker.usable(spec):
            return False
        if speaker.links is not None and not speaker.links.are_well:
            return False
        return self._breakers.allows(self._key(rung, spec))

    def _key(self, rung: Rung, spec: AgentSpec) -> str:
        return breaker_of(rung, self._speakers[rung].account(spec))

    async def _try(self, rung: Rung, spec: AgentSpec) -> AgentLeg | None:
        """A leg of this rung; None when there is none within RUNG_SECONDS. That it speaks, too,
        is seen later (`sounded`, `lost`). What is tried whatever its breaker says tells it
        nothing."""
        key = self._key(rung, spec)
        allowed = self._breakers.attempt(key)
        told = not allowed
        try:
            async with asyncio.timeout(RUNG_SECONDS):
                leg = await self._speakers[rung].connector.connect(spec)
            told = True
            return leg
        except (ProviderError, TimeoutError) as error:
            reason = error.code or error.reason if isinstance(error, ProviderError) else "timeout"
            if allowed and is_the_vendors(error):
                self._breakers.failed(key)
                told = True
            log.warning("agent.stepped_over", rung=rung.value, reason=reason)
            self._metrics.count("agents_stepped_over", rung.value)
            return None
        finally:
            if not told:
                self._breakers.released(key)


def _lost_once(lost: Sequence[Loss]) -> Rung | None:
    """The rung of the agent that was lost last, if the call has had no other of it."""
    rungs = [loss.rung for loss in lost]
    return rungs[-1] if rungs and rungs.count(rungs[-1]) == 1 else None


def rung_of(leg_name: str) -> Rung | None:
    """Which rung a leg stands on: its name begins with it ("realtime:gpt-…")."""
    prefix = leg_name.partition(":")[0]
    return Rung(prefix) if prefix in {rung.value for rung in Rung} else None


def breaker_of(rung: Rung, account: str = "") -> str:
    """The key of its breaker, for this account."""
    return f"{rung.value}:{account}"


def is_the_vendors(error: ProviderError | TimeoutError) -> bool:
    """Not one tenant's own mistake, such as a wrong key or a model that doesn't exist, nor ours;
    but too many requests, or calls, are everybody's concern."""
    if isinstance(error, TimeoutError):
        return True
    if error.vendor == OUR_OWN:
        return False
    return error.status is None or error.status >= 500 or error.status == 429


def is_everybodys(error: ProviderError | TimeoutError) -> bool:
    """The same of a vendor whose account is the deployment's alone: it concerns all calls, whatever
    they asked, and isn't a request that the model can't take."""
    if is_the_vendors(error):
        return True
    return isinstance(error, ProviderError) and error.status in _OF_THE_ACCOUNT
