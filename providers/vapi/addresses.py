"""Which addresses of Vapi's answers we dial, and how.

A call's answer names two of them: `monitor.controlUrl` and `transport.websocketCallUrl`. Both open
a running call to whoever has them (vapi-openai-pinecone.md §1.1), so they are never logged; and
both were chosen by somebody else, so they aren't dialled unless they lead to Vapi:

- to the very host that the operator named in VAPI_BASE_URL, whatever it is: that is trust already
  given (and how an emulator on this machine is reached);
- to a host below vapi.ai, through the guarded door: over TLS, to a public address.
"""

from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from domain.errors import OperatorError, ProviderError

VENDOR: Final = "vapi"

#: Control addresses are on other hosts than the API (`phone-call-websocket.….vapi.ai`, §1.1).
VENDOR_HOSTS: Final = ".vapi.ai"

#: Longer than any address of Vapi's, shorter than an attack.
MAX_ADDRESS: Final = 2048

Via = Literal["operator", "guarded"]


class VapiAddresses:
    """Judges addresses by the operator's VAPI_BASE_URL. Raises OperatorError on a bad one."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url.strip())
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.username
            or parts.query
            or parts.fragment
        ):
            raise OperatorError(
                "VAPI_BASE_URL must look like https://api.vapi.ai: http or https, a host, perhaps "
                "a path, and nothing else"
            )
        self._host = parts.hostname
        self._tls = parts.scheme == "https"

    def judge(self, address: str, *, plain: str, tls: str) -> Via:
        """How to dial this address of Vapi's; `plain` and `tls` are the schemes it may have
        (`http` and `https`, `ws` and `wss`). Raises ProviderError, code `unexpected_address`."""
        parts = _split(address)
        host = (parts.hostname or "").lower()
        if not host or parts.username is not None or parts.scheme not in (plain, tls):
            raise _unexpected()
        if host == self._host and (parts.scheme == tls or not self._tls):
            return "operator"
        if host.endswith(VENDOR_HOSTS) and parts.scheme == tls and parts.port in (None, 443):
            return "guarded"
        raise _unexpected()


def _split(address: str) -> SplitResult:
    if len(address) > MAX_ADDRESS or not address.isascii() or not address.isprintable():
        raise _unexpected()
    try:
        parts = urlsplit(address)
        _ = parts.port  # reads it
    except ValueError as error:
        raise _unexpected() from error
    return parts


def _unexpected() -> ProviderError:
    return ProviderError(
        VENDOR,
        "it named an address that isn't its own, and which isn't dialled",
        retryable=False,
        code="unexpected_address",
    )
