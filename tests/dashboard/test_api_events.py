"""Live events over real HTTP: our guard, our HTTP class, uvicorn's shutdown."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
import pytest_asyncio
import structlog
import uvicorn
from sse_starlette.sse import AppStatus
from starlette.applications import Starlette

from dashboard.api import events as module
from dashboard.api import routes
from domain.tenant import Tenant
from server.http_protocol import HttpProtocol
from storage import Storage
from storage.tickets import NewTicket
from tests.dashboard.api_client import BOTH_DATABASES, SETTINGS, Client, assert_problem
from tests.fakes.clock import FakeClock
from tests.fakes.event_stream import EventStream, event_stream


@asynccontextmanager
async def serving(storage: Storage, clock: FakeClock) -> AsyncIterator[uvicorn.Server]:
    """The API behind uvicorn as `coccinelle serve` configures it."""
    app = Starlette(routes=routes(storage, SETTINGS, clock))
    config = uvicorn.Config(
        app, http=HttpProtocol, lifespan="off", log_config=None, timeout_graceful_shutdown=10
    )
    server = uvicorn.Server(config)
    AppStatus.should_exit = False  # the library remembers a process's first SIGTERM for ever
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        async with asyncio.TaskGroup() as tasks:
            live = tasks.create_task(storage.live_events.run())
            running = tasks.create_task(server.serve(sockets=[listener]))
            while not server.started:
                await asyncio.sleep(0.01)
            server.config.port = listener.getsockname()[1]
            try:
                yield server
            finally:
                server.should_exit = True
                await running
                live.cancel()


@pytest_asyncio.fixture(loop_scope="session")
async def server(storage: Storage, clock: FakeClock) -> AsyncIterator[uvicorn.Server]:
    async with serving(storage, clock) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def wire(server: uvicorn.Server) -> AsyncIterator[httpx.AsyncClient]:
    base_url = f"http://127.0.0.1:{server.config.port}"
    async with httpx.AsyncClient(base_url=base_url, trust_env=False) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def key(storage: Storage, garage: Tenant) -> str:
    return await storage.operator.create_key(garage.id)


async def next_subject(stream: EventStream) -> str:
    """Of the next ticket: what is told about it beside has no subject of its own."""
    while (event := await stream.next()).kind != "ticket.created":
        assert event.kind == "notification"
    subject: str = event.data["data"]["subject"]
    return subject


async def ticket(storage: Storage, tenant: Tenant, subject: str) -> None:
    async with storage.tenant(tenant.id).write() as rows:
        await rows.tickets.add(NewTicket("Paul", subject))


@BOTH_DATABASES
async def test_the_owner_sees_what_happens_and_only_their_own(
    storage: Storage, wire: httpx.AsyncClient, garage: Tenant, dentist: Tenant, key: str
) -> None:
    others = await storage.operator.create_key(dentist.id)
    claims = {"x-tenant-id": garage.id, "x-voixia-tenant": garage.id}
    query = f"?tenantId={garage.id}&tenant_id={garage.id}&tenant={garage.id}"
    async with (
        event_stream(wire, key) as mine,
        event_stream(wire, others, query=query, **claims) as theirs,
    ):
        await ticket(storage, garage, "Vidange\nde l'été")
        event = await mine.next()
        assert event.kind == "ticket.created"
        assert event.data["data"]["subject"] == "Vidange\nde l'été"
        assert event.id == str(event.data["seq"])
        assert mine.retry_ms == module.RETRY_MS
        await ticket(storage, dentist, "Détartrage")
        assert (await theirs.next()).data["data"]["subject"] == "Détartrage", "the first they see"


async def test_a_stream_goes_on_where_it_broke_off(
    storage: Storage, wire: httpx.AsyncClient, garage: Tenant, key: str
) -> None:
    await ticket(storage, garage, "0")
    async with event_stream(wire, key) as stream:
        await ticket(storage, garage, "1")
        last = (await stream.next()).id
    await ticket(storage, garage, "2")
    await ticket(storage, garage, "3")
    async with event_stream(wire, key, last_id=last) as stream:
        subjects = [await next_subject(stream) for _ in range(2)]
        assert subjects == ["2", "3"]
    # The header is what the stream itself said last; the query what the page began with.
    async with event_stream(wire, key, last_id=last, query="?after=0") as stream:
        assert await next_subject(stream) == "2"
    async with event_stream(wire, key, query="?after=0") as stream:
        assert await next_subject(stream) == "0"
    async with event_stream(wire, key, last_id="999") as stream:
        assert (await stream.next()).kind == "reset"


async def test_who_polls_gets_json(storage: Storage, owner: Client, garage: Tenant) -> None:
    for subject in ("1", "2"):
        await ticket(storage, garage, subject)
    headers = {"accept": "application/json"}
    body = await owner.get("/api/v1/events", headers=headers)
    told = [(event["kind"], event["data"].get("subject")) for event in body["events"]]
    notification = ("notification", None)
    assert told == [
        ("ticket.created", "1"), notification, ("ticket.created", "2"), notification,
    ]  # fmt: skip
    body = await owner.get(f"/api/v1/events?after={body['events'][1]['seq']}", headers=headers)
    assert [event["kind"] for event in body["events"]] == ["ticket.created", "notification"]
    assert body["events"][0]["data"]["subject"] == "2"
    body = await owner.get(f"/api/v1/events?after={body['last']}", headers=headers)
    assert (body["events"], body["last"]) == ([], body["last"])
    for wrong in ("-1", "x", "1" * 19, "٣"):
        answer = await owner.send("GET", f"/api/v1/events?after={wrong}")
        assert_problem(answer, 422, "after")


async def test_streams_are_counted_per_tenant(
    storage: Storage,
    wire: httpx.AsyncClient,
    dentist: Tenant,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STREAMS_PER_TENANT", 2)
    monkeypatch.setattr(module, "STREAMS", 3)
    headers = {"authorization": f"Bearer {key}"}
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(event_stream(wire, key))
        refused = await wire.get("/api/v1/events", headers=headers)
        body = assert_problem(refused, 429)
        assert body["code"] == "too_many_streams"
        assert refused.headers["retry-after"]
        others = await storage.operator.create_key(dentist.id)
        await stack.enter_async_context(event_stream(wire, others))
        refused = await wire.get("/api/v1/events", headers={"authorization": f"Bearer {others}"})
        assert refused.status_code == 429, "the node is full"
    for _ in range(100):
        async with (
            asyncio.timeout(5),
            wire.stream("GET", "/api/v1/events", headers=headers) as answer,
        ):
            if answer.status_code == 200:
                break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError("who leaves makes room")


async def test_head_opens_no_stream(wire: httpx.AsyncClient, key: str) -> None:
    answer = await wire.head("/api/v1/events", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


async def test_without_a_key_nothing_is_streamed(wire: httpx.AsyncClient) -> None:
    assert_problem(await wire.get("/api/v1/events"), 401)


async def test_a_stream_ends_so_that_revoked_keys_do(
    wire: httpx.AsyncClient, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STREAM_SECONDS", 0.2)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.1)
    async with event_stream(wire, key) as stream:
        assert await stream.end() == []


async def test_heartbeats(
    wire: httpx.AsyncClient, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(module, "STREAM_SECONDS", 1.0)
    async with event_stream(wire, key) as stream:
        await stream.end()
        assert stream.comments > 5


async def test_a_stopping_server_says_goodbye_and_is_not_held_up(
    storage: Storage,
    clock: FakeClock,
    garage: Tenant,
    key: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(storage, clock))
        base_url = f"http://127.0.0.1:{server.config.port}"
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=base_url, trust_env=False)
        )
        streams = [await stack.enter_async_context(event_stream(client, key)) for _ in range(3)]
        await ticket(storage, garage, "1")
        for stream in streams:
            assert (await stream.next()).kind == "ticket.created"
            assert (await stream.next()).kind == "notification"
        began = asyncio.get_running_loop().time()
        server.should_exit = True
        for stream in streams:
            assert await stream.end() == [], "ended as HTTP ends, not broken off"
        await stack.aclose()
        assert asyncio.get_running_loop().time() - began < 8  # of uvicorn's 10
        assert [
            record.getMessage() for record in caplog.records if record.levelname == "ERROR"
        ] == []


async def test_who_reads_nothing_is_let_go(
    storage: Storage,
    wire: httpx.AsyncClient,
    garage: Tenant,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SEND_SECONDS", 0.3)
    with structlog.testing.capture_logs() as logs:
        async with event_stream(wire, key) as stream:
            async with storage.tenant(garage.id).write() as rows:
                for index in range(400):  # more than all buffers between us hold
                    rows.events.publish("long", None, {"text": "x" * 50_000, "index": index})
            for _ in range(200):
                if logs:
                    break
                await asyncio.sleep(0.05)
            last = stream.last_id
        assert [line["event"] for line in logs] == ["events.reader_too_slow"]
    monkeypatch.setattr(module, "SEND_SECONDS", 10)
    async with event_stream(wire, key, last_id=last, query="?after=0") as stream:
        indices = [(await stream.next()).data["data"]["index"] for _ in range(400)]
    assert indices == list(range(400)), "and misses nothing"


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_who_listens_to_what_is_said_is_noted(
    wire: httpx.AsyncClient, key: str, accept: str
) -> None:
    headers = {"authorization": f"Bearer {key}"}
    url = "/api/v1/events?after=0"
    async with wire.stream("GET", url, headers={**headers, "accept": accept}) as answer:
        assert answer.status_code == 200
        entries = (await wire.get("/api/v1/audit", headers=headers)).json()["entries"]
    assert [(each["action"], each["actor"]["kind"]) for each in entries] == [("events.read", "key")]
