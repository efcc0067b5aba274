"""Child processes that never outlive us: each in a group of its own, ended in bounded time."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import OperatorError

#: How long a child may take to end by itself, and then to die.
TALK_END_SECONDS = 3.0
END_SECONDS = 8.0
KILL_SECONDS = 3.0
#: A line that a child prints: a report of a call is the longest, with all its frames counted.
LONGEST_LINE = 16 * 1024 * 1024

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(slots=True)
class Child:
    """A running program. Its standard error (and output, unless read) goes to `log`."""

    name: str
    process: asyncio.subprocess.Process
    log: Path

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log, for an error's message."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def died(self) -> OperatorError:
        """What to say when it ended although it shouldn't have."""
        return OperatorError(
            f"the {self.name} ended with status {self.process.returncode}. Its log, {self.log}, "
            f"ends with:\n{self.tail()}"
        )

    def send_line(self, line: bytes) -> None:
        """To its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")

    async def lines(self) -> AsyncIterator[bytes]:
        """From its standard output, to its end."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            yield line


@dataclass(slots=True)
class Children:
    """All that were started; `running` makes sure that none is left."""

    environment: Mapping[str, str]
    groups: list[int] = field(default_factory=list)

    @asynccontextmanager
    async def start(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        talks: bool = False,
    ) -> AsyncIterator[Child]:
        """Run `python …` while the block lasts. `talks`: its standard input and output are ours."""
        with log.open("wb") as sink:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *arguments,
                stdin=asyncio.subprocess.PIPE if talks else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if talks else sink,
                stderr=sink,
                env={**self.environment, **(environment or {})},
                start_new_session=True,
                preexec_fn=_die_with_parent,
                limit=LONGEST_LINE,
            )
        self.groups.append(process.pid)
        try:
            yield Child(name, process, log)
        finally:
            await _end(process)


@contextmanager
def running(environment: Mapping[str, str]) -> Iterator[Children]:
    """Whatever happens inside, a second Ctrl-C included: no child is left at the end."""
    children = Children(environment)
    try:
        yield children
    finally:
        for group in children.groups:
            _signal(group, signal.SIGKILL)


async def _end(process: asyncio.subprocess.Process) -> None:
    """By the end of its input if it reads one, then asked, then killed."""
    if process.stdin is not None:
        process.stdin.close()
        await _wait(process, TALK_END_SECONDS)
    for number, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        if process.returncode is None:
            _signal(process.pid, number)
            await _wait(process, seconds)
    # What it started itself may still be there.
    _signal(process.pid, signal.SIGKILL)


async def _wait(process: asyncio.subprocess.Process, seconds: float) -> None:
    # Not `process.wait`: that also waits for the pipes, which a grandchild may hold open.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while process.returncode is None:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.02)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _die_with_parent() -> None:
    """In the child, before it runs: should we be killed outright, Linux ends it as well."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
