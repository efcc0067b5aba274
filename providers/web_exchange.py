"""One request to a checked address, and its answer within limits: the guarded door's HTTP."""

import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from domain.fetching import AddressRefused, Fetched
from providers.addresses import CheckedAddress

#: Addresses of one name that are tried, one after the other.
MAX_TRIED: Final = 4

#: Answers after which the same request may succeed.
_PASSING: Final = frozenset({408, 425, 429})
_NOT_MODIFIED: Final = 304
#: What a 304 may be the answer to (RFC 9110 §15.4.5).
_CONDITIONS: Final = frozenset({"if-none-match", "if-modified-since"})
#: What a server may call a version; longer names are none.
_LONGEST_VERSION: Final = 300
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: zlib: take a gzip or a zlib header, whichever comes. https://zlib.net/manual.html#Advanced
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class WebRequest:
    """What is asked; `max_bytes` bounds the answer, packed and unpacked."""

    method: str
    headers: Mapping[str, str]
    content: bytes | None
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Redirect:
    """An answer that only says where to ask; `location` as the server wrote it."""

    location: str


class _NotConnected(Exception):
    """Nothing was sent: another address of the same name may be tried."""


class WebExchange:
    """Asks over a connection of its own each time. A pool would find a connection again by the IP
    address, and with it one whose certificate was checked for another name."""

    def __init__(self, trust: ssl.SSLContext, connect: float, read: float) -> None:
        self._trust = trust
        self._timeouts = {"connect": connect, "read": read, "write": read, "pool": connect}

    async def ask(
        self, url: httpx.URL, checked: CheckedAddress, asked: WebRequest
    ) -> Fetched | Redirect:
        """`url` from the machine that was checked. Raises AddressRefused for anything but 2xx and
        a redirect."""
        for ip in checked.ips[:MAX_TRIED]:
            try:
                return await self._once(url, self._request(url, checked, ip, asked), asked)
            except _NotConnected:
                continue
        raise AddressRefused("unreachable", reason="no connection", retryable=True)

    def _request(
        self, url: httpx.URL, checked: CheckedAddress, ip: str, asked: WebRequest
    ) -> httpx.Request:
        host = f"[{checked.host}]" if ":" in checked.host else checked.host
        return httpx.Request(
            asked.method,
            url.copy_with(host=ip, fragment=None),
            headers={
                "accept": "*/*",
                "user-agent": "coccinelle",
                # Nothing to unpack, if they listen.
                "accept-encoding": "identity",
                **asked.headers,
                "connection": "close",
                "host": host if url.port is None else f"{host}:{url.port}",
            },
            content=asked.content,
            # The name that the certificate is checked against.
            extensions={"timeout": self._timeouts, "sni_hostname": checked.host},
        )

    async def _once(
        self, url: httpx.URL, request: httpx.Request, asked: WebRequest
    ) -> Fetched | Redirect:
        # The transport alone: no cookies, no redirects, no proxy from the environment.
        async with httpx.AsyncHTTPTransport(verify=self._trust, trust_env=False) as transport:
            try:
                response = await transport.handle_async_request(request)
                try:
                    return await self._answer(url, response, asked)
                finally:
                    await response.aclose()
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                raise _not_connected(error) from error
            except httpx.TimeoutException as error:
                raise AddressRefused("too_slow", retryable=True) from error
            except httpx.TransportError as error:
                raise AddressRefused("bad_answer", retryable=True) from error

    async def _answer(
        self, url: httpx.URL, response: httpx.Response, asked: WebRequest
    ) -> Fetched | Redirect:
        status = response.status_code
        if status in _REDIRECTS and "location" in response.headers:
            return Redirect(response.headers["location"])
        unchanged = status == _NOT_MODIFIED and not _CONDITIONS.isdisjoint(asked.headers)
        if not response.is_success and not unchanged:
            raise AddressRefused(
                "status",
                f"status {status}",
                status=status,
                retryable=status in _PASSING or status >= 500,
            )
        return Fetched(
            status=status,
            media_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
            charset=(response.charset_encoding or "").lower(),
            body=b"" if unchanged else await _body(response, asked.max_bytes),
            url=str(url.copy_with(fragment=None)),
            etag=_version(response, "etag"),
            last_modified=_version(response, "last-modified"),
        )


def _version(response: httpx.Response, header: str) -> str:
    value: str = response.headers.get(header, "")
    return value if len(value) <= _LONGEST_VERSION else ""


def _not_connected(error: BaseException) -> Exception:
    """A name's certificate is wrong on all its addresses; anything else may differ."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return AddressRefused("bad_certificate", cause.verify_message)
        cause = cause.__cause__ or cause.__context__
    return _NotConnected()


async def _body(response: httpx.Response, max_bytes: int) -> bytes:
    """The whole body, unpacked when it came packed all the same."""
    unpack = _unpacking(response.headers.get("content-encoding", ""))
    received = 0
    body = bytearray()
    async for chunk in response.aiter_raw():
        received += len(chunk)
        # One byte beyond the limit is enough to know; a bomb is never unpacked any further.
        body += chunk if unpack is None else _unpacked(unpack, chunk, max_bytes + 1 - len(body))
        if len(body) > max_bytes or received > max_bytes:
            raise AddressRefused("too_large", f"the limit is {max_bytes} bytes")
    if unpack is not None and received and not unpack.eof:
        raise AddressRefused("bad_answer", "it ends early", retryable=True)
    return bytes(body)


def _unpacking(encoding: str) -> "zlib._Decompress | None":
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        return None
    if encoding in {"gzip", "x-gzip", "deflate"}:
        return zlib.decompressobj(_GZIP_OR_ZLIB)
    raise AddressRefused("bad_answer", "it is packed in a way that wasn't asked for")


def _unpacked(unpack: "zlib._Decompress", chunk: bytes, room: int) -> bytes:
    try:
        return unpack.decompress(chunk, room)
    except zlib.error as error:
        raise AddressRefused("bad_answer", "it can't be unpacked") from error
