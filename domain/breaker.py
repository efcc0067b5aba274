"""Circuit breakers: a vendor that fails is left alone for a while, by all calls at once.

Pure: what happened is told, what may be done is asked. One breaker per vendor and, where a tenant
brings its own key, per key: one tenant's empty account isn't everybody's.
"""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from domain.clock import Clock

#: Failures in a row that open a breaker. Two: a caller who waits for a vendor that hangs has waited
#: long enough; and a healthy vendor that fails two calls in a row is one in thousands.
FAILURES = 2
#: How long it stays open before somebody may try again, seconds: doubled at each failed try …
FIRST_PAUSE = 5.0
#: … up to this.
LONGEST_PAUSE = 120.0
#: A try that never says how it went frees the way for another after this long.
TRIAL_SECONDS = 15.0
#: Breakers that are kept: tenants' own keys come and go.
KEPT = 4096


class State(Enum):
    """closed: use it. open: don't. half-open: one try is under way."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(slots=True)
class _Breaker:
    failures: int = 0
    pause: float = FIRST_PAUSE
    opened: float | None = None
    trying: float | None = None


class Breakers:
    """All breakers of one process. Keys name a vendor, or a vendor and a key's digest."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._breakers: OrderedDict[str, _Breaker] = OrderedDict()

    def allows(self, key: str) -> bool:
        """May it be used now? Asking changes nothing."""
        return self.state(key) is not State.OPEN

    def state(self, key: str) -> State:
        """Where it stands. A breaker whose pause is over is half-open: see `attempt`."""
        breaker = self._breakers.get(key)
        if breaker is None or breaker.opened is None:
            return State.CLOSED
        now = self._clock.monotonic()
        if breaker.trying is not None and now - breaker.trying < TRIAL_SECONDS:
            return State.OPEN  # somebody is finding out
        return State.OPEN if now - breaker.opened < breaker.pause else State.HALF_OPEN

    def attempt(self, key: str) -> bool:
        """Take leave to use it now; False while it is open. Of an open one whose pause is over
        only one at a time may: say how it went with `succeeded` or `failed`."""
        state = self.state(key)
        if state is State.HALF_OPEN:
            self._breakers[key].trying = self._clock.monotonic()
        return state is not State.OPEN

    def succeeded(self, key: str) -> None:
        """It works: closed."""
        self._breakers.pop(key, None)

    def failed(self, key: str) -> None:
        """It failed in a way that is its own fault, or our connection's."""
        breaker = self._breakers.setdefault(key, _Breaker())
        self._breakers.move_to_end(key)
        while len(self._breakers) > KEPT:
            self._breakers.popitem(last=False)
        breaker.failures += 1
        if breaker.opened is not None:
            breaker.pause = min(breaker.pause * 2, LONGEST_PAUSE)
        if breaker.failures >= FAILURES:
            breaker.opened = self._clock.monotonic()
        breaker.trying = None

    def released(self, key: str) -> None:
        """An attempt ended without telling anything about the vendor."""
        breaker = self._breakers.get(key)
        if breaker is not None:
            breaker.trying = None

    def open_keys(self) -> Iterator[str]:
        """Those that aren't closed: whom a probe may ask."""
        return (key for key, breaker in self._breakers.items() if breaker.opened is not None)
