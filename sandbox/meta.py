"""Meta on loopback: the Graph API of WhatsApp numbers, and signed webhooks.

Whoever the webhooks go to is told by `webhook_url`; it must answer Meta's question for the verify
token before anything is sent there.
"""

import asyncio
import contextlib
import hashlib
import hmac
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.cloud_api import Account, CloudApi, GraphError, Person, Sent
from sandbox.loopback_http import serving
from sandbox.trust import trust_store

#: "median <= 250 ms" is what Meta wants; this is where the sandbox stops waiting.
WEBHOOK_SECONDS = 10.0
VERSIONS = frozenset(f"v{n}.0" for n in range(22, 27))


@dataclass
class MetaEmulator:
    """`tokens` → the ids of the numbers that each may use. `told`: the statuses of the answers to
    what was sent to the webhook. Statuses of messages go out by `tell`: a test says when."""

    tokens: dict[str, frozenset[str]]
    app_secret: str = "sandbox-app-secret"
    verify_token: str = "sandbox-verify-token"
    now: Callable[[], float] = time.time
    webhook_url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    told: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = CloudApi(self.now)
        self.url = ""
        self._untold: list[Sent] = []

    def add(self, account: Account) -> Account:
        """One more number."""
        self.api.accounts[account.phone_number_id] = account
        return account

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """The base URL, while the block runs."""
        async with (
            serving(self.app()) as port,
            httpx.AsyncClient(
                trust_env=False, verify=trust_store(), timeout=WEBHOOK_SECONDS
            ) as self._http,
        ):
            self.url = f"http://127.0.0.1:{port}"
            yield self.url

    def app(self) -> Starlette:
        """As an ASGI application."""
        number, media = "/{version}/{number}", "/{version}/{number}/message_templates"
        return Starlette(
            routes=[
                Route(f"{number}/messages", self._answering(self._post), methods=["POST"]),
                Route(media, self._answering(self._templates), methods=["GET"]),
                Route("/media-files/{media}", self._answering(self._file), methods=["GET"]),
                Route(number, self._answering(self._get), methods=["GET"]),
            ]
        )

    # ------------------------------------------------------------------ the Graph API

    def _answering(self, handle: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            self.requests.append((request.method, request.url.path))
            try:
                answer: Response = await handle(request, self._allowed(request))
            except GraphError as error:
                return JSONResponse(error.body(), error.status)
            return answer

        return endpoint

    def _allowed(self, request: Request) -> frozenset[str]:
        version = request.path_params.get("version")
        if version is not None and version not in VERSIONS:
            raise GraphError(400, 2635, f"Unknown version {version}")
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.tokens:
            raise GraphError(401, 190, "Invalid OAuth access token")
        return self.tokens[token]

    def _account(self, request: Request, allowed: Iterable[str]) -> Account:
        number = request.path_params["number"]
        account = self.api.accounts.get(number)
        if account is None or number not in allowed:
            raise GraphError(400, 100, f"Unsupported request. Object with ID '{number}'")
        return account

    async def _post(self, request: Request, allowed: frozenset[str]) -> Response:
        answer, sent = self.api.post(self._account(request, allowed), await _json(request))
        return await self._after(answer, sent)

    async def _after(self, answer: Mapping[str, Any], sent: Sent | None) -> Response:
        if sent is not None:
            if sent.fate.status:
                return JSONResponse({"error": {"code": 2, "message": "Later"}}, sent.fate.status)
            self._untold.append(sent)
            if sent.fate.accept_then == "hang":
                await asyncio.Event().wait()
            if sent.fate.accept_then == "cut":
                return Response(b"", headers={"content-length": "512"})  # 512 bytes never come
        return JSONResponse(answer)

    async def _get(self, request: Request, allowed: frozenset[str]) -> Response:
        media = self.api.media.get(request.path_params["number"])
        if media is not None:
            name, content = request.path_params["number"], media[1]
            described = {"url": f"{self.url}/media-files/{name}", "mime_type": media[0]}
            described["sha256"] = hashlib.sha256(content).hexdigest()
            return JSONResponse(described | {"id": name, "file_size": len(content)})
        account = self._account(request, allowed)
        wanted = request.query_params.get("fields", "verified_name").split(",")
        known = {
            "display_phone_number": account.number,
            "verified_name": account.name,
            "quality_rating": "GREEN",
        }
        if not set(wanted) <= known.keys():
            raise GraphError(400, 100, "Tried accessing nonexisting field")
        return JSONResponse(
            {each: known[each] for each in wanted} | {"id": account.phone_number_id}
        )

    async def _templates(self, request: Request, allowed: frozenset[str]) -> Response:
        waba = request.path_params["number"]
        found = [
            template.resource()
            for account in self.api.accounts.values()
            if account.waba_id == waba and account.phone_number_id in allowed
            for template in account.templates
        ]
        return JSONResponse({"data": found, "paging": {}})

    async def _file(self, request: Request, allowed: frozenset[str]) -> Response:
        kind, content = self.api.media[request.path_params["media"]]
        return Response(content, media_type=kind)

    # ------------------------------------------------------------------ webhooks

    async def subscribe(self, url: str) -> bool:
        """Ask whether the server knows the verify token; True makes it the webhook."""
        challenge = secrets.token_hex(8)
        asked = {"hub.mode": "subscribe", "hub.challenge": challenge}
        params = asked | {"hub.verify_token": self.verify_token}
        answer = await self._http.get(url, params=params)
        if answer.status_code != 200 or answer.text != challenge:
            return False
        self.webhook_url = url
        return True

    async def writes(
        self, account: Account, person: Person, times: int = 1, **message: Any
    ) -> list[int]:
        """Somebody writes; told `times`, all at once. `text="…"` or a whole type's object."""
        if isinstance(message.get("text"), str):
            message = message | {"type": "text", "text": {"body": message["text"]}}
        value = self.api.written(account, person, **message)
        return await self.post(self.api.envelope(account, "messages", value), times=times)

    async def tell(self) -> None:
        """All statuses that are to be told, in the order in which each message has them."""
        while self._untold:
            sent = self._untold.pop(0)
            account = self.api.accounts[sent.phone_number_id]
            for status in sent.fate.statuses:
                body = self.api.envelope(account, "messages", self.api.status(sent, status))
                await self.post(body, times=sent.fate.times)

    async def post(self, body: bytes, *, times: int = 1, signature: str | None = None) -> list[int]:
        """One body to the webhook, `times` at once; the answers' statuses. `signature`: instead of
        the right one, "" for none."""
        signed = hmac.new(self.app_secret.encode(), body, hashlib.sha256).hexdigest()
        value = f"sha256={signed}" if signature is None else signature
        headers = {"Content-Type": "application/json"}
        if value:
            headers["X-Hub-Signature-256"] = value

        async def once() -> int:
            answer = await self._http.post(self.webhook_url, content=body, headers=headers)
            return answer.status_code

        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(once()) for _ in range(times)]
        statuses = [each.result() for each in answers]
        self.told += statuses
        return statuses


async def _json(request: Request) -> Any:
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise GraphError(400, 100, "Content type is not JSON")
    try:
        return await request.json()
    except ValueError:
        raise GraphError(400, 100, "Not JSON") from None
