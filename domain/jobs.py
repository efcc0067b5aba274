"""Durable jobs, as those who put them and those who do them see it.

A job only wakes somebody: what is to be done stands in rows of our own tables (a document that is
`pending`, an outbox). So its payload holds ids, never what people said, and its handler looks at
the rows first and does nothing when there is nothing left to do: it may run more than once.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol


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
    """A kind of job. `vendor` names whose limits it shares; "" means that nobody is called."""

    name: str
    handler: Handler
    vendor: str = ""
    time_limit: float = 60.0  # seconds; the lease outlasts it
    backoff: Backoff = field(default_factory=Backoff)


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
