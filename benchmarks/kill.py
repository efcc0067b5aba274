"""`make kill`: server processes that die in the middle of calls, and what callers hear of it.

Real processes on a real PostgreSQL behind a plain balancer (tests/fakes/balancer.py), the sandbox's
Twilio and model, callers who book an appointment. Four ways to go: *killed* (SIGKILL, two nodes),
*frozen* (SIGSTOP: the sockets stay open and nobody answers), *restarted* (one node, SIGKILL, a
supervisor that starts it again at once) and *stopped* (SIGTERM whose time is over at once).

Measured at the ear, in the recording of the line: from the signal (or from the end of the caller's
words, if they were speaking then) to the first spoken sound of the next stream. And whether
anything was lost or done twice, in the database.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import secrets
import signal
import statistics
import sys
import tempfile
import wave
from array import array
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sandbox.report import CallReport
from sandbox.scenario import Scenario, parse
from sandbox.world import World
from tests.fakes.balancer import Balancer
from tests.postgres import started
from tests.scenarios.conftest import ACCOUNT, NUMBER, Business, Deployment, free_port, of_vendors
from tests.scenarios.test_two_nodes import Node

HERE = Path(__file__).parent
#: A next stream later than this was no consequence of the signal.
CONSEQUENCE_MS = 20_000
#: Of 16-bit samples: well above the noise of µ-law silence, below any voice.
LOUD = 600
FRAME = 160
#: What the caller hears of an appointment: the model's words, or ours after a break.
CONFIRMED = ("C'est noté", "C'est réservé")
#: How long the outcome of a call may take to be stored.
OUTCOME_SECONDS = 20.0

#: For how long a patient caller says nothing: longer than any silence that we allow ourselves.
PATIENCE_MS = 3500
#: … and for how long they wait for such a silence: the line may die in the greeting, twice.
BEARS_MS = 60_000

MODES = ("killed", "frozen", "restarted", "stopped")


# --------------------------------------------------------------------------------- at the ear


@dataclass(slots=True)
class Line:
    """What was observed of one call. Times in ms since it rang; `rang` by the loop's clock."""

    rang: float
    business: Business
    streams: list[float] = field(default_factory=list)
    ended: float | None = None
    report: CallReport | None = None

    @property
    def confirmed(self) -> bool:
        """The caller has been told that the appointment is made: to the end, or, after the last
        break, until they spoke themselves; a model that reads its brief would say it again."""
        assert self.report is not None
        return any(
            words in said.text
            for said in self.report.utterances
            if said.who == "agent" and (not said.cut or said.started_ms >= self.streams[-1])
            for words in CONFIRMED
        )

    def silence(self, at: float, stream: float) -> float | None:
        """For how long nobody was heard after a signal at `at`, until the agent's side of the line
        was loud for the first time since `stream` began; None if it never was. The caller's own
        words, as long as they go on, are no silence."""
        assert self.report is not None
        assert self.report.wav is not None
        with wave.open(self.report.wav) as recording:
            samples = array("h", recording.readframes(recording.getnframes()))
        began = self.report.answered_ms or 0.0
        since = at
        for frame in range(max(0, int((at - began) / 20)), len(samples) // (2 * FRAME)):
            both = samples[frame * 2 * FRAME : (frame + 1) * 2 * FRAME]
            now = began + frame * 20
            if now >= stream and max(both[1::2]) > LOUD:
                return now - since
            if max(both[0::2]) > LOUD:
                since = now + 20
        return None


@dataclass(frozen=True, slots=True)
class Break:
    """One call that a signal hit. Seconds: from the signal to the next stream, and of silence until
    its first spoken sound (None: there was none)."""

    call: str
    at: float  # s since it rang
    stream: float
    silence: float | None


class Theatre:
    """Nodes, a balancer, the world, and what is observed."""

    def __init__(self, nodes: list[Node], balancer: Balancer, database: str) -> None:
        self.nodes = nodes
        self.balancer = balancer
        self.database = database
        self.lines: dict[str, Line] = {}
        self.signals: list[float] = []  # the loop's clock
        self.deployment: Deployment
        self._businesses: dict[str, Business] = {}

    # ------------------------------------------------------------------------- the calls

    def on_event(self, event: dict[str, Any]) -> None:
        """Of the world."""
        sid, ms = event["call"], event["ms"]
        now = asyncio.get_running_loop().time()
        if event["event"] == "ringing":
            business = self._businesses[event["forwarded_from"]]
            self.lines[sid] = Line(now - ms / 1000, business)
        elif event["event"] == "stream_started":
            self.lines[sid].streams.append(ms)
        elif event["event"] == "hung_up":
            self.lines[sid].ended = ms

    async def business(self) -> Business:
        """A tenant of its own, with a diary of its own."""
        made = await self.deployment.tenant(
            "automobile", "appointment", welcomeMessage="Garage du Port, bonjour !"
        )
        self._businesses[made.line] = made
        return made

    async def ring(self, business: Business, scenario: Scenario, after: float = 0.0) -> CallReport:
        """One call to its end."""
        await asyncio.sleep(after)
        report = await self.deployment.world.call(scenario, line=business.line)
        self.lines[report.call_sid].report = report
        return report

    # ------------------------------------------------------------------------ the signals

    def signal(self, node: Node, number: signal.Signals) -> None:
        """Now; noted."""
        assert node.process is not None
        self.signals.append(asyncio.get_running_loop().time())
        node.process.send_signal(number)

    async def kill(self, node: Node) -> None:
        """And bury it."""
        self.signal(node, signal.SIGKILL)
        assert node.process is not None
        await asyncio.to_thread(node.process.wait, 10)

    def breaks(self) -> list[Break]:
        """What each signal did to the calls that were under way."""
        found = []
        for sid, line in self.lines.items():
            for when in self.signals:
                at = (when - line.rang) * 1000
                before = [each for each in line.streams if each <= at]
                after = [each for each in line.streams if 0 < each - at < CONSEQUENCE_MS]
                over = line.ended is not None and line.ended <= at
                later = [s for s in self.signals if when < s < line.rang + (after or [0])[0] / 1000]
                if before and after and not over and not later:
                    silence = line.silence(at, after[0])
                    heard = None if silence is None else silence / 1000
                    found.append(Break(sid, at / 1000, (after[0] - at) / 1000, heard))
        return found

    # --------------------------------------------------------------------------- the books

    async def complaints(self) -> list[str]:
        """Calls that were lost, ended twice or not at all, and deeds that were done twice."""
        found = []
        deadline = asyncio.get_running_loop().time() + OUTCOME_SECONDS
        while True:
            books = await asyncio.to_thread(self._books)
            open_calls = [sid for sid in self.lines if not books.outcome.get(sid)]
            if not open_calls or asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(0.5)
        for sid, line in self.lines.items():
            if line.report is None or line.report.hung_up_by == "carrier":
                found.append(f"{sid}: lost: {line.report and line.report.errors[-2:]}")
            if books.ended[sid] != 1:
                found.append(f"{sid}: {books.ended[sid]} ends")
            if books.outcome.get(sid) in (None, "failed"):
                found.append(f"{sid}: outcome {books.outcome.get(sid)}")
            if books.booked[sid] != books.appointments[sid] or books.appointments[sid] > 1:
                found.append(f"{sid}: booked {books.booked[sid]}×, {books.appointments[sid]} kept")
            if books.booked[sid] and line.report is not None and not line.confirmed:
                found.append(f"{sid}: booked, and the caller hasn't heard of it")
            if books.booked[sid] and books.outcome.get(sid) != "booked":
                found.append(f"{sid}: booked, but the outcome is {books.outcome.get(sid)}")
        return found

    def _books(self) -> "Books":
        engine = sa.create_engine(self.database.replace("postgresql://", "postgresql+psycopg://"))
        with engine.connect() as connection:
            rows = connection.execute(sa.text("SELECT id, call_sid, outcome FROM call_logs")).all()
            sids = {row.id: row.call_sid for row in rows}
            books = Books({row.call_sid: row.outcome for row in rows})
            for statement, count in (
                ("SELECT subject FROM live_events WHERE kind = 'call.ended'", books.ended),
                ("SELECT call_id FROM function_calls WHERE effect = 'booked'", books.booked),
                ("SELECT call_id FROM rendez_vous", books.appointments),
            ):
                for (call_id,) in connection.execute(sa.text(statement)):
                    count[sids.get(call_id, call_id)] += 1
        engine.dispose()
        return books

    def outcomes(self) -> dict[str, int]:
        """How many calls came to what."""
        counts: dict[str, int] = defaultdict(int)
        books = self._books()
        for sid in self.lines:
            counts[str(books.outcome.get(sid))] += 1
        return dict(counts)


@dataclass(slots=True)
class Books:
    """The database's side, by CallSid."""

    outcome: dict[str, str | None]
    ended: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    booked: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    appointments: dict[str, int] = field(default_factory=lambda: defaultdict(int))


# ---------------------------------------------------------------------------------- the stage


@asynccontextmanager
async def theatre(
    directory: Path, database: str, *, nodes: int = 2, try_seconds: float = 0.0, **settings: str
) -> AsyncIterator[Theatre]:
    """So many nodes on this database, started. `try_seconds`: how long the balancer keeps a request
    for which there is no node."""
    token, admin, key = (secrets.token_hex(16) for _ in range(3))
    ports = [free_port() for _ in range(nodes)]
    async with AsyncExitStack() as stack:
        balancer = Balancer(ports, look_seconds=1.0, try_seconds=try_seconds, by_count=True)
        play = Theatre([], balancer, database)
        world = await stack.enter_async_context(
            World(
                auth_token=token,
                account_sid=ACCOUNT,
                number=NUMBER,
                openai_key=key,
                wav_dir=directory / "lines",
                on_event=play.on_event,
            )
        )
        await stack.enter_async_context(balancer)
        environment = {
            "PYTHONPATH": str(HERE.parent),  # this tree, wherever another one is installed
            "PUBLIC_URL": balancer.url,
            "DATABASE_URL": database,
            **of_vendors(world, admin, token, key),
            **settings,
        }
        play.nodes += [
            Node(directory, f"node-{number}", environment, port)
            for number, port in enumerate(ports)
        ]
        stack.callback(end_all, play.nodes)
        async with asyncio.TaskGroup() as starting:
            for node in play.nodes:
                starting.create_task(node.start())
        world.target(balancer.url)
        world.patience_ms = BEARS_MS
        first = play.nodes[0]
        assert first.process is not None
        log = directory / "node-0.log"
        play.deployment = Deployment(world, balancer.url, admin, log, first.process)
        await balancer.looked()
        yield play


def end_all(nodes: Sequence[Node]) -> None:
    """Whatever state they are in."""
    for node in nodes:
        if node.process is not None and node.process.poll() is None:
            node.process.kill()
            node.process.wait(10)


# ---------------------------------------------------------------------------------- the plays


def scenarios() -> tuple[Scenario, Scenario]:
    """Callers who speak as soon as the agent doesn't, so into a line that has just died; and those
    who wait, and hear for how long it is dead."""
    text = (HERE / "kill.toml").read_text()
    wait = f'[[caller.step]]\nwait = "silence"\nover_ms = {PATIENCE_MS}\nsay'
    return parse(text, "hasty"), parse(text.replace("[[caller.step]]\nsay", wait), "patient")


async def one_round(play: Theatre, mode: str, calls: int, chance: random.Random) -> None:
    """Some calls at once, and one signal, or two, at random moments of them."""
    hasty, patient = scenarios()
    businesses = [await play.business() for _ in range(calls)]
    async with asyncio.TaskGroup() as ringing:
        for number, business in enumerate(businesses):
            scenario = patient if number % 2 else hasty
            ringing.create_task(play.ring(business, scenario, chance.uniform(0, 3)))
        await asyncio.sleep(chance.uniform(2, 14))
        await strike(play, mode, chance)
        if mode == "killed":
            await asyncio.sleep(chance.uniform(3, 9))
            await strike(play, mode, chance)


async def strike(play: Theatre, mode: str, chance: random.Random) -> None:
    """One signal to one node; in the end that node, or its successor, is there again."""
    node = chance.choice(play.nodes)
    if mode == "frozen":
        play.signal(node, signal.SIGSTOP)
        await asyncio.sleep(8)
        assert node.process is not None
        node.process.send_signal(signal.SIGCONT)
    else:
        play.signal(node, signal.SIGTERM if mode == "stopped" else signal.SIGKILL)
        assert node.process is not None
        await asyncio.to_thread(node.process.wait, 30)
        await node.start()
    await play.balancer.looked()


async def measure(mode: str, rounds: int, calls: int, database: str, seed: int) -> dict[str, Any]:
    """One way to go, several times; figures as plain values."""
    chance = random.Random(seed)
    settings = {"DRAIN_SECONDS": "0"} if mode == "stopped" else {}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        alone = mode == "restarted"
        url = f"sqlite:///{directory}/kill.sqlite3" if alone else database
        async with theatre(
            directory, url, nodes=1 if alone else 2, try_seconds=10.0 if alone else 0.0, **settings
        ) as play:
            for number in range(rounds):
                await one_round(play, mode, calls, chance)
                print(f"{mode}: {number + 1} of {rounds}", file=sys.stderr, flush=True)
            complaints = await play.complaints()
            breaks = play.breaks()
            return {
                "calls": len(play.lines),
                "signals": len(play.signals),
                "breaks": len(breaks),
                "lost_or_double": complaints,
                "outcomes": play.outcomes(),
                "signal_to_stream_s": figures([each.stream for each in breaks]),
                "silence_s": figures([each.silence for each in breaks if each.silence is not None]),
                "never_heard_again": sum(each.silence is None for each in breaks),
            }


def figures(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile and the worst."""
    if not values:
        return {}
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 2),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 2),
        "max": round(ordered[-1], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--calls", type=int, default=6, help="at once")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--out", type=Path, default=HERE / "results" / "kill.json")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    result: dict[str, Any] = {}
    with started() as server:
        for mode in arguments.modes:
            with server.database() as database:
                measured = measure(
                    mode, arguments.rounds, arguments.calls, server.url(database), arguments.seed
                )
                result[mode] = asyncio.run(measured)
                print(mode, json.dumps(result[mode], indent=1), flush=True)
    result["seed"] = arguments.seed
    result["load_before"] = round(load, 1)
    result["load_after"] = round(os.getloadavg()[0], 1)
    result["when"] = datetime.now(UTC).isoformat(timespec="seconds")
    result["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, {platform.python_version()}"
    arguments.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    if any(result[mode]["lost_or_double"] for mode in arguments.modes):
        raise SystemExit("something was lost, or done twice")


if __name__ == "__main__":
    main()
