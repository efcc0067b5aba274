"""What a Vapi leg costs beside a realtime leg: this process's CPU time for each second of a call.

    .venv/bin/python -m benchmarks.vapi_leg [legs] [seconds]

Real sockets to emulators in another process; each leg is given the caller's frames, fifty a second,
and hands what it gets to a listener that counts. `listening`: nobody speaks (Vapi sends silence all
the time, the realtime model nothing). `speaking`: the agent speaks all the time, as fast as life
(Vapi) or in bursts (realtime).
"""

import asyncio
import base64
import json
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from providers.openai.realtime import OpenAIRealtime
from providers.vapi.connector import VapiConnector
from providers.vapi.rest import VapiAccount
from sandbox.brain import Brain
from sandbox.openai_realtime import RealtimeEmulator
from sandbox.vapi import VapiEmulator
from server.clock import SystemClock
from voice.events import AgentGone
from voice.ports import AgentLeg, AgentSpec

KEY = "key"
FRAME = base64.b64encode(b"\xff" * 160).decode()
LONG = " ".join(["Je vous explique tout cela très longuement."] * 60)
ASSISTANT = "00000000-0000-4000-8000-000000000000"


class _Counter:
    def __init__(self) -> None:
        self.audio = 0

    def on_agent_audio(self, _item_id: str, payload: str) -> None:
        self.audio += len(payload)

    def on_agent_event(self, event: object) -> None:
        assert not isinstance(event, AgentGone), event


async def _vendors() -> None:
    """The other process."""
    async with (
        VapiEmulator(KEY, lambda _tag: Brain(()), concurrency=10_000) as vapi,
        RealtimeEmulator(KEY, lambda _tag: Brain(()), speed=1.0) as openai,
    ):
        vapi.assistants[ASSISTANT] = {
            "id": ASSISTANT,
            "createdAt": "2026-01-01T00:00:00.000Z",
            "firstMessageMode": "assistant-waits-for-user",
            "serverMessages": [],
        }
        print(json.dumps([vapi.url, openai.url]), flush=True)
        await asyncio.to_thread(sys.stdin.readline)


async def _cost(legs: list[AgentLeg], seconds: float, *, speaking: bool) -> float:
    """Milliseconds of CPU for one second of one call."""
    counters = [_Counter() for _ in legs]
    for leg, counter in zip(legs, counters, strict=True):
        leg.listen(counter)
        if speaking:
            leg.say(LONG)
    await _talk(legs, 1.0)
    before, began = time.process_time(), time.perf_counter()
    await _talk(legs, seconds)
    spent = time.process_time() - before
    assert not speaking or all(counter.audio for counter in counters)
    return spent * 1000 / (time.perf_counter() - began) / len(legs)


async def _talk(legs: list[AgentLeg], seconds: float) -> None:
    began = time.perf_counter()
    for count in range(round(seconds * 50)):
        for leg in legs:
            leg.hear(FRAME)
        await asyncio.sleep(max(0.0, began + (count + 1) * 0.02 - time.perf_counter()))


async def _measure(count: int, seconds: float) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.vapi_leg", "vendors",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    vapi_url, openai_url = json.loads(await child.stdout.readline())

    def spec(**more: Any) -> AgentSpec:
        return AgentSpec("", (), "gpt-realtime-2.1", "marin", "fr", KEY, resumed=True, **more)

    async def remember(*_: object) -> bool:
        return True

    figures: dict[str, float] = {}
    async with VapiAccount(vapi_url, KEY) as account, asyncio.TaskGroup() as tasks:

        def spawn(_name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
            tasks.create_task(work())

        vapi = VapiConnector(account, SystemClock(), spawn, remember)
        openai = OpenAIRealtime(openai_url)
        for speaking in (False, True):
            how = "speaking" if speaking else "listening"
            ways: dict[str, Callable[[], Coroutine[Any, Any, AgentLeg]]] = {
                "vapi": lambda: vapi.connect(spec(assistant_id=ASSISTANT)),
                "realtime": lambda: openai.connect(spec()),
            }
            for name, connect in ways.items():
                legs = [await connect() for _ in range(count)]
                figures[f"{name} {how}"] = await _cost(legs, seconds, speaking=speaking)
                for leg in legs:
                    await leg.close()
            ratio = figures[f"vapi {how}"] / figures[f"realtime {how}"]
            print(
                f"{how}: vapi {figures[f'vapi {how}']:.2f} ms/s, "
                f"realtime {figures[f'realtime {how}']:.2f} ms/s, ratio {ratio:.2f}",
                flush=True,
            )
    child.terminate()
    await child.wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["vendors"]:
        asyncio.run(_vendors())
    else:
        given = [float(each) for each in sys.argv[1:]]
        asyncio.run(_measure(int(given[0]) if given else 20, given[1] if given[1:] else 10.0))
