"""Whose appointment a link opens, before anybody knows whose tenant's it is."""

import sqlalchemy as sa

from domain.clock import Clock
from storage.database import Database
from storage.schema import rendez_vous as table
from storage.schema import tenants


class AppointmentLinks:
    """For the door of the customers' pages."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def appointment_of_link(self, token: str) -> tuple[str, str] | None:
        """(tenant, appointment) of a link's token, however its case was changed on the way; None
        when it opens nothing. Never a suspended tenant's."""
        statement = (
            sa.select(table.c.tenant_id, table.c.id)
            .join(tenants, tenants.c.id == table.c.tenant_id)
            .where(
                table.c.link_token == token.lower(),
                table.c.status != "held",
                tenants.c.status == "active",
            )
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).first()
        return None if row is None else (row.tenant_id, row.id)
