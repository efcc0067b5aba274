"""Pinecone as it is set: the server searches it, a worker fills it, the doctor asks it."""

from pathlib import Path

import pytest

from domain.errors import OperatorError
from domain.jobs import Job
from sandbox.pinecone import Fault, PineconeEmulator
from server.doctor import check_pinecone
from server.doctor_findings import Finding
from server.job_kinds import job_kinds, vendor_limits
from server.knowledge import passage_index
from storage import Storage
from storage.database import Database
from storage.knowledge.remote import FRESH
from tests.fakes.clock import FakeClock
from tests.running import running, settings

PRICES = "| Prestation | Prix |\n|---|---|\n| Vidange diesel | 99 € |\n| Pneu | 15 € |"


async def test_a_document_is_published_by_a_worker_and_answers_from_there(tmp_path: Path) -> None:
    emulator, clock = PineconeEmulator(), FakeClock()
    async with emulator.running() as host:
        set_ = {"pinecone_api_key": emulator.api_key, "pinecone_host": host}
        async with running(tmp_path, clock, **set_) as twilio:
            owner = await twilio.tenant("Garage")
            document = {"title": "Tarifs", "content": PRICES, "sourceType": "markdown"}
            created = await twilio.http.post(
                "/api/v1/knowledge/documents", json=document, headers=owner.headers
            )
            assert created.status_code == 201, created.text
            await _work(tmp_path, clock, owner.id, set_)
            assert len(emulator.texts(f"tenant-{owner.id}")) == 2
            clock.advance(FRESH)
            question = {"question": "prix de la vidange diesel"}
            answer = await twilio.http.post(
                "/api/v1/knowledge/ask", json=question, headers=owner.headers
            )
            assert "99 €" in answer.text
            assert [path.rsplit("/", 1)[1] for _, path, _ in emulator.requests] == [
                "upsert",
                "search",
            ]
    assert emulator.refusals == []


async def _work(directory: Path, clock: FakeClock, tenant_id: str, set_: dict[str, str]) -> None:
    """What `coccinelle work` would do now."""
    config = settings(directory, **set_)
    database = await Database.open(config.database_url.get_secret_value())
    try:
        storage = Storage(database, clock)
        async with storage.tenant(tenant_id).read() as rows:
            (document,) = (await rows.knowledge.list()).items
        async with passage_index(config) as index:
            kinds = {kind.name: kind for kind in job_kinds(config, database, storage, clock, index)}
            for name in ("knowledge.index", "knowledge.publish"):
                job = Job("1", name, {"document_id": document.id}, 1, tenant_id)
                await kinds[name].handler(job)
            assert kinds["knowledge.publish"].vendor in vendor_limits(config)
    finally:
        await database.close()


async def _examined(directory: Path, **set_: str) -> list[Finding]:
    return [finding async for finding in check_pinecone(settings(directory, **set_))]


async def test_the_doctor_asks_the_index(tmp_path: Path) -> None:
    emulator = PineconeEmulator()
    assert await _examined(tmp_path) == []
    async with emulator.running() as host:
        right = {"pinecone_api_key": emulator.api_key, "pinecone_host": host}
        assert [each.level for each in await _examined(tmp_path, **right)] == ["ok"]
        (wrong,) = await _examined(tmp_path, pinecone_api_key="pcsk_other", pinecone_host=host)
        assert (wrong.level, "PINECONE_API_KEY" in wrong.what) == ("fail", True)
        emulator.faults.append(Fault(hang_seconds=1.0))
        (slow,) = await _examined(tmp_path, **right)
        assert (slow.level, "0.7 s" in slow.what) == ("fail", True)


@pytest.mark.parametrize("alone", ["pinecone_api_key", "pinecone_host"])
async def test_key_and_address_belong_together(tmp_path: Path, alone: str) -> None:
    half = {alone: "https://index.example.com"}
    with pytest.raises(OperatorError, match="belong together"):
        async with running(tmp_path, **half):
            raise AssertionError("it doesn't start")
    (finding,) = await _examined(tmp_path, **half)
    assert finding.level == "fail"
