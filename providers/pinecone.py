"""Pinecone: a tenant's passages found by meaning. One namespace per tenant, ids and text to find
them by; what is said stands in our own rows.

A *document index* with one `string` field that Pinecone embeds itself (`embed`): nothing is
embedded here, so question and passage can't be embedded by different models. The older index kinds
(vectors of one's own, "legacy integrated") are deprecated since API 2026-07.
https://docs.pinecone.io/guides/indexes/indexing-overview
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final, TypeVar

import httpx
import msgspec
from pinecone import AsyncIndex, RetryConfig
from pinecone.errors.exceptions import (
    ApiError,
    ForbiddenError,
    NotFoundError,
    PineconeConnectionError,
    PineconeError,
    PineconeTimeoutError,
    RateLimitError,
    ResponseParsingError,
    ServiceError,
    UnauthorizedError,
)
from pinecone.models.documents.score_by import EmbedQuery

from domain.errors import ProviderError
from domain.knowledge import IndexEntry

Result = TypeVar("Result")

# The client reports every request, with its namespace, at INFO.
logging.getLogger("pinecone").setLevel(logging.WARNING)

VENDOR: Final = "pinecone"
#: The field that the index embeds; `docs/decisions/0017-pinecone.md` has the index to create.
TEXT_FIELD: Final = "text"
#: Which document a passage is of: for whoever looks at the index, and for a filter some day.
DOCUMENT_FIELD: Final = "document_id"

#: A caller waits for it, s. What it may take in all: the SDK's own limit is per attempt.
QUERY_SECONDS: Final = 0.7
#: In a job nobody waits.
WRITE_SECONDS: Final = 20.0
#: Requests with text are embedded at Pinecone: at most 96 each, and 2 MB with their JSON.
#: https://docs.pinecone.io/reference/api/database-limits
MAX_BATCH: Final = 96
MAX_BATCH_BYTES: Final = 1_500_000
#: Ids of one deletion; same page.
MAX_DELETED: Final = 1000
#: A question is a sentence. Longer ones cost tokens and say no more.
MAX_QUESTION: Final = 1000
MAX_RESULTS: Final = 100

#: What a namespace may be called without anything being written otherwise.
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def namespace_of(tenant_id: str) -> str:
    """Where a tenant's passages are: never the default namespace, and never another tenant's,
    since each of two names begins differently or ends differently. ASCII, at most 512 characters,
    as Pinecone demands."""
    if _PLAIN.fullmatch(tenant_id):
        return f"tenant-{tenant_id}"
    encoded = tenant_id.encode("utf-8", "surrogatepass").hex()
    if not encoded or len(encoded) > 500:
        raise ValueError("a tenant's id has 1 to 250 bytes")
    return f"tenantx-{encoded}"


class PineconeIndex:
    """`domain.knowledge.PassageIndex`. Belongs to one event loop; `pinecone_index` closes it."""

    def __init__(self, index: AsyncIndex) -> None:
        self._index = index

    async def upsert(self, tenant_id: str, entries: Sequence[IndexEntry]) -> None:
        """Add or replace; visible within a minute, says Pinecone, mostly within seconds."""
        for batch in batches(entries):
            documents = [
                {"_id": each.chunk_id, TEXT_FIELD: each.text, DOCUMENT_FIELD: each.document_id}
                for each in batch
            ]
            request = self._index.documents.upsert(
                namespace=namespace_of(tenant_id), documents=documents, timeout=WRITE_SECONDS
            )
            await _within(WRITE_SECONDS, request)

    async def delete(self, tenant_id: str, chunk_ids: Sequence[str]) -> None:
        """Forget these; those that aren't there are no error."""
        for at in range(0, len(chunk_ids), MAX_DELETED):
            request = self._index.documents.delete(
                namespace=namespace_of(tenant_id),
                ids=list(chunk_ids[at : at + MAX_DELETED]),
                timeout=WRITE_SECONDS,
            )
            await _within(WRITE_SECONDS, _unless_absent(request))

    async def delete_tenant(self, tenant_id: str) -> None:
        """Forget the whole namespace."""
        request = self._index.delete_namespace(name=namespace_of(tenant_id), timeout=WRITE_SECONDS)
        await _within(WRITE_SECONDS, _unless_absent(request))

    async def query(self, tenant_id: str, question: str, limit: int) -> list[tuple[str, float]]:
        """(chunk id, score) of the nearest, best first. Raises ProviderError, after
        QUERY_SECONDS at the latest."""
        if not question.strip():
            return []
        request = self._index.documents.search(
            namespace=namespace_of(tenant_id),
            score_by=[EmbedQuery(field=TEXT_FIELD, query=question[:MAX_QUESTION])],
            top_k=max(1, min(limit, MAX_RESULTS)),
            include_fields=[],
            timeout=QUERY_SECONDS,
        )
        answer = await _within(QUERY_SECONDS, request)
        with _errors():
            found = [(match.id, _score(match.score)) for match in answer.matches]
        found.sort(key=lambda each: -each[1])
        return found


@asynccontextmanager
async def pinecone_index(api_key: str, host: str) -> AsyncIterator[PineconeIndex]:
    """The index at this address (`PINECONE_HOST`), while the block runs. Opening reaches nobody.

    Nothing is tried twice here: a caller has no time for it, and jobs try again by themselves.
    """
    # Not `AsyncPinecone.index`: it would add nothing but a client of the control plane.
    index = AsyncIndex(host=host, api_key=api_key, timeout=WRITE_SECONDS)
    _try_once(index)
    async with index:
        yield PineconeIndex(index)


def _try_once(index: AsyncIndex) -> None:
    """Turn the client's own retries off. `RetryConfig` is public, but pinecone 10.2 hands it to
    its control plane only; so it is set where the index's transport will read it. Held by a test
    that counts requests (`tests/providers/test_pinecone.py`)."""
    http = index._http
    http._config = replace(http._config, retry_config=RetryConfig(max_retries=0))


def batches(entries: Sequence[IndexEntry]) -> list[list[IndexEntry]]:
    """Parts that Pinecone takes, by number and size."""
    parts: list[list[IndexEntry]] = []
    size = 0
    for entry in entries:
        bytes_ = len(entry.text.encode("utf-8", "replace")) * 2 + 200  # escaped, at worst
        if not parts or len(parts[-1]) == MAX_BATCH or size + bytes_ > MAX_BATCH_BYTES:
            parts.append([])
            size = 0
        parts[-1].append(entry)
        size += bytes_
    return parts


async def _within(seconds: float, request: Awaitable[Result]) -> Result:
    try:
        async with asyncio.timeout(seconds):
            with _errors():
                return await request
    except TimeoutError as error:
        raise _failed(f"no answer within {seconds:g} s", retryable=True) from error


async def _unless_absent(request: Awaitable[Any]) -> None:
    """What isn't there needs no deleting: a namespace comes with its first passage."""
    try:
        await request
    except NotFoundError:
        return


class _errors:
    """The client's exceptions as ProviderError. Their messages aren't repeated: a server's answer
    may quote what was asked."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, PineconeTimeoutError):
            raise _failed("no answer in time", retryable=True) from error
        if isinstance(error, PineconeConnectionError | httpx.TransportError):
            raise _failed("no connection", retryable=True) from error
        if isinstance(error, ApiError):
            raise _refused(error) from error
        if isinstance(error, ResponseParsingError | msgspec.MsgspecError | AttributeError):
            raise _failed("an answer that can't be read", retryable=True) from error
        if isinstance(error, PineconeError):
            raise _failed("a request that its client refuses", retryable=False) from error


def _refused(error: ApiError) -> ProviderError:
    retryable = isinstance(error, RateLimitError | ServiceError) or error.status_code == 408
    reason = {
        UnauthorizedError: "the key is wrong (PINECONE_API_KEY)",
        ForbiddenError: "the key may not do this (PINECONE_API_KEY)",
        NotFoundError: "there is no such index or namespace (PINECONE_HOST)",
        RateLimitError: "too many requests, or the plan's units are used up",
    }.get(type(error), f"status {error.status_code}")
    return ProviderError(
        VENDOR,
        reason,
        retryable=retryable,
        status=error.status_code,
        code=str(error.error_code or ""),
    )


def _failed(reason: str, *, retryable: bool) -> ProviderError:
    return ProviderError(VENDOR, reason, retryable=retryable)


def _score(score: float | None) -> float:
    return max(0.0, min(1.0, float(score or 0.0)))
