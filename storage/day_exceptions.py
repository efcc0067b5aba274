"""Days on which a tenant, or one of its resources, isn't open as the week says."""

from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from domain.agenda import DayException, DayRange
from domain.errors import Conflict, Invalid, NotFound
from storage.agenda_values import check_ranges, read, stored
from storage.schema import agenda_exceptions as table
from storage.schema import resources
from storage.scope import Scope, new_id

#: Ten years of holidays of ten people.
MAX_EXCEPTIONS = 2000
#: A leave of two years is longer than any horizon.
MAX_DAYS = 731


@dataclass(frozen=True, slots=True)
class NewException:
    """The days `first` to `last`, both included; without `ranges` closed. `resource` None: the
    whole business."""

    first: date
    last: date
    ranges: tuple[DayRange, ...] = ()
    resource: str | None = None
    label: str = ""


class DayExceptions:
    """A tenant's exceptions."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def list(self, first: date | None = None, last: date | None = None) -> list[DayException]:
        """Those that touch the days `first` to `last`, by day."""
        statement = self._scope.select(table)
        if first is not None:
            statement = statement.where(table.c.last_day >= first)
        if last is not None:
            statement = statement.where(table.c.first_day <= last)
        rows = await self._scope.all(
            statement.order_by(table.c.first_day, table.c.last_day, table.c.id)
        )
        return [_exception(row) for row in rows]

    async def get(self, exception_id: str) -> DayException:
        """One of the tenant's; NotFound."""
        row = await self._scope.first(self._scope.select(table).where(table.c.id == exception_id))
        if row is None:
            raise NotFound("no such exception")
        return _exception(row)

    async def add(self, new: NewException) -> DayException:
        """Store one. Invalid; Conflict when there are too many."""
        await self._check(new)
        # Whoever adds at the same moment waits here.
        await self._scope.update_tenant()
        count = self._scope.select(table, sa.func.count().label("count"))
        row = await self._scope.first(count)
        if row is not None and row["count"] >= MAX_EXCEPTIONS:
            raise Conflict(f"there are {MAX_EXCEPTIONS} exceptions already: remove old ones")
        exception_id, now = new_id(), self._scope.now()
        await self._scope.insert(
            table, id=exception_id, created_at=now, updated_at=now, **_values(new)
        )
        return await self.get(exception_id)

    async def change(self, exception_id: str, new: NewException) -> DayException:
        """Replace it. NotFound; Invalid."""
        await self._check(new)
        changed = await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == exception_id)
            .values(updated_at=self._scope.now(), **_values(new))
        )
        if not changed.rowcount:
            raise NotFound("no such exception")
        return await self.get(exception_id)

    async def remove(self, exception_id: str) -> None:
        """Delete it. NotFound."""
        removed = await self._scope.connection.execute(
            self._scope.delete(table).where(table.c.id == exception_id)
        )
        if not removed.rowcount:
            raise NotFound("no such exception")

    async def _check(self, new: NewException) -> None:
        if new.last < new.first:
            raise Invalid(
                "the last day comes before the first",
                field="last",
                message_key="exception_order",
            )
        if (new.last - new.first).days >= MAX_DAYS:
            raise Invalid(f"at most {MAX_DAYS} days", field="last")
        check_ranges(new.ranges, "ranges")
        if new.resource is None:
            return
        found = self._scope.select(resources, resources.c.id).where(
            resources.c.id == new.resource, resources.c.archived_at.is_(None)
        )
        if await self._scope.first(found) is None:
            raise Invalid(
                "there is no such resource", field="resource", message_key="resource_unknown"
            )


def _values(new: NewException) -> dict[str, object]:
    return {
        "resource_id": new.resource,
        "first_day": new.first,
        "last_day": new.last,
        "ranges": stored(new.ranges),
        "label": new.label.strip(),
    }


def _exception(row: sa.RowMapping) -> DayException:
    return DayException(
        row["first_day"],
        row["last_day"],
        read(row["ranges"]),
        row["resource_id"],
        row["label"],
        row["id"],
    )
