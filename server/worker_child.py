"""The job worker beside a server: a process of its own at a lower priority, so that no job can
delay a frame, however much it computes.

Watched by a thread, not by the event loop. Its standard input is a pipe from us that carries
nothing: it ends when we do, however we end, and with it the worker (`server.commands.work`).
"""

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from server.settings import Settings

log = structlog.get_logger(__name__)

#: The server answers first; the worker is started when it has had the machine to itself so long.
START_SECONDS = 1.0
#: Pauses before a worker that died is started again: at first, and at most, seconds.
AGAIN_SECONDS, LONGEST_AGAIN_SECONDS = 1.0, 60.0
#: One that has lived so long was well: the pauses begin anew.
WELL_SECONDS = 60.0
#: How long it gets beyond its own limit before it is killed.
KILL_SECONDS = 3.0


class WorkerChild:
    """Keeps one worker process running from `start` to `finish`."""

    def __init__(self, arguments: Sequence[str], stop_seconds: float) -> None:
        """`stop_seconds`: how long what runs may take to end."""
        self._arguments = list(arguments)
        self._stop_seconds = stop_seconds
        self._ending = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        # A daemon: should we end without `finish`, it doesn't keep us, and the pipe does the rest.
        self._thread = threading.Thread(target=self._keep, name="worker child", daemon=True)

    @property
    def pid(self) -> int | None:
        """Of the process that runs now, if one does."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def start(self) -> None:
        """Begin to keep it running; returns at once."""
        self._thread.start()

    def let_go(self) -> None:
        """Tell it to take no more jobs and to end; returns at once."""
        self._ending.set()
        with self._lock:
            if self._process is not None:
                _close(self._process)

    def finish(self) -> None:
        """Wait until it has ended; kill it when it takes too long."""
        self.let_go()
        process = self._process
        if process is not None:
            try:
                process.wait(self._stop_seconds + KILL_SECONDS)
            except subprocess.TimeoutExpired:
                log.error("worker.killed", seconds=self._stop_seconds + KILL_SECONDS)
                process.kill()
                process.wait()

    def _keep(self) -> None:
        pause = AGAIN_SECONDS
        wait = START_SECONDS
        while not self._ending.wait(wait):
            process = self._begin()
            if process is None:
                return
            began = time.monotonic()
            status = process.wait()
            if time.monotonic() - began >= WELL_SECONDS:
                pause = AGAIN_SECONDS
            if not self._ending.is_set():
                log.error("worker.died", status=status, seconds=pause)
            wait, pause = pause, min(2 * pause, LONGEST_AGAIN_SECONDS)

    def _begin(self) -> "subprocess.Popen[bytes] | None":
        with self._lock:  # not between `let_go` and its look at the process
            if self._ending.is_set():
                return None
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                self._arguments, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            )
            return self._process


def _close(process: "subprocess.Popen[bytes]") -> None:
    with suppress(OSError):
        if process.stdin is not None:
            process.stdin.close()


def beside(settings: Settings, env_file: Path) -> WorkerChild | None:
    """The worker that goes with a server of these settings. It has them as well: our environment
    is its own, and so is the file."""
    if settings.job_worker == "none":
        return None
    command = [sys.executable, "-m", "server", "--env-file", str(env_file), "work", "--child"]
    return WorkerChild(command, settings.shutdown_seconds)
