"""A tenant's text conversations: who wrote what, and who answers.

One conversation per channel and address. Messages are numbered; an answer is to all messages up to
a number, and counts only if nobody has taken the conversation over and nothing was written since.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa

from domain.errors import Invalid, NotFound
from storage.conflicts import insert_unless_taken
from storage.cursors import FIRST_PART, Listed, Part, listed
from storage.schema import channel_messages_log as sent
from storage.schema import conversation_messages as messages
from storage.schema import conversations as table
from storage.scope import Scope, new_id

#: text-channels.md §1.9: each message of a customer opens WhatsApp's window anew.
WINDOW: Final = timedelta(hours=24)
#: Turns that a model is told of.
HISTORY: Final = 40
AGENT, HUMAN = "agent", "human"


@dataclass(frozen=True, slots=True)
class Conversation:
    """`thread` is an e-mail's {subject, message_id, references}; instants are aware."""

    id: str
    tenant_id: str
    channel: str
    address: str = field(repr=False)
    contact_id: str | None
    our_address: str
    name: str = field(repr=False)
    handled_by: str
    handled_since: datetime | None
    status: str
    thread: dict[str, Any] = field(repr=False)
    last_seq: int
    answered_seq: int
    ai_disclosed_at: datetime | None
    window_expires_at: datetime | None
    last_inbound_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def waits(self) -> bool:
        """Something was written that has no answer yet."""
        return self.answered_seq < self.last_seq

    def answers_by(self, numbers: Collection[str]) -> str | None:
        """The number that an SMS is answered by: the one that was written to, if it is one of these
        (E.164), and otherwise None: the channel's own sender."""
        ours = self.channel == "sms" and self.our_address in numbers
        return self.our_address if ours else None


@dataclass(frozen=True, slots=True)
class Received:
    """What came in. `author`: customer, or owner for an answer that was sent past us."""

    content: str = field(repr=False)
    vendor_id: str
    author: str = "customer"
    media: Sequence[Mapping[str, Any]] = ()
    button: str = ""
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a conversation, whichever way it went. `author`: customer | agent | owner;
    `seq` is a customer's message's number, 0 for what we sent; `status` of what we sent."""

    id: str
    at: datetime
    author: str
    content: str = field(repr=False)
    seq: int = 0
    media: tuple[Mapping[str, Any], ...] = ()
    button: str = ""
    status: str = ""
    appointment_id: str | None = None


class Conversations:
    """A tenant's conversations."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def open(
        self, channel: str, address: str, *, contact_id: str | None, our_address: str, name: str
    ) -> Conversation:
        """The conversation with this address, begun if there is none yet."""
        now = self._scope.now()
        row = {
            "id": new_id(),
            "tenant_id": self._scope.tenant_id,
            "channel": channel,
            "address": address,
            "contact_id": contact_id,
            "our_address": our_address,
            "name": name,
            "created_at": now,
            "updated_at": now,
        }
        if not await insert_unless_taken(self._scope.connection, table, row):
            changes = {"contact_id": contact_id, "our_address": our_address, "name": name}
            kept = {key: value for key, value in changes.items() if value}
            if kept:
                change = self._scope.update(table).where(
                    table.c.channel == channel, table.c.address == address
                )
                await self._scope.connection.execute(change.values(**kept))
        found = await self.with_address(channel, address)
        assert found is not None, "inserted, or there before"
        return found

    async def receive(
        self,
        conversation_id: str,
        new: Received,
        *,
        settled: bool = False,
        for_human: bool = False,
    ) -> Conversation:
        """Add what came in, as number `last_seq` of the conversation that is returned. Whoever
        repeats a message was stopped before (`storage.inbound`). `settled`: it wants no answer, and
        neither does what came before it. `for_human`: the agent is silent from now on."""
        now = self._scope.now()
        changes: dict[str, Any] = {
            "last_seq": table.c.last_seq + 1,
            "status": "open",
            "updated_at": now,
        }
        if new.author == "customer":
            changes["last_inbound_at"] = now
            changes["window_expires_at"] = (new.sent_at or now) + WINDOW
        if for_human or new.author != "customer":
            changes |= {"handled_by": HUMAN, "handled_since": now}
        if settled or new.author != "customer":
            changes["answered_seq"] = table.c.last_seq + 1
        statement = self._scope.update(table).where(table.c.id == conversation_id)
        await self._scope.connection.execute(statement.values(**changes))
        conversation = await self.get(conversation_id)
        await self._scope.insert(
            messages,
            id=new_id(),
            conversation_id=conversation_id,
            seq=conversation.last_seq,
            author=new.author,
            content=new.content,
            media=[dict(each) for each in new.media],
            vendor_id=new.vendor_id,
            button=new.button,
            sent_at=new.sent_at,
            created_at=now,
        )
        self._publish("conversation.message", conversation, {"author": new.author})
        return conversation

    async def get(self, conversation_id: str) -> Conversation:
        """One of the tenant's. NotFound."""
        row = await self._scope.first(
            self._scope.select(table).where(table.c.id == conversation_id)
        )
        if row is None:
            raise NotFound("no such conversation")
        return Conversation(**row)

    async def with_address(self, channel: str, address: str) -> Conversation | None:
        """The conversation with this address, if there is one."""
        row = await self._scope.first(
            self._scope.select(table).where(table.c.channel == channel, table.c.address == address)
        )
        return None if row is None else Conversation(**row)

    async def lines(self, conversation_id: str, limit: int = HISTORY) -> list[Line]:
        """The last messages of both sides, oldest first; of ours also what was sent to the same
        address before anybody answered there: the reminder that is being replied to."""
        if not 1 <= limit <= 500:
            raise Invalid("must lie between 1 and 500", field="limit")
        conversation = await self.get(conversation_id)
        came = self._scope.select(messages).where(messages.c.conversation_id == conversation_id)
        received = await self._scope.all(came.order_by(messages.c.seq.desc()).limit(limit))
        went = self._scope.select(
            sent,
            sent.c.id,
            sent.c.created_at,
            sent.c.content,
            sent.c.status,
            sent.c.purpose,
            sent.c.appointment_id,
            sent.c.created_by,
        ).where(
            sa.or_(
                sent.c.conversation_id == conversation_id,
                sa.and_(
                    sent.c.conversation_id.is_(None),
                    sent.c.channel_type == conversation.channel,
                    sent.c.to_address == conversation.address,
                    sent.c.purpose != "owner",
                ),
            )
        )
        answers = await self._scope.all(
            went.order_by(sent.c.created_at.desc(), sent.c.id).limit(limit)
        )
        lines = [
            Line(
                id=row["id"],
                at=row["created_at"],
                author=row["author"],
                content=row["content"],
                seq=row["seq"],
                media=tuple(row["media"]),
                button=row["button"],
            )
            for row in received
        ]
        lines += [
            Line(
                id=row["id"],
                at=row["created_at"],
                author="owner" if row["created_by"] == HUMAN else "agent",
                content=row["content"] or "",
                status=row["status"],
                appointment_id=row["appointment_id"],
            )
            for row in answers
        ]
        return sorted(lines, key=lambda line: (line.at, not line.seq, line.seq))[-limit:]

    async def unanswered(self, conversation_id: str, after: int) -> list[Line]:
        """What customers wrote with a greater number, in order."""
        statement = self._scope.select(messages).where(
            messages.c.conversation_id == conversation_id,
            messages.c.seq > after,
            messages.c.author == "customer",
        )
        return [
            Line(
                id=row["id"],
                at=row["created_at"],
                author="customer",
                content=row["content"],
                seq=row["seq"],
                media=tuple(row["media"]),
                button=row["button"],
            )
            for row in await self._scope.all(statement.order_by(messages.c.seq))
        ]

    async def answered(self, conversation_id: str, seq: int, *, disclosed: bool = False) -> bool:
        """Everything up to this number has its answer, which is put into the outbox in this very
        transaction. False, and nothing is changed, when a person has taken the conversation over,
        or something was written meanwhile: then the answer isn't wanted any more."""
        now = self._scope.now()
        changes: dict[str, Any] = {"answered_seq": seq, "updated_at": now}
        if disclosed:
            changes["ai_disclosed_at"] = now
        changed = await self._scope.connection.execute(
            self._scope.update(table)
            .where(
                table.c.id == conversation_id,
                table.c.handled_by == AGENT,
                table.c.last_seq == seq,
                table.c.answered_seq < seq,
            )
            .values(**changes)
        )
        return bool(changed.rowcount)

    async def may_answer(self, conversation_id: str, seq: int) -> bool:
        """Just before an answer of the agent's leaves: still nobody else's, and still the last."""
        conversation = await self.get(conversation_id)
        return conversation.handled_by == AGENT and conversation.last_seq == seq

    def window_open(self, conversation: Conversation) -> bool:
        """Whether WhatsApp lets us write freely there now."""
        until = conversation.window_expires_at
        return until is not None and until > self._scope.now()

    async def hand_to(self, conversation_id: str, handler: str) -> Conversation:
        """A person takes it over (the agent is silent from now on), or hands it back."""
        if handler not in (AGENT, HUMAN):
            raise Invalid("must be agent or human", field="handled_by")
        now = self._scope.now()
        await self.get(conversation_id)
        await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == conversation_id)
            .values(
                handled_by=handler,
                handled_since=now,
                updated_at=now,
                # What was written meanwhile, a person has seen.
                answered_seq=table.c.last_seq,
            )
        )
        conversation = await self.get(conversation_id)
        self._publish("conversation.handled", conversation, {"handled_by": handler})
        return conversation

    async def close(self, conversation_id: str) -> Conversation:
        """Done with, until somebody writes again."""
        await self.get(conversation_id)
        await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == conversation_id)
            .values(status="closed", updated_at=self._scope.now())
        )
        return await self.get(conversation_id)

    async def remember_thread(self, conversation_id: str, thread: Mapping[str, Any]) -> None:
        """Where the next e-mail of this conversation hangs."""
        await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == conversation_id)
            .values(thread=dict(thread))
        )

    async def list(
        self,
        *,
        channel: str | None = None,
        handled_by: str | None = None,
        status: str | None = None,
        contact_id: str | None = None,
        part: Part = FIRST_PART,
    ) -> Listed[Conversation]:
        """The latest first."""
        wanted = {
            table.c.channel: channel,
            table.c.handled_by: handled_by,
            table.c.status: status,
            table.c.contact_id: contact_id,
        }
        conditions = [column == value for column, value in wanted.items() if value is not None]
        statement = self._scope.select(table).where(*conditions)
        found = await listed(self._scope, statement, table.c.updated_at, part)
        return Listed([Conversation(**row) for row in found.items], found.total, found.cursor)

    def _publish(self, kind: str, it: Conversation, data: Mapping[str, Any]) -> None:
        self._scope.publish(kind, it.id, {"channel": it.channel, "seq": it.last_seq, **data})
