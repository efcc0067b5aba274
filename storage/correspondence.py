"""All that was written, both ways: what is in the outbox, and what came in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from domain.errors import Invalid
from storage.cursors import behind, cursor_of
from storage.schema import channel_messages_log as sent
from storage.schema import contacts, conversations
from storage.schema import conversation_messages as received
from storage.scope import MAX_PAGE, Scope


@dataclass(frozen=True, slots=True)
class Letter:
    """One text. `author`: customer, owner, or who had it sent; `status` of what we sent, "received"
    of what came in; `address` the customer's."""

    id: str
    at: datetime
    outgoing: bool
    channel: str
    address: str = field(repr=False)
    author: str
    status: str
    content: str = field(repr=False)
    subject: str | None = field(repr=False)
    template: str | None
    contact_id: str | None
    name: str | None = field(repr=False)
    conversation_id: str | None
    appointment_id: str | None


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which: those of which all that isn't None is so. `since` ≤ written < `until`."""

    channel: str | None = None
    contact_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


EVERY: Final = LetterFilter()


class Letters(NamedTuple):
    """A part of the list, and where it goes on; None: that was all."""

    items: list[Letter]
    cursor: str | None


class Correspondence:
    """A tenant's."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def list(
        self, which: LetterFilter = EVERY, *, limit: int = 50, cursor: str | None = None
    ) -> Letters:
        """The latest first. What was written to the owner isn't in it. Invalid for a bad limit or
        cursor."""
        if not 1 <= limit <= MAX_PAGE:
            raise Invalid(f"must lie between 1 and {MAX_PAGE}", field="limit")
        found: list[Letter] = []
        for statement, at, identifier, outgoing in self._both(which):
            part = statement
            if cursor:
                part = part.where(behind(cursor, at, identifier))
            rows = await self._scope.all(part.order_by(at.desc(), identifier).limit(limit + 1))
            found += [Letter(outgoing=outgoing, **row) for row in rows]
        found.sort(key=lambda letter: letter.id)
        found.sort(key=lambda letter: letter.at, reverse=True)
        page = found[:limit]
        return Letters(page, cursor_of(page[-1].at, page[-1].id) if len(found) > limit else None)

    async def counts(self, which: LetterFilter = EVERY) -> Mapping[str, int]:
        """How many there are, by channel."""
        counts: dict[str, int] = {}
        for statement, *_ in self._both(which):
            part = statement.subquery()
            by_channel = sa.select(part.c.channel, sa.func.count()).group_by(part.c.channel)
            for channel, count in (await self._scope.connection.execute(by_channel)).all():
                counts[channel] = counts.get(channel, 0) + int(count)
        return counts

    def _both(
        self, which: LetterFilter
    ) -> Sequence[tuple[sa.Select[Any], sa.Column[Any], sa.Column[Any], bool]]:
        return (
            (self._sent(which), sent.c.created_at, sent.c.id, True),
            (self._received(which), received.c.created_at, received.c.id, False),
        )

    def _sent(self, which: LetterFilter) -> sa.Select[Any]:
        statement = (
            self._scope.select(
                sent,
                sent.c.id,
                sent.c.created_at.label("at"),
                sent.c.channel_type.label("channel"),
                sent.c.to_address.label("address"),
                sa.func.coalesce(sent.c.created_by, "").label("author"),
                sent.c.status,
                sa.func.coalesce(sent.c.content, "").label("content"),
                sent.c.subject,
                sent.c.template_name.label("template"),
                sent.c.contact_id,
                contacts.c.name,
                sent.c.conversation_id,
                sent.c.appointment_id,
            )
            .outerjoin(
                contacts,
                sa.and_(
                    contacts.c.tenant_id == sent.c.tenant_id, contacts.c.id == sent.c.contact_id
                ),
            )
            .where(sa.func.coalesce(sent.c.purpose, "service") != "owner")
        )
        wanted = {sent.c.channel_type: which.channel, sent.c.contact_id: which.contact_id}
        return _narrowed(statement, wanted, sent.c.created_at, which)

    def _received(self, which: LetterFilter) -> sa.Select[Any]:
        its = conversations.c
        statement = (
            self._scope.select(
                received,
                received.c.id,
                received.c.created_at.label("at"),
                its.channel,
                its.address,
                received.c.author,
                sa.literal("received").label("status"),
                sa.func.coalesce(received.c.content, "").label("content"),
                sa.null().label("subject"),
                sa.null().label("template"),
                its.contact_id,
                sa.func.coalesce(contacts.c.name, its.name).label("name"),
                received.c.conversation_id,
                sa.null().label("appointment_id"),
            )
            .join(
                conversations,
                sa.and_(
                    its.tenant_id == received.c.tenant_id, its.id == received.c.conversation_id
                ),
            )
            .outerjoin(
                contacts,
                sa.and_(contacts.c.tenant_id == its.tenant_id, contacts.c.id == its.contact_id),
            )
        )
        wanted = {its.channel: which.channel, its.contact_id: which.contact_id}
        return _narrowed(statement, wanted, received.c.created_at, which)


def _narrowed(
    statement: sa.Select[Any],
    wanted: Mapping[sa.Column[Any], Any],
    at: sa.Column[Any],
    which: LetterFilter,
) -> sa.Select[Any]:
    for column, value in wanted.items():
        if value is not None:
            statement = statement.where(column == value)
    if which.since is not None:
        statement = statement.where(at >= which.since)
    if which.until is not None:
        statement = statement.where(at < which.until)
    return statement
