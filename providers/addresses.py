"""Which addresses and host names a stranger may have us dial: the judgement, without I/O."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import httpx

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class CheckedAddress:
    """A host whose addresses were all judged good. Dial `ip`, and nothing else; check certificates
    against `host`. `ips`: all of them, best first."""

    host: str
    port: int
    ips: tuple[str, ...]

    @property
    def ip(self) -> str:
        return self.ips[0]


#: Longest name that DNS knows, RFC 1035 §2.3.4.
_MAX_NAME: Final = 253

#: Not dialled although some version of `ipaddress` calls parts of it global (text-channels.md
#: §3.6), beside all that isn't global. https://www.iana.org/assignments/iana-ipv4-special-registry
_CLOSED_V4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata is 100.100.100.200
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's wire server: a public address that only its guests reach
        "169.254.0.0/16",  # link-local, and nearly everybody's metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # Oracle's metadata is 192.0.0.192
        "192.0.2.0/24",  # documentation, as 198.51.100.0/24 and 203.0.113.0/24
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)

#: All that IANA has given out as global unicast, RFC 4291 §2.4 …
_OPEN_V6: Final = ipaddress.IPv6Network("2000::/3")
#: … without these. https://www.iana.org/assignments/iana-ipv6-special-registry
_CLOSED_V6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocols' own: Teredo, ORCHID, AMT, benchmarks
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # 6bone, given back
        "3fff::/20",  # documentation
    )
)

#: Addresses that a translator turns into the IPv4 address in their last 32 bits: RFC 6052,
#: RFC 8215, RFC 2765 (SIIT), RFC 4291 §2.5.5.1 (IPv4-compatible).
_TRANSLATED_LAST: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in ("64:ff9b::/96", "64:ff9b:1::/48", "::ffff:0:0:0/96", "::/96")
)
#: The interface identifiers of ISATAP, RFC 5214 §6.1, of which the last 32 bits are an address.
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
#: A last label that the system's resolver reads as a part of an IPv4 address: `127.1`,
#: `2130706433`, `0x7f000001`, `0177.0.0.1`.
_NUMERIC: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")


def canonical_host(host: str) -> str | None:
    """A host as it is looked up: lower case, IDNA, one trailing dot and an IPv6 address's brackets
    taken away. None for what is no host name and no plain IP address."""
    if not host or len(host) > 4 * _MAX_NAME:
        return None
    if ":" in host:
        return _ipv6(host)
    try:
        name = httpx.URL(scheme="http", host=host).raw_host.decode("ascii").removesuffix(".")
    except (httpx.InvalidURL, UnicodeError):
        return None
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        return None
    if _NUMERIC.fullmatch(name) and parsed(name) is None:
        return None
    return name


def _ipv6(host: str) -> str | None:
    address = parsed(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    if address is None or getattr(address, "scope_id", None) is not None:
        return None
    return str(address)


def parsed(text: str) -> Address | None:
    """An IP address in its plain form, an IPv4 address out of its IPv6 wrapping; None otherwise."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def embedded(address: ipaddress.IPv6Address) -> tuple[ipaddress.IPv4Address, ...]:
    """The IPv4 addresses that a packet to `address` may really go to."""
    last = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if any(address in network for network in _TRANSLATED_LAST) and not address.is_loopback:
        return (last,)
    if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP:
        return (last,)
    return ()


def is_open(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Whether a stranger may have us dial `address`: it is everybody's, or in a network that the
    operator allows. Allowing a translator's network allows what is translated, not what hides in
    it: the IPv4 address within must be open by itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return False
        if address.ipv4_mapped is not None:
            return is_open(address.ipv4_mapped, allowed)
        within = embedded(address)
    else:
        within = ()
    if is_allowed(address, allowed):
        return all(is_open(inner, allowed) for inner in within)
    return not within and _is_public(address)


def is_allowed(address: Address, allowed: Iterable[Network]) -> bool:
    """Whether the operator named a network with this address in it."""
    return any(address in network for network in allowed)


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    return address in _OPEN_V6 and not any(address in network for network in _CLOSED_V6)
