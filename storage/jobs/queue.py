"""What a worker asks of a queue, whichever database holds it."""

import re
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from domain.jobs import Job, VendorLimits

_KIND = re.compile(r"[a-z][a-z0-9_.]{0,60}")


class Lane(NamedTuple):
    """The jobs of one kind and one tenant: what limits and fairness are about."""

    kind: str
    tenant_id: str | None


class Vendor(NamedTuple):
    """A vendor with limits, and the kinds of job that call it."""

    name: str
    limits: VendorLimits
    kinds: tuple[str, ...]


class Waiting(NamedTuple):
    """A job as an operator sees it. `run_at` None: at once."""

    id: str
    kind: str
    tenant_id: str | None
    key: str | None
    run_at: datetime | None
    attempts: int
    running: bool


class Counts(NamedTuple):
    """How many there are; `oldest`: for how long the first one that is due has waited, seconds."""

    waiting: int = 0
    running: int = 0
    oldest: float = 0.0
    dead: int = 0


#: After how many seconds a job of this kind that died with its process so often gets another try;
#: None: it gets none.
Spared = Callable[[str, int], float | None]


class TakenForDead(Exception):
    """This worker showed no life for too long: others have its jobs now."""


class Queue(Protocol):
    """One worker's side of the queue. All methods raise OperatorError when the database is away.

    What ends a job (`finish`, `retry`, `again`, `bury`) answers False when it isn't this worker's
    any more: it was taken for dead, and somebody else has the job now.
    """

    async def enter(self) -> None:
        """Become a worker, under a name that nobody had before."""
        ...

    async def leave(self) -> None:
        """Stop being one; what it still holds is free at once."""
        ...

    async def beat(self) -> bool:
        """Show that it lives; False when it was taken for dead."""
        ...

    async def listen(self, wake: Callable[[], None]) -> None:
        """Call `wake` when a job is put, as soon as it is known; returns when that is no longer
        possible. Nothing may rest on it: workers look by themselves as well."""
        ...

    async def signs(self) -> Mapping[str, Hashable]:
        """The other workers that hold jobs, each with its latest sign of life."""
        ...

    async def take_over(self, dead: Mapping[str, Hashable], spared: Spared) -> int:
        """Free the jobs of those workers whose latest sign is still this one, and of workers that
        are gone. Each has one attempt less, and waits as `spared` says or is buried. How many."""
        ...

    async def lanes(self, kinds: Collection[str], most: int) -> Mapping[Lane, int]:
        """Where jobs of these kinds are due, and how many; those that wait longest, if not all."""
        ...

    async def claim(self, wanted: Sequence[Lane], vendors: Sequence[Vendor]) -> list[Job]:
        """Take one job from each of these lanes (a lane may be named several times), as far as
        they have one and their vendors' limits allow. Raises TakenForDead."""
        ...

    async def finish(self, job: Job) -> bool:
        """It is done."""
        ...

    async def retry(self, job: Job, after: float, *, counts: bool) -> bool:
        """Let it wait `after` seconds. A job of the same key that waits already takes its place.
        `counts`: one of its attempts is used up."""
        ...

    async def again(self, job: Job, at: datetime) -> bool:
        """Done for now; run it then, as if it were new."""
        ...

    async def bury(self, job: Job, error: str, again: datetime | None) -> bool:
        """Make it a dead letter; with `again`, another one waits until then."""
        ...

    async def ensure(self, kind: str, every: float) -> None:
        """See to it that the deployment's periodic job of this kind is there, and not farther
        ahead than `every` seconds."""
        ...

    async def amend(self, farthest: float) -> None:
        """Bring back retries that lie more than `farthest` seconds ahead: a clock was wrong when
        they were planned."""
        ...


def stored_key(tenant_id: str | None, key: str | None) -> str | None:
    """A key is one tenant's (or the deployment's): others may use the same."""
    return None if key is None else f"{tenant_id or ''}/{key}"


def plain_key(stored: str | None) -> str | None:
    """The key as it was given."""
    return None if stored is None else stored.partition("/")[2]


def checked_kind(kind: str) -> str:
    """ValueError for a name that can't be one."""
    if not _KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} is no kind of job: lower-case words with dots between them")
    return kind
