"""Holds that are over, of all tenants: their time is free already, and so is whoever booked it
(`Appointments` removes them as they are in the way). This removes those in nobody's way."""

import sqlalchemy as sa

from domain.clock import Clock
from storage.database import Database
from storage.schema import rendez_vous as table


async def remove_lapsed_holds(database: Database, clock: Clock) -> int:
    """Remove them, with their cells and keys; how many they were."""
    async with database.write() as connection:
        removed = await connection.execute(
            sa.delete(table).where(table.c.status == "held", table.c.hold_until <= clock.now())
        )
        return removed.rowcount
