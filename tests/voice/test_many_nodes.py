"""Two servers on one PostgreSQL: whose call is where, and how many a tenant may have in all."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from domain.errors import OperatorError
from server.clock import SystemClock
from storage import Database
from storage.capacity import CallSlots
from storage.nodes import NodeRegister
from storage.schema import call_logs, call_slots
from tests.running import Answer, french_call
from tests.voice.carrier import LINE, Served, eventually, greeted, joined, serving


class Pair:
    """Two nodes, and what the database says about calls."""

    def __init__(self, first: Served, second: Served, database: Database) -> None:
        self.first, self.second = first, second
        self._database = database

    async def ring(self, served: Served, number: int) -> str | None:
        """The token of its stream; None if the caller hears that all lines are busy."""
        said = await served.twilio.ring(number, ForwardedFrom=LINE)
        return said.token if said.verbs == ["Connect"] else None

    async def places(self) -> dict[int, str]:
        """By number of the call: whose place it is."""
        return await self._by_number(sa.select(call_slots.c.call_sid, call_slots.c.node_id))

    async def carried(self) -> dict[int, str]:
        """By number of the call, unless it is over: which node carries it."""
        return await self._by_number(
            sa.select(call_logs.c.call_sid, call_logs.c.node_id).where(
                call_logs.c.outcome.is_(None), call_logs.c.node_id.is_not(None)
            )
        )

    async def _by_number(self, statement: sa.Select[Any]) -> dict[int, str]:
        async with self._database.read() as connection:
            return {int(sid[2:], 16): node for sid, node in await connection.execute(statement)}

    async def becomes(self, *numbers: int) -> None:
        """These calls, and no others, have places."""

        async def so() -> bool:
            return set(await self.places()) == set(numbers)

        await eventually(so, 5)


@asynccontextmanager
async def pair(directory: Path, url: str, **values: Any) -> AsyncIterator[Pair]:
    database = await Database.open(url)
    options = {"database_url": url, **values}
    async with (
        serving(directory, **options) as first,
        serving(directory, known=first.owner, **options) as second,
    ):
        yield Pair(first, second, database)
    assert await NodeRegister(database, SystemClock()).living() == []
    async with database.read() as connection:
        assert (await connection.execute(sa.select(call_slots))).all() == []
    await database.close()


async def test_a_tenant_limit_holds_over_both(
    tmp_path: Path, migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice.endings.STREAM_FIRST_SECONDS", 0.3)
    async with pair(tmp_path, migrated_postgres_url, max_calls_per_tenant=2) as both:
        first, second = both.first, both.second
        tokens = [await both.ring(first, 1), await both.ring(second, 2)]
        assert None not in tokens
        assert await both.ring(first, 3) is await both.ring(second, 4) is None
        one, other = (await both.places()).values()
        assert one != other

        # The first call's stream lands on the other node, and its place with it.
        async with joined(second, str(tokens[0]), 1) as line:
            await greeted(second)

            async def moved() -> bool:
                return (await both.places())[1] == other

            await eventually(moved, 5)
            assert await both.carried() == {1: other}

            # Its connection breaks, another caller takes the place: it goes on all the same.
            line.is_lost()
            await both.becomes(2)
            assert await both.ring(second, 5)
            answer = await first.twilio.goes_on(1)
            assert answer.verbs == ["Connect"]
            assert await both.carried() == {}
            await both.becomes(1, 2, 5)
        async with joined(first, answer.token, 1, stream=2) as line:
            await greeted(first, turns=2)
            assert await both.carried() == {1: one}
            await line.stops()
        await both.becomes(2, 5)
        assert await both.carried() == {}

        # One whose webhook came to the second leaves before its stream; the first hears of it.
        await first.twilio.reports_the_end(2)
        await first.twilio.reports_the_end(5)
        await both.becomes()
        assert await both.ring(first, 6)


async def test_a_counter_that_cannot_be_read_loses_no_call(
    tmp_path: Path, migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> bool:
        raise OperatorError("the database is away")

    async def slow(*_: object) -> bool:
        await asyncio.sleep(60)
        return False

    monkeypatch.setattr("voice.places.TAKE_SECONDS", 0.05)
    async with pair(tmp_path, migrated_postgres_url, max_calls_per_tenant=2) as both:
        for number, trouble in enumerate((away, slow), 1):
            monkeypatch.setattr(CallSlots, "take", trouble)
            assert await both.ring(both.first, number)
            unknown = await both.first.metric('events_total{event="places_unknown",label=""}')
            assert unknown == number
        assert not await both.ring(both.first, 3), "what this node knows by itself still holds"
        for number in (1, 2, 3):
            await both.first.twilio.reports_the_end(number)
        await both.becomes()


async def test_a_node_keeps_no_place_for_a_stream_that_came_to_another(
    tmp_path: Path, migrated_postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice.live_calls.EXPECTED_SECONDS", 0.2)
    async with pair(tmp_path, migrated_postgres_url, max_calls_per_node=1) as both:
        token = await both.ring(both.first, 1)
        assert await both.ring(both.first, 2) is None
        async with joined(both.second, str(token), 1) as line:
            numbers = iter(range(3, 30))

            async def a_place() -> bool:
                return await both.ring(both.first, next(numbers)) is not None

            await eventually(a_place, 5)
            await line.stops()


async def test_a_transfer_is_carried_by_nobody(tmp_path: Path, migrated_postgres_url: str) -> None:
    """The owner's telephone rings: were the stream's node to die now, there is nothing to save."""
    async with pair(tmp_path, migrated_postgres_url) as both:
        token = await both.ring(both.first, 1)
        async with joined(both.second, str(token), 1) as line:
            await greeted(both.second)
            await line.presses("9#")

            async def redirected() -> bool:
                return bool(both.second.posted("Url="))

            await eventually(redirected)
            assert set(await both.carried()) == {1}
            answer = await both.first.twilio.post("voice/continue", french_call(1))
            assert "<Dial" in answer.text
            assert await both.carried() == {}
            await line.stops()


async def test_a_break_that_two_nodes_are_asked_about_has_one_answer(
    tmp_path: Path, migrated_postgres_url: str
) -> None:
    async with pair(tmp_path, migrated_postgres_url) as both:
        token = str(await both.ring(both.first, 1))
        async with joined(both.first, token, 1) as line:
            await greeted(both.first)
            line.is_lost()
        form = french_call(1, CallStatus="in-progress")
        nodes = (both.first, both.second) * 3
        async with asyncio.TaskGroup() as tasks:
            asking = [tasks.create_task(each.twilio.post("voice/continue", form)) for each in nodes]
        (answer,) = {each.result().text for each in asking}
        async with joined(both.second, Answer(answer).token, 1) as line:
            await greeted(both.second)
            assert set(await both.carried()) == {1}
            await line.stops()


async def test_nodes_see_each_other(tmp_path: Path, migrated_postgres_url: str) -> None:
    async with pair(tmp_path, migrated_postgres_url) as both:

        async def two() -> bool:
            seen = [await each.metric("living_servers") for each in (both.first, both.second)]
            return seen == [2, 2]

        await eventually(two, 3)
        both.second.stop()

        async def one() -> bool:
            return await both.first.metric("living_servers") == 1

        await eventually(one, 3)
        assert await both.first.metric("nodes_reaped_total") == 0, "it said goodbye"
