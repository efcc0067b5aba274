"""Our client against the vendor's wire: what it sends, what it makes of refusals."""

from collections.abc import AsyncIterator
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import ProviderError
from domain.knowledge import IndexEntry
from providers.pinecone import (
    MAX_BATCH,
    MAX_BATCH_BYTES,
    QUERY_SECONDS,
    PineconeIndex,
    batches,
    namespace_of,
    pinecone_index,
)
from sandbox.pinecone import Fault, PineconeEmulator

TENANT = "tenant_1"


def entry(number: int, text: str = "Vidange diesel 99 €") -> IndexEntry:
    return IndexEntry(f"doc-1-{number}", "doc", f"{text} {number}")


@pytest.fixture
def emulator() -> PineconeEmulator:
    return PineconeEmulator()


@pytest.fixture
async def host(emulator: PineconeEmulator) -> AsyncIterator[str]:
    async with emulator.running() as host:
        yield host


@pytest.fixture
async def index(emulator: PineconeEmulator, host: str) -> AsyncIterator[PineconeIndex]:
    async with pinecone_index(emulator.api_key, host) as index:
        yield index


async def test_what_is_written_is_found_by_its_id(
    index: PineconeIndex, emulator: PineconeEmulator
) -> None:
    await index.upsert(TENANT, [entry(1), entry(2, "Détartrage 43 €")])
    found = await index.query(TENANT, "un détartrage", 5)
    assert [chunk_id for chunk_id, _ in found] == ["doc-1-2", "doc-1-1"]
    assert all(0 <= score <= 1 for _, score in found)
    assert emulator.refusals == []


async def test_a_thousand_passages_are_sent_as_pinecone_takes_them(
    index: PineconeIndex, emulator: PineconeEmulator
) -> None:
    await index.upsert(TENANT, [entry(number) for number in range(1000)])
    assert len(emulator.texts(namespace_of(TENANT))) == 1000
    await index.delete(TENANT, [f"doc-1-{number}" for number in range(1000)])
    assert emulator.texts(namespace_of(TENANT)) == []
    assert emulator.refusals == []


async def test_nothing_is_asked_about_nothing(
    index: PineconeIndex, emulator: PineconeEmulator
) -> None:
    assert await index.query(TENANT, "  ", 5) == []
    await index.upsert(TENANT, [])
    await index.delete(TENANT, [])
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("fault", "retryable", "status"),
    [
        (Fault(status=400), False, 400),
        (Fault(status=401), False, 401),
        (Fault(status=403), False, 403),
        (Fault(status=404), False, 404),
        (Fault(status=413), False, 413),
        (Fault(status=429), True, 429),
        (Fault(status=500), True, 500),
        (Fault(status=503), True, 503),
        (Fault(garbage=True), True, None),
        (Fault(hang_seconds=1.0), True, None),
    ],
    ids=repr,
)
async def test_refusals_say_whether_trying_again_helps(
    index: PineconeIndex,
    emulator: PineconeEmulator,
    fault: Fault,
    retryable: bool,
    status: int | None,
) -> None:
    emulator.faults.append(fault)
    with pytest.raises(ProviderError) as failed:
        await index.query(TENANT, "vidange", 5)
    assert (failed.value.retryable, failed.value.status) == (retryable, status)
    assert failed.value.vendor == "pinecone"
    assert not emulator.faults
    assert emulator.arrived == 1, "nothing is tried twice: a caller has no time for it"


async def test_nobody_there(emulator: PineconeEmulator) -> None:
    async with pinecone_index("key", "http://127.0.0.1:1") as index:
        with pytest.raises(ProviderError, match="no connection") as failed:
            await index.query(TENANT, "vidange", 5)
    assert failed.value.retryable


async def test_a_wrong_key_is_named_and_not_shown(host: str) -> None:
    async with pinecone_index("pcsk_wrong_secret", host) as index:
        with pytest.raises(ProviderError, match="PINECONE_API_KEY") as failed:
            await index.upsert(TENANT, [entry(1)])
    assert "wrong_secret" not in str(failed.value)


def test_a_caller_waits_less_than_a_second() -> None:
    assert QUERY_SECONDS < 1


@given(st.text(min_size=1, max_size=60), st.text(min_size=1, max_size=60))
def test_two_tenants_never_share_a_namespace(one: str, other: str) -> None:
    names = {namespace_of(one), namespace_of(other)}
    assert len(names) == len({one, other})
    for name in names:
        assert name.isascii()
        assert name.isprintable()
        assert 1 <= len(name) <= 512
        assert name != "__default__"


def test_lookalikes_have_their_own_namespaces() -> None:
    ids = ["a", "x-61", "a ", "é", "tenant-a", "61"]
    assert len({namespace_of(each) for each in ids}) == len(ids)
    with pytest.raises(ValueError, match="1 to 250"):
        namespace_of("")


@given(st.lists(st.integers(0, 400_000), max_size=120))
def test_parts_are_small_enough_and_lose_nothing(sizes: list[int]) -> None:
    entries = [IndexEntry(str(n), "d", "x" * size) for n, size in enumerate(sizes)]
    parts = batches(entries)
    assert [each for part in parts for each in part] == entries
    for part in parts:
        assert 0 < len(part) <= MAX_BATCH
        assert len(part) == 1 or sum(len(each.text) for each in part) <= MAX_BATCH_BYTES
    for part, after in pairwise(parts):
        assert len(part) == MAX_BATCH or len(after) >= 1


# -------------------------------------------------------- the emulator refuses what the vendor does

HEADERS = {"Api-Key": "pcsk_test", "X-Pinecone-Api-Version": "2026-07"}
UPSERT, SEARCH, DELETE = (
    f"/namespaces/t/documents/{verb}" for verb in ("upsert", "search", "delete")
)
CLAUSE = {"type": "embed", "field": "text", "query": "vidange"}


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        (UPSERT, {"documents": [{"_id": "1", "text": "x"}]}, {"Api-Key": ""}, 401),
        (UPSERT, {"documents": [{"_id": "1", "text": "x"}]}, {"X-Pinecone-Api-Version": ""}, 400),
        (
            UPSERT,
            {"documents": [{"_id": "1", "text": "x"}]},
            {"X-Pinecone-Api-Version": "2031-01"},
            400,
        ),
        (UPSERT, {"documents": [{"_id": "1", "text": "x"}]}, {"Content-Type": "text/plain"}, 415),
        (UPSERT, {"documents": []}, {}, 400),
        (UPSERT, {"documents": [{"_id": str(n), "text": "x"} for n in range(97)]}, {}, 400),
        (UPSERT, {"documents": [{"_id": "1", "text": "x"}], "namespace": "y"}, {}, 400),
        (UPSERT, {"documents": [{"_id": "1", "text": "x", "note": None}]}, {}, 400),
        (UPSERT, {"documents": [{"_id": "1", "text": "x", "_score": 1}]}, {}, 400),
        (UPSERT, {"documents": [{"_id": "é", "text": "x"}]}, {}, 400),
        (UPSERT, {"documents": [{"_id": "1"}]}, {}, 400),
        (UPSERT, {"documents": [{"_id": "1", "text": "x" * 2**21}]}, {}, 413),
        (SEARCH, {"score_by": [CLAUSE], "top_k": 0}, {}, 400),
        (SEARCH, {"score_by": [CLAUSE], "top_k": 10_001}, {}, 400),
        (SEARCH, {"score_by": [CLAUSE, CLAUSE], "top_k": 3}, {}, 400),
        (SEARCH, {"score_by": [{**CLAUSE, "field": "other"}], "top_k": 3}, {}, 400),
        (SEARCH, {"score_by": [CLAUSE], "top_k": 3, "topK": 3}, {}, 400),
        (DELETE, {"ids": ["1"]}, {}, 404),
        (SEARCH, {"score_by": [CLAUSE], "top_k": 3}, {}, 200),
        (UPSERT, {"documents": [{"_id": "1", "text": "x", "tags": ["a"]}]}, {}, 202),
    ],
)
async def test_the_emulator_is_as_strict_as_the_vendor(
    host: str, path: str, body: object, headers: dict[str, str], status: int
) -> None:
    async with httpx.AsyncClient(base_url=host) as http:
        content = {"Content-Type": "application/json"}
        answer = await http.post(path, json=body, headers={**content, **HEADERS, **headers})
    assert answer.status_code == status, answer.text
