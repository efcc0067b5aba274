import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.settings import child_environment
from tests.databases import migrated_file


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(directory: Path, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """`coccinelle serve`, from this environment alone."""
    process = subprocess.Popen(
        [sys.executable, "-m", "server", "serve"],
        cwd=directory,
        env=child_environment(**variables),
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process: "subprocess.Popen[str]", event: str) -> list[dict[str, Any]]:
    """What it logs, up to this event."""
    assert process.stderr is not None
    lines: list[dict[str, Any]] = []
    for line in process.stderr:
        lines.append(json.loads(line))
        if lines[-1]["event"] == event:
            return lines
    raise AssertionError(f"{event!r} never came: {lines}")


def test_starts_from_nothing_says_what_is_missing_and_keeps_what_it_has(tmp_path: Path) -> None:
    port, metrics = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    variables = {"PORT": str(port), "METRICS_PORT": str(metrics), "ADMIN_API_KEY": "an-operator"}
    headers = {"authorization": "Bearer an-operator"}
    with serving(tmp_path, **variables) as process:
        lines = lines_until(process, "listening")
        with httpx.Client(base_url=url, trust_env=False) as client:
            assert client.get("/healthz").json() == {"status": "live"}
            assert client.get("/readyz").json() == {"status": "ready"}
            assert client.get("/metrics").status_code == 404
            assert client.get("/api/tenants").status_code == 401
            assert client.post("/webhooks/twilio/voice").status_code == 403
            page = client.get(f"http://127.0.0.1:{metrics}/metrics").text
            asked = {"name": "Garage du Port"}
            assert client.post("/api/tenants", json=asked, headers=headers).status_code == 201
        assert "coccinelle_live_calls 0" in page
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == -signal.SIGTERM
    missing = {line["variable"]: line for line in lines if "variable" in line}
    assert {"PUBLIC_URL", "OPENAI_API_KEY", "TWILIO_AUTH_TOKEN"} <= set(missing)
    assert all(line["cure"] and line["meanwhile"] for line in missing.values())
    assert lines[-1]["database"] == "sqlite:///var/coccinelle.sqlite3"
    assert (tmp_path / "var/coccinelle.sqlite3").is_file()
    with serving(tmp_path, **variables) as process:
        lines_until(process, "listening")
        listed = httpx.get(f"{url}/api/tenants", headers=headers, trust_env=False).json()["tenants"]
        assert [tenant["name"] for tenant in listed] == ["Garage du Port"]


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DATABASE_URL": "postgresql://me:hunter22@127.0.0.1:1/none"}, "DATABASE_URL"),
        ({"DATABASE_URL": "sqlite:////proc/none/c.sqlite3"}, "DATABASE_URL"),
        ({"METRICS_PORT": "taken"}, "METRICS_PORT"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(
    tmp_path: Path, variables: dict[str, str], said: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        # One that is up to date: making it is another's business.
        variables = {"DATABASE_URL": migrated_file(tmp_path / "c.sqlite3")} | variables
        variables = {name: port if value == "taken" else value for name, value in variables.items()}
        with serving(tmp_path, PORT=str(free_port()), **variables) as process:
            _, err = process.communicate(timeout=30)
    assert process.returncode == 3
    errors = [line for line in map(json.loads, err.splitlines()) if line["level"] == "error"]
    assert said in errors[0]["event"]
    assert "Traceback" not in err
    assert "hunter22" not in err


def test_a_taken_port_ends_it_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        began = time.monotonic()
        with serving(tmp_path, PORT=port) as process:
            _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"127.0.0.1:{port}" in err.splitlines()[-1]
    assert "Cure: " in err.splitlines()[-1]
    assert time.monotonic() - began < 20
    assert not (tmp_path / "var").exists()
