"""An emulator of Vapi on 127.0.0.1: REST, both transports, tool calls and server messages.

Behaviour: https://docs.vapi.ai and shared/reference/vapi-openai-pinecone.md §1. Strict where the
vendor is documented to be. The assistants' minds are a scenario's rules, as the emulated realtime
model's are.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request as SocketRequest
from websockets.http11 import Response as SocketResponse

from sandbox.audio import MAX_TAG
from sandbox.brain import Brain
from sandbox.loopback_http import serving
from sandbox.trust import trust_store
from sandbox.vapi_call import EmulatedCall, Surroundings
from sandbox.vapi_faults import Outage, VapiFaults
from sandbox.vapi_line import call_id_of, refusal
from sandbox.vapi_record import CallRecord
from sandbox.vapi_schema import Refused, check_assistant, check_call

#: Lines of an account without more bought (docs.vapi.ai/calls/call-concurrency).
CONCURRENCY = 10
#: A call that nobody joins is given up.
JOIN_SECONDS = 20.0
PAGE = 100
MAX_PAGE = 1000
#: Of the account; its private key is each emulator's own.
PUBLIC_KEY = "8f2a6c1e-5d0b-4f6e-9a57-2f1f0d6b3c44"
PHONE_NUMBER_ID = "3f0c2c1a-6a2e-4c37-9d53-6d0f6a5b7c11"
# What an assistant says is stamped like what a realtime session says (the highest bit), and unlike
# any of those (the next one).
AGENT_TAG_BITS = 3 << (MAX_TAG.bit_length() - 2)

Published = Callable[[int, str, bytes], None]
OnEvent = Callable[[str, dict[str, Any]], None]
Endpoint = Callable[[Request], Awaitable[Response]]


class _Problem(Exception):
    def __init__(self, status: int, error: str, message: str | list[str]) -> None:
        super().__init__(str(message))
        self.status, self.error, self.message = status, error, message


class VapiEmulator:
    """`brains`, `published` and `on_event` as of `RealtimeEmulator`. `calls`: by id, in order of
    creation; `requests`: (method, path, body) of what was changed; `shapes`: of tool calls, in turn
    (all of `vapi_messages.SHAPES` unless set)."""

    def __init__(
        self,
        api_key: str,
        brains: Callable[[int | None], Brain],
        *,
        concurrency: int = CONCURRENCY,
        latency_ms: int = 250,
        faults: VapiFaults | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.faults = faults or VapiFaults()
        #: Of the calls of one assistant, instead of `faults`.
        self.faults_of: dict[str, VapiFaults] = {}
        self.assistants: dict[str, dict[str, Any]] = {}
        self.calls: dict[str, CallRecord] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.refusals: list[str] = []
        self.published: Published | None = None
        self.on_event: OnEvent | None = None
        self.phone_number_ids = {PHONE_NUMBER_ID}
        self.concurrency = concurrency
        self.join_seconds = JOIN_SECONDS
        self.shapes: tuple[str, ...] = ()
        self.transport_url = ""  # named instead of our own
        self.oldest_first = False  # how assistants are listed isn't documented
        self._api_key = api_key
        self._brains = brains
        self._latency_s = latency_ms / 1000
        self._now = now
        self._running: dict[str, EmulatedCall] = {}
        self._controls: dict[str, str] = {}
        self._org = str(uuid4())
        self._stack = AsyncExitStack()
        self._tasks: asyncio.TaskGroup | None = None
        self._client: httpx.AsyncClient | None = None
        self._server: Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """What VAPI_BASE_URL is to be."""
        if not self._port:
            raise RuntimeError("the emulator is not running: use `async with`")
        return f"http://127.0.0.1:{self._port}"

    @property
    def live(self) -> list[CallRecord]:
        """Calls that have not ended: each takes one of the account's lines."""
        return [each for each in self.calls.values() if not each.ended]

    def call_of(self, call_tag: int) -> CallRecord | None:
        """The latest call that heard this caller."""
        return next(
            (each for each in reversed(self.calls.values()) if each.call_tag == call_tag), None
        )

    def befall(self, call_tag: int, faults: VapiFaults) -> bool:
        """From now on the call that hears this caller has these faults, and the account their
        outages. False: there is none."""
        record = self.call_of(call_tag)
        if record is None or record.ended:
            return False
        self._running[record.id].befall(faults)
        self.faults.outages.extend(faults.outages)
        return True

    async def __aenter__(self) -> Self:
        self._client = await self._stack.enter_async_context(
            httpx.AsyncClient(trust_env=False, verify=trust_store(), follow_redirects=False)
        )
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._stack.push_async_callback(self._end_all)
        self._server = await self._stack.enter_async_context(
            serve(
                self._serve,
                "127.0.0.1",
                0,
                process_request=self._admit,
                compression=None,
                close_timeout=0.5,  # a half-dead one answers no farewell
            )
        )
        self._port = await self._stack.enter_async_context(serving(self._app()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._port = 0
        await self._stack.aclose()

    async def _end_all(self) -> None:
        for call in list(self._running.values()):
            call.abandon()

    # ---------------------------------------------------------------------------- REST

    def _app(self) -> Starlette:
        table: list[tuple[str, dict[str, Endpoint]]] = [
            ("/assistant", {"GET": self._list_assistants, "POST": self._create_assistant}),
            (
                "/assistant/{id}",
                {
                    "GET": self._get_assistant,
                    "PATCH": self._update_assistant,
                    "DELETE": self._delete_assistant,
                },
            ),
            ("/call", {"POST": self._create_call}),
            ("/call/{id}", {"GET": self._get_call, "DELETE": self._delete_call}),
        ]
        methods = ["GET", "POST", "PATCH", "DELETE", "PUT"]
        routes = [Route(path, self._guarded(ways), methods=methods) for path, ways in table]
        # On another host at the vendor's (§1.1), and open to whoever knows the address, unless the
        # assistant's monitorPlan wants a key.
        routes.append(Route("/control/{secret}", self._control, methods=["POST"]))
        return Starlette(routes=routes)

    def _guarded(self, ways: Mapping[str, Endpoint]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            outage = self.faults.outage(request.method, request.url.path)
            if outage is None:
                return await self._answer(ways, request)
            await request.body()  # while whoever asks is there
            await asyncio.sleep(outage.hang_s)
            if outage.late:
                return await self._answer(ways, request)
            if outage.done:
                await self._answer(ways, request)
            return _broken(outage)

        return endpoint

    async def _answer(self, ways: Mapping[str, Endpoint], request: Request) -> Response:
        try:
            if not self._is_known(request):
                hint = "Invalid Key. Hot tip, you may be using the public key instead of the "
                raise _Problem(401, "Unauthorized", hint + "private key, or vice versa.")
            if request.method not in ways:
                raise _Problem(404, "Not Found", f"Cannot {request.method} {request.url.path}")
            return await ways[request.method](request)
        except Refused as refused:
            self.refusals.extend(refused.problems)
            return _problem(400, "Bad Request", refused.problems)
        except _Problem as problem:
            self.refusals.append(str(problem))
            return _problem(problem.status, problem.error, problem.message)

    def _is_known(self, request: Request) -> bool:
        """By the private key."""
        return self._shows(self._api_key, request)

    @staticmethod
    def _shows(key: str, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {key}"

    async def _body(self, request: Request) -> dict[str, Any]:
        try:
            body = json.loads(await request.body())
        except ValueError as error:
            raise _Problem(400, "Bad Request", f"Unexpected token in JSON: {error}") from error
        if not isinstance(body, dict):
            raise _Problem(400, "Bad Request", ["the body must be an object"])
        self.requests.append((request.method, request.url.path, body))
        return body

    async def _list_assistants(self, request: Request) -> Response:
        query = request.query_params
        try:
            limit = int(query.get("limit", PAGE))
        except ValueError:
            limit = -1
        if not 0 <= limit <= MAX_PAGE:
            raise _Problem(400, "Bad Request", [f"limit must be a number from 0 to {MAX_PAGE}"])
        found = [each for each in self.assistants.values() if _in_window(each, query)]
        found.sort(key=lambda each: str(each["createdAt"]), reverse=not self.oldest_first)
        return JSONResponse(found[:limit])

    async def _create_assistant(self, request: Request) -> Response:
        body = await self._body(request)
        check_assistant(body)
        moment = self._moment()
        stored = {
            **body,
            "id": str(uuid4()),
            "orgId": self._org,
            "createdAt": moment,
            "updatedAt": moment,
            "isServerUrlSecretSet": False,
        }
        self.assistants[stored["id"]] = stored
        return JSONResponse(stored, status_code=201)

    async def _get_assistant(self, request: Request) -> Response:
        return JSONResponse(self._assistant(request.path_params["id"]))

    async def _update_assistant(self, request: Request) -> Response:
        stored = self._assistant(request.path_params["id"])
        body = await self._body(request)
        check_assistant(body)
        stored.update(body)  # nested objects are replaced whole
        stored["updatedAt"] = self._moment()
        return JSONResponse(stored)

    async def _delete_assistant(self, request: Request) -> Response:
        stored = self._assistant(request.path_params["id"])
        del self.assistants[stored["id"]]
        self.requests.append(("DELETE", request.url.path, None))
        return JSONResponse(stored)

    def _assistant(self, assistant_id: str) -> dict[str, Any]:
        stored = self.assistants.get(assistant_id)
        if stored is None:
            raise _Problem(404, "Not Found", f"Couldn't get assistant. id: {assistant_id}.")
        return stored

    # --------------------------------------------------------------------------- calls

    async def _create_call(self, request: Request) -> Response:
        body = await self._body(request)
        check_call(body)
        bypass = bool(body.get("phoneCallProviderBypassEnabled"))
        if "phoneNumberId" in body and body["phoneNumberId"] not in self.phone_number_ids:
            raise _Problem(400, "Bad Request", "Couldn't get phone number.")
        if "transport" not in body and not bypass:
            raise _Problem(501, "Not Implemented", "this emulator dials nobody")
        if "assistantId" in body:
            assistant = self._assistant(body["assistantId"])
        else:
            assistant = body["assistant"]
        free = self.concurrency - len(self.live)
        faults = self.faults_of.get(body.get("assistantId", ""), self.faults)
        full = faults.full or ("400" if free <= 0 else "")
        if full == "400":
            raise _Problem(400, "Over Concurrency Limit", "Over Concurrency Limit")
        call = self._new_call(body, assistant, faults)
        limits = {
            "concurrencyBlocked": full == "201",
            "concurrencyLimit": self.concurrency,
            "remainingConcurrentCalls": max(free - 1, 0),
        }
        described = {**call.describe(), "subscriptionLimits": limits}
        if full == "201":
            call.refused("call.start.error-subscription-concurrency-limit-reached")
            return JSONResponse(described, status_code=201)
        described |= self._addresses(call, bypass=bypass)
        return JSONResponse(described, status_code=201)

    def _new_call(
        self, body: dict[str, Any], assistant: Mapping[str, Any], faults: VapiFaults
    ) -> EmulatedCall:
        tag = AGENT_TAG_BITS | (len(self.calls) + 1)
        overrides = body.get("assistantOverrides", {})
        merged = {**assistant, **overrides}  # shallow: a nested object replaces the whole one
        now = asyncio.get_running_loop().time()
        record = CallRecord(str(uuid4()), tag, now, body, merged)
        self.calls[record.id] = record
        call = EmulatedCall(record, self._around(faults), self._moment(), self.published)
        self._running[record.id] = call
        call.give_up_after(self.join_seconds)
        return call

    def _around(self, faults: VapiFaults) -> Surroundings:
        assert self._tasks is not None, "running"
        assert self._client is not None, "running"
        return Surroundings(
            self._brains,
            faults,
            self._tasks,
            self._client,
            self._tell_spectator,
            self._latency_s,
            self.shapes,
            self._org,
        )

    def _addresses(self, call: EmulatedCall, *, bypass: bool) -> dict[str, Any]:
        assert self._server is not None, "running"
        secret = secrets.token_urlsafe(24)
        self._controls[secret] = call.record.id
        port = self._server.sockets[0].getsockname()[1]
        stream = self.transport_url or f"ws://127.0.0.1:{port}/{call.record.id}/transport"
        plan = call.record.assistant.get("monitorPlan", {})
        monitor = {}
        if plan.get("controlEnabled", True):
            monitor["controlUrl"] = f"{self.url}/control/{secret}"
        if plan.get("listenEnabled", True):
            monitor["listenUrl"] = f"ws://127.0.0.1:{port}/{call.record.id}/listen"
        if not bypass:
            asked = call.record.request["transport"]
            return {"monitor": monitor, "transport": {**asked, "websocketCallUrl": stream}}
        twiml = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            f'<Response><Connect><Stream url="{stream}"/></Connect></Response>'
        )
        return {"monitor": monitor, "phoneCallProviderDetails": {"twiml": twiml}}

    async def _get_call(self, request: Request) -> Response:
        call = self._running.get(request.path_params["id"])
        if call is None:
            raise _Problem(404, "Not Found", "Couldn't get call.")
        return JSONResponse(call.describe())

    async def _delete_call(self, request: Request) -> Response:
        call = self._running.get(request.path_params["id"])
        if call is None:
            raise _Problem(404, "Not Found", "Couldn't get call.")
        if not call.record.ended:
            raise _Problem(400, "Bad Request", "Call is still in progress.")
        del self._running[request.path_params["id"]]
        call.abandon()
        self.requests.append(("DELETE", request.url.path, None))
        return JSONResponse(call.describe())

    async def _control(self, request: Request) -> Response:
        call = self._running.get(self._controls.get(request.path_params["secret"], ""))
        if call is None or call.record.ended:
            return _problem(404, "Not Found", "Call not found or has ended.")
        plan = call.record.assistant.get("monitorPlan", {})
        if plan.get("controlAuthenticationEnabled") and not self._shows(PUBLIC_KEY, request):
            call.record.faults_seen.append("a control order without the public key")
            return _problem(401, "Unauthorized", "This call's control wants the public key.")
        try:
            call.assistant.order(json.loads(await request.body()), call.now())
        except ValueError as error:
            call.record.faults_seen.append(f"a control order: {error}")
            return _problem(400, "Bad Request", str(error))
        return Response("OK")

    # ------------------------------------------------------------------------ transport

    async def _admit(
        self, connection: ServerConnection, request: SocketRequest
    ) -> SocketResponse | None:
        await asyncio.sleep(self.faults.handshake_s)
        if self.faults.refuse_socket is not None:
            return refusal(connection, self.faults.refuse_socket, "refused")
        call = self._running.get(call_id_of(request))
        if call is None or call.record.ended:
            return refusal(connection, 404, "no such call")
        if call.joined:
            return refusal(connection, 409, "somebody has joined already")
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        await self._running[call_id_of(connection.request)].carry(connection)

    # ---------------------------------------------------------------------------- small

    def _tell_spectator(self, name: str, fields: dict[str, Any]) -> None:
        if self.on_event is not None:
            self.on_event(name, fields)

    def _moment(self) -> str:
        moment = datetime.fromtimestamp(self._now(), UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _in_window(assistant: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    compare: dict[str, Callable[[str, str], bool]] = {
        "Gt": lambda a, b: a > b,
        "Lt": lambda a, b: a < b,
        "Ge": lambda a, b: a >= b,
        "Le": lambda a, b: a <= b,
    }
    for name, limit in query.items():
        if name == "limit":
            continue
        column, kind = name[:-2], name[-2:]
        if column not in ("createdAt", "updatedAt") or kind not in compare:
            raise _Problem(400, "Bad Request", [f"property {name} should not exist"])
        if not compare[kind](assistant[column], limit):
            return False
    return True


def _problem(status: int, error: str, message: str | list[str]) -> Response:
    body = {"message": message, "error": error, "statusCode": status}
    return JSONResponse(body, status_code=status)


def _broken(outage: Outage) -> Response:
    if outage.garbage:
        return Response(b"<html>502 Bad Gateway", status_code=201, media_type="text/html")
    headers = {"retry-after": outage.retry_after} if outage.retry_after else None
    body = {"message": "as ordered", "error": "Fault", "statusCode": outage.status}
    return JSONResponse(body, status_code=outage.status, headers=headers)
