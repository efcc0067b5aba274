"""What is stored of somebody's earlier calls and texts, as far as an agent is told of it.

By the number that they use: a contact may bear addresses that others dictated.
"""

from datetime import timedelta
from typing import Any, Final

import sqlalchemy as sa

from domain.memory import NOTHING, Contacted, Memory, OpenRequest, PastCall, PastText
from storage.contacts import Contact, Contacts
from storage.schema import (
    call_logs,
    contact_addresses,
    contacts,
    conversation_messages,
    conversations,
    tickets,
)
from storage.scope import Scope

#: How far back an agent remembers: a season's appointments, not a life.
REMEMBERED: Final = timedelta(days=90)
_CALLS: Final = 3
_TEXTS: Final = 4
_REQUESTS: Final = 2
#: Proofs that an address is theirs: they wrote from it, or the business gave it.
_SURE: Final = frozenset({"message", "operator"})


class Memories:
    """What a tenant remembers of people."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def contacted(self, number: str, *, except_call: str) -> Contacted | None:
        """Whether a number (E.164, "" when it is withheld) has called or written before this call,
        in one statement: every call asks."""
        if not number:
            return None
        since = self._scope.now() - REMEMBERED
        calls, its = call_logs.c, conversations.c
        last: dict[str, sa.Select[Any]] = {
            "phone": self._scope.select(call_logs, sa.func.max(calls.started_at)).where(
                calls.from_number == number, calls.id != except_call, calls.outcome.is_not(None)
            )
        }
        for channel in ("sms", "whatsapp"):
            last[channel] = self._scope.select(conversations, its.last_inbound_at).where(
                its.channel == channel, its.address == number
            )
        owner = self._scope.select(contact_addresses, contact_addresses.c.contact_id).where(
            contact_addresses.c.kind == "phone", contact_addresses.c.value == number
        )
        language = self._scope.select(contacts, contacts.c.language).where(
            contacts.c.id == owner.scalar_subquery()
        )
        asked = {**last, "language": language}
        statement = sa.select(*(each.scalar_subquery().label(key) for key, each in asked.items()))
        row = (await self._scope.connection.execute(statement)).mappings().one()
        times = [(row[channel], channel) for channel in last if row[channel] is not None]
        if not times or max(times)[0] < since:
            return None
        return Contacted(*max(times), language=row["language"] or "")

    async def of_number(self, number: str, *, except_call: str) -> Memory:
        """Of a telephone number (E.164), for whoever has proved to be its owner. Calls that are
        under way aren't remembered yet."""
        contact = await Contacts(self._scope).of(phone=number)
        return await self._of(number, contact, except_call=except_call)

    async def of_writer(
        self, number: str | None, contact_id: str | None, *, conversation_id: str
    ) -> Memory:
        """Of who writes from this number, or, without one, of the contact whose the address proved
        to be. Their conversation itself is left out."""
        contact = None if contact_id is None else await Contacts(self._scope).get(contact_id)
        if number is None:
            if contact is None or not await self._is_theirs(contact, conversation_id):
                return NOTHING
            number = next(
                (
                    each.value
                    for each in contact.addresses
                    if each.kind in ("phone", "whatsapp") and each.proof in _SURE
                ),
                None,
            )
            if number is None:
                return Memory(name=contact.name, language=contact.language or "")
        return await self._of(number, contact, except_conversation=conversation_id)

    async def _is_theirs(self, contact: Contact, conversation_id: str) -> bool:
        """An e-mail address that somebody dictated may be anybody's."""
        row = await self._scope.first(
            self._scope.select(conversations, conversations.c.address).where(
                conversations.c.id == conversation_id
            )
        )
        return row is not None and any(
            each.value == row["address"] and each.proof in _SURE for each in contact.addresses
        )

    async def _of(
        self,
        number: str,
        contact: Contact | None,
        *,
        except_call: str | None = None,
        except_conversation: str | None = None,
    ) -> Memory:
        return Memory(
            name=contact.name if contact else "",
            language=(contact.language or "") if contact else "",
            calls=await self._calls(number, except_call),
            texts=await self._texts(number, except_conversation),
            requests=await self._requests(number),
        )

    async def _calls(self, number: str, except_call: str | None) -> list[PastCall]:
        it = call_logs.c
        statement = self._scope.select(
            call_logs, it.started_at, it.outcome, it.summary, it.transcript
        ).where(
            it.from_number == number,
            it.started_at >= self._scope.now() - REMEMBERED,
            it.outcome.is_not(None),
            it.id != (except_call or ""),
        )
        rows = await self._scope.all(statement.order_by(it.started_at.desc()).limit(_CALLS))
        return [
            PastCall(
                row["started_at"], row["outcome"], row["summary"] or "", row["transcript"] or ""
            )
            for row in rows
        ]

    async def _texts(self, number: str, except_conversation: str | None) -> list[PastText]:
        it = conversation_messages.c
        theirs = self._scope.select(conversations, conversations.c.id).where(
            conversations.c.channel.in_(("sms", "whatsapp")),
            conversations.c.address == number,
            conversations.c.id != (except_conversation or ""),
        )
        statement = self._scope.select(
            conversation_messages, it.created_at, it.content, it.conversation_id
        ).where(
            it.conversation_id.in_(theirs),
            it.author == "customer",
            it.content != "",
            it.created_at >= self._scope.now() - REMEMBERED,
        )
        rows = await self._scope.all(statement.order_by(it.created_at.desc(), it.id).limit(_TEXTS))
        if not rows:
            return []
        channels = {
            row["id"]: row["channel"]
            for row in await self._scope.all(
                self._scope.select(
                    conversations, conversations.c.id, conversations.c.channel
                ).where(conversations.c.id.in_({row["conversation_id"] for row in rows}))
            )
        }
        return [
            PastText(row["created_at"], channels[row["conversation_id"]], row["content"])
            for row in rows
        ]

    async def _requests(self, number: str) -> list[OpenRequest]:
        it = tickets.c
        calls = sa.select(call_logs.c.id).where(
            call_logs.c.tenant_id == self._scope.tenant_id, call_logs.c.from_number == number
        )
        statement = self._scope.select(tickets, it.created_at, it.subject).where(
            it.status.in_(("open", "in_progress")),
            it.created_at >= self._scope.now() - REMEMBERED,
            # Made by them: what others dictated for this number is theirs.
            sa.or_(
                it.call_id.in_(calls), sa.and_(it.customer_phone == number, it.call_id.is_(None))
            ),
        )
        rows = await self._scope.all(statement.order_by(it.created_at.desc()).limit(_REQUESTS))
        return [OpenRequest(row["created_at"], row["subject"]) for row in rows]
