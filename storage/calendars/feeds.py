"""Feeds: secret addresses at which a tenant's appointments are read as a calendar.

The address is the key: whoever has it reads, so its token has 256 bits, is shown once, and kept as
a hash. Taking a feed away takes its address away.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from domain.clock import Clock
from storage.database import Database
from storage.schema import calendar_feeds as table
from storage.schema import tenants

#: As in storage/tenants.py: 256 random bits, hashed without salt, since nobody guesses them.
_TOKEN_BYTES: Final = 32
#: Longer than any token of ours: not looked up.
LONGEST_TOKEN: Final = 100
#: Programs ask every few minutes; that somebody reads it is worth one write an hour.
_NOTED_EVERY: Final = timedelta(hours=1)

COLUMNS = (
    table.c.id,
    table.c.label,
    table.c.resource,
    table.c.show_names,
    table.c.created_at,
    table.c.read_at,
)


@dataclass(frozen=True, slots=True)
class Feed:
    """`resource` None: all appointments. `read_at`: when somebody read it last, to the hour."""

    id: str
    label: str
    resource: str | None
    show_names: bool
    created_at: datetime
    read_at: datetime | None


def new_token() -> str:
    """43 characters, URL-safe."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def token_hash(token: str) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()


class FeedRegister:
    """Unscoped: finds whose feed an address is."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find(self, token: str) -> tuple[str, Feed] | None:
        """(tenant, feed); None when the token opens nothing, or its tenant is suspended."""
        if not 0 < len(token) <= LONGEST_TOKEN or not token.isascii():
            return None
        statement = (
            sa.select(table.c.tenant_id, *COLUMNS)
            .join(tenants, tenants.c.id == table.c.tenant_id)
            .where(table.c.token_hash == token_hash(token), tenants.c.status == "active")
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).mappings().first()
        if row is None:
            return None
        values = dict(row)
        return values.pop("tenant_id"), Feed(**values)

    async def note_reading(self, feed: Feed) -> None:
        """Remember that it is read."""
        now = self._clock.now()
        if feed.read_at is not None and now - feed.read_at < _NOTED_EVERY:
            return
        async with self._database.single() as connection:
            await connection.execute(
                sa.update(table).where(table.c.id == feed.id).values(read_at=now)
            )
