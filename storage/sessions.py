"""Sessions that were signed out before their time: their tokens open nothing, on any node.

A chain is a token and all that it was renewed to: the `jti` that they share, or the first one's
hash.
"""

import hashlib
from datetime import datetime

import sqlalchemy as sa

from domain.clock import Clock
from storage.conflicts import insert_unless_taken
from storage.database import Database
from storage.schema import revoked_tokens as table


def token_hash(token: str) -> str:
    """What is kept of a token, or of its chain's name."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class Sessions:
    """Which tokens were revoked."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def revoke(self, tenant_id: str, chain: str, until: datetime) -> None:
        """No token of this chain opens anything from now on; remembered until `until`."""
        row = {
            "token_hash": token_hash(chain),
            "tenant_id": tenant_id,
            "created_at": self._clock.now(),
            "expires_at": until,
        }
        async with self._database.write() as connection:
            await insert_unless_taken(connection, table, row)

    async def is_revoked(self, chain: str) -> bool:
        """Whether it was."""
        statement = sa.select(sa.literal(1)).where(table.c.token_hash == token_hash(chain))
        async with self._database.read() as connection:
            return (await connection.execute(statement)).first() is not None
