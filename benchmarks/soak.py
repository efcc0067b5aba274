"""What do many calls leave behind? A real server process before and after them.

The callers and the models are the benchmark's (`benchmarks.load`), at the pace of life. Each call
rings, talks, has one function run (a booking or a ticket) and hangs up; every seventh loses its
stream in the middle and goes on with another. Then nothing may be left: no task, no open file, no
memory to speak of, no call without an outcome, no token that opens anything.
"""

import argparse
import asyncio
import json
import os
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import picows
import psutil

from benchmarks.bench import ACCOUNT, NUMBER, free_port
from benchmarks.load import Call, Model, World

SERVE = (sys.executable, "-m", "server", "serve")
#: Each with a diary of its own: 14 half hours a day, from Monday to Friday.
TENANTS = 10
HALF_HOURS = [time(hour, minute) for hour in (9, 10, 11, 14, 15, 16, 17) for minute in (0, 30)]
LOSES_ITS_STREAM = 7
GREETING_FRAMES = 20
ANSWER_SECONDS = 30.0
#: What a call may keep for ever: less than half of its frames as garbage. Measured: 7 KB over the
#: first thousand calls, 0.4 KB from the third thousand on.
BYTES_PER_CALL = 10_000
#: What the allocator and the caches take once, however many calls follow.
BYTES_ONCE = 8_000_000
SETTLE_SECONDS = 40.0


# -------------------------------------------------------------------------------- the world


class Mind(Model):
    """A model that greets, and calls the function that its caller asks for."""

    def begin(self) -> None:
        self.item += 1
        self.items[f"i{self.item}"] = self.sequence
        self.speaking = True
        self.send({"type": "response.created", "response": {"id": f"r{self.item}"}})
        words = {"response_id": f"r{self.item}", "item_id": f"i{self.item}", "delta": "Très bien."}
        self.send({"type": "response.output_audio_transcript.delta", **words})
        for _ in range(GREETING_FRAMES):
            self.speak()
        self.done("completed")

    def asks_for(self, name: str, arguments: dict[str, Any]) -> None:
        """The caller has said something that takes a function."""
        self.send({"type": "input_audio_buffer.speech_started", "item_id": "c"})
        self.send({"type": "input_audio_buffer.speech_stopped", "item_id": "c"})
        words = {"item_id": "c", "transcript": "Bonjour, je voudrais un rendez-vous."}
        kind = "conversation.item.input_audio_transcription.completed"
        self.send({"type": kind, "content_index": 0, **words})
        self.item += 1
        self.send({"type": "response.created", "response": {"id": f"r{self.item}"}})
        call = {"call_id": f"call-{self.item}", "name": name, "arguments": json.dumps(arguments)}
        place = {"response_id": f"r{self.item}", "item_id": f"f{self.item}"}
        self.send({"type": "response.function_call_arguments.done", **place, **call})
        self.done("completed")

    def command(self, message: dict[str, Any]) -> None:
        item = message.get("item", {})
        if item.get("type") == "function_call_output" and isinstance(self.call, Talk):
            self.call.answered(str(json.loads(item["output"])["status"]))
        super().command(message)


class Talk(Call):
    """One stream of one call."""

    status: str = ""

    def __init__(self, world: World, index: int, sid: str) -> None:
        super().__init__(world, index, sid)
        self.answer = asyncio.Event()

    def answered(self, status: str) -> None:
        self.status = status
        self.answer.set()

    def stop(self) -> None:
        """The caller hangs up."""
        details = {"accountSid": self.world.account, "callSid": self.sid}
        self.send({"event": "stop", "streamSid": self.stream, "stop": details})
        assert self.transport is not None
        self.transport.send_close(picows.WSCloseCode.OK)

    def is_lost(self) -> None:
        assert self.transport is not None
        self.transport.disconnect(graceful=False)


class Town(World):
    """Many callers, and who answers them."""

    def __init__(self, url: str, token: str, lines: Sequence[str]) -> None:
        super().__init__(url, ACCOUNT, token, NUMBER)
        self.lines = lines
        self.statuses: Counter[str] = Counter()

    @asynccontextmanager
    async def open(self, openai_port: int, twilio_port: int) -> AsyncIterator[None]:
        """Serve the vendors' addresses for a while."""
        models = await picows.ws_create_server(lambda _: Mind(self), "127.0.0.1", openai_port)
        rest = await asyncio.start_server(self.rest, "127.0.0.1", twilio_port)
        try:
            yield
        finally:
            models.close()
            rest.close()

    async def take_place(self, client: httpx.AsyncClient, index: int, seconds: float) -> None:
        """One call, from its first ring to its last webhook."""
        reply = await self.post(client, "voice", index, "ringing")
        if index % LOSES_ITS_STREAM == 0:
            lost = await self.join(index, reply)
            await self.speak(lost, seconds / 2)
            lost.is_lost()
            reply = await self.post(client, "voice/continue", index, "in-progress")
        talk = await self.join(index, reply)
        await self.speak(talk, seconds / 2)
        await self.ask(talk)
        await self.speak(talk, seconds / 2)
        async with asyncio.timeout(ANSWER_SECONDS):
            await talk.answer.wait()
        self.statuses[talk.status] += 1
        talk.stop()
        await self.post(client, "status", index, "completed")
        del self.calls[index], self.models[index]

    async def ask(self, talk: Talk) -> None:
        """Have a function run, once the model has heard whose call it is."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while (model := self.models.get(talk.index)) is None or model.call is not talk:
                await self.speak(talk, 0.1)
        assert isinstance(model, Mind)
        if talk.index % 2:
            subject = f"Demande {talk.index}"
            model.asks_for("create_ticket", {"subject": subject, "description": "x" * 500})
        else:
            start = appointment(talk.index // TENANTS).isoformat()
            model.asks_for("book_appointment", {"start": start, "name": "Marc Durand"})

    async def speak(self, talk: Talk, seconds: float) -> None:
        """A frame every 20 ms."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        for _ in range(round(seconds * 50)):
            talk.frame()
            due += 0.02
            await asyncio.sleep(due - loop.time())

    async def join(self, index: int, reply: str) -> Talk:
        """Open the stream that TwiML asks for."""
        stream = re.search(r'<Stream url="([^"]+)"', reply)
        token = re.search(r'name="token" value="([^"]+)"', reply)
        if stream is None or token is None:
            raise AssertionError(f"no stream for call {index}: {reply}")
        talk = Talk(self, index, f"CA{index:032x}")
        self.calls[index] = talk
        headers = {"X-Twilio-Signature": self.sign(stream[1], {})}
        await picows.ws_connect(lambda *_: talk, stream[1], extra_headers=headers)
        talk.start(token[1])
        return talk

    async def post(self, client: httpx.AsyncClient, path: str, index: int, status: str) -> str:
        """A webhook of Twilio's."""
        url = f"{self.public_url}/webhooks/twilio/{path}"
        form = {
            "CallSid": f"CA{index:032x}",
            "AccountSid": ACCOUNT,
            "From": f"+3363998{index % 10000:04d}",
            "To": NUMBER,
            "ForwardedFrom": self.lines[index % TENANTS],
            "CallStatus": status,
            "FromCity": "",
            **({"CallDuration": "3"} if status == "completed" else {}),
        }
        reply = await client.post(
            url, data=form, headers={"X-Twilio-Signature": self.sign(url, form)}
        )
        reply.raise_for_status()
        return reply.text


def appointment(number: int) -> datetime:
    """The n-th half hour of a tenant's diary that nobody has yet."""
    days, half_hour = divmod(number, len(HALF_HOURS))
    day = datetime.now(ZoneInfo("Europe/Paris")).date() + timedelta(days=1)
    while days or day.isoweekday() > 5:
        days -= day.isoweekday() <= 5
        day += timedelta(days=1)
    return datetime.combine(day, HALF_HOURS[half_hour])


# -------------------------------------------------------------------------------- the server


@dataclass(frozen=True)
class Level:
    """What the process holds. `memory` in bytes."""

    tasks: int
    files: int
    memory: int
    streams: int


@dataclass
class Report:
    """`functions`: results by status; `unended`: calls without an outcome; `usable_tokens`: that
    would open a stream still; `log`: what the server complained of."""

    calls: int
    warm_up: int
    before: Level
    after: Level
    functions: dict[str, int] = field(default_factory=dict)
    ended: int = 0
    stored: int = 0
    unended: int = 0
    usable_tokens: int = 0
    unused_tokens: int = 0
    journal_lost: int = 0
    exit_code: int | None = None
    log: str = ""

    @property
    def bytes_per_call(self) -> float:
        """How much the process has grown, per call."""
        return (self.after.memory - self.before.memory) / self.calls


def complaints(report: Report) -> list[str]:
    """What isn't as it should be; nothing when nothing has leaked."""
    before, after, all_calls = report.before, report.after, report.calls + report.warm_up
    growth = after.memory - before.memory
    wrong = {
        f"{after.tasks - before.tasks} tasks are left": after.tasks > before.tasks,
        f"{after.files - before.files} files are left open": after.files > before.files,
        f"{after.streams} streams are live": after.streams != 0,
        f"{growth / 1e6:.1f} MB are gone, {report.bytes_per_call / 1000:.0f} KB per call": growth
        > BYTES_ONCE + report.calls * BYTES_PER_CALL,
        f"{report.unended} calls have no outcome": report.unended != 0,
        f"{report.stored} calls are stored, {report.ended} ended, of {all_calls}": not (
            report.stored == report.ended == all_calls
        ),
        f"functions came to {report.functions}": report.functions
        != {"booked": all_calls // 2, "created": all_calls - all_calls // 2},
        f"{report.usable_tokens} tokens are usable": report.usable_tokens != 0,
        f"{report.unused_tokens} tokens were never used": report.unused_tokens != 0,
        f"{report.journal_lost} lines of timelines are lost": report.journal_lost != 0,
        # uvicorn raises the signal again once all is closed.
        f"the server ended with {report.exit_code}": report.exit_code not in (0, -signal.SIGTERM),
        f"the server complained: {report.log[-2000:]}": bool(report.log.strip()),
    }
    return [what for what, is_so in wrong.items() if is_so]


class Server:
    """A process of `coccinelle serve` on SQLite."""

    def __init__(self, directory: Path, command: Sequence[str]) -> None:
        self.directory = directory
        self.command = command
        self.port, self.openai_port, self.twilio_port = free_port(), free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token, self.admin, self.metrics = (secrets.token_hex(16) for _ in range(3))
        self.client = httpx.AsyncClient(base_url=self.url, timeout=30)
        self.database = directory / "soak.sqlite3"
        self.log = directory / "server.log"
        self.process: psutil.Popen | None = None

    def start(self) -> None:
        """As a user does: from the environment alone."""
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "PORT": str(self.port),
            "PUBLIC_URL": self.url,
            "DATABASE_URL": f"sqlite:///{self.database}",
            "ADMIN_API_KEY": self.admin,
            "METRICS_TOKEN": self.metrics,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": self.token,
            "TWILIO_PHONE_NUMBER": NUMBER,
            "TWILIO_API_BASE_URL": f"http://127.0.0.1:{self.twilio_port}",
            "OPENAI_API_KEY": "sk-soak",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.openai_port}/v1",
            "LOG_LEVEL": "warning",
            "ENCRYPTION_KEYS": f"1:{secrets.token_hex(32)}",
        }
        with self.log.open("wb") as errors:
            self.process = psutil.Popen(
                self.command, cwd=self.directory, env=environment, stderr=errors
            )

    async def ready(self) -> None:
        """Wait until it answers."""
        assert self.process is not None
        async with asyncio.timeout(60):
            while True:
                assert self.process.poll() is None, self.log.read_text()
                try:
                    if (await self.client.get("/readyz")).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

    async def configure(self) -> list[str]:
        """The tenants; their lines."""
        lines = []
        for number in range(TENANTS):
            admin = {"Authorization": f"Bearer {self.admin}"}
            body: dict[str, Any] = {"name": f"Garage {number}", "sector": "garage"}
            tenant = await self.client.post("/api/tenants", json=body, headers=admin)
            path = f"/api/tenants/{tenant.raise_for_status().json()['id']}/keys"
            key = (await self.client.post(path, json={}, headers=admin)).json()["key"]
            lines.append(f"+331990012{number:02d}")
            body = {"config": {"clientPhoneNumber": lines[-1]}, "enabled": True}
            headers = {"Authorization": f"Bearer {key}"}
            put = await self.client.put("/api/v1/channels/phone", json=body, headers=headers)
            put.raise_for_status()
        return lines

    async def page(self) -> str:
        """/metrics."""
        headers = {"Authorization": f"Bearer {self.metrics}"}
        return (await self.client.get("/metrics", headers=headers)).raise_for_status().text

    async def level(self) -> Level:
        """What it holds just now."""
        page = await self.page()
        assert self.process is not None
        return Level(
            tasks=figure(page, "coccinelle_asyncio_tasks"),
            files=self.process.num_fds(),
            memory=self.process.memory_info().rss,
            streams=figure(page, "coccinelle_live_calls"),
        )

    async def settled(self, floor: Level | None = None) -> Level:
        """The level once nothing goes down any more, or once it has come down to `floor`."""
        lowest = await self.level()
        still = 0
        loop = asyncio.get_running_loop()
        until = loop.time() + SETTLE_SECONDS
        while loop.time() < until:
            if floor is not None and lowest.tasks <= floor.tasks and lowest.files <= floor.files:
                break
            if floor is None and still == 4 and lowest.streams == 0:
                break
            await asyncio.sleep(0.5)
            now = await self.level()
            fell = (now.tasks, now.files) < (lowest.tasks, lowest.files)
            still = 0 if fell else still + 1
            lowest = now
        return await self.level()

    async def stop(self) -> int | None:
        """End it; what it ended with."""
        await self.client.aclose()
        if self.process is None:
            return None
        self.process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.to_thread(self.process.wait, 30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return None

    def rows(self, statement: str) -> int:
        """A count, from the database itself."""
        with closing(sqlite3.connect(self.database)) as connection:
            return int(connection.execute(statement).fetchone()[0])


def figure(page: str, name: str) -> int:
    """The sum of a metric's series."""
    return round(sum(float(each) for each in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", page, re.M)))


async def soak(
    directory: Path,
    calls: int,
    *,
    at_once: int,
    seconds: float = 2.0,
    warm_up: int = 40,
    command: Sequence[str] = SERVE,
) -> Report:
    """That many calls, so many at once and each talking for so long, after some to warm up with."""
    server = Server(directory, command)
    server.start()
    try:
        await server.ready()
        town = Town(server.url, server.token, await server.configure())
        async with town.open(server.openai_port, server.twilio_port):
            await _calls(town, range(warm_up), at_once, seconds)
            before = await server.settled()
            await _calls(town, range(warm_up, warm_up + calls), at_once, seconds)
            report = Report(calls, warm_up, before, await server.settled(before))
            page = await server.page()
            report.functions = dict(town.statuses)
            report.ended = figure(page, "coccinelle_calls_ended_total")
            report.journal_lost = figure(page, "coccinelle_journal_lost_total")
    finally:
        exit_code = await server.stop()
    report.exit_code = exit_code
    report.log = server.log.read_text()
    report.stored = server.rows("SELECT count(*) FROM call_logs")
    report.unended = server.rows("SELECT count(*) FROM call_logs WHERE outcome IS NULL")
    unused = "FROM stream_tokens JOIN call_logs USING (call_sid) WHERE used_at IS NULL"
    report.unused_tokens = server.rows(f"SELECT count(*) {unused}")
    report.usable_tokens = server.rows(f"SELECT count(*) {unused} AND outcome IS NULL")
    return report


async def _calls(town: Town, indices: Sequence[int], at_once: int, seconds: float) -> None:
    """Each index once; they come in one after the other, spread over a call's length."""
    lines = asyncio.Semaphore(at_once)

    async def one(client: httpx.AsyncClient, index: int) -> None:
        async with lines:
            await town.take_place(client, index, seconds)

    async with httpx.AsyncClient(timeout=30) as client, asyncio.TaskGroup() as tasks:
        for index in indices:
            tasks.create_task(one(client, index))
            await asyncio.sleep(seconds / at_once)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--warm-up", type=int, default=200)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        report = asyncio.run(
            soak(
                Path(directory),
                arguments.calls,
                at_once=arguments.at_once,
                seconds=arguments.seconds,
                warm_up=arguments.warm_up,
            )
        )
    print(json.dumps(asdict(report), indent=1), f"{report.bytes_per_call:.0f} bytes per call")
    wrong = complaints(report)
    print("\n".join(wrong) or "nothing is left behind")
    raise SystemExit(bool(wrong))


if __name__ == "__main__":
    main()
