"""Twilio's text messages: who may send what to whom, what becomes of it, and what people answer.

Reference: shared reference `twilio.md` §5. Blocking is per sender (or per messaging service), by
English words only, and Twilio confirms it by itself; a French « ARRET » is a text like any other.
"""

import asyncio
import secrets
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from sandbox import messages
from sandbox.messages import Message, MessageRefused
from sandbox.numbers import Number
from sandbox.webhooks import Answer, Webhook, country_of

#: "Default handling is English only" (§5.4).
STOP_WORDS = frozenset("STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT".split())
START_WORDS = frozenset("START YES UNSTOP".split())
#: Countries where a name may be the sender; in others a name is refused (21612).
NAMES_REACH = ("+33", "+44", "+49", "+41", "+34")


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of the next message.

    `statuses` are told in this order (out of order if it says so), each `times`, `delay` seconds
    apart; with `error` as ErrorCode for failed and undelivered. `answer`: the request's answer is
    lost after the message was taken ("cut", "hang"), or is a 5xx although it was taken ("500").
    """

    statuses: tuple[str, ...] = ("sent", "delivered")
    error: int = 0
    times: int = 1
    delay: float = 0.05
    answer: Literal["", "cut", "hang", "500"] = ""


Send = Callable[[Webhook], Awaitable[Answer | None]]


class Texts:
    """One account's texts. `send`: makes a signed webhook. `services`: senders by service sid;
    `countries`: where the account may send at all (prefixes, 21408); `fates`: of the next ones."""

    def __init__(
        self,
        account_sid: str,
        numbers: Mapping[str, Number],
        send: Send,
        sleep_unless: asyncio.Event,
    ) -> None:
        self._account_sid = account_sid
        self._numbers = numbers
        self._send = send
        self._closing = sleep_unless
        self.messages: dict[str, Message] = {}
        self.services: dict[str, tuple[str, ...]] = {}
        self.short_codes: set[str] = set()
        self.countries: tuple[str, ...] = ("+",)
        self.opted_out: set[str] = set()
        self.blocked: set[tuple[str, str]] = set()
        self.fates: deque[Fate] = deque()
        self.by_sid: dict[str, Fate] = {}

    # ------------------------------------------------------------------ from the server

    def accept(self, fields: Mapping[str, str]) -> Message:
        """Messages.json. Raises MessageRefused."""
        service, to = fields.get("MessagingServiceSid"), fields.get("To", "")
        if service and service not in self.services:
            raise MessageRefused(21701, "The Messaging Service does not exist")
        if service and not self.services[service]:
            raise MessageRefused(21703, "The Messaging Service has no phone numbers")
        message = messages.accept(
            fields,
            sid="SM" + secrets.token_hex(16),
            own_numbers=frozenset(self._numbers) | self.short_codes,
            opted_out=frozenset(self.opted_out),
        )
        sender = service or message.from_number or ""
        if (sender, to) in self.blocked:
            raise MessageRefused(21610, "Attempt to send to unsubscribed recipient")
        if not to.startswith(self.countries):
            raise MessageRefused(21408, "Permission to send an SMS has not been enabled")
        if sender.upper() != sender.lower() and not service and not to.startswith(NAMES_REACH):
            raise MessageRefused(21612, "Message cannot be sent with this To and From")
        _check_rest(fields)
        self.messages[message.sid] = message
        self.by_sid[message.sid] = self.fates.popleft() if self.fates else Fate()
        return message

    async def deliver(self, message: Message) -> None:
        """What becomes of it, told to its StatusCallback."""
        fate = self.by_sid[message.sid]
        if message.messaging_service_sid:
            message.from_number = self.services[message.messaging_service_sid][0]
        for status in fate.statuses:
            await asyncio.sleep(fate.delay)
            if self._closing.is_set():
                return
            message.status = status
            if status in {"failed", "undelivered"}:
                message.error_code = fate.error or 30008
            if message.status_callback:
                await self._tell(message, status, fate.times)

    async def _tell(self, message: Message, status: str, times: int) -> None:
        told = {"MessageSid": message.sid, "SmsSid": message.sid}
        told |= {"MessageStatus": status, "SmsStatus": status, "To": message.to_number}
        told |= {"AccountSid": self._account_sid, "ApiVersion": "2010-04-01"}
        told["From"] = message.from_number or ""
        if message.messaging_service_sid:
            told["MessagingServiceSid"] = message.messaging_service_sid
        if message.error_code and status in {"failed", "undelivered"}:
            told["ErrorCode"] = str(message.error_code)
        webhook = Webhook(message.status_callback, "POST", tuple(told.items()))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(times):
                tasks.create_task(self._once(webhook))

    # ------------------------------------------------------------------ from people

    async def write(
        self,
        sender: str,
        to: str,
        body: str,
        *,
        media: tuple[tuple[str, str], ...] = (),
        times: int = 1,
        opt_out: str = "",
        sid: str = "",
    ) -> list[Answer | None]:
        """Somebody writes to one of the account's numbers; the webhook comes `times`, at once.
        `media`: (address, type). `opt_out`: OptOutType, which only Advanced Opt-Out adds."""
        number = self._numbers[to]
        word = body.strip().upper()
        senders = [to, *(s for s, numbers in self.services.items() if to in numbers)]
        if word in STOP_WORDS:
            self.blocked |= {(each, sender) for each in senders}
        elif word in START_WORDS:
            self.blocked -= {(each, sender) for each in senders}
        sid = sid or ("MM" if media else "SM") + secrets.token_hex(16)
        fields = {
            "ToCountry": country_of(to),
            "ToState": "",
            "SmsMessageSid": sid,
            "NumMedia": str(len(media)),
            "ToCity": "",
            "FromZip": "",
            "SmsSid": sid,
            "FromState": "",
            "SmsStatus": "received",
            "FromCity": "",
            "Body": body,
            "FromCountry": country_of(sender),
            "To": to,
            "ToZip": "",
            "NumSegments": str(messages.segments(body)),
            "MessageSid": sid,
            "AccountSid": self._account_sid,
            "From": sender,
            "ApiVersion": "2010-04-01",
        }
        if opt_out:
            fields["OptOutType"] = opt_out
        for n, (address, kind) in enumerate(media):
            fields |= {f"MediaUrl{n}": address, f"MediaContentType{n}": kind}
        if not number.sms_url:
            return []
        webhook = Webhook(number.sms_url, number.sms_method, tuple(fields.items()))
        async with asyncio.TaskGroup() as tasks:
            sent = [tasks.create_task(self._once(webhook)) for _ in range(times)]
        return [each.result() for each in sent]

    async def _once(self, webhook: Webhook) -> Answer | None:
        return await self._send(webhook)


def _check_rest(fields: Mapping[str, str]) -> None:
    """What else Twilio looks at."""
    callback = fields.get("StatusCallback", "")
    if callback and (not callback.startswith(("http://", "https://")) or len(callback) > 4000):
        raise MessageRefused(21609, "The 'StatusCallback' URL is not a valid URL")
    validity = fields.get("ValidityPeriod", "1")
    if not validity.isdigit() or not 1 <= int(validity) <= 36_000:
        raise MessageRefused(21627, "ValidityPeriod must be 1 to 36000 seconds")
    if "From" in fields and "MessagingServiceSid" in fields:
        # Twilio takes both: From must then be in the service. Nobody here needs it.
        raise MessageRefused(21712, "The 'From' number is not in the Messaging Service")
