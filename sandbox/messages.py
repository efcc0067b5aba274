"""Text messages sent by REST: what Twilio accepts, and what becomes of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

MAX_BODY = 1600
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# "<= 11 characters, ASCII letters, digits and space, not all digits"
_ALPHANUMERIC = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")


class MessageRefused(Exception):
    """Not accepted; `code` is Twilio's."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass(slots=True)
class Message:
    """One text message. `status` as Twilio spells it."""

    sid: str
    to_number: str
    from_number: str | None
    messaging_service_sid: str | None
    body: str
    status_callback: str = ""
    status: str = "queued"
    error_code: int | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    def resource(self, account_sid: str) -> dict[str, Any]:
        """As GET gives it."""
        in_service = self.messaging_service_sid is not None
        return {
            "sid": self.sid,
            "account_sid": account_sid,
            "api_version": "2010-04-01",
            "to": self.to_number,
            "from": self.from_number,
            "messaging_service_sid": self.messaging_service_sid,
            "body": self.body,
            "status": "accepted" if in_service and self.status == "queued" else self.status,
            "direction": "outbound-api",
            "num_media": "0",
            "num_segments": "0" if in_service else str(segments(self.body)),
            "error_code": self.error_code,
            "error_message": None,
            "price": None,
            "price_unit": "USD",
            "date_created": format_datetime(self.created),
            "date_sent": None,
            "date_updated": format_datetime(self.created),
            "uri": f"/2010-04-01/Accounts/{account_sid}/Messages/{self.sid}.json",
        }


def accept(
    fields: Mapping[str, str], *, sid: str, own_numbers: frozenset[str], opted_out: frozenset[str]
) -> Message:
    """The message, or MessageRefused as at request time (reference §5.3)."""
    to, sender = fields.get("To", ""), fields.get("From")
    service, body = fields.get("MessagingServiceSid"), fields.get("Body", "")
    if not to:
        raise MessageRefused(21604, "A 'To' phone number is required.")
    if not sender and not service:
        raise MessageRefused(21603, "A 'From' phone number is required.")
    if not _E164.fullmatch(to):
        raise MessageRefused(21211, f"Invalid 'To' Phone Number: {to}")
    if sender and sender not in own_numbers and not _ALPHANUMERIC.fullmatch(sender):
        raise MessageRefused(21606, f"The 'From' phone number {sender} is not yours.")
    if not body and not fields.get("MediaUrl") and not fields.get("ContentSid"):
        raise MessageRefused(21619, "A text message body or media urls must be specified.")
    if len(body) > MAX_BODY:
        raise MessageRefused(21617, f"The message body exceeds the {MAX_BODY} character limit.")
    if to in opted_out:
        raise MessageRefused(21610, "Attempt to send to unsubscribed recipient")
    if re.match(r"\+33[1-5]", to):
        raise MessageRefused(21635, f"'To' number {to} is a landline.")
    return Message(sid, to, sender, service, body, fields.get("StatusCallback", ""))


# GSM 03.38: one unit each, two for the extension table; anything else makes it UCS-2.
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ ÆæßÉ!\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = frozenset("^{}\\[~]|€")


def segments(body: str) -> int:
    """How many messages the text costs."""
    if all(each in _BASIC or each in _EXTENSION for each in body):
        units, one, many = sum(1 + (each in _EXTENSION) for each in body), 160, 153
    else:
        units, one, many = len(body.encode("utf-16-le")) // 2, 70, 67
    return 1 if units <= one else -(-units // many)
