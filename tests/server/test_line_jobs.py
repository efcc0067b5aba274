"""The job of a forwarding check, when the carrier refuses, is silent, or a node has died."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from domain.jobs import Again, Job
from domain.lines import CHECK_LASTS, CHECK_WAITS
from server.lines import LineChecks
from storage import Database, LineCheck, Storage
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from tests.fakes.scripted_http import ScriptedHttp, answer, scripted
from tests.running import NUMBER, PUBLIC_URL, settings

LINE = "+33261910077"
SID = "CA" + "1" * 32


@dataclass
class Desk:
    """A tenant with a check that waits."""

    storage: Storage
    clock: FakeClock
    rest: ScriptedHttp
    jobs: LineChecks
    tenant_id: str
    check_id: str

    async def run(self) -> Again | None:
        job = Job("1", "line.check", {"check_id": self.check_id}, 1, self.tenant_id)
        return await self.jobs(job)

    async def check(self) -> LineCheck:
        async with self.storage.tenant(self.tenant_id).read() as rows:
            return await rows.lines.check(self.check_id)

    async def ends(self) -> tuple[str | None, str | None]:
        check = await self.check()
        assert check.state == "done"
        return check.verdict, check.reason


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    clock = FakeClock()
    async with scripted() as rest:
        config = settings(tmp_path, twilio_api_base_url=rest.url)
        database = await Database.open(migrated_file(tmp_path / "lines.sqlite3"))
        storage = Storage(database, clock)
        tenant = await storage.operator.create_tenant("Garage du Port")
        async with storage.tenant(tenant.id).write() as rows:
            check = await rows.lines.begin(LINE)
        jobs = LineChecks(config, storage, clock)
        yield Desk(storage, clock, rest, jobs, tenant.id, check.id)
        await database.close()


async def test_what_the_carrier_is_asked(desk: Desk) -> None:
    desk.rest.answers = [answer(201, {"sid": SID})]
    again = await desk.run()
    assert again == Again(desk.clock.now() + CHECK_LASTS)
    (got,) = desk.rest.got
    form = {name: value for name, (value,) in parse_qs(got.body.decode()).items()}
    assert (form["To"], form["From"]) == (LINE, NUMBER)
    assert int(form["Timeout"]) >= 40
    assert "test automatique" in form["Twiml"]
    path = f"{PUBLIC_URL}/webhooks/twilio/voice/line-check/{desk.check_id}"
    assert form["StatusCallback"] == path
    check = await desk.check()
    assert (check.state, check.call_sid) == ("calling", SID)

    # The callback was lost: the carrier is asked when the time is over, and nobody is called again.
    desk.clock.advance(CHECK_LASTS.total_seconds() + 1)
    desk.rest.answers = [answer(200, {"sid": SID, "status": "no-answer"})]
    assert await desk.run() is None
    assert await desk.ends() == ("not_forwarded", "no_answer")
    assert [each.method for each in desk.rest.got] == ["POST", "GET"]


async def test_a_refusal_ends_it(desk: Desk) -> None:
    desk.rest.answers = [answer(400, {"code": 21211, "message": "Invalid 'To'"})]
    await desk.run()
    assert await desk.ends() == ("unknown", "refused")
    assert await desk.storage.lines.calling() is None


async def test_a_node_that_died_leaves_no_second_call(desk: Desk) -> None:
    """Between the row and the carrier's answer nobody knows whether it rings."""
    assert await desk.storage.lines.start(desk.check_id, NUMBER) is not None
    assert await desk.run() == Again(desk.clock.now() + CHECK_LASTS)
    desk.clock.advance(CHECK_LASTS.total_seconds())
    assert await desk.run() is None
    assert await desk.ends() == ("unknown", "interrupted")
    assert desk.rest.got == []
    assert await desk.run() is None


async def test_one_that_has_waited_too_long_calls_nobody(desk: Desk) -> None:
    desk.clock.advance((CHECK_WAITS + timedelta(seconds=1)).total_seconds())
    await desk.run()
    assert await desk.ends() == ("unknown", "waited")
    assert desk.rest.got == []
