"""`make bench`: one server process pinned to one core, a thin world on another; figures as JSON.

Everything is on: signatures, tokens, marks, transcripts, functions, SQLite with synchronous=FULL.
With `ARGS="--postgresql --nodes 2"`: two processes on that core and one PostgreSQL; each call's
webhook and stream go to different ones.
"""

import argparse
import json
import os
import platform
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import psycopg

from tests.postgres import started

HERE = Path(__file__).parent
ACCOUNT = "AC" + "b" * 32
NUMBER = "+33199000000"
LINE = "+33199001234"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


#: As in production, but small: what is committed is on the disk.
POSTGRES_SETTINGS = ("max_connections=100", "shared_buffers=128MB", "log_min_messages=warning")


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]


def pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {cores()[core % len(cores())]})


def configure(url: str, admin: str) -> None:
    """The tenant that all calls are for."""
    with httpx.Client(base_url=url, timeout=10) as client:
        client.headers["Authorization"] = f"Bearer {admin}"
        tenant = client.post("/api/tenants", json={"name": "Garage du Port", "sector": "garage"})
        tenant.raise_for_status()
        key = client.post(f"/api/tenants/{tenant.json()['id']}/keys", json={})
        key.raise_for_status()
        client.headers["Authorization"] = f"Bearer {key.json()['key']}"
        body = {"config": {"clientPhoneNumber": LINE}, "enabled": True}
        client.put("/api/v1/channels/phone", json=body).raise_for_status()


def wait_ready(url: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/readyz", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit("the server did not become ready")


def measure(arguments: argparse.Namespace, directory: Path, database: str) -> dict:
    ports = [free_port() for _ in range(arguments.nodes)]
    openai_port, twilio_port = free_port(), free_port()
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    admin, token = secrets.token_urlsafe(24), secrets.token_hex(16)
    environment = {
        "PATH": os.environ["PATH"],
        "HOST": "127.0.0.1",
        "PUBLIC_URL": urls[0],
        "DATABASE_URL": database,
        "ADMIN_API_KEY": admin,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": token,
        "TWILIO_PHONE_NUMBER": NUMBER,
        "TWILIO_API_BASE_URL": f"http://127.0.0.1:{twilio_port}",
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{openai_port}/v1",
        "MAX_CALLS_PER_NODE": "1000",
        "MAX_CALLS_PER_TENANT": "2000",
        "JOB_WORKER": "none",
        "ENCRYPTION_KEYS": f"1:{secrets.token_hex(32)}",
        "LOG_LEVEL": "warning",
    }
    job = {
        "public_url": urls[0],
        "nodes": urls,
        "account": ACCOUNT,
        "token": token,
        "number": NUMBER,
        "line": LINE,
        "openai_port": openai_port,
        "twilio_port": twilio_port,
        "levels": arguments.levels,
        "per_second": arguments.per_second,
        "warm_up": arguments.warm_up,
        "seconds": arguments.seconds,
    }
    servers = [
        subprocess.Popen(
            [sys.executable, "-m", "server", "serve"],
            env={**environment, "PORT": str(port)},
            cwd=directory,
            preexec_fn=lambda: pin(0),
            stderr=(directory / f"server-{port}.log").open("wb"),
        )
        for port in ports
    ]
    world = subprocess.Popen(
        [sys.executable, str(HERE / "load.py"), json.dumps(job)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: pin(1),
    )
    try:
        for url in urls:
            wait_ready(url)
        configure(urls[0], admin)
        nodes = [psutil.Process(server.pid) for server in servers]
        idle = sum(node.memory_info().rss for node in nodes)
        assert json.loads(world.stdout.readline())["ready"]
        world.stdin.write("go\n")
        world.stdin.flush()
        return {"levels": list(watch(world, nodes, idle, arguments, database))}
    finally:
        for child in (*servers, world):  # the world last: without it calls would be rescued
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
        for path in directory.glob("*.log"):
            if log := path.read_text().strip():
                print(log[-4000:], file=sys.stderr)


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """User and system time that they have spent."""
    times = [process.cpu_times() for process in processes]
    return sum(each.user + each.system for each in times)


class PostgresFigures:
    """What the database does meanwhile, by its own counters; nothing on SQLite."""

    def __init__(self, url: str, postmaster: int | None) -> None:
        self._url = url if url.startswith("postgresql") else None
        self._postmaster = postmaster
        self._spent: dict[int, float] = {}

    def _cpu(self) -> float:
        """Of all its processes so far; one that has ended counts until it was last seen."""
        if self._postmaster is not None:
            parent = psutil.Process(self._postmaster)
            for process in (parent, *parent.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    self._spent[process.pid] = cpu_seconds([process])
        return sum(self._spent.values())

    def read(self) -> dict[str, float]:
        if self._url is None:
            return {}
        with psycopg.connect(self._url, autocommit=True) as connection:
            # Backends report their counters once a second at most.
            time.sleep(1.2)
            commits, inserted, updated, lsn, clients = connection.execute(
                "SELECT xact_commit, tup_inserted, tup_updated,"
                " pg_current_wal_lsn() - '0/0', numbackends"
                " FROM pg_stat_database WHERE datname = current_database()"
            ).fetchone()
        return {
            "commits": float(commits),
            "rows_inserted": float(inserted),
            "rows_updated": float(updated),
            "wal_bytes": float(lsn),
            "cpu_seconds": self._cpu(),
            "connections": float(clients - 1),
        }


def watch(world, nodes, idle, arguments, database):
    """A level at a time: CPU of the servers between the world's two lines."""
    generator = psutil.Process(world.pid)
    counters = PostgresFigures(database, arguments.postmaster)
    for _ in arguments.levels:
        line = json.loads(world.stdout.readline())
        assert "measuring" in line, line
        rows, rows_began = counters.read(), time.monotonic()
        before, other = cpu_seconds(nodes), cpu_seconds([generator])
        began = time.monotonic()
        level = json.loads(world.stdout.readline())
        seconds = time.monotonic() - began
        spent = cpu_seconds(nodes) - before
        level["cpu_ms_per_call_second"] = round(spent * 1000 / seconds / level["calls"], 2)
        level["cpu_share"] = round(spent / seconds, 3)
        level["generator_cpu_share"] = round((cpu_seconds([generator]) - other) / seconds, 3)
        resident = sum(node.memory_info().rss for node in nodes)
        level["mb_per_call"] = round((resident - idle) / 1e6 / level["calls"], 3)
        level["nodes"] = len(nodes)
        if rows:
            after, took = counters.read(), time.monotonic() - rows_began
            level["postgresql"] = {
                f"{name}_per_call_second": round(
                    (after[name] - rows[name]) / took / level["calls"], 4
                )
                for name in rows
                if name != "connections"
            }
            level["postgresql"]["connections"] = after["connections"]
        show(level)
        yield level


def show(level: dict) -> None:
    print(
        f"{level['calls']:4} calls  cpu {level['cpu_ms_per_call_second']:.2f} ms/call-s "
        f"({level['cpu_share']:.0%} of a core)"
        f"  up p50/p99 {level['up']['p50']}/{level['up']['p99']}"
        f"  down {level['down']['p50']}/{level['down']['p99']} ms  lost {level['lost']} crossed "
        f"{level['crossed']}  webhook p99 {level['webhook']['p99']}  clear p99 "
        f"{level['barge_in']['p99']}  heard ±{level['heard_error']['p50']}/"
        f"{level['heard_error']['p99']} ms  {level['mb_per_call']} MB/call"
        f"  [generator {level['generator_cpu_share']:.0%}, late p99 "
        f"{level['generator_late']['p99']}]",
        flush=True,
    )
    if "postgresql" in level:
        print(f"      PostgreSQL per call-second: {level['postgresql']}", flush=True)


@contextmanager
def database_of(arguments: argparse.Namespace, directory: Path) -> Iterator[str]:
    """The DATABASE_URL to measure with. PostgreSQL keeps what it commits, as in production, and
    shares the generator's core."""
    if arguments.database_url:
        yield arguments.database_url
    elif arguments.postgresql:
        with started(POSTGRES_SETTINGS) as server, server.database() as name:
            pid = int((server.directory / "data" / "postmaster.pid").read_text().split()[0])
            if hasattr(os, "sched_setaffinity"):  # its backends inherit it
                os.sched_setaffinity(pid, {cores()[1 % len(cores())]})
            arguments.postmaster = pid
            yield server.url(name)
    else:
        yield f"sqlite:///{directory}/bench.sqlite3"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", type=int, nargs="+", default=[100, 300, 400])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--warm-up", type=float, default=4)
    parser.add_argument("--per-second", type=float, default=5)
    parser.add_argument("--nodes", type=int, default=1, help="server processes, all on one core")
    parser.add_argument("--postgresql", action="store_true", help="start one, and measure it too")
    parser.add_argument("--database-url", default="", help="use this PostgreSQL, which is empty")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "latest.json")
    parser.set_defaults(postmaster=None)
    arguments = parser.parse_args()
    if arguments.nodes > 1 and not (arguments.postgresql or arguments.database_url):
        parser.error("several nodes need PostgreSQL: add --postgresql or --database-url")
    with (
        tempfile.TemporaryDirectory() as directory,
        database_of(arguments, Path(directory)) as database,
    ):
        result = measure(arguments, Path(directory), database)
    result["database"] = database.partition(":")[0]
    result["when"] = datetime.now(UTC).isoformat(timespec="seconds")
    result["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, {platform.python_version()}"
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
