"""Whose appointment a link opens, before anybody knows whose tenant's it is."""

import sqlalchemy as sa

from storage.database import Database
from storage.schema import rendez_vous as table
from storage.schema import tenants


class LinkRegister:
    """For the door of the customers' pages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tenant_of(self, token: str) -> str | None:
        """The tenant whose appointment a link's token opens, however its case was changed on the
        way; None when it opens nothing. Never a suspended tenant."""
        statement = (
            sa.select(table.c.tenant_id)
            .join(tenants, tenants.c.id == table.c.tenant_id)
            .where(
                table.c.link_token == token.lower(),
                table.c.status != "held",
                tenants.c.status == "active",
            )
        )
        async with self._database.read() as connection:
            found: str | None = (await connection.execute(statement)).scalar_one_or_none()
        return found
