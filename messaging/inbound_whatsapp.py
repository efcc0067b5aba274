"""What WhatsApp tells a webhook: messages, statuses, preferences. Pure.

Meta and 360dialog send the same envelope (shared/reference/text-channels.md §1.6 and §1.7). One
envelope carries many things; each is read by itself, so that one that can't be read harms no other.
Who sent the envelope has been verified by then.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeVar

import msgspec

from domain.errors import Invalid
from messaging.email import one_line
from messaging.inbound import kind_of, readable
from messaging.incoming import IncomingMessage, Media
from messaging.ports import OUR_MARK

#: One envelope's things. Meta batches up to 1000 updates
#: (https://developers.facebook.com/docs/graph-api/webhooks/getting-started#batching).
MAX_ITEMS: Final = 1000
#: WhatsApp's own bound of a text.
MAX_TEXT: Final = 4096

_WAMID = re.compile(r"[\x21-\x7e]{1,512}")
_DIGITS = re.compile(r"\+?([1-9][0-9]{5,14})")
#: Two letters of a country, a dot, and up to 128 letters and digits, ENT in between for a company.
_USER_ID = re.compile(r"[A-Z]{2}\.(?:ENT\.)?[A-Za-z0-9]{1,128}")
_MEDIA: Final = ("image", "video", "audio", "document", "sticker")
_Shape = TypeVar("_Shape")


class StatusUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one of ours. `text_id` is the outbox's id as we gave it along, "" when it
    didn't come back; `error_code` Meta's when it failed; `recipient_id` a business-scoped user
    id. `billable` and `category`: what Meta charges, if it says so."""

    phone_number_id: str
    vendor_id: str
    status: Literal["sent", "delivered", "read", "failed"]
    at: datetime | None = None
    text_id: str = ""
    recipient: str = ""
    recipient_id: str = ""
    error_code: str = ""
    billable: bool | None = None
    category: str = ""


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody wants marketing messages, or none any more."""

    phone_number_id: str
    sender: str
    sender_id: str
    marketing: bool
    at: datetime | None = None


class TemplateState(msgspec.Struct, frozen=True, kw_only=True):
    """Meta has judged a template: `state` is APPROVED, REJECTED, PAUSED, DISABLED …"""

    account_id: str
    name: str
    language: str
    state: str
    reason: str = ""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """Anything else (`account_update`, `phone_number_quality_update`, `calls` …): its name."""

    account_id: str
    field: str


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook's contents in order. `messages` name our number's id as `recipient`. `unreadable`
    says where something stood that couldn't be read, and nothing of it."""

    messages: tuple[IncomingMessage, ...] = ()
    statuses: tuple[StatusUpdate, ...] = ()
    preferences: tuple[Preference, ...] = ()
    templates: tuple[TemplateState, ...] = ()
    notices: tuple[Notice, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def phone_number_ids(self) -> frozenset[str]:
        """The numbers that it is about."""
        return frozenset(
            {each.recipient for each in self.messages}
            | {each.phone_number_id for each in self.statuses}
            | {each.phone_number_id for each in self.preferences}
        )


def read_whatsapp(body: bytes) -> Envelope:
    """Everything in it. Raises Invalid when it isn't an envelope at all."""
    try:
        envelope = msgspec.convert(_decoded(body), _Envelope)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise Invalid("must be a WhatsApp webhook in JSON") from None
    if envelope.object != "whatsapp_business_account":
        raise Invalid("must be whatsapp_business_account", field="object")
    found = _Found()
    for e, entry in enumerate(envelope.entry):
        account = _text(entry, "id")
        for c, change in enumerate(_list(entry, "changes")):
            _change(found, account, change, f"entry[{e}].changes[{c}]")
    return found.envelope()


# ------------------------------------------------------------------------- the walk


def _decoded(body: bytes) -> Any:
    """The JSON. A name that was cut within an emoji has half of a surrogate pair, which must not
    cost the whole batch: msgspec refuses it, the standard library doesn't."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return json.loads(body)


class _Envelope(msgspec.Struct):
    object: str
    entry: list[Any] = []


class _Found:
    """What has been read so far."""

    def __init__(self) -> None:
        self.messages: list[IncomingMessage] = []
        self.statuses: list[StatusUpdate] = []
        self.preferences: list[Preference] = []
        self.templates: list[TemplateState] = []
        self.notices: list[Notice] = []
        self.unreadable: list[str] = []
        self._count = 0

    def full(self, place: str) -> bool:
        """Whether there is no more room; every thing counts."""
        self._count += 1
        if self._count == MAX_ITEMS + 1:
            self.unreadable.append(f"{place}: more than {MAX_ITEMS}")
        return self._count > MAX_ITEMS

    def envelope(self) -> Envelope:
        return Envelope(
            messages=tuple(self.messages),
            statuses=tuple(self.statuses),
            preferences=tuple(self.preferences),
            templates=tuple(self.templates),
            notices=tuple(self.notices),
            unreadable=tuple(self.unreadable),
        )


def _change(found: _Found, account: str, change: Any, place: str) -> None:
    field, value = _text(change, "field"), change.get("value") if isinstance(change, dict) else None
    if not field or not isinstance(value, dict):
        found.unreadable.append(place)
        return
    number = _text(value.get("metadata"), "phone_number_id")
    if field == "messages":
        names = _names(value)
        _each(found, value, "messages", place, lambda it: _message(found, it, number, names))
        _each(found, value, "statuses", place, lambda it: _status(found, it, number))
    elif field == "smb_message_echoes":
        _each(found, value, "message_echoes", place, lambda it: _echo(found, it, number))
    elif field == "user_preferences":
        _each(found, value, "user_preferences", place, lambda it: _preference(found, it, number))
    elif field == "message_template_status_update":
        _one(found, place, lambda: _template(found, value, account))
    else:
        found.notices.append(Notice(account_id=account[:64], field=field[:64]))


def _each(found: _Found, value: Any, name: str, place: str, read: Any) -> None:
    for n, item in enumerate(_list(value, name)):
        if found.full(place):
            return
        _one(found, f"{place}.{name}[{n}]", lambda item=item: read(item))


def _one(found: _Found, place: str, read: Any) -> None:
    try:
        read()
    except (msgspec.ValidationError, ValueError, Invalid):
        found.unreadable.append(place)


# ------------------------------------------------------------------------- one thing


class _Message(msgspec.Struct, rename={"sender": "from"}):
    id: str
    type: str = "unsupported"
    sender: str = ""
    from_user_id: str = ""
    to: str = ""
    to_user_id: str = ""
    timestamp: str | int | None = None


class _Status(msgspec.Struct):
    id: str
    status: str
    timestamp: str | int | None = None
    recipient_id: str = ""
    recipient_user_id: str = ""
    biz_opaque_callback_data: str = ""


class _Preference(msgspec.Struct):
    category: str
    value: str
    wa_id: str = ""
    user_id: str = ""
    timestamp: str | int | None = None


def _message(found: _Found, item: Any, number: str, names: dict[str, tuple[str, str]]) -> None:
    head = _convert(item, _Message)
    sender, sender_id = _number(head.sender), _user_id(head.from_user_id)
    # Only one contact comes with a message; it knows the user id also where the message lacks it.
    known = names.get(sender_id) or names.get(sender) or ("", "")
    found.messages.append(_incoming(item, head, number, (sender, sender_id or known[0]), known[1]))


def _echo(found: _Found, item: Any, number: str) -> None:
    """The owner's own answer, from the app (coexistence): the person is whom it went to."""
    head = _convert(item, _Message)
    person = (_number(head.to), _user_id(head.to_user_id))
    found.messages.append(_incoming(item, head, number, person, "", echo=True))


def _incoming(
    item: Any,
    head: _Message,
    number: str,
    person: tuple[str, str],
    name: str,
    *,
    echo: bool = False,
) -> IncomingMessage:
    if not number or not any(person):
        raise ValueError("nobody to answer, or from nowhere")
    text, button = _said(item, head.type)
    return IncomingMessage(
        channel="whatsapp",
        vendor_id=_id(head.id),
        sender=person[0],
        recipient=number,
        text=text,
        sender_id=person[1],
        sender_name=name,
        sent_at=_instant(head.timestamp),
        media=_media(item, head.type),
        reply_to=_quoted(item, head.type),
        button=button,
        automatic=head.type == "system",
        echo=echo,
    )


def _said(item: Any, kind: str) -> tuple[str, str]:
    """(text, a button's payload)."""
    part = item.get(kind)
    if kind == "text":
        return _words(_text(part, "body")), ""
    if kind == "button":  # a template's quick reply
        return _words(_text(part, "text")), _text(part, "payload")[:256]
    if kind == "interactive":
        for name in ("button_reply", "list_reply"):
            reply = part.get(name) if isinstance(part, dict) else None
            if reply is not None:
                return _words(_text(reply, "title")), _text(reply, "id")[:256]
        return "", ""
    if kind == "reaction":
        return _words(_text(part, "emoji")), ""
    return _words(_text(part, "caption")), ""


def _media(item: Any, kind: str) -> tuple[Media, ...]:
    part = item.get(kind)
    if kind in _MEDIA:
        media_type = _text(part, "mime_type")[:100]
        return (
            Media(
                # A voice note is `audio`; a picture that was sent as a file is a document.
                kind=kind if kind in {"document", "sticker"} else kind_of(f"{kind}/"),
                media_type=media_type,
                reference=_text(part, "id")[:256],
                name=one_line(_text(part, "filename"), 200),
            ),
        )
    if kind in {"location", "contacts"}:
        return (Media(kind=kind),)
    if kind in {"text", "button", "interactive", "reaction", "system"}:
        return ()
    return (Media(kind="other"),)  # unsupported, order, and what there will be


def _quoted(item: Any, kind: str) -> str:
    if kind == "reaction":
        return _text(item.get("reaction"), "message_id")[:512]
    return _text(item.get("context"), "id")[:512]


#: `played` is a voice message that was listened to; `deleted` and `warning` say nothing of use.
_STATUSES: Final[dict[str, Literal["sent", "delivered", "read", "failed"]]] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "read",
    "played": "read",
    "failed": "failed",
}


def _status(found: _Found, item: Any, number: str) -> None:
    head = _convert(item, _Status)
    status = _STATUSES.get(head.status)
    if status is None:
        found.notices.append(Notice(account_id="", field=f"status {head.status[:32]}"))
        return
    if not number:
        raise ValueError("of no number")
    errors = _list(item, "errors")
    code = errors[0].get("code") if errors and isinstance(errors[0], dict) else None
    pricing = item.get("pricing")
    billable = pricing.get("billable") if isinstance(pricing, dict) else None
    opaque = head.biz_opaque_callback_data
    found.statuses.append(
        StatusUpdate(
            phone_number_id=number,
            vendor_id=_id(head.id),
            status=status,
            at=_instant(head.timestamp),
            text_id=opaque.removeprefix(OUR_MARK)[:64] if opaque.startswith(OUR_MARK) else "",
            recipient=_number(head.recipient_id),
            recipient_id=_user_id(head.recipient_user_id),
            error_code=str(code)[:10] if isinstance(code, int) else "",
            billable=billable if isinstance(billable, bool) else None,
            category=_text(pricing, "category")[:32],
        )
    )


def _preference(found: _Found, item: Any, number: str) -> None:
    head = _convert(item, _Preference)
    sender, sender_id = _number(head.wa_id), _user_id(head.user_id)
    if head.category != "marketing_messages" or head.value not in {"stop", "resume"}:
        found.notices.append(Notice(account_id="", field="user_preferences"))
        return
    if not number or not (sender or sender_id):
        raise ValueError("nobody's")
    found.preferences.append(
        Preference(
            phone_number_id=number,
            sender=sender,
            sender_id=sender_id,
            marketing=head.value == "resume",
            at=_instant(head.timestamp),
        )
    )


def _template(found: _Found, value: Any, account: str) -> None:
    name, state = _text(value, "message_template_name"), _text(value, "event")
    if not name or not state:
        raise ValueError("no name or no state")
    found.templates.append(
        TemplateState(
            account_id=account[:64],
            name=name[:512],
            language=_text(value, "message_template_language")[:16],
            state=state[:32],
            reason=_text(value, "reason")[:64],
        )
    )


# ------------------------------------------------------------------------- values


def _convert(item: Any, shape: type[_Shape]) -> _Shape:
    return msgspec.convert(item, shape)


def _names(value: Any) -> dict[str, tuple[str, str]]:
    """(user id, display name) by number and by user id. `profile` and `user_id` may be missing."""
    found: dict[str, tuple[str, str]] = {}
    for contact in _list(value, "contacts"):
        name = one_line(_text(contact.get("profile"), "name"), 120) if _is(contact) else ""
        user_id, number = _user_id(_text(contact, "user_id")), _number(_text(contact, "wa_id"))
        found |= {key: (user_id, name) for key in (user_id, number) if key}
    return found


def _is(value: Any) -> bool:
    return isinstance(value, dict)


def _list(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _text(value: Any, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def _words(text: str) -> str:
    return readable(text)[:MAX_TEXT]


def _id(text: str) -> str:
    if not _WAMID.fullmatch(text):
        raise ValueError("not an id")
    return text


def _number(text: str) -> str:
    match = _DIGITS.fullmatch(text)
    return f"+{match[1]}" if match else ""


def _user_id(text: str) -> str:
    return text if _USER_ID.fullmatch(text) else ""


def _instant(seconds: str | int | None) -> datetime | None:
    """Unix seconds, as a string in messages and statuses, a number in preferences."""
    try:
        return datetime.fromtimestamp(int(seconds or ""), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def batches(envelope: Envelope) -> Iterator[tuple[str, Envelope]]:
    """One envelope per number: several of a tenant's may come in one."""
    for number in sorted(envelope.phone_number_ids):
        yield (
            number,
            Envelope(
                messages=tuple(m for m in envelope.messages if m.recipient == number),
                statuses=tuple(s for s in envelope.statuses if s.phone_number_id == number),
                preferences=tuple(p for p in envelope.preferences if p.phone_number_id == number),
            ),
        )
