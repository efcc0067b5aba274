"""Tenants, keys, numbers: whom the operator knows, and whom a call belongs to."""

import asyncio
import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from domain.errors import Conflict, Invalid, NotFound, OperatorError
from domain.tenant import Tenant
from storage import (
    Database,
    NewAppointment,
    NewCall,
    NewProspect,
    NewTicket,
    OperatorStore,
    Storage,
)
from storage import (
    tenants as tenants_module,
)
from storage.schema import tenant_keys
from tests.fakes.clock import START, FakeClock

CALLER = "+33639981234"
LINE = "+33299000001"
MONTH_AGO = START - timedelta(days=30)


async def test_a_tenant_is_what_was_asked_for(operator: OperatorStore) -> None:
    tenant = await operator.create_tenant(
        "  Cabinet Molaire ", "America/Martinique", "fr-MQ", "dentiste", "tenant_demo-001.a"
    )
    assert tenant == Tenant(
        "tenant_demo-001.a",
        "Cabinet Molaire",
        tenant.code,
        "America/Martinique",
        "fr-MQ",
        "dentiste",
        "active",
    )
    assert len(tenant.code) == 4
    assert tenant.code.isdecimal()
    assert await operator.get_tenant(tenant.id) == tenant
    assert await operator.tenant_by_code(tenant.code) == tenant
    assert await operator.get_tenant("nobody") is None


async def test_without_more_a_tenant_is_french(operator: OperatorStore) -> None:
    tenant = await operator.create_tenant("Garage du Port")
    assert (tenant.timezone, tenant.locale, tenant.sector) == (
        "Europe/Paris",
        "fr-FR",
        "generaliste",
    )
    assert len(tenant.id) == 32


async def test_an_id_is_taken_once(operator: OperatorStore) -> None:
    await operator.create_tenant("One", id="same")
    with pytest.raises(Conflict) as caught:
        await operator.create_tenant("Two", id="same")
    assert caught.value.field == "id"
    assert [tenant.name for tenant in await operator.list_tenants()] == ["One"]


NO_TENANTS = (
    ("name", {"name": "  "}),
    ("name", {"name": "Garage\x0bdu Port"}),
    ("name", {"name": "Garage\ndu Port"}),
    ("timezone", {"name": "x", "timezone": "Paris"}),
    ("timezone", {"name": "x", "timezone": "Europe"}),
    ("timezone", {"name": "x", "timezone": "../../etc/passwd"}),
    ("timezone", {"name": "x", "timezone": ""}),
    ("id", {"name": "x", "id": ""}),
    ("id", {"name": "x", "id": "a/b"}),
    ("id", {"name": "x", "id": "a b"}),
    ("id", {"name": "x", "id": ".."}),
    ("id", {"name": "x", "id": "x" * 65}),
)


async def test_what_cant_be_a_tenant(operator: OperatorStore) -> None:
    for field, arguments in NO_TENANTS:
        with pytest.raises(Invalid) as caught:
            await operator.create_tenant(**arguments)
        assert caught.value.field == field, arguments
    assert await operator.list_tenants() == []


async def test_tenants_created_together_have_different_codes(
    url: str, operator: OperatorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = frozenset(f"{number:04}" for number in range(12))
    monkeypatch.setattr(tenants_module, "CODES", few)  # so that they collide
    other = await Database.open(url)
    operators = (operator, Storage(other, FakeClock()).operator)
    async with asyncio.TaskGroup() as group:
        for index in range(12):
            group.create_task(operators[index % 2].create_tenant(f"Tenant {index}"))
    codes = [tenant.code for tenant in await operator.list_tenants()]
    assert sorted(codes) == [f"{code:04}" for code in range(12)]
    with pytest.raises(OperatorError, match="codes"):
        await operator.create_tenant("One too many")
    await other.close()


# ---------------------------------------------------------------------------------- keys


async def test_a_key_opens_its_tenant_and_is_stored_hashed(
    operator: OperatorStore, garage: Tenant, dentist: Tenant, database: Database
) -> None:
    key, other = await operator.create_key(garage.id, "web"), await operator.create_key(dentist.id)
    assert key.startswith("cck_")
    assert len(key) == 4 + 43  # 32 bytes in base64
    assert await operator.tenant_of_key(key) == garage.id
    assert await operator.tenant_of_key(other) == dentist.id
    async with database.read() as connection:
        stored = (await connection.execute(sa.select(tenant_keys))).all()
    assert key not in repr(stored)
    assert hashlib.sha256(key.encode()).hexdigest() in {row.key_hash for row in stored}


async def test_what_opens_nothing(operator: OperatorStore, garage: Tenant) -> None:
    good = await operator.create_key(garage.id)
    empty = ("", "null", "undefined", "cck_")
    wrong = ("cck_" + "A" * 43, "CCK_x", "cck_\ud83d", "cck_' OR 1", good + " ", good.upper())
    for key in (*empty, *wrong):
        assert await operator.tenant_of_key(key) is None, key


async def test_a_revoked_key_opens_nothing_and_the_others_go_on(
    operator: OperatorStore, garage: Tenant, dentist: Tenant, clock: FakeClock
) -> None:
    old, new = await operator.create_key(garage.id, "old"), ""
    clock.advance(1)
    new = await operator.create_key(garage.id, "new")
    first, second = await operator.list_keys(garage.id)
    assert (first.label, first.revoked_at, second.label) == ("old", None, "new")
    assert not await operator.revoke_key(dentist.id, first.id)
    assert await operator.tenant_of_key(old) == garage.id
    clock.advance(1)
    assert await operator.revoke_key(garage.id, first.id)
    assert not await operator.revoke_key(garage.id, first.id)
    assert await operator.tenant_of_key(old) is None
    assert await operator.tenant_of_key(new) == garage.id
    assert (await operator.list_keys(garage.id))[0].revoked_at == START + timedelta(seconds=2)
    assert await operator.list_keys(dentist.id) == []


async def test_a_key_needs_a_tenant(operator: OperatorStore) -> None:
    with pytest.raises(NotFound):
        await operator.create_key("nobody")


async def test_a_suspended_tenant_is_found_by_nothing(
    operator: OperatorStore, storage: Storage, garage: Tenant
) -> None:
    key = await operator.create_key(garage.id)
    await operator.add_number(garage.id, "+33900000001")
    await _save_line(storage, garage, LINE)
    await _call(operator, "CA1", garage)
    await operator.set_tenant_status(garage.id, "suspended")
    assert await operator.tenant_of_key(key) is None
    assert await operator.tenant_by_number("+33900000001") is None
    assert await operator.tenant_by_line(LINE) is None
    assert await operator.tenant_by_code(garage.code) is None
    assert await operator.tenants_of_contact(CALLER, MONTH_AGO) == []
    assert await operator.tenant_names() == []
    found = await operator.get_tenant(garage.id)
    assert found is not None
    assert found.status == "suspended"
    assert [tenant.id for tenant in await operator.list_tenants()] == [garage.id]
    # Its line and its number are still nobody else's.
    assert await operator.is_line(LINE)
    assert await operator.our_numbers() == {"+33900000001"}
    await operator.set_tenant_status(garage.id, "active")
    assert await operator.tenant_of_key(key) == garage.id


async def test_a_status_is_one_of_two(operator: OperatorStore, garage: Tenant) -> None:
    with pytest.raises(Invalid):
        await operator.set_tenant_status(garage.id, "asleep")
    with pytest.raises(NotFound):
        await operator.set_tenant_status("nobody", "active")


# ------------------------------------------------------------------------------- numbers


async def test_a_dedicated_number_rings_for_one_tenant(
    operator: OperatorStore, garage: Tenant, dentist: Tenant
) -> None:
    await operator.add_number(garage.id, "+33900000002")
    await operator.add_number(garage.id, "+33900000001")
    await operator.add_number(garage.id, "+33900000001")
    with pytest.raises(Conflict):
        await operator.add_number(dentist.id, "+33900000001")
    with pytest.raises(NotFound):
        await operator.add_number("nobody", "+33900000003")
    assert await operator.numbers(garage.id) == ["+33900000001", "+33900000002"]
    assert await operator.numbers(dentist.id) == []
    assert await operator.tenant_by_number("+33900000001") == garage
    assert await operator.tenant_by_number("+33900000003") is None
    assert await operator.our_numbers() == {"+33900000001", "+33900000002"}


async def _save_line(storage: Storage, tenant: Tenant, line: str | None) -> None:
    async with storage.tenant(tenant.id).write() as rows:
        await rows.channels.save("phone", enabled=True, config={}, line=line)


async def test_a_line_is_compared_whole(
    operator: OperatorStore, storage: Storage, garage: Tenant
) -> None:
    await _save_line(storage, garage, LINE)
    assert await operator.tenant_by_line(LINE) == garage
    assert await operator.lines(garage.id) == [LINE]
    for other in (LINE[:-1], LINE[1:], LINE + "0", "%", "", LINE.replace("+33", "0")):
        assert await operator.tenant_by_line(other) is None
        assert not await operator.is_line(other)


# ------------------------------------------------------------------------------ contacts


async def _call(operator: OperatorStore, call_sid: str, tenant: Tenant | None) -> None:
    await operator.open_call(
        NewCall(
            call_sid,
            CALLER,
            CALLER,
            "+33900000001",
            stage="live",
            tenant_id=tenant.id if tenant else None,
        ),
        {},
    )


async def test_a_contact_is_whoever_had_to_do_with_a_tenant(
    operator: OperatorStore, storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    assert await operator.tenants_of_contact(CALLER, MONTH_AGO) == []
    await _call(operator, "CA0", None)
    assert await operator.tenants_of_contact(CALLER, MONTH_AGO) == []
    await _call(operator, "CA1", garage)
    await _call(operator, "CA2", garage)
    assert await operator.tenants_of_contact(CALLER, MONTH_AGO) == [garage]
    async with storage.tenant(dentist.id).write() as rows:
        await rows.tickets.add(NewTicket("Léa", "Rappel", CALLER))
    assert await operator.tenants_of_contact(CALLER, MONTH_AGO) == [dentist, garage]
    assert await operator.tenants_of_contact("+33639981235", MONTH_AGO) == []


@pytest.mark.parametrize("how", ["call", "appointment", "prospect", "ticket"])
async def test_what_is_long_ago_is_forgotten(
    how: str, operator: OperatorStore, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        if how == "appointment":
            await rows.appointments.book(
                NewAppointment(START + timedelta(days=1), 30, "Léa", CALLER)
            )
        elif how == "prospect":
            await rows.prospects.add(NewProspect("Léa", CALLER))
        elif how == "ticket":
            await rows.tickets.add(NewTicket("Léa", "Rappel", CALLER))
    if how == "call":
        await _call(operator, "CA1", garage)
    assert await operator.tenants_of_contact(CALLER, START) == [garage]
    last = START + timedelta(days=1 if how == "appointment" else 0)
    assert await operator.tenants_of_contact(CALLER, last + timedelta(microseconds=1)) == []


async def test_an_appointment_to_come_counts_however_long_ago_it_was_made(
    operator: OperatorStore, storage: Storage, garage: Tenant
) -> None:
    start = datetime(2027, 1, 20, 9, tzinfo=UTC)
    async with storage.tenant(garage.id).write() as rows:
        await rows.appointments.book(NewAppointment(start, 30, "Léa", CALLER))
    assert await operator.tenants_of_contact(CALLER, start - timedelta(days=2)) == [garage]


async def test_a_withheld_number_is_nobodys(
    operator: OperatorStore, storage: Storage, garage: Tenant
) -> None:
    await operator.open_call(
        NewCall("CA1", "", "anonymous", "+33900000001", stage="live", tenant_id=garage.id), {}
    )
    assert await operator.tenants_of_contact("", MONTH_AGO) == []


async def test_names_to_match_a_spoken_company_against(
    operator: OperatorStore, garage: Tenant, dentist: Tenant
) -> None:
    assert await operator.tenant_names() == [dentist, garage]


async def test_finding_a_contact_reads_no_table_from_end_to_end(
    operator: OperatorStore, database: Database, dialect: str
) -> None:
    """It happens while a caller waits, over years of calls."""
    plans: list[str] = []

    def explain(
        connection: sa.Connection, _cursor: object, statement: str, parameters: Any, *_: object
    ) -> None:
        if statement.startswith("SELECT tenants"):
            explained = "EXPLAIN QUERY PLAN " if dialect == "sqlite" else "EXPLAIN "
            cursor = connection.connection.cursor()
            if dialect == "postgresql":
                # Small tables are scanned whatever the indexes, unless that is forbidden.
                cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(explained + statement, parameters)
            plans.extend(str(row[-1]) for row in cursor.fetchall())
            cursor.close()

    engine = database._reader.sync_engine  # to look over its shoulder
    sa.event.listen(engine, "before_cursor_execute", explain)
    await operator.tenants_of_contact(CALLER, MONTH_AGO)
    plan = "\n".join(plans)
    for table in ("call_logs", "rendez_vous", "qualified_prospects", "tickets"):
        assert f"ix_{table}_" in plan
        assert not re.search(rf"(?i)(seq scan on|scan) {table}\b", plan)
