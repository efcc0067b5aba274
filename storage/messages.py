"""Texts sent (`channel_messages_log`) and how far each got."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from domain.errors import Invalid
from storage.schema import CHANNEL_TYPES, MESSAGE_STATUSES
from storage.schema import channel_messages_log as table
from storage.scope import Scope, new_id

#: From which states each state may be reached: reports overtake each other, a message never goes
#: backwards, and a failure is final.
_EARLIER = {
    "pending": (),
    "sent": ("pending",),
    "delivered": ("pending", "sent"),
    "read": ("pending", "sent", "delivered"),
    "failed": ("pending", "sent"),
}

_REACHED_AT = {
    "sent": "sent_at",
    "delivered": "delivered_at",
    "read": "read_at",
    "failed": "failed_at",
}


@dataclass(frozen=True, slots=True)
class NewMessage:
    """`external_id` is the vendor's, known once it has accepted the message."""

    channel_type: str
    to_address: str
    provider: str
    content: str | None = None
    subject: str | None = None
    template_name: str | None = None
    external_id: str | None = None
    status: str = "pending"


class Messages:
    """A tenant's messages."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def add(self, new: NewMessage) -> str:
        """Log one; its id."""
        if new.channel_type not in CHANNEL_TYPES:
            raise Invalid(f"must be one of {', '.join(CHANNEL_TYPES)}", field="channel_type")
        _check_status(new.status)
        message_id = new_id()
        await self._scope.insert(
            table,
            id=message_id,
            channel_type=new.channel_type,
            to_address=new.to_address,
            provider=new.provider,
            content=new.content,
            subject=new.subject,
            template_name=new.template_name,
            external_message_id=new.external_id,
            status=new.status,
            created_at=self._scope.now(),
        )
        return message_id

    async def record_status(
        self, external_id: str, status: str, error_code: str | None, at: datetime
    ) -> bool:
        """Move a message forward; False when it isn't the tenant's, is there already or further."""
        moved = advance(self._scope.update(table), external_id, status, error_code, at)
        return (await self._scope.connection.execute(moved)).rowcount > 0


def advance(
    messages: sa.Update, external_id: str, status: str, error_code: str | None, at: datetime
) -> sa.Update:
    """The statement that moves one of `messages` forward to `status` (one of ours, not the
    vendor's). It changes no row when the message is unknown, there already or further."""
    _check_status(status)
    values: dict[str, Any] = {"status": status}
    if status in _REACHED_AT:
        values[_REACHED_AT[status]] = at
    if error_code is not None:
        values["error_code"] = error_code
    return messages.where(
        table.c.external_message_id == external_id, table.c.status.in_(_EARLIER[status])
    ).values(**values)


def _check_status(status: str) -> None:
    if status not in MESSAGE_STATUSES:
        raise Invalid(f"must be one of {', '.join(MESSAGE_STATUSES)}", field="status")
