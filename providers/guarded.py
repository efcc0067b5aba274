"""The guarded door: the one place from which an address is dialled that somebody else chose.

Whoever has an address from a tenant (a web page, a mail server), from a vendor's answer (a media
link, a websocket) or from a document goes through here; `providers.http` is for the base URLs that
the operator set. The name is resolved once, every address of the answer is judged
(`providers.addresses`), and the connection goes to the very address that was judged: a name that
answers differently the next time gains nothing.

What a tenant is told doesn't depend on what stands in our network: see `AddressRefused`.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import httpx
import structlog

from domain.fetching import AddressRefused, Fetched
from providers.addresses import (
    Address,
    CheckedAddress,
    Network,
    canonical_host,
    is_allowed,
    is_open,
    parsed,
)
from providers.lookups import SystemLookups
from providers.trust import trust_store
from providers.web_exchange import MAX_TRIED, Redirect, WebExchange, WebRequest

log = structlog.get_logger(__name__)

#: (host, port) → the IP addresses of the host, in the order in which to try them. Raises OSError.
Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

WEB_PORTS: Final = frozenset({80, 443})
#: Submission and mailboxes: RFC 8314 §3, and what submission has where 587 is closed.
MAIL_PORTS: Final = frozenset({465, 587, 2525, 993, 143})

#: What browsers and servers agree on at least; text, not bytes.
_MAX_URL: Final = 2048
#: The door writes these itself: the name that was checked, the token that was allowed.
_OURS_ALONE: Final = ("authorization", "connection", "cookie", "host", "proxy-authorization")


@dataclass(frozen=True, slots=True)
class GuardLimits:
    """Seconds, bytes and hops. `total` bounds a fetch with its redirects; `floor` is the least
    time that `unreachable` takes, so that our own addresses aren't told from absent ones by how
    fast they are refused."""

    resolve: float = 3.0
    connect: float = 3.0
    read: float = 8.0
    total: float = 20.0
    floor: float = 0.5
    response_bytes: int = 10 * 1024 * 1024
    redirects: int = 3


class GuardedDoor:
    """Checks, connects and fetches. One for the process; nothing to close.

    `allowed_networks`: what the operator opens besides the public Internet, on any port.
    `token_hosts`: where tokens may go, exact names or `.suffix`. `resolver` and `trust` (whose
    certificates are believed) are the system's unless given.
    """

    def __init__(
        self,
        allowed_networks: Iterable[str] = (),
        token_hosts: Iterable[str] = (),
        *,
        limits: GuardLimits | None = None,
        resolver: Resolver | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._allowed: tuple[Network, ...] = tuple(
            ipaddress.ip_network(network) for network in allowed_networks
        )
        self._token_hosts = tuple(host.lower() for host in token_hosts)
        self._limits = limits or GuardLimits()
        self._resolver = resolver or SystemLookups()
        self._trust = trust or trust_store()

    # ----------------------------------------------------------------------- check, connect

    async def check(
        self, host: str, port: int, *, ports: frozenset[int] = WEB_PORTS | MAIL_PORTS
    ) -> CheckedAddress:
        """Resolve and judge. Outside of `ports`, only the operator's networks are open. Raises
        AddressRefused `bad_address` or `unreachable`."""
        async with self._unhurried():
            return await self._check(host, port, ports)

    async def connect(
        self, host: str, port: int, *, ports: frozenset[int] = MAIL_PORTS
    ) -> socket.socket:
        """A connected, non-blocking socket to a checked address of `host`; the caller closes it,
        and checks certificates against `host`. Raises AddressRefused as `check` does."""
        async with self._unhurried():
            checked = await self._check(host, port, ports)
            return await _first_connection(checked, self._limits.connect)

    async def _check(self, host: str, port: int, ports: frozenset[int]) -> CheckedAddress:
        name = canonical_host(host)
        if name is None:
            raise AddressRefused("bad_address", "the host is neither a name nor an IP address")
        if port not in ports and not (self._allowed and 0 < port < 65536):
            raise _odd_port(port)
        addresses = await self._addresses(name, port)
        if port not in ports and not (
            addresses and all(is_allowed(address, self._allowed) for address in addresses)
        ):
            raise _odd_port(port)
        if not addresses:
            raise _unreachable("unresolvable")
        if not all(is_open(address, self._allowed) for address in addresses):
            raise _unreachable("private_address")
        return CheckedAddress(name, port, tuple(str(address) for address in addresses))

    async def _addresses(self, name: str, port: int) -> list[Address]:
        """The address that the name is, or those of the resolver's one answer; none when it has
        no answer, or one that isn't made of addresses."""
        literal = parsed(name)
        if literal is not None:
            return [literal]
        try:
            async with asyncio.timeout(self._limits.resolve):
                answers = await self._resolver(name, port)
        except (OSError, UnicodeError, TimeoutError):
            return []
        addresses = [parsed(answer) for answer in dict.fromkeys(answers)]
        return [] if None in addresses else [a for a in addresses if a is not None]

    @asynccontextmanager
    async def _unhurried(self) -> AsyncIterator[None]:
        """`unreachable` isn't said before its time."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            yield
        except AddressRefused as refused:
            log.info("address.refused", code=refused.code, reason=refused.reason)
            if refused.code == "unreachable":
                await asyncio.sleep(begun + self._limits.floor - loop.time())
            raise

    # -------------------------------------------------------------------------------- fetch

    async def fetch(
        self,
        url: str,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
        content: bytes | None = None,
        max_bytes: int | None = None,
    ) -> Fetched:
        """What is at `url`, followed on the same host only. `token` goes along as a bearer token
        to the hosts that are listed, over TLS, or nothing is sent at all. `max_bytes` narrows the
        limit or widens it. Raises AddressRefused."""
        sent = {name.lower(): value for name, value in (headers or {}).items()}
        if not sent.keys().isdisjoint(_OURS_ALONE):
            raise ValueError(f"not to be given as headers: {', '.join(_OURS_ALONE)}")
        where = _web_address(url)
        if token is not None:
            self._may_have_token(where)
            sent["authorization"] = f"Bearer {token}"
        asked = WebRequest(method, sent, content, max_bytes or self._limits.response_bytes)
        async with self._unhurried():
            try:
                async with asyncio.timeout(self._limits.total):
                    return await self._follow(where, asked)
            except TimeoutError as error:
                raise AddressRefused("too_slow", retryable=True) from error

    async def _follow(self, url: httpx.URL, asked: WebRequest) -> Fetched:
        exchange = WebExchange(self._trust, self._limits.connect, self._limits.read)
        for _ in range(self._limits.redirects + 1):
            checked = await self._check(_host(url), _port(url), WEB_PORTS)
            reply = await exchange.ask(url, checked, asked)
            if isinstance(reply, Fetched):
                return reply
            if asked.method not in {"GET", "HEAD"}:
                raise AddressRefused("redirected", "what was sent isn't sent twice")
            url = _next(url, reply)
        raise AddressRefused("redirected", "too many times, on the same server")

    def _may_have_token(self, url: httpx.URL) -> None:
        host = canonical_host(_host(url)) or ""
        listed = any(
            host == known or (known.startswith(".") and host.endswith(known))
            for known in self._token_hosts
        )
        if url.scheme != "https" or not listed:
            raise AddressRefused("token_refused")


async def _first_connection(checked: CheckedAddress, seconds: float) -> socket.socket:
    """To the first of the addresses that answers, `seconds` for each."""
    loop = asyncio.get_running_loop()
    for ip in checked.ips[:MAX_TRIED]:
        opened = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET)
        try:
            opened.setblocking(False)
            async with asyncio.timeout(seconds):
                await loop.sock_connect(opened, (ip, checked.port))
        except (OSError, TimeoutError):
            opened.close()
        except BaseException:
            opened.close()
            raise
        else:
            return opened
    raise _unreachable("no connection")


def _unreachable(reason: str) -> AddressRefused:
    return AddressRefused("unreachable", reason=reason, retryable=True)


def _odd_port(port: int) -> AddressRefused:
    return AddressRefused("bad_address", f"port {port} isn't open to this")


def _web_address(text: str) -> httpx.URL:
    """An absolute http(s) address without user. Raises AddressRefused `bad_address`."""
    if len(text) > _MAX_URL:
        raise AddressRefused("bad_address", f"it has more than {_MAX_URL} characters")
    try:
        url = httpx.URL(text.strip())
    except (httpx.InvalidURL, UnicodeError) as error:
        raise AddressRefused("bad_address", "it isn't written as a web address") from error
    if url.scheme not in {"http", "https"}:
        raise AddressRefused("bad_address", "it must begin with http:// or https://")
    if url.userinfo:
        raise AddressRefused("bad_address", "it carries a user or a password")
    return url


def _next(url: httpx.URL, redirect: Redirect) -> httpx.URL:
    """Where a redirect leads, if that is the same host, and no less safe."""
    try:
        target = _web_address(str(url.join(redirect.location)))
    except (httpx.InvalidURL, UnicodeError, AddressRefused) as error:
        raise AddressRefused("bad_answer", "a redirect to no web address") from error
    host = canonical_host(_host(target))
    if host is None:
        raise AddressRefused("bad_answer", "a redirect to no web address")
    if host != canonical_host(_host(url)):
        raise AddressRefused("redirected", host, host=host)
    if url.scheme == "https" and target.scheme != "https":
        raise AddressRefused("redirected", "from https:// to http://", host=host)
    return target


def _host(url: httpx.URL) -> str:
    # Not `url.host`, which reads punycode and fails where it is wrong.
    return url.raw_host.decode("ascii")


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)
