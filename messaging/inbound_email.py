"""An e-mail that somebody sent us → `IncomingMessage`. Pure.

Two forms arrive at our webhook: a message as it is (RFC 5322), and the fields of SendGrid's Inbound
Parse (https://www.twilio.com/docs/sendgrid/for-developers/parsing-email/setting-up-the-inbound-parse-webhook),
which others have copied. Who wrote is never known by `From` alone: `ParsedEmail.authenticated` says
whether SPF or DKIM vouch for it.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import getaddresses, parsedate_to_datetime
from functools import wraps
from itertools import islice
from typing import Any, Final, ParamSpec, TypeVar

import msgspec

from domain.errors import Invalid
from messaging.email import address, is_id, one_line
from messaging.html_text import html_text
from messaging.inbound import kind_of, readable
from messaging.incoming import IncomingMessage, Media, Thread

#: Bytes of a message that are read at all, attachments included.
MAX_MESSAGE: Final = 10 * 1024 * 1024
#: Characters that an agent gets to read of one e-mail.
MAX_TEXT: Final = 20_000
MAX_ATTACHMENTS: Final = 20
MAX_REFERENCES: Final = 50
_MAX_PARTS: Final = 100
#: The library takes time by lines times boundaries, and by delimiters. 10 MB in lines of 76, ended
#: by CR LF, have 270,000 line ends.
_MAX_LINE_ENDS: Final = 600_000
_MAX_BOUNDARIES: Final = 50
_MAX_DELIMITERS: Final = 1000
#: Characters of one header that are read, and how many of one name: for more the library takes
#: seconds, quadratically. MIME's are read several times for each part.
_MAX_HEADER: Final = 4000
_MAX_MIME_HEADER: Final = 600
_MAX_SAME: Final = 10
#: Characters that are looked through for what is new: it stands at the beginning.
_MAX_SCANNED: Final = 10 * MAX_TEXT

# What begins the part that the other side wrote before: of Gmail, Apple Mail, Thunderbird, Outlook.
_HISTORY = re.compile(
    r"^[ \t]*(?:"
    r"(?:Le|El|On|Am|Il)\b[^\n]{5,200}(?:\n[^\n]{0,200}){0,2}?"
    r"\b(?:a écrit|écrit|wrote|schrieb|escribió|ha scritto)\s*:[ \t]*$"
    r"|-{2,}\s*(?:Original Message|Message d['’]origine|Message original|Message transféré"
    r"|Forwarded message|Ursprüngliche Nachricht)\s*-{2,}"
    r"|_{20,}[ \t]*$"
    r"|(?:De|From|Von)\s?:[^\n]+\n(?:[^\n]+\n)?(?:Envoyé|Sent|Date|Gesendet|À|To)\s?(?:le)?\s?:"
    r")",
    re.IGNORECASE | re.MULTILINE,
)
_SIGNATURE = re.compile(r"^-- ?$", re.MULTILINE)
_QUOTED = re.compile(r"^[ \t]*>.*(?:\n|\Z)", re.MULTILINE)

#: Written by nobody who could read an answer.
_MACHINES = re.compile(
    r"mailer-daemon|postmaster|no-?reply|do-?not-?reply|ne-?pas-?repondre|bounces?[+-].*|bounce"
)
_BULK = frozenset({"bulk", "junk", "list", "auto_reply"})
_MACHINE_HEADERS = (
    "List-Id",
    "List-Unsubscribe",
    "X-Autoreply",
    "X-Autorespond",
    "X-Auto-Response-Suppress",
    "X-Failed-Recipients",
)


_Given = ParamSpec("_Given")
_Read = TypeVar("_Read")


def _refusing(read: Callable[_Given, _Read]) -> Callable[_Given, _Read]:
    """What is nested until Python gives up, and what the library didn't think of, is Invalid."""

    @wraps(read)
    def refusing(*args: _Given.args, **kwargs: _Given.kwargs) -> _Read:
        try:
            return read(*args, **kwargs)
        except (RecursionError, AssertionError):
            raise Invalid("the message can't be read", field="email") from None

    return refusing


class ParsedEmail(msgspec.Struct, frozen=True, kw_only=True):
    """`authenticated`: SPF or DKIM vouch for the domain of `message.sender`; without, whoever
    wrote may be anybody. `recipients`: where the server got it for, in lower case."""

    message: IncomingMessage
    authenticated: bool
    recipients: tuple[str, ...]


class Bounce(msgspec.Struct, frozen=True, kw_only=True):
    """Another server gave up on one of ours (RFC 3464). `status`: an enhanced code, "5.1.1"."""

    message_id: str
    status: str


@_refusing
def read_raw(raw: bytes, *, authserv: str = "") -> ParsedEmail:
    """A message as it is. `authserv`: the name under which the mailbox's own server reports SPF
    and DKIM (RFC 8601); without it nobody's report is believed. Raises Invalid."""
    mail = _parsed(raw)
    sender = _sender(_header(mail, "From"))
    return ParsedEmail(
        message=_message(mail, sender, _digest(raw), _text_of(mail), tuple(_attachments(mail))),
        authenticated=_reported(mail, authserv, _domain(sender)),
        recipients=_recipients(mail, ("Delivered-To", "X-Original-To", "To", "Cc")),
    )


@_refusing
def read_form(fields: Mapping[str, str]) -> ParsedEmail:
    """Inbound Parse: the message in parts, or whole in `email`. Raises Invalid."""
    if "email" in fields:
        raw = fields["email"].encode("utf-8", "surrogateescape")
        mail, attachments = _parsed(raw), None
    else:
        raw = repr(sorted(fields.items())).encode("utf-8", "replace")
        mail = _parsed(fields.get("headers", "").encode("utf-8", "replace") + b"\r\n\r\n")
        attachments = tuple(_listed(fields.get("attachment-info", "")))
    sender = _sender(_header(mail, "From") or fields.get("from", "")[:_MAX_HEADER])
    if attachments is None:
        text, attachments = _text_of(mail), tuple(_attachments(mail))
    else:
        text = fields.get("text") or html_text(fields.get("html", ""))
    envelope = _envelope(fields.get("envelope", ""))
    return ParsedEmail(
        message=_message(
            mail, sender, _digest(raw), text, attachments, fields.get("subject", ""), envelope
        ),
        authenticated=_vouched(fields, envelope.sender, _domain(sender)),
        recipients=tuple(envelope.to) or _recipients(mail, ("To", "Cc")),
    )


@_refusing
def read_bounce(raw: bytes) -> Bounce | None:
    """A report that a message of ours was given up; None for anything else, delays included."""
    mail = _parsed(raw)
    if mail.get_content_type() != "multipart/report":
        return None
    status = original = ""
    for part in _parts(mail):
        kind = part.get_content_type()
        if kind == "message/delivery-status":
            text = part.as_string()
            if re.search(r"^Action:\s*failed", text, re.IGNORECASE | re.MULTILINE):
                found = re.search(r"^Status:\s*([245]\.\d{1,3}\.\d{1,3})", text, re.M | re.I)
                status = found[1] if found else "5.0.0"
        elif kind in {"message/rfc822", "text/rfc822-headers", "message/rfc822-headers"}:
            found = re.search(r"^Message-ID:\s*(<[^<>\s]+>)", part.as_string(), re.M | re.I)
            original = found[1] if found else original
    return Bounce(message_id=original, status=status) if status and is_id(original) else None


def without_history(text: str) -> str:
    """What is new: without the messages below, quoted lines and the signature. When nothing is
    new (an answer between the quoted lines, or above none), all but the quoted lines; failing
    that, everything."""
    text = readable(text[:_MAX_SCANNED])
    history = _HISTORY.search(text)
    fresh = text[: history.start()] if history else text
    signature = _SIGNATURE.search(fresh)
    fresh = fresh[: signature.start()] if signature else fresh
    for candidate in (fresh, text):
        stripped = re.sub(r"\n{3,}", "\n\n", _QUOTED.sub("", candidate)).strip()
        if stripped:
            return stripped[:MAX_TEXT]
    return text[:MAX_TEXT]


# --------------------------------------------------------------------------- the message


def _message(
    mail: EmailMessage,
    sender: tuple[str, str],
    digest: str,
    text: str,
    attachments: tuple[Media, ...],
    subject: str = "",
    envelope: "_Envelope | None" = None,
) -> IncomingMessage:
    name, mailbox = sender
    own_id = _ids(_header(mail, "Message-ID"))
    replies = _ids(_header(mail, "In-Reply-To"))
    references = _ids(_header(mail, "References"))[-MAX_REFERENCES:]
    quoted = (replies or references[-1:] or ("",))[0]
    to = (*(envelope.to if envelope else ()), *_recipients(mail, ("Delivered-To", "To")), "")
    return IncomingMessage(
        channel="email",
        vendor_id=own_id[0] if own_id else f"<{digest}@without-id.invalid>",
        sender=mailbox,
        recipient=to[0],
        text=without_history(text),
        sender_name=name,
        sent_at=_instant(_header(mail, "Date")),
        media=attachments,
        reply_to=quoted,
        thread=Thread(
            subject=one_line(_header(mail, "Subject") or subject, 250),
            message_id=own_id[0] if own_id else "",
            in_reply_to=quoted,
            references=references,
        ),
        automatic=_automatic(mail, mailbox),
    )


def _automatic(mail: EmailMessage, mailbox: str) -> bool:
    """RFC 3834 §2 and what is common besides: answering these makes loops."""
    submitted = _header(mail, "Auto-Submitted").partition(";")[0].strip().lower()
    return (
        submitted not in ("", "no")
        or _header(mail, "Precedence").strip().lower() in _BULK
        or any(mail.get(name) is not None for name in _MACHINE_HEADERS)
        or _header(mail, "Return-Path").strip() == "<>"
        or mail.get_content_type() == "multipart/report"
        or bool(_MACHINES.fullmatch(mailbox.partition("@")[0]))
    )


def _parsed(raw: bytes) -> EmailMessage:
    if len(raw) > MAX_MESSAGE:
        raise Invalid(f"a message has at most {MAX_MESSAGE} bytes", field="email")
    if (
        raw.count(b"\n") + raw.count(b"\r") > _MAX_LINE_ENDS
        or raw.lower().count(b"boundary=") > _MAX_BOUNDARIES
        or raw.count(b"\n--") + raw.count(b"\r--") > _MAX_DELIMITERS
    ):
        raise Invalid("a message has fewer lines and parts", field="email")
    parsed = message_from_bytes(raw, policy=_POLICY)
    assert isinstance(parsed, EmailMessage)
    return parsed


class _Bounded(EmailPolicy):
    """Reads the beginning of a header, "" for what the library can't read: it raises all sorts of
    errors for what is hostile."""

    def header_fetch_parse(self, name: str, value: str) -> Any:
        longest = _MAX_MIME_HEADER if name.lower().startswith("content-") else _MAX_HEADER
        try:
            return super().header_fetch_parse(name, value[:longest])
        except (RecursionError, ValueError, LookupError, TypeError, AttributeError):
            return ""


_POLICY: Final = _Bounded()


def _header(mail: EmailMessage, name: str) -> str:
    """A header as text, "" when there is none or the library can't read it: it raises all sorts
    of errors for what is hostile."""
    try:
        return str(mail.get(name, ""))
    except (ValueError, LookupError, TypeError, AttributeError, UnicodeError):
        return ""


def _sender(text: str) -> tuple[str, str]:
    """(name, address). Exactly one author: with two nobody knows whom to answer. Raises Invalid."""
    found = getaddresses([text])
    if len(found) != 1:
        raise Invalid("a message has one From address", field="from")
    name, mailbox = found[0]
    return one_line(name, 120), address(mailbox, "from").lower()


def _domain(sender: tuple[str, str]) -> str:
    return sender[1].rpartition("@")[2]


def _recipients(mail: EmailMessage, names: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in names:
        raw = (value for key, value in mail.raw_items() if key.lower() == name.lower())
        for value in islice(raw, _MAX_SAME):
            each = _POLICY.header_fetch_parse(name, value)
            texts = [str(each)] if isinstance(each, AddressHeader | str) else []
            for _, mailbox in getaddresses(texts):
                try:
                    found[address(mailbox).lower()] = None
                except Invalid:
                    continue
    return tuple(found)[:50]


def _ids(text: str) -> tuple[str, ...]:
    return tuple(each for each in re.findall(r"<[^<>\s]+>", text[:20_000]) if is_id(each))


def _instant(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


# --------------------------------------------------------------------------------- bodies


def _parts(mail: EmailMessage) -> Iterator[EmailMessage]:
    for number, part in enumerate(mail.walk()):
        if number >= _MAX_PARTS:
            return
        if isinstance(part, EmailMessage):
            yield part


def _text_of(mail: EmailMessage) -> str:
    """The first plain text that isn't a file, else the first HTML as text."""
    found: dict[str, str] = {}
    for part in _parts(mail):
        kind = part.get_content_type()
        if kind in {"text/plain", "text/html"} and part.get_content_disposition() != "attachment":
            found.setdefault(kind, _decoded(part))
    return found.get("text/plain", "").strip() or html_text(found.get("text/html", ""))


#: Python's, of names in the Internet's directory: quadratic, and nobody writes letters in them.
_NO_CHARSETS: Final = frozenset({"idna", "punycode"})


def _decoded(part: EmailMessage) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    charset = part.get_content_charset("utf-8")
    try:
        if charset not in _NO_CHARSETS:
            return content.decode(charset, "replace")
    except (LookupError, ValueError):  # that nobody knows, or whose name has a NUL
        pass
    return content.decode("utf-8", "replace")


def _attachments(mail: EmailMessage) -> Iterator[Media]:
    found = 0
    for part in _parts(mail):
        inline = part.get_content_maintype() == "text" and not part.get_filename()
        if part.is_multipart() or inline:
            continue
        found += 1
        if found > MAX_ATTACHMENTS:
            return
        kind = part.get_content_type()
        yield Media(
            kind=kind_of(kind), media_type=kind, name=one_line(part.get_filename() or "", 200)
        )


class _Listed(msgspec.Struct, rename={"media_type": "type"}):
    filename: str = ""
    media_type: str = ""


def _listed(text: str) -> Iterator[Media]:
    try:
        listed = msgspec.json.decode(text.encode() or b"{}", type=dict[str, _Listed])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return
    for each in list(listed.values())[:MAX_ATTACHMENTS]:
        kind = each.media_type[:100]
        yield Media(kind=kind_of(kind), media_type=kind, name=one_line(each.filename, 200))


# ------------------------------------------------------------------------------ who wrote


class _Envelope(msgspec.Struct, rename={"sender": "from"}):
    to: list[str] = []
    sender: str = ""


def _envelope(text: str) -> _Envelope:
    try:
        envelope = msgspec.json.decode(text.encode() or b"{}", type=_Envelope)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _Envelope()
    to = []
    for each in envelope.to[:50]:
        try:
            to.append(address(each).lower())
        except Invalid:
            continue
    return _Envelope(to, envelope.sender)


def _vouched(fields: Mapping[str, str], envelope_sender: str, domain: str) -> bool:
    """By the fields `SPF` ("pass", for the envelope's sender) and `dkim` ("{@example.fr : pass}"),
    which the parsing server filled in. The domain must be that of From."""
    if not domain:
        return False
    signed = re.findall(r"@([\w.-]+)\s*:\s*pass", fields.get("dkim", "").lower())
    if any(_aligned(each, domain) for each in signed):
        return True
    path = envelope_sender.rpartition("@")[2].strip().lower()
    return fields.get("SPF", "").strip().lower() == "pass" and _aligned(path, domain)


def _reported(mail: EmailMessage, authserv: str, domain: str) -> bool:
    """By the topmost Authentication-Results: those below may come from anybody."""
    reports = mail.get_all("Authentication-Results", [])
    if not authserv or not reports or not domain:
        return False
    server, _, results = str(reports[0]).lower().partition(";")
    if server.split()[:1] != [authserv.lower()]:
        return False
    dkim = re.findall(r"dkim=pass[^;]*header\.(?:d|i)=@?([\w.-]+)", results)
    spf = re.findall(r"spf=pass[^;]*smtp\.mailfrom=(?:[^\s;@]*@)?([\w.-]+)", results)
    return any(_aligned(each, domain) for each in (*dkim, *spf))


def _aligned(proven: str, domain: str) -> bool:
    """Relaxed alignment of DMARC without a list of public suffixes: the same domain, or one below
    the other, and never a bare top-level domain."""
    if "." not in proven:
        return False
    return domain == proven or domain.endswith(f".{proven}") or proven.endswith(f".{domain}")
