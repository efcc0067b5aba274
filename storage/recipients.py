"""Whom a tenant may write to: whom it knows by a call, a text, an appointment, or its own word."""

from typing import Final

import sqlalchemy as sa

from storage.contacts import Contacts
from storage.schema import (
    call_logs,
    conversations,
    qualified_prospects,
    rendez_vous,
    tickets,
)
from storage.scope import Scope

#: By which of a contact's addresses a channel goes, the best one first.
_KINDS: Final = {
    "sms": ("phone",),
    "whatsapp": ("whatsapp", "whatsapp_id", "phone"),
    "email": ("email",),
}
#: Where an address may stand without a contact: rows older than the contacts.
_PLACES: Final = {
    "email": (
        (rendez_vous, "customer_email"),
        (qualified_prospects, "email"),
        (tickets, "customer_email"),
    ),
    "phone": (
        (call_logs, "from_number"),
        (rendez_vous, "customer_phone"),
        (qualified_prospects, "phone"),
        (tickets, "customer_phone"),
    ),
}


class Recipients:
    """A tenant's."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def contact_at(self, channel: str, address: str) -> str | None:
        """The contact who has this address."""
        contacts = Contacts(self._scope)
        if channel == "email":
            contact = await contacts.of(email=address)
        elif channel == "whatsapp":
            contact = await contacts.of(whatsapp=address)
        else:
            contact = await contacts.of(phone=address)
        return None if contact is None else contact.id

    async def address_of(self, contact_id: str, channel: str) -> str:
        """The best known address of a contact for this channel; "" without, and of no contact."""
        contact = await Contacts(self._scope).get(contact_id)
        if contact is None:
            return ""
        return next(filter(None, map(contact.address, _KINDS[channel])), "")

    async def knows(self, channel: str, address: str) -> bool:
        """Whether this address has to do with the tenant, contact or not: they called, wrote, or
        left it with an appointment, a request or a ticket."""
        text = address.lower()
        for table, name in _PLACES["email" if channel == "email" else "phone"]:
            column = table.c[name]
            same = sa.func.lower(column) == text if channel == "email" else column == address
            if await self._any(table, same):
                return True
        wrote = sa.and_(conversations.c.channel == channel, conversations.c.address == address)
        if await self._any(conversations, wrote):
            return True
        return await self.contact_at(channel, address) is not None

    async def _any(self, table: sa.Table, condition: sa.ColumnElement[bool]) -> bool:
        statement = self._scope.select(table, sa.literal(1)).where(condition).limit(1)
        return await self._scope.first(statement) is not None
