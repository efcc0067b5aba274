"""Work that nobody waits for: owned by the application, and its failure harms nobody else."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)

Work = Coroutine[Any, Any, None]

#: How soon work that shall never end is begun again after a failure, seconds.
AGAIN_SECONDS = 1.0


class Background:
    """Starts work that outlives a request. `tasks` is the application's own group, which a failure
    would end, and with it all that the server does between requests."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks

    def start(self, name: str, work: Callable[[], Work]) -> None:
        """Run it; a failure is logged under its name and ends only this piece of work. While the
        application ends it isn't begun any more."""
        guarded = _guarded(name, work)
        try:
            self._tasks.create_task(guarded, name=name)
        except RuntimeError:  # the group is shutting down
            guarded.close()
            log.warning("background.not_begun", work=name)

    def keep(self, name: str, work: Callable[[], Work]) -> None:
        """Run it for ever: what fails is logged, and begun again a moment later."""
        self._tasks.create_task(_kept(name, work), name=name)


async def _kept(name: str, work: Callable[[], Work]) -> None:
    while True:
        await _guarded(name, work)
        await asyncio.sleep(AGAIN_SECONDS)


async def _guarded(name: str, work: Callable[[], Work]) -> None:
    try:
        await work()
    except Exception as error:  # noqa: BLE001 - one piece of work must not end the server
        log.error("background.failed", work=name, error=type(error).__name__, detail=str(error))
