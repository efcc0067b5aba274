"""Work that nobody waits for: owned by the application, and its failure harms nobody else."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Background:
    """Starts work that outlives a request. `tasks` is the application's own group."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run it; a failure is logged under its name and ends only this piece of work."""
        self._tasks.create_task(_guarded(name, work), name=name)


async def _guarded(name: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - one piece of work must not end the server
        log.error("background.failed", work=name, error=type(error).__name__, detail=str(error))
