"""The earlier service's data, taken over from exports with all their traps."""

import hashlib
import json
import sqlite3
import time as wall
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from domain.errors import OperatorError
from storage import Database, KeyRing, NewAppointment, Storage
from storage.d1 import Report, Takeover, open_export
from storage.d1 import export as export_module
from storage.d1.export import statements
from storage.schema import channel_configurations, metadata, rendez_vous_cells
from tests.fakes.clock import FakeClock
from tests.storage import d1_export as d1
from tests.storage.d1_export import AGENCY, GARAGE

SIX = [name for name in d1.whole() if name != "tenants"]
RING = KeyRing({1: hashlib.sha256(b"a test").digest()})


async def take(
    database: Database,
    clock: FakeClock,
    path: Path,
    *,
    create_tenants: bool = True,
    keyring: KeyRing | None = RING,
    **options: Any,
) -> Report:
    export = open_export(path)
    try:
        takeover = Takeover(database, clock, keyring, **options)
        return await takeover.run(export, create_tenants=create_tenants)
    finally:
        export.close()


async def stored(database: Database, table: str) -> list[dict[str, Any]]:
    async with database.read() as connection:
        rows = await connection.execute(sa.select(metadata.tables[table]))
        return [dict(row) for row in rows.mappings()]


async def everything(database: Database) -> dict[str, list[str]]:
    return {name: sorted(map(repr, await stored(database, name))) for name in metadata.tables}


@pytest.mark.parametrize("form", [d1.database, d1.dump])
async def test_all_six_tables_are_kept_with_their_ids(
    database: Database, clock: FakeClock, tmp_path: Path, form: Any
) -> None:
    report = await take(database, clock, form(tmp_path / "export", d1.whole()))
    assert report.refusals == 0
    assert {name: table.kept for name, table in report.tables.items()} == {
        "tenants": 2,
        **dict.fromkeys(SIX, 1),
    }
    (call,) = await stored(database, "call_logs")
    assert (call["id"], call["tenant_id"]) == ("call_1", GARAGE)
    assert (call["from_number"], call["from_raw"]) == ("+33639981234", "06 39 98 12 34")
    assert call["forwarded_from"] == "+33261910001"
    assert call["started_at"] == datetime(2026, 3, 2, 8, 13, 28, tzinfo=UTC)
    assert (call["outcome"], call["rdv_created"]) == ("booked", True)
    assert call["transcript"].endswith("vidange; mardi.")
    (appointment,) = await stored(database, "rendez_vous")
    assert appointment["starts_at"] == datetime(2026, 12, 1, 13, 30, tzinfo=UTC)
    assert appointment["ends_at"] == datetime(2026, 12, 1, 14, 30, tzinfo=UTC)
    assert (appointment["rdv_time"], appointment["timezone"]) == (time(14, 30), "Europe/Paris")
    (prospect,) = await stored(database, "qualified_prospects")
    assert (prospect["phone"], prospect["notes"]) == (None, None)
    (message,) = await stored(database, "channel_messages_log")
    assert message["to_address"] == "+33639981234"
    assert [row["number"] for row in await stored(database, "tenant_lines")] == ["+33261910001"]


async def test_the_service_works_on_with_what_was_imported(
    database: Database, storage: Storage, clock: FakeClock, tmp_path: Path
) -> None:
    await take(database, clock, d1.database(tmp_path / "export", d1.whole()))
    tenant = await storage.operator.tenant_by_line("+33261910001")
    assert tenant is not None
    assert (tenant.id, tenant.name, tenant.sector) == (GARAGE, "Garage du Port", "automobile")
    async with storage.tenant(GARAGE).write() as rows:
        with pytest.raises(Exception, match="already taken"):
            await rows.appointments.book(
                NewAppointment(datetime(2026, 12, 1, 13, 45, tzinfo=UTC), 30, "Paul")
            )
    async with storage.tenant(GARAGE).write() as rows:
        await rows.appointments.cancel("rdv_1")
    assert await stored(database, "rendez_vous_cells") == []


async def test_a_second_run_changes_nothing_and_says_so(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    path = d1.database(tmp_path / "export", d1.whole())
    await take(database, clock, path)
    before = await everything(database)
    clock.advance(3600)
    report = await take(database, clock, path)
    assert await everything(database) == before
    assert report.refusals == 0
    assert {table.kept for table in report.tables.values()} == {0}
    assert report.tables["tickets"].already_there == 1
    assert "tickets: 0 kept, 1 already there, 0 refused" in list(report.lines())


async def test_a_dry_run_says_the_same_and_stores_nothing(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    tables = d1.whole()
    tables["rendez_vous"].append({**d1.APPOINTMENT, "id": "rdv_2", "rdv_time": "15:00"})
    tables["call_logs"].append({**d1.CALL, "id": "call_2"})
    path = d1.database(tmp_path / "export", tables)
    before = await everything(database)
    dry = await take(database, clock, path, dry_run=True)
    assert await everything(database) == before
    wet = await take(database, clock, path)
    assert dry.as_json() | {"dry_run": False} == wet.as_json()
    assert wet.refusals == 2


async def test_unknown_tenants_are_not_guessed(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    path = d1.database(tmp_path / "export", d1.whole())
    report = await take(database, clock, path, create_tenants=False)
    assert report.refusals == len(SIX)
    (reason,) = report.tables["tickets"].refused
    assert "--create-tenants" in reason
    assert await stored(database, "tickets") == []


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("rendez_vous", {"rdv_date": "01/12/2026"}, "rdv_date is no date"),
    ("rendez_vous", {"rdv_date": "2026-02-30"}, "rdv_date is no date"),
    ("rendez_vous", {"rdv_time": "14h30"}, "rdv_time is no time"),
    ("rendez_vous", {"rdv_time": "25:00"}, "rdv_time is no time"),
    ("rendez_vous", {"rdv_date": "2027-03-28", "rdv_time": "02:30"}, "doesn't exist"),
    ("rendez_vous", {"rdv_duration_minutes": 0}, "doesn't lie between 1 and 1440"),
    ("rendez_vous", {"rdv_duration_minutes": "une heure"}, "no whole number"),
    ("rendez_vous", {"status": "planifié"}, "status is none of"),
    ("rendez_vous", {"customer_name": " "}, "customer_name is missing"),
    ("rendez_vous", {"reminder_24h_sent": 7}, "neither 0 nor 1"),
    ("qualified_prospects", {"qualification_score": 101}, "between 0 and 100"),
    ("qualified_prospects", {"budget_max": 1e300}, "doesn't lie between"),
    ("qualified_prospects", {"source": "fax"}, "source is none of"),
    ("qualified_prospects", {"created_at": "hier"}, "created_at is no instant"),
    ("qualified_prospects", {"created_at": 1e18}, "created_at"),
    ("tickets", {"priority": "critique"}, "priority is none of"),
    ("tickets", {"subject": "x" * 1_000_001}, "longer than 1000000"),
    ("tickets", {"subject": b"\x00\x01"}, "subject is binary"),
    ("tickets", {"id": "a\nb"}, "id is no id"),
    ("tickets", {"id": "x" * 200}, "id is no id"),
    ("channel_messages_log", {"to_address": "Non spécifié"}, "to_address is no telephone number"),
    ("channel_messages_log", {"template_variables": "{"}, "malformed JSON"),
    ("channel_messages_log", {"template_variables": "[]"}, "no JSON object"),
    ("channel_messages_log", {"template_variables": '{"a":NaN}'}, "malformed JSON"),
    ("channel_configurations", {"config_public": "[" * 100_000}, "malformed JSON"),
    ("channel_configurations", {"config_public": '{"a":' * 40 + "1" + "}" * 40}, "nested"),
    ("call_logs", {"direction": "sideways"}, "direction is none of"),
    ("call_logs", {"call_sid": None}, "call_sid is missing"),
    ("call_logs", {"duration_seconds": -1}, "duration_seconds"),
]


async def test_what_is_wrong_is_refused_with_its_reason_and_the_rest_kept(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    tables = d1.whole()
    for number, (table, wrong, _) in enumerate(REFUSALS):
        good = dict(tables[table][0])
        unique = {"call_sid": f"CA{number:032x}"} if table == "call_logs" else {}
        if table == "channel_configurations":
            unique = {"channel_type": "sms" if number % 2 else "email"}
        tables[table].append({**good, "id": f"bad_{number}", **unique, **wrong})
    report = await take(database, clock, d1.database(tmp_path / "export", tables))
    for table in SIX:
        assert report.tables[table].kept == 1, table
    for number, (table, wrong, said) in enumerate(REFUSALS):
        place = 2 + sum(each[0] == table for each in REFUSALS[:number])
        shown = {f"bad_{number}", f"#{place}"} if "id" in wrong else {f"bad_{number}"}
        reasons = [
            reason for reason, ids in report.tables[table].refused.items() if shown & set(ids)
        ]
        assert len(reasons) == 1, (table, wrong)
        assert said in reasons[0]
    told = json.dumps(report.as_json()) + "\n".join(report.lines())
    assert "Durand" not in told
    assert "0639981" not in told.replace(" ", "")


async def test_of_appointments_that_overlap_the_first_is_kept(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    tables = d1.whole()
    later = {"created_at": "2026-03-03 10:00:00"}
    past = {"rdv_date": "2026-03-05"}
    tables["rendez_vous"] += [
        {**d1.APPOINTMENT, **later, "id": "overlaps", "rdv_time": "15:00"},
        {**d1.APPOINTMENT, **later, "id": "after", "rdv_time": "15:30"},
        {**d1.APPOINTMENT, **later, "id": "cancelled", "status": "cancelled"},
        {**d1.APPOINTMENT, "id": "earlier", "created_at": "2026-01-01 00:00:00"},
        {**d1.APPOINTMENT, **past, "id": "past 1"},
        {**d1.APPOINTMENT, **past, "id": "past 2"},
        {**d1.APPOINTMENT, "id": "elsewhere", "tenant_id": AGENCY},
    ]
    report = await take(database, clock, d1.database(tmp_path / "export", tables))
    (refused,) = report.tables["rendez_vous"].refused.values()
    assert sorted(refused) == ["overlaps", "rdv_1"]
    async with database.read() as connection:
        cells = await connection.execute(
            sa.select(rendez_vous_cells.c.rendez_vous_id, sa.func.count()).group_by(
                rendez_vous_cells.c.rendez_vous_id
            )
        )
        assert {row[0]: row[1] for row in cells} == {"earlier": 12, "after": 12, "elsewhere": 12}
    (there,) = [r for r in await stored(database, "rendez_vous") if r["id"] == "elsewhere"]
    assert there["starts_at"] == datetime(2026, 12, 1, 18, 30, tzinfo=UTC)  # Martinique


async def test_a_call_sid_is_there_once(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    tables = d1.whole()
    tables["call_logs"].append({**d1.CALL, "id": "call_2", "started_at": "2026-03-03 09:00:00"})
    report = await take(database, clock, d1.database(tmp_path / "export", tables))
    assert report.tables["call_logs"].refused == {"another call has this call_sid": ["call_2"]}


async def test_a_line_stays_with_its_owner(
    database: Database, storage: Storage, clock: FakeClock, tmp_path: Path
) -> None:
    owner = await storage.operator.create_tenant("Autre Garage")
    async with storage.tenant(owner.id).write() as rows:
        await rows.channels.save("phone", enabled=True, config={}, line="+33261910001")
    report = await take(database, clock, d1.database(tmp_path / "export", d1.whole()))
    table = report.tables["channel_configurations"]
    assert (table.kept, [note.split(":")[0] for note in table.notes]) == (
        1,
        ["clientPhoneNumber is another tenant's line"],
    )
    found = await storage.operator.tenant_by_line("+33261910001")
    assert found is not None
    assert found.id == owner.id


def _with_passwords() -> d1.Tables:
    tables = d1.whole()
    smtp = {"smtp": {"host": "smtp.example.fr", "user": "paul", "password": "hunter2-in-plain"}}
    tables["channel_configurations"] += [
        {
            **d1.PHONE,
            "id": "chan_2",
            "channel_type": "email",
            "config_public": json.dumps(smtp),
            "config_encrypted": '{"password": "hunter2-in-plain"}',
        },
    ]
    return tables


async def test_passwords_in_the_clear_are_sealed(
    database: Database, storage: Storage, clock: FakeClock, tmp_path: Path
) -> None:
    path = d1.database(tmp_path / "export", _with_passwords())
    report = await take(database, clock, path)
    assert report.refusals == 0
    notes = " ".join(report.tables["channel_configurations"].notes)
    assert "config_encrypted is left out" in notes
    assert "sealed now" in notes
    assert "hunter2" not in repr(await stored(database, channel_configurations.name))
    keyed = Storage(database, clock, RING)
    async with keyed.tenant(GARAGE).read() as rows:
        assert await rows.channels.secrets("email") == {"smtp.password": "hunter2-in-plain"}
        assert (await rows.channels.get("email")).config["smtp"]["host"] == "smtp.example.fr"


async def test_without_a_key_passwords_are_refused_with_the_cure(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    path = d1.database(tmp_path / "export", _with_passwords())
    report = await take(database, clock, path, keyring=None)
    (reason,) = report.tables["channel_configurations"].refused
    assert "ENCRYPTION_KEYS" in reason
    assert "hunter2" not in repr(await everything(database))
    again = await take(database, clock, path)
    assert (again.refusals, again.tables["channel_configurations"].kept) == (0, 1)


async def test_what_is_no_number_is_kept_as_a_remark(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    tables = d1.whole()
    tables["rendez_vous"][0] |= {"customer_phone": "voir avec Luc", "internal_notes": "VIP"}
    tables["tickets"][0] |= {"customer_name": "Jean\x00Paul"}
    tables["call_logs"][0] |= {"from_number": "anonymous", "call_status": "in-progress"}
    report = await take(database, clock, d1.database(tmp_path / "export", tables))
    assert report.refusals == 0
    (appointment,) = await stored(database, "rendez_vous")
    assert appointment["customer_phone"] is None
    assert appointment["internal_notes"] == "VIP\nvoir avec Luc"
    (ticket,) = await stored(database, "tickets")
    assert ticket["customer_name"] == "Jean\N{REPLACEMENT CHARACTER}Paul"
    (call,) = await stored(database, "call_logs")
    assert (call["from_number"], call["call_status"]) == ("", "failed")
    assert list(report.tables["call_logs"].notes) == [
        "call_status was unfinished; it is failed now"
    ]


async def test_missing_tables_and_unknown_columns_are_said(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    path = d1.database(
        tmp_path / "export",
        d1.whole(),
        "ALTER TABLE tickets ADD COLUMN mood TEXT",
        "DROP TABLE qualified_prospects",
        "CREATE TABLE secret_plans (id TEXT)",
    )
    report = await take(database, clock, path)
    assert report.tables["tickets"].unknown_columns == ["mood"]
    assert report.tables["qualified_prospects"].missing
    assert "qualified_prospects: the export has no such table" in list(report.lines())


async def test_a_row_of_the_same_id_elsewhere_is_not_touched(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    await take(database, clock, d1.database(tmp_path / "first", d1.whole()))
    tables = d1.whole()
    tables["tickets"][0]["tenant_id"] = AGENCY
    report = await take(database, clock, d1.database(tmp_path / "second", tables))
    assert report.tables["tickets"].refused == {
        "this id belongs to another tenant's row here": ["ticket_1"]
    }


# --------------------------------------------------------------------------- hostile exports


@pytest.mark.parametrize(
    "statement",
    [
        "ATTACH DATABASE '/tmp/stolen.db' AS other;",
        "INSERT INTO tickets SELECT * FROM tickets;",
        "INSERT INTO tickets (id, tenant_id, customer_name, subject) "
        "VALUES ('x', 'y', (SELECT name FROM sqlite_master), 's');",
        "CREATE TABLE copied AS SELECT * FROM tickets;",
        "INSERT INTO tickets (id, subject) VALUES ('x', load_extension('evil.so'));",
        "INSERT INTO tickets (id, subject) VALUES ('x', readfile('/etc/passwd'));",
        "INSERT INTO tickets (id, subject) VALUES ('x', zeroblob(2000000000));",
        "INSERT INTO tickets VALUES ('unfinished",
        "PRAGMA temp_store_directory = '/tmp';",
        "CREATE VIRTUAL TABLE evil USING fts5(x);",
    ],
)
def test_a_dump_does_nothing_but_fill_tables(tmp_path: Path, statement: str) -> None:
    path = d1.dump(tmp_path / "export.sql", d1.whole(), statement)
    try:
        export = open_export(path)
    except OperatorError as error:
        assert "line" in str(error)  # noqa: PT017
        return
    # Not run at all: what it would have made isn't there.
    assert not export.has("evil")
    assert not export.has("copied")
    assert not Path("/tmp/stolen.db").exists()
    assert len(next(export.batches("tickets"))) == 1
    export.close()


def test_what_is_no_export_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    for content, said in (
        (b"", "neither"),
        (b"hello; world;", "neither"),
        (b"\xff\xfe\x00", "neither"),
        (b"SQLite format 3\0" + b"\xff" * 5000, "can't be read|damaged|not a database"),
    ):
        path.write_bytes(content)
        with pytest.raises(OperatorError, match=said):
            open_export(path).columns("tickets")
    with pytest.raises(OperatorError, match="can't be read"):
        open_export(tmp_path / "absent")
    monkeypatch.setattr(export_module, "MAX_SQL_BYTES", 3)
    path.write_bytes(b"SELECT 1;")
    with pytest.raises(OperatorError, match="larger than"):
        open_export(path)


def test_a_file_with_changes_beside_it_is_not_read_half(tmp_path: Path) -> None:
    path = d1.database(tmp_path / "export.db", d1.whole())
    holding = sqlite3.connect(path)
    holding.execute("PRAGMA journal_mode = WAL")
    holding.execute("DELETE FROM tickets")
    holding.commit()
    with pytest.raises(OperatorError, match="holds changes that would be missed"):
        open_export(path)
    holding.close()


def test_statements_end_where_sql_ends_them() -> None:
    text = "-- a; b\nA 'x;''y';\n/* ; */ B \";\";CREATE TRIGGER t BEGIN x; y; END;\nC"
    assert list(statements(text)) == [
        (2, "A 'x;''y';"),
        (3, 'B ";";'),
        (3, "CREATE TRIGGER t BEGIN x; y; END;"),
        (4, "C"),
    ]


@pytest.mark.parametrize("nothing", ["/*", "--", "'", '"', "[", ";", "CREATE TRIGGER x ;", "((("])
def test_a_dump_of_nothing_is_read_in_no_time(tmp_path: Path, nothing: str) -> None:
    path = tmp_path / "export.sql"
    path.write_text(nothing * (300_000 // len(nothing)))
    started = wall.monotonic()
    with pytest.raises(OperatorError):
        open_export(path)
    assert wall.monotonic() - started < 5


def test_defaults_that_grow_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "MAX_MEMORY_BYTES", 8 * 1024**2)
    path = tmp_path / "export.sql"
    rows = "INSERT INTO tickets (id) VALUES ('x');" * 100
    path.write_text(f"CREATE TABLE tickets (id TEXT, x DEFAULT (randomblob(1000000)));{rows}")
    with pytest.raises(OperatorError, match="full"):
        open_export(path)


# ------------------------------------------------------------------- size and interruption


def _many(count: int) -> d1.Tables:
    tables = d1.whole()
    tables["call_logs"] = [
        {**d1.CALL, "id": f"call_{n}", "call_sid": f"CA{n:032x}"} for n in range(count)
    ]
    tables["rendez_vous"] = [
        {**d1.APPOINTMENT, "id": f"rdv_{n}", "rdv_date": f"2027-{1 + n % 12:02}-{1 + n % 28:02}"}
        for n in range(count // 4)
    ]
    return tables


async def test_an_interrupted_import_is_run_again(
    database: Database, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = d1.database(tmp_path / "export", _many(1200))
    whole, batches = Takeover._store, 0

    async def broken(self: Takeover, *arguments: Any) -> None:
        nonlocal batches
        batches += 1
        if batches == 3:
            raise OperatorError("the power failed")
        await whole(self, *arguments)

    monkeypatch.setattr(Takeover, "_store", broken)
    with pytest.raises(OperatorError, match="power"):
        await take(database, clock, path)
    monkeypatch.undo()
    report = await take(database, clock, path)
    calls = report.tables["call_logs"]
    assert (calls.kept, calls.already_there, calls.refusals) == (700, 500, 0)
    assert len(await stored(database, "call_logs")) == 1200


@pytest.mark.long
async def test_a_hundred_thousand_rows(
    database: Database, clock: FakeClock, tmp_path: Path
) -> None:
    path = d1.dump(tmp_path / "export.sql", _many(80_000))
    started = wall.monotonic()
    report = await take(database, clock, path)
    assert report.tables["call_logs"].kept == 80_000
    assert wall.monotonic() - started < 180
