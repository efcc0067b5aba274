"""All that happened with one person, on any channel, the latest first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from domain.errors import Invalid
from storage.cursors import cursor_of, position
from storage.schema import (
    call_logs,
    channel_messages_log,
    conversation_messages,
    conversations,
    qualified_prospects,
    rendez_vous,
    tickets,
)
from storage.scope import MAX_PAGE, Scope


@dataclass(frozen=True, slots=True)
class TimelineItem:
    """`kind`: call | appointment | prospect | ticket | text_out | text_in; `data` by kind."""

    kind: str
    id: str
    at: datetime
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Source:
    """Rows of one table: when they happened, and what is shown of them."""

    table: sa.Table
    at: sa.Column[Any]
    columns: tuple[sa.ColumnElement[Any], ...]

    def statement(self, scope: Scope, contact_id: str) -> sa.Select[Any]:
        return scope.select(self.table, self.table.c.id, self.at.label("at"), *self.columns).where(
            self._whose(scope, contact_id)
        )

    def _whose(self, scope: Scope, contact_id: str) -> sa.ColumnElement[bool]:
        if self.table is not conversation_messages:
            return self.table.c.contact_id == contact_id
        # What we wrote is in the outbox; here stands what they did.
        theirs = scope.select(conversations, conversations.c.id).where(
            conversations.c.contact_id == contact_id
        )
        it = conversation_messages.c
        return sa.and_(it.author == "customer", it.conversation_id.in_(theirs))


_SOURCES: Final[Mapping[str, _Source]] = {
    "call": _Source(
        call_logs,
        call_logs.c.started_at,
        (
            call_logs.c.direction,
            call_logs.c.outcome,
            call_logs.c.duration_seconds,
            call_logs.c.summary,
        ),
    ),
    "appointment": _Source(
        rendez_vous,
        rendez_vous.c.created_at,
        (
            rendez_vous.c.starts_at,
            rendez_vous.c.status,
            rendez_vous.c.rdv_type.label("service"),
            rendez_vous.c.customer_name,
        ),
    ),
    "prospect": _Source(
        qualified_prospects,
        qualified_prospects.c.created_at,
        (
            qualified_prospects.c.interest_type.label("interest"),
            qualified_prospects.c.qualification_status.label("status"),
            qualified_prospects.c.qualification_score.label("score"),
        ),
    ),
    "ticket": _Source(
        tickets,
        tickets.c.created_at,
        (tickets.c.subject, tickets.c.category, tickets.c.priority, tickets.c.status),
    ),
    "text_out": _Source(
        channel_messages_log,
        channel_messages_log.c.created_at,
        (
            channel_messages_log.c.channel_type.label("channel"),
            channel_messages_log.c.template_name.label("template"),
            channel_messages_log.c.content,
            channel_messages_log.c.status,
        ),
    ),
    "text_in": _Source(
        conversation_messages,
        conversation_messages.c.created_at,
        (conversation_messages.c.conversation_id, conversation_messages.c.content),
    ),
}


async def timeline(
    scope: Scope, contact_id: str, limit: int, cursor: str | None
) -> tuple[list[TimelineItem], str | None]:
    """A page of one person's, and the cursor of the next, None at the end. Invalid for a bad limit
    or cursor."""
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid(f"must lie between 1 and {MAX_PAGE}", field="limit")
    found: list[TimelineItem] = []
    for kind, source in _SOURCES.items():
        statement = source.statement(scope, contact_id)
        if cursor:
            at, last = position(cursor)
            after = sa.and_(source.at == at, source.table.c.id > last)
            statement = statement.where(sa.or_(source.at < at, after))
        order = (source.at.desc(), source.table.c.id)
        for row in await scope.all(statement.order_by(*order).limit(limit + 1)):
            values = dict(row)
            found.append(TimelineItem(kind, values.pop("id"), values.pop("at"), values))
    found.sort(key=lambda item: item.id)
    found.sort(key=lambda item: item.at, reverse=True)
    page = found[:limit]
    following = cursor_of(page[-1].at, page[-1].id) if len(found) > limit else None
    return page, following
