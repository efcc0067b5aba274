"""An emulator of one Pinecone document index on 127.0.0.1, API version 2026-07.

https://docs.pinecone.io/reference/api/2026-07/data-plane/upsert_documents (search, delete likewise)
The index has one string field that Pinecone embeds. What is written is searchable some time later,
as at the vendor's. "Meaning" is played by shared words and beginnings of words, the rare ones
weighing more: enough to tell passages apart, and no better than that.
"""

import asyncio
import contextlib
import json
import math
import re
import time
import unicodedata
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.loopback_http import serving

API_VERSIONS = frozenset({"2026-07"})
#: https://docs.pinecone.io/reference/api/database-limits
MAX_EMBEDDED_DOCUMENTS = 96
MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_METADATA_BYTES = 40 * 1024
MAX_ID = 512
MAX_DELETED_IDS = 1000
MAX_TOP_K = 10_000

_STOP = frozenset(
    "a ai as au aux avec ce ces combien comment dans de des du elle en est et etes fait faites il "
    "ils je la le les leur ma mes mon ne nos notre nous on ou par pas pour quand que quel quelle "
    "quels qui sa se ses si son sont sur ta te tu un une vos votre vous y c d j l m n qu s t "
    "coute coutent prix tarif euros eur the of is are how much do you".split()
)


@dataclass
class Fault:
    """What happens to the next request instead of its answer."""

    status: int = 0
    hang_seconds: float = 0.0
    garbage: bool = False


@dataclass
class _Stored:
    document: dict[str, Any]
    visible_at: float
    gone_at: float = math.inf


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass
class PineconeEmulator:
    """`visible_after`: seconds until a write shows. `arrived`: how many requests came in all,
    `requests`: those that were well-formed, as (method, path, body)."""

    api_key: str = "pcsk_test"
    text_field: str = "text"
    visible_after: float = 0.0
    now: Callable[[], float] = time.monotonic
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    arrived: int = 0
    _namespaces: dict[str, dict[str, list[_Stored]]] = field(default_factory=dict)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """The index's address, while the block runs."""
        async with serving(self.app()) as port:
            yield f"http://127.0.0.1:{port}"

    def app(self) -> Starlette:
        """As an ASGI application."""
        documents = "/namespaces/{namespace}/documents"
        return Starlette(
            routes=[
                Route(f"{documents}/upsert", self._answering(self._upsert), methods=["POST"]),
                Route(f"{documents}/search", self._answering(self._search), methods=["POST"]),
                Route(f"{documents}/delete", self._answering(self._delete), methods=["POST"]),
                Route(
                    "/namespaces/{namespace}",
                    self._answering(self._delete_namespace),
                    methods=["DELETE"],
                ),
            ]
        )

    def texts(self, namespace: str) -> list[str]:
        """What a namespace shows now."""
        return [each[self.text_field] for each in self._visible(namespace)]

    @property
    def namespaces(self) -> set[str]:
        """All that were ever written to and not deleted."""
        return set(self._namespaces)

    # ------------------------------------------------------------------------- the request

    def _answering(self, handle: Callable[[str, Any], Response]) -> Any:
        async def endpoint(request: Request) -> Response:
            raw = await request.body()
            self.arrived += 1
            fault = self.faults.popleft() if self.faults else Fault()
            if fault.hang_seconds:
                await asyncio.sleep(fault.hang_seconds)
            if fault.garbage:
                return Response(b"<html>502 Bad Gateway", media_type="text/html")
            if fault.status:
                return _problem(fault.status, "FAULT", "as ordered")
            try:
                self._check_headers(request)
                body = _body(request, raw)
                namespace = unquote(request.path_params["namespace"])
                if not namespace.isascii() or not 1 <= len(namespace) <= MAX_ID:
                    raise _Refused(400, "INVALID_ARGUMENT", "namespace: 1 to 512 ASCII characters")
                self.requests.append((request.method, request.url.path, body))
                return handle(namespace, body)
            except _Refused as refused:
                self.refusals.append(refused.message)
                return _problem(refused.status, refused.code, refused.message)

        return endpoint

    def _check_headers(self, request: Request) -> None:
        if request.headers.get("api-key") != self.api_key:
            raise _Refused(401, "UNAUTHENTICATED", "Invalid API Key")
        version = request.headers.get("x-pinecone-api-version")
        if version not in API_VERSIONS:
            raise _Refused(400, "INVALID_ARGUMENT", f"unsupported API version {version!r}")

    # ----------------------------------------------------------------------------- verbs

    def _upsert(self, namespace: str, body: Any) -> Response:
        _only(body, {"documents"})
        documents = body.get("documents")
        if not isinstance(documents, list) or not documents:
            raise _Refused(400, "INVALID_ARGUMENT", "documents: at least one")
        if len(documents) > MAX_EMBEDDED_DOCUMENTS:
            limit = f"at most {MAX_EMBEDDED_DOCUMENTS} documents with embedded fields"
            raise _Refused(400, "INVALID_ARGUMENT", limit)
        for document in documents:
            self._check_document(document)
        if len({each["_id"] for each in documents}) < len(documents):
            raise _Refused(400, "INVALID_ARGUMENT", "duplicate _id")
        stored = self._namespaces.setdefault(namespace, {})
        visible_at = self.now() + self.visible_after
        for document in documents:
            versions = stored.setdefault(document["_id"], [])
            for version in versions:
                version.gone_at = min(version.gone_at, visible_at)
            versions.append(_Stored(document, visible_at))
        tokens = sum(len(each[self.text_field].split()) for each in documents)
        answer = {"upserted_count": len(documents), "usage": {"embed_total_tokens": tokens}}
        return JSONResponse(answer, status_code=202)

    def _check_document(self, document: Any) -> None:
        if not isinstance(document, dict):
            raise _Refused(400, "INVALID_ARGUMENT", "a document is an object")
        _check_id(document.get("_id"))
        for name, value in document.items():
            if name != "_id" and name.startswith(("_", "$")):
                raise _Refused(400, "INVALID_ARGUMENT", f"field {name}: reserved")
            kinds = (str, bool, int, float)
            listed = isinstance(value, list) and all(isinstance(each, str) for each in value)
            if not isinstance(value, kinds) and not listed:
                raise _Refused(400, "INVALID_ARGUMENT", f"field {name}: null or no metadata type")
        text = document.get(self.text_field)
        if not isinstance(text, str) or not text.strip():
            raise _Refused(400, "INVALID_ARGUMENT", f"field {self.text_field} is required")
        metadata = {name: value for name, value in document.items() if name != self.text_field}
        if len(json.dumps(metadata).encode()) > MAX_METADATA_BYTES:
            raise _Refused(400, "INVALID_ARGUMENT", "metadata: at most 40 KB")

    def _search(self, namespace: str, body: Any) -> Response:
        _only(body, {"score_by", "top_k", "include_fields", "filter"})
        clause = self._clause(body.get("score_by"))
        top_k = body.get("top_k")
        if not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= MAX_TOP_K:
            raise _Refused(400, "INVALID_ARGUMENT", f"top_k: 1 to {MAX_TOP_K}")
        fields = body.get("include_fields")
        documents = self._visible(namespace)
        scored = sorted(
            zip(_scores(clause["query"], self._texts(documents)), documents, strict=True),
            key=lambda pair: -pair[0],
        )
        matches = [
            {"_id": document["_id"], "_score": round(score, 6), **_chosen(document, fields)}
            for score, document in scored[:top_k]
        ]
        usage = {"read_units": 1, "embed_total_tokens": len(clause["query"].split())}
        return JSONResponse({"matches": matches, "namespace": namespace, "usage": usage})

    def _clause(self, score_by: Any) -> dict[str, Any]:
        if not isinstance(score_by, list) or len(score_by) != 1:
            raise _Refused(400, "INVALID_ARGUMENT", "score_by: an embed clause stands alone")
        clause: dict[str, Any] = score_by[0]
        _only(clause, {"type", "field", "query"})
        if clause.get("type") != "embed" or clause.get("field") != self.text_field:
            raise _Refused(400, "INVALID_ARGUMENT", "score_by: no such embedded field")
        if not isinstance(clause.get("query"), str) or not clause["query"].strip():
            raise _Refused(400, "INVALID_ARGUMENT", "score_by: query is empty")
        return clause

    def _delete(self, namespace: str, body: Any) -> Response:
        _only(body, {"ids", "delete_all", "filter"})
        if namespace not in self._namespaces:
            raise _Refused(404, "NOT_FOUND", "Namespace not found")
        stored = self._namespaces[namespace]
        if body.get("delete_all") is True and "ids" not in body:
            ids = list(stored)
        else:
            ids = body.get("ids")
            if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_DELETED_IDS:
                raise _Refused(400, "INVALID_ARGUMENT", f"ids: 1 to {MAX_DELETED_IDS}")
        for each in ids:
            _check_id(each)
            for version in stored.get(each, []):
                version.gone_at = min(version.gone_at, self.now() + self.visible_after)
        return JSONResponse({}, status_code=202)

    def _delete_namespace(self, namespace: str, _body: Any) -> Response:
        if self._namespaces.pop(namespace, None) is None:
            raise _Refused(404, "NOT_FOUND", "Namespace not found")
        return JSONResponse({}, status_code=202)

    # --------------------------------------------------------------------------- contents

    def _visible(self, namespace: str) -> list[dict[str, Any]]:
        at = self.now()
        return [
            version.document
            for versions in self._namespaces.get(namespace, {}).values()
            for version in versions
            if version.visible_at <= at < version.gone_at
        ]

    def _texts(self, documents: Iterable[dict[str, Any]]) -> list[str]:
        return [each[self.text_field] for each in documents]


# ----------------------------------------------------------------------------------- the wire


def _body(request: Request, raw: bytes) -> Any:
    if request.method == "DELETE":
        return {}
    if len(raw) > MAX_BODY_BYTES:
        raise _Refused(413, "PAYLOAD_TOO_LARGE", "at most 2 MB")
    if request.headers.get("content-type", "").split(";")[0] != "application/json":
        raise _Refused(415, "INVALID_ARGUMENT", "content-type must be application/json")
    try:
        body = json.loads(raw)
    except ValueError:
        raise _Refused(400, "INVALID_ARGUMENT", "the body is no JSON") from None
    if not isinstance(body, dict):
        raise _Refused(400, "INVALID_ARGUMENT", "the body is no object")
    return body


def _only(value: Any, known: set[str]) -> None:
    if not isinstance(value, dict) or value.keys() - known:
        raise _Refused(400, "INVALID_ARGUMENT", f"unknown fields; known are {sorted(known)}")


def _check_id(value: Any) -> None:
    if not isinstance(value, str) or not value.isascii() or not 1 <= len(value) <= MAX_ID:
        raise _Refused(400, "INVALID_ARGUMENT", "_id: 1 to 512 ASCII characters")


def _chosen(document: dict[str, Any], fields: Any) -> dict[str, Any]:
    if fields is None or fields == ["*"]:
        return {name: value for name, value in document.items() if name != "_id"}
    return {name: document[name] for name in fields if name in document}


def _problem(status: int, code: str, message: str) -> Response:
    return JSONResponse(
        {"error": {"code": code, "message": message}, "status": status}, status_code=status
    )


# ------------------------------------------------------------------------------------ meaning


def _words(text: str) -> set[str]:
    plain = unicodedata.normalize("NFKD", text.lower().replace("œ", "oe"))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    words = re.findall(r"[a-z0-9]+", plain)
    return {word[:-1] if len(word) > 3 and word[-1] in "sx" else word for word in words} - _STOP


def _scores(query: str, texts: list[str]) -> list[float]:
    """How much of the question each text covers, 0..1."""
    asked = _words(query)
    contents = [_words(text) for text in texts]
    weights = {
        word: math.log(1 + (len(texts) + 1) / (1 + sum(_likeness(word, c) > 0 for c in contents)))
        for word in asked
    }
    whole = sum(weights.values()) or 1.0
    return [
        sum(weight * _likeness(word, content) for word, weight in weights.items()) / whole
        for content in contents
    ]


def _likeness(word: str, content: set[str]) -> float:
    if word in content:
        return 1.0
    begins = len(word) >= 5 and any(other[:5] == word[:5] for other in content)
    return 0.8 if begins and not any(c.isdigit() for c in word) else 0.0
