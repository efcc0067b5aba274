"""Public keys of whoever signs sessions (JWKS, RFC 7517), remembered and renewed.

A key that we don't know makes us ask again, for keys are rotated without notice; not more often
than every half minute, for anybody can invent a `kid`. While the vendor is down, what it said last
is good for a day.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
import structlog

from domain.clock import Clock
from domain.errors import ProviderError
from providers.http import HttpDoor, Limits

log = structlog.get_logger(__name__)

#: Seconds. Auth0, Keycloak and Supabase let their key sets be cached for five minutes to a day.
FRESH_SECONDS: Final = 600.0
ASK_AGAIN_SECONDS: Final = 30.0
STALE_SECONDS: Final = 24 * 3600.0
#: Two at a time are usual, while one takes over from the other.
MOST_KEYS: Final = 20
#: A request of a person waits for this.
LIMITS: Final = Limits(connect=2.0, read=3.0, total=4.0, response_bytes=256 * 1024, attempts=2)


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class Jwks:
    """The key set at one address. An async context manager, or to be closed with `aclose()`."""

    def __init__(self, url: str, clock: Clock) -> None:
        parts = urlsplit(url)
        self._path = parts.path or "/"
        self._door = HttpDoor(
            "jwks", urlunsplit((parts.scheme, parts.netloc, "", "", "")), limits=LIMITS
        )
        self._clock = clock
        self._keys: list[dict[str, Any]] | None = None
        self._fetched_at = self._asked_at = float("-inf")
        self._one_asks = asyncio.Lock()

    async def __aenter__(self) -> "Jwks":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._door.aclose()

    async def key(self, key_id: str | None) -> Mapping[str, Any] | None:
        """The key with this `kid`; without one, the only key there is. Raises ProviderError when
        there is no set that could be relied on."""
        if not self._known_for(FRESH_SECONDS):
            await self._ask()
        found = self._find(key_id)
        if found is None and self._may_ask():
            await self._ask()
            found = self._find(key_id)
        return found

    def _find(self, key_id: str | None) -> Mapping[str, Any] | None:
        keys = [each for each in self._keys or () if each.get("use", "sig") == "sig"]
        if key_id is None:
            return keys[0] if len(keys) == 1 else None
        return next((each for each in keys if each.get("kid") == key_id), None)

    def _known_for(self, seconds: float) -> bool:
        return self._keys is not None and self._clock.monotonic() - self._fetched_at < seconds

    def _may_ask(self) -> bool:
        return self._clock.monotonic() - self._asked_at >= ASK_AGAIN_SECONDS

    async def _ask(self) -> None:
        """Ask, unless somebody just did. Raises ProviderError when there is nothing to go by."""
        async with self._one_asks:
            if self._may_ask():
                self._asked_at = self._clock.monotonic()
                try:
                    answer = await self._door.request("GET", self._path)
                    self._keys = answer.read(_KeySet).keys[:MOST_KEYS]
                    self._fetched_at = self._clock.monotonic()
                except ProviderError as error:
                    log.warning("jwks.not_read", reason=error.reason, code=error.code)
        if not self._known_for(STALE_SECONDS):
            raise ProviderError("jwks", "no key set to go by", retryable=True)
