"""The worker beside a server: another process, at a lower priority, that never outlives it."""

import signal
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from server.settings import ENV_FILE
from server.worker_child import WorkerChild, beside
from tests.fakes.processes import gone
from tests.running import settings
from tests.server.test_serve import free_port, lines_until, serving


def until(event: str, process: Any) -> dict[str, Any]:
    return lines_until(process, event)[-1]


def child_of(process: Any) -> psutil.Process:
    (child,) = psutil.Process(process.pid).children()
    return child


def test_it_works_beside_the_server_and_ends_with_it(tmp_path: Path) -> None:
    metrics = str(free_port())
    variables = {"PORT": str(free_port()), "METRICS_PORT": metrics, "JOB_CONCURRENCY": "3"}
    with serving(tmp_path, **variables) as process:
        until("listening", process)
        assert until("working", process)["slots"] == 3
        child = child_of(process)
        assert child.cmdline()[-2:] == ["work", "--child"]
        assert child.nice() == psutil.Process(process.pid).nice() + 10
        page = httpx.get(f"http://127.0.0.1:{metrics}/metrics", trust_env=False).text
        for figure in ("waiting", "running", "dead", "oldest_due_seconds"):
            assert f"coccinelle_jobs_{figure} " in page
        # It died: another one takes its place.
        child.kill()
        assert until("worker.died", process)["status"] == -signal.SIGKILL
        until("working", process)
        second = child_of(process)
        assert second.pid != child.pid
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == -signal.SIGTERM
        assert gone(second.pid)


def test_it_dies_with_the_server_however_that_dies(tmp_path: Path) -> None:
    with serving(tmp_path, PORT=str(free_port())) as process:
        until("working", process)
        child = child_of(process)
        process.kill()
        process.wait(timeout=10)
        assert gone(child.pid)


def test_there_is_none_when_it_runs_elsewhere(tmp_path: Path) -> None:
    assert beside(settings(tmp_path), ENV_FILE) is not None
    assert beside(settings(tmp_path, job_worker="none"), ENV_FILE) is None


def test_what_doesn_t_end_by_itself_is_killed(tmp_path: Path) -> None:
    deaf = [
        "python3",
        "-c",
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)",
    ]
    child = WorkerChild(deaf, stop_seconds=-2.7)
    child.start()
    while (pid := child.pid) is None:
        time.sleep(0.02)
    child.finish()
    assert gone(pid)
