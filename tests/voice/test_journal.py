"""The timeline's way to the database: nothing that could be stored is lost."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import OperatorError
from storage.journal import JournalEntry
from tests.fakes.clock import START
from voice import journal as journal_module
from voice.journal import Journal


class Store:
    """Refuses every line that says so, with all that come in the same transaction."""

    def __init__(self) -> None:
        self.kept: list[str] = []
        self.away = False
        self.transactions = 0

    async def append(self, entries: Sequence[JournalEntry]) -> None:
        self.transactions += 1
        await asyncio.sleep(0)
        if self.away:
            raise OperatorError("the database is away")
        if any(entry.data["text"] == "refused" for entry in entries):
            raise SQLAlchemyError("no such value")
        self.kept += [entry.data["text"] for entry in entries]


def line(text: str) -> JournalEntry:
    return JournalEntry(call_id="c", at=START, kind="turn", data={"text": text})


async def test_lines_are_stored_together_and_in_order() -> None:
    journal = Journal(store := Store())
    texts = [str(number) for number in range(700)]
    for text in texts:
        journal.write(line(text))
    await journal.flush()
    assert store.kept == texts
    assert store.transactions == 2


async def test_a_line_that_can_never_be_stored_takes_no_other_with_it() -> None:
    journal = Journal(store := Store())
    for text in ("before", "refused", "after"):
        journal.write(line(text))
    await journal.flush()
    assert store.kept == ["before", "after"]
    assert journal.lost == 1


async def test_lines_wait_for_a_database_that_is_away() -> None:
    journal = Journal(store := Store())
    store.away = True
    journal.write(line("one"))
    with pytest.raises(OperatorError):
        await journal.flush()
    journal.write(line("two"))
    store.away = False
    await journal.flush()
    assert store.kept == ["one", "two"]
    assert journal.lost == 0


async def test_a_database_that_leaves_in_the_middle_loses_nothing() -> None:
    """While the lines of a refused batch are stored one by one."""

    class Leaves(Store):
        async def append(self, entries: Sequence[JournalEntry]) -> None:
            await super().append(entries)
            self.away = self.kept == ["before"]

    journal = Journal(store := Leaves())
    for text in ("before", "refused", "after", "last"):
        journal.write(line(text))
    with pytest.raises(OperatorError):
        await journal.flush()
    store.away = False
    await journal.flush()
    assert store.kept == ["before", "after", "last"]
    assert journal.lost == 1


async def test_beyond_the_capacity_the_oldest_are_lost_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal_module, "CAPACITY", 3)
    journal = Journal(store := Store())
    for text in "abcde":
        journal.write(line(text))
    await journal.flush()
    assert (store.kept, journal.lost) == (["c", "d", "e"], 2)


async def test_a_flush_that_is_cancelled_loses_nothing() -> None:
    journal = Journal(store := Store())
    journal.write(line("one"))
    async with asyncio.TaskGroup() as tasks:
        flushing = tasks.create_task(journal.flush())
        await asyncio.sleep(0)
        flushing.cancel()
    await journal.flush()
    assert store.kept == ["one"]
