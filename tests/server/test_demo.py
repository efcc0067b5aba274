import asyncio
import re
import signal
import sqlite3
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from server.demo.breakdowns import FAULTS
from server.settings import child_environment
from tests.fakes.processes import gone

DEMO = [sys.executable, "-m", "server", "demo"]
#: Of a machine that runs the rest of the suite.
LATE_SECONDS = 0.7


@contextmanager
def demo(directory: Path, *arguments: str, **variables: str) -> Iterator["subprocess.Popen[str]"]:
    """`coccinelle demo` as a newcomer starts it, without a terminal."""
    process = subprocess.Popen(
        [*DEMO, *arguments],
        cwd=directory,
        env=child_environment(PYTHONUNBUFFERED="1", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def family(process: "subprocess.Popen[str]") -> list[int]:
    """The world outside, the server, and the server's worker, which it starts a little later."""
    children: list[psutil.Process] = []
    for _ in range(200):
        children = psutil.Process(process.pid).children(recursive=True)
        if len(children) >= 3:
            break
        time.sleep(0.05)
    return [child.pid for child in children]


def read_until(process: "subprocess.Popen[str]", words: str) -> list[str]:
    """Its lines up to the one with these words."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if words in line:
            return lines
    raise AssertionError(f"{words!r} never came: {lines}")


@pytest.mark.timeout(120)
def test_a_call_is_shown_and_an_appointment_booked(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        lines = read_until(process, "somebody calls")
        children = family(process)
        assert process.stdout is not None
        lines += process.stdout.read().splitlines()
        assert process.wait(timeout=10) == 0, lines
    story = "\n".join(lines)
    told = [line.split()[2] for line in lines if re.match(r" *[0-9.]+ s  ", line)]
    for kind in ("ringing", "tenant", "agent", "Sara", "caller", "barge-in", "function"):
        assert kind in told, story
    assert told.index("booked") < told.index("goodbye") < told.index("hang-up")
    assert "check_availability(" in story
    assert "book_appointment(" in story
    assert "frames lost: 0 of " in story
    assert "\x1b" not in story
    assert len(children) == 3
    assert all(gone(child) for child in children)
    [directory] = (tmp_path / "var/demo").iterdir()
    with closing(sqlite3.connect(directory / "coccinelle.sqlite3")) as database:
        [(name,)] = database.execute("SELECT customer_name FROM rendez_vous").fetchall()
        [(outcome,)] = database.execute("SELECT outcome FROM call_logs").fetchall()
    assert name == "Marc Durand"
    assert outcome == "booked"
    assert "Appelant : " in (directory / "transcript.txt").read_text()
    [recording] = directory.glob("*.wav")
    with wave.open(str(recording)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 8000, 2)
        assert file.getnframes() > 20 * 8000


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "fault",
    ["vapi-dies", *(pytest.param(f, marks=pytest.mark.long) for f in FAULTS if f != "vapi-dies")],
)
def test_a_rescue_is_shown(tmp_path: Path, fault: str) -> None:
    with demo(tmp_path, "--fault", fault) as process:
        assert process.stdout is not None
        story = process.stdout.read()
        assert process.wait(timeout=10) == 0, story
    assert f"In this call {FAULTS[fault].words}." in story
    kind = FAULTS[fault].kind.replace("_", " ")
    assert f"{FAULTS[fault].leg}: {kind}, as ordered" in story
    assert "The appointment is in the database." in story
    silence = re.search(r"was lost; the caller heard nothing for ([0-9.]+) s at most", story)
    assert silence is not None, story
    assert float(silence[1]) <= 2.5 + LATE_SECONDS


def test_a_fault_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with demo(tmp_path, "--fault", "vapi-sings") as process:
        assert process.stdout is not None
        assert "vapi-dies" in process.stdout.read()
        assert process.wait(timeout=10) == 2


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    # SIGINT is ignored by whatever a shell started in the background.
    "number",
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)],
)
def test_ends_when_told_to_and_leaves_nobody(tmp_path: Path, number: signal.Signals) -> None:
    """A key in the file pays for no demo: what would be a call to it, is one to the emulator."""
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-of-the-deployment\n")
    with demo(tmp_path) as process:
        assert "The model is emulated" in read_until(process, "model is")[0]
        read_until(process, "answered")
        children = family(process)
        assert len(children) == 3
        process.send_signal(number)
        assert process.wait(timeout=45) == 130
    assert all(gone(child) for child in children)


@pytest.mark.timeout(60)
async def test_a_real_model_is_used_when_a_key_is_exported(tmp_path: Path) -> None:
    """… and said so first. Here "the real one" is a socket that sees who comes."""
    asked: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not asked.done():
            asked.set_result(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    with demo(tmp_path, OPENAI_API_KEY="sk-exported", OPENAI_BASE_URL=url) as process:
        lines = await asyncio.to_thread(read_until, process, "OPENAI_API_KEY")
        assert lines == [f"OPENAI_API_KEY is set: the model is the real one, at {url}."]
        request = (await asyncio.wait_for(asked, 30)).decode()
        children = family(process)
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 45)
    server.close()
    await server.wait_closed()
    assert "GET /v1/realtime?model=" in request
    assert "Bearer sk-exported" in request
    assert all(gone(child) for child in children)
