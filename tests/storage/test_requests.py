"""What calls leave behind besides appointments: prospects, tickets, messages, function results."""

import asyncio
from datetime import timedelta

import pytest
import pytest_asyncio
import sqlalchemy as sa

from domain.errors import Conflict, Invalid
from domain.tenant import Tenant
from storage import (
    CallRow,
    Database,
    FunctionRun,
    NewAppointment,
    NewCall,
    NewProspect,
    NewTicket,
    OperatorStore,
    Storage,
    TenantHandle,
)
from storage.schema import rendez_vous
from tests.fakes.clock import START, FakeClock

CALLER = "+33639981234"


@pytest.fixture
def handle(storage: Storage, garage: Tenant) -> TenantHandle:
    return storage.tenant(garage.id)


@pytest_asyncio.fixture(loop_scope="session")
async def call(operator: OperatorStore, garage: Tenant) -> CallRow:
    new = NewCall("CA1", CALLER, CALLER, "+33900000001", stage="live", tenant_id=garage.id)
    return (await operator.open_call(new, {})).call


# ----------------------------------------------------------------- prospects and tickets


async def test_a_prospect_comes_back_as_it_was_told(handle: TenantHandle) -> None:
    new = NewProspect(
        name="Léa Martin",
        phone=CALLER,
        email="lea@example.org",
        interest="achat",
        place="Rennes centre",
        budget_min=150_000,
        budget_max=3_000_000_000,  # more than 32 bits: a castle
        property_type="maison",
        deadline="avant l'été",
        notes="avec jardin",
        call_id="call",
    )
    async with handle.write() as rows:
        prospect_id = await rows.prospects.add(new)
        stored = await rows.prospects.get(prospect_id)
        assert await rows.prospects.get("nothing") is None
    assert stored is not None
    for name in NewProspect.__dataclass_fields__:
        assert getattr(stored, name) == getattr(new, name), name
    assert (stored.status, stored.created_by, stored.created_at) == ("new", "sara", START)


async def test_a_budget_has_bounds(handle: TenantHandle) -> None:
    async with handle.write() as rows:
        for field in ("budget_min", "budget_max"):
            for value in (-1, 10**30):
                with pytest.raises(Invalid) as caught:
                    await rows.prospects.add(NewProspect(**{field: value}))  # type: ignore[arg-type]
                assert caught.value.field == field
        assert (await rows.prospects.list()).total == 0


async def test_a_ticket_comes_back_as_it_was_told(handle: TenantHandle) -> None:
    new = NewTicket("Léa Martin", "Bruit", CALLER, "à l'avant", "urgent", "rappel", "call")
    async with handle.write() as rows:
        ticket_id = await rows.tickets.add(new)
        stored = await rows.tickets.get(ticket_id)
        assert await rows.tickets.get("nothing") is None
        with pytest.raises(Invalid, match="priority"):
            await rows.tickets.add(NewTicket("Léa", "Bruit", priority="now"))
    assert stored is not None
    assert stored.contact_id  # whose number it is
    for name in NewTicket.__dataclass_fields__.keys() - {"contact_id"}:
        assert getattr(stored, name) == getattr(new, name), name
    assert (stored.status, stored.created_by, stored.created_at) == ("open", "sara", START)


async def test_the_latest_come_first(handle: TenantHandle, clock: FakeClock) -> None:
    for number in range(3):
        async with handle.write() as rows:
            await rows.prospects.add(NewProspect(f"Prospect {number}"))
            await rows.tickets.add(NewTicket("Léa", f"Ticket {number}"))
        clock.advance(1)
    async with handle.read() as rows:
        prospects = await rows.prospects.list(limit=2)
        tickets = await rows.tickets.list(limit=2, offset=2)
    assert ([p.name for p in prospects.items], prospects.total) == (["Prospect 2", "Prospect 1"], 3)
    assert ([t.subject for t in tickets.items], tickets.total) == (["Ticket 0"], 3)


# ----------------------------------------------------------------------------- functions


def _run(
    call: CallRow, function_call_id: str = "fc1", effect: str | None = "booked", digest: str = "h1"
) -> FunctionRun:
    return FunctionRun(
        occasion=call.id,
        function_call_id=function_call_id,
        name="book_appointment",
        arguments={"start": "2026-11-24T14:30:00+01:00", "name": "Léa"},
        arguments_hash=digest,
        result={"status": "booked", "spoken": "C'est noté"},
        started_at=START,
        finished_at=START + timedelta(seconds=1),
        effect=effect,
        then="end",
        detail="goodbye",
    )


async def test_a_result_is_found_by_its_call_and_by_its_question(
    handle: TenantHandle, call: CallRow
) -> None:
    async with handle.write() as rows:
        await rows.functions.record(_run(call))
        found = await rows.functions.find(call.id, "fc1")
        assert found is not None
        assert found.result == {"status": "booked", "spoken": "C'est noté"}
        assert (found.effect, found.then, found.detail) == ("booked", "end", "goodbye")
        assert found.arguments["name"] == "Léa"
        assert (found.started_at, found.finished_at) == (START, START + timedelta(seconds=1))
        assert await rows.functions.find_effect(call.id, "book_appointment", "h1") == found
        assert await rows.functions.of_call(call.id) == [found]
        for nothing in (
            rows.functions.find(call.id, "fc2"),
            rows.functions.find("other", "fc1"),
            rows.functions.find_effect(call.id, "book_appointment", "h2"),
            rows.functions.find_effect(call.id, "create_ticket", "h1"),
        ):
            assert await nothing is None


async def test_a_question_without_effect_may_be_asked_again(
    handle: TenantHandle, call: CallRow
) -> None:
    async with handle.write() as rows:
        await rows.functions.record(_run(call, "fc1", effect=None))
        await rows.functions.record(_run(call, "fc2", effect=None))
        assert await rows.functions.find_effect(call.id, "book_appointment", "h1") is None
        await rows.functions.record(_run(call, "fc3"))
        assert len(await rows.functions.of_call(call.id)) == 3


@pytest.mark.parametrize(
    ("function_call_id", "effect", "digest"), [("fc1", None, "h2"), ("fc2", "booked", "h1")]
)
async def test_a_second_effect_is_undone_with_its_record(
    function_call_id: str,
    effect: str | None,
    digest: str,
    handle: TenantHandle,
    call: CallRow,
    database: Database,
) -> None:
    async with handle.write() as rows:
        await rows.functions.record(_run(call))

    async def book_again() -> None:
        async with handle.write() as rows:
            await rows.appointments.book(NewAppointment(START + timedelta(days=1), 30, "Léa"))
            await rows.functions.record(_run(call, function_call_id, effect, digest))

    with pytest.raises(Conflict):
        await book_again()
    async with database.read() as connection:
        assert (await connection.execute(sa.select(rendez_vous))).all() == []


async def test_of_many_repeats_at_once_one_has_an_effect(
    url: str, handle: TenantHandle, call: CallRow, database: Database
) -> None:
    other = await Database.open(url)
    handles = (handle, Storage(other, FakeClock()).tenant(handle.tenant_id))
    refused = 0

    async def run(index: int) -> None:
        nonlocal refused
        try:
            async with handles[index % 2].write() as rows:
                start = START + timedelta(days=1, hours=index)  # no two want the same time
                await rows.appointments.book(NewAppointment(start, 30, "Léa"))
                await rows.functions.record(_run(call, f"fc{index}"))
        except Conflict:
            refused += 1

    async with asyncio.TaskGroup() as group:
        for index in range(20):
            group.create_task(run(index))
    await other.close()
    assert refused == 19
    async with database.read() as connection:
        count = sa.select(sa.func.count()).select_from(rendez_vous)
        assert (await connection.execute(count)).scalar_one() == 1
