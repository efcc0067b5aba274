"""Two server processes on one PostgreSQL behind a plain balancer, as compose.yaml runs them.

One evening, played once: a booking whose webhook and stream are on different nodes; a caller whose
answers to "which company?" arrive at alternating nodes; a call whose node is killed while the agent
talks, and who talks on with the other one; dashboards on both nodes that leave and come back; and a
node that is stopped between two calls.
"""

import asyncio
import os
import random
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.report import CallReport
from sandbox.scenario import parse
from sandbox.world import World
from tests.fakes.balancer import Balancer
from tests.fakes.event_stream import Received, event_stream
from tests.postgres import PostgresServer
from tests.scenarios.conftest import ACCOUNT, NUMBER, Business, Deployment, free_port, of_vendors

pytestmark = pytest.mark.timeout(150)

VOICE, STREAM, ASKED = "/webhooks/twilio/voice", "/media-stream", "/webhooks/twilio/voice/tenant"

#: What is said; CODE stands for the code of the business that is asked for.
SCRIPTS = Path(__file__).parent / "two_nodes"


@dataclass(slots=True)
class Node:
    """One server process, which can be started again on its port."""

    directory: Path
    name: str
    environment: dict[str, str]
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self.directory / f"{self.name}.log").read_text()

    async def start(self) -> None:
        """Until it is ready."""
        with (self.directory / f"{self.name}.log").open("ab") as errors:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
                [sys.executable, "-m", "server", "serve"],
                cwd=self.directory,
                stderr=errors,
                env={
                    **self.environment,
                    "PATH": os.environ["PATH"],
                    "PORT": str(self.port),
                    "JOB_WORKER": "none",
                },
            )
        async with httpx.AsyncClient(timeout=1, trust_env=False) as client:
            for _ in range(300):
                assert self.process.poll() is None, self.log
                try:
                    if (await client.get(f"{self.url}/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)
        raise AssertionError(self.log)

    async def end(self, number: signal.Signals) -> int:
        """Its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 20)


@dataclass(slots=True)
class Dashboard:
    """One tenant's page, which shows what it has been told."""

    key: str
    seen: list[Received] = field(default_factory=list)
    streams: int = 0
    task: "asyncio.Task[None] | None" = None

    async def follow(self, at: Callable[[], Node], *, leave_after: int = 10_000) -> None:
        """Look at this node, leave after some events, come back a moment later. For ever."""
        while True:
            node = at()
            last = self.seen[-1].id if self.seen else ""
            query = "" if last else "?after=0"
            try:
                async with (
                    httpx.AsyncClient(base_url=node.url, trust_env=False) as client,
                    event_stream(client, self.key, last_id=last, query=query) as stream,
                ):
                    self.streams += 1
                    for _ in range(leave_after):
                        self.seen.append(await stream.next(60))
            except (httpx.TransportError, StopAsyncIteration):
                pass  # the node is gone, or says goodbye
            await asyncio.sleep(0.3)

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.seen]

    async def shows(self, kind: str, *, who: str | None = None, seconds: float = 30) -> Received:
        """Wait until the page shows this."""
        async with asyncio.timeout(seconds):
            while True:
                for event in self.seen:
                    if event.kind == kind and who in (None, event.data["data"].get("who")):
                        return event
                await asyncio.sleep(0.02)


@dataclass(slots=True)
class Evening:
    """What was observed."""

    reports: dict[str, CallReport] = field(default_factory=dict)
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: dict[str, list[int]] = field(default_factory=dict)
    dashboards: dict[str, Dashboard] = field(default_factory=dict)
    stored: dict[str, list[int]] = field(default_factory=dict)
    appointments: list[dict[str, Any]] = field(default_factory=list)
    exit_code: int | None = None
    stop_seconds: float = 0.0
    log: str = ""


class Play:
    """The evening, step by step."""

    def __init__(self, deployment: Deployment, nodes: list[Node], balancer: Balancer) -> None:
        self.deployment = deployment
        self.a, self.b = nodes
        self.balancer = balancer
        self.it = Evening()

    async def ring(self, name: str, business: Business, code: str = "") -> None:
        """One call, to its stored outcome."""
        scenario = parse((SCRIPTS / f"{name}.toml").read_text().replace("CODE", code), name)
        report = await self.deployment.world.call(scenario, line=business.line)
        self.it.reports[name] = report
        self.it.calls[name] = await business.the_call()

    async def arrived(self, part: str, count: int) -> None:
        """Wait until so many requests with this in their path have passed."""
        async with asyncio.timeout(30):
            while len(self.balancer.where(part)) < count:
                await asyncio.sleep(0.02)

    async def evening(self) -> Evening:
        it, balancer = self.it, self.balancer
        garage, asked, agency, shop = [
            await self.deployment.tenant(sector, kind, welcomeMessage="Bonjour !")
            for sector, kind in (
                ("automobile", "appointment"),
                ("autre", "reception"),
                ("immobilier", "reception"),
                ("autre", "reception"),
            )
        ]
        code = next(
            each["code"]
            for each in (
                await self.deployment.request(self.deployment.admin, "GET", "/api/tenants")
            )["tenants"]
            if each["id"] == asked.id
        )
        it.dashboards = {
            "garage, on both": Dashboard(garage.key),
            "garage": Dashboard(garage.key),
            "agency": Dashboard(agency.key),
            "agency, comes and goes": Dashboard(agency.key),
        }
        async with asyncio.TaskGroup() as tasks:
            pages = it.dashboards
            # On A until that dies, then on B.
            alive = lambda: self.a if self.a.process and self.a.process.poll() is None else self.b  # noqa: E731
            following = [
                tasks.create_task(pages["garage, on both"].follow(alive)),
                tasks.create_task(pages["garage"].follow(lambda: self.b)),
                tasks.create_task(pages["agency"].follow(lambda: self.b)),
                tasks.create_task(
                    pages["agency, comes and goes"].follow(lambda: self.b, leave_after=2)
                ),
            ]
            await self._while_a_dies(garage, asked, agency, code)
            await self._while_b_stops(shop)
            for each in following:
                each.cancel()
        for name, business in (("garage", garage), ("agency", agency)):
            it.stored[name] = await self._stored(business)
        it.appointments = (await garage.get("/api/v1/appointments"))["appointments"]
        it.log = self.a.log + self.b.log
        balancer.pins.clear()
        return it

    async def _stored(self, business: Business) -> list[int]:
        """The numbers of all events of this tenant."""
        headers = {"authorization": f"Bearer {business.key}", "accept": "application/json"}
        async with httpx.AsyncClient(base_url=self.a.url, headers=headers) as client:
            answer = await client.get("/api/v1/events?after=0")
        return [event["seq"] for event in answer.json()["events"]]

    async def _while_a_dies(
        self, garage: Business, asked: Business, agency: Business, code: str
    ) -> None:
        it, balancer = self.it, self.balancer
        async with asyncio.TaskGroup() as calls:
            balancer.pins |= {VOICE: [1], STREAM: [0]}
            calls.create_task(self.ring("killed", agency))
            await self.arrived(STREAM, 1)
            balancer.pins |= {VOICE: [0], STREAM: [1], ASKED: [1, 0]}
            calls.create_task(self.ring("booking", garage))
            await self.arrived(STREAM, 2)
            calls.create_task(self.ring("asking", asked, code))
            await self.arrived(STREAM, 3)
            webhooks, streams = balancer.where("twilio/voice"), balancer.where(STREAM)
            it.nodes = {
                "killed": [streams[0]],
                "booking": [webhooks[1], streams[1]],
                "asking": balancer.where(ASKED),
            }
            # The caller has spoken, and the agent answers at length.
            await it.dashboards["agency"].shows("call.turn", who="caller")
            await asyncio.sleep(random.uniform(0.2, 0.9))
            await self.a.end(signal.SIGKILL)
            self.deployment.url = self.b.url
            await self.arrived(STREAM, 4)
            it.nodes["killed"] += [balancer.where("/continue")[-1], balancer.where(STREAM)[3]]
            await self.a.start()

    async def _while_b_stops(self, shop: Business) -> None:
        # All of them: these pages look at the node that is about to stop, and at no other.
        for page in self.it.dashboards.values():
            await page.shows("call.ended")
        began = asyncio.get_running_loop().time()
        self.deployment.url = self.a.url
        self.balancer.pins = {VOICE: [1], STREAM: [1]}  # where nobody will be
        async with asyncio.TaskGroup() as both:
            stopping = both.create_task(self.b.end(signal.SIGTERM))
            await asyncio.sleep(0.3)
            both.create_task(self.ring("short", shop))
            self.it.exit_code = await stopping
            self.it.stop_seconds = asyncio.get_running_loop().time() - began
        balancer = self.balancer
        self.it.nodes["short"] = [balancer.where("twilio/voice")[-1], balancer.where(STREAM)[-1]]


@asynccontextmanager
async def two_nodes(directory: Path, database: str) -> AsyncIterator[Play]:
    token, admin, openai_key = (secrets.token_hex(16) for _ in range(3))
    async with World(
        auth_token=token, account_sid=ACCOUNT, number=NUMBER, openai_key=openai_key
    ) as world:
        ports = (free_port(), free_port())
        async with Balancer(ports) as balancer:
            environment = {
                "PUBLIC_URL": balancer.url,
                "DATABASE_URL": database,
                **of_vendors(world, admin, token, openai_key),
            }
            nodes = [
                Node(directory, name, environment, port)
                for name, port in zip("ab", ports, strict=True)
            ]
            try:
                async with asyncio.TaskGroup() as starting:  # both, on an empty database
                    for node in nodes:
                        starting.create_task(node.start())
                world.target(balancer.url)
                assert nodes[0].process is not None
                deployment = Deployment(
                    world, nodes[0].url, admin, directory / "a.log", nodes[0].process
                )
                yield Play(deployment, nodes, balancer)
            finally:
                for node in nodes:
                    if node.process is not None and node.process.poll() is None:
                        node.process.kill()
                        node.process.wait(10)


def played(directory: Path, postgres_server: PostgresServer) -> Evening:
    async def run(database: str) -> Evening:
        async with two_nodes(directory, database) as play:
            return await play.evening()

    with postgres_server.database() as name:
        return asyncio.run(run(postgres_server.url(name)))


@pytest.fixture(scope="module")
def it(tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer) -> Evening:
    return played(tmp_path_factory.mktemp("nodes"), postgres_server)


def test_a_booking_whose_webhook_and_stream_are_on_different_nodes(it: Evening) -> None:
    assert it.nodes["booking"] == [0, 1]
    assert it.calls["booking"]["outcome"] == "booked"
    assert [each["call_id"] for each in it.appointments] == [it.calls["booking"]["id"]]
    assert not it.reports["booking"].errors


def test_the_question_of_the_company_goes_on_at_whichever_node(it: Evening) -> None:
    assert it.nodes["asking"] == [1, 0], "its two answers reached different nodes"
    assert it.calls["asking"]["found_by"] == "code"
    assert it.calls["asking"]["agent"]
    assert not it.reports["asking"].errors


def test_a_killed_node_loses_the_stream_and_not_the_call(it: Evening) -> None:
    assert it.nodes["killed"] == [0, 1, 1]
    call = it.calls["killed"]
    assert it.reports["killed"].hung_up_by == "server"
    said = [turn["text"] for turn in call["turns"] if turn["who"] == "caller"]
    assert said == ["Je suis Claire Fontaine.", "Merci beaucoup, au revoir."]
    assert call["turns"][-1]["text"] == "Au revoir !"
    assert call["outcome"] not in ("failed", None)


def test_a_stopped_node_loses_no_call(it: Evening) -> None:
    assert it.exit_code == -signal.SIGTERM
    assert it.stop_seconds < 8, "event streams don't hold it up"
    assert it.nodes["short"] == [0, 0], "both were to go to the node that stops"
    assert it.calls["short"]["agent"]
    assert [turn["who"] for turn in it.calls["short"]["turns"]] == ["agent"]
    assert not it.reports["short"].errors


@pytest.mark.parametrize("name", ["garage", "agency"])
def test_every_dashboard_sees_everything_in_order(it: Evening, name: str) -> None:
    pages = [page for title, page in it.dashboards.items() if title.startswith(name)]
    for page in pages:
        assert [event.data["seq"] for event in page.seen] == it.stored[name]
        assert page.kinds[0] == "call.started"
        assert page.kinds[-1] == "call.ended"
    assert it.dashboards["agency, comes and goes"].streams > 3
    assert it.dashboards["garage, on both"].streams > 1


def test_what_a_dashboard_saw_of_the_booking(it: Evening) -> None:
    kinds = it.dashboards["garage"].kinds
    assert kinds.count("call.answered") == 1
    assert kinds.index("call.answered") < kinds.index("call.turn")
    assert kinds.index("appointment.booked") < kinds.index("call.ended")
    (booked,) = [e for e in it.dashboards["garage"].seen if e.kind == "appointment.booked"]
    assert booked.data["data"]["customer_name"] == "Marc Durand"
    again = [
        e.data["data"]["again"] for e in it.dashboards["agency"].seen if e.kind == "call.answered"
    ]
    assert again == [False, True], "the other node took the call over"


def test_nothing_failed_unseen(it: Evening) -> None:
    assert "Traceback" not in it.log
    assert '"level":"error"' not in it.log.replace(" ", "")


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_many_evenings(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer
) -> None:
    """A node dies at another moment each time."""
    for _ in range(12):
        it = played(tmp_path_factory.mktemp("nodes"), postgres_server)
        test_a_booking_whose_webhook_and_stream_are_on_different_nodes(it)
        test_the_question_of_the_company_goes_on_at_whichever_node(it)
        test_a_killed_node_loses_the_stream_and_not_the_call(it)
        test_a_stopped_node_loses_no_call(it)
        for name in ("garage", "agency"):
            test_every_dashboard_sees_everything_in_order(it, name)
        test_what_a_dashboard_saw_of_the_booking(it)
        test_nothing_failed_unseen(it)
