"""360dialog on loopback: the messaging API, webhooks as it sends them, and the partners' hub.

Facts: shared reference `text-channels.md` §2. The list of channels has the shape that 360dialog's
partner API is known to have (`partner_channels`); the reference doesn't show it.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.cloud_api import Account, CloudApi, GraphError, Person, Sent
from sandbox.loopback_http import serving
from sandbox.trust import trust_store

WEBHOOK_SECONDS = 10.0


@dataclass(slots=True)
class Channel:
    """One number at 360dialog. `permitted`: its client lets the partner make keys."""

    id: str
    client_id: str
    account: Account
    permitted: bool = True
    status: str = "running"
    api_key: str = ""
    webhook_url: str = ""
    webhook_headers: dict[str, str] = field(default_factory=dict)


class _Refused(Exception):
    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(str(body))
        self.status, self.body = status, body


@dataclass
class Dialog360Emulator:
    """One server for both APIs; `url` is the base of each.

    `api_key`: the partner's, or `login`: name and password for tokens. `wraps_keys`: a new key
    comes in a list, as in the older documentation. `address`: what is named as the messaging API
    with a new key, by default this server. `platform_secret`: signs webhooks when it is set.
    """

    partner_id: str = "sandboxPA"
    api_key: str = "partner-key"
    login: tuple[str, str] = ("partner@example.fr", "password")
    wraps_keys: bool = False
    address: str = ""
    platform_secret: str = ""
    now: Callable[[], float] = time.time
    channels: dict[str, Channel] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    told: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.api = CloudApi(self.now)
        self.url = ""
        self._tokens: set[str] = set()
        self._untold: list[Sent] = []

    def add(self, channel: Channel) -> Channel:
        """One more number."""
        self.channels[channel.id] = channel
        self.api.accounts[channel.account.phone_number_id] = channel.account
        return channel

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """The base URL of both APIs, while the block runs."""
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
        partner = "/api/v2/partners/{partner}/channels"
        table: list[tuple[str, str, Any]] = [
            ("POST", "/messages", self._messages),
            ("GET", "/v1/configs/templates", self._templates),
            ("GET", "/v1/configs/webhook", self._webhook),
            ("POST", "/v1/configs/webhook", self._set_webhook),
            ("POST", "/api/v2/token", self._token),
            ("GET", partner, self._list_channels),
            ("POST", f"{partner}/{{channel}}/api_keys", self._create_key),
            ("GET", "/{media}", self._media),
        ]
        return Starlette(
            routes=[
                Route(path, self._answering(handle), methods=[method])
                for method, path, handle in table
            ]
        )

    def _answering(self, handle: Any) -> Any:
        async def endpoint(request: Request) -> Response:
            self.requests.append((request.method, request.url.path))
            try:
                answer: Response = await handle(request)
            except _Refused as refused:
                return JSONResponse(refused.body, refused.status)
            except GraphError as error:
                return JSONResponse(error.body(), error.status)
            return answer

        return endpoint

    # ------------------------------------------------------------------ messaging

    def _channel(self, request: Request) -> Channel:
        key = request.headers.get("d360-api-key", "")
        for channel in self.channels.values():
            if channel.api_key and hmac.compare_digest(key.encode(), channel.api_key.encode()):
                return channel
        # The one answer in the gateway's own shape.
        raise _Refused(401, {"meta": {"developer_message": "Invalid api_key", "success": False}})

    async def _messages(self, request: Request) -> Response:
        channel = self._channel(request)
        try:
            body = await request.json()
        except ValueError:
            raise GraphError(400, 100, "Not JSON") from None
        answer, sent = self.api.post(channel.account, body)
        if sent is None:
            return JSONResponse(answer)
        if sent.fate.status:
            meta = {"developer_message": "Upstream", "http_code": sent.fate.status}
            return JSONResponse({"meta": meta}, sent.fate.status)
        self._untold.append(sent)
        if sent.fate.accept_then == "hang":
            await asyncio.Event().wait()
        return JSONResponse(answer)

    async def _templates(self, request: Request) -> Response:
        templates = [each.resource() for each in self._channel(request).account.templates]
        listed = {"count": len(templates), "limit": 1000, "offset": 0, "total": len(templates)}
        return JSONResponse(listed | {"waba_templates": templates})

    async def _webhook(self, request: Request) -> Response:
        channel = self._channel(request)
        return JSONResponse({"url": channel.webhook_url, "headers": channel.webhook_headers})

    async def _set_webhook(self, request: Request) -> Response:
        channel, body = self._channel(request), await request.json()
        url, headers = body.get("url", ""), body.get("headers", {})
        loopback = urlsplit(url).hostname == "127.0.0.1"
        if urlsplit(url).scheme != "https" and not loopback:
            raise _Refused(400, {"meta": {"developer_message": "url must be https"}})
        if not all(isinstance(value, str) for value in headers.values()):
            raise _Refused(400, {"meta": {"developer_message": "headers must be text"}})
        channel.webhook_url, channel.webhook_headers = url, dict(headers)
        return JSONResponse({"url": url, "headers": headers})

    async def _media(self, request: Request) -> Response:
        self._channel(request)
        media = self.api.media.get(request.path_params["media"])
        if media is None:
            raise GraphError(404, 100, "No such media")
        name, content = request.path_params["media"], media[1]
        # Meta's own address, which only opens with 360dialog's host in its place.
        described = {"url": f"https://lookaside.fbsbx.com/{name}", "mime_type": media[0]}
        described["sha256"] = hashlib.sha256(content).hexdigest()
        return JSONResponse(described | {"id": name, "file_size": len(content)})

    # ------------------------------------------------------------------ the hub

    async def _token(self, request: Request) -> Response:
        body = await request.json()
        if (body.get("username"), body.get("password")) != self.login:
            raise _Refused(401, {"meta": {"developer_message": "Wrong credentials"}})
        token = secrets.token_hex(16)
        self._tokens.add(token)
        return JSONResponse({"access_token": token, "token_type": "bearer", "expires_in": 86400})

    def _authenticate(self, request: Request) -> None:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        known = request.headers.get("x-api-key") == self.api_key
        if not known and not (kind == "Bearer" and token in self._tokens):
            raise _Refused(401, {"meta": {"developer_message": "Unauthorized"}})
        if request.path_params["partner"] != self.partner_id:
            raise _Refused(403, {"meta": {"developer_message": "Permission denied for partner"}})

    async def _list_channels(self, request: Request) -> Response:
        self._authenticate(request)
        try:
            filters = json.loads(request.query_params.get("filters", "{}"))
        except ValueError:
            raise _Refused(400, {"meta": {"developer_message": "filters must be JSON"}}) from None
        found = [
            _resource(channel)
            for channel in self.channels.values()
            if filters.get("id", channel.id) == channel.id
            and filters.get("client_id", channel.client_id) == channel.client_id
        ]
        return JSONResponse({"partner_channels": found, "count": len(found), "total": len(found)})

    async def _create_key(self, request: Request) -> Response:
        self._authenticate(request)
        channel = self.channels.get(request.path_params["channel"])
        if channel is None:
            raise _Refused(404, {"meta": {"developer_message": "Channel not found"}})
        if not channel.permitted:
            raise _Refused(403, {"meta": {"developer_message": "Permission denied for partner"}})
        channel.api_key = secrets.token_urlsafe(24)
        # "Creating a new API key invalidates old keys AND the webhook URL."
        channel.webhook_url, channel.webhook_headers = "", {}
        key = {"id": "201126", "app_id": "104148", "api_key": channel.api_key}
        key["address"] = self.address or self.url
        return JSONResponse({"api_keys": [key]} if self.wraps_keys else key, status_code=201)

    # ------------------------------------------------------------------ webhooks

    async def writes(
        self, channel: Channel, person: Person, times: int = 1, **message: Any
    ) -> list[int]:
        """Somebody writes; told `times`, all at once. `text="…"` or a whole type's object."""
        if isinstance(message.get("text"), str):
            message = message | {"type": "text", "text": {"body": message["text"]}}
        value = self.api.written(channel.account, person, **message)
        return await self.post(
            channel, self.api.envelope(channel.account, "messages", value), times=times
        )

    async def tell(self) -> None:
        """All statuses that are to be told."""
        by_account = {each.account.phone_number_id: each for each in self.channels.values()}
        while self._untold:
            sent = self._untold.pop(0)
            channel = by_account[sent.phone_number_id]
            for status in sent.fate.statuses:
                value = self.api.status(sent, status)
                body = self.api.envelope(channel.account, "messages", value)
                await self.post(channel, body, times=sent.fate.times)

    async def post(
        self,
        channel: Channel,
        body: bytes,
        *,
        times: int = 1,
        signed: Literal["hex", "prefixed"] = "hex",
    ) -> list[int]:
        """One body to the channel's webhook with its headers, `times` at once; the answers."""
        headers = {"Content-Type": "application/json", **channel.webhook_headers}
        if self.platform_secret:
            mac = hmac.new(self.platform_secret.encode(), body, hashlib.sha256).hexdigest()
            headers["x-360dialog-signature"] = mac if signed == "hex" else f"sha256={mac}"

        async def once() -> int:
            answer = await self._http.post(channel.webhook_url, content=body, headers=headers)
            return answer.status_code

        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(once()) for _ in range(times)]
        statuses = [each.result() for each in answers]
        self.told += statuses
        return statuses

    def redirect(self, state: str, *channels: Channel, revoked: tuple[str, ...] = ()) -> str:
        """The query of the redirect after an onboarding: lists in brackets, unquoted, unsigned."""
        given = ",".join(channel.id for channel in channels)
        client = channels[0].client_id if channels else "CLnone"
        query = f"client={client}&channels=[{given}]"
        query += f"&revoked=[{','.join(revoked)}]" if revoked else ""
        return f"{query}&state={state}"


def _resource(channel: Channel) -> dict[str, Any]:
    return {
        "id": channel.id,
        "client_id": channel.client_id,
        "client": {"id": channel.client_id, "name": channel.account.name},
        "status": channel.status,
        "type": "waba",
        "setup_info": {
            "phone_number": re.sub(r"\D", "", channel.account.number),
            "phone_name": channel.account.name,
        },
        "waba_account": {"id": "WA" + channel.id, "external_id": channel.account.waba_id},
        "integration": {"enabled": True, "state": channel.status},
    }
