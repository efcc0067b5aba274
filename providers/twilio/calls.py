"""Calls that we place at Twilio (shared/reference/twilio.md §4.2)."""

from dataclasses import dataclass
from urllib.parse import quote

import msgspec

from domain.errors import ProviderError
from providers.twilio.rest import TwilioAccount


class _Placed(msgspec.Struct):
    sid: str


class _State(msgspec.Struct):
    status: str


@dataclass(frozen=True, slots=True)
class NewOutboundCall:
    """`to` and `from_number` in E.164; `twiml` runs when somebody answers (4000 characters at
    most); the line is rung `ring_seconds`, and a call that was answered lasts `limit_seconds`."""

    to: str
    from_number: str
    twiml: str
    status_url: str
    ring_seconds: int
    limit_seconds: int


class TwilioCalls:
    """Raises ProviderError; a refusal (nobody was called) is one with a 4xx status."""

    def __init__(self, account: TwilioAccount) -> None:
        self._account = account

    async def place(self, call: NewOutboundCall) -> str:
        """Its CallSid. Never repeated unless it surely wasn't taken: somebody's telephone would
        ring twice."""
        form = {
            "To": call.to,
            "From": call.from_number,
            "Twiml": call.twiml,
            "Timeout": str(call.ring_seconds),
            "TimeLimit": str(call.limit_seconds),
            "StatusCallback": call.status_url,
            "StatusCallbackMethod": "POST",
            "StatusCallbackEvent": "completed",
        }
        answer = await self._account.post("Calls.json", form, idempotent=False)
        return answer.read(_Placed).sid

    async def status(self, call_sid: str) -> str | None:
        """Twilio's word for how it stands; None when Twilio knows no such call."""
        try:
            answer = await self._account.get(f"Calls/{quote(call_sid, safe='')}.json")
        except ProviderError as error:
            if error.status == 404:
                return None
            raise
        return answer.read(_State).status
