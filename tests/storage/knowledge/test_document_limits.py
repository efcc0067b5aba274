"""What a tenant may store holds over all nodes: two that count at once don't both find room."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from domain.errors import Conflict, Invalid
from domain.tenant import Tenant
from storage import Storage, TenantRows
from storage.knowledge import changes, documents
from storage.knowledge.changes import add_document
from storage.knowledge.documents import NewDocument
from storage.knowledge.split import Chunk

Change = Callable[[TenantRows], Awaitable[object]]


async def at_once(storage: Storage, tenant: Tenant, *all_of: Change) -> list[str]:
    """Each in a transaction of its own that stays open for a while; how each ended."""
    ended: list[str] = []

    async def one(change: Change) -> None:
        try:
            async with storage.tenant(tenant.id).write() as rows:
                await change(rows)
                await asyncio.sleep(0.2)
            ended.append("kept")
        except (Conflict, Invalid) as error:
            ended.append(str(error.message_key))

    async with asyncio.TaskGroup() as tasks:
        for change in all_of:
            tasks.create_task(one(change))
    return sorted(ended)


def adding(content: str) -> Change:
    return lambda rows: add_document(rows, NewDocument("Tarifs", "text", content))


async def test_the_last_document_is_added_once(
    storage: Storage, garage: Tenant, dentist: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_DOCUMENTS", 1)
    assert await at_once(storage, garage, adding("a"), adding("b")) == ["kept", "knowledge_full"]
    assert await at_once(storage, dentist, adding("c")) == ["kept"]


async def test_the_last_bytes_are_taken_once(
    storage: Storage, garage: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_TENANT_BYTES", 10)
    both = await at_once(storage, garage, adding("a" * 6), adding("b" * 6))
    assert both == ["kept", "knowledge_full"]


async def test_bytes_are_counted_and_not_characters(
    storage: Storage, garage: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_TENANT_BYTES", 10)
    assert await at_once(storage, garage, adding("é" * 4)) == ["kept"]
    assert await at_once(storage, garage, adding("abc")) == ["knowledge_full"]
    assert await at_once(storage, garage, adding("ab")) == ["kept"]


async def test_the_last_passages_are_taken_once(
    storage: Storage, garage: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "MAX_TENANT_CHUNKS", 3)
    async with storage.tenant(garage.id).write() as rows:
        ids = [await add_document(rows, NewDocument(name, "text", name)) for name in ("a", "b")]
    passages = [Chunk("row", "", text, text) for text in ("vidange", "freins")]

    def indexing(document_id: str) -> Change:
        return lambda rows: rows.knowledge.replace_chunks(document_id, 1, passages)

    both = await at_once(storage, garage, *(indexing(each) for each in ids))
    assert both == ["kept", "knowledge_full"]
