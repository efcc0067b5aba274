"""What the commands share: the settings they were started with, and a storage for a while."""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import typer

from server.clock import SystemClock
from server.key_ring import key_ring
from server.logs import logging_to
from server.settings import ENV_FILE, Settings, load
from storage import Storage
from storage.database import Database

Result = TypeVar("Result")


def env_file_of(context: typer.Context) -> Path:
    """The file named with --env-file."""
    return context.find_object(Path) or ENV_FILE


def settings_of(context: typer.Context) -> Settings:
    """The settings, from the environment and that file."""
    return load(env_file_of(context))


@asynccontextmanager
async def open_storage(settings: Settings) -> AsyncIterator[Storage]:
    """The storage of this deployment, created and migrated when it needs it."""
    database = await Database.open(settings.database_url.get_secret_value())
    try:
        yield Storage(database, SystemClock(), key_ring(settings))
    finally:
        await database.close()


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """An asynchronous command, to its end. What it says, it prints: the log is for trouble."""
    with logging_to(sys.stderr, level="ERROR", form="console"):
        return asyncio.run(work)
