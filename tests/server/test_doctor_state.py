"""What the doctor finds in the database, on both."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from domain.jobs import Job
from server.clock import SystemClock
from server.doctor_findings import Finding
from server.doctor_state import check_servers, check_state
from storage import Database, Storage
from storage.database import schema_state
from storage.jobs.dead_letters import bury
from storage.knowledge.changes import add_document
from storage.knowledge.documents import NewDocument
from storage.nodes import Node, NodeRow
from tests.databases import migrated_file
from tests.fakes.clock import START

CLOCK = SystemClock()


class World:
    """A deployment's database, as the doctor is given it."""

    def __init__(self, url: str, database: Database) -> None:
        self.url = url
        self.database = database
        self.storage = Storage(database, CLOCK)

    async def said(self, *words: str) -> Finding:
        """The one finding with these words."""
        found = [
            finding
            async for finding in check_state(
                await schema_state(self.url), self.database, self.storage, CLOCK
            )
        ]
        matching = [each for each in found if all(word in each.what for word in words)]
        assert len(matching) == 1, (words, found)
        assert all(each.cure for each in found if each.level != "ok")
        return matching[0]


@pytest.fixture(params=["sqlite", "postgresql"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    url = migrated_file(tmp_path / "c.sqlite3")
    if request.param == "postgresql":
        url = request.getfixturevalue("copied_postgres_url")
    database = await Database.open(url)
    yield World(url, database)
    await database.close()


async def test_nothing_has_happened_yet(world: World) -> None:
    for words in ("the schema is at revision", "servers: none is running", "jobs: 0 waiting"):
        assert (await world.said(words)).level == "ok"


async def test_a_server_runs_and_nobody_works(world: World) -> None:
    late = CLOCK.now() - timedelta(minutes=2)
    await world.storage.jobs.put("test.job", {}, at=late)
    assert (await world.said("jobs: 1 waiting")).level == "ok"
    await Node(world.database, CLOCK, "server", "0.2.0").start()
    assert (await world.said("servers: 1 running", "0.2.0")).level == "ok"
    failed = await world.said("no worker takes it")
    assert (failed.level, "coccinelle work" in failed.cure) == ("fail", True)


async def test_a_dead_job_is_told_by_its_kind(world: World) -> None:
    async with world.database.write() as connection:
        await bury(connection, Job("1", "knowledge.index", {}, 8), 8, "ProviderError", CLOCK.now())
    found = await world.said("1 jobs are dead", "knowledge.index")
    assert (found.level, "jobs replay" in found.cure) == ("warn", True)


async def test_a_document_that_cant_be_read(world: World) -> None:
    tenant = await world.storage.operator.create_tenant("Garage")
    handle = world.storage.tenant(tenant.id)
    async with handle.write() as rows:
        first, _ = [
            await add_document(rows, NewDocument(title, "text", "Vidange : 89 €"))
            for title in ("Tarifs", "Horaires")
        ]
    assert (await world.said("documents: 0 can be searched, 2 being read")).level == "ok"
    async with handle.write() as rows:
        await rows.knowledge.fail(first, 1, "document_empty")
    assert (await world.said("1 of 2 documents couldn't be read")).level == "warn"


async def test_a_newer_server_has_migrated(world: World) -> None:
    async with world.database.write() as connection:
        for statement in (
            "UPDATE alembic_version SET version_num = '9999'",
            "INSERT INTO schema_revisions (revision, oldest_server) VALUES ('9999', '0.1.0')",
        ):
            await connection.execute(sa.text(statement))
    assert (await world.said("a newer version has applied")).level == "warn"


def test_servers_of_two_versions_and_calls_of_none() -> None:
    rows = [NodeRow(version, "server", version, START, START, None) for version in ("1.0", "1.1")]
    levels = {each.what: each.level for each in check_servers(rows, 3)}
    assert levels == {
        "servers: 2 running, version 1.0, 1.1": "ok",
        "servers of different versions run together": "warn",
        "3 calls have no end, and no server carries them": "warn",
    }
