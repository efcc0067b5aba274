"""What a node tells of its calls' places: in batches, again when it failed, and bounded."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest

from domain.errors import OperatorError
from server.metrics import Metrics
from tests.voice.carrier import until
from voice import places as module
from voice.places import Places


class Shared:
    """Where all nodes count: what it was told, as a set of calls with a place."""

    def __init__(self) -> None:
        self.kept: set[str] = set()
        self.told = 0
        self.expired = 0
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def take(self, call_sid: str, tenant_id: str, most: int | None) -> bool:
        return most is None or len(self.kept) < most

    async def keep(self, call_sids: Collection[str]) -> None:
        await self._telling()
        self.kept |= set(call_sids)

    async def free(self, left: Collection[str], over: Collection[str]) -> None:
        await self._telling()
        self.kept -= {*left, *over}

    async def expire(self) -> None:
        self.expired += 1

    async def _telling(self) -> None:
        self.told += 1
        await self.gate.wait()
        if self.away:
            raise OperatorError("the database is away")


@asynccontextmanager
async def telling(shared: Shared, *live: str) -> AsyncIterator[Places]:
    places = Places(shared, Metrics())
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(places.run(lambda: live))
        yield places
        running.cancel()


@pytest.fixture
def shared() -> Shared:
    return Shared()


async def test_what_happens_while_it_tells_is_told_together(shared: Shared) -> None:
    async with telling(shared) as places:
        shared.gate.clear()
        places.joined("CA0")
        await until(lambda: shared.told == 1)
        for number in range(1, 100):
            places.joined(f"CA{number}")
        shared.gate.set()
        await until(lambda: len(shared.kept) == 100)
        assert shared.told == 2
        for number in range(50):
            places.left(f"CA{number}")
        places.over("CA99")
        await until(lambda: len(shared.kept) == 49)
        assert shared.told == 3


async def test_what_could_not_be_told_is_told_again(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    async with telling(shared) as places:
        shared.kept = {"CA1", "CA2", "CA3"}
        shared.away = True
        places.left("CA1")
        places.left("CA2")
        places.over("CA3")
        await until(lambda: shared.told >= 2)
        places.joined("CA2")  # it has come back meanwhile
        shared.away = False
        await until(lambda: shared.kept == {"CA2"})


async def test_a_database_that_hangs_is_left(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(module, "TELL_SECONDS", 0.05)
    async with telling(shared) as places:
        shared.gate.clear()
        places.joined("CA1")
        await until(lambda: shared.told >= 2)
        shared.gate.set()
        await until(lambda: shared.kept == {"CA1"})


async def test_all_places_are_renewed_now_and_then_and_when_they_may_be_lost(
    shared: Shared, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with telling(shared, "CA1", "CA2") as places:
        places.renew()
        await until(lambda: shared.kept == {"CA1", "CA2"})
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.05)
    shared.kept.clear()
    async with telling(shared, "CA1"):
        await until(lambda: shared.kept == {"CA1"} and shared.expired >= 2)


async def test_what_is_noted_is_bounded(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NOTED", 10)
    places = Places(shared, Metrics())
    for number in range(50):
        places.over(f"CA{number}")
        places.left(f"CA{number}")
        places.joined(f"CA{number}")
    assert max(len(noted) for noted in (places._over, places._left, places._joined)) == 10
