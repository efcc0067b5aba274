"""A tenant's API keys, as the tenant sees and changes them: never the keys themselves."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from domain.errors import Conflict, Invalid, NotFound
from domain.permissions import SCOPES
from storage.schema import tenant_keys as table
from storage.scope import Scope, new_id
from storage.tenants import KEY_COLUMNS, TenantKey, described_key, key_hash, new_key

#: Keys of one tenant that open at once: one per program and page that asks.
MOST_KEYS = 50


class Keys:
    """A tenant's keys."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def now(self) -> datetime:
        """The instant by which it is judged whether a key is over."""
        return self._scope.now()

    async def list(self) -> "list[TenantKey]":
        """All, revoked ones too, oldest first."""
        statement = self._scope.select(table, *KEY_COLUMNS).order_by(table.c.created_at, table.c.id)
        return [described_key(row.values()) for row in await self._scope.all(statement)]

    async def get(self, key_id: str) -> TenantKey | None:
        """One, or None."""
        statement = self._scope.select(table, *KEY_COLUMNS).where(table.c.id == key_id)
        row = await self._scope.first(statement)
        return None if row is None else described_key(row.values())

    async def create(self, label: str, scopes: Sequence[str]) -> tuple[TenantKey, str]:
        """A new one, and the key itself, which nobody can read again. Raises Invalid for an
        unknown scope or none, Conflict when there are too many."""
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            raise Invalid(
                f"Scopes are: {', '.join(sorted(SCOPES))}; give one at least.",
                field="scopes",
                message_key="scopes_invalid",
            )
        await self._require_room()
        key, key_id, now = new_key(), new_id(), self._scope.now()
        kept = list(dict.fromkeys(scopes))
        await self._scope.insert(
            table, id=key_id, key_hash=key_hash(key), label=label, scopes=kept, created_at=now
        )
        return TenantKey(key_id, label, now, None, tuple(kept)), key

    async def rotate(self, key_id: str, overlap: timedelta) -> tuple[TenantKey, str]:
        """A new key with the label and scopes of this one, which opens for `overlap` longer and
        then never again. Raises NotFound, Conflict when it was rotated or revoked already."""
        old = await self.get(key_id)
        if old is None:
            raise NotFound("There is no key with this id.", message_key="key_unknown")
        now = self._scope.now()
        ends = (
            self._scope.update(table)
            .where(table.c.id == key_id, table.c.revoked_at.is_(None), table.c.expires_at.is_(None))
            .values(expires_at=now + overlap)
        )
        if not (await self._scope.connection.execute(ends)).rowcount:
            raise Conflict(
                "This key was revoked or rotated before: rotate its successor.",
                message_key="key_over",
            )
        return await self.create(old.label, old.scopes)

    async def revoked(self, key_id: str) -> TenantKey | None:
        """From now on it opens nothing; revoking it twice is the same as once. None: no such key
        of the tenant's."""
        statement = (
            self._scope.update(table)
            .where(table.c.id == key_id)
            .values(revoked_at=sa.func.coalesce(table.c.revoked_at, self._scope.now()))
        )
        await self._scope.connection.execute(statement)
        return await self.get(key_id)

    async def _require_room(self) -> None:
        opening = self._scope.select(table, sa.func.count()).where(
            table.c.revoked_at.is_(None),
            sa.or_(table.c.expires_at.is_(None), table.c.expires_at > self._scope.now()),
        )
        if (await self._scope.connection.execute(opening)).scalar_one() >= MOST_KEYS:
            raise Conflict(f"At most {MOST_KEYS} keys.", message_key="keys_too_many")
