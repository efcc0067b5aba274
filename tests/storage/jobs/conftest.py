"""Jobs by the machine's clock, as the databases' own."""

from collections.abc import Callable
from typing import Any

import pytest

from domain.jobs import Backoff, Handler, JobKind
from storage import Database, Storage
from storage.jobs.worker import JobWorker
from tests.storage.jobs.handlers import CLOCK, PACE


@pytest.fixture
def storage(database: Database) -> Storage:
    """By the machine's clock, as the database's own."""
    return Storage(database, CLOCK)


@pytest.fixture
def worker(database: Database) -> Callable[..., JobWorker]:
    def make(handler: Handler, name: str = "test.job", **kind: Any) -> JobWorker:
        options = {key: kind.pop(key) for key in ("limits", "places", "pace") if key in kind}
        kind.setdefault("backoff", Backoff(first=0.01, longest=0.02, attempts=3))
        kinds = [JobKind(name, handler, **kind)]
        return JobWorker(database, CLOCK, kinds, **{"pace": PACE, **options})

    return make
