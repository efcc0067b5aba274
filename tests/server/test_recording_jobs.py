"""Recordings of calls at an emulated Twilio: begun after the notice, refused, kept, deleted; and
what an erasure has vendors delete.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ProviderError
from domain.jobs import Again, Job
from domain.tenant import Tenant
from providers.twilio.rest import TwilioAccount
from providers.vapi.rest import VapiAccount
from server.persons import delete_at_vendors, person_jobs
from server.recordings import RecordingJobs, recording_jobs
from server.settings import Settings
from storage import Database, NewCall, Storage
from storage.recordings import DELETE, START
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from tests.fakes.scripted_http import ScriptedHttp, answer, scripted
from tests.running import ACCOUNT, TOKEN, settings

CALL_SID, SID = "CA" + "1" * 32, "RE" + "7" * 32
MADE = answer(201, {"sid": SID, "status": "in-progress"})
GONE = answer(204, b"")
ROOT = f"/2010-04-01/Accounts/{ACCOUNT}"


class Line:
    """A call under way, and its jobs."""

    def __init__(
        self, storage: Storage, tenant: Tenant, config: Settings, clock: FakeClock
    ) -> None:
        self.storage, self.tenant, self.clock, self.config = storage, tenant, clock, config
        self.jobs = RecordingJobs(settings=config, storage=storage, clock=clock, days=180)
        self.call_id = ""

    async def rings(self) -> None:
        new = NewCall(CALL_SID, "+33639981234", "+33939035760", "+33261910077", stage="live")
        self.call_id = (await self.storage.operator.open_call(new, {})).call.id
        assert await self.storage.operator.bind_call(self.call_id, self.tenant.id, "line")

    async def announce(self) -> bool:
        async with self.storage.tenant(self.tenant.id).write() as rows:
            return await rows.recordings.announced(self.call_id)

    async def refuse(self) -> bool:
        async with self.storage.tenant(self.tenant.id).write() as rows:
            return await rows.recordings.refuse(self.call_id)

    async def state(self) -> str | None:
        async with self.storage.tenant(self.tenant.id).read() as rows:
            it = await rows.recordings.of_call(self.call_id)
        return None if it is None else it.state

    async def url(self) -> str | None:
        row = await self.storage.operator.get_call(self.call_id)
        assert row is not None
        return row.recording_url

    async def work(self, kind: str) -> Again | None:
        async with self.storage.tenant(self.tenant.id).read() as rows:
            it = await rows.recordings.of_call(self.call_id)
        assert it is not None
        job = Job("1", kind, {"recording_id": it.id}, 1, self.tenant.id)
        if kind == START:
            await self.jobs.start(job)
            return None
        return await self.jobs.delete(job)


@asynccontextmanager
async def line(directory: Path, rest: ScriptedHttp) -> AsyncIterator[Line]:
    database = await Database.open(migrated_file(directory / "test.sqlite3"))
    try:
        clock = FakeClock()
        storage = Storage(database, clock)
        tenant = await storage.operator.create_tenant("Garage du Port")
        config = settings(directory, twilio_api_base_url=rest.url)
        it = Line(storage, tenant, config, clock)
        await it.rings()
        yield it
    finally:
        await database.close()


async def test_begun_once_and_deleted_at_the_end_of_its_time(tmp_path: Path) -> None:
    async with (
        scripted(MADE, answer(400, {"code": 21220}), GONE) as rest,
        line(tmp_path, rest) as it,
    ):
        assert await it.announce()
        assert not await it.announce()
        await it.work(START)
        await it.work(START)
        assert [(got.method, got.target) for got in rest.got] == [
            ("POST", f"{ROOT}/Calls/{CALL_SID}/Recordings.json")
        ]
        assert await it.url() == f"{rest.url}{ROOT}/Recordings/{SID}"
        assert await it.work(DELETE) == Again(it.clock.now() + timedelta(days=180))
        it.clock.advance(181 * 86400.0)
        assert await it.work(DELETE) is None
        assert [(got.method, got.target) for got in rest.got[1:]] == [
            ("POST", f"{ROOT}/Calls/{CALL_SID}/Recordings/{SID}.json"),
            ("DELETE", f"{ROOT}/Recordings/{SID}.json"),
        ]
        assert (await it.state(), await it.url()) == (None, None)


async def test_who_refuses_is_deleted_at_once_and_not_recorded_again(tmp_path: Path) -> None:
    stopped = answer(200, {"sid": SID, "status": "stopped"})
    async with scripted(MADE, stopped, GONE) as rest, line(tmp_path, rest) as it:
        await it.announce()
        await it.work(START)
        assert await it.refuse()
        await it.work(DELETE)
        assert rest.got[1].form == {"Status": "stopped"}
        assert rest.got[2].method == "DELETE"
        assert (await it.state(), await it.url()) == ("refused", None)
        assert not await it.announce()
        await it.work(START)
        assert len(rest.got) == 3


async def test_who_refuses_before_it_began_is_never_recorded(tmp_path: Path) -> None:
    async with scripted(MADE) as rest, line(tmp_path, rest) as it:
        assert not await it.refuse()
        assert not await it.announce()
        await it.work(START)
        assert rest.got == []


async def test_an_answer_that_was_lost_is_found_by_its_call(tmp_path: Path) -> None:
    """Twilio may record although it said nothing: nobody asks twice, and it is deleted."""
    listed = answer(200, {"recordings": [{"sid": SID}]})
    down = answer(500, {"code": 20500})
    async with scripted(down, listed, GONE) as rest, line(tmp_path, rest) as it:
        await it.announce()
        await it.work(START)
        assert await it.state() == "recording"
        await it.refuse()
        await it.work(DELETE)
        assert [got.method for got in rest.got] == ["POST", "GET", "POST", "DELETE"]


async def test_an_erasure_has_vendors_delete(tmp_path: Path) -> None:
    async with (
        scripted(answer(503, {"code": 20503}), GONE) as rest,
        scripted(answer(200, {})) as vapi,
        line(tmp_path, rest) as it,
    ):
        erasure = await _erased(it, f"{rest.url}{ROOT}/Recordings/{SID}")
        job = Job("1", "person.erase", {"erasure_id": erasure}, 1, it.tenant.id)
        async with (
            TwilioAccount(rest.url, ACCOUNT, TOKEN) as twilio,
            VapiAccount(vapi.url, "a-key") as account,
        ):
            rest.answers[:] = [answer(401, {"code": 20003})]
            with pytest.raises(ProviderError):
                await delete_at_vendors(job, it.storage, twilio, account)
            assert await _pending(it, erasure) == [("twilio_recording", SID)]
            assert vapi.got[-1].method == "DELETE"
            assert vapi.got[-1].target == "/call/0198-vapi"
            rest.answers[:] = [GONE]
            await delete_at_vendors(job, it.storage, twilio, account)
        assert rest.got[-1].target == f"{ROOT}/Recordings/{SID}.json"
        assert await _pending(it, erasure) == []
        (kind,) = person_jobs(it.config, it.storage, it.clock, None)
        assert await kind.handler(job) is None
        assert {each.name for each in recording_jobs(it.config, it.storage, it.clock)} == {
            START,
            DELETE,
        }


async def _erased(it: Line, url: str) -> str:
    await it.storage.turns.keep_recording(it.call_id, url)
    await _set(it, vapi_call_id="0198-vapi", outcome="message")
    async with it.storage.tenant(it.tenant.id).write() as rows:
        erased = await rows.persons.erase(phone="+33639981234")
    assert erased.pending == 2
    assert erased.erasure_id is not None
    return erased.erasure_id


async def _pending(it: Line, erasure: str) -> list[tuple[str, str]]:
    async with it.storage.tenant(it.tenant.id).read() as rows:
        return list(await rows.persons.pending(erasure))


async def _set(it: Line, **values: Any) -> None:
    import sqlalchemy as sa

    from storage.schema import call_logs

    async with it.storage.tenant(it.tenant.id).write() as rows:
        await rows._scope.connection.execute(sa.update(call_logs).values(**values))
    await asyncio.sleep(0)
