"""Our server on a real port of loopback, as `coccinelle serve` sets it up behind its TLS proxy, and
Twilio's side of it: signed webhooks, media streams, REST. The model is the sandbox's."""

import asyncio
import base64
import json
import re
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from domain.clock import Clock
from sandbox.brain import Brain
from sandbox.openai_realtime import Faults, RealtimeEmulator
from sandbox.realtime_record import SessionRecord
from sandbox.speech import FRAME_BYTES, clip, quiet, stamp
from server.app import create_app
from server.commands.serve import _config, listening_socket
from server.media_protocol import MediaProtocol
from tests.fakes.scripted_http import Got, ScriptedHttp, answer, scripted
from tests.running import (
    ACCOUNT,
    NO_TLS,
    PUBLIC_URL,
    Answer,
    Owner,
    Twilio,
    french_call,
    settings,
    sign,
)

LINE = "+33199001234"
OWNER_PHONE = "+33639980001"
KEY = "sk-test"
METRICS = "metrics-token-metrics-token"
#: What Twilio was told; a TLS proxy hands it on to our port.
STREAM_URL = PUBLIC_URL.replace("https:", "wss:") + "/media-stream"

#: Keys of the telephone make the model do things: it is told "[Touches du clavier : 1]".
RULES: Sequence[Mapping[str, Any]] = (
    {"note": "clavier : 1]", "call": {"name": "create_ticket", "arguments": {"subject": "Devis"}}},
    {"result": "create_ticket", "say": "C'est noté."},
    {"note": "clavier : 8]", "call": {"name": "end_call", "arguments": {"reason": "done"}}},
    {"note": "clavier : 9]", "call": {"name": "transfer_call", "arguments": {}}},
    {"note": "clavier : 4 2]", "say": "Quarante-deux, très bien."},
    {"note": "clavier : 7]", "say": " ".join(["Je vous explique tout cela très longuement."] * 60)},
    {"heard": "oui_marc", "say": "Parfait."},
    {"heard": "prix_pneu", "say": "Vingt euros."},
)


class Carrier(Twilio):
    """Webhooks over HTTP: signed for the public address, sent to where the proxy would."""

    def __init__(self, port: int) -> None:
        self.http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=30, verify=NO_TLS
        )

    async def post(self, path: str, form: Mapping[str, str], **headers: str) -> httpx.Response:
        address = path if path.startswith("http") else f"{PUBLIC_URL}/webhooks/twilio/{path}"
        signed = {"X-Twilio-Signature": sign(address, form), **headers}
        local = address.removeprefix(PUBLIC_URL)
        return await self.http.post(local, data=dict(form), headers=signed)

    async def goes_on(self, number: int = 1) -> Answer:
        """The stream is over and the caller is still there: what now?"""
        response = await self.post("voice/continue", french_call(number, CallStatus="in-progress"))
        assert response.status_code == 200, response.text
        return Answer(response.text)

    async def reports_the_end(self, number: int = 1, status: str = "completed") -> None:
        form = french_call(number, CallStatus=status, CallDuration="12")
        assert (await self.post("status", form)).status_code == 204


@dataclass
class Served:
    """Everything there is in one test."""

    port: int
    twilio: Carrier
    model: RealtimeEmulator
    rest: ScriptedHttp
    owner: Owner
    directory: Path
    server: uvicorn.Server
    _ids: dict[str, str] = field(default_factory=dict)

    def stop(self) -> None:
        """As SIGTERM does."""
        self.server.should_exit = True

    @property
    def sessions(self) -> list[SessionRecord]:
        return self.model.sessions

    async def metric(self, name: str) -> float:
        """A series of /metrics, its labels included in the name; 0 when it isn't there."""
        headers = {"Authorization": f"Bearer {METRICS}"}
        page = (await self.twilio.http.get("/metrics", headers=headers)).text
        found = re.search(rf"^coccinelle_{re.escape(name)} (\S+)$", page, re.M)
        return float(found[1]) if found else 0.0

    async def live(self) -> int:
        """Streams on this node."""
        return int(await self.metric("live_calls"))

    async def refused(self, reason: str) -> int:
        return int(await self.metric(f'streams_refused_total{{reason="{reason}"}}'))

    async def outcomes(self) -> dict[str, int]:
        """How many calls the server says it has ended, by outcome."""
        headers = {"Authorization": f"Bearer {METRICS}"}
        page = (await self.twilio.http.get("/metrics", headers=headers)).text
        found = re.findall(r'^coccinelle_calls_ended_total\{outcome="(\w+)"\} (\S+)$', page, re.M)
        return {outcome: int(float(count)) for outcome, count in found}

    async def call(self, number: int = 1) -> dict[str, Any]:
        """A call as its owner sees it, with its timeline."""
        sid = french_call(number)["CallSid"]
        if sid not in self._ids:
            calls = (await self.owner.get("/api/v1/calls"))["calls"]
            (self._ids[sid],) = [call["id"] for call in calls if call["call_sid"] == sid]
        shown: dict[str, Any] = (await self.owner.get(f"/api/v1/calls/{self._ids[sid]}"))["call"]
        return shown

    async def outcome(self, number: int = 1) -> str:
        """The one outcome, once it is stored."""

        outcome = None

        async def stored() -> bool:
            nonlocal outcome
            outcome = (await self.call(number))["outcome"]
            return outcome is not None

        await eventually(stored)
        return str(outcome)

    async def tickets(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.owner.get("/api/v1/tickets"))["tickets"]
        return found

    async def everything_is_over(self) -> None:
        """No stream on this node, no session of the model's open."""

        async def over() -> bool:
            open_sessions = [each for each in self.sessions if each.closed_at is None]
            return not open_sessions and await self.live() == 0

        await eventually(over)

    async def model_dies(self, code: int | None) -> None:
        """Every session is closed with this code, or its connection cut."""
        assert self.model._server is not None
        for connection in list(self.model._server.connections):
            if code is None:
                connection.transport.abort()
            else:
                await connection.close(code)

    def posted(self, what: str) -> list[Got]:
        """Requests to Twilio's REST API whose body says so."""
        return [got for got in self.rest.got if what in got.body.decode()]

    @contextmanager
    def busy_database(self) -> Iterator[None]:
        """Somebody else holds the write lock: whoever writes waits."""
        path = self.directory / "test.sqlite3"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")


@asynccontextmanager
async def serving(
    directory: Path,
    *,
    websocket: type[asyncio.Protocol] = MediaProtocol,
    clock: Clock | None = None,
    rules: Sequence[Mapping[str, Any]] = RULES,
    faults: Faults | None = None,
    speed: float = 40,
    send_buffer: int | None = None,
    ping_seconds: float = 20.0,
    known: Owner | None = None,
    **values: Any,
) -> AsyncIterator[Served]:
    """The server with one tenant. `speed` of the model's audio, × real time; `send_buffer`: the
    kernel's, in bytes, of our connections; `ping_seconds`: between pings, and for the answer;
    `known`: the tenant of another server over the same database."""
    model = RealtimeEmulator(KEY, lambda _: Brain(rules), latency_ms=5, speed=speed, faults=faults)
    async with model, scripted(answer(200, {"status": "completed"})) as rest:
        config = settings(
            directory,
            **{
                "twilio_api_base_url": rest.url,
                "openai_base_url": model.url,
                "openai_api_key": KEY,
                "metrics_token": METRICS,
                **values,
            },
        )
        with listening_socket("127.0.0.1", 0) as listener:
            if send_buffer is not None:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            port = listener.getsockname()[1]
            setup = _config(create_app(config, clock), config, websocket)
            setup.ws_ping_interval = setup.ws_ping_timeout = ping_seconds
            server = uvicorn.Server(setup)
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(server.serve(sockets=[listener]))
                await until(lambda: server.started or running.done())
                twilio = Carrier(port)
                try:
                    async with twilio.http:
                        owner = await _owner(twilio, known)
                        yield Served(port, twilio, model, rest, owner, directory, server)
                finally:
                    server.should_exit = True
                    await running


async def _owner(twilio: Carrier, known: Owner | None) -> Owner:
    if known is None:
        return await twilio.tenant("Garage du Port", LINE, transferNumber=OWNER_PHONE)
    key = known.headers["Authorization"].removeprefix("Bearer ")
    return Owner(twilio, known.id, known.code, key)


# ------------------------------------------------------------------------------- a stream


@dataclass
class Stream:
    """Twilio's end of one media stream. Marks are returned at once while `echoes`: what was sent
    counts as heard."""

    connection: ClientConnection
    call_sid: str
    stream_sid: str
    echoes: bool = True
    got: list[dict[str, Any]] = field(default_factory=list)
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    frames: int = 0
    tag: int = 77
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        """Take what comes until the connection is closed."""
        try:
            while True:
                message = json.loads(await self.connection.recv())
                self.got.append(message)
                self._news.set()
                if message["event"] == "mark" and self.echoes:
                    await self.mark(message["mark"]["name"])
        except ConnectionClosed:
            self.closed.set()
            self._news.set()

    @property
    def code(self) -> int | None:
        """What it was closed with."""
        return self.connection.close_code

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.got if message["event"] == event]

    async def until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        """Wait until what has come fulfils the condition."""
        async with asyncio.timeout(seconds):
            while not condition():
                assert not self.closed.is_set(), f"closed with {self.code}"
                self._news.clear()
                await self._news.wait()

    async def is_closed(self, seconds: float = 30.0) -> int | None:
        """Wait for the server to close; the code."""
        async with asyncio.timeout(seconds):
            await self.closed.wait()
        return self.code

    async def hears_speech(self) -> None:
        """Some audio that hasn't been waited for before."""
        before = len(self.of("media"))
        await self.until(lambda: len(self.of("media")) > before)

    # --------------------------------------------------------------------------- Twilio speaks

    async def send(self, event: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"event": event, **fields}))

    async def connected(self) -> None:
        await self.send("connected", protocol="Call", version="1.0.0")

    async def start(self, token: str, **changes: Any) -> None:
        await self.connection.send(self.started(token, **changes))

    def started(self, token: str, **changes: Any) -> str:
        """The message `start`."""
        details = {
            "streamSid": self.stream_sid,
            "accountSid": ACCOUNT,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"token": token},
            **changes,
        }
        message = {"event": "start", "sequenceNumber": "1", "streamSid": self.stream_sid}
        return json.dumps({**message, "start": details})

    def media(self, audio: bytes) -> str:
        """A message with 20 ms of the caller."""
        self.frames += 1
        media = {
            "track": "inbound",
            "chunk": str(self.frames),
            "timestamp": str(self.frames * 20),
            "payload": base64.b64encode(audio).decode(),
        }
        number = str(self.frames + 1)
        message = {"event": "media", "sequenceNumber": number, "streamSid": self.stream_sid}
        return json.dumps({**message, "media": media})

    async def silence(self, frames: int) -> None:
        for _ in range(frames):
            await self.connection.send(self.media(quiet(self.tag, self.frames)))

    async def says(self, clip_id: str) -> None:
        """A clip, and the pause after it; faster than life."""
        audio = stamp(clip(clip_id), self.tag, self.frames)
        for at in range(0, len(audio), FRAME_BYTES):
            await self.connection.send(self.media(audio[at : at + FRAME_BYTES]))
        await self.silence(40)

    async def presses(self, keys: str) -> None:
        for key in keys:
            dtmf = {"track": "inbound_track", "digit": key}
            await self.send("dtmf", streamSid=self.stream_sid, dtmf=dtmf)

    async def mark(self, name: str) -> None:
        await self.send("mark", streamSid=self.stream_sid, mark={"name": name})

    async def stops(self) -> None:
        """The caller has hung up."""
        details = {"accountSid": ACCOUNT, "callSid": self.call_sid}
        await self.send("stop", streamSid=self.stream_sid, stop=details)
        await self.connection.close()

    def is_lost(self) -> None:
        """The network between us breaks."""
        self.connection.transport.abort()


@asynccontextmanager
async def dialled(
    served: Served,
    number: int = 1,
    *,
    stream: int = 1,
    path: str = "/media-stream",
    signature: str | None = sign(STREAM_URL, {}),
    echoes: bool = True,
    **options: Any,
) -> AsyncIterator[Stream]:
    """A connection of Twilio's for a call; nothing is sent yet."""
    headers = {} if signature is None else {"X-Twilio-Signature": signature}
    async with connect(
        f"ws://127.0.0.1:{served.port}{path}",
        additional_headers=headers,
        compression=None,
        proxy=None,
        close_timeout=2,
        **options,
    ) as connection:
        sids = french_call(number)["CallSid"], f"MZ{stream:032x}"
        line = Stream(connection, *sids, echoes=echoes)
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(line.listen())
            yield line
            listening.cancel()


@asynccontextmanager
async def joined(
    served: Served, token: str, number: int = 1, **options: Any
) -> AsyncIterator[Stream]:
    """A stream that has presented its token."""
    async with dialled(served, number, **options) as line:
        await line.connected()
        await line.start(token)
        yield line


@asynccontextmanager
async def talking(served: Served, number: int = 1, **options: Any) -> AsyncIterator[Stream]:
    """A call that has come in, and whose caller has heard the whole greeting."""
    token = (await served.twilio.ring(number, ForwardedFrom=LINE)).token
    async with joined(served, token, number, **options) as line:
        await greeted(served, number)
        yield line


async def greeted(served: Served, number: int = 1, turns: int = 1) -> None:
    """Wait until the agent's first words have been heard to their end."""

    async def heard() -> bool:
        said = [each for each in (await served.call(number))["turns"] if each["who"] == "agent"]
        return len(said) >= turns

    await eventually(heard)


# ---------------------------------------------------------------------------------- waiting


async def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.05)
