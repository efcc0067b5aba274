"""Keyed hashes of addresses: they outlive the address, so that whoever refused stays refused after
they were erased (text-channels.md §7).

Each tenant has a random key, kept sealed: whoever reads the database alone can't try all telephone
numbers, and the same person at two businesses has two hashes.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final

from storage.conflicts import insert_unless_taken
from storage.schema import suppression_keys as table
from storage.scope import Scope, new_id

#: What a key is sealed for, where channels say their name (storage/sealed_rows.py).
SUPPRESSION: Final = "suppression"


async def address_hash(scope: Scope, channel: str, address: str) -> str:
    """The hash of an address on a channel, in hexadecimal. Makes the tenant's key when it has none.
    NoKey without a key ring."""
    sealed = await _sealed(scope)
    if sealed is None:
        key = base64.b64encode(secrets.token_bytes(32))
        row = {
            "id": new_id(),
            "tenant_id": scope.tenant_id,
            "sealed": scope.keys.seal(key, scope.tenant_id, SUPPRESSION),
            "created_at": scope.now(),
        }
        await insert_unless_taken(scope.connection, table, row)
        sealed = await _sealed(scope)
        assert sealed is not None, "inserted, or there before"
    return _hash(scope, sealed, channel, address)


async def known_hash(scope: Scope, channel: str, address: str) -> str | None:
    """The same for whoever only looks: None as long as there is no key, and so no hash."""
    sealed = await _sealed(scope)
    return None if sealed is None else _hash(scope, sealed, channel, address)


async def _sealed(scope: Scope) -> str | None:
    row = await scope.first(scope.select(table, table.c.sealed))
    return None if row is None else str(row["sealed"])


def _hash(scope: Scope, sealed: str, channel: str, address: str) -> str:
    key = scope.keys.open(sealed, scope.tenant_id, SUPPRESSION)
    # An email address is the same in capitals; of telephone numbers there is one spelling.
    text = f"{channel}\n{address.casefold()}"
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
