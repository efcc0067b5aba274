"""A second tenant sees nothing of the first's and changes nothing, in any table, by any method.

Tables come from the metadata and methods from `TenantRows`: what is new is covered unasked.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from domain.errors import Conflict
from domain.tenant import Tenant
from storage import Database, FunctionRun, NewAppointment, NewCall, Storage, TenantRows
from storage.schema import metadata, tenants, tickets
from storage.scope import Scope
from storage.secrets import KeyRing
from tests.fakes.clock import START, FakeClock
from tests.furniture import Rows, furnish, one_per_tenant
from tests.storage.method_walk import belongings, nouns_of, read, statements_of, told, walk

#: Stands in every text of the first tenant: whoever reads it has seen too much.
MARK = "Cigogne"
NUMBER = "+33900000001"
CALLER = "+33639981234"
MONDAY_9 = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)

TENANT_TABLES = sorted(name for name, table in metadata.tables.items() if "tenant_id" in table.c)


@pytest_asyncio.fixture(loop_scope="session")
async def furnished(database: Database, garage: Tenant) -> AsyncIterator[Rows]:
    """Rows of the garage in every table; what isn't a tenant's is taken away afterwards."""
    async with database.write() as connection:
        statement = sa.select(tenants).where(tenants.c.id == garage.id)
        row = (await connection.execute(statement)).mappings().one()
        rows = await connection.run_sync(furnish, row, MARK)
    yield rows
    async with database.write() as connection:
        for name in metadata.tables.keys() - set(TENANT_TABLES) - {"tenants"}:
            await connection.execute(sa.delete(metadata.tables[name]))


@pytest.fixture
def keyed(database: Database, clock: FakeClock) -> Storage:
    """With a key ring, so that secrets can be asked for."""
    return Storage(database, clock, KeyRing({1: hashlib.sha256(b"a test").digest()}))


async def test_every_table_has_rows_of_the_first_tenant(
    furnished: Rows, database: Database
) -> None:
    async with database.read() as connection:
        there = await belongings(connection, furnished)
    assert there.keys() == metadata.tables.keys()
    assert not [name for name, rows in there.items() if not rows]


async def test_nothing_is_seen_and_nothing_is_changed_by_any_method(
    keyed: Storage, furnished: Rows, dentist: Tenant
) -> None:
    walked = await walk(keyed, dentist.id, furnished, MARK)
    assert len(walked.methods) > 25
    walked.assert_clean()


@pytest.mark.long
@pytest.mark.timeout(900)
async def test_nor_with_any_id_that_there_is(
    keyed: Storage, furnished: Rows, dentist: Tenant
) -> None:
    walked = await walk(keyed, dentist.id, furnished, MARK, all_ids=True)
    walked.assert_clean()


async def test_the_first_tenant_sees_and_changes_its_own(
    keyed: Storage, furnished: Rows, garage: Tenant
) -> None:
    """The counter-proof: the walk would have found something."""
    read = {"appointments", "calls", "channels", "functions", "prospects", "tickets"}
    written = {"appointments", "channels", "hours", "prospects", "tickets"}

    def some(rows: TenantRows) -> Mapping[str, Any]:
        return {name: noun for name, noun in nouns_of(rows).items() if name in read | written}

    walked = await walk(keyed, garage.id, furnished, MARK, some)
    assert {leak.split(".")[0] for leak in walked.leaks} == read
    assert {change.split(".")[0] for change in walked.changes} >= written


class Leaky:
    """A noun that forgot whose rows it is about."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def find(self, ticket_id: str) -> list[Any]:
        statement = sa.select(tickets).where(tickets.c.id == ticket_id)
        return list(await self._scope.all(statement))

    async def close(self, ticket_id: str) -> None:
        statement = sa.update(tickets).where(tickets.c.id == ticket_id)
        await self._scope.connection.execute(statement.values(status="closed"))

    async def puzzle(self, riddle: str) -> None:
        if riddle != "the answer":
            raise ValueError("that isn't it")


def _with_a_leak(rows: TenantRows) -> Mapping[str, Any]:
    return {"leaky": Leaky(rows._scope), "tickets": nouns_of(rows)["tickets"]}


async def test_the_walk_has_teeth(keyed: Storage, furnished: Rows, dentist: Tenant) -> None:
    walked = await walk(keyed, dentist.id, furnished, MARK, _with_a_leak)
    assert any("leaky.find" in leak and f"{MARK} tickets.subject" in leak for leak in walked.leaks)
    assert any("leaky.close" in each and each.endswith("tickets") for each in walked.changes)
    assert set(walked.unclear) == {"leaky.puzzle"}
    assert not [each for each in (*walked.leaks, *walked.changes) if "leaky" not in each]


async def test_no_statement_of_a_scope_reaches_another_tenants_row(
    database: Database, furnished: Rows, dentist: Tenant
) -> None:
    statements = statements_of(furnished)
    async with database.read() as connection:
        before = await read(connection, statements)
    async with database.write() as connection:
        scope = Scope(connection, dentist.id, FakeClock())
        for name in TENANT_TABLES:
            table = metadata.tables[name]
            assert await scope.all(scope.select(table)) == [], name
            page = await scope.page(scope.select(table), (table.c.tenant_id,), 10, 0)
            assert page == ([], 0), name
            same = {column.name: column for column in table.primary_key.columns}
            changed = await connection.execute(scope.update(table).values(same))
            deleted = await connection.execute(scope.delete(table))
            assert (changed.rowcount, deleted.rowcount) == (0, 0), name
            mine = {name: statements[name]}
            assert (await read(connection, mine))[name] == before[name], name
    async with database.read() as connection:
        assert await read(connection, statements) == before


async def test_a_tenants_own_statements_do_reach_its_rows(
    database: Database, furnished: Rows, garage: Tenant
) -> None:
    """The counter-proof: the test above could not pass by finding nothing at all."""
    async with database.read() as connection:
        scope = Scope(connection, garage.id, FakeClock())
        for name in TENANT_TABLES:
            table = metadata.tables[name]
            expected = 1 if one_per_tenant(table) else 3
            assert len(await scope.all(scope.select(table))) == expected, name


async def test_a_mark_is_seen_wherever_it_stands() -> None:
    text = f"[('x', {{'a': '{MARK} tickets.notes 2'}})] 0123456789abcdef"
    assert told(text, MARK, {"0123456789abcdef", "other-id"}) == {
        f"{MARK} tickets.notes 2",
        "0123456789abcdef",
    }


def _run(call_id: str) -> FunctionRun:
    return FunctionRun(
        occasion=call_id,
        function_call_id="fc1",
        name="book_appointment",
        arguments={"name": MARK},
        arguments_hash="hash",
        result={"status": MARK},
        started_at=START,
        finished_at=START,
        effect="booked",
    )


async def test_two_tenants_have_their_own_nine_oclock(
    storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    for tenant in (garage, dentist):
        async with storage.tenant(tenant.id).write() as rows:
            await rows.appointments.book(NewAppointment(MONDAY_9, 30, "Paul"))


async def test_a_function_runs_for_the_calls_own_tenant_only(
    storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    unbound = await storage.operator.open_call(
        NewCall("CA2", CALLER, CALLER, NUMBER, stage="asking"), {}
    )
    for tenant in (garage, dentist):
        with pytest.raises(Conflict):
            async with storage.tenant(tenant.id).write() as rows:
                await rows.functions.record(_run(unbound.call.id))
    assert await storage.operator.bind_call(unbound.call.id, garage.id, "code")
    with pytest.raises(Conflict):
        async with storage.tenant(dentist.id).write() as rows:
            await rows.functions.record(_run(unbound.call.id))
    async with storage.tenant(garage.id).write() as rows:
        await rows.functions.record(_run(unbound.call.id))


async def test_deleting_a_tenant_deletes_all_that_it_had(
    database: Database, furnished: Rows, garage: Tenant
) -> None:
    async with database.write() as connection:
        await connection.execute(sa.delete(tenants).where(tenants.c.id == garage.id))
        for name in TENANT_TABLES:
            table = metadata.tables[name]
            statement = sa.select(table).where(table.c.tenant_id == garage.id)
            assert (await connection.execute(statement)).all() == [], name
