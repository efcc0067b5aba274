"""Texts as rows: what is put into the outbox, and what is read from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from storage.schema import channel_messages_log as table
from storage.schema import text_events


@dataclass(frozen=True, slots=True)
class NewText:
    """A text to be sent: `template` with `variables`, or `body` (of an email with `subject`).

    `purpose` service | marketing | answer | owner; None: the template's own, or service. `language`
    None: the contact's, or the tenant's. `dedupe_key`: the second one of the same key isn't put.
    `not_before`, `expires_at`: when it may go, and when it is of no use any more. `in_reply_to` and
    `references`: Message-IDs, or the id of the WhatsApp message that is quoted. `buttons`: id and
    title each. `attachments`: name, media type, content, and whether it is another form of the
    message. `on_end`: a kind of job that is put with {"text_id": …} when the text has certainly not
    arrived (failed, expired, suppressed). `link_base`: our public address, for links that put a
    stop to it. `even_if_off`: also on a channel that is switched off (a trial). `sender`: by which
    of our numbers it goes (E.164), None by the channel's own sender. `replies`: somebody can answer
    the deployment's sender; where nobody can answer, SMS end with a link that puts a stop to them.
    """

    channel: str
    to: str = field(repr=False)
    purpose: str | None = None
    template: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    language: str | None = None
    body: str | None = field(default=None, repr=False)
    subject: str | None = field(default=None, repr=False)
    contact_id: str | None = None
    conversation_id: str | None = None
    appointment_id: str | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    dedupe_key: str | None = None
    not_before: datetime | None = None
    expires_at: datetime | None = None
    created_by: str = ""
    buttons: tuple[tuple[str, str], ...] = ()
    attachments: tuple[tuple[str, str, str, bool], ...] = field(default=(), repr=False)
    automatic: bool = False
    reply_to: str = ""
    on_end: str = ""
    link_base: str = ""
    even_if_off: bool = False
    sender: str | None = None
    replies: bool = True


@dataclass(frozen=True, slots=True)
class Text:
    """A text as it is stored. `status`: domain/delivery.py. `reason`: why it didn't arrive, in
    the tenant's language; `code`: the vendor's or ours. `extras`: what only sending needs."""

    id: str
    channel: str
    to: str = field(repr=False)
    status: str
    purpose: str
    body: str = field(repr=False)
    subject: str = field(repr=False)
    template: str | None
    template_version: int | None
    language: str | None
    contact_id: str | None
    conversation_id: str | None
    appointment_id: str | None
    in_reply_to: str | None
    created_by: str
    lane: str
    position: int
    attempts: int
    sender: str | None
    vendor: str | None
    vendor_id: str | None
    message_id: str | None
    code: str | None
    reason: str | None
    segments: int | None
    encoding: str | None
    price_micros: int | None
    price_currency: str | None
    not_before: datetime | None
    expires_at: datetime | None
    due_at: datetime | None
    created_at: datetime
    claimed_by: str | None
    claimed_at: datetime | None
    accepted_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    failed_at: datetime | None
    settled_at: datetime | None
    extras: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class TextFilter:
    """Which texts: those of which all that isn't None is so. `since` ≤ put < `until`."""

    channel: str | None = None
    status: str | None = None
    purpose: str | None = None
    contact_id: str | None = None
    conversation_id: str | None = None
    appointment_id: str | None = None
    template: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    to: str | None = None


@dataclass(frozen=True, slots=True)
class TextEvent:
    """Something that was heard of a text."""

    at: datetime
    status: str
    source: str
    code: str | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a vendor says became of a text. `status`: one of ours; `word`: the vendor's own. `key`
    tells two reports apart: the same one twice has the same."""

    status: str
    source: str
    word: str
    code: str | None = None
    at: datetime | None = None
    vendor_id: str | None = None
    segments: int | None = None
    price_micros: int | None = None
    price_currency: str | None = None

    @property
    def key(self) -> str:
        """As `text_events.event_key`."""
        return ":".join((self.source, self.word, self.code or "", self.vendor_id or ""))


COLUMNS: Final = tuple(table.c)


def text_of(row: sa.RowMapping) -> Text:
    """A row of the log, also of one that was written before there was an outbox."""
    return Text(
        id=row["id"],
        channel=row["channel_type"],
        to=row["to_address"],
        status=row["status"],
        purpose=row["purpose"] or "service",
        body=row["content"] or "",
        subject=row["subject"] or "",
        template=row["template_name"],
        template_version=row["template_version"],
        language=row["template_language"],
        contact_id=row["contact_id"],
        conversation_id=row["conversation_id"],
        appointment_id=row["appointment_id"],
        in_reply_to=row["in_reply_to"],
        created_by=row["created_by"] or "",
        lane=row["lane"] or "",
        position=row["position"] or 0,
        attempts=row["attempts"],
        sender=row["sender"],
        vendor=row["provider"],
        vendor_id=row["external_message_id"],
        message_id=row["message_id"],
        code=row["error_code"],
        reason=row["error_message"],
        segments=row["segments"],
        encoding=row["encoding"],
        price_micros=row["price_micros"],
        price_currency=row["price_currency"],
        **{name: row[name] for name in _INSTANTS},
        claimed_by=row["claimed_by"],
        extras=row["extras"],
    )


_INSTANTS: Final = (
    "not_before",
    "expires_at",
    "due_at",
    "created_at",
    "claimed_at",
    "accepted_at",
    "sent_at",
    "delivered_at",
    "read_at",
    "failed_at",
    "settled_at",
)


def event_of(row: sa.RowMapping) -> TextEvent:
    """A row of `text_events`."""
    return TextEvent(**{name: row[name] for name in ("at", "status", "source", "code", "detail")})


EVENT_COLUMNS: Final = tuple(text_events.c)
