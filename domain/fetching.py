"""What lies behind an address that a tenant, a vendor's answer or a document named, as those who
want it see it. Such an address is fetched through `providers.guarded` and by nobody else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from domain.errors import TenantError

#: What an address may be refused with, and the sentence that goes with it. `unreachable` is one
#: answer for a name that doesn't exist, an address in our own network and a machine that is
#: silent: whoever could tell them apart could look around in our network.
ADDRESS_FAULTS: Final = {
    "bad_address": "The address isn't one that can be fetched.",
    "unreachable": "Nothing can be reached at the address. Check its spelling, and that it is "
    "open to everybody on the Internet.",
    "bad_certificate": "The server's certificate isn't valid for this name.",
    "redirected": "The address leads to another server. Enter the address there instead.",
    "status": "The server refuses the address.",
    "too_large": "There is more at the address than can be taken.",
    "too_slow": "The server didn't answer in time.",
    "bad_answer": "The server's answer can't be understood.",
    "token_refused": "The credentials don't belong to this server.",
}


class AddressRefused(TenantError):
    """An address that gave nothing.

    `code` is a key of ADDRESS_FAULTS and may be shown with `str(error)`. `host`: where a redirect
    leads. `status`: the HTTP status. `retryable`: the same may succeed later. `reason` is for the
    operator's log alone: it tells what `unreachable` hides.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        reason: str = "",
        status: int | None = None,
        host: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(ADDRESS_FAULTS[code] + (f" ({detail})" if detail else ""))
        self.code = code
        self.reason = reason
        self.status = status
        self.host = host
        self.retryable = retryable


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer of 2xx, whole. `media_type` in lower case without parameters, "" when none was
    given, as `charset`; `url` is where it was found, after redirects on the same host. `etag` and
    `last_modified` name this version, in the server's words: who sends them back
    (If-None-Match, If-Modified-Since) may be answered 304, without a body: it is still this one."""

    status: int
    media_type: str
    charset: str
    body: bytes
    url: str
    etag: str = ""
    last_modified: str = ""


class Fetcher(Protocol):
    """Fetches a web page or a file from the open Internet."""

    async def fetch(self, url: str, *, max_bytes: int | None = None) -> Fetched:
        """GET. Raises AddressRefused."""
        ...


class ConditionalFetcher(Protocol):
    """Fetches what it may have fetched before."""

    async def fetch(
        self, url: str, *, headers: Mapping[str, str] | None = None, max_bytes: int | None = None
    ) -> Fetched:
        """GET with these headers; `status` 304 when they say that nothing has changed. Raises
        AddressRefused."""
        ...
