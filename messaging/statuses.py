"""What became of the messages that we sent: Twilio's status callbacks, recorded forwards only.

Callbacks overtake each other (https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks),
and the same one may come twice: each moves its message to a later state or does nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from domain.clock import Clock
from storage import Storage

#: Twilio's message statuses → those of `channel_messages_log`. Of inbound messages (receiving,
#: received) there is nothing to record here.
#: https://www.twilio.com/docs/messaging/api/message-resource#message-status-values
STATUSES: Mapping[str, str] = {
    "accepted": "pending",
    "scheduled": "pending",
    "queued": "pending",
    "sending": "pending",
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
#: https://www.twilio.com/docs/api/errors: five digits so far.
_ERROR_CODE = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class StatusReport:
    """One callback, understood. `status` is one of ours, `error_code` Twilio's."""

    message_sid: str
    status: str
    error_code: str | None


def read_report(form: Mapping[str, str]) -> StatusReport | None:
    """The report in a callback's form; None when it isn't about a message that we sent."""
    sid = form.get("MessageSid") or form.get("SmsSid") or ""
    status = STATUSES.get((form.get("MessageStatus") or form.get("SmsStatus") or "").lower())
    if status is None or not _MESSAGE_SID.fullmatch(sid):
        return None
    code = form.get("ErrorCode") or ""
    return StatusReport(sid, status, code if _ERROR_CODE.fullmatch(code) else None)


async def record_message_status(form: Mapping[str, str], storage: Storage, clock: Clock) -> bool:
    """Record a callback whose signature has been verified.

    True when it moved a message forward; False when it is about none of ours, or said nothing
    new. Raises OperatorError when the database is away: Twilio may then be told to come again.
    """
    report = read_report(form)
    # "Pending" is where a message begins: nothing lies behind it to move forward from.
    if report is None or report.status == "pending":
        return False
    return await storage.operator.message_status(
        report.message_sid, report.status, report.error_code, clock.now()
    )
