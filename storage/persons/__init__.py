"""What somebody may ask a business for: all that it holds about them, and to be forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.errors import NotFound
from storage.persons.addresses import asked_for
from storage.persons.erasure import ERASE, RECORDING, VAPI_CALL, Erased, erase
from storage.persons.export import export
from storage.persons.finding import MOST_ROWS
from storage.schema import contacts, erasures
from storage.scope import Scope

__all__ = ["ERASE", "MOST_ROWS", "RECORDING", "VAPI_CALL", "Erased", "Held", "Persons"]


@dataclass(frozen=True, slots=True)
class Held:
    """`addresses`: (kind, value), also those that were found on the way; `records` by table, with
    its columns; `elsewhere`: calls of other people in which something was done for them, which
    aren't shown."""

    contact_ids: tuple[str, ...]
    addresses: tuple[tuple[str, str], ...]
    records: dict[str, list[dict[str, Any]]] = field(repr=False)
    elsewhere: int


class Persons:
    """A tenant's, found by an address: phone in any spelling, email, WhatsApp number or id."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def export(
        self, *, phone: str | None = None, email: str | None = None, whatsapp: str | None = None
    ) -> Held:
        """Everything about whoever has one of these. Invalid when none is an address, Conflict
        when it is more than MOST_ROWS of a kind."""
        person, records = await export(self._scope, asked_for(phone, email, whatsapp))
        return Held(
            contact_ids=tuple(person.of(contacts)),
            addresses=tuple(person.keys),
            records=records,
            elsewhere=len(person.elsewhere),
        )

    async def erase(
        self,
        *,
        phone: str | None = None,
        email: str | None = None,
        whatsapp: str | None = None,
        cancel_appointments: bool = False,
    ) -> Erased:
        """Forget them, in this transaction; idempotent. Invalid as above. Conflict while they are
        on the telephone, a text is on its way, or appointments are to come that aren't to be
        cancelled. NoKey: they refused texts, and nothing is there to remember it by."""
        keys = asked_for(phone, email, whatsapp)
        return await erase(self._scope, keys, cancel_appointments=cancel_appointments)

    async def pending(self, erasure_id: str) -> Sequence[tuple[str, str]]:
        """What vendors must still delete for an erasure: (RECORDING | VAPI_CALL, id). NotFound."""
        row = await self._scope.first(
            self._scope.select(erasures, erasures.c.pending).where(erasures.c.id == erasure_id)
        )
        if row is None:
            raise NotFound("no such erasure")
        return [(kind, vendor_id) for kind, vendor_id in row["pending"]]

    async def settled(self, erasure_id: str, left: Sequence[tuple[str, str]]) -> None:
        """So much is left; nothing: the erasure is finished."""
        values: dict[str, Any] = {"pending": [list(each) for each in left]}
        if not left:
            values["finished_at"] = self._scope.now()
        statement = self._scope.update(erasures).where(erasures.c.id == erasure_id)
        await self._scope.connection.execute(statement.values(**values))
