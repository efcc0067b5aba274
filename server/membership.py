"""This process among the others on its database: entered, beating, counted, and gone in the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from domain.errors import OperatorError
from server.metrics import Metrics
from storage import OperatorStore
from storage.counters import PostgresCounters
from storage.database import Database
from storage.nodes import Node
from voice.background import Background
from voice.live_calls import LiveCalls

log = structlog.get_logger(__name__)

#: How often windows of rate limits that are over are removed.
PURGE_SECONDS = 60.0
#: How long leaving may take. Who can't say goodbye is reaped by the others two seconds later.
LEAVE_SECONDS = 1.5


@asynccontextmanager
async def membership(node: Node, live_calls: LiveCalls) -> AsyncIterator[None]:
    """In the register for the block; its heartbeat is `keep_up`. Raises OperatorError when the
    database can't be reached at first; leaves quietly when it can't be in the end."""
    places = live_calls.places
    if places is not None:
        node.returned = places.renew
    await node.start()
    log.info("node.started", node_id=node.id)
    yield
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            await node.stop()
    except (OperatorError, TimeoutError) as error:
        log.warning("node.not_stopped", node_id=node.id, error=str(error))


def keep_up(
    node: Node,
    database: Database,
    live_calls: LiveCalls,
    operator: OperatorStore,
    background: Background,
) -> None:
    """Start what goes on for ever: the heartbeat, and with several nodes what they tell each
    other about calls."""
    background.keep("node.beat", node.run)
    if database.dialect == "sqlite":
        return
    background.keep(
        "calls.expect",
        lambda: live_calls.expect(lambda sids: operator.settled_elsewhere(sids, node.id)),
    )
    background.keep("counters.purge", lambda: _purge(PostgresCounters(database)))
    places = live_calls.places
    if places is not None:
        background.keep("places", lambda: places.run(live_calls.call_sids))


async def announce_draining(node: Node) -> None:
    """Let the others see that this node stops. Tried once."""
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            await node.drain()
    except (OperatorError, TimeoutError) as error:
        log.warning("node.not_draining", node_id=node.id, error=str(error))


def count_nodes(node: Node, metrics: Metrics) -> None:
    """What Prometheus sees of the register: as of this node's last heartbeat."""
    metrics.read_gauge(
        "living_servers",
        "Servers with a recent heartbeat, this one included, as it sees them",
        lambda: node.living.get("server", 0),
    )
    metrics.read_counter("nodes_reaped", "Dead nodes removed by this one", lambda: node.reaped)


async def _purge(counters: PostgresCounters) -> None:
    while True:
        await asyncio.sleep(PURGE_SECONDS)
        await counters.purge()
