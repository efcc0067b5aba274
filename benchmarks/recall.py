"""`make recall`: how much of the French set of questions is answered, and how much is made up.

Always for the embedded search. With PINECONE_API_KEY and PINECONE_HOST in the environment for that
index too: in namespaces of its own, which are deleted again. `--emulated` plays Pinecone; its
figures say nothing of the vendor, but that this program works.
"""

import argparse
import asyncio
import os
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from structlog.typing import EventDict

from domain.errors import ProviderError
from domain.knowledge import Found, Knowledge
from providers.pinecone import MAX_RESULTS, PineconeIndex, pinecone_index
from sandbox.pinecone import PineconeEmulator
from storage import Storage
from storage.database import Database
from storage.knowledge.documents import NewDocument
from storage.knowledge.remote import FRESH, RemoteKnowledge
from storage.knowledge.search import EmbeddedKnowledge
from tests.fakes.clock import FakeClock
from tests.knowledge_set import documents, measure

MIN_SCORES = (0.3, 0.4, 0.5, 0.6, 0.7)
#: "Documents become searchable within approximately one minute."
VISIBLE_SECONDS = 180.0
SETS = ("tuning", "held_out")


class Nothing:
    """Stands behind the index so that the index alone is measured."""

    async def search(self, tenant_id: str, question: str, limit: int = 5) -> Found:
        """Finds nothing."""
        return Found()


async def main() -> None:
    structlog.configure(processors=[_drop])  # whom the embedded search helped out is measured
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--emulated", action="store_true", help="against the sandbox's Pinecone")
    emulated = parser.parse_args().emulated
    with tempfile.TemporaryDirectory() as directory:
        database = await Database.open(f"sqlite:///{Path(directory)}/recall.sqlite3")
        try:
            clock = FakeClock()
            storage = Storage(database, clock)
            tenants = await furnish(storage)
            clock.advance(2 * FRESH)
            await show("embedded", EmbeddedKnowledge(storage), tenants)
            async with pinecone(emulated=emulated) as index:
                if index is None:
                    print("Pinecone: set PINECONE_API_KEY and PINECONE_HOST to measure it")
                else:
                    await measure_pinecone(storage, clock, index, tenants)
        finally:
            await database.close()


def _drop(_logger: object, _name: str, _event: EventDict) -> EventDict:
    raise structlog.DropEvent


async def furnish(storage: Storage) -> dict[str, str]:
    """The five businesses; by name, their ids, which nobody else has."""
    tenants = {}
    for business, title, content, chunks in documents():
        tenant = await storage.operator.create_tenant(business, id=f"recall-{uuid.uuid4().hex}")
        tenants[business] = tenant.id
        async with storage.tenant(tenant.id).write() as rows:
            document_id = await rows.knowledge.add(NewDocument(title, "markdown"))
            await rows.knowledge.replace_chunks(document_id, 1, chunks, content=content)
    return tenants


@asynccontextmanager
async def pinecone(*, emulated: bool) -> AsyncIterator[PineconeIndex | None]:
    key, host = os.environ.get("PINECONE_API_KEY"), os.environ.get("PINECONE_HOST")
    if emulated:
        emulator = PineconeEmulator(visible_after=1.0)
        async with emulator.running() as host, pinecone_index(emulator.api_key, host) as index:
            yield index
    elif key and host:
        async with pinecone_index(key, host) as index:
            yield index
    else:
        yield None


async def measure_pinecone(
    storage: Storage, clock: FakeClock, index: PineconeIndex, tenants: dict[str, str]
) -> None:
    try:
        for tenant_id in tenants.values():
            await publish(storage, index, tenant_id)
        for score in MIN_SCORES:
            alone = RemoteKnowledge(storage, index, Nothing(), clock, min_score=score)
            await show(f"Pinecone alone, min score {score}", alone, tenants)
        for score in MIN_SCORES:
            embedded = EmbeddedKnowledge(storage)
            both = RemoteKnowledge(storage, index, embedded, clock, min_score=score)
            await show(f"as served, min score {score}", both, tenants)
    finally:
        for tenant_id in tenants.values():
            await index.delete_tenant(tenant_id)


async def publish(storage: Storage, index: PineconeIndex, tenant_id: str) -> None:
    """All passages of a tenant, and until they show."""
    async with storage.tenant(tenant_id).read() as rows:
        (document,) = (await rows.knowledge.list()).items
        entries = await rows.knowledge.entries(document.id)
    await index.upsert(tenant_id, entries)
    deadline = time.monotonic() + VISIBLE_SECONDS
    while time.monotonic() < deadline:
        try:
            shown = await index.query(tenant_id, "tarif", MAX_RESULTS)
        except ProviderError:
            shown = []
        if len(shown) >= min(len(entries), MAX_RESULTS):
            return
        await asyncio.sleep(0.5)
    raise SystemExit(f"{len(entries)} passages didn't show within {VISIBLE_SECONDS:g} s")


async def show(name: str, knowledge: Knowledge, tenants: dict[str, str]) -> None:
    for questions in SETS:
        started = time.perf_counter()
        measured = await measure(knowledge, tenants, questions)
        asked = measured.answered + measured.unanswerable + measured.ambiguous
        each = (time.perf_counter() - started) / asked * 1000
        print(f"{name}, {questions}: {measured}, {each:.1f} ms each")


if __name__ == "__main__":
    asyncio.run(main())
