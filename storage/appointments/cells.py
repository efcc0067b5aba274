"""The guard: five minutes of one resource belong to one appointment, by their primary key."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from storage.calendars.spans import external_busy
from storage.conflicts import insert_unless_taken
from storage.schema import rendez_vous_cells as cells
from storage.scope import Scope

#: Two appointments may not share a cell; 5 minutes is the finest start a tenant can offer.
CELL_SECONDS = 300


def cells_of(start: datetime, end: datetime) -> range:
    """Every cell that the time from `start` until just before `end` touches."""
    first = int(start.timestamp()) // CELL_SECONDS
    last = -(-int(end.timestamp()) // CELL_SECONDS)
    return range(first, last)


async def take(scope: Scope, appointment_id: str, resources: Iterable[str], wanted: range) -> bool:
    """Give these cells of all these resources to an appointment; False when one is another's (and
    some may have been given)."""
    # In ascending order, always: two bookers who overlap never wait for each other in turn.
    rows = [
        {
            "tenant_id": scope.tenant_id,
            "resource": resource,
            "cell": cell,
            "rendez_vous_id": appointment_id,
        }
        for resource in sorted(set(resources))
        for cell in wanted
    ]
    return await insert_unless_taken(scope.connection, cells, rows) == len(rows)


async def give_back(scope: Scope, appointment_id: str) -> None:
    """Free all that an appointment has."""
    await scope.connection.execute(
        scope.delete(cells).where(cells.c.rendez_vous_id == appointment_id)
    )


async def taken_of(scope: Scope, wanted: range, mine: Collection[str]) -> set[str]:
    """The resources of which any of these cells is taken, by others than `mine` (appointments), or
    by a calendar elsewhere."""
    statement = (
        scope.select(cells, cells.c.resource)
        .distinct()
        .where(cells.c.cell >= wanted.start, cells.c.cell < wanted.stop)
    )
    if mine:
        statement = statement.where(cells.c.rendez_vous_id.not_in(mine))
    taken = {row["resource"] for row in await scope.all(statement)}
    # Nothing of ours is behind these: what is busy elsewhere can't be written into cells, which
    # appointments that stand there already may have.
    starts, ends = (
        datetime.fromtimestamp(cell * CELL_SECONDS, UTC) for cell in (wanted.start, wanted.stop)
    )
    return taken | (await external_busy(scope, starts, ends)).keys()


def is_free(resource: str, taken: Collection[str]) -> bool:
    """Whether it has the time, if `taken` have not. What is nobody's in particular ("") is
    everybody's: it needs all of them, and keeps all of them busy."""
    return not taken if resource == "" else resource not in taken and "" not in taken
