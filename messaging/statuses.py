"""What became of the texts that we sent: Twilio's status callbacks, followed forwards only.

Callbacks overtake each other (https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks),
and the same one may come twice: each moves its text to a later stage or does nothing. Their address
bears the outbox's id, so that a text is found even if we died before we stored Twilio's.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from storage import Report, Storage

#: The parameter of the callback's address that bears our id.
TEXT_ID: Final = "text"

#: Twilio's message statuses → those of `channel_messages_log`. Of inbound messages (receiving,
#: received) there is nothing to record here.
#: https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
STATUSES: Mapping[str, str] = {
    "accepted": "accepted",
    "scheduled": "accepted",
    "queued": "accepted",
    "sending": "accepted",
    "sent": "sent",
    # Some of several parts arrived: no more is known than that it left.
    "partially_delivered": "sent",
    "delivered": "delivered",
    "read": "read",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}

_MESSAGE_SID = re.compile(r"(?:SM|MM)[0-9a-fA-F]{32}")
_TEXT_ID = re.compile(r"[0-9a-f]{32}")
#: https://www.twilio.com/docs/api/errors: five digits so far.
_ERROR_CODE = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One callback, understood. `status` is one of ours, `word` and `error_code` are Twilio's."""

    message_sid: str
    status: str
    error_code: str | None
    word: str = ""


def read_report(form: Mapping[str, str]) -> StatusReport | None:
    """The report in a callback's form; None when it isn't about a message that we sent."""
    sid = form.get("MessageSid") or form.get("SmsSid") or ""
    word = (form.get("MessageStatus") or form.get("SmsStatus") or "").lower()
    status = STATUSES.get(word)
    if status is None or not _MESSAGE_SID.fullmatch(sid):
        return None
    code = form.get("ErrorCode") or ""
    return StatusReport(sid, status, code if _ERROR_CODE.fullmatch(code) else None, word)


async def record_message_status(
    form: Mapping[str, str], storage: Storage, text_id: str | None = None
) -> bool:
    """Follow a callback whose signature has been verified; `text_id` stood in its address.

    True when it moved a text forward; False when it is about none of ours, or said nothing new.
    Raises OperatorError when the database is away: Twilio may then be told to come again.
    """
    report = read_report(form)
    if report is None:
        return False
    known = text_id if text_id and _TEXT_ID.fullmatch(text_id) else None
    return await storage.text_reports.record(
        Report(
            status=report.status,
            source="twilio",
            word=report.word,
            code=report.error_code,
            vendor_id=report.message_sid,
        ),
        known,
    )
