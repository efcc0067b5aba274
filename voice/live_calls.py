"""Calls in progress on this node: admission, lookup, the legs that wait for their caller, drain."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from domain.clock import Clock
from domain.errors import ProviderError
from voice.background import Background
from voice.ports import AgentLeg

log = structlog.get_logger(__name__)

#: How long an opened agent connection waits for its stream (the issue's rule).
KEEP_SECONDS = 10.0
#: How long an admitted call may take to open its stream before its place is free again.
ADMITTED_SECONDS = 30.0


class Replaceable(Protocol):
    """A running bridge, as far as the registry needs to know it."""

    @property
    def call_id(self) -> str: ...

    @property
    def tenant_id(self) -> str: ...

    def replaced(self) -> None:
        """A newer stream of the same call has come: let go of this one."""
        ...


@dataclass(slots=True)
class _Admitted:
    tenant_id: str
    until: float


@dataclass(slots=True)
class _Preparing:
    leg: "asyncio.Future[AgentLeg]"
    claimed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class LiveCalls:
    """The registry. `tasks` outlives every call: the application's task group."""

    clock: Clock
    tasks: asyncio.TaskGroup
    per_node: int
    per_tenant: int | None = None
    draining: bool = False
    _bridges: dict[str, Replaceable] = field(default_factory=dict)
    _admitted: dict[str, _Admitted] = field(default_factory=dict)
    _preparing: dict[str, _Preparing] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._bridges)

    def admit(self, call_sid: str, tenant_id: str) -> bool:
        """A place for this call, or False: the node or the tenant is full, or we are draining."""
        self._forget_stale()
        if call_sid in self._bridges or call_sid in self._admitted:
            return True
        taken = len(self._bridges) + len(self._admitted)
        if self.draining or taken >= self.per_node or self._full(tenant_id):
            return False
        self._admitted[call_sid] = _Admitted(tenant_id, self.clock.monotonic() + ADMITTED_SECONDS)
        return True

    def _full(self, tenant_id: str) -> bool:
        if self.per_tenant is None:
            return False
        live = sum(bridge.tenant_id == tenant_id for bridge in self._bridges.values())
        coming = sum(admitted.tenant_id == tenant_id for admitted in self._admitted.values())
        return live + coming >= self.per_tenant

    def _forget_stale(self) -> None:
        now = self.clock.monotonic()
        for call_sid in [sid for sid, a in self._admitted.items() if a.until <= now]:
            del self._admitted[call_sid]

    def release(self, call_sid: str) -> None:
        """The call is over before its stream came."""
        self._admitted.pop(call_sid, None)

    def join(self, call_sid: str, bridge: Replaceable) -> None:
        """A stream has come; an earlier one of the same call lets go."""
        self._admitted.pop(call_sid, None)
        earlier = self._bridges.get(call_sid)
        self._bridges[call_sid] = bridge
        if earlier is not None:
            earlier.replaced()

    def leave(self, call_sid: str, bridge: Replaceable) -> None:
        """This stream is over."""
        if self._bridges.get(call_sid) is bridge:
            del self._bridges[call_sid]

    def is_live(self, call_sid: str) -> bool:
        return call_sid in self._bridges or call_sid in self._preparing

    def call_ids(self) -> list[str]:
        """The rows of the calls on this node."""
        return [bridge.call_id for bridge in self._bridges.values()]

    def prepare(self, call_sid: str, connect: Callable[[], Awaitable[AgentLeg]]) -> None:
        """Start connecting the agent now, while the carrier still opens the stream."""
        if call_sid in self._preparing:
            return
        future: asyncio.Future[AgentLeg] = asyncio.get_running_loop().create_future()
        entry = self._preparing[call_sid] = _Preparing(future)
        background = Background(self.tasks)
        background.start("agent.prepare", lambda: self._prepare(call_sid, entry, connect))

    async def _prepare(
        self, call_sid: str, entry: _Preparing, connect: Callable[[], Awaitable[AgentLeg]]
    ) -> None:
        try:
            leg = await _connected(connect)
        except ProviderError as error:
            if not entry.leg.done():
                entry.leg.set_exception(error)
                entry.leg.exception()  # seen: nobody may come to ask
        else:
            if entry.leg.done():  # the claimer was cancelled meanwhile
                await leg.close()
            else:
                entry.leg.set_result(leg)
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                await entry.claimed.wait()
        except TimeoutError:
            del self._preparing[call_sid]
            await let_go(entry.leg)

    def claim(
        self, call_sid: str, connect: Callable[[], Awaitable[AgentLeg]]
    ) -> "asyncio.Future[AgentLeg]":
        """The leg of this call: the prepared one, once, or one that is now begun to `connect`.

        Give it to `let_go` in the end. Raises ProviderError when awaited.
        """
        self.prepare(call_sid, connect)
        entry = self._preparing.pop(call_sid)
        entry.claimed.set()
        return entry.leg


async def let_go(leg: "asyncio.Future[AgentLeg]") -> None:
    """Nobody wants this leg any more: it is closed, or will be when it comes. Idempotent."""
    if leg.cancel() or leg.cancelled() or leg.exception() is not None:
        return
    await leg.result().close()


async def _connected(connect: Callable[[], Awaitable[AgentLeg]]) -> AgentLeg:
    """The leg. Raises ProviderError, and nothing else: whoever claims it knows what to do then."""
    try:
        return await connect()
    except ProviderError:
        raise
    except Exception as error:
        # The database, most likely: the agent is read from there.
        log.error("agent.not_prepared", error=type(error).__name__, detail=str(error))
        raise ProviderError("agent", type(error).__name__, retryable=True) from error
