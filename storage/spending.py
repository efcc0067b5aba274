"""What a tenant's outbound costs on a day: the money cap, counted by the database, so that it is
the same on every node."""

from typing import Final

from sqlalchemy.dialects import postgresql, sqlite

from storage.schema import tenant_limits as limits
from storage.schema import tenant_spend as table
from storage.scope import Scope

#: A cap that nothing reaches.
_ENDLESS: Final = 2**62


class Spending:
    """A tenant's, in millionths of the deployment's currency; days are UTC's."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def spend(self, micros: int, cap: int | None, *, always: bool = False) -> bool:
        """Note that so much is about to be spent today; False, and nothing noted, when that would
        pass the tenant's cap, `cap` unless it has its own (None: none). `always`: noted anyway."""
        scope, today = self._scope, self._scope.now().date()
        own = await self.own_cap()
        most = own if own is not None else cap
        if always or most is None:
            most = _ENDLESS
        if micros > most:
            return False
        dialect = postgresql if scope.connection.dialect.name == "postgresql" else sqlite
        row = {"tenant_id": scope.tenant_id, "day": today, "micros": micros}
        noted = await scope.connection.execute(
            dialect.insert(table)
            .values(row)
            .on_conflict_do_update(
                index_elements=[table.c.tenant_id, table.c.day],
                set_={"micros": table.c.micros + micros},
                where=table.c.micros + micros <= most,
            )
            .returning(table.c.micros)
        )
        spent = noted.scalar_one_or_none()
        if spent == micros:
            await scope.connection.execute(scope.delete(table).where(table.c.day < today))
        return spent is not None

    async def today(self) -> int:
        """What has been spent."""
        statement = self._scope.select(table, table.c.micros).where(
            table.c.day == self._scope.now().date()
        )
        return int((await self._scope.connection.execute(statement)).scalar_one_or_none() or 0)

    async def own_cap(self) -> int | None:
        """The tenant's own; None: the deployment's counts."""
        statement = self._scope.select(limits, limits.c.spend_cap_micros)
        found = (await self._scope.connection.execute(statement)).scalar_one_or_none()
        return None if found is None else int(found)

    async def set_cap(self, micros: int | None) -> None:
        """Its own cap; None: the deployment's again."""
        scope = self._scope
        await scope.connection.execute(scope.delete(limits))
        if micros is not None:
            await scope.insert(limits, spend_cap_micros=micros, updated_at=scope.now())
