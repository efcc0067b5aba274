"""`python -m sandbox serve`: the outside world as a child process, told what to do line by line.

Commands are JSON lines on standard input, events JSON lines on standard output:

    {"call": {"scenario": "appointment", "line": "+33199001234"}}   see `World.call`; "faults": {…},
        "breakdown": {"kind": "cut", "moment": "agent_speech"}      see `sandbox.breakdown`
    {"callee": {"number": "+33…", "behaviour": "presses_1"}}        whom a transfer reaches
    {"target": "http://127.0.0.1:8000"}                             where the server listens
    {"models_faults": [{"kind": "stall", "endpoint": "speech"}]}    see `sandbox.http_faults`
    {"vapi_faults": {"close_after_s": 5}}                           see `sandbox.vapi_faults`
    {"lines": {"Un instant.": "<base64 µ-law>"}}                    the server's own sentences
    {"voice_speed": 1.2}                                            of the realtime model's voice
    {"quit": true}

The first line out is {"ready": true, "twilio_url": …, "openai_url": …, "models_url": …}, with
"vapi_url" if Vapi is emulated. It ends at the end of its input, when told to, by SIGTERM, and when
its parent dies; calls in progress end with it.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import stat
import sys
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sandbox.breakdown import Breakdown
from sandbox.callee import Callee
from sandbox.faults import Faults
from sandbox.http_faults import HttpFault
from sandbox.scenario import names
from sandbox.world import World

_PARENT_SECONDS = 0.5
_LONGEST_LINE = 4 * 1024 * 1024  # spoken sentences, in base64
_CALL_OPTIONS = frozenset(
    "scenario line number caller forwarded_from faults breakdown max_seconds".split(),
)


_KINDS: Mapping[str, type] = {
    "call": dict,
    "callee": dict,
    "models_faults": list,
    "lines": dict,
    "target": str,
    "voice_speed": float,
    "vapi_faults": dict,
}


class _Done(Exception):
    """Ends the task group, and with it every call."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="The outside world.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("scenarios", help="list the conversations that can be played")
    serve = commands.add_parser("serve", help="emulate Twilio and OpenAI, and let people call")
    serve.add_argument("--account-sid", required=True)
    serve.add_argument("--auth-token", required=True, help="two, comma-separated, for a rotation")
    serve.add_argument("--number", required=True, help="the account's number, E.164")
    serve.add_argument("--target", default="", help="PUBLIC_URL of the server")
    serve.add_argument("--openai-key", default="", help="the key that the emulated model accepts")
    serve.add_argument("--vapi-key", default="", help="emulate Vapi too; the key that it accepts")
    serve.add_argument("--wav-dir", type=Path, help="where each call's line is recorded")
    serve.add_argument("--real-model", action="store_true", help="don't emulate the model")
    arguments = parser.parse_args()
    if arguments.command == "scenarios":
        print("\n".join(names()))
        return
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments))


async def _serve(arguments: argparse.Namespace) -> None:
    parent = os.getppid()  # before anything is said that makes it lose interest
    world = World(
        auth_token=arguments.auth_token,
        account_sid=arguments.account_sid,
        number=arguments.number,
        openai_key=arguments.openai_key,
        wav_dir=arguments.wav_dir,
        on_event=_tell,
        real_model=arguments.real_model,
    )
    async with world:
        if arguments.target:
            world.target(arguments.target)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        urls = {"twilio_url": world.twilio_url, "openai_url": world.openai_url}
        urls["models_url"] = world.models_url
        if arguments.vapi_key:
            urls["vapi_url"] = await world.serve_vapi(arguments.vapi_key)
        _tell({"ready": True, **urls})
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_until(stop))
                tasks.create_task(_watch_parent(parent, stop))
                async for line in _lines():
                    _obey(line, world, tasks, stop)
                stop.set()
        except* _Done:
            pass


async def _until(stop: asyncio.Event) -> None:
    await stop.wait()
    raise _Done


async def _watch_parent(parent: int, stop: asyncio.Event) -> None:
    """Whoever started us may be killed without closing our input: a sibling may hold it open."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(_PARENT_SECONDS)
    stop.set()


def _obey(line: bytes, world: World, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> None:
    try:
        command = json.loads(line)
        if not isinstance(command, dict) or len(command) != 1:
            raise ValueError("a command is an object with one key")
        [(name, given)] = command.items()
        _check_kind(name, given)
        if name == "call":
            tasks.create_task(_call(world, _options(given)))
        elif name == "callee":
            options = dict(given)
            number = options.pop("number")
            world.twilio.callees[number] = Callee(**options)
        elif name == "target":
            world.target(given)
        elif name in ("lines", "voice_speed"):
            _set_voices(name, given, world)
        elif name == "models_faults":
            world.models.faults[:] = [HttpFault.of(each) for each in given]
        elif name == "vapi_faults" and world.vapi is not None:
            world.vapi.faults.become(given)
        elif name == "quit":
            stop.set()
        else:
            raise ValueError(f"unknown command {name!r}")
    except (ValueError, TypeError, KeyError) as error:
        _refuse(line.decode(errors="replace").strip(), error)


def _set_voices(name: str, given: Any, world: World) -> None:
    if name == "lines":
        world.lines = {text: b64decode(audio) for text, audio in given.items()}
    elif world.openai is not None:
        world.openai.pace = replace(world.openai.pace, speed=given)


def _check_kind(name: str, given: Any) -> None:
    if not isinstance(given, _KINDS.get(name, object)):
        raise ValueError(f"what belongs to {name!r} is of the wrong kind: {given!r}")


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = given.keys() - _CALL_OPTIONS
    if unknown:
        raise ValueError(f"unknown options of a call: {', '.join(sorted(unknown))}")
    options = dict(given)
    if "faults" in options:
        options["faults"] = Faults.of(options["faults"])
    if "breakdown" in options:
        options["faults"] = Breakdown.of(options.pop("breakdown"))
    return options


async def _call(world: World, options: dict[str, Any]) -> None:
    try:
        await world.call(**options)
    except (ValueError, TypeError) as error:  # a scenario that can't be played, an unknown number
        _refuse(str(options), error)


def _refuse(command: str, error: Exception) -> None:
    _tell({"event": "refused", "command": command, "why": str(error)})


def _tell(event: Mapping[str, Any]) -> None:
    try:
        print(json.dumps(event, ensure_ascii=False), flush=True)
    except BrokenPipeError:
        # Nobody listens any more; the interpreter must not try again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        signal.raise_signal(signal.SIGTERM)


async def _lines() -> AsyncIterator[bytes]:
    """Standard input, to its end."""
    kind = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or sys.stdin.isatty()):
        for line in sys.stdin.buffer.readlines():  # a file: never blocks
            yield line
        return
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while line := await reader.readline():
            yield line
    finally:
        transport.close()


if __name__ == "__main__":
    main()
