"""What is kept for how long, on both databases, with a clock that is moved."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.jobs import Job
from domain.tenant import Tenant
from storage import Database, Storage
from storage.columns import CleanText, Json
from storage.purge import LONGEST_STEP, Purge, Purged, next_quiet_hour
from storage.retention import EXPIRING, KEPT, KINDS, RULES, Periods
from storage.schema import (
    audit_log,
    call_events,
    call_logs,
    channel_messages_log,
    contact_addresses,
    contacts,
    dead_jobs,
    function_calls,
    inbound_texts,
    live_events,
    metadata,
    notifications,
    qualified_prospects,
    rendez_vous,
    rendez_vous_cells,
    retention_marks,
    revoked_tokens,
    stream_tokens,
    tickets,
)
from tests.fakes.clock import START, FakeClock

DAY = timedelta(days=1)
#: All different, so that no rule can live by another's period.
PERIODS = Periods(
    transcripts=20,
    calls=40,
    messages=60,
    prospects=80,
    tickets=100,
    appointments=120,
    dead_jobs=10,
    live_events=1,
    stream_tokens=2,
    contacts=140,
    notifications=160,
    audit=180,
    revoked_tokens=3,
    inbound_texts=5,
)
SECRET = "Confidentiel"
#: What is left of a call when its transcript is gone. Whoever adds a column decides.
FACTS = frozenset(
    """
    id tenant_id call_sid assistant_id from_number to_number forwarded_from direction call_status
    actions_performed stage outcome found_by agent transfer_number transfer_state usage node_id
    vapi_call_id contact_id
    """.split()
)


# ------------------------------------------------------------------------------- the rules


def test_every_table_is_decided_upon() -> None:
    """A new table needs a rule, a reason to be kept, an owner who removes it, or a parent with
    one of these."""
    deleted = {rule.table.name for rule in RULES if not rule.blank}
    named = deleted | KEPT.keys() | EXPIRING.keys()
    undecided = []
    for name, table in metadata.tables.items():
        parents = {
            key.column.table.name
            for key in table.foreign_keys
            if key.ondelete == "CASCADE" and key.column.table.name != "tenants"
        }
        if name not in named and not parents & (named - {"tenants"}):
            undecided.append(name)
    assert undecided == []


def test_no_table_is_decided_upon_twice_and_none_is_gone() -> None:
    deleted = {rule.table.name for rule in RULES if not rule.blank}
    assert not deleted & KEPT.keys()
    assert not deleted & EXPIRING.keys()
    assert not KEPT.keys() & EXPIRING.keys()
    assert metadata.tables.keys() >= KEPT.keys() | EXPIRING.keys()


def test_every_column_of_a_call_is_decided_upon() -> None:
    (blanked,) = [rule.blank for rule in RULES if rule.blank]
    words = {c.name for c in call_logs.c if isinstance(c.type, CleanText | Json | sa.Text)}
    assert words == FACTS | blanked.keys()
    assert not FACTS & blanked.keys()


def test_a_transcript_never_outlives_its_call() -> None:
    assert Periods(transcripts=500, calls=30).of("transcripts") == 30 * DAY
    assert Periods(transcripts=5, calls=30).of("transcripts") == 5 * DAY


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (datetime(2026, 11, 23, 2, 16, tzinfo=UTC), datetime(2026, 11, 23, 2, 17, tzinfo=UTC)),
        (datetime(2026, 11, 23, 2, 17, tzinfo=UTC), datetime(2026, 11, 24, 2, 17, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), datetime(2027, 1, 1, 2, 17, tzinfo=UTC)),
    ],
)
def test_the_quiet_hour(now: datetime, then: datetime) -> None:
    assert next_quiet_hour(now) == then


# ------------------------------------------------------------------------------ the rows


#: A database, or a transaction of it that goes on.
Where = Database | AsyncConnection


async def insert(where: Where, table: sa.Table, **values: Any) -> None:
    statement = sa.insert(table).values(**values)
    if isinstance(where, AsyncConnection):
        await where.execute(statement)
        return
    async with where.write() as connection:
        await connection.execute(statement)


async def store_call(
    where: Where, tenant: Tenant, name: str, at: datetime, *, outcome: str | None = "message"
) -> None:
    await insert(
        where,
        call_logs,
        id=name,
        tenant_id=tenant.id,
        call_sid=f"CA{name}",
        from_number="+33639981234",
        from_raw=SECRET,
        forwarded_from_raw=SECRET,
        to_number="+33900000001",
        stage="agent",
        outcome=outcome,
        transcript=SECRET,
        summary=SECRET,
        sentiment="neutral",
        recording_url=SECRET,
        opening={"greeting": SECRET},
        detail=SECRET,
        usage={"input": 7},
        rdv_created=True,
        started_at=at,
        ended_at=at,
        created_at=at,
    )
    await insert(where, call_events, call_id=name, at=at, kind="turn", data={"text": SECRET})
    await insert(where, call_events, call_id=name, at=at, kind="usage", data={"input": 7})
    await insert(
        where,
        function_calls,
        id=name,
        tenant_id=tenant.id,
        call_id=name,
        function_call_id=name,
        name="take_message",
        arguments={"text": SECRET},
        arguments_hash="x",
        result={"text": SECRET},
        started_at=at,
        finished_at=at,
    )


async def store_prospect(
    where: Where, tenant: Tenant, name: str, at: datetime, **more: Any
) -> None:
    values = {"last_contact_at": at, "created_at": at, "updated_at": at, **more}
    await insert(where, qualified_prospects, id=name, tenant_id=tenant.id, name=SECRET, **values)


async def store_ticket(where: Where, tenant: Tenant, name: str, at: datetime, **more: Any) -> None:
    values = {"status": "closed", "closed_at": at, "created_at": START, "updated_at": at, **more}
    await insert(
        where, tickets, id=name, tenant_id=tenant.id, customer_name=SECRET, subject="x", **values
    )


async def store_appointment(
    where: Where, tenant: Tenant, name: str, ends_at: datetime, **more: Any
) -> None:
    values = {"status": "completed", "created_at": START, "updated_at": START, **more}
    await insert(
        where,
        rendez_vous,
        id=name,
        tenant_id=tenant.id,
        customer_name=SECRET,
        rdv_date=date(2026, 11, 23),
        rdv_time=time(9),
        starts_at=ends_at - timedelta(hours=1),
        ends_at=ends_at,
        timezone="Europe/Paris",
        **values,
    )
    cell = int(ends_at.timestamp()) // 300
    await insert(
        where,
        rendez_vous_cells,
        tenant_id=tenant.id,
        resource="",
        cell=cell,
        rendez_vous_id=name,
    )


async def store_message(
    where: Where, tenant: Tenant, name: str, at: datetime, status: str = "sent"
) -> None:
    await insert(
        where,
        channel_messages_log,
        id=name,
        tenant_id=tenant.id,
        channel_type="sms",
        to_address="+33639981234",
        content=SECRET,
        status=status,
        created_at=at,
    )


async def store_contact(where: Where, tenant: Tenant, name: str, at: datetime) -> None:
    theirs = {"tenant_id": tenant.id, "created_at": at}
    seen = {**theirs, "last_seen_at": at}
    await insert(where, contacts, id=name, name=SECRET, updated_at=at, **seen)
    address = {"kind": "email", "value": f"{SECRET} {name}", "proof": "said"}
    await insert(where, contact_addresses, contact_id=name, **address, **seen)
    told = {"kind": "x", "title": SECRET, "message": SECRET}
    await insert(where, notifications, id=name, **told, **theirs)


async def store_access(where: Where, tenant: Tenant, name: str, at: datetime) -> None:
    theirs = {"tenant_id": tenant.id}
    await insert(where, audit_log, id=name, at=at, actor_kind="user", action="x", **theirs)
    ended = {"created_at": at, "expires_at": at}
    await insert(where, revoked_tokens, token_hash=name, **ended, **theirs)


async def store_inbound(where: Where, tenant: Tenant, name: str, at: datetime) -> None:
    await insert(
        where,
        inbound_texts,
        id=name,
        tenant_id=tenant.id,
        channel="sms",
        vendor_key=f"sms:{name}",
        payload={"text": SECRET},
        sender="+33639981234",
        recipient="+33900000001",
        received_at=at,
    )


async def furnish(database: Database, tenant: Tenant, name: str, at: datetime) -> None:
    """One row of every kind whose time begins at `at`."""
    async with database.write() as connection:
        await store_call(connection, tenant, name, at)
        await insert(
            connection,
            stream_tokens,
            token_hash=name,
            call_sid=f"CA{name}",
            created_at=at,
            expires_at=at,
        )
        await store_message(connection, tenant, name, at)
        await store_prospect(connection, tenant, name, at)
        await store_ticket(connection, tenant, name, at)
        await store_appointment(connection, tenant, name, at)
        await store_contact(connection, tenant, name, at)
        await store_access(connection, tenant, name, at)
        await store_inbound(connection, tenant, name, at)
        await insert(
            connection,
            dead_jobs,
            id=name,
            tenant_id=tenant.id,
            kind="x",
            attempts=1,
            error="x",
            died_at=at,
            **({"created_at": at} if "created_at" in dead_jobs.c else {}),
        )
        await insert(
            connection, live_events, tenant_id=tenant.id, at=at, kind="x", subject=name, data={}
        )


#: What tells whose row it is.
NAMES = {
    "transcripts": call_events.c.call_id,
    "calls": call_logs.c.id,
    "messages": channel_messages_log.c.id,
    "prospects": qualified_prospects.c.id,
    "tickets": tickets.c.id,
    "appointments": rendez_vous_cells.c.rendez_vous_id,
    "dead_jobs": dead_jobs.c.id,
    "live_events": live_events.c.subject,
    "stream_tokens": stream_tokens.c.token_hash,
    "contacts": contact_addresses.c.contact_id,
    "notifications": notifications.c.id,
    "audit": audit_log.c.id,
    "revoked_tokens": revoked_tokens.c.token_hash,
    "inbound_texts": inbound_texts.c.id,
}


async def names(database: Database, column: sa.ColumnElement[Any]) -> set[Any]:
    async with database.read() as connection:
        return set((await connection.execute(sa.select(column))).scalars())


async def purge(
    database: Database, now: datetime, periods: Periods = PERIODS, **how: Any
) -> Purged:
    """As an operator would who has looked at the clock."""
    return await Purge(database, FakeClock(now), periods).run(**{"catch_up": True, **how})


async def test_everything_goes_at_its_end(database: Database, garage: Tenant) -> None:
    await furnish(database, garage, "old", START)
    due = await Purge(database, FakeClock(START + 1000 * DAY), PERIODS).due(catch_up=True)
    assert set(due.rows) == set(KINDS)
    purged = await purge(database, START + 1000 * DAY)
    # The transcript's three rules, then the call itself.
    assert purged.rows["transcripts"] == 2 + 1 + 1
    # What is counted beforehand includes a token that then went with its call.
    assert {**purged.rows, "stream_tokens": 1} == due.rows
    for column in (*NAMES.values(), function_calls.c.id, rendez_vous.c.id):
        assert await names(database, column) == set()
    assert (await purge(database, START + 1000 * DAY)).rows == {}


async def test_a_call_without_its_transcript(
    database: Database, storage: Storage, garage: Tenant
) -> None:
    await store_call(database, garage, "old", START)
    assert (await purge(database, START + 21 * DAY)).rows == {"transcripts": 4}
    assert (await purge(database, START + 21 * DAY)).rows == {}
    async with storage.tenant(garage.id).read() as rows:
        call = await rows.calls.get("old")
        assert await rows.calls.timeline("old") == []
        assert await rows.functions.of_call("old") == []
    assert call is not None
    assert (call.outcome, call.rdv_created, call.usage) == ("message", True, {"input": 7})
    async with database.read() as connection:
        row = (await connection.execute(sa.select(call_logs))).one()
    assert SECRET not in repr(row)


async def test_what_isnt_over_stays_whatever_its_age(database: Database, garage: Tenant) -> None:
    late = START + 5000 * DAY
    await store_call(database, garage, "running", START, outcome=None)
    await store_message(database, garage, "pending", START, "pending")
    await store_appointment(database, garage, "coming", late + DAY, status="confirmed")
    await store_ticket(database, garage, "open", START, status="open", closed_at=None)
    for status in ("in_progress", "waiting_customer"):
        await store_ticket(database, garage, status, START, status=status)
    await store_prospect(database, garage, "to call", START, next_follow_up_at=late + DAY)
    await store_prospect(database, garage, "called", START, last_contact_at=late - DAY)
    assert (await purge(database, late)).rows == {}
    assert await names(database, call_events.c.call_id) == {"running"}


async def test_old_dates_that_nobody_filled_in(database: Database, garage: Tenant) -> None:
    """A ticket closed without a date, a prospect never contacted, a missed follow-up."""
    await store_ticket(database, garage, "a", START, status="resolved", closed_at=None)
    await store_ticket(database, garage, "b", START + 50 * DAY, closed_at=None, resolved_at=START)
    await store_prospect(database, garage, "a", START, last_contact_at=None)
    await store_prospect(database, garage, "b", START, next_follow_up_at=START + DAY)
    purged = await purge(database, START + 101 * DAY)
    assert purged.rows == {"tickets": 2, "prospects": 2}


async def test_calls_that_were_nobodys_go_as_well(database: Database, storage: Storage) -> None:
    async with database.write() as connection:
        await connection.execute(
            sa.insert(call_logs).values(
                id="nobody",
                call_sid="CAnobody",
                from_number="+33639981234",
                to_number="+33900000001",
                stage="asking",
                outcome="abandoned",
                started_at=START,
                created_at=START,
            )
        )
    await purge(database, START + 41 * DAY)
    assert await names(database, call_logs.c.id) == set()


async def test_what_was_deleted_isnt_left_in_the_file(
    database: Database, garage: Tenant, url: str
) -> None:
    if database.dialect != "sqlite":
        pytest.skip("PostgreSQL's rows are overwritten by its vacuum")
    word = "Inoubliable-42"
    await store_call(database, garage, "old", START)
    async with database.write() as connection:
        await connection.execute(sa.update(call_logs).values(transcript=word * 5000))
        await connection.execute(sa.update(call_events).values(data={"text": word * 5000}))
        await connection.execute(sa.update(function_calls).values(arguments={"text": word}))

    def in_file() -> bool:
        path = Path(url.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return word.encode() in path.read_bytes()

    assert in_file()
    await purge(database, START + 21 * DAY)
    assert not in_file()


# ----------------------------------------------------------------------- in small pieces


async def store_events(
    database: Database, tenant: Tenant, calls: int, each: int, first: int = 0
) -> None:
    async with database.write() as connection:
        await connection.execute(
            sa.insert(call_logs),
            [
                {
                    "id": f"c{number}",
                    "tenant_id": tenant.id,
                    "call_sid": f"CA{number}",
                    "from_number": "",
                    "to_number": "",
                    "stage": "agent",
                    "outcome": "message",
                    "transcript": SECRET,
                    "started_at": START,
                    "created_at": START,
                }
                for number in range(first, first + calls)
            ],
        )
        await connection.execute(
            sa.insert(call_events),
            [
                {"call_id": f"c{number}", "at": START, "kind": "turn", "data": {"text": SECRET}}
                for number in range(first, first + calls)
                for _ in range(each)
            ],
        )


async def test_it_stops_when_its_time_is_over_and_goes_on_later(
    database: Database, garage: Tenant
) -> None:
    class Ticking(FakeClock):
        """Every look at it takes a tenth of a second."""

        def monotonic(self) -> float:
            self.advance(0.1)
            return super().monotonic()

    await store_events(database, garage, calls=20, each=20)
    later = START + 41 * DAY
    first = await Purge(database, Ticking(later), PERIODS).run(seconds=1.0, catch_up=True)
    assert not first.finished
    assert 0 < first.rows["transcripts"] < 400
    assert await names(database, retention_marks.c.kind) == set()
    rest = await purge(database, later)
    assert first.rows["transcripts"] + rest.rows["transcripts"] == 400 + 20
    assert rest.rows["calls"] == 20
    assert await names(database, retention_marks.c.kind) == set(KINDS)


async def test_the_job_comes_again(database: Database, garage: Tenant) -> None:
    job = Job("1", "retention.purge", {}, 1)
    assert (await Purge(database, FakeClock(START), PERIODS).job(job)).at == datetime(
        2026, 11, 24, 2, 17, tzinfo=UTC
    )


async def test_two_at_once_share_the_work(database: Database, garage: Tenant) -> None:
    await store_events(database, garage, calls=30, each=30)
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(purge(database, START + 41 * DAY)) for _ in range(2)]
    rows = [task.result().rows for task in both]
    assert sum(each.get("calls", 0) for each in rows) == 30
    assert sum(each.get("transcripts", 0) for each in rows) == 30 * 30 + 30


async def test_a_ticket_reopened_meanwhile_stays(database: Database, garage: Tenant) -> None:
    """Between the look and the deletion."""
    await store_ticket(database, garage, "a", START)
    rule = next(rule for rule in RULES if rule.kind == "tickets")
    statement = sa.delete(tickets).where(
        rule.key.in_(["a"]), rule.still(START + DAY, START + 200 * DAY)
    )
    async with database.write() as connection:
        await connection.execute(sa.update(tickets).values(status="in_progress"))
        assert (await connection.execute(statement)).rowcount == 0
        await connection.execute(sa.update(tickets).values(status="closed"))
        assert (await connection.execute(statement)).rowcount == 1


# --------------------------------------------------------------------------- wrong clocks


async def nightly(database: Database, now: datetime) -> Purged:
    return await Purge(database, FakeClock(now), PERIODS).run()


async def test_a_clock_that_jumps_ahead_empties_nothing(database: Database, garage: Tenant) -> None:
    await furnish(database, garage, "old", START - 15 * DAY)
    await furnish(database, garage, "new", START)
    assert (await nightly(database, START)).held_back == {}
    ten_years = START + 3650 * DAY
    # What arrives meanwhile bears the wrong date, and proves nothing.
    await store_message(database, garage, "wrong", ten_years)
    purged = await nightly(database, ten_years)
    assert set(purged.held_back) == set(KINDS)
    assert purged.held_back["calls"] == 3650 * DAY - LONGEST_STEP
    for kind in ("calls", "messages", "prospects", "tickets", "appointments"):
        assert await names(database, NAMES[kind]) >= {"old", "new"}, kind
    # Put right again, it goes on as if nothing had been.
    assert (await nightly(database, START + DAY)).held_back == {}
    assert (await nightly(database, START + 2 * DAY)).held_back == {}


async def test_the_first_purge_believes_the_newest_row(
    database: Database, storage: Storage, garage: Tenant
) -> None:
    """A database from before there was a purge, opened under a clock that is wrong."""
    await furnish(database, garage, "new", START)
    purged = await nightly(database, START + 3650 * DAY)
    assert purged.held_back["calls"] == 3650 * DAY - LONGEST_STEP
    assert await names(database, call_logs.c.id) == {"new"}


async def test_after_a_pause_it_catches_up_week_by_week(database: Database, garage: Tenant) -> None:
    await furnish(database, garage, "old", START)
    await nightly(database, START)
    now = START + 60 * DAY
    nights = 0
    purged = Purged()
    while await names(database, call_logs.c.id):
        purged = await nightly(database, now)
        now += DAY
        nights += 1
        assert nights < 20
    assert nights == 6  # 6 × 7 days is more than 40 for the first time
    assert purged.held_back
    for _ in range(4):
        purged = await nightly(database, now)
        now += DAY
    assert purged.held_back == {}


async def test_every_night(database: Database, garage: Tenant, dentist: Tenant) -> None:
    """Each kind stays until its last day and goes in the night after it, another's younger rows in
    their own, and nothing is ever held back."""
    periods = Periods(
        live_events=1,
        stream_tokens=2,
        transcripts=3,
        calls=4,
        messages=5,
        prospects=6,
        tickets=7,
        appointments=8,
        dead_jobs=9,
        contacts=10,
        notifications=11,
        audit=12,
        inbound_texts=13,
        revoked_tokens=14,
    )
    last = {kind: periods.of(kind).days for kind in KINDS}
    begun = {"old": 0, "young": 2}
    await furnish(database, garage, "old", START)
    await furnish(database, dentist, "young", START + begun["young"] * DAY)
    for night in range(max(last.values()) + 3):
        now = START + night * DAY + timedelta(minutes=1)
        purged = await Purge(database, FakeClock(now), periods).run()
        assert (purged.held_back, purged.finished) == ({}, True)
        ends = {kind: {begin + last[kind] for begin in begun.values()} for kind in KINDS}
        assert purged.rows.keys() == {kind for kind in KINDS if night in ends[kind]}
        for kind in KINDS:
            there = {name for name, begin in begun.items() if night < begin + last[kind]}
            assert await names(database, NAMES[kind]) == there, (kind, night)
    assert await names(database, call_logs.c.id) == set()


async def test_an_empty_database_has_nothing_to_hold_back(database: Database) -> None:
    assert (await nightly(database, START)).held_back == {}
    assert await names(database, retention_marks.c.purged_until) == {START}


# ------------------------------------------------------------------------- beside the work


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_hundred_thousand_rows_keep_no_writer_waiting(
    database: Database, url: str, garage: Tenant
) -> None:
    """Measured on two cores: 76 ms at most, of which 56 without any purge."""

    class Running(FakeClock):
        """A calendar far ahead, a stopwatch that really runs."""

        def monotonic(self) -> float:
            return asyncio.get_running_loop().time()

    for part in range(20):
        await store_events(database, garage, calls=50, each=100, first=50 * part)
    other = await Database.open(url)  # as another process has it
    loop = asyncio.get_running_loop()
    waits: list[float] = []

    async def write() -> None:
        while True:
            begun = loop.time()
            await store_message(other, garage, f"m{len(waits)}", START + 400 * DAY)
            waits.append(loop.time() - begun)
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(write())
        purged = await Purge(database, Running(START + 400 * DAY), PERIODS).run(catch_up=True)
        writing.cancel()
    await other.close()
    assert purged.rows == {"transcripts": 100_000 + 1_000, "calls": 1_000}
    assert len(waits) > 50
    assert sorted(waits)[-2] < 0.2, waits
