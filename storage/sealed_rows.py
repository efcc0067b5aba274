"""All that tenants have entrusted to us, sealed, for the operator: which keys it needs, and giving
it the newest one. Channels' credentials and the addresses of calendars (`PLACES`).

A row is sealed anew where it stands: read, opened, sealed, and written only if it is still the
row that was read, so that a tenant who saves in between wins. Several may do it at once, and it may
be stopped at any point: what is left is found by the version that its text begins with.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import sqlalchemy as sa

from storage.calendars.external import CALENDAR_PREFIX
from storage.database import Database
from storage.schema import channel_configurations, external_calendars, suppression_keys
from storage.secrets import KeyRing, NoKey, Unreadable, key_version, sealed_with
from storage.suppression import SUPPRESSION

#: Rows read, and written, at a time: on SQLite nobody else writes meanwhile, for a millisecond.
BATCH = 100


class Place(NamedTuple):
    """Where sealed texts stand: `column` of a table with `id` and `tenant_id`, sealed for
    `channel`."""

    column: sa.Column[str]
    channel: sa.ColumnElement[str]


#: Every column that holds sealed texts. One that isn't here is lost with its key.
PLACES: Final = (
    Place(channel_configurations.c.config_encrypted, channel_configurations.c.channel_type),
    Place(
        external_calendars.c.url_sealed,
        sa.literal(CALENDAR_PREFIX, sa.Text) + external_calendars.c.id,
    ),
    Place(suppression_keys.c.sealed, sa.literal(SUPPRESSION, sa.Text)),
)


class SealedRow(NamedTuple):
    """One sealed text: a channel's credentials, a calendar's address."""

    id: str
    tenant_id: str
    channel: str
    sealed: str


@dataclass(frozen=True, slots=True)
class Unopened:
    """Credentials that the ring can't open, and what to do about it."""

    tenant_id: str
    channel: str
    reason: str


@dataclass(frozen=True, slots=True)
class Census:
    """How many rows there are per key version (None: not a sealed text), how many of those that
    open are still to be sealed with the newest, and which don't open."""

    versions: dict[int | None, int]
    waiting: int
    unopened: tuple[Unopened, ...]


@dataclass(frozen=True, slots=True)
class Resealed:
    """What one round came to: rows sealed anew, and those that can't be opened."""

    count: int
    unopened: tuple[Unopened, ...]


class SealedRows:
    """Unscoped, and never shows what it opens."""

    def __init__(self, database: Database, keyring: KeyRing | None) -> None:
        self._database = database
        self._keyring = keyring

    async def waiting(self, *, older_only: bool = False) -> bool:
        """Whether `reseal` would find anything; False without a key ring."""
        if self._keyring is None:
            return False
        async for _, rows in self._batches(newest=self._keyring.newest):
            if any(self._concerns(row, older_only) for row in rows):
                return True
        return False

    async def census(self) -> Census:
        """Look at every row, and open it. Without a key ring, none opens."""
        versions: dict[int | None, int] = {}
        unopened: list[Unopened] = []
        waiting = 0
        async for _, rows in self._batches():
            for row in rows:
                version = key_version(row.sealed)
                versions[version] = versions.get(version, 0) + 1
                opened = self._opened(row)
                if isinstance(opened, Unopened):
                    unopened.append(opened)
                else:
                    waiting += version != self._ring().newest
        return Census(versions, waiting, tuple(unopened))

    async def reseal(self, *, older_only: bool = False) -> Resealed:
        """Seal with the newest key what another one has sealed. What can't be opened is left as it
        is, and named. NoKey.

        `older_only`: what has a higher version than our newest is left alone. It is the work of
        servers to which a key was promoted that we only know; without this, servers on either side
        of a rolling restart would undo each other's work.
        """
        ring = self._ring()
        count, unopened = 0, list[Unopened]()
        async for place, rows in self._batches(newest=ring.newest):
            anew: list[tuple[SealedRow, str]] = []
            for row in rows:
                if not self._concerns(row, older_only):
                    continue
                opened = self._opened(row)
                if isinstance(opened, Unopened):
                    unopened.append(opened)
                else:
                    anew.append((row, ring.seal(opened, row.tenant_id, row.channel)))
            count += await self._replace(place, anew)
        return Resealed(count, tuple(unopened))

    async def forget(self, tenant_id: str, channel: str) -> bool:
        """Throw a channel's credentials away, readable or not: the tenant must enter them again.
        False when there are none."""
        async with self._database.write() as connection:
            if channel.startswith(CALENDAR_PREFIX):
                # Without its address a calendar is nothing.
                gone = await connection.execute(
                    sa.delete(external_calendars).where(
                        external_calendars.c.tenant_id == tenant_id,
                        external_calendars.c.id == channel.removeprefix(CALENDAR_PREFIX),
                    )
                )
                return gone.rowcount > 0
            table = channel_configurations
            forgotten = await connection.execute(
                sa.update(table)
                .where(
                    table.c.tenant_id == tenant_id,
                    table.c.channel_type == channel,
                    table.c.config_encrypted.is_not(None),
                )
                .values(config_encrypted=None)
            )
            return forgotten.rowcount > 0

    def _ring(self) -> KeyRing:
        if self._keyring is None:
            raise NoKey
        return self._keyring

    def _concerns(self, row: SealedRow, older_only: bool) -> bool:
        return not older_only or (key_version(row.sealed) or 0) < self._ring().newest

    def _opened(self, row: SealedRow) -> bytes | Unopened:
        try:
            return self._ring().open(row.sealed, row.tenant_id, row.channel)
        except (NoKey, Unreadable) as error:
            return Unopened(row.tenant_id, row.channel, str(error))

    async def _batches(
        self, newest: int | None = None
    ) -> AsyncIterator[tuple[Place, list[SealedRow]]]:
        """All rows; with `newest`, those that another version has sealed."""
        for place in PLACES:
            column = place.column
            which: sa.ColumnElement[bool] = column.is_not(None)
            if newest is not None:
                which = sa.and_(
                    which, sa.not_(column.startswith(sealed_with(newest), autoescape=True))
                )
            after = ""
            while rows := await self._batch(place, after, which):
                after = rows[-1].id
                yield place, rows

    async def _batch(
        self, place: Place, after: str, which: sa.ColumnElement[bool]
    ) -> list[SealedRow]:
        table = place.column.table
        statement = (
            sa.select(table.c.id, table.c.tenant_id, place.channel, place.column)
            .where(which, table.c.id > after)
            .order_by(table.c.id)
            .limit(BATCH)
        )
        async with self._database.read() as connection:
            return [SealedRow(*row) for row in await connection.execute(statement)]

    async def _replace(self, place: Place, anew: list[tuple[SealedRow, str]]) -> int:
        count = 0
        column = place.column
        async with self._database.write() as connection:
            for row, sealed in anew:
                changed = await connection.execute(
                    sa.update(column.table)
                    .where(column.table.c.id == row.id, column == row.sealed)
                    .values({column: sealed})
                )
                count += changed.rowcount
        return count
