"""Documents become passages by a job, whatever happens meanwhile."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from domain.errors import OperatorError, ProviderError
from domain.fetching import AddressRefused, Fetched
from domain.jobs import BUG_ATTEMPTS, Again, Job
from domain.knowledge import IndexEntry
from domain.tenant import Tenant
from server.clock import SystemClock
from storage import Database, Storage
from storage.assistants import PROVISION
from storage.jobs.desk import JobDesk
from storage.jobs.worker import JobWorker, Pace
from storage.knowledge.changes import FORGET, INDEX, delete_document, wake
from storage.knowledge.documents import Document, DocumentFile, NewDocument
from storage.knowledge.extract import Extracted, Extractor
from storage.knowledge.indexing import (
    BIN_DAYS,
    INDEX_BACKOFF,
    PUBLISH,
    Indexing,
)
from storage.knowledge.parsing.child import Wanted, answer
from storage.knowledge.search import EmbeddedKnowledge
from tests.fakes.clock import FakeClock
from tests.pdf import lines, pdf, price_rows

PRICES = "Vidange diesel : 89 €\nRecharge R1234yf : 159 €\n"
PAGE = b"<title>Nos tarifs</title><table><tr><td>Vidange diesel</td><td>89 EUR</td></tr></table>"
URL = "https://garage.example/tarifs"


@dataclass
class Pages:
    """The web: what each fetch gives, the last one for ever."""

    answers: list[Fetched | Exception] = field(default_factory=list)
    asked: int = 0

    async def fetch(self, url: str, *, max_bytes: int | None = None) -> Fetched:
        assert max_bytes
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


@dataclass
class Elsewhere:
    """An index at a vendor."""

    held: dict[str, str] = field(default_factory=dict)
    failing: bool = False

    async def upsert(self, tenant_id: str, entries: Sequence[IndexEntry]) -> None:
        self._check()
        self.held |= {each.chunk_id: each.text for each in entries}

    async def delete(self, tenant_id: str, chunk_ids: Sequence[str]) -> None:
        self._check()
        for each in chunk_ids:
            self.held.pop(each, None)

    async def delete_tenant(self, tenant_id: str) -> None:
        self.held.clear()

    async def query(self, tenant_id: str, question: str, limit: int) -> list[tuple[str, float]]:
        return []

    def _check(self) -> None:
        if self.failing:
            raise ProviderError("pinecone", "away", retryable=True)


class Here(Extractor):
    """The same question and the same answer without a process: what becomes of a document in the
    database doesn't depend on where it is read. Tests of texts, files, pages and kills have one."""

    async def _ask(self, header: bytes, data: bytes) -> tuple[bytes, int]:
        return json.dumps(answer(data, Wanted(**json.loads(header)))).encode(), 0


class Interrupted(Here):
    """Reads like any other; something happens before it hands over."""

    def __init__(self, happening: asyncio.Event, may_go_on: asyncio.Event) -> None:
        super().__init__()
        self.happening, self.may_go_on = happening, may_go_on

    async def extract(self, *args: object, **kwargs: object) -> Extracted:
        extracted = await super().extract(*args, **kwargs)  # type: ignore[arg-type]
        self.happening.set()
        await self.may_go_on.wait()
        return extracted


@pytest.fixture
def pages() -> Pages:
    return Pages([Fetched(200, "text/html", "utf-8", PAGE, URL)])


@pytest.fixture
def indexing(database: Database, storage: Storage, clock: FakeClock, pages: Pages) -> Indexing:
    return Indexing(database, storage, clock, extractor=Here(), fetcher=pages)


@pytest.fixture
def by_children(database: Database, storage: Storage, clock: FakeClock, pages: Pages) -> Indexing:
    return Indexing(database, storage, clock, extractor=Extractor(), fetcher=pages)


async def add(storage: Storage, tenant: Tenant, new: NewDocument, file: bytes | None = None) -> str:
    async with storage.tenant(tenant.id).write() as rows:
        given = None if file is None else DocumentFile("application/pdf", file)
        document_id = await rows.knowledge.add(new, given)
        await wake(rows.jobs, document_id)
    return document_id


def text(title: str = "Tarifs", content: str = PRICES) -> NewDocument:
    return NewDocument(title=title, source_type="text", content=content)


PAGE_DOCUMENT = NewDocument(title=URL, source_type="url", url=URL)


def job(tenant: Tenant, document_id: str, kind: str = INDEX, attempt: int = 1, **more: int) -> Job:
    return Job("1", kind, {"document_id": document_id, **more}, attempt, tenant.id)


async def show(storage: Storage, tenant: Tenant, document_id: str) -> Document:
    async with storage.tenant(tenant.id).read() as rows:
        document = await rows.knowledge.get(document_id)
    assert document is not None
    return document


async def answers(storage: Storage, tenant: Tenant, question: str) -> list[str]:
    found = await EmbeddedKnowledge(storage).search(tenant.id, question)
    return [passage.text for passage in found.passages]


async def kinds_waiting(database: Database, clock: FakeClock) -> list[str]:
    """Of documents: the tenant's assistant is woken too, once there is something to search."""
    waiting = [each.kind for each in await JobDesk(database, clock).waiting()]
    return sorted(kind for kind in waiting if kind != PROVISION)


async def test_a_text_becomes_ready_and_answers(
    storage: Storage, garage: Tenant, dentist: Tenant, by_children: Indexing
) -> None:
    document_id = await add(storage, garage, text())
    assert (await show(storage, garage, document_id)).status == "pending"
    await by_children.index(job(garage, document_id))
    document = await show(storage, garage, document_id)
    assert (document.status, document.chunk_count, document.error) == ("ready", 2, None)
    assert document.indexed_at is not None
    assert await answers(storage, garage, "combien coûte la vidange") == ["Vidange diesel : 89 €"]
    assert await answers(storage, dentist, "combien coûte la vidange") == []
    async with storage.tenant(garage.id).read() as rows:
        assert await rows.knowledge.content(document_id) == PRICES  # as it was written
        (event,) = await rows.events.after(0)
    assert (event.kind, event.subject, event.data) == (
        "document.ready",
        document_id,
        {"chunkCount": 2},
    )


async def test_the_first_text_wakes_the_assistant_once_it_answers(
    storage: Storage, garage: Tenant, indexing: Indexing
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.jobs.cancel(f"{PROVISION}:{garage.id}")
    document_id = await add(storage, garage, text())
    woken = [(each.kind, each.key) for each in await storage.jobs.waiting()]
    assert PROVISION not in dict(woken)
    await indexing.index(job(garage, document_id))
    woken = [(each.kind, each.key) for each in await storage.jobs.waiting()]
    assert (PROVISION, f"{PROVISION}:{garage.id}") in woken


async def test_a_file_keeps_its_rows_and_its_bytes(
    storage: Storage, garage: Tenant, by_children: Indexing
) -> None:
    data = pdf([*lines("Tarifs"), *price_rows([("Vidange diesel", "89 €"), ("Freins", "249 €")])])
    document_id = await add(storage, garage, NewDocument("Tarifs", "pdf"), data)
    await by_children.index(job(garage, document_id))
    assert await answers(storage, garage, "prix des freins") == ["Freins : 249 €"]
    async with storage.tenant(garage.id).read() as rows:
        file = await rows.knowledge.file(document_id)
        assert file is not None
        assert file.content == data
        assert await rows.knowledge.content(document_id) == (
            "Tarifs\n\nVidange diesel | 89 €\nFreins | 249 €"
        )


async def test_a_page_is_fetched_and_called_by_its_own_title(
    storage: Storage, garage: Tenant, by_children: Indexing, pages: Pages
) -> None:
    document_id = await add(storage, garage, PAGE_DOCUMENT)
    await by_children.index(job(garage, document_id))
    document = await show(storage, garage, document_id)
    assert (document.status, document.title, document.url) == ("ready", "Nos tarifs", URL)
    assert await answers(storage, garage, "la vidange") == ["Vidange diesel : 89 EUR"]
    # Read again: what the page says now.
    pages.answers = [Fetched(200, "text/plain", "", b"Vidange diesel : 95 EUR", URL)]
    async with storage.tenant(garage.id).write() as rows:
        await rows.knowledge.reindex(document_id)
    assert await answers(storage, garage, "la vidange") == ["Vidange diesel : 89 EUR"]
    await by_children.index(job(garage, document_id))
    assert await answers(storage, garage, "la vidange") == ["Vidange diesel : 95 EUR"]


@pytest.mark.parametrize(
    ("page", "error", "detail"),
    [
        (AddressRefused("status", "status 404", status=404), "address_status", "404"),
        (AddressRefused("bad_address"), "address_bad_address", None),
        (AddressRefused("redirected", host="autre.example"), "address_redirected", "autre.example"),
        (AddressRefused("too_large"), "address_too_large", None),
        (Fetched(200, "image/png", "", b"\x89PNG....", URL), "document_unsupported", "image/png"),
        (Fetched(200, "text/html", "", b"<script>1</script>", URL), "document_empty", None),
        (Fetched(200, "application/pdf", "", b"%PDF-1.7 nothing", URL), "document_broken", None),
    ],
)
async def test_what_can_not_be_mended_by_waiting_fails_at_once(
    storage: Storage,
    garage: Tenant,
    indexing: Indexing,
    pages: Pages,
    page: Fetched | Exception,
    error: str,
    detail: str | None,
) -> None:
    pages.answers = [page]
    document_id = await add(storage, garage, PAGE_DOCUMENT)
    await indexing.index(job(garage, document_id))
    document = await show(storage, garage, document_id)
    assert (document.status, document.error) == ("failed", error)
    if detail is not None:
        assert document.error_detail == detail
    await indexing.index(job(garage, document_id))  # a late second run has nothing to do
    assert pages.asked == 1


async def test_a_silent_server_is_asked_again_before_it_is_given_up(
    storage: Storage, garage: Tenant, indexing: Indexing, pages: Pages
) -> None:
    private = AddressRefused("unreachable", reason="private_address 10.0.0.7", retryable=True)
    pages.answers = [private]
    document_id = await add(storage, garage, PAGE_DOCUMENT)
    for attempt in range(1, INDEX_BACKOFF.attempts):
        with pytest.raises(ProviderError) as failed:
            await indexing.index(job(garage, document_id, attempt=attempt))
        assert failed.value.retryable
        assert (await show(storage, garage, document_id)).status == "indexing"
    await indexing.index(job(garage, document_id, attempt=INDEX_BACKOFF.attempts))
    document = await show(storage, garage, document_id)
    assert (document.status, document.error) == ("failed", "address_unreachable")
    assert "10.0.0.7" not in repr(document)  # what stands in our network is not told


async def test_a_page_that_fails_does_not_silence_what_was_read_there(
    storage: Storage, garage: Tenant, indexing: Indexing, pages: Pages
) -> None:
    pages.answers.append(AddressRefused("status", status=404))
    document_id = await add(storage, garage, PAGE_DOCUMENT)
    await indexing.index(job(garage, document_id))
    async with storage.tenant(garage.id).write() as rows:
        await rows.knowledge.reindex(document_id)
    await indexing.index(job(garage, document_id))
    assert (await show(storage, garage, document_id)).status == "failed"
    assert await answers(storage, garage, "la vidange") == ["Vidange diesel : 89 EUR"]


async def test_a_bug_of_ours_is_told_after_some_tries(
    database: Database, storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    indexing = Indexing(
        database, storage, clock, extractor=Here(), fetcher=Pages([ZeroDivisionError()])
    )
    document_id = await add(storage, garage, PAGE_DOCUMENT)
    for attempt in range(1, BUG_ATTEMPTS + 1):
        with pytest.raises(ZeroDivisionError):
            await indexing.index(job(garage, document_id, attempt=attempt))
        expected = "failed" if attempt == BUG_ATTEMPTS else "indexing"
        assert (await show(storage, garage, document_id)).status == expected


async def test_an_operators_trouble_fails_no_document(
    database: Database, storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    indexing = Indexing(
        database, storage, clock, extractor=Here(), fetcher=Pages([OperatorError("away")])
    )
    document_id = await add(storage, garage, PAGE_DOCUMENT)
    with pytest.raises(OperatorError):
        await indexing.index(job(garage, document_id, attempt=50))
    assert (await show(storage, garage, document_id)).status == "indexing"


async def test_a_deletion_meanwhile_wins(
    database: Database, storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    happening, may_go_on = asyncio.Event(), asyncio.Event()
    extractor = Interrupted(happening, may_go_on)
    indexing = Indexing(database, storage, clock, extractor=extractor, fetcher=Pages())
    document_id = await add(storage, garage, text())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(indexing.index(job(garage, document_id)))
        await happening.wait()
        async with storage.tenant(garage.id).write() as rows:
            assert await rows.knowledge.delete(document_id)
        may_go_on.set()
    assert await answers(storage, garage, "la vidange") == []
    async with storage.tenant(garage.id).read() as rows:
        assert await rows.knowledge.get(document_id) is None


async def test_a_newer_text_meanwhile_wins(
    database: Database, storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    happening, may_go_on = asyncio.Event(), asyncio.Event()
    extractor = Interrupted(happening, may_go_on)
    indexing = Indexing(database, storage, clock, extractor=extractor, fetcher=Pages())
    document_id = await add(storage, garage, text())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(indexing.index(job(garage, document_id)))
        await happening.wait()
        async with storage.tenant(garage.id).write() as rows:
            await rows.knowledge.change(
                document_id, title="Tarifs", category=None, content="Vidange diesel : 95 €"
            )
            await rows.knowledge.reindex(document_id)
        may_go_on.set()
    assert (await show(storage, garage, document_id)).status == "pending"
    assert await answers(storage, garage, "la vidange") == []
    await indexing.index(job(garage, document_id))
    assert await answers(storage, garage, "la vidange") == ["Vidange diesel : 95 €"]


async def test_two_at_once_write_it_once(
    database: Database, storage: Storage, garage: Tenant, indexing: Indexing
) -> None:
    document_id = await add(storage, garage, text())
    async with asyncio.TaskGroup() as tasks:
        for _ in range(2):
            tasks.create_task(indexing.index(job(garage, document_id)))
    assert (await show(storage, garage, document_id)).chunk_count == 2
    assert await answers(storage, garage, "la vidange") == ["Vidange diesel : 89 €"]


async def test_nothing_to_do_is_done_quietly(
    storage: Storage, garage: Tenant, dentist: Tenant, indexing: Indexing
) -> None:
    document_id = await add(storage, garage, text())
    await indexing.index(job(garage, "no-such-document"))
    await indexing.index(job(dentist, document_id))  # another's
    assert (await show(storage, garage, document_id)).status == "pending"
    await indexing.index(job(replace(garage, id="no-such-tenant"), document_id))


async def test_more_passages_than_a_tenant_may_have_change_nothing(
    storage: Storage, garage: Tenant, indexing: Indexing, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await add(storage, garage, text())
    await indexing.index(job(garage, first))
    monkeypatch.setattr("storage.knowledge.documents.MAX_TENANT_CHUNKS", 3)
    second = await add(storage, garage, text("Autres", "Pneu : 60 €\nFreins : 249 €"))
    await indexing.index(job(garage, second))
    document = await show(storage, garage, second)
    assert (document.status, document.error) == ("failed", "knowledge_full")
    assert await answers(storage, garage, "le prix des freins") == []
    assert await answers(storage, garage, "la vidange") == ["Vidange diesel : 89 €"]


# --------------------------------------------------------------------------- another's index


async def test_what_is_published_elsewhere_follows_our_rows(
    database: Database, storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    elsewhere = Elsewhere()
    indexing = Indexing(
        database, storage, clock, extractor=Here(), fetcher=Pages(), index=elsewhere
    )
    document_id = await add(storage, garage, text())
    await indexing.index(job(garage, document_id))
    assert await kinds_waiting(database, clock) == [INDEX, PUBLISH]
    await indexing.publish(job(garage, document_id, PUBLISH))
    first = set(elsewhere.held)
    assert [text.split("\n")[-1] for text in elsewhere.held.values()] == PRICES.splitlines()
    async with storage.tenant(garage.id).write() as rows:
        await rows.knowledge.change(document_id, title="T", category=None, content="Pneu : 60 €")
        await rows.knowledge.reindex(document_id)
    await indexing.index(job(garage, document_id))
    assert await kinds_waiting(database, clock) == [FORGET, INDEX, PUBLISH]
    await indexing.publish(job(garage, document_id, PUBLISH))
    await indexing.forget(job(garage, document_id, FORGET, revision=1, count=2))
    assert len(elsewhere.held) == 1
    assert not first & elsewhere.held.keys()


async def test_passages_of_a_deleted_document_do_not_stay_elsewhere(
    database: Database, storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    elsewhere = Elsewhere()
    indexing = Indexing(
        database, storage, clock, extractor=Here(), fetcher=Pages(), index=elsewhere
    )
    document_id = await add(storage, garage, text())
    await indexing.index(job(garage, document_id))
    await indexing.publish(job(garage, document_id, PUBLISH))
    async with storage.tenant(garage.id).write() as rows:
        assert await delete_document(rows, document_id)
    (waiting,) = [e for e in await JobDesk(database, clock).waiting() if e.kind == FORGET]
    assert waiting.tenant_id == garage.id
    elsewhere.failing = True
    with pytest.raises(ProviderError):
        await indexing.forget(job(garage, document_id, FORGET, revision=1, count=2))
    elsewhere.failing = False
    await indexing.forget(job(garage, document_id, FORGET, revision=1, count=2))
    assert elsewhere.held == {}
    await indexing.publish(job(garage, document_id, PUBLISH))  # comes late, brings nothing back
    assert elsewhere.held == {}


async def test_a_text_that_was_replaced_by_an_unreadable_one_answers_no_more(
    database: Database, storage: Storage, garage: Tenant, clock: FakeClock, pages: Pages
) -> None:
    index = Elsewhere()
    indexing = Indexing(database, storage, clock, extractor=Here(), fetcher=pages, index=index)
    document_id = await add(storage, garage, text())
    await indexing.index(job(garage, document_id))
    assert await answers(storage, garage, "la vidange") == ["Vidange diesel : 89 €"]
    async with storage.tenant(garage.id).write() as rows:
        await rows.knowledge.change(document_id, title="Tarifs", category=None, content="\u200b\n")
        await rows.knowledge.reindex(document_id)
    await indexing.index(job(garage, document_id))
    document = await show(storage, garage, document_id)
    assert (document.status, document.error, document.chunk_count) == (
        "failed",
        "document_empty",
        0,
    )
    assert await answers(storage, garage, "la vidange") == []
    assert FORGET in await kinds_waiting(database, clock)


# ------------------------------------------------------------------------------- periodic


async def test_a_document_without_a_job_is_woken(
    database: Database, storage: Storage, clock: FakeClock, garage: Tenant, indexing: Indexing
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        document_id = await rows.knowledge.add(text())
        other = await rows.knowledge.add(text("Autre"))
        await rows.knowledge.begin(other, 1)
        await rows.knowledge.fail(await rows.knowledge.add(text("Raté")), 1, "document_empty")
    own = Job("1", "knowledge.reconcile", {}, 1)
    await indexing.reconcile(own)
    assert await kinds_waiting(database, clock) == []  # ten minutes haven't passed
    clock.advance(timedelta(minutes=11))
    await indexing.reconcile(own)
    await indexing.reconcile(own)
    assert await kinds_waiting(database, clock) == [INDEX, INDEX]
    await indexing.index(job(garage, document_id))
    assert (await show(storage, garage, document_id)).status == "ready"


async def test_the_bin_is_emptied_after_thirty_days(
    storage: Storage, clock: FakeClock, garage: Tenant, indexing: Indexing
) -> None:
    document_id = await add(storage, garage, text())
    await indexing.index(job(garage, document_id))
    async with storage.tenant(garage.id).write() as rows:
        await rows.knowledge.delete(document_id)
    own = Job("1", "knowledge.purge", {}, 1)
    clock.advance(timedelta(days=BIN_DAYS - 1))
    await indexing.purge(own)
    async with storage.tenant(garage.id).write() as rows:
        assert [each.id for each in await rows.knowledge.deleted()] == [document_id]
        assert await rows.knowledge.restore(document_id)
    await indexing.index(job(garage, document_id))
    assert await answers(storage, garage, "la vidange") == ["Vidange diesel : 89 €"]
    async with storage.tenant(garage.id).write() as rows:
        await rows.knowledge.delete(document_id)
    clock.advance(timedelta(days=BIN_DAYS + 1))
    await indexing.purge(own)
    async with storage.tenant(garage.id).write() as rows:
        assert await rows.knowledge.deleted() == []
        assert not await rows.knowledge.restore(document_id)
        assert await rows.knowledge.stored_bytes() == 0


async def test_a_full_bin_is_emptied_in_one_go(
    storage: Storage,
    clock: FakeClock,
    garage: Tenant,
    indexing: Indexing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("storage.knowledge.indexing._AT_ONCE", 2)
    async with storage.tenant(garage.id).write() as rows:
        for _ in range(3):
            await rows.knowledge.delete(await rows.knowledge.add(text()))
    clock.advance(timedelta(days=BIN_DAYS + 1))
    own = Job("1", "knowledge.purge", {}, 1)
    assert await indexing.purge(own) == Again(clock.now())
    assert await indexing.purge(own) is None
    async with storage.tenant(garage.id).read() as rows:
        assert await rows.knowledge.deleted() == []


# -------------------------------------------------------------------------------- SIGKILL

WORKER = """
import asyncio, sys
from domain.fetching import AddressRefused
from server.clock import SystemClock
from storage import Database, Storage
from storage.jobs.worker import JobWorker, Pace
from storage.knowledge.extract import Extractor
from storage.knowledge.indexing import Indexing

class Nowhere:
    async def fetch(self, url, *, max_bytes=None):
        raise AddressRefused("unreachable")

async def main():
    database = await Database.open(sys.argv[1])
    clock = SystemClock()
    indexing = Indexing(database, Storage(database, clock), clock, extractor=Extractor(),
                        fetcher=Nowhere())
    pace = Pace(poll=0.05, beat=0.1, silence=0.6, stop=2.0)
    print("ready", flush=True)
    await JobWorker(database, clock, indexing.kinds(), pace=pace).run()

asyncio.run(main())
"""


async def test_a_worker_that_is_killed_loses_no_document(
    url: str, database: Database, garage: Tenant
) -> None:
    storage = Storage(database, SystemClock())
    contents = [f"Prestation x{number}y : {number} €" for number in range(6)]
    ids = [await add(storage, garage, text(f"D{n}", each)) for n, each in enumerate(contents)]

    def start() -> subprocess.Popen[bytes]:
        root = Path(__file__).parents[3]
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, url], stdout=subprocess.PIPE, cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )  # fmt: skip

    async def ready() -> int:
        async with storage.tenant(garage.id).read() as rows:
            found = await rows.knowledge.list(limit=100)
        return sum(each.status == "ready" for each in found.items)

    worker = start()
    try:
        async with asyncio.timeout(30):
            while await ready() < 2:
                await asyncio.sleep(0.02)
    finally:
        kids = psutil.Process(worker.pid).children(recursive=True)
        worker.send_signal(signal.SIGKILL)
        worker.communicate()
    # A child in the middle of its document ends by itself: nobody reads its answer.
    assert psutil.wait_procs(kids, timeout=10)[1] == []
    clock = SystemClock()
    indexing = Indexing(database, storage, clock, extractor=Extractor(), fetcher=Pages())
    pace = Pace(poll=0.05, beat=0.1, silence=0.6, stop=2.0)
    successor = JobWorker(database, clock, indexing.kinds(), pace=pace)
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        tasks.create_task(successor.run())
        while await ready() < len(ids):
            await asyncio.sleep(0.02)
        successor.stop()
    for number, document_id in enumerate(ids):
        document = await show(storage, garage, document_id)
        assert (document.status, document.chunk_count) == ("ready", 1)
        assert await answers(storage, garage, f"prestation x{number}y") == [contents[number]]
