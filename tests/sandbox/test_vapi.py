"""The emulated Vapi, spoken to by hand: no code of ours at the other end."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from itertools import product
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from sandbox.brain import Brain
from sandbox.breakdown import KINDS, MOMENTS, Breakdown, Kind, Moment
from sandbox.loopback_http import serving
from sandbox.scenario import parse
from sandbox.vapi import PHONE_NUMBER_ID, PUBLIC_KEY, VapiEmulator
from sandbox.vapi_faults import VapiFaults, broken_down
from sandbox.vapi_messages import SHAPES
from sandbox.vapi_record import CallRecord
from sandbox.world import World
from tests.sandbox.twiml_server import ACCOUNT, NUMBER, TOKEN, TwimlServer

KEY = "vapi-private-key"
HEADERS = {"Authorization": f"Bearer {KEY}"}
MULAW = {"format": "mulaw", "container": "raw", "sampleRate": 8000}
SOCKET = {"provider": "vapi.websocket", "audioFormat": MULAW}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "create_ticket", "parameters": {"properties": {"subject": {}}}},
    "parameters": [
        {"key": "_call", "value": "{{ call.id }}"},
        {"key": "_sid", "value": "{{ call_sid }}"},
    ],
}
BACKOFF = {"type": "exponential", "maxRetries": 3, "baseDelaySeconds": 0.02}
TICKET = {"name": "create_ticket", "arguments": {"subject": "Devis"}}
RULES: list[dict[str, Any]] = [
    {"note": "two", "call": [TICKET, TICKET]},
    {"note": "one", "call": TICKET},
]


class Server:
    """Whom the assistant's messages go to."""

    def __init__(self) -> None:
        self.got: list[tuple[Mapping[str, str], dict[str, Any]]] = []
        self.url = ""
        self.failures = 0  # so many messages to come are answered with 503
        self.answer: Callable[[list[str]], Any] = lambda ids: {
            "results": [{"toolCallId": each, "result": '{"status":"created"}'} for each in ids]
        }

    async def endpoint(self, request: Request) -> Response:
        message = (await request.json())["message"]
        self.got.append((request.headers, message))
        if self.failures:
            self.failures -= 1
            return Response(status_code=503)
        if message["type"] != "tool-calls":
            return JSONResponse({})
        return JSONResponse(self.answer([each["id"] for each in calls_of(message)]))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for _, message in self.got if message["type"] == kind]


def calls_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    listed = message.get("toolCallList") or message.get("toolCalls")
    return listed or [each["toolCall"] for each in message["toolWithToolCallList"]]


def arguments_of(call: dict[str, Any]) -> dict[str, Any]:
    inner = call.get("function", {})
    found = inner.get("arguments") or call.get("arguments") or call.get("parameters")
    return dict(json.loads(found) if isinstance(found, str) else found)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    it = Server()
    async with serving(Starlette(routes=[Route("/x", it.endpoint, methods=["POST"])])) as port:
        it.url = f"http://127.0.0.1:{port}/x"
        yield it


@pytest.fixture
async def vapi() -> AsyncIterator[VapiEmulator]:
    async with VapiEmulator(KEY, lambda _tag: Brain(RULES), latency_ms=10) as it:
        yield it


async def request(vapi: VapiEmulator, method: str, path: str, body: Any = None) -> httpx.Response:
    async with httpx.AsyncClient(base_url=vapi.url, headers=HEADERS) as client:
        return await client.request(method, path, json=body)


@contextlib.asynccontextmanager
async def joined(
    vapi: VapiEmulator, server: Server, /, **assistant: Any
) -> AsyncIterator[tuple[ClientConnection, CallRecord]]:
    body = {
        "firstMessageMode": "assistant-waits-for-user",
        "model": {"provider": "openai", "model": "m", "tools": [TOOL]},
        "server": {"url": server.url, "headers": {"X-Vapi-Secret": "s3cret"}},
        **assistant,
    }
    made = (await request(vapi, "POST", "/assistant", body)).json()
    call = {
        "assistantId": made["id"],
        "transport": SOCKET,
        "customer": {"number": "+33639981234"},
        "assistantOverrides": {"variableValues": {"call_sid": "CA1"}},
    }
    answer = await request(vapi, "POST", "/call", call)
    assert answer.status_code == 201, answer.text
    async with connect(answer.json()["transport"]["websocketCallUrl"]) as socket:
        yield socket, vapi.calls[answer.json()["id"]]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


def note(text: str) -> str:
    message = {"role": "user", "content": text}
    return json.dumps({"type": "add-message", "message": message, "triggerResponseEnabled": True})


async def test_every_shape_of_a_tool_call(vapi: VapiEmulator, server: Server) -> None:
    async with joined(vapi, server) as (socket, record):
        for count in range(len(SHAPES)):
            await socket.send(note("one"))
            await until(lambda done=count: len(record.tool_calls) > done)  # type: ignore[misc]
            await until(lambda: record.tool_calls[-1].outputs)
        assert [each.shape for each in record.tool_calls] == list(SHAPES)
        assert {each.outputs[0] for each in record.tool_calls} == {'{"status":"created"}'}
        for message in server.of("tool-calls"):
            (call,) = calls_of(message)
            given = arguments_of(call)
            assert given == {"subject": "Devis", "_call": record.id, "_sid": "CA1"}
            assert message["call"]["id"] == record.id
            assert message["customer"]["number"] == "+33639981234"
        headers = [headers for headers, _ in server.got]
        assert {each["x-vapi-secret"] for each in headers} == {"s3cret"}
        assert record.faults_seen == []


async def test_several_at_once_and_twice(vapi: VapiEmulator, server: Server) -> None:
    vapi.faults = VapiFaults(duplicates=True)
    async with joined(vapi, server) as (socket, record):
        await socket.send(note("two"))
        await until(lambda: len(server.of("tool-calls")) == 2)
        await until(lambda: all(each.outputs for each in record.tool_calls))
        first, second = server.of("tool-calls")
        assert [each["id"] for each in calls_of(first)] == [each["id"] for each in calls_of(second)]
        assert len(calls_of(first)) == 2


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (lambda ids: {"results": {ids[0]: "x"}}, "no array"),
        (lambda ids: {"results": [{"toolCallId": ids[0][:-1], "result": "x"}]}, "no call of ours"),
        (lambda ids: {"results": [{"toolCallId": ids[0], "result": {"a": 1}}]}, "no string"),
        (lambda ids: {"results": [{"toolCallId": ids[0], "result": "a\nb"}]}, "line break"),
        (lambda ids: {"results": [{"toolCallId": ids[0]}]}, "neither"),
        (lambda _ids: [], "can't be read"),
    ],
)
async def test_answers_that_vapi_cannot_use(
    answer: Callable[[list[str]], Any], complaint: str, vapi: VapiEmulator, server: Server
) -> None:
    server.answer = answer
    async with joined(vapi, server) as (socket, record):
        await socket.send(note("one"))
        await until(lambda: record.tool_calls and record.tool_calls[0].outputs)
        assert any(complaint in each for each in record.faults_seen), record.faults_seen


async def test_what_the_server_is_told_at_the_end(vapi: VapiEmulator, server: Server) -> None:
    async with joined(vapi, server) as (socket, record):
        await socket.send(json.dumps({"type": "say", "content": "Oui."}))
        await until(lambda: record.said and record.said[0].sent_ms)
        await socket.send(json.dumps({"type": "end-call"}))
        await until(lambda: server.of("end-of-call-report"))
    statuses = [each["status"] for each in server.of("status-update")]
    assert statuses == ["in-progress", "ended"]
    (report,) = server.of("end-of-call-report")
    assert report["endedReason"] == "customer-ended-call"
    assert report["artifact"]["transcript"] == "AI: Oui.\n"
    assert report["analysis"]["summary"]
    assert report["cost"] >= 0
    assert report["call"]["type"] == "vapi.websocketCall"


async def test_only_what_was_subscribed_to(vapi: VapiEmulator, server: Server) -> None:
    async with joined(vapi, server, serverMessages=["status-update"], clientMessages=[]) as (
        socket,
        record,
    ):
        await socket.send(json.dumps({"type": "hangup"}))
        await until(lambda: len(server.got) == 2)
        assert {message["type"] for _, message in server.got} == {"status-update"}
        assert record.sent == []
    async with joined(vapi, server) as (socket, record):
        await socket.send("nonsense")
        await socket.send(json.dumps({"type": "dance"}))
        await until(lambda: len(record.faults_seen) == 2)


# ------------------------------------------------------------------------------ breakdowns

HEARD = 7


def breaks(
    vapi: VapiEmulator, record: CallRecord, kind: Kind, moment: Moment = "agent_speech"
) -> None:
    """In the middle of the call, which hears the caller HEARD."""
    record.call_tag = HEARD
    assert vapi.befall(HEARD, broken_down(Breakdown(kind, moment, leg="vapi", seconds=0.3)))


async def frames(socket: ClientConnection, seconds: float) -> int:
    """How many come within that time."""
    count = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                count += isinstance(await socket.recv(), bytes)
    return count


async def rest_of(socket: ClientConnection) -> list[dict[str, Any]]:
    """The messages up to its close."""
    got = []
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(5):
            while True:
                message = await socket.recv()
                if isinstance(message, str):
                    got.append(json.loads(message))
    return got


def test_what_can_befall_it_and_when() -> None:
    for kind, moment in product(KINDS, MOMENTS):
        breakdown = Breakdown(kind, moment, leg="vapi")
        if (kind, moment) == ("expired", "before_answer"):
            with pytest.raises(ValueError, match="before it has begun"):
                broken_down(breakdown)
        else:
            assert broken_down(breakdown) != VapiFaults()
            assert broken_down(breakdown) is not broken_down(breakdown)


async def test_one_that_hangs_takes_everything_and_does_nothing(
    vapi: VapiEmulator, server: Server
) -> None:
    async with joined(vapi, server) as (socket, record):
        await frames(socket, 0.1)
        told = len(server.got)
        breaks(vapi, record, "hang")
        await socket.send(note("one"))
        await socket.send(json.dumps({"type": "say", "content": "Oui."}))
        await frames(socket, 0.1)  # those under way
        assert await frames(socket, 0.2) == 0
        async with asyncio.timeout(2):
            await (await socket.ping())
        assert record.tool_calls, "asked for by its model"
        assert len(server.got) == told, "and by nobody else"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await request(vapi, "POST", "/call", {"assistant": {}, "transport": SOCKET})


async def test_answers_that_begin_late(vapi: VapiEmulator, server: Server) -> None:
    async with joined(vapi, server) as (socket, record):
        breaks(vapi, record, "late")
        asked = asyncio.get_running_loop().time()
        await socket.send(note("one"))
        await until(lambda: record.tool_calls)
        assert record.tool_calls[0].at - asked >= 0.3
        assert await frames(socket, 0.1) > 0, "the line itself isn't late"


async def test_a_line_that_lags(vapi: VapiEmulator, server: Server) -> None:
    async with joined(vapi, server) as (socket, record):
        await frames(socket, 0.1)
        breaks(vapi, record, "lag")
        await frames(socket, 0.05)  # those under way
        assert await frames(socket, 0.15) == 0
        assert await frames(socket, 0.5) > 5, "and then it goes on"
        await socket.send(json.dumps({"type": "end-call"}))
        last = (await rest_of(socket))[-1]
        assert (last["type"], last["status"]) == ("status-update", "ended")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("expired", "exceeded-max-duration"),
        ("429", "pipeline-error-openai-429-exceeded-quota"),
        ("5xx", "pipeline-error-openai-500-server-error"),
    ],
)
async def test_one_that_vapi_ends_by_itself(
    kind: Kind, reason: str, vapi: VapiEmulator, server: Server
) -> None:
    async with joined(vapi, server) as (socket, record):
        breaks(vapi, record, kind)
        last = (await rest_of(socket))[-1]
        assert (last["type"], last["status"], last["endedReason"]) == (
            "status-update",
            "ended",
            reason,
        )
        assert socket.close_code == 1000
        assert record.ended == reason
        await until(lambda: server.of("end-of-call-report"))
        assert vapi.live == []


async def test_one_that_is_cut_and_refuses_the_next(vapi: VapiEmulator, server: Server) -> None:
    async with joined(vapi, server) as (socket, record):
        breaks(vapi, record, "refuse")
        await rest_of(socket)
        assert socket.close_code == 1006
        answer = await request(vapi, "POST", "/call", {"assistant": {}, "transport": SOCKET})
        assert answer.status_code == 503


@pytest.mark.parametrize(
    ("kind", "status"), [("refuse", 503), ("hang", None), ("late", 201), ("429", 400), ("5xx", 500)]
)
async def test_what_befalls_a_call_before_it_is_there(
    kind: Kind, status: int | None, vapi: VapiEmulator
) -> None:
    breakdown = Breakdown(kind, "before_answer", leg="vapi", seconds=0.2)
    for _ in range(2):  # not the first alone
        vapi.faults = broken_down(breakdown)
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(0.2 if kind == "hang" else 5):
                body = {"assistant": {}, "transport": SOCKET}
                answer: int | None = (await request(vapi, "POST", "/call", body)).status_code
        except TimeoutError:
            answer = None
        assert answer == status
        assert kind != "late" or asyncio.get_running_loop().time() - began >= 0.2
    assert len(vapi.calls) == (2 if kind == "late" else 0)


async def test_a_line_that_is_broken_from_its_first_moment(
    vapi: VapiEmulator, server: Server
) -> None:
    vapi.faults = broken_down(Breakdown("brown_out", "before_answer", leg="vapi"))
    async with joined(vapi, server) as (socket, _):
        assert await frames(socket, 0.2) == 0


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("/assistant", {"name": "n" * 41}, "name must be shorter than or equal to 40"),
    ("/assistant", {"silenceTimeoutSeconds": 9}, "property silenceTimeoutSeconds should not"),
    ("/assistant", {"maxDurationSeconds": 9}, "maxDurationSeconds must not be less than 10"),
    ("/assistant", {"serverMessages": ["all"]}, "serverMessages.0 must be one of"),
    ("/assistant", {"server": {"url": "x", "secret": "s"}}, "server.property secret should"),
    ("/assistant", {"model": {"provider": "openai"}}, "model.model should not be empty"),
    (
        "/assistant",
        {"model": {"provider": "openai", "model": "m", "tools": [{"type": "function"}]}},
        "model.tools.0.function should not be empty",
    ),
    ("/assistant", {"endCallPhrases": ["x" * 141]}, "endCallPhrases.0 must be shorter"),
    ("/assistant", {"artifactPlan": {"recordEnabled": False}}, "property recordEnabled should"),
    ("/assistant", {"analysisPlan": {"summaryPlan": {"timeoutSeconds": 0}}}, "not be less than 1"),
    ("/assistant", {"startSpeakingPlan": {"waitSeconds": 9}}, "waitSeconds must not be greater"),
    ("/assistant", {"stopSpeakingPlan": {"voiceSeconds": 1}}, "voiceSeconds must not be greater"),
    ("/assistant", {"monitorPlan": {"controlEnabled": "no"}}, "controlEnabled must be a boolean"),
    (
        "/assistant",
        {"server": {"backoffPlan": {**BACKOFF, "maxRetries": 99}}},
        "maxRetries must not be greater than 10",
    ),
    ("/assistant", {"server": {"backoffPlan": {"type": "fixed"}}}, "maxRetries should not be"),
    ("/assistant", {"voice": {"provider": "azure"}}, "voice.voiceId should not be empty"),
    (
        "/assistant",
        {"voice": {"provider": "azure", "voiceId": "x", "language": "fr"}},
        "voice.property language should not exist",
    ),
    ("/assistant", {"voice": {"provider": "x", "voiceId": "x"}}, "voice.provider must be one of"),
    (
        "/assistant",
        {"transcriber": {"provider": "deepgram", "langauge": "fr"}},
        "transcriber.property langauge should not exist",
    ),
    ("/assistant", {"transcriber": {"provider": "azure", "language": "fr"}}, "with a region"),
    ("/assistant", {"transcriber": {"provider": "speechmatics"}}, "customVocabulary should not be"),
    ("/call", {"transport": SOCKET}, "exactly one of assistantId and assistant"),
    ("/call", {"assistant": {}, "phoneNumberId": "7"}, "phoneNumberId must be a UUID"),
    (
        "/call",
        {"assistant": {}, "transport": SOCKET, "phoneNumberId": PHONE_NUMBER_ID},
        "phoneNumberId is not allowed with this transport",
    ),
    (
        "/call",
        {"assistant": {}, "transport": SOCKET, "customer": {"number": "anonymous"}},
        "E.164",
    ),
]


async def test_what_it_refuses(vapi: VapiEmulator) -> None:
    for path, body, says in REFUSED:
        answer = await request(vapi, "POST", path, body)
        problem = answer.json()
        assert (answer.status_code, problem["statusCode"]) == (400, 400)
        assert any(says in each for each in problem["message"]), problem
    assert vapi.assistants == {}
    assert vapi.calls == {}


async def test_what_a_server_refuses_is_told_again_as_planned(
    vapi: VapiEmulator, server: Server
) -> None:
    kinds = ["end-of-call-report"]
    for plan, failures, told in (({}, 1, 1), (BACKOFF, 2, 3), (BACKOFF, 9, 4)):
        server.got.clear()
        server.failures = failures
        its = {"url": server.url, **({"backoffPlan": plan} if plan else {})}
        async with joined(vapi, server, server=its, serverMessages=kinds) as (socket, record):
            await socket.send(json.dumps({"type": "end-call"}))
            await until(lambda: len(record.posted) == told)  # noqa: B023
        await asyncio.sleep(0.1)
        assert [each.status for each in record.posted] == [503] * (told - 1) + [
            200 if told > failures else 503
        ]
        assert len(server.of("end-of-call-report")) == told


async def test_who_may_control_a_call(vapi: VapiEmulator, server: Server) -> None:
    order = {"type": "end-call"}
    for plan, bare, keyed in (
        ({}, 200, 200),
        ({"controlAuthenticationEnabled": True}, 401, 200),
    ):
        public = {"Authorization": f"Bearer {PUBLIC_KEY}"}
        for headers, status in (({}, bare), (HEADERS, bare), (public, keyed)):
            body = {"assistant": {"monitorPlan": plan}, "transport": SOCKET}
            made = (await request(vapi, "POST", "/call", body)).json()
            async with httpx.AsyncClient(headers=headers) as client:
                answer = await client.post(made["monitor"]["controlUrl"], json=order)
            assert answer.status_code == status, plan
            assert bool(vapi.calls[made["id"]].ended) == (status == 200)
    closed = {"controlEnabled": False, "listenEnabled": False}
    body = {"assistant": {"monitorPlan": closed}, "transport": SOCKET}
    assert (await request(vapi, "POST", "/call", body)).json()["monitor"] == {}


async def test_who_may_join(vapi: VapiEmulator, server: Server) -> None:
    vapi.join_seconds = 0.2
    body = {"assistant": {"server": {"url": server.url}}, "transport": SOCKET}
    made = (await request(vapi, "POST", "/call", body)).json()
    url = made["transport"]["websocketCallUrl"]
    await asyncio.sleep(0.4)
    assert vapi.live == [], "nobody came"
    async with httpx.AsyncClient() as client:
        gone = await client.get(url.replace("ws:", "http:"))
    assert gone.status_code in (400, 404, 426)


BYPASS = """
title = "Au revoir"
[tenant]
sector = "beaute"
agent_type = "reception"
[caller]
number = "+33639981100"
forwarded = true
voice = "sonia"
[[caller.step]]
say = "merci_au_revoir_sonia"
[[caller.step]]
wait_end = true
[expect]
outcome = "informed"
[[model.rule]]
heard = "merci_au_revoir_sonia"
say = "Au revoir !"
call = { name = "end_call", arguments = {} }
"""


async def test_the_bypass_is_a_media_stream_of_the_carriers(server: Server) -> None:
    """Vapi's TwiML, run by the emulated carrier; what is appended to it runs afterwards."""
    async with (
        TwimlServer().running() as webhooks,
        World(auth_token=TOKEN, account_sid=ACCOUNT, number=NUMBER) as world,
    ):
        await world.serve_vapi(KEY)
        assert world.vapi is not None
        world.target(webhooks.url)
        model = {"provider": "openai", "model": "m", "tools": [{"type": "endCall"}]}
        call = {
            "phoneCallProviderBypassEnabled": True,
            "phoneNumberId": PHONE_NUMBER_ID,
            "assistant": {
                "firstMessage": "Bonjour.",
                "model": model,
                "server": {"url": server.url},
            },
        }
        made = (await request(world.vapi, "POST", "/call", call)).json()
        twiml = made["phoneCallProviderDetails"]["twiml"]
        after = "<Redirect method='POST'>/continue</Redirect></Response>"
        webhooks.replies["/webhooks/twilio/voice"] = twiml.replace("</Response>", after)
        webhooks.replies["/continue"] = "<Response><Hangup/></Response>"
        report = await world.call(parse(BYPASS, "bypass"), line="+33199001234")
        record = world.vapi.calls[made["id"]]
        assert not report.errors, report.errors
        assert record.ended == "assistant-ended-call"
        assert [each.clips for each in record.heard] == [("merci_au_revoir_sonia",)]
        assert not record.defects.any()
        assert record.faults_seen == []
        said = [each.text for each in report.utterances if each.who == "agent"]
        assert said == ["Bonjour.", "Au revoir !"]
        assert "/continue" in [each[0] for each in webhooks.requests]
        assert server.of("status-update")[0]["call"]["type"] == "outboundPhoneCall"
