"""Whose an address is: found, or given to somebody, under any concurrency."""

import hashlib
from collections.abc import Collection, Sequence
from typing import Final

import sqlalchemy as sa

from domain.errors import Conflict
from domain.people import email_address, whatsapp_id, whatsapp_number
from domain.phone import normalise
from storage.conflicts import unless_taken
from storage.schema import call_logs
from storage.schema import contact_addresses as addresses
from storage.schema import contacts as table
from storage.scope import Scope, new_id

#: An address: its kind (phone | email | whatsapp | whatsapp_id) and its value.
Key = tuple[str, str]

#: How often another transaction may merge the people that we have just found.
_ATTEMPTS: Final = 8
_LOCK: Final = sa.text(
    "SELECT pg_advisory_xact_lock(key) FROM unnest(CAST(:locks AS bigint[])) AS key"
)


def keys_of(phone: str | None, email: str | None, whatsapp: str | None) -> list[Key]:
    """The addresses in the order in which they are believed. A WhatsApp number is a telephone's
    too: its owner is found by either."""
    found: list[Key] = []
    number = normalise(phone)
    if number is not None:
        found.append(("phone", number))
    for part in (whatsapp or "").split():
        identity = whatsapp_id(part)
        theirs = None if identity else whatsapp_number(part)
        if theirs is not None:
            found += [("phone", theirs), ("whatsapp", theirs)]
        if identity is not None:
            found.append(("whatsapp_id", identity))
    address = email_address(email)
    if address is not None:
        found.append(("email", address))
    return list(dict.fromkeys(found))


async def owners_of(scope: Scope, keys: Sequence[Key]) -> dict[Key, str]:
    """By address, the id of whose it is; those of nobody are absent."""
    if not keys:
        return {}
    wanted = sa.or_(
        *(sa.and_(addresses.c.kind == kind, addresses.c.value == value) for kind, value in keys)
    )
    columns = (addresses.c.kind, addresses.c.value, addresses.c.contact_id)
    rows = await scope.all(scope.select(addresses, *columns).where(wanted))
    return {(row["kind"], row["value"]): row["contact_id"] for row in rows}


async def hold(scope: Scope, ids: Collection[str]) -> bool:
    """Lock these to the end of the transaction, in the order in which everybody locks them; False
    when one of them isn't there, or was merged into another."""
    statement = (
        scope.select(table, table.c.id)
        .where(table.c.id.in_(sorted(ids)), table.c.merged_into.is_(None))
        .order_by(table.c.id)
        .with_for_update()
    )
    return len(await scope.all(statement)) == len(set(ids))


async def claim(
    scope: Scope, keys: Sequence[Key], source: str, proof: str
) -> tuple[str, dict[Key, str]]:
    """Whose they are: the person to go on with, and the owner of each address. A person is made
    when nobody has any of them, and gets those that nobody has. All owners are locked. Conflict
    when they are merged again and again meanwhile."""
    await _one_at_a_time(scope, keys)
    owners = await owners_of(scope, keys)
    attempts = 1
    while not await hold(scope, set(owners.values())):
        if attempts == _ATTEMPTS:
            raise Conflict("too many others change the same people; try again")
        attempts += 1
        owners = await owners_of(scope, keys)  # merged meanwhile: they are another one's now
    main = next((owners[key] for key in keys if key in owners), None)
    main = main or await _create(scope, source)
    missing = [key for key in keys if key not in owners]
    if missing and await _attach(scope, main, missing, proof) < len(missing):
        raise Conflict("somebody else was first with one of these addresses; try again")
    return main, {**dict.fromkeys(missing, main), **owners}


async def _one_at_a_time(scope: Scope, keys: Sequence[Key]) -> None:
    """Whoever asks for one of these addresses waits until our transaction ends. The primary key
    alone would do against two owners, but two who each wait for the other's address would be a
    deadlock; these locks are taken by all in one order. SQLite has one writer."""
    if scope.connection.dialect.name != "postgresql":
        return
    locks = sorted(_lock(f"{scope.tenant_id}:{kind}:{value}") for kind, value in keys)
    await scope.connection.execute(_LOCK, {"locks": locks})


def _lock(name: str) -> int:
    """A signed 64-bit number among all advisory locks of the database."""
    digest = hashlib.blake2b(f"coccinelle.contacts:{name}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


async def _create(scope: Scope, source: str) -> str:
    contact_id, now = new_id(), scope.now()
    await scope.insert(
        table, id=contact_id, source=source, last_seen_at=now, created_at=now, updated_at=now
    )
    return contact_id


async def _attach(scope: Scope, contact_id: str, keys: Sequence[Key], proof: str) -> int:
    """Give it those addresses that nobody has; how many they were."""
    now = scope.now()
    rows = [
        {
            "tenant_id": scope.tenant_id,
            "kind": kind,
            "value": value,
            "contact_id": contact_id,
            "proof": proof,
            "last_seen_at": now,
            "created_at": now,
        }
        for kind, value in sorted(keys)
    ]
    statement = unless_taken(scope.connection, addresses, addresses.c.kind, addresses.c.value)
    taken = (await scope.connection.execute(statement, rows)).all()
    numbers = [value for kind, value in taken if kind == "phone"]
    if numbers:  # calls that came in before anybody knew whose number it is
        await scope.connection.execute(
            scope.update(call_logs)
            .where(call_logs.c.from_number.in_(numbers), call_logs.c.contact_id.is_(None))
            .values(contact_id=contact_id)
        )
    return len(taken)
