"""One clock for all calls of the process: 20 ms ticks on an absolute grid; no call drifts."""

import asyncio
from collections.abc import Callable

FRAME_SECONDS = 0.020
#: Calls are spread over the 20 ms, as the calls of different people are.
PHASES = 4

Tick = Callable[[float], None]


class Ticker:
    """Calls every subscriber each 20 ms with the time the tick was due (loop clock, seconds).

    A process that wakes late makes up for every tick it missed, so a call's frames are never
    fewer than its duration. `run` is the one task behind it; it sleeps while nobody listens.
    """

    def __init__(self) -> None:
        self._phases: list[list[Tick]] = [[] for _ in range(PHASES)]
        self._somebody = asyncio.Event()

    def add(self, tick: Tick) -> None:
        """Tick from the next tick on."""
        min(self._phases, key=len).append(tick)
        self._somebody.set()

    def remove(self, tick: Tick) -> None:
        """No tick any more; unknown subscribers are ignored, a call may end twice."""
        for phase in self._phases:
            if tick in phase:
                phase.remove(tick)
        if not any(self._phases):
            self._somebody.clear()

    async def run(self) -> None:
        """Tick until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._somebody.wait()
            await self._run_while_needed(loop)

    async def _run_while_needed(self, loop: asyncio.AbstractEventLoop) -> None:
        start, count = loop.time(), 0
        while self._somebody.is_set():
            due = start + count * FRAME_SECONDS / PHASES
            await asyncio.sleep(max(0.0, due - loop.time()))
            for tick in tuple(self._phases[count % PHASES]):
                tick(due)
            count += 1
