"""How often somebody may ask: per tenant, per credential and per address, over all nodes.

Each answer says what is left, as the IETF's draft has it (draft-ietf-httpapi-ratelimit-headers-10:
`RateLimit-Policy`, `RateLimit`) and as its earlier versions, which clients read
(`RateLimit-Limit`, `-Remaining`, `-Reset`), for the limit that is nearest. Windows last a minute.
"""

import hashlib
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dashboard.api.settings import ApiSettings
from domain.clock import Clock
from domain.errors import CallerError
from storage.counters import Counted, Limit, Rates

WINDOW_SECONDS = 60
#: Addresses that are refused for a while; remembered on this node.
MOST_BLOCKED = 10_000
#: One customer's network, and one machine's supply of addresses (RFC 6177).
_IPV6_PREFIX = 64

#: A proxy that TRUSTED_PROXIES doesn't name, or this machine: who is behind it can't be told apart,
#: and must not be shut out for another's sake. (`is_private` has documentation's networks, too.)
_NOBODYS = tuple(
    ipaddress.ip_network(each)
    for each in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)

_TOO_MANY = "Too many requests in this minute: wait, and ask less often."
_TOO_MANY_REFUSED = "Too many credentials that open nothing came from this address: wait."


@dataclass(eq=False)
class TooMany(CallerError):
    """429, with the headers that say when to come again."""

    status: int = 429
    headers: Mapping[str, str] = field(default_factory=dict)


class RequestLimits:
    """Counts requests; one per node."""

    def __init__(self, rates: Rates, settings: ApiSettings, clock: Clock) -> None:
        self._rates = rates
        self._settings = settings
        self._clock = clock
        self._blocked: OrderedDict[str, float] = OrderedDict()

    async def count(
        self, address: str, tenant_id: str | None = None, credential: str | None = None
    ) -> dict[str, str]:
        """One more request; what the answer says of what is left. Raises TooMany, OperatorError."""
        its = self._settings
        limits = [
            Limit(name, key, most)
            for name, key, most in (
                ("tenant", tenant_id, its.requests_per_minute),
                ("key", credential, its.key_requests_per_minute),
                ("address", self._network(address), its.address_requests_per_minute),
            )
            if key and most is not None
        ]
        if not limits:
            return {}
        counted = await self._rates.count(limits)
        headers = described(counted)
        over = [each for each in counted if each.remaining < 0]
        if over:
            wait = max(each.resets_in for each in over)
            raise TooMany(_TOO_MANY, headers={**headers, "retry-after": _seconds(wait)})
        return headers

    def refuse_blocked(self, address: str) -> None:
        """Raise TooMany for an address that tried too many credentials: none is looked at."""
        until = self._blocked.get(self._network(address))
        left = until - self._clock.monotonic() if until is not None else 0.0
        if left > 0:
            raise TooMany(_TOO_MANY_REFUSED, headers={"retry-after": _seconds(left)})

    async def refused(self, address: str, *, guessed: bool) -> None:
        """A request from there was refused; `guessed`: it had a credential that opens nothing.
        Raises TooMany, OperatorError."""
        its, network = self._settings, self._network(address)
        limits = []
        if its.address_requests_per_minute is not None and network:
            limits.append(Limit("address", network, its.address_requests_per_minute))
        if guessed and its.refused_per_minute is not None and network:
            limits.append(Limit("refused", network, its.refused_per_minute))
        for each in await self._rates.count(limits) if limits else ():
            if each.remaining >= 0:
                continue
            if each.limit.name == "refused":
                self._block(network, each.resets_in)
                self.refuse_blocked(address)
            raise TooMany(_TOO_MANY, headers={"retry-after": _seconds(each.resets_in)})

    def headers_of(self, error: CallerError) -> Mapping[str, str]:
        """What goes with a refusal."""
        return error.headers if isinstance(error, TooMany) else {}

    def _block(self, network: str, seconds: float) -> None:
        self._blocked[network] = self._clock.monotonic() + max(1.0, seconds)
        self._blocked.move_to_end(network)
        while len(self._blocked) > MOST_BLOCKED:
            self._blocked.popitem(last=False)

    def _network(self, address: str) -> str:
        """What is kept of an address, for a minute: a keyed hash, for it is somebody's. Empty for
        what isn't one (a socket of this machine), and for addresses that are nobody's."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return ""
        if isinstance(parsed, ipaddress.IPv6Address):
            parsed = parsed.ipv4_mapped or parsed
        if any(parsed.version == each.version and parsed in each for each in _NOBODYS):
            return ""
        bits = 32 if parsed.version == 4 else _IPV6_PREFIX
        network = ipaddress.ip_network((parsed, bits), strict=False)
        return hashlib.blake2b(
            str(network).encode(), key=self._settings.address_key[:64], digest_size=12
        ).hexdigest()


def described(counted: Sequence[Counted]) -> dict[str, str]:
    """The headers."""
    nearest = min(counted, key=lambda each: each.remaining / each.limit.per_minute)
    policies = (
        f'"{each.limit.name}";q={each.limit.per_minute};w={WINDOW_SECONDS}' for each in counted
    )
    left = (
        f'"{each.limit.name}";r={max(0, each.remaining)};t={_seconds(each.resets_in)}'
        for each in counted
    )
    return {
        "ratelimit-policy": ", ".join(policies),
        "ratelimit": ", ".join(left),
        "ratelimit-limit": str(nearest.limit.per_minute),
        "ratelimit-remaining": str(max(0, nearest.remaining)),
        "ratelimit-reset": _seconds(nearest.resets_in),
    }


def _seconds(seconds: float) -> str:
    return str(max(1, math.ceil(seconds)))
