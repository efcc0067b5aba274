"""What vendors report of texts, for doors that don't know whose a text is: Twilio's, whose account
is the deployment's own."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from storage.database import Database
from storage.live_events import store
from storage.outbox import Outbox
from storage.schema import channel_messages_log as table
from storage.scope import Scope
from storage.secrets import KeyRing
from storage.text_rows import Report


class TextReports:
    """Unscoped; for verified webhooks alone."""

    def __init__(self, database: Database, clock: Clock, keyring: KeyRing | None = None) -> None:
        self._database = database
        self._clock = clock
        self._keyring = keyring

    async def record(self, report: Report, text_id: str | None = None) -> bool:
        """Follow a report on the text with this id of ours, or with the vendor's id that the
        report bears. False when there is none, or nothing moved."""
        async with self._database.write() as connection:
            found = await _whose(connection, report.vendor_id, text_id)
            if found is None:
                return False
            scope = Scope(connection, found["tenant_id"], self._clock, self._keyring)
            moved = await Outbox(scope).report(found["id"], report)
            await store(connection, scope.published)
            return moved

    async def counts(self) -> dict[str, int]:
        """How many texts wait, are being sent, or have an unknown outcome, of all tenants."""
        statuses = ("queued", "sending", "unknown")
        async with self._database.read() as connection:
            rows = await connection.execute(
                sa.select(table.c.status, sa.func.count())
                .where(table.c.status.in_(statuses))
                .group_by(table.c.status)
            )
            found = {status: int(number) for status, number in rows}
        return {status: found.get(status, 0) for status in statuses}

    async def tenant_of(self, text_id: str) -> str | None:
        """Whose text this is."""
        async with self._database.read() as connection:
            found = await _whose(connection, None, text_id)
        return None if found is None else found["tenant_id"]


async def _whose(
    connection: AsyncConnection, vendor_id: str | None, text_id: str | None
) -> Mapping[str, str] | None:
    """Our id goes before the vendor's: it is known before the vendor's is stored."""
    for column, value in ((table.c.id, text_id), (table.c.external_message_id, vendor_id)):
        if value:
            found = await connection.execute(
                sa.select(table.c.id, table.c.tenant_id).where(column == value).limit(1)
            )
            row = found.mappings().first()
            if row is not None:
                return dict(row)
    return None
