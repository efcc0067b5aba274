"""An e-mail as it goes on the wire. Pure: nothing here sends.

One recipient, and no way to get a second one or another header in: addresses are of one plain form,
everything else that becomes a header is one line, and the library's own check stands behind that.
RFC 5322, 2369 and 8058 (List-Unsubscribe), 3834 (Auto-Submitted), 6047 (calendars).
"""

import re
from collections.abc import Iterable
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from domain.errors import Invalid
from messaging.ports import Attachment, OutgoingText

#: RFC 5321 §4.5.3.1; the local part has at most 64 characters.
MAX_ADDRESS: Final = 254
#: Longer subjects are cut by every mail program.
MAX_SUBJECT: Final = 250
MAX_NAME: Final = 120
#: RFC 5322 §2.1.1 holds lines to 998 characters; a message's ancestors need fewer.
MAX_REFERENCES_LENGTH: Final = 900

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_ID = re.compile(
    r"<[^\s<>@\x00-\x20\x7f-\U0010ffff]{1,200}@[^\s<>@\x00-\x20\x7f-\U0010ffff]{1,200}>"
)
_SPACES = re.compile(r"[\s\x00-\x1f\x7f\x85\u2028\u2029]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_MEDIA_TYPE = re.compile(r"(text|application)/([\w.+-]+)((?:; ?[\w-]+=[\w-]+)*)", re.ASCII)
_PARAMETER = re.compile(r"; ?([\w-]+)=([\w-]+)")
_URL = re.compile(r"https://[\x21-\x3b\x3d\x3f-\x7e]{1,900}")


class Email(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be said, to whom.

    Ids have their angle brackets. `unsubscribe_url` (https) is offered as one click, so a POST
    there must do it; `unsubscribe_mail` is an address. `automatic`: nobody wrote it by hand, so
    that other machines don't answer. `html` is safe already.
    """

    sender: str
    recipient: str
    subject: str
    text: str
    message_id: str
    sent_at: datetime
    sender_name: str = ""
    recipient_name: str = ""
    html: str = ""
    reply_to: str = ""
    in_reply_to: str = ""
    references: tuple[str, ...] = ()
    unsubscribe_url: str = ""
    unsubscribe_mail: str = ""
    attachments: tuple[Attachment, ...] = ()
    automatic: bool = True


def compose(email: Email) -> EmailMessage:
    """The message, whose bytes are `wire(message)`. Raises Invalid for what can't be a header."""
    message = EmailMessage(_POLICY)
    message["From"] = _mailbox(email.sender, email.sender_name, "sender")
    message["To"] = _mailbox(email.recipient, email.recipient_name, "recipient")
    message["Subject"] = one_line(email.subject, MAX_SUBJECT)
    message["Date"] = format_datetime(email.sent_at)
    message["Message-ID"] = _checked_id(email.message_id, "message_id")
    if email.reply_to:
        message["Reply-To"] = _mailbox(email.reply_to, "", "reply_to")
    _thread(message, email)
    if email.automatic:
        # RFC 3834 §5: what a customer's message caused is "auto-replied".
        message["Auto-Submitted"] = "auto-replied" if email.in_reply_to else "auto-generated"
    _unsubscribe(message, email)
    _bodies(message, email)
    return message


def wire(message: EmailMessage) -> bytes:
    """Its bytes, lines ended by CR LF, ASCII alone."""
    return message.as_bytes(policy=_POLICY)


def address(text: str, field: str = "address") -> str:
    """One address, `local@domain`, the domain in lower case and ASCII. Raises Invalid: for more
    than one, for names and comments, for quoted local parts, which hide too much."""
    local, at, domain = text.strip().rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or len(local) > 64:
        raise Invalid("must be one e-mail address, such as lea@example.fr", field=field)
    try:
        ascii_domain = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        ascii_domain = ""
    labels = ascii_domain.split(".")
    if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise Invalid("must be one e-mail address, such as lea@example.fr", field=field)
    if len(local) + 1 + len(ascii_domain) > MAX_ADDRESS:
        raise Invalid(f"has more than {MAX_ADDRESS} characters", field=field)
    return f"{local}@{ascii_domain}"


def message_id(text_id: str, sender: str) -> str:
    """The id of one of our texts: the same however often it is tried, so that a second copy can
    be known as one."""
    domain = address(sender, "sender").rpartition("@")[2]
    return _checked_id(f"<{text_id}@{domain}>", "message_id")


def one_line(text: str, longest: int) -> str:
    """Whatever breaks a line, or can't be seen, becomes one space."""
    return _SPACES.sub(" ", _printable(text)).strip()[:longest].rstrip()


def ancestors(in_reply_to: str, references: Iterable[str]) -> tuple[str, ...]:
    """`References` for an answer: the first message and the latest, within the bounds of a line
    (RFC 5322 §3.6.4 lets the middle be left out). What isn't an id is left out."""
    known = [each for each in dict.fromkeys((*references, in_reply_to)) if is_id(each)]
    while sum(len(each) + 1 for each in known) > MAX_REFERENCES_LENGTH:
        del known[1 if len(known) > 2 else 0]
    return tuple(known)


def is_id(text: str) -> bool:
    """Whether it can stand in Message-ID."""
    return bool(_ID.fullmatch(text))


def email_of(text: OutgoingText, sender: str, sender_name: str, now: datetime) -> Email:
    """A text of the outbox, from a tenant's mailbox. Raises Invalid."""
    return Email(
        sender=sender,
        sender_name=sender_name,
        recipient=text.to,
        subject=text.subject,
        text=text.body,
        html=text.html,
        message_id=text.message_id or message_id(text.id, sender),
        sent_at=now,
        reply_to=text.reply_to,
        in_reply_to=text.in_reply_to if is_id(text.in_reply_to) else "",
        references=text.references,
        unsubscribe_url=text.unsubscribe_url,
        attachments=text.attachments,
        # Reminders and confirmations too were written by no hand.
        automatic=text.automatic or text.purpose != "answer",
    )


# --------------------------------------------------------------------------------- headers

#: Ids and addresses stay in one piece: the library would fold them, or encode what is too long for
#: a line of 78, and then they are no ids any more.
_UNFOLDED: Final = frozenset(
    "message-id in-reply-to references list-unsubscribe list-unsubscribe-post".split()
)


class _Policy(EmailPolicy):
    def fold(self, name: str, value: Any) -> str:
        return _plain(name, value) or super().fold(name, value)

    def fold_binary(self, name: str, value: Any) -> bytes:
        return _plain(name, value).encode("ascii") or super().fold_binary(name, value)


def _plain(name: str, value: Any) -> str:
    return f"{name}: {value}\r\n" if name.lower() in _UNFOLDED else ""


# 7 bits: a server without 8BITMIME takes it too, and nobody converts it on the way.
_POLICY: Final = _Policy(linesep="\r\n", cte_type="7bit", raise_on_defect=True)


def _mailbox(text: str, name: str, field: str) -> Address:
    return Address(one_line(name, MAX_NAME), addr_spec=address(text, field))


def _thread(message: EmailMessage, email: Email) -> None:
    if not email.in_reply_to:
        return
    message["In-Reply-To"] = _checked_id(email.in_reply_to, "in_reply_to")
    message["References"] = " ".join(ancestors(email.in_reply_to, email.references))


def _unsubscribe(message: EmailMessage, email: Email) -> None:
    ways = []
    if email.unsubscribe_url:
        if (
            not _URL.fullmatch(email.unsubscribe_url)
            or not urlsplit(email.unsubscribe_url).hostname
        ):
            raise Invalid("must be an https address in ASCII", field="unsubscribe_url")
        ways.append(f"<{email.unsubscribe_url}>")
    if email.unsubscribe_mail:
        mailbox = address(email.unsubscribe_mail, "unsubscribe_mail")
        ways.append(f"<mailto:{mailbox}?subject=unsubscribe>")
    if ways:
        message["List-Unsubscribe"] = ", ".join(ways)
    if email.unsubscribe_url:
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"


def _checked_id(text: str, field: str) -> str:
    if not is_id(text):
        raise Invalid("must be <something@domain>, in ASCII", field=field)
    return text


# --------------------------------------------------------------------------------- bodies


def _bodies(message: EmailMessage, email: Email) -> None:
    """Plain text first, then HTML, then other forms: the last one that is understood is shown
    (RFC 2046 §5.1.4). Those come as a file too, for programs that show no alternative."""
    message.set_content(_body(email.text), cte="quoted-printable")
    if email.html:
        message.add_alternative(_body(email.html), subtype="html", cte="quoted-printable")
    for each in email.attachments:
        if each.alternative:
            _, subtype, parameters = _media_type(each.media_type)
            text = _printable(each.content).replace("\r\n", "\n")
            message.add_alternative(text, subtype=subtype, cte="base64", params=parameters)
    for each in email.attachments:
        kind, subtype, parameters = _media_type(each.media_type)
        if each.alternative and subtype == "calendar":
            # As a mere file: shown beside the alternative, it would be a second invitation.
            kind, subtype, parameters = "application", "ics", {}
        message.add_attachment(
            _printable(each.content).encode(),
            maintype=kind,
            subtype=subtype,
            filename=one_line(each.name, 100).replace("/", "-") or "attachment",
            params=parameters,
        )


def _media_type(text: str) -> tuple[str, str, dict[str, str]]:
    """`text/calendar; method=REQUEST` in parts, the charset aside: it is UTF-8. Raises Invalid."""
    matched = _MEDIA_TYPE.fullmatch(text.strip())
    if matched is None:
        raise Invalid("isn't a media type", field="attachments")
    parameters = dict(_PARAMETER.findall(matched[3]))
    parameters.pop("charset", None)
    return matched[1].lower(), matched[2].lower(), parameters


def _body(text: str) -> str:
    return _CONTROL.sub("", _printable(text).replace("\r\n", "\n").replace("\r", "\n"))


def _printable(text: str) -> str:
    """Halves of surrogate pairs can't be encoded."""
    return text.encode("utf-8", "replace").decode()
