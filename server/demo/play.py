"""The demo itself: server, sandbox, tenant, one call, and what came of it."""

import asyncio
import json
import os
import secrets
import signal
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from domain.clock import Clock
from domain.errors import OperatorError
from server.demo.api import Api, api
from server.demo.breakdowns import SCENARIO as RESCUE
from server.demo.breakdowns import VOICE_SPEED, Fault
from server.demo.children import Child, Children, running
from server.demo.show import Screen
from server.demo.story import Line, Story, figures, transcript
from server.settings import child_environment
from voice.announcements import bundled

TENANT = "Garage du Port"
LINE = "01 99 00 12 34"
LINE_E164 = "+33199001234"
NUMBER = "+33939000001"
SCENARIO = "appointment"
#: What the emulated model asks for; the real one has its own.
EMULATED_KEY = "sk-demo"
VAPI_KEY = "vapi-demo"

#: The whole demo, set-up and end included; with a real model a call takes its time.
LIMIT_SECONDS = 85.0
REAL_LIMIT_SECONDS = 240.0
START_SECONDS = 25.0
POLL_SECONDS = 0.25
#: The screen is so far behind the call: one poll, and the time a line waits to be stored.
BEHIND_SECONDS = 0.6
#: What a caller may hear nothing for when a vendor breaks down.
LONGEST_SILENCE_MS = 2500.0
#: How long after the call its outcome may take to be stored.
OUTCOME_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the demo plays. `openai_key` None: the model is emulated."""

    directory: Path
    port: int
    account_sid: str
    auth_token: str
    admin_key: str
    openai_key: str | None
    fault: Fault | None = None

    @property
    def has_vapi(self) -> bool:
        """Vapi answers first."""
        return self.fault is not None and self.fault.leg == "vapi"

    @property
    def public_url(self) -> str:
        """Where the server is reached."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.directory / "coccinelle.sqlite3"


@dataclass(frozen=True, slots=True)
class World:
    """The sandbox, once it is up."""

    child: Child
    twilio_url: str
    openai_url: str
    vapi_url: str = ""


def play(
    openai_key: str | None,
    openai_base_url: str,
    clock: Clock,
    screen: Screen,
    fault: Fault | None = None,
) -> bool:
    """Show one call, in which a vendor may break down; whether it came to what it should. Raises
    OperatorError when it can't."""
    directory = Path("var/demo").absolute() / clock.now().strftime("%Y%m%d-%H%M%S-%f")
    directory.mkdir(parents=True)
    stage = Stage(
        directory=directory,
        port=_free_port(),
        account_sid=f"AC{secrets.token_hex(16)}",
        auth_token=secrets.token_hex(16),
        admin_key=secrets.token_urlsafe(24),
        openai_key=openai_key,
        fault=fault,
    )
    limit = LIMIT_SECONDS if openai_key is None else REAL_LIMIT_SECONDS
    with running(child_environment(PYTHONUNBUFFERED="1")) as children:
        try:
            return asyncio.run(
                _within(limit, _play(stage, children, openai_base_url, clock, screen))
            )
        except TimeoutError:
            raise OperatorError(
                f"the demo took longer than {limit:g} s; the logs are in {directory}"
            ) from None


async def _within(seconds: float, demo: Coroutine[Any, Any, bool]) -> bool:
    with _stopped_by_signals():
        async with asyncio.timeout(seconds):
            return await demo


async def _play(
    stage: Stage, children: Children, openai_base_url: str, clock: Clock, screen: Screen
) -> bool:
    if stage.openai_key is None:
        screen.say("The model is emulated. With OPENAI_API_KEY exported it is the real one.")
    else:
        screen.say(f"OPENAI_API_KEY is set: the model is the real one, at {openai_base_url}.")
    async with _sandbox(stage, children) as world:
        model_url = world.openai_url if stage.openai_key is None else openai_base_url
        async with (
            _server(stage, children, world, model_url) as server,
            api(stage.public_url, stage.admin_key) as operator,
        ):
            await _until_ready(operator, server)
            tenant = await _tenant(operator)
            if stage.fault is not None:
                screen.say(f"In this call {stage.fault.words}.")
            if stage.has_vapi:
                await _until_provisioned(tenant)
            screen.say(f"The server listens on {stage.public_url}; somebody calls {TENANT}.\n")
            show = _Show(stage, tenant, world.child, clock, screen)
            call = await show.run()
            return await _conclude(stage, tenant, show.story, call, screen)


# ------------------------------------------------------------------------------- who is there


@asynccontextmanager
async def _sandbox(stage: Stage, children: Children) -> AsyncIterator[World]:
    """The outside world, on 127.0.0.1."""
    arguments = [
        *("-m", "sandbox", "serve", "--account-sid", stage.account_sid),
        *("--auth-token", stage.auth_token, "--number", NUMBER),
        *("--target", stage.public_url, "--wav-dir", str(stage.directory)),
        *(("--vapi-key", VAPI_KEY) if stage.has_vapi else ()),
        *(("--real-model",) if stage.openai_key is not None else ("--openai-key", EMULATED_KEY)),
    ]
    log = stage.directory / "sandbox.log"
    async with children.start("sandbox", arguments, log, talks=True) as child:
        ready = await _ready_line(child)
        urls = [str(ready.get(f"{name}_url") or "") for name in ("twilio", "openai", "vapi")]
        yield World(child, *urls)


async def _ready_line(child: Child) -> dict[str, Any]:
    try:
        async with asyncio.timeout(START_SECONDS):
            async for line in child.lines():
                said = json.loads(line)
                if said.get("ready"):
                    return dict(said)
            await child.process.wait()
    except TimeoutError:
        raise OperatorError(f"the sandbox isn't ready after {START_SECONDS:g} s") from None
    raise child.died()


@asynccontextmanager
async def _server(
    stage: Stage, children: Children, world: World, model_url: str
) -> AsyncIterator[Child]:
    """The server as anybody would start it, with settings of its own and none of yours."""
    environment = {
        "HOST": "127.0.0.1",
        "PORT": str(stage.port),
        "PUBLIC_URL": stage.public_url,
        "DATABASE_URL": f"sqlite:///{stage.database}",
        "ADMIN_API_KEY": stage.admin_key,
        "ENCRYPTION_KEY": secrets.token_hex(32),
        "TWILIO_ACCOUNT_SID": stage.account_sid,
        "TWILIO_AUTH_TOKEN": stage.auth_token,
        "TWILIO_PHONE_NUMBER": NUMBER,
        "TWILIO_API_BASE_URL": world.twilio_url,
        "OPENAI_BASE_URL": model_url,
        "OPENAI_API_KEY": stage.openai_key or EMULATED_KEY,
    }
    if stage.has_vapi:
        environment |= {
            "VAPI_API_KEY": VAPI_KEY,
            "VAPI_BASE_URL": world.vapi_url,
            "VAPI_WEBHOOK_SECRET": secrets.token_hex(16),
        }
    arguments = ["-m", "server", "--env-file", os.devnull, "serve"]
    log = stage.directory / "server.log"
    async with children.start("server", arguments, log, environment=environment) as child:
        yield child


async def _until_ready(operator: Api, server: Child) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await operator.ready():
                if server.process.returncode is not None:
                    raise server.died()
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise OperatorError(
            f"the server isn't ready after {START_SECONDS:g} s. Its log ends with:\n{server.tail()}"
        ) from None


async def _tenant(operator: Api) -> Api:
    """The demo tenant, created as an operator would, and its own view of the API."""
    tenant_id = await operator.create_tenant(TENANT, "automobile")
    tenant = replace(operator, tenant_key=await operator.create_key(tenant_id))
    await tenant.configure_phone({"clientPhoneNumber": LINE, "sara": {"agentType": "appointment"}})
    return tenant


async def _until_provisioned(tenant: Api) -> None:
    """The worker makes the tenant's assistant at Vapi by itself."""
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await tenant.has_assistant():  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise OperatorError(f"no assistant at Vapi after {START_SECONDS:g} s") from None


# ----------------------------------------------------------------------------------- the call


class _Show:
    """Tells the story while the call goes on."""

    def __init__(
        self, stage: Stage, tenant: Api, world: Child, clock: Clock, screen: Screen
    ) -> None:
        self.story = Story(TENANT, ears=stage.openai_key is None)
        self._fault = stage.fault
        self._tenant = tenant
        self._world = world
        self._clock = clock
        self._screen = screen
        self._rang: float | None = None
        self._call: dict[str, Any] = {}
        #: Not told yet: what the server knows comes a little later than what is heard.
        self._waiting: list[Line] = []

    async def run(self) -> dict[str, Any]:
        """The call as the server stored it, once it is over."""
        call: dict[str, Any] = {"scenario": SCENARIO, "line": LINE_E164}
        if self._fault is not None:
            call |= {"scenario": RESCUE, "breakdown": self._fault.breakdown}
            lines = {text: b64encode(audio).decode() for text, audio in bundled().items()}
            self._order(lines=lines)
            self._order(voice_speed=VOICE_SPEED)
        self._order(call=call)
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch())
                await self._listen()
                # The line is dead; what is still to come is the outcome.
                await asyncio.wait([watching], timeout=OUTCOME_SECONDS)
                watching.cancel()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        self._tell(until=float("inf"))
        return self._call

    def _order(self, **command: Any) -> None:
        self._world.send_line(json.dumps(command).encode())

    async def _listen(self) -> None:
        async for line in self._world.lines():
            self._waiting += self.story.hear(json.loads(line))
            if self._rang is None and self.story.call_sid:
                self._rang = self._clock.monotonic()
            if self.story.refused:
                raise OperatorError(f"the sandbox refuses to play: {self.story.refused}")
            if self.story.report is not None:
                return
        await self._world.process.wait()
        raise self._world.died()

    async def _watch(self) -> None:
        call_id: str | None = None
        while not self._call.get("outcome"):
            await asyncio.sleep(POLL_SECONDS)
            if call_id is None:
                call_id = await self._tenant.call_id(self.story.call_sid)
            if call_id is not None:
                self._call = await self._tenant.call(call_id)
                self._waiting += self.story.read(self._call)
            if self._rang is not None:
                self._tell(until=self._clock.monotonic() - self._rang - BEHIND_SECONDS)

    def _tell(self, *, until: float) -> None:
        """All that happened until then, in the order in which it did."""
        self._waiting.sort(key=lambda line: line.at)
        while self._waiting and self._waiting[0].at <= until:
            self._screen.line(self._waiting.pop(0))


async def _conclude(
    stage: Stage, tenant: Api, story: Story, call: dict[str, Any], screen: Screen
) -> bool:
    report = story.report or {}
    screen.figures(figures(report))
    rescued = stage.fault is None or _show_rescue(report, call, screen)
    booked = [each for each in await tenant.appointments() if each.get("start")]
    text = stage.directory / "transcript.txt"
    await asyncio.to_thread(text.write_text, transcript(call, story.agent))
    rows = ", ".join(f"rendez_vous {each['id']}, {each['start']}" for each in booked)
    screen.places(
        [
            ("booking", f"{stage.database} ({rows or 'no row'})"),
            ("transcript", str(text)),
            ("recording", f"{report.get('wav') or 'none'} (left: caller, right: {story.agent})"),
            ("server log", str(stage.directory / "server.log")),
        ]
    )
    if stage.openai_key is not None:
        outcome = call.get("outcome")
        screen.say(f"\nThe real model brought the call to: {outcome or 'no outcome'}.")
        return outcome is not None and outcome != "failed"
    if booked:
        screen.say("\nThe appointment is in the database.")
    else:
        screen.say("\nThere is no booking: the demo has failed.")
    return bool(booked) and rescued


def _show_rescue(report: Mapping[str, Any], call: Mapping[str, Any], screen: Screen) -> bool:
    """Whether somebody took over, and soon enough."""
    silence = report.get("rescue_silence_ms")
    agents = [each["agent"] for each in call.get("events") or () if each.get("agent")]
    if report.get("broke_down_ms") is None or silence is None or len(agents) < 2:
        screen.say("\nNobody broke down, or nobody took over: the demo has failed.")
        return False
    said = f"{agents[0]} was lost; the caller heard nothing for {silence / 1000:.1f} s at most"
    screen.say(f"\nThe rescue: {said}; {agents[-1]} went on.")
    return bool(silence <= LONGEST_SILENCE_MS)


# ---------------------------------------------------------------------------------- the machine


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does: everything is cleaned up."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    numbers = (signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
