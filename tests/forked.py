"""Processes that needn't import our code anew: they are forked from one that has, which takes a
hundredth of the half second of the processor that importing takes. They can be killed and stopped
as any other.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

_context = multiprocessing.get_context("forkserver")
#: Imported once, by the process that is forked.
_context.set_forkserver_preload(
    ["storage", "storage.jobs.worker", "storage.counters", "server.clock"]
)

_END_SECONDS = 10.0


class Forked:
    """`main(*arguments)` of an importable module, in a process of its own. Its `stdin` and `stdout`
    are text of ours, line by line; `end` it."""

    def __init__(self, main: Callable[..., None], *arguments: str) -> None:
        its_input, ours_to_write = _context.Pipe(duplex=False)
        ours_to_read, its_output = _context.Pipe(duplex=False)
        self._process = _context.Process(
            target=_run, args=(main, arguments, its_input, its_output), daemon=True
        )
        with its_input, its_output, ours_to_write, ours_to_read:
            self._process.start()
            self.stdin = open(os.dup(ours_to_write.fileno()), "w", buffering=1)  # noqa: SIM115
            self.stdout = open(os.dup(ours_to_read.fileno()))  # noqa: SIM115

    def hears(self) -> str:
        """What it says next, without the line's end."""
        line = self.stdout.readline()
        assert line, f"it said nothing more, and ended with {self.end()}"
        return line.rstrip("\n")

    def tell(self, line: str) -> None:
        self.stdin.write(f"{line}\n")

    def signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL; when this returns, it is dead."""
        self._process.kill()
        self.end()

    def end(self) -> int:
        """Wait until it has ended by itself, having nothing more to read; its exit code."""
        self.stdin.close()
        self._process.join(_END_SECONDS)
        self.stdout.close()
        code = self._process.exitcode
        assert code is not None, "it doesn't end"
        return code


@contextmanager
def forked(*processes: Forked) -> Iterator[tuple[Forked, ...]]:
    """Kills them in the end."""
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()


def _run(
    main: Callable[..., None],
    arguments: tuple[str, ...],
    its_input: Connection,
    its_output: Connection,
) -> None:
    with its_input, its_output:
        os.dup2(its_input.fileno(), 0)
        os.dup2(its_output.fileno(), 1)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    main(*arguments)
