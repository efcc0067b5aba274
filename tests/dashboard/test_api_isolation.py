"""A second tenant sees and changes nothing, on any route there is."""

from typing import Any

import sqlalchemy as sa

from dashboard.api.router import endpoints
from domain.outcome import Outcome
from domain.tenant import Tenant
from storage import Database, Storage
from storage.calls import NewCall
from storage.functions import FunctionRun
from storage.journal import JournalEntry
from storage.prospects import NewProspect
from storage.schema import metadata
from storage.tickets import NewTicket
from tests.dashboard.api_client import BOTH_DATABASES, SETTINGS, Client
from tests.dashboard.test_api_calls import book
from tests.fakes.clock import FakeClock

pytestmark = BOTH_DATABASES

#: Stands in everything that the garage has.
MARK = "Cigogne"


async def furnish(storage: Storage, owner: Client, garage: Tenant, clock: FakeClock) -> list[str]:
    """Give the garage one of each thing; their ids."""
    new = NewCall(
        call_sid="CA" + "1" * 32,
        from_number="+33639980001",
        from_raw="+33639980001",
        to_number="+33939035760",
        stage="opened",
        tenant_id=garage.id,
        found_by="to",
    )
    call = (await storage.operator.open_call(new, {"mark": MARK})).call
    await storage.journal.append(
        [JournalEntry(call.id, clock.now(), "turn", {"who": "caller", "text": MARK})]
    )
    appointment = await book(storage, garage, "2026-11-24T13:30:00+00:00", notes=MARK)
    async with storage.tenant(garage.id).write() as rows:
        prospect = await rows.prospects.add(NewProspect(name=MARK, call_id=call.id))
        ticket = await rows.tickets.add(NewTicket(customer_name=MARK, subject=MARK))
        await rows.functions.record(
            FunctionRun(
                call_id=call.id,
                function_call_id="fc_1",
                name="qualify_prospect",
                arguments={"name": MARK},
                arguments_hash="h",
                result={"prospect_id": prospect},
                effect=Outcome.QUALIFIED.value,
                started_at=clock.now(),
                finished_at=clock.now(),
            )
        )
    await storage.journal.finish(call.id, Outcome.QUALIFIED, clock.now(), detail=MARK)
    config = {"clientPhoneNumber": "02 61 91 00 01", "sara": {"assistantName": MARK}}
    assert (await owner.put_phone(config=config, enabled=True)).status_code == 200
    hours = {"hours": [{"day_of_week": 7, "open_time": "05:07", "close_time": "05:09"}]}
    answer = await owner.send("POST", "/api/v1/business-hours", json=hours)
    assert answer.status_code == 200
    return [garage.id, call.id, appointment, prospect, ticket]


async def everything_of(database: Database, tenant_id: str) -> dict[str, list[Any]]:
    """Each row of the tenant, in each table that has any."""
    rows: dict[str, list[Any]] = {}
    async with database.read() as connection:
        for table in metadata.sorted_tables:
            if "tenant_id" in table.c:
                statement = sa.select(table).where(table.c.tenant_id == tenant_id)
                found = (await connection.execute(statement)).all()
                rows[table.name] = sorted(map(repr, found))
    return rows


BODIES: list[dict[str, Any]] = [
    {
        "config": {"clientPhoneNumber": "02 61 91 00 01", "sara": {"assistantName": "Autre"}},
        "enabled": False,
    },
    {"config": {"transferNumber": "02 61 91 00 01"}},
    {"config": {"note": "x"}, "templates": {}, "enabled": False},
    {"hours": [{"day_of_week": 7, "is_open": False}]},
    {"label": "x"},
    {"message": {"toolCallList": [{"id": "a", "function": {"name": "book_appointment"}}]}},
]


async def test_a_stranger_sees_and_changes_nothing(
    storage: Storage,
    database: Database,
    owner: Client,
    stranger: Client,
    garage: Tenant,
    clock: FakeClock,
) -> None:
    ids = await furnish(storage, owner, garage, clock)
    before = await everything_of(database, garage.id)
    filled = [name for name, rows in before.items() if rows]
    assert len(filled) >= 9, filled
    asked = 0
    for route in endpoints(storage, SETTINGS):
        paths = {
            "/api" + route.path.replace("{id}", each).replace("{type}", "phone") for each in ids
        }
        for path in sorted(paths):
            for method in sorted(route.methods or ()):
                for body in BODIES if method in ("POST", "PUT") else [None]:
                    claims = {**(body or {}), "tenantId": garage.id, "tenant_id": garage.id}
                    answer = await stranger.send(
                        method,
                        path,
                        params={"tenantId": garage.id, "tenant_id": garage.id},
                        json=claims if body else None,
                        headers={"x-tenant-id": garage.id, "x-voixia-tenant": garage.id},
                    )
                    asked += 1
                    assert answer.status_code < 500
                    assert MARK not in answer.text, (method, path)
                    assert "05:07" not in answer.text
                    for own in ids:
                        assert own not in answer.text.replace(path, ""), (method, path)
    assert asked > 60
    assert await everything_of(database, garage.id) == before


async def test_the_owner_sees_all_of_it(
    storage: Storage, owner: Client, garage: Tenant, clock: FakeClock
) -> None:
    """That the mark would have been seen."""
    ids = await furnish(storage, owner, garage, clock)
    seen = 0
    for route in endpoints(storage, SETTINGS):
        if route.path.startswith("/v1") and "GET" in (route.methods or ()):
            path = "/api" + route.path.replace("{id}", ids[1]).replace("{type}", "phone")
            answer = await owner.send("GET", path)
            assert answer.status_code == 200
            seen += MARK in answer.text or "05:07" in answer.text
    assert seen == 8  # all but the hub, which tells of types and flags only
