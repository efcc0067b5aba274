"""SMS by the deployment's account at Twilio; a messaging.ports.Sender.

Parameters and codes: shared/reference/twilio.md §5.2 and §5.3. There is no idempotency key, so a
request whose answer is lost is never repeated: `find` looks for what became of it.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from domain.clock import Clock
from domain.errors import ProviderError
from messaging.ports import (
    Accepted,
    ChannelPaused,
    Credentials,
    OutgoingText,
    Refused,
    TryLater,
    UnknownOutcome,
)
from providers.http import Limits, patience, surely_undone
from providers.twilio.rest import VENDOR, TwilioAccount, instant

#: Nobody waits at the line, and TIME_LIMIT is above it.
LIMITS: Final = Limits(connect=3.0, read=12.0, total=20.0)

#: Twilio's own bound (21617).
MAX_BODY: Final = 1600
#: `ValidityPeriod` in seconds: what Twilio still sends within this time.
MIN_VALIDITY, MAX_VALIDITY = 5, 36_000

#: The account's matter, which the operator mends (a suspended account answers 20003 like a wrong
#: token): what waits is kept, and asked again after this many seconds.
_ACCOUNT: Final = frozenset({"20003", "20404", "20005", "20006", "30002", "not_configured"})
_ACCOUNT_PATIENCE: Final = 300.0
#: Queues that are full, requests that are too many (§5.3).
_LATER: Final = frozenset({"20429", "21611", "30001"})
_LATER_PATIENCE: Final = 60.0
#: The sender's fault: a number that isn't the account's, a service that doesn't exist or is empty.
_SENDER: Final = frozenset({"21212", "21603", "21606", "21701", "21703", "21659", "21660", "21661"})

#: A text is looked for among those created from so long before it was asked for (clocks differ) …
_BEFORE: Final = timedelta(seconds=30)
#: … to so long after: no request of ours lives longer.
_AFTER: Final = timedelta(minutes=2)
_PAGE: Final = "50"

_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}")
_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_SHORT_CODE = re.compile(r"[0-9]{3,6}")

#: (tenant, number) → whether that number of the account is the tenant's.
Owns = Callable[[str, str], Awaitable[bool]]


class _Message(msgspec.Struct):
    sid: str
    to: str | None = None
    sender: str | None = msgspec.field(default=None, name="from")
    body: str | None = None
    status: str | None = None
    direction: str | None = None
    num_segments: str | int | None = None
    price: str | None = None
    price_unit: str | None = None
    date_created: str | None = None


class _Messages(msgspec.Struct):
    messages: list[_Message] = []


@dataclass(frozen=True, slots=True)
class SmsDefaults:
    """The deployment's: who sends when a tenant has no sender of its own, which numbers are
    shared by all, and where Twilio tells what became of a text (`?text=<our id>` is added, which
    its signature covers)."""

    sender: str = ""
    messaging_service: str = ""
    status_url: str = ""
    own_numbers: frozenset[str] = frozenset()


def replies_reach(sender: str) -> bool:
    """Whether somebody can answer this sender: a number or a short code, never a name. Of a
    messaging service nobody knows beforehand."""
    return bool(_NUMBER.fullmatch(sender) or _SHORT_CODE.fullmatch(sender))


class TwilioTexts:
    """Sends for every tenant by one account. A tenant's sender is `config.sender` (a name, or one
    of its own numbers) or `config.messagingServiceSid`."""

    vendor: Final = VENDOR

    def __init__(
        self, account: TwilioAccount, defaults: SmsDefaults, clock: Clock, owns: Owns
    ) -> None:
        self._account = account
        self._defaults = defaults
        self._clock = clock
        self._owns = owns

    def usable(self, credentials: Credentials) -> bool:
        """There is an account, and somebody to send as."""
        return self._account.configured and bool(self._sender(credentials, None))

    def sender(self, credentials: Credentials) -> str:
        """A number, a name, or a messaging service's sid."""
        return self._sender(credentials, None)

    async def send(self, text: OutgoingText, credentials: Credentials) -> Accepted:
        """One message. Raises what messaging.ports says."""
        sender = self._sender(credentials, text.sender)
        await self._check(text, sender, self._sender(credentials, None))
        form = {"To": text.to, "Body": text.body}
        form |= {"MessagingServiceSid" if _SERVICE.fullmatch(sender) else "From": sender}
        if self._defaults.status_url:
            query = urlencode({"text": text.id})
            form["StatusCallback"] = f"{self._defaults.status_url}?{query}"
        if text.expires_at is not None:
            left = int((text.expires_at - self._clock.now()).total_seconds())
            form["ValidityPeriod"] = str(min(max(left, MIN_VALIDITY), MAX_VALIDITY))
        try:
            answer = await self._account.post("Messages.json", form, idempotent=False)
            return _accepted(answer.read(_Message))
        except ProviderError as error:
            raise self._kind(error, sender) from error

    async def find(
        self, text: OutgoingText, credentials: Credentials, asked_at: datetime
    ) -> Accepted | None:
        """The one message to that number with those words at that time. Two are none: nothing
        tells them apart. Raises ProviderError."""
        answer = await self._account.get("Messages.json", To=text.to, PageSize=_PAGE)
        found = [
            message
            for message in answer.read(_Messages).messages
            if (message.body or "").strip() == text.body.strip()
            and (message.direction or "").startswith("outbound")
            and _about(message.date_created, asked_at)
        ]
        return _accepted(found[0]) if len(found) == 1 else None

    # --------------------------------------------------------------------------- inside

    def _sender(self, credentials: Credentials, chosen: str | None) -> str:
        config: Mapping[str, Any] = credentials.config
        candidates = (
            chosen,
            config.get("messagingServiceSid"),
            config.get("sender"),
            self._defaults.messaging_service,
            self._defaults.sender,
        )
        texts = (each.strip() for each in candidates if isinstance(each, str))
        return next((each for each in texts if _is_sender(each)), "")

    async def _check(self, text: OutgoingText, sender: str, usual: str) -> None:
        if not sender:
            raise ChannelPaused(VENDOR, "no sender is set", code="no_sender")
        if len(text.body) > MAX_BODY:
            raise Refused(VENDOR, f"more than {MAX_BODY} characters", code="21617")
        shared = self._defaults.own_numbers | {self._defaults.sender}
        if (
            _NUMBER.fullmatch(sender)
            and sender not in shared
            and not await self._owns(text.tenant_id, sender)
        ):
            # Numbers of other tenants are the same account's: Twilio would send.
            if sender != usual:  # this text's own choice, that was the tenant's number once
                raise Refused(VENDOR, "the sender isn't this tenant's number", code="21606")
            raise ChannelPaused(VENDOR, "the sender isn't this tenant's number", code="21606")

    def _kind(self, error: ProviderError, sender: str) -> ProviderError | ChannelPaused:
        code, status = error.code, error.status
        given: dict[str, Any] = {"status": status, "code": code}
        if code in _ACCOUNT or status in (401, 403, 404):
            return TryLater(VENDOR, error.reason, after=_ACCOUNT_PATIENCE, **given)
        if code in _SENDER:
            if sender in {self._defaults.sender, self._defaults.messaging_service}:
                return TryLater(VENDOR, error.reason, after=_ACCOUNT_PATIENCE, **given)
            return ChannelPaused(VENDOR, error.reason, code=code)
        if code in _LATER or surely_undone(error):
            after = patience(error) or _LATER_PATIENCE
            return TryLater(VENDOR, error.reason, after=after, **given)
        if status is not None and 400 <= status < 500 and status not in (408, 425):
            return Refused(VENDOR, error.reason, **given)
        # 5xx, 408, no answer, or one that nobody understands: it may have been taken.
        return UnknownOutcome(VENDOR, error.reason, **given)


def _is_sender(text: str) -> bool:
    forms = (_SERVICE, _NUMBER, _SHORT_CODE, _NAME)
    return any(form.fullmatch(text) for form in forms)


def _accepted(message: _Message) -> Accepted:
    segments = message.num_segments
    count = int(segments) if segments is not None and str(segments).isdecimal() else 0
    return Accepted(
        vendor_id=message.sid,
        sender=message.sender,
        segments=count or None,  # "0" until a messaging service has chosen a sender (§5.2)
        price_micros=_micros(message.price),
        price_currency=message.price_unit if message.price else None,
    )


def _micros(price: str | None) -> int | None:
    """Twilio's prices are negative: what the account loses."""
    try:
        return abs(round(float(price) * 1_000_000)) if price else None
    except (ValueError, OverflowError):
        return None


def _about(created: str | None, asked_at: datetime) -> bool:
    moment = instant(created)
    return moment is not None and asked_at - _BEFORE <= moment <= asked_at + _AFTER
