"""Webhooks that come at once are stored together; what is wrong with one is its own matter."""

import asyncio
from typing import Any

import pytest

from domain.errors import OperatorError
from storage import Storage
from storage.inbound import Arrived


def _arrived(key: str, payload: Any = None) -> Arrived:
    return Arrived("sms", key, "+33639980001", "+33199000000", payload or {"text": "Bonjour"})


async def _all(storage: Storage, brought: list[list[Arrived]]) -> list[int | BaseException]:
    found: list[int | BaseException] = [0] * len(brought)

    async def one(index: int) -> None:
        try:
            found[index] = await storage.inbound.record(brought[index])
        except Exception as error:  # noqa: BLE001 - looked at below
            found[index] = error

    async with asyncio.TaskGroup() as tasks:
        for index in range(len(brought)):
            tasks.create_task(one(index))
    return found


async def test_a_hundred_at_once(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each counts what of its own was new; twins are counted once; few transactions. (The database
    is the module's: each test has its own keys.)"""
    transactions = 0
    store = storage.inbound._store

    async def counted(batch: Any) -> None:
        nonlocal transactions
        transactions += 1
        await store(batch)

    monkeypatch.setattr(storage.inbound, "_store", counted)
    brought = [[_arrived(f"sms:a{n // 2}")] for n in range(100)]
    found = await _all(storage, brought)
    assert sum(each for each in found if isinstance(each, int)) == 50
    assert transactions <= 3
    assert await storage.inbound.record([_arrived("sms:a0"), _arrived("sms:a")]) == 1


async def test_one_bad_item_harms_nobody(storage: Storage) -> None:
    """What can't be stored at all fails alone."""
    bad = _arrived("sms:bad", {"text": object()})
    brought = [[_arrived(f"sms:b{n}")] for n in range(5)]
    found = await _all(storage, [*brought[:2], [bad], *brought[2:]])
    assert [each for each in found if isinstance(each, int)] == [1] * 5
    (error,) = [each for each in found if not isinstance(each, int)]
    assert not isinstance(error, OperatorError), "its sender isn't told to come again for ever"


async def test_who_is_cancelled_loses_nobody_elses(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that stores for all is cancelled: the others are stored, or their vendors told to
    come again; none is acknowledged that isn't there."""
    began = asyncio.Event()
    store = storage.inbound._store

    async def slow(batch: Any) -> None:
        began.set()
        await asyncio.sleep(0.05)
        await store(batch)

    monkeypatch.setattr(storage.inbound, "_store", slow)
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(storage.inbound.record([_arrived("sms:c1")]))
        others = tasks.create_task(_all(storage, [[_arrived(f"sms:c{n}")] for n in range(2, 6)]))
        await began.wait()
        first.cancel()
        found = await others
    again = await storage.inbound.record([_arrived(f"sms:c{n}") for n in range(1, 6)])
    stored = sum(each for each in found if isinstance(each, int))
    assert again == 5 - stored
    assert all(isinstance(each, int | OperatorError) for each in found)
