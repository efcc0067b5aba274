"""A second tenant sees nothing of the first's and changes nothing, in any table, by any method."""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from domain.availability import OpeningRange
from domain.errors import CallerError, Conflict
from domain.tenant import Tenant
from storage import (
    CallRow,
    Database,
    FunctionRun,
    JournalEntry,
    NewAppointment,
    NewCall,
    NewMessage,
    NewProspect,
    NewTicket,
    Storage,
    TenantRows,
)
from storage.schema import metadata
from storage.scope import Scope
from tests.fakes.clock import START, FakeClock

#: Stands in every text of the first tenant: whoever reads it has seen too much.
SECRET = "Confidentiel"
LINE = "+33299000001"
NUMBER = "+33900000001"
CALLER = "+33639981234"
MONDAY_9 = datetime(2026, 11, 30, 8, 0, tzinfo=UTC)


TENANT_TABLES = sorted(name for name, table in metadata.tables.items() if "tenant_id" in table.c)


@dataclass(frozen=True, slots=True)
class Belongings:
    """The ids of what the first tenant has."""

    call: CallRow
    appointment: str
    prospect: str
    ticket: str


async def _furnish(storage: Storage, tenant: Tenant) -> Belongings:
    """Give a tenant at least one row in every table that is a tenant's."""
    await storage.operator.create_key(tenant.id, SECRET)
    await storage.operator.add_number(tenant.id, NUMBER)
    opened = await storage.operator.open_call(
        NewCall(
            call_sid="CA1",
            from_number=CALLER,
            from_raw=SECRET,
            to_number=NUMBER,
            stage=SECRET,
            tenant_id=tenant.id,
            found_by="dialled",
        ),
        {"text": SECRET},
    )
    call_id = opened.call.id
    await storage.journal.append(
        [JournalEntry(call_id, START, "turn", {"who": "caller", "text": SECRET})]
    )
    async with storage.tenant(tenant.id).write() as rows:
        await rows.channels.save("phone", enabled=True, config={"note": SECRET}, line=LINE)
        await rows.channels.save_secrets("phone", {"openaiApiKey": SECRET})
        await rows.hours.replace([OpeningRange(7, time(3), time(4))])
        appointment = await rows.appointments.book(
            NewAppointment(MONDAY_9, 30, SECRET, CALLER, SECRET, SECRET, SECRET, call_id)
        )
        prospect = await rows.prospects.add(NewProspect(SECRET, CALLER, SECRET, call_id=call_id))
        ticket = await rows.tickets.add(NewTicket(SECRET, SECRET, CALLER, SECRET))
        await rows.functions.record(_run(call_id))
        await rows.messages.add(NewMessage("sms", CALLER, "twilio", SECRET, external_id="SM1"))
    return Belongings(opened.call, appointment.id, prospect, ticket)


def _run(call_id: str) -> FunctionRun:
    return FunctionRun(
        call_id=call_id,
        function_call_id="fc1",
        name="book_appointment",
        arguments={"name": SECRET},
        arguments_hash="hash",
        result={"status": SECRET},
        started_at=START,
        finished_at=START,
        effect="booked",
    )


async def _open_phone(rows: TenantRows, its: Belongings) -> Any:
    return rows.channels.opened(await rows.channels.get("phone"))


#: What the second tenant tries: every method of `TenantRows`, with the first one's ids.
Attempt = Callable[[TenantRows, Belongings], Awaitable[Any]]
ATTEMPTS: dict[str, Attempt] = {
    "tenant": lambda rows, its: rows.tenant(),
    "channels.get": lambda rows, its: rows.channels.get("phone"),
    "channels.list": lambda rows, its: rows.channels.list(),
    "channels.save": lambda rows, its: rows.channels.save(
        "phone", enabled=True, config={}, line=LINE
    ),
    "channels.has_secrets": lambda rows, its: rows.channels.has_secrets("phone"),
    "channels.secrets": lambda rows, its: rows.channels.secrets("phone"),
    "channels.opened": _open_phone,
    "channels.save_secrets": lambda rows, its: rows.channels.save_secrets("phone", {"apiKey": "x"}),
    "hours.get": lambda rows, its: rows.hours.get(),
    "hours.is_default": lambda rows, its: rows.hours.is_default(),
    "hours.replace": lambda rows, its: rows.hours.replace([]),
    "appointments.busy": lambda rows, its: rows.appointments.busy(
        MONDAY_9, MONDAY_9 + timedelta(hours=1)
    ),
    "appointments.book": lambda rows, its: rows.appointments.book(
        NewAppointment(MONDAY_9, 30, "Paul", call_id=its.call.id)
    ),
    "appointments.cancel": lambda rows, its: rows.appointments.cancel(its.appointment),
    "appointments.get": lambda rows, its: rows.appointments.get(its.appointment),
    "appointments.list": lambda rows, its: rows.appointments.list(
        date_from=date(2026, 1, 1), date_to=date(2027, 1, 1)
    ),
    "prospects.add": lambda rows, its: rows.prospects.add(NewProspect("Paul")),
    "prospects.get": lambda rows, its: rows.prospects.get(its.prospect),
    "prospects.list": lambda rows, its: rows.prospects.list(),
    "tickets.add": lambda rows, its: rows.tickets.add(NewTicket("Paul", "Rappel")),
    "tickets.get": lambda rows, its: rows.tickets.get(its.ticket),
    "tickets.list": lambda rows, its: rows.tickets.list(),
    "functions.find": lambda rows, its: rows.functions.find(its.call.id, "fc1"),
    "functions.find_effect": lambda rows, its: rows.functions.find_effect(
        its.call.id, "book_appointment", "hash"
    ),
    "functions.record": lambda rows, its: rows.functions.record(_run(its.call.id)),
    "functions.of_call": lambda rows, its: rows.functions.of_call(its.call.id),
    "calls.get": lambda rows, its: rows.calls.get(its.call.id),
    "calls.list": lambda rows, its: rows.calls.list(date_from=date(2026, 1, 1)),
    "calls.timeline": lambda rows, its: rows.calls.timeline(its.call.id),
    "messages.add": lambda rows, its: rows.messages.add(NewMessage("sms", CALLER, "twilio")),
    "messages.record_status": lambda rows, its: rows.messages.record_status(
        "SM1", "read", None, START
    ),
}


async def _everything_of(database: Database, tenant: Tenant) -> dict[str, Sequence[Any]]:
    """All rows of a tenant, in all tables, and what hangs on them."""
    found: dict[str, Sequence[Any]] = {}
    async with database.read() as connection:
        for name, table in metadata.tables.items():
            if "tenant_id" in table.c:
                mine: sa.ColumnElement[bool] = table.c.tenant_id == tenant.id
            elif name == "tenants":
                mine = table.c.id == tenant.id
            else:
                mine = sa.true()  # call_events, stream_tokens: only the first tenant has calls
            order = tuple(table.primary_key.columns)
            statement = sa.select(table).where(mine).order_by(*order)
            found[name] = (await connection.execute(statement)).all()
    return found


def test_every_method_is_attempted() -> None:
    rows = TenantRows(Scope(None, "nobody", FakeClock()))  # type: ignore[arg-type]
    nouns = [name for name in TenantRows.__slots__ if not name.startswith("_")]
    methods = {
        f"{noun}.{name}"
        for noun in nouns
        for name, _ in inspect.getmembers(getattr(rows, noun), inspect.ismethod)
        if not name.startswith("_")
    }
    assert set(ATTEMPTS) == methods | {"tenant"}


async def test_the_first_tenant_has_something_everywhere(
    storage: Storage, database: Database, garage: Tenant
) -> None:
    await _furnish(storage, garage)
    everything = await _everything_of(database, garage)
    assert not [name for name in TENANT_TABLES if not everything[name]]


async def test_nothing_is_seen_and_nothing_is_changed(
    storage: Storage, database: Database, garage: Tenant, dentist: Tenant
) -> None:
    belongings = await _furnish(storage, garage)
    before = await _everything_of(database, garage)
    for name, attempt in ATTEMPTS.items():
        try:
            async with storage.tenant(dentist.id).write() as rows:
                result = await attempt(rows, belongings)
        except CallerError as error:
            result = error
        assert SECRET not in repr(result), name
        assert garage.id not in repr(result), name
        assert await _everything_of(database, garage) == before, name


async def test_no_statement_of_a_scope_reaches_another_tenants_row(
    storage: Storage, database: Database, garage: Tenant, dentist: Tenant
) -> None:
    await _furnish(storage, garage)
    before = await _everything_of(database, garage)
    for name in TENANT_TABLES:
        table = metadata.tables[name]
        async with database.write() as connection:
            scope = Scope(connection, dentist.id, FakeClock())
            assert await scope.all(scope.select(table)) == [], name
            page = await scope.page(scope.select(table), (table.c.tenant_id,), 10, 0)
            assert page == ([], 0), name
            same = {column.name: column for column in table.primary_key.columns}
            changed = await connection.execute(scope.update(table).values(same))
            deleted = await connection.execute(scope.delete(table))
            assert (changed.rowcount, deleted.rowcount) == (0, 0), name
        assert await _everything_of(database, garage) == before, name


async def test_a_tenants_own_statements_do_reach_its_rows(
    storage: Storage, database: Database, garage: Tenant
) -> None:
    """The counter-proof: the tests above could not pass by finding nothing at all."""
    await _furnish(storage, garage)
    async with database.read() as connection:
        scope = Scope(connection, garage.id, FakeClock())
        for name in TENANT_TABLES:
            assert await scope.all(scope.select(metadata.tables[name])), name
    belongings_seen = 0
    async with storage.tenant(garage.id).read() as rows:
        belongings_seen += (await rows.calls.list()).total
        belongings_seen += (await rows.appointments.list()).total
        belongings_seen += (await rows.prospects.list()).total
        belongings_seen += (await rows.tickets.list()).total
    assert belongings_seen == 4


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
    storage: Storage, database: Database, garage: Tenant, dentist: Tenant
) -> None:
    await _furnish(storage, garage)
    async with database.write() as connection:
        tenants = metadata.tables["tenants"]
        await connection.execute(sa.delete(tenants).where(tenants.c.id == garage.id))
    left = await _everything_of(database, garage)
    assert not [name for name, rows in left.items() if rows]
