"""All that is held about somebody is exported, and nothing of it is left after they were erased.

Made from the tables: each text of the furniture says in which column it stands, so that a column
that is added later is covered, or fails here until somebody has decided about it.
"""

import json
import re
import sqlite3
from collections.abc import AsyncIterator, Collection
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import sqlalchemy as sa

from domain.errors import Conflict, Invalid
from domain.tenant import Tenant
from storage import Database, NewAppointment, NewText, Storage
from storage.consents import Consent
from storage.persons.erasure import BLANKED, UNTOUCHED
from storage.persons.export import omitted
from storage.persons.finding import BELONGS, NOT_OF_PERSONS
from storage.schema import metadata, tenants
from tests.fakes.clock import START
from tests.furniture import Rows, furnish

MARK = "Cigogne"
PHONE, EMAIL, BSUID = "+33639981234", "lea.martin@example.fr", "FR.1410018717833190"
#: The first copy's references, so that everything of that copy is one person's: column → table.
LINKS = {
    "contact_id": "contacts",
    "conversation_id": "conversations",
    "appointment_id": "rendez_vous",
    "alert_id": "channel_messages_log",
}
ADDRESSED = {
    "call_logs": {"from_number": PHONE, "outcome": "message"},
    "channel_messages_log": {"to_address": PHONE, "status": "sent"},
    "conversations": {"address": PHONE},
    "inbound_texts": {"sender": PHONE},
    "consent_ledger": {"channel_type": "sms", "address": PHONE, "decision": "withdrawn"},
    "rendez_vous": {"status": "completed"},
    "sender_blocks": {"address": PHONE},
    "contact_addresses": {"kind": "phone", "value": PHONE},
}
#: Cells of the erased person's rows that keep their mark, and why.
STAYS = {
    "audit_log": "ids of rows and names of fields; a person's words never stand here",
    "call_logs.assistant_id": "the business's",
    "call_logs.to_number": "the number that was called",
    "call_logs.forwarded_from": "the business's line",
    "call_logs.call_sid": "the carrier's id of the call",
    "call_logs.call_status": "a word of ours",
    "call_logs.transfer_number": "the business's",
    "call_logs.stage": "a word of ours",
    "call_logs.found_by": "a word of ours",
    "call_logs.agent": "a model's name",
    "call_logs.node_id": "a process of ours",
    "channel_messages_log.template_name": "the business's",
    "channel_messages_log.template_language": "the business's",
    "channel_messages_log.appointment_id": "an id",
    "channel_messages_log.error_code": "a vendor's code",
    "channel_messages_log.provider": "a vendor's name",
    "channel_messages_log.sender": "the business's",
    "channel_messages_log.encoding": "a word of ours",
    "channel_messages_log.price_currency": "a currency",
    "consent_ledger.source": "where the refusal came from",
    "consent_ledger.address_hash": "keyed: so that whoever refused stays refused",
    "rendez_vous.rdv_type": "the business's service",
    "rendez_vous.created_by": "a word of ours",
    "rendez_vous.timezone": "the business's",
    "rendez_vous.resource": "the business's",
    "rendez_vous.service_id": "the business's",
    "rendez_vous_cells.resource": "the business's",
    "rendez_vous_history.call_id": "an id",
    "rendez_vous_history.from_resource": "the business's",
    "rendez_vous_history.to_resource": "the business's",
}


@pytest_asyncio.fixture(loop_scope="session")
async def furnished(database: Database, garage: Tenant) -> AsyncIterator[Rows]:
    """Three people in every table; the first one is Léa."""
    async with database.write() as connection:
        statement = sa.select(tenants).where(tenants.c.id == garage.id)
        row = (await connection.execute(statement)).mappings().one()
        rows = await connection.run_sync(furnish, dict(row), MARK)
        # Not one that can be opened: made anew when somebody has to be remembered as refusing.
        await connection.execute(sa.delete(metadata.tables["suppression_keys"]))
        for copy in range(3):
            await _link(connection, rows, copy)
    yield rows
    async with database.write() as connection:
        for table in metadata.tables.values():
            if "tenant_id" not in table.c and table is not tenants:
                await connection.execute(sa.delete(table))


#: What belongs to an appointment by an id that is called otherwise.
SUBJECTS = {
    "audit_log": "subject_id",
    "notifications": "subject_id",
    "live_events": "subject",
}


async def _link(connection: Any, rows: Rows, copy: int) -> None:
    for name in BELONGS.keys() - {"contact_proposals"}:
        table = metadata.tables[name]
        values = _linked(table, rows, copy)
        if values:
            await connection.execute(_row(table, rows[name][copy], sa.update(table)).values(values))
    if copy == 0:  # a second address
        second = {**rows["contact_addresses"][0], "kind": "email", "value": EMAIL}
        await connection.execute(sa.insert(metadata.tables["contact_addresses"]).values(second))


def _linked(table: sa.Table, rows: Rows, copy: int) -> dict[str, Any]:
    appointment_id = rows["rendez_vous"][copy]["id"]
    values: dict[str, Any] = {
        column: rows[parent][copy]["id"]
        for column, parent in LINKS.items()
        if column in table.c and not table.c[column].foreign_keys
    }
    more: dict[str, dict[str, Any]] = {
        "contacts": {"merged_into": None},
        "dead_jobs": {"payload": {"appointment_id": appointment_id}},
        "call_logs": {"outcome": "message"},
    }
    values |= more.get(table.name, {})
    if table.name in SUBJECTS:
        values[SUBJECTS[table.name]] = appointment_id
    return values | (ADDRESSED.get(table.name, {}) if copy == 0 else {})


def _row(table: sa.Table, row: dict[str, Any], statement: Any) -> Any:
    keys = [column for column in table.primary_key.columns if column.name in row]
    return statement.where(*(column == row[column.name] for column in keys))


async def _cells(database: Database, copy: int) -> set[str]:
    """`table.column` of each cell that has the mark of this copy."""
    found: set[str] = set()
    mark = re.compile(rf"{MARK} (\w+\.\w+) {copy}\b")
    async with database.read() as connection:
        for table in metadata.tables.values():
            for row in (await connection.execute(sa.select(table))).all():
                found |= {match[1] for match in mark.finditer(repr(row))}
    return found


def test_every_table_is_decided_upon() -> None:
    decided = BELONGS.keys() | NOT_OF_PERSONS.keys()
    assert metadata.tables.keys() <= decided, metadata.tables.keys() - decided
    assert not BELONGS.keys() & NOT_OF_PERSONS.keys()
    assert BLANKED.keys() | UNTOUCHED.keys() <= BELONGS.keys()


async def test_every_cell_of_theirs_is_exported_or_left_out_for_a_reason(
    storage: Storage, furnished: Rows, garage: Tenant, database: Database
) -> None:
    async with storage.tenant(garage.id).read() as rows:
        held = await rows.persons.export(phone="06 39 98 12 34")
    assert {("phone", PHONE), ("email", EMAIL)} <= set(held.addresses)
    told = json.dumps(held.records, ensure_ascii=False)
    exported = set(re.findall(rf"{MARK} (\w+\.\w+) 0\b", told))
    there = {
        cell for cell in await _cells(database, 0) if cell.partition(".")[0] not in NOT_OF_PERSONS
    }
    missing = {cell for cell in there - exported if not omitted(*cell.split("."))}
    assert not missing
    assert len(exported) > 120
    assert not re.findall(rf"{MARK} (?!tenants)\w+\.\w+ [12]\b", told)


@pytest.mark.parametrize("by", [{"email": "Lea.Martin@Example.FR"}, {"phone": "0033639981234"}])
async def test_found_by_any_of_their_addresses(
    storage: Storage, furnished: Rows, garage: Tenant, by: dict[str, str]
) -> None:
    async with storage.tenant(garage.id).read() as rows:
        held = await rows.persons.export(**by)
    assert held.contact_ids == (furnished["contacts"][0]["id"],)
    assert held.records["call_logs"][0]["from_number"] == PHONE


async def test_after_an_erasure_no_cell_has_anything_of_theirs(
    storage: Storage, furnished: Rows, garage: Tenant, database: Database
) -> None:
    others = {copy: await _all(database, copy) for copy in (1, 2)}
    async with storage.tenant(garage.id).write() as rows:
        erased = await rows.persons.erase(phone=PHONE)
    assert erased.rows.keys() >= {"contacts", "call_logs", "tickets", "conversation_messages"}
    assert erased.pending == 2  # the recording that we made, and the call at Vapi
    assert erased.erasure_id is not None
    async with storage.tenant(garage.id).write() as rows:
        waiting = await rows.persons.pending(erased.erasure_id)
        assert {kind for kind, _ in waiting} == {"twilio_recording", "vapi_call"}
        await rows.persons.settled(erased.erasure_id, [])
    left = {
        cell
        for cell in await _cells(database, 0)
        if cell.partition(".")[0] not in NOT_OF_PERSONS
        and cell not in STAYS
        and cell.partition(".")[0] not in STAYS
    }
    assert not left
    assert {copy: await _all(database, copy) for copy in (1, 2)} == others
    for text in (PHONE, EMAIL):
        assert not await _anywhere(database, text)
    async with storage.tenant(garage.id).write() as rows:
        again = await rows.persons.erase(phone=PHONE)
        assert (again.rows, again.erasure_id) == ({}, None)
        assert (await rows.persons.export(phone=PHONE)).records == {}
        refusal = (
            "marketing" if furnished["consent_ledger"][0]["purpose"] != "service" else "service"
        )
        assert await rows.consents.refusal("sms", PHONE, refusal) == "opted_out"


async def _all(database: Database, copy: int) -> Collection[str]:
    return sorted(await _cells(database, copy))


async def _anywhere(database: Database, text: str) -> list[str]:
    async with database.read() as connection:
        return [
            name
            for name, table in metadata.tables.items()
            for row in (await connection.execute(sa.select(table))).all()
            if text in repr(row)
        ]


# ------------------------------------------------------------------------- as it happens


async def _live(storage: Storage, garage: Tenant) -> str:
    """Léa booked, was written to, refused, and wrote by WhatsApp. Her appointment's id."""
    async with storage.tenant(garage.id).write() as rows:
        contact = await rows.contacts.person(
            name="Léa Martin", phone=PHONE, email=EMAIL, whatsapp=BSUID, source="message"
        )
        assert contact is not None
        appointment = await rows.appointments.book(
            NewAppointment(
                datetime(2026, 11, 30, 8, 0, tzinfo=UTC),
                30,
                "Léa Martin",
                customer_phone=PHONE,
                contact_id=contact.id,
            )
        )
        await rows.outbox.put(
            NewText(channel="sms", to=PHONE, body="Bonjour Léa", contact_id=contact.id)
        )
        for purpose, decision in (("marketing", "granted"), ("service", "withdrawn")):
            line = Consent("sms", purpose, decision, "message", START, PHONE, contact.id, "STOP")
            await rows.consents.record(line)
        return appointment.id


async def test_appointments_to_come_are_cancelled_only_if_that_is_wanted(
    storage: Storage, garage: Tenant, database: Database
) -> None:
    appointment_id = await _live(storage, garage)
    with pytest.raises(Conflict) as refused:
        async with storage.tenant(garage.id).write() as rows:
            await rows.persons.erase(whatsapp=BSUID)
    assert refused.value.field == "cancel_appointments"
    async with storage.tenant(garage.id).write() as rows:
        erased = await rows.persons.erase(whatsapp=BSUID, cancel_appointments=True)
    assert erased.cancelled == [appointment_id]
    for text in ("Léa", PHONE, EMAIL, BSUID):
        assert not await _anywhere(database, text), text
    async with storage.tenant(garage.id).read() as rows:
        row = await rows.appointments.get(appointment_id)
        assert row is not None
        assert row.status == "cancelled"
        # The time can be booked again, the text waits no more, and the refusal holds.
        assert not await rows.appointments.busy(START, START + timedelta(days=30))
        assert (await rows.consents.state("sms", PHONE)) == {"service": "withdrawn"}
        assert await rows.consents.refusal("sms", PHONE, "service") == "opted_out"


async def test_a_call_of_somebody_else_isnt_theirs(
    storage: Storage, furnished: Rows, garage: Tenant, database: Database
) -> None:
    """The second person's call, in which an appointment was made for Léa."""
    table = metadata.tables["rendez_vous"]
    async with database.write() as connection:
        mine = table.c.id == furnished["rendez_vous"][0]["id"]
        call_id = furnished["call_logs"][1]["id"]
        await connection.execute(sa.update(table).where(mine).values(call_id=call_id))
    async with storage.tenant(garage.id).read() as rows:
        held = await rows.persons.export(phone=PHONE)
    assert held.elsewhere == 1
    assert [row["id"] for row in held.records["call_logs"]] == [furnished["call_logs"][0]["id"]]


async def test_nobody_is_erased_during_a_call(
    storage: Storage, furnished: Rows, garage: Tenant, database: Database
) -> None:
    calls = metadata.tables["call_logs"]
    async with database.write() as connection:
        await connection.execute(sa.update(calls).values(outcome=None))
    with pytest.raises(Conflict):
        async with storage.tenant(garage.id).write() as rows:
            await rows.persons.erase(phone=PHONE)


@pytest.mark.parametrize("by", [{}, {"phone": "anonymous"}, {"email": "lea"}, {"whatsapp": "x"}])
async def test_who_isnt_named_isnt_looked_for(
    storage: Storage, garage: Tenant, by: dict[str, str]
) -> None:
    async with storage.tenant(garage.id).read() as rows:
        with pytest.raises(Invalid):
            await rows.persons.export(**by)


async def test_the_file_and_its_log_forget_as_well(
    storage: Storage, garage: Tenant, database: Database, url: str
) -> None:
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL's rows are overwritten by its vacuum")
    path = Path(url.removeprefix("sqlite:///"))
    files = (path, path.with_name(f"{path.name}-wal"))
    names = [f"Inoubliable-{number}" for number in range(12)]
    async with storage.tenant(garage.id).write() as rows:
        for number, name in enumerate(names):  # pages are filled, split and written over
            await rows.contacts.person(name=name, phone=f"+3363998{number:04}", source="call")
    for number, name in enumerate(names):
        async with storage.tenant(garage.id).write() as rows:
            contact = await rows.contacts.of(phone=f"+3363998{number:04}")
            assert contact is not None
            await rows.contacts.update(contact.id, {"notes": f"{name} " * 200}, actor="x")
    assert any(b"Inoubliable-7" in file.read_bytes() for file in files)
    for number in range(len(names)):
        async with storage.tenant(garage.id).write() as rows:
            await rows.persons.erase(phone=f"+3363998{number:04}")
    assert await storage.empty_log()
    left = [file for file in files if file.exists() and b"Inoubliable" in file.read_bytes()]
    assert not left
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_reader_of_an_older_moment_keeps_the_log(
    storage: Storage, garage: Tenant, database: Database
) -> None:
    if database.dialect != "sqlite":
        pytest.skip("SQLite's log")
    async with storage.tenant(garage.id).read() as rows:
        await rows.contacts.list()
        async with storage.tenant(garage.id).write() as writing:
            await writing.contacts.person(name="Léa", phone=PHONE, source="call")
        assert not await storage.empty_log()
    assert await storage.empty_log()
