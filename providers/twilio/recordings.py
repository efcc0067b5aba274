"""Recordings of running calls over Twilio's REST API (twilio.md §4.8)."""

from typing import Final
from urllib.parse import quote

import msgspec

from domain.errors import ProviderError
from providers.twilio.rest import TwilioAccount

#: Of one call: there is one, or two if an answer was lost.
_MOST: Final = "50"


class _Recording(msgspec.Struct):
    sid: str


class _Recordings(msgspec.Struct):
    recordings: list[_Recording]


class TwilioRecordings:
    """Begin, stop, delete. Raises ProviderError."""

    def __init__(self, account: TwilioAccount) -> None:
        self._account = account

    async def start(self, call_sid: str) -> str:
        """Record a call that was answered, both sides mixed; the recording's id. Asked once: a
        second time would record twice."""
        form = {"RecordingChannels": "mono", "Trim": "do-not-trim"}
        answer = await self._account.post(_of_call(call_sid), form, idempotent=False)
        return answer.read(_Recording).sid

    async def of_call(self, call_sid: str) -> list[str]:
        """The ids of all that there are of a call; none when Twilio knows no such call."""
        try:
            answer = await self._account.get(_of_call(call_sid), PageSize=_MOST)
        except ProviderError as error:
            if error.status == 404:
                return []
            raise
        return [each.sid for each in answer.read(_Recordings).recordings]

    async def remove(self, call_sid: str, recording_sid: str) -> None:
        """Stop it, if it still runs, and delete it; one that isn't there (any more) is done."""
        path = f"Calls/{quote(call_sid, safe='')}/Recordings/{quote(recording_sid, safe='')}.json"
        try:
            await self._account.post(path, {"Status": "stopped"}, idempotent=True)
        except ProviderError as error:  # 4xx: it has ended already, with its call
            if error.retryable or error.status is None or error.status >= 500:
                raise
        await self._account.delete(f"Recordings/{quote(recording_sid, safe='')}.json")


def _of_call(call_sid: str) -> str:
    return f"Calls/{quote(call_sid, safe='')}/Recordings.json"
