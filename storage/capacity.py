"""The places that calls take, on PostgreSQL: a tenant's limit holds over all nodes.

With SQLite there is one node, which counts in memory (voice/live_calls.py).
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from domain.clock import Clock
from storage.database import Database
from storage.database_time import database_now
from storage.schema import call_logs
from storage.schema import call_slots as table

#: How long a place is kept for a call that hasn't opened its stream yet (the issue's rule).
COMING = timedelta(seconds=30)
#: How long a place lasts that nobody renews; renewed much more often. Whose node dies loses its
#: places at once (storage/nodes.py): this is for a place that was never given back.
CARRIED = timedelta(seconds=120)


class CallSlots:
    """The table `call_slots`, as one node uses it. By the database's clock. Everything raises
    OperatorError when the database can't be asked."""

    def __init__(self, database: Database, clock: Clock, node_id: str) -> None:
        assert database.dialect == "postgresql", "one node counts in memory"
        self._database = database
        self._clock = clock
        self._node_id = node_id

    async def take(self, call_sid: str, tenant_id: str, most: int | None) -> bool:
        """A place for a call that is about to come, unless its tenant has `most` already (None:
        however many). One that it has, wherever, it keeps, and it is this node's now.

        One round trip; of any number of nodes that ask at once, no more get one than there are.
        """
        function = sa.func.take_call_slot(
            call_sid, tenant_id, self._node_id, most, COMING.total_seconds()
        )
        async with self._database.single() as connection:
            return bool((await connection.execute(sa.select(function))).scalar_one())

    async def keep(self, call_sids: Collection[str]) -> None:
        """These calls are carried here: their places are renewed, moved to this node, and taken
        anew (however many there are) where they were lost. Only what the database knows as a
        running call of this node: one that has gone on elsewhere has its place there."""
        until = database_now("postgresql", self._clock, CARRIED)
        carried = sa.select(
            call_logs.c.call_sid, call_logs.c.tenant_id, call_logs.c.node_id, until
        ).where(
            call_logs.c.call_sid == _any(call_sids),
            call_logs.c.node_id == self._node_id,
            call_logs.c.outcome.is_(None),
            call_logs.c.tenant_id.is_not(None),
        )
        columns = ["call_sid", "tenant_id", "node_id", "until"]
        new = postgresql.insert(table).from_select(columns, carried)
        statement = new.on_conflict_do_update(
            index_elements=[table.c.call_sid],
            set_={"node_id": new.excluded.node_id, "until": new.excluded.until},
        )
        async with self._database.single() as connection:
            await connection.execute(statement)

    async def free(self, left: Collection[str], over: Collection[str]) -> None:
        """Give places back: of calls whose stream has `left` this node, if the place is still this
        node's, and of calls that are `over`, whoever's it is."""
        await self._delete(
            sa.or_(
                sa.and_(table.c.call_sid == _any(left), table.c.node_id == self._node_id),
                table.c.call_sid == _any(over),
            )
        )

    async def expire(self) -> None:
        """Remove the places whose time is over. They count no more, removed or not."""
        await self._delete(table.c.until <= database_now("postgresql", self._clock))

    async def _delete(self, *conditions: sa.ColumnElement[bool]) -> None:
        async with self._database.single() as connection:
            await connection.execute(sa.delete(table).where(*conditions))

    async def taken(self, tenant_id: str) -> int:
        """How many places the tenant's calls have."""
        now = database_now("postgresql", self._clock)
        conditions = (table.c.tenant_id == tenant_id, table.c.until > now)
        count = sa.select(sa.func.count()).select_from(table).where(*conditions)
        async with self._database.read() as connection:
            return int((await connection.execute(count)).scalar_one())


def _any(values: Collection[str]) -> Any:
    """For a comparison with any of these: one parameter, however many they are."""
    return sa.any_(sa.literal(list(values), postgresql.ARRAY(sa.Text)))
