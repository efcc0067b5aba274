import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from server.demo import children
from server.demo.children import running
from server.settings import child_environment
from tests.fakes.processes import gone

FOREVER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FOREVER
# Starts a child of its own, which ignores everything it may.
PARENT = (
    "import subprocess, sys, time; "
    f"child = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); "
    "print(child.pid, flush=True); time.sleep(600)"
)
ECHO = "import sys\nfor line in sys.stdin: print(line.strip().upper(), flush=True)"


async def test_talks_and_ends_with_its_input(tmp_path: Path) -> None:
    with running(child_environment()) as family:
        async with family.start("echo", ["-c", ECHO], tmp_path / "log", talks=True) as child:
            child.send_line(b"bonjour")
            async for line in child.lines():
                assert line == b"BONJOUR\n"
                break
        assert child.process.returncode == 0


async def test_is_asked_to_end(tmp_path: Path) -> None:
    with running(child_environment()) as family:
        async with family.start("sleeper", ["-c", FOREVER], tmp_path / "log") as child:
            while b"up" not in (tmp_path / "log").read_bytes():
                await asyncio.sleep(0.02)
        assert child.process.returncode == -signal.SIGTERM


async def test_is_killed_when_it_will_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "END_SECONDS", 0.2)
    with running(child_environment()) as family:
        async with family.start("stubborn", ["-c", STUBBORN], tmp_path / "log") as child:
            while b"up" not in (tmp_path / "log").read_bytes():
                await asyncio.sleep(0.02)
        assert child.process.returncode == -signal.SIGKILL


async def test_what_a_child_started_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "TALK_END_SECONDS", 0.2)
    with running(child_environment()) as family:
        async with family.start("parent", ["-c", PARENT], tmp_path / "log", talks=True) as child:
            async for line in child.lines():
                grandchild = int(line)
                break
            assert psutil.pid_exists(grandchild)
    assert gone(grandchild)


async def test_nothing_is_left_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), running(child_environment()) as family:
        async with family.start("sleeper", ["-c", FOREVER], tmp_path / "log") as child:
            raise RuntimeError
    assert gone(child.process.pid)


def test_nothing_is_left_when_we_are_killed_outright(tmp_path: Path) -> None:
    script = f"""
import asyncio, pathlib
from server.demo.children import running
from server.settings import child_environment
from tests.fakes.processes import gone

async def main():
    with running(child_environment()) as family:
        log = pathlib.Path({str(tmp_path / "log")!r})
        async with family.start("sleeper", ["-c", {FOREVER!r}], log) as child:
            print(child.process.pid, flush=True)
            await asyncio.sleep(600)

asyncio.run(main())
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as demo:
        assert demo.stdout is not None
        child = int(demo.stdout.readline())
        os.kill(demo.pid, signal.SIGKILL)
    assert gone(child)


async def test_says_how_it_died(tmp_path: Path) -> None:
    failing = "import sys; sys.exit('no such port')"
    with running(child_environment()) as family:
        async with family.start("server", ["-c", failing], tmp_path / "log") as child:
            await child.process.wait()
            said = str(child.died())
    assert "server" in said
    assert "status 1" in said
    assert "no such port" in said


async def test_inherits_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    show = "import os; print(sorted(os.environ))"
    with running(child_environment(GIVEN="1")) as family:
        started = family.start("x", ["-c", show], tmp_path / "log", environment={"MORE": "1"})
        async with started as child:
            await child.process.wait()
    said = (tmp_path / "log").read_text()
    assert "OPENAI_API_KEY" not in said
    assert "GIVEN" in said
    assert "MORE" in said
