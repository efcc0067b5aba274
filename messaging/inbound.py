"""An SMS that somebody sent us: Twilio's webhook → `IncomingMessage`. Pure.

Shapes: shared/reference/twilio.md §5.1. The signature has been verified by then.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal

from messaging.incoming import IncomingMessage, Media

#: A message has at most ten media (https://www.twilio.com/docs/messaging/api/media-resource).
MAX_MEDIA: Final = 10
#: Twilio's own bound is 1600 characters of text; nobody needs twice that.
MAX_TEXT: Final = 3200
_MAX_REFERENCE: Final = 2000

_SID = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
_E164 = re.compile(r"\+[1-9][0-9]{5,14}")
#: A short code, or a name: what can't be answered, and what a machine sends from.
_NAME = re.compile(r"[\w .&'+*#-]{1,32}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_OPT_OUTS: Final[Mapping[str, Literal["STOP", "START", "HELP"]]] = {
    "STOP": "STOP",
    "START": "START",
    "HELP": "HELP",
}


def read_sms(form: Mapping[str, str]) -> IncomingMessage | None:
    """The message in a webhook's form; None when it isn't one (no sid, no sender, or another of
    Twilio's channels: `whatsapp:+33…`).

    `sender` isn't a number when a machine wrote: `automatic` then. `opt_out` comes with Advanced
    Opt-Out only (§5.4): Twilio has blocked and answered by itself.
    """
    sid = form.get("MessageSid") or form.get("SmsSid") or ""
    sender, recipient = form.get("From", "").strip(), form.get("To", "").strip()
    is_number = bool(_E164.fullmatch(sender))
    if not _SID.fullmatch(sid) or not recipient or ":" in recipient:
        return None
    if not is_number and not _NAME.fullmatch(sender):
        return None
    return IncomingMessage(
        channel="sms",
        vendor_id=sid,
        sender=sender,
        recipient=recipient[:64],
        text=readable(form.get("Body", ""))[:MAX_TEXT],
        media=_media(form),
        opt_out=_OPT_OUTS.get(form.get("OptOutType", "").upper(), ""),
        automatic=not is_number,
    )


def readable(text: str) -> str:
    """Without what neither people nor databases can read: control characters but tab and line
    feed, halves of surrogate pairs; line ends are line feeds."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
    return _CONTROL.sub("", text).strip()


def kind_of(media_type: str) -> str:
    """`Media.kind` of a media type."""
    whole = media_type.partition("/")[0].lower()
    if whole in {"image", "video", "audio"}:
        return whole
    if whole == "text" and "vcard" in media_type.lower():
        return "contacts"
    return "document" if whole in {"application", "text"} else "other"


def _media(form: Mapping[str, str]) -> tuple[Media, ...]:
    number = form.get("NumMedia", "0")
    count = int(number[:3]) if number.isascii() and number.isdigit() else 0
    found = []
    for n in range(min(count, MAX_MEDIA)):
        media_type = form.get(f"MediaContentType{n}", "")[:100]
        reference = form.get(f"MediaUrl{n}", "")[:_MAX_REFERENCE]
        found.append(Media(kind=kind_of(media_type), media_type=media_type, reference=reference))
    return tuple(found)
