"""Recordings for whoever may listen: from Twilio, through our own door, with the account's token.

No address is taken from anywhere: it is built from the recording's id, below the API that the
operator set.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from domain.errors import NotFound, ProviderError
from providers.twilio.rest import LIMITS, TwilioAccount
from server.settings import Settings

#: An hour of Twilio's MP3 (32 kbit/s, twilio.md §4.8): the longest call is shorter.
_LIMITS: Final = replace(LIMITS, response_bytes=16 * 1024 * 1024, read=15.0, total=40.0)
#: Fetched at once; each may take 16 MB.
_AT_ONCE: Final = 3
_SID: Final = re.compile(r"RE[0-9a-f]{32}")


def listening(settings: Settings) -> Callable[[str], Awaitable[bytes]] | None:
    """The id of a recording → an MP3. NotFound when Twilio hasn't got it (any more);
    ProviderError. None without an account."""
    sid, tokens = settings.twilio_account_sid, settings.auth_tokens
    if not sid or not tokens:
        return None
    places = asyncio.Semaphore(_AT_ONCE)

    async def fetch(recording: str) -> bytes:
        if not _SID.fullmatch(recording):
            raise NotFound("no such recording", message_key="recording_unknown")
        account = TwilioAccount(settings.twilio_api_base_url, sid, tokens[0], limits=_LIMITS)
        async with places, account:
            try:
                return (await account.get(f"Recordings/{recording}.mp3")).body
            except ProviderError as error:
                if error.status != 404:
                    raise
                raise NotFound(
                    "The carrier has no such recording.", message_key="recording_unknown"
                ) from error

    return fetch
