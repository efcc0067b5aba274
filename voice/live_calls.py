"""Calls in progress on this node: admission, lookup, the legs that wait for their caller, drain."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from domain.clock import Clock
from domain.errors import ProviderError
from voice.background import Background
from voice.places import Places
from voice.ports import AgentLeg

log = structlog.get_logger(__name__)

#: How long an opened agent connection waits for its stream (the issue's rule).
KEEP_SECONDS = 10.0
#: How long an admitted call may take to open its stream before its place is free again.
ADMITTED_SECONDS = 30.0
#: How often it is asked whether an admitted call has gone to another node; a stream opens within
#: about a second of the webhook's answer.
EXPECTED_SECONDS = 3.0

#: Which of these CallSids need not be expected here: ended, or carried by another node.
SettledElsewhere = Callable[[Sequence[str]], Awaitable[Collection[str]]]


class Replaceable(Protocol):
    """A running bridge, as far as the registry needs to know it."""

    @property
    def call_id(self) -> str: ...

    @property
    def tenant_id(self) -> str: ...

    def replaced(self) -> None:
        """A newer stream of the same call has come: let go of this one."""
        ...

    def hand_over(self) -> None:
        """Close the stream and leave the call as it is: it goes on with the next one."""
        ...


@dataclass(slots=True)
class _Admitted:
    tenant_id: str
    until: float
    sure: bool = True  # False while the tenant's places are being counted


@dataclass(slots=True)
class _Preparing:
    leg: "asyncio.Future[AgentLeg]"
    claimed: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class LiveCalls:
    """The registry. `tasks` outlives every call: the application's task group. `places` counts a
    tenant's calls over all nodes; without it there is one node, which counts here. `relieved`:
    another node is there that takes calls."""

    clock: Clock
    tasks: asyncio.TaskGroup
    per_node: int
    per_tenant: int | None = None
    places: Places | None = None
    draining: bool = False
    relieved: Callable[[], bool] = lambda: False
    _bridges: dict[str, Replaceable] = field(default_factory=dict)
    _admitted: dict[str, _Admitted] = field(default_factory=dict)
    _preparing: dict[str, _Preparing] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._bridges)

    async def admit(self, call_sid: str, tenant_id: str, *, under_way: bool = False) -> bool:
        """A place for this call, or False: the node or the tenant is full.

        A call that is `under_way` takes a place again whatever its tenant's limit: it had been let
        in, lost its stream, and shall not be turned away because another came in between. While we
        drain, this node's own places don't count: its calls are leaving, and the stream of whoever
        asks here all the same opens where the balancer sends it.
        """
        self._forget_stale()
        admitted = self._admitted.get(call_sid)
        known = admitted is not None and admitted.sure
        # A place that this node gave may have gone with the stream to another node, and be lost.
        if call_sid in self._bridges or (known and self.places is None):
            return True
        if not known and self.is_full(call_sid):
            return False
        limit = None if under_way else self.per_tenant
        if self.places is None:
            taken = not self._full(tenant_id, limit, call_sid)
        else:
            taken = await self._take(self.places, call_sid, tenant_id, limit)
        if taken:
            until = self.clock.monotonic() + ADMITTED_SECONDS
            self._admitted[call_sid] = _Admitted(tenant_id, until)
        return taken

    async def _take(self, places: Places, call_sid: str, tenant_id: str, limit: int | None) -> bool:
        """A place among those of all nodes. Counted on this node while we ask."""
        until = self.clock.monotonic() + ADMITTED_SECONDS
        asking = self._admitted[call_sid] = _Admitted(tenant_id, until, sure=False)
        try:
            taken = await places.take(call_sid, tenant_id, limit)
        finally:
            if self._admitted.get(call_sid) is asking:
                del self._admitted[call_sid]
        if taken is None:  # nobody could tell: what this node knows for itself is all there is
            taken = not self._full(tenant_id, limit, call_sid)
        return taken

    @property
    def is_closed(self) -> bool:
        """A new call should come again in a moment: we stop, and nobody else is there yet."""
        return self.draining and not self.relieved()

    @property
    def is_leaving(self) -> bool:
        """We stop, and others take the calls."""
        return self.draining and self.relieved()

    @property
    def expected(self) -> int:
        """Calls that were let in and whose streams haven't come."""
        self._forget_stale()
        return len(self._admitted)

    def hand_over(self) -> list[str]:
        """Let go of all streams; whose calls go on elsewhere."""
        leaving = list(self._bridges.values())
        for bridge in leaving:
            bridge.hand_over()
        return [bridge.call_id for bridge in leaving]

    def close_stream(self, call_sid: str) -> bool:
        """Close the stream of this call, which goes on by its stored stage; False: it isn't on this
        node."""
        bridge = self._bridges.get(call_sid)
        if bridge is not None:
            bridge.hand_over()
        return bridge is not None

    def is_full(self, call_sid: str) -> bool:
        """This node has no room for one more stream, this call's. Not while it stops: those open
        elsewhere."""
        coming = len(self._admitted) - (call_sid in self._admitted)
        return not self.draining and len(self._bridges) + coming >= self.per_node

    def _full(self, tenant_id: str, limit: int | None, call_sid: str) -> bool:
        if limit is None:
            return False
        live = sum(bridge.tenant_id == tenant_id for bridge in self._bridges.values())
        coming = sum(
            admitted.tenant_id == tenant_id and sid != call_sid
            for sid, admitted in self._admitted.items()
        )
        return live + coming >= limit

    def _forget_stale(self) -> None:
        now = self.clock.monotonic()
        for call_sid in [sid for sid, a in self._admitted.items() if a.until <= now]:
            del self._admitted[call_sid]

    def release(self, call_sid: str) -> None:
        """The call is over, or was before its stream came."""
        self._admitted.pop(call_sid, None)
        if self.places is not None:
            self.places.over(call_sid)

    def join(self, call_sid: str, bridge: Replaceable) -> None:
        """A stream has come; an earlier one of the same call lets go."""
        self._admitted.pop(call_sid, None)
        earlier = self._bridges.get(call_sid)
        self._bridges[call_sid] = bridge
        if self.places is not None:
            self.places.joined(call_sid)
        if earlier is not None:
            earlier.replaced()

    def leave(self, call_sid: str, bridge: Replaceable) -> None:
        """This stream is over."""
        if self._bridges.get(call_sid) is bridge:
            del self._bridges[call_sid]
            if self.places is not None:
                self.places.left(call_sid)

    def call_ids(self) -> list[str]:
        """The rows of the calls on this node."""
        return [bridge.call_id for bridge in self._bridges.values()]

    def call_sids(self) -> list[str]:
        """The calls on this node, by the carrier's id."""
        return list(self._bridges)

    async def expect(self, settled: SettledElsewhere) -> None:
        """Give up, for ever, the places that this node keeps for streams that came to another one.
        Raises what `settled` raises."""
        while True:
            await asyncio.sleep(EXPECTED_SECONDS)
            overdue = self.clock.monotonic() + ADMITTED_SECONDS - EXPECTED_SECONDS
            coming = [sid for sid, admitted in self._admitted.items() if admitted.until <= overdue]
            if coming:
                for call_sid in await settled(coming):
                    self._admitted.pop(call_sid, None)

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
            # Claimed at the very moment at which we gave up: then it isn't ours to let go.
            if self._preparing.get(call_sid) is entry:
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
