"""Durable jobs, as those who put them and those who do them see it.

A job only wakes somebody: what is to be done stands in rows of our own tables (a document that is
`pending`, an outbox). So its payload holds ids, never what people said, and its handler looks at
the rows first and does nothing when there is nothing left to do: it may run more than once.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol

from domain.errors import CoccinelleError, OperatorError, ProviderError

#: Whatever isn't an error of ours is a bug of ours: tried this often, for it may be a race.
BUG_ATTEMPTS = 3
#: How long a job waits while only the operator can help, seconds; it never dies of that.
OPERATOR_SECONDS = 15.0
#: The longest text about a dead job.
_LONGEST_WORDS = 300


@dataclass(frozen=True, slots=True)
class Job:
    """What a handler is given. `attempt` counts from 1; `tenant_id` None: the deployment's own."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    attempt: int
    tenant_id: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """A handler's answer: done for now; run me again then, under the same key."""

    at: datetime


Handler = Callable[[Job], Awaitable[Again | None]]


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait after a failure, seconds: `first`, doubled each time up to `longest`, with
    jitter; after `attempts` failures the job is dead."""

    first: float = 2.0
    longest: float = 900.0
    attempts: int = 8


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job. `vendor` names whose limits it shares; "" means that nobody is called.

    `every` (seconds) makes it periodic: workers see to it that one such job of the deployment
    waits, under the kind's name as its key, and it runs again so long after it has ended.
    """

    name: str
    handler: Handler
    vendor: str = ""
    time_limit: float = 60.0  # seconds; the lease outlasts it
    backoff: Backoff = field(default_factory=Backoff)
    every: float | None = None


@dataclass(frozen=True, slots=True)
class VendorLimits:
    """What a vendor bears, or allows us, from all our processes together; None: no limit.

    `concurrent` jobs at once, `concurrent_per_tenant` of them for one tenant; and how many may
    begin in a second, in all and for one tenant (Twilio: one SMS per second and number).
    """

    concurrent: int | None = None
    concurrent_per_tenant: int | None = None
    per_second: float | None = None
    per_second_per_tenant: float | None = None


class Jobs(Protocol):
    """The queue, as part of a transaction: what is put is there when the transaction commits."""

    async def put(
        self,
        kind: str,
        payload: Mapping[str, Any],
        *,
        key: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """Run a job of this kind at `at` (None: at once). While a job of the same `key` waits, it
        is that one which is changed; one that already runs is followed by another."""
        ...

    async def reschedule(self, key: str, at: datetime) -> bool:
        """Move the waiting job of this key; False when none waits."""
        ...

    async def cancel(self, key: str) -> bool:
        """Forget the waiting job of this key; False when none waits (any more)."""
        ...


# ------------------------------------------------------------------------------ after a failure


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again `after` so many seconds. `counts`: as one of the attempts that a job has."""

    after: float
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Dead:
    """Nobody tries again unless a person says so. `words`: why, without personal data."""

    words: str


def after_failure(
    error: BaseException, attempt: int, backoff: Backoff, chance: float
) -> Retry | Dead:
    """What becomes of a job whose `attempt`-th run ended with this error. `chance` (0 to 1)
    spreads those that failed together."""
    if isinstance(error, OperatorError):
        return Retry(OPERATOR_SECONDS * (0.75 + chance / 2), counts=False)
    if attempt >= _attempts(error, backoff):
        return Dead(words(error))
    return Retry(min(backoff.longest, backoff.first * 2.0 ** (attempt - 1)) * (0.75 + chance / 2))


def after_death(attempts: int, backoff: Backoff, chance: float) -> float | None:
    """After how many seconds a job gets another try that has died with its process so often; None:
    it gets none. At once the first time: most often it was only there. Then apart from those that
    it died with, or one job that kills every process takes the others' attempts along."""
    if attempts < 2:
        return 0.0
    if attempts >= backoff.attempts:
        return None
    return min(backoff.longest, backoff.first * 2.0**attempts) * chance


def _attempts(error: BaseException, backoff: Backoff) -> int:
    if isinstance(error, ProviderError):
        return backoff.attempts if error.retryable else 1
    if isinstance(error, CoccinelleError):
        return 1  # the tenant's or the caller's to mend: it won't mend itself
    if isinstance(error, TimeoutError):
        return backoff.attempts
    return min(BUG_ATTEMPTS, backoff.attempts)


def words(error: BaseException) -> str:
    """The error's class and what we know of it: never a foreign text, which may tell of people."""
    name = type(error).__name__
    if isinstance(error, ProviderError):
        known = (error.vendor, str(error.status or ""), error.code)
        return f"{name}: {' '.join(part for part in known if part)}"[:_LONGEST_WORDS]
    if isinstance(error, CoccinelleError):
        return f"{name}: {error}"[:_LONGEST_WORDS]
    return f"{name}{_place(error.__traceback__)}"


def _place(traceback: TracebackType | None) -> str:
    """Where it happened: ` at module:line`, or nothing."""
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    module = traceback.tb_frame.f_globals.get("__name__", "?")
    return f" at {module}:{traceback.tb_lineno}"
