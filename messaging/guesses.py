"""Who tries addresses that open nothing: after some misses, nothing from there is looked up for the
rest of the minute.

Links are too long to be guessed; this keeps the machines that try from costing anything.
"""

import hashlib
import ipaddress
from collections import OrderedDict
from typing import Final

from domain.clock import Clock
from storage.counters import Limit, Rates

#: A customer who mistypes a link does so a few times; a scanner follows what it has.
MISSES_PER_MINUTE: Final = 20
#: Networks that are refused, remembered on this node.
_MOST_BLOCKED: Final = 10_000
#: One customer's network (RFC 6177).
_IPV6_PREFIX: Final = 64


class Guesses:
    """One per node; `key` hashes what is counted of an address, the same on all nodes."""

    def __init__(self, rates: Rates, clock: Clock, key: bytes) -> None:
        self._rates = rates
        self._clock = clock
        self._key = key[:64]
        self._blocked: OrderedDict[str, float] = OrderedDict()

    def wait(self, address: str) -> float:
        """0.0: look it up. Else after how many seconds again."""
        until = self._blocked.get(self._network(address), 0.0)
        return max(0.0, until - self._clock.monotonic())

    async def missed(self, address: str) -> None:
        """Something from there opened nothing. Raises OperatorError."""
        network = self._network(address)
        if not network:
            return
        (counted,) = await self._rates.count([Limit("links", network, MISSES_PER_MINUTE)])
        if counted.remaining < 0:
            self._blocked[network] = self._clock.monotonic() + max(1.0, counted.resets_in)
            self._blocked.move_to_end(network)
            while len(self._blocked) > _MOST_BLOCKED:
                self._blocked.popitem(last=False)

    def _network(self, address: str) -> str:
        """A keyed hash, for an address is somebody's; "" for what isn't one, and for a network of
        our own: a proxy that TRUSTED_PROXIES doesn't name, behind which are all customers."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return ""
        if isinstance(parsed, ipaddress.IPv6Address):
            parsed = parsed.ipv4_mapped or parsed
        if not parsed.is_global:
            return ""
        bits = 32 if parsed.version == 4 else _IPV6_PREFIX
        network = ipaddress.ip_network((parsed, bits), strict=False)
        return hashlib.blake2b(str(network).encode(), key=self._key, digest_size=12).hexdigest()
