"""`make bench`: one server process pinned to one core, a thin world on another; figures as JSON.

Everything is on: signatures, tokens, marks, transcripts, functions, SQLite with synchronous=FULL.
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
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil

HERE = Path(__file__).parent
ACCOUNT = "AC" + "b" * 32
NUMBER = "+33199000000"
LINE = "+33199001234"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def pin(core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})


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


def measure(arguments: argparse.Namespace, directory: Path) -> dict:
    port, openai_port, twilio_port = free_port(), free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    admin, token = secrets.token_urlsafe(24), secrets.token_hex(16)
    environment = {
        "PATH": os.environ["PATH"],
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "PUBLIC_URL": url,
        "DATABASE_URL": f"sqlite:///{directory}/bench.sqlite3",
        "ADMIN_API_KEY": admin,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": token,
        "TWILIO_PHONE_NUMBER": NUMBER,
        "TWILIO_API_BASE_URL": f"http://127.0.0.1:{twilio_port}",
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{openai_port}/v1",
        "MAX_CALLS_PER_NODE": "1000",
        "LOG_LEVEL": "warning",
    }
    job = {
        "public_url": url,
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
    server = subprocess.Popen(
        [sys.executable, "-m", "server", "serve"],
        env=environment,
        cwd=directory,
        preexec_fn=lambda: pin(0),
        stderr=(directory / "server.log").open("wb"),
    )
    world = subprocess.Popen(
        [sys.executable, str(HERE / "load.py"), json.dumps(job)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: pin(1),
    )
    try:
        wait_ready(url)
        configure(url, admin)
        process = psutil.Process(server.pid)
        idle = process.memory_info().rss
        assert json.loads(world.stdout.readline())["ready"]
        world.stdin.write("go\n")
        world.stdin.flush()
        return {"levels": list(watch(world, process, idle, arguments))}
    finally:
        for child in (world, server):
            child.send_signal(signal.SIGTERM)
        for child in (world, server):
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
        log = (directory / "server.log").read_text()
        if log.strip():
            print(log[-4000:], file=sys.stderr)


def watch(world, process, idle, arguments):
    """A level at a time: CPU of the server between the world's two lines."""
    generator = psutil.Process(world.pid)
    for _ in arguments.levels:
        line = json.loads(world.stdout.readline())
        assert "measuring" in line, line
        before, other = process.cpu_times(), generator.cpu_times()
        began = time.monotonic()
        level = json.loads(world.stdout.readline())
        seconds = time.monotonic() - began
        after, other_after = process.cpu_times(), generator.cpu_times()
        spent = after.user + after.system - before.user - before.system
        level["cpu_ms_per_call_second"] = round(spent * 1000 / seconds / level["calls"], 2)
        level["cpu_share"] = round(spent / seconds, 3)
        other_spent = other_after.user + other_after.system - other.user - other.system
        level["generator_cpu_share"] = round(other_spent / seconds, 3)
        level["mb_per_call"] = round((process.memory_info().rss - idle) / 1e6 / level["calls"], 3)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", type=int, nargs="+", default=[100, 300, 400])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--warm-up", type=float, default=4)
    parser.add_argument("--per-second", type=float, default=5)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "latest.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        result = measure(arguments, Path(directory))
    result["when"] = datetime.now(UTC).isoformat(timespec="seconds")
    result["machine"] = f"{os.cpu_count()} cores, {platform.machine()}, {platform.python_version()}"
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
