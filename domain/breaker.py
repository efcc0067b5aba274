"""Circuit breakers: a vendor that fails is left alone for a while, by all calls at once.

Pure: what happened is told, what may be done is asked. One breaker per vendor and, where a tenant
brings its own key, per key: one tenant's empty account isn't everybody's. They live in one process:
each node learns for itself.
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
#: A try that never says how it went frees the way for another after this long: a call's connection,
#: its stream and its first sound come within it.
TRIAL_SECONDS = 15.0
#: Breakers that are kept: tenants' own keys come and go.
KEPT = 4096


class State(Enum):
    """closed: use it. open: don't. half-open: its pause is over, somebody may find out."""

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
        self._probed: set[str] = set()

    def leave_to_probes(self, key: str) -> None:
        """From now on no call is a try for this one: a probe closes it."""
        self._probed.add(key)

    def allows(self, key: str) -> bool:
        """May a call use it now? Asking changes nothing."""
        state = self.state(key)
        return state is State.CLOSED or (state is State.HALF_OPEN and key not in self._probed)

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
        """Take leave for a call to use it now; False while it is open. Of an open one whose pause
        is over only one at a time may: say how it went with `succeeded`, `failed` or `released`."""
        return self.allows(key) and (self.state(key) is State.CLOSED or self.begin_try(key))

    def begin_try(self, key: str) -> bool:
        """Take leave to ask one whose pause is over how it is; say it with `answered` or
        `failed`."""
        if self.state(key) is not State.HALF_OPEN:
            return False
        self._breakers[key].trying = self._clock.monotonic()
        return True

    def succeeded(self, key: str) -> None:
        """It has worked for a call: closed, and all is forgotten."""
        self._breakers.pop(key, None)

    def answered(self, key: str) -> None:
        """It has given a probe a sign: closed. But a probe isn't a call: until one has worked a
        single failure opens it again, and its pause goes on to grow."""
        breaker = self._breakers.get(key)
        if breaker is not None:
            breaker.failures = FAILURES - 1
            breaker.pause = _longer(breaker.pause)
            breaker.opened = breaker.trying = None

    def failed(self, key: str) -> None:
        """It failed in a way that is its own fault, or our connection's. While it is open, only
        the try's own failure makes the pause longer: the others began before."""
        breaker = self._breakers.setdefault(key, _Breaker())
        self._breakers.move_to_end(key)
        while len(self._breakers) > KEPT:
            self._breakers.popitem(last=False)
        breaker.failures += 1
        if breaker.opened is not None:
            if breaker.trying is None:
                return
            breaker.pause = _longer(breaker.pause)
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


def _longer(pause: float) -> float:
    return min(pause * 2, LONGEST_PAUSE)
