"""The outbox: every text of the product is a row here before it is sent by a durable job.

`put` never sends; the job `text.<channel>` does (messaging/outbox.py), and looks at the row first.
How a row moves is said in domain/delivery.py. A transaction that says `sending` comes before a
vendor is asked; a job that finds the `sending` of a run that is dead says `unknown`.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from domain import sms
from domain.errors import Invalid, NotFound
from domain.messages import language_of
from domain.tenant import Tenant
from domain.text_address import checked
from domain.text_defaults import KEYS, TEXT_CHANNELS
from domain.text_reasons import reason
from domain.text_templates import LONGEST_BODY, LONGEST_SUBJECT, plain_html, render
from storage.channels import Channel, Channels
from storage.conflicts import insert_unless_taken
from storage.consents import Consents
from storage.cursors import Listed, Part, listed
from storage.jobs import jobs_on
from storage.schema import MESSAGE_PURPOSES, contacts, text_events
from storage.schema import channel_messages_log as table
from storage.scope import Scope, new_id
from storage.templates import Templates
from storage.text_limits import TextLimits
from storage.text_moves import TextMoves
from storage.text_rows import NewText, Text, TextEvent, TextFilter, event_of, text_of

#: The job that sends what is put, by channel: each has its vendor's limits.
KINDS: Final[Mapping[str, str]] = {each: f"text.{each}" for each in TEXT_CHANNELS}


class _Words(NamedTuple):
    """What a text says, and what of it only sending needs."""

    body: str
    subject: str
    version: int | None
    language: str
    extras: dict[str, Any]


class Outbox(TextMoves, TextLimits):
    """A tenant's texts."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._consents = Consents(scope)
        self._channels = Channels(scope)

    # ------------------------------------------------------------------------------ putting

    async def put(self, new: NewText) -> Text:
        """Record a text and the job that sends it, in this transaction.

        The text that is there already when `dedupe_key` is known. One that mustn't go is recorded
        as `suppressed`, with the reason. Invalid when it can't be written: no such address, a
        template's value is missing (`MissingValue`), or it has neither template nor body.
        """
        new = _normalised(new)
        if new.dedupe_key is not None:
            earlier = await self.by_dedupe_key(new.dedupe_key)
            if earlier is not None:
                return earlier
        tenant = await self._scope.tenant()
        channel = await self._channels.get(new.channel)
        text_id = new_id()
        words = await self._words(new, tenant, channel, text_id)
        code = await self._refusal(new, channel)
        row = await self._row(new, tenant, words, text_id, code)
        if not await insert_unless_taken(self._scope.connection, table, row):
            same = await self.by_dedupe_key(new.dedupe_key or "")
            assert same is not None, "it is the only unique key that an insert can violate"
            return same
        await self._event(text_id, row["status"], source="us", code=code)
        if code is None:
            await self._wake(new.channel, text_id, new.not_before)
        else:
            await self._ended(text_id, row["extras"])
        text = await self.get(text_id)
        self._publish(text)
        return text

    async def alert(
        self,
        channel: str,
        address: str,
        subject: str,
        body: str,
        *,
        dedupe_key: str,
        not_before: datetime | None,
        expires_at: datetime,
    ) -> str:
        """Tell the owner; the text's id (`storage.notifications.Alerting`)."""
        text = await self.put(
            NewText(
                channel=channel,
                to=address,
                purpose="owner",
                template="alerte",
                variables={"titre": subject, "message": body},
                dedupe_key=dedupe_key,
                not_before=not_before,
                expires_at=expires_at,
                created_by="notifications",
                even_if_off=True,
            )
        )
        return text.id

    async def cancel(self, text_id: str, code: str = "cancelled") -> bool:
        """Send it not; False when it is on its way or over."""
        return await self.move(text_id, "cancelled", source="us", code=code)

    async def cancel_about(self, appointment_id: str, code: str = "appointment_changed") -> int:
        """Send nothing more about this appointment; how many texts that were."""
        waiting = await self._scope.all(
            self._scope.select(table, table.c.id).where(
                table.c.appointment_id == appointment_id, table.c.status == "queued"
            )
        )
        return sum([await self.cancel(row["id"], code) for row in waiting])

    # ------------------------------------------------------------------------------ reading

    async def get(self, text_id: str) -> Text:
        """One of the tenant's. NotFound."""
        row = await self._scope.first(self._scope.select(table).where(table.c.id == text_id))
        if row is None:
            raise NotFound("no such text", message_key="text_not_found")
        return text_of(row)

    async def by_dedupe_key(self, key: str) -> Text | None:
        """The text that was put with this key."""
        row = await self._scope.first(self._scope.select(table).where(table.c.dedupe_key == key))
        return None if row is None else text_of(row)

    async def by_message_id(self, message_id: str) -> Text | None:
        """The email with this Message-ID, or the text with this id of the vendor's."""
        row = await self._scope.first(
            self._scope.select(table)
            .where(
                sa.or_(table.c.message_id == message_id, table.c.external_message_id == message_id)
            )
            .order_by(table.c.created_at.desc())
            .limit(1)
        )
        return None if row is None else text_of(row)

    async def page(
        self, which: TextFilter, *, limit: int = 50, offset: int = 0, cursor: str | None = None
    ) -> Listed[Text]:
        """The latest first."""
        statement = self._scope.select(table)
        for name, condition in _FILTERS.items():
            value = getattr(which, name)
            if value is not None:
                statement = statement.where(condition(value))
        part = Part(limit, offset, cursor)
        found = await listed(self._scope, statement, table.c.created_at, part)
        return Listed([text_of(row) for row in found.items], found.total, found.cursor)

    async def events(self, text_id: str) -> list[TextEvent]:
        """All that was heard of a text, in the order in which it was."""
        rows = await self._scope.all(
            self._scope.select(text_events)
            .where(text_events.c.text_id == text_id)
            .order_by(text_events.c.seq)
        )
        return [event_of(row) for row in rows]

    # ------------------------------------------------------------------------------- inside

    async def _words(self, new: NewText, tenant: Tenant, channel: Channel, text_id: str) -> _Words:
        person = await self._person(new.contact_id)
        language = language_of(new.language or (person or {}).get("language") or tenant.locale)
        if new.template is None:
            words = _Words(_body(new), new.subject or "", None, language, {})
            if new.channel == "email":
                words.extras["html"] = plain_html(words.body)
        else:
            kept = await Templates(self._scope).get(new.channel, new.template, language)
            known = {
                "entreprise": tenant.name,
                "client": (person or {}).get("name") or "",
                "telephone": str((await self._phone()) or ""),
                **_unsubscribe(new, text_id),
            }
            given = {name: value for name, value in new.variables.items() if value}
            done = render(kept.template, {**known, **given}, language)
            words = _Words(done.body, done.subject, kept.template.version, language, {})
            if done.html:
                words.extras["html"] = done.html
            if kept.template.vendor_name:
                words.extras["vendor_template"] = {
                    "name": kept.template.vendor_name,
                    "language": kept.template.vendor_language,
                    "parameters": [list(each) for each in done.parameters],
                }
        if new.channel == "sms":
            words = words._replace(body=_with_a_way_out(words.body, new, channel, text_id))
            keep = channel.config.get("keepLetters") is True
            words = words._replace(body=sms.economical(words.body, keep_letters=keep))
        return words

    async def _person(self, contact_id: str | None) -> Mapping[str, Any] | None:
        if contact_id is None:
            return None
        statement = self._scope.select(contacts, contacts.c.name, contacts.c.language)
        row = await self._scope.first(statement.where(contacts.c.id == contact_id))
        if row is None:
            raise NotFound("no such contact", field="contact_id", message_key="contact_not_found")
        return dict(row)

    async def _phone(self) -> Any:
        return (await self._channels.get("phone")).config.get("clientPhoneNumber")

    async def _refusal(self, new: NewText, channel: Channel) -> str | None:
        """Why it mustn't go, if so. What is only known later is asked before sending."""
        if not new.even_if_off and new.purpose != "owner":
            if not channel.enabled:
                return "channel_off"
            chosen = channel.config.get("templates")
            if isinstance(chosen, Mapping) and chosen.get(new.template) is False:
                return "template_off"
        return await self._consents.refusal(
            new.channel, new.to, new.purpose or "service", new.contact_id
        )

    async def _row(
        self, new: NewText, tenant: Tenant, words: _Words, text_id: str, code: str | None
    ) -> dict[str, Any]:
        now = self._scope.now()
        lane = new.conversation_id or _lane(new.channel, new.to)
        measure = sms.measure(words.body) if new.channel == "sms" else None
        return {
            "id": text_id,
            "tenant_id": self._scope.tenant_id,
            "channel_type": new.channel,
            "to_address": new.to,
            "template_name": new.template,
            "template_variables": dict(new.variables),
            "template_version": words.version,
            "template_language": words.language,
            "subject": words.subject[:LONGEST_SUBJECT] or None,
            "content": words.body,
            "status": "queued" if code is None else "suppressed",
            "error_code": code,
            "error_message": None if code is None else reason(code, tenant.locale),
            "purpose": new.purpose,
            "contact_id": new.contact_id,
            "conversation_id": new.conversation_id,
            "appointment_id": new.appointment_id,
            "in_reply_to": new.in_reply_to,
            "dedupe_key": new.dedupe_key,
            "created_by": new.created_by,
            "sender": new.sender,
            "lane": lane,
            "position": await self._position(lane),
            "not_before": new.not_before,
            "expires_at": new.expires_at,
            "due_at": max(now, new.not_before or now),
            "segments": measure.segments if measure else None,
            "encoding": measure.encoding if measure else None,
            "extras": {**words.extras, **_extras(new)},
            "created_at": now,
            "settled_at": None if code is None else now,
        }

    async def _position(self, lane: str) -> int:
        latest = self._scope.select(table, sa.func.max(table.c.position)).where(
            table.c.lane == lane
        )
        return int((await self._scope.connection.execute(latest)).scalar_one() or 0) + 1

    async def _wake(self, channel: str, text_id: str, at: datetime | None) -> None:
        scope = self._scope
        await jobs_on(scope.connection, scope.clock, scope.tenant_id).put(
            KINDS[channel], {"text_id": text_id}, key=f"text:{text_id}", at=at
        )


def _normalised(new: NewText) -> NewText:
    if new.channel not in TEXT_CHANNELS:
        raise Invalid(f"must be one of {', '.join(TEXT_CHANNELS)}", field="channel")
    known = KEYS.get(new.template or "")
    if new.template is not None and known is None:
        raise NotFound("no such template", message_key="template_not_found")
    purpose = new.purpose or (known.purpose if known else "service")
    if purpose not in MESSAGE_PURPOSES:
        raise Invalid(f"must be one of {', '.join(MESSAGE_PURPOSES)}", field="purpose")
    return replace(new, to=checked(new.channel, new.to), purpose=purpose)


def _body(new: NewText) -> str:
    body = (new.body or "").strip()
    if not body:
        raise Invalid("a text needs a template or a body", field="body", message_key="text_empty")
    longest = LONGEST_BODY[new.channel]
    if len(body) > longest:
        raise Invalid(
            f"must have at most {longest} characters", field="body", message_key="text_too_long"
        )
    if new.channel == "email" and not (new.subject or "").strip():
        raise Invalid("an email needs a subject", field="subject", message_key="text_subject")
    return body


def _lane(channel: str, address: str) -> str:
    """What goes to one address on one channel goes in order. No address in the key of a job."""
    return hashlib.sha256(f"{channel}\n{address}".encode()).hexdigest()[:32]


def _unsubscribe(new: NewText, text_id: str) -> dict[str, str]:
    if not new.link_base:
        return {}
    return {"lienDesinscription": f"{new.link_base.rstrip('/')}/u/{text_id}"}


def _with_a_way_out(body: str, new: NewText, channel: Channel, text_id: str) -> str:
    """An SMS from a sender that nobody can answer takes no STOP: it says where instead."""
    unasked = new.purpose in ("service", "marketing")
    link = _unsubscribe(new, text_id).get("lienDesinscription")
    if not (unasked and link) or link in body:
        return body
    if new.sender or sms.answerable(channel.config, otherwise=new.replies):
        return body
    return f"{body}\nSTOP : {link}"


def _extras(new: NewText) -> dict[str, Any]:
    """What has something in it."""
    extras: dict[str, Any] = {
        "buttons": [list(each) for each in new.buttons],
        "attachments": [list(each) for each in new.attachments],
        "references": list(new.references),
        "reply_to": new.reply_to,
        "on_end": new.on_end,
        "automatic": new.automatic,
        "even_if_off": new.even_if_off,
    }
    return {name: value for name, value in extras.items() if value}


_FILTERS: Final[Mapping[str, Any]] = {
    "channel": lambda value: table.c.channel_type == value,
    "status": lambda value: table.c.status == value,
    "purpose": lambda value: table.c.purpose == value,
    "contact_id": lambda value: table.c.contact_id == value,
    "conversation_id": lambda value: table.c.conversation_id == value,
    "appointment_id": lambda value: table.c.appointment_id == value,
    "template": lambda value: table.c.template_name == value,
    "since": lambda value: table.c.created_at >= value,
    "until": lambda value: table.c.created_at < value,
    "to": lambda value: table.c.to_address == value,
}
