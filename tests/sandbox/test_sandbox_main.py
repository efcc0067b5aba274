"""`python -m sandbox` as a child process."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.sandbox.twiml_server import ACCOUNT, NUMBER, TOKEN, TwimlServer

SERVE = [
    *("-m", "sandbox", "serve", "--account-sid", ACCOUNT, "--auth-token", TOKEN),
    *("--number", NUMBER, "--openai-key", "sk-test"),
]


@asynccontextmanager
async def sandbox(*arguments: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *SERVE, *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=2**24
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def say(process: Process, command: Any) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(command).encode() + b"\n")
    await process.stdin.drain()


async def hear(process: Process, event: str) -> dict[str, Any]:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while line := await process.stdout.readline():
            said: dict[str, Any] = json.loads(line)
            if event in (said.get("event"), *said):
                return said
    raise AssertionError(f"ended without {event}")


async def test_a_call_by_command(server: TwimlServer) -> None:
    server.replies["/webhooks/twilio/voice"] = "<Response><Reject reason='busy'/></Response>"
    async with sandbox("--target", server.url) as process:
        ready = await hear(process, "ready")
        assert ready["ready"] is True
        assert ready["twilio_url"].startswith("http://127.0.0.1:")
        assert ready["openai_url"].endswith("/v1")
        assert ready["models_url"].endswith("/v1")
        assert ready["models_url"] != ready["openai_url"]
        await say(process, {"call": {"scenario": "robot", "line": "+33199001234"}})
        ringing = await hear(process, "ringing")
        report = (await hear(process, "report"))["report"]
        assert ringing["call"] == report["call_sid"]
        assert report["status"] == "busy"
        assert server.requests[0][1]["ForwardedFrom"] == "+33199001234"
        await say(process, {"quit": True})
        assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_what_cannot_be_done_is_refused_and_the_rest_goes_on() -> None:
    async with sandbox() as process:
        await hear(process, "ready")
        for command, why in (
            ({"call": {"scenario": "lottery"}}, "no scenario 'lottery'"),
            ({"call": {"scenario": "robot", "colour": "red"}}, "colour"),
            ({"call": {"scenario": "robot", "faults": {"earthquake": True}}}, "earthquake"),
            ({"call": {"scenario": "robot", "number": "+331"}}, "+331 is not a number"),
            ({"callee": {"number": "+33199000199", "mood": "bad"}}, "mood"),
            ({"callee": {"number": "+33199000199", "behaviour": "sings"}}, "'sings' is none of"),
            ({"call": "robot"}, "wrong kind"),
            ({"target": 3}, "wrong kind"),
            ({"models_faults": {"kind": "hang"}}, "wrong kind"),
            ({"models_faults": [{"kind": "explode"}]}, "no such fault"),
            ({"models_faults": [{"kind": "hang", "colour": "red"}]}, "colour"),
            ({"sing": True}, "unknown command 'sing'"),
            ("hello", "a command is an object"),
        ):
            await say(process, command)
            assert why in (await hear(process, "refused"))["why"]
        assert process.returncode is None


async def test_it_ends_with_its_input_and_takes_the_calls_with_it(server: TwimlServer) -> None:
    server.replies["/webhooks/twilio/voice"] = server.connect()
    async with sandbox("--target", server.url) as process:
        await hear(process, "ready")
        await say(process, {"call": {"scenario": "silence"}})
        await hear(process, "stream_started")
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_it_ends_when_told_by_a_signal() -> None:
    async with sandbox() as process:
        await hear(process, "ready")
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_it_ends_when_its_parent_is_killed() -> None:
    """Even when somebody else holds its input open."""
    read_end, write_end = os.pipe()
    parent_code = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, *{SERVE!r}], stdin={read_end})\n"
        "print(child.pid, flush=True)\ntime.sleep(60)"
    )
    try:
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", parent_code, stdout=PIPE, pass_fds=[read_end]
        )
        assert parent.stdout is not None
        pid = int(await parent.stdout.readline())
        assert json.loads(await parent.stdout.readline())["ready"] is True
        parent.kill()
        async with asyncio.timeout(10):
            while is_alive(pid):
                await asyncio.sleep(0.1)
        await parent.communicate()
    finally:
        os.close(read_end)
        os.close(write_end)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_the_scenarios_are_listed() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", "scenarios", stdout=PIPE
    )
    out, _ = await process.communicate()
    assert "appointment" in out.decode().split()


@pytest.mark.parametrize("arguments", [[], ["serve"], ["sing"]])
async def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sandbox", *arguments, stdout=PIPE, stderr=PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert b"usage" in errors
