"""When a tenant is open."""

from collections.abc import Iterable, Sequence
from datetime import time
from itertools import pairwise

import sqlalchemy as sa

from domain.agenda import DEFAULT_HOURS, OpeningRange
from domain.errors import Invalid, NotFound
from storage.schema import business_hours as table
from storage.schema import tenants
from storage.scope import Scope

#: Minutes.
_DAY = 24 * 60
_WEEK = 7 * _DAY


class Hours:
    """A tenant's opening hours, in its own zone."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def get(self) -> list[OpeningRange]:
        """In order of day and time; `DEFAULT_HOURS` when the tenant has never set any. NotFound
        when there is no such tenant."""
        if await self.is_default():
            return list(DEFAULT_HOURS)
        statement = self._scope.select(table, table.c.day, table.c.opens, table.c.closes)
        rows = await self._scope.all(statement.order_by(table.c.day, table.c.opens))
        return [OpeningRange(**row) for row in rows]

    async def is_default(self) -> bool:
        """True when the tenant has never set any."""
        statement = sa.select(tenants.c.hours_set_at).where(tenants.c.id == self._scope.tenant_id)
        row = await self._scope.first(statement)
        if row is None:
            raise NotFound("no such tenant")
        return row["hours_set_at"] is None

    async def replace(self, ranges: Iterable[OpeningRange]) -> None:
        """Set them all; none at all means that the business is never open.

        A range that closes no later than it opens closes on the next day. Raises Invalid when two
        overlap.
        """
        wanted = sorted(ranges, key=lambda r: (r.day, r.opens))
        check_week(wanted)
        await self._scope.update_tenant(hours_set_at=self._scope.now())
        await self._scope.connection.execute(self._scope.delete(table))
        if wanted:
            await self._scope.connection.execute(
                sa.insert(table),
                [
                    {
                        "tenant_id": self._scope.tenant_id,
                        "day": r.day,
                        "opens": r.opens,
                        "closes": r.closes,
                    }
                    for r in wanted
                ],
            )


def check_week(ranges: Sequence[OpeningRange]) -> None:
    """Raise Invalid when two overlap, or when one names no day or no whole minute."""
    spans = sorted(_span(each) for each in ranges)
    if not spans:
        return
    # The week is a circle: Sunday night may run into Monday morning.
    around = [*spans, (spans[0][0] + _WEEK, spans[0][1] + _WEEK)]
    if any(later < end for (_, end), (later, _) in pairwise(around)):
        raise Invalid("two opening ranges overlap", field="hours")


def _span(opening: OpeningRange) -> tuple[int, int]:
    """Minutes since Monday 0:00. Closing no later than opening means: on the next day."""
    if not 1 <= opening.day <= 7:
        raise Invalid("a day is 1 (Monday) to 7 (Sunday)", field="hours.day")
    opens = _minute(opening.opens)
    minutes = (_minute(opening.closes) - opens) % _DAY or _DAY
    start = (opening.day - 1) * _DAY + opens
    return start, start + minutes


def _minute(wall: time) -> int:
    if wall.second or wall.microsecond:
        raise Invalid("must be a whole minute", field="hours")
    return wall.hour * 60 + wall.minute
