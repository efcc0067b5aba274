"""A child process that reads what a stranger wrote: started without anything of ours, talked to
over pipes, bounded by the wall clock, and never left behind.

It sees the bytes and nothing else: no environment, no settings, no database. It bounds its own
memory and processor time (`storage.confinement`).
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Final

from domain.errors import OperatorError

_CHUNK: Final = 256 * 1024

#: Starts a module of ours without `storage/__init__.py`, and with it the whole of our code: bare
#: packages stand in for those above it. A tenth of a second instead of half of one.
_BOOT: Final = """
import importlib, sys, types
root, module = sys.argv[1:3]
sys.path.append(root)
parts = module.split(".")[:-2]
for end in range(1, len(parts) + 1):
    package = types.ModuleType(".".join(parts[:end]))
    package.__path__ = ["/".join([root, *parts[:end]])]
    sys.modules[package.__name__] = package
importlib.import_module(module).main()
"""


async def ask(
    module: str, header: bytes, data: bytes, *, wall_seconds: float, max_answer: int
) -> tuple[bytes, int]:
    """What `module`'s `main` wrote for these bytes (b"" when it was more than `max_answer`), and
    the status it ended with (negative: the signal). TimeoutError, with the child killed;
    OperatorError when no process can be started."""
    child = await _start(module)
    try:
        async with asyncio.timeout(wall_seconds):
            told = await _converse(child, header, data, max_answer)
            return told, await child.wait()
    finally:
        await _end(child)


async def _start(module: str) -> Process:
    root = Path(__file__).parent.parent
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-X", "utf8", "-c", _BOOT, str(root), module),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,  # a traceback quotes the document
            env={},
            cwd="/",
            start_new_session=True,
            limit=_CHUNK,
        )
    except OSError as error:
        raise OperatorError(
            f"no process could be started to read a document ({error.strerror}). Check the limits "
            "on processes, open files and memory."
        ) from error


async def _converse(child: Process, header: bytes, data: bytes, max_answer: int) -> bytes:
    """Hand the document over and take the answer, both at once: neither side waits for the other
    with a full pipe."""
    async with asyncio.TaskGroup() as both:
        both.create_task(_hand_over(child, header, data), name="document.hand_over")
        answer = both.create_task(_take(child, max_answer), name="document.take")
    return answer.result()


async def _hand_over(child: Process, header: bytes, data: bytes) -> None:
    assert child.stdin is not None
    # A child that dies early closes the pipe; how it ended tells why.
    with suppress(BrokenPipeError, ConnectionResetError):
        child.stdin.write(header)
        for start in range(0, len(data), _CHUNK):
            child.stdin.write(data[start : start + _CHUNK])
            await child.stdin.drain()
    child.stdin.close()


async def _take(child: Process, max_answer: int) -> bytes:
    assert child.stdout is not None
    told = bytearray()
    while chunk := await child.stdout.read(_CHUNK):
        told += chunk
        if len(told) > max_answer:
            _kill(child)
            return b""
    return bytes(told)


def _kill(child: Process) -> None:
    """The child and whatever it may have started: it leads a group of its own."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


async def _end(child: Process) -> None:
    """Leave no process behind, not even when we are cancelled ourselves."""
    if child.returncode is None:
        _kill(child)
    await asyncio.shield(child.wait())
