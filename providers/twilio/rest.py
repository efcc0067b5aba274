"""Twilio's REST API: the control of a running call, and the addresses that a number calls.

Shapes and codes: shared/reference/twilio.md §4.1 and §6. Over our own door and not the twilio
package, whose async client has no time limit and repeats POSTs (§6).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from math import ceil
from types import TracebackType
from typing import Final
from urllib.parse import quote

import msgspec

from domain.errors import OperatorError, ProviderError
from providers.http import Answer, Form, HttpDoor, Limits
from voice.ports import CallRecord

VENDOR: Final = "twilio"

#: "Call is not in-progress": it has ended already (§4.1).
NOT_IN_PROGRESS: Final = "21220"

#: A caller waits for a hang-up or a transfer.
LIMITS: Final = Limits(connect=3.0, read=5.0, total=10.0)


class _Refusal(msgspec.Struct):
    code: int | None = None


class _Call(msgspec.Struct):
    sid: str
    status: str
    duration: str | int | None = None
    start_time: str | None = None
    end_time: str | None = None
    price: str | float | None = None


class TwilioNumber(msgspec.Struct, frozen=True):
    """A number of the account, as far as it concerns calls and texts."""

    sid: str
    phone_number: str
    voice_url: str | None = None
    voice_method: str | None = None
    voice_fallback_url: str | None = None
    voice_fallback_method: str | None = None
    status_callback: str | None = None
    status_callback_method: str | None = None
    voice_application_sid: str | None = None
    trunk_sid: str | None = None
    sms_url: str | None = None
    sms_method: str | None = None
    sms_application_sid: str | None = None


class _Numbers(msgspec.Struct):
    incoming_phone_numbers: list[TwilioNumber]


class TwilioAccount:
    """One account's REST API at `base_url`; an async context manager. Raises ProviderError.

    Without a SID or a token every request fails at once, with code `not_configured`.
    """

    def __init__(
        self, base_url: str, account_sid: str, auth_token: str, *, limits: Limits = LIMITS
    ) -> None:
        self._configured = bool(account_sid and auth_token)
        self._door = HttpDoor(
            VENDOR,
            f"{base_url.rstrip('/')}/2010-04-01/Accounts/{quote(account_sid, safe='')}",
            auth=(account_sid, auth_token),
            headers={"Accept": "application/json"},
            limits=limits,
            error_code=_error_code,
        )

    async def __aenter__(self) -> "TwilioAccount":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._door.aclose()

    @property
    def configured(self) -> bool:
        """Whether there are credentials at all."""
        return self._configured

    async def get(self, path: str, **params: str) -> Answer:
        """A resource below the account."""
        self._check()
        return await self._door.request("GET", path, params=params or None)

    async def post(self, path: str, form: Form, *, idempotent: bool) -> Answer:
        """Create or change one."""
        self._check()
        return await self._door.request("POST", path, form=form, idempotent=idempotent)

    async def delete(self, path: str) -> None:
        """Delete one; what isn't there (any more) is done."""
        self._check()
        try:
            await self._door.request("DELETE", path)
        except ProviderError as error:
            if error.status != 404:
                raise

    def _check(self) -> None:
        if not self._configured:
            raise ProviderError(
                VENDOR,
                "no account SID or no auth token is configured",
                retryable=False,
                code="not_configured",
            )


class TwilioCallControl:
    """The control of running calls; a voice.ports.CallControl."""

    def __init__(self, account: TwilioAccount) -> None:
        self._account = account

    async def hang_up(self, call_sid: str) -> None:
        """End it. A call that has ended, or that Twilio doesn't know (any more), is done."""
        try:
            await self._account.post(_call(call_sid), {"Status": "completed"}, idempotent=True)
        except ProviderError as error:
            if error.status != 404 and error.code != NOT_IN_PROGRESS:
                raise

    async def redirect(self, call_sid: str, url: str) -> None:
        """Make Twilio ask `url` for new TwiML. Not repeated unless it surely wasn't done: a
        second time would begin a transfer anew."""
        form = {"Url": url, "Method": "POST"}
        await self._account.post(_call(call_sid), form, idempotent=False)

    async def fetch(self, call_sid: str) -> CallRecord | None:
        """Twilio's record of the call, or None when it knows no such call."""
        call = await self._look_up(call_sid)
        if call is None:
            return None
        return CallRecord(
            call_sid=call.sid,
            status=call.status,
            duration_seconds=_seconds(call.duration),
            started_at=instant(call.start_time),
            ended_at=instant(call.end_time),
        )

    async def cents(self, call_sid: str) -> int | None:
        """What the call cost, in hundredths of the account's currency, rounded up; None while
        Twilio hasn't said, or for a call that it doesn't know. Prices are negative numbers
        (https://www.twilio.com/docs/voice/api/call-resource#call-properties)."""
        call = await self._look_up(call_sid)
        if call is None or call.price is None:
            return None
        try:
            return ceil(abs(Decimal(str(call.price))) * 100)
        except (InvalidOperation, OverflowError, ValueError):
            return None

    async def _look_up(self, call_sid: str) -> "_Call | None":
        try:
            answer = await self._account.get(_call(call_sid))
        except ProviderError as error:
            if error.status == 404:
                return None
            raise
        return answer.read(_Call)


@dataclass(frozen=True, slots=True)
class NumberAddresses:
    """Where a number sends what happens. `fallback_url`: TwiML that works without us, or "";
    `sms_url` "" leaves its texts alone."""

    voice_url: str
    status_callback: str
    fallback_url: str = ""
    sms_url: str = ""


class TwilioNumbers:
    """The account's telephone numbers. Raises ProviderError; OperatorError names what to mend."""

    def __init__(self, account: TwilioAccount) -> None:
        self._account = account

    async def find(self, number: str) -> TwilioNumber | None:
        """The number with exactly this E.164 spelling (Twilio's filter accepts parts of it)."""
        answer = await self._account.get("IncomingPhoneNumbers.json", PhoneNumber=number)
        found = answer.read(_Numbers).incoming_phone_numbers
        return next((each for each in found if each.phone_number == number), None)

    async def point(self, number: str, addresses: NumberAddresses) -> TwilioNumber:
        """Set a number's addresses, read them back and verify them."""
        found = await self.find(number)
        if found is None:
            raise OperatorError(
                f"the Twilio account has no number {number}: buy it, or correct "
                "TWILIO_PHONE_NUMBER or TWILIO_ACCOUNT_SID"
            )
        path = f"IncomingPhoneNumbers/{quote(found.sid, safe='')}.json"
        await self._account.post(path, _form(addresses, found), idempotent=True)
        stored = (await self._account.get(path)).read(TwilioNumber)
        wrong = differences(stored, addresses)
        if wrong:
            raise OperatorError(
                f"Twilio did not keep the addresses of {number}: {', '.join(wrong)}"
            )
        return stored


def differences(stored: TwilioNumber, addresses: NumberAddresses) -> list[str]:
    """What of a number isn't as it should be, by Twilio's names."""
    expected = {
        "voice_url": addresses.voice_url,
        "voice_method": "POST",
        "status_callback": addresses.status_callback,
        "status_callback_method": "POST",
        # Either of these makes Twilio ignore the voice addresses.
        "voice_application_sid": "",
        "trunk_sid": "",
    }
    if addresses.fallback_url:
        expected["voice_fallback_url"] = addresses.fallback_url
        expected["voice_fallback_method"] = "POST"
    if addresses.sms_url:
        expected["sms_url"] = addresses.sms_url
        expected["sms_method"] = "POST"
        expected["sms_application_sid"] = ""
    return [name for name, value in expected.items() if (getattr(stored, name) or "") != value]


def _form(addresses: NumberAddresses, found: TwilioNumber) -> dict[str, str]:
    form = {
        "VoiceUrl": addresses.voice_url,
        "VoiceMethod": "POST",
        "StatusCallback": addresses.status_callback,
        "StatusCallbackMethod": "POST",
    }
    if addresses.fallback_url:
        form["VoiceFallbackUrl"] = addresses.fallback_url
        form["VoiceFallbackMethod"] = "POST"
    if found.voice_application_sid:
        form["VoiceApplicationSid"] = ""
    if found.trunk_sid:
        form["TrunkSid"] = ""
    if addresses.sms_url:
        form |= {"SmsUrl": addresses.sms_url, "SmsMethod": "POST"}
        if found.sms_application_sid:
            form["SmsApplicationSid"] = ""
    return form


def _call(call_sid: str) -> str:
    return f"Calls/{quote(call_sid, safe='')}.json"


def _error_code(body: bytes) -> str:
    """Twilio's own code (`{"code": 21220, …}`), or ""."""
    try:
        code = msgspec.json.decode(body, type=_Refusal).code
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    return "" if code is None else str(code)


def _seconds(duration: str | int | None) -> int | None:
    """Twilio writes numbers of seconds as strings; none before the end."""
    if isinstance(duration, str):
        return int(duration[:9]) if duration.isascii() and duration.isdigit() else None
    return duration


def instant(text: str | None) -> datetime | None:
    """RFC 2822, as Twilio's resources have it → aware, in UTC; None when it isn't one."""
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
