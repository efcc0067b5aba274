"""`coccinelle work`: what isn't done during a request: jobs that wait in the database."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Annotated

import structlog
import typer

from domain.errors import OperatorError
from domain.jobs import JobKind
from server.accounts import text_model, vapi_account
from server.channel_checks import channel_check_jobs
from server.clock import SystemClock
from server.commands.session import settings_of
from server.conversations import conversation_jobs
from server.job_kinds import job_kinds, vendor_limits
from server.key_ring import key_ring
from server.knowledge import knowledge_search, passage_index
from server.logs import logging_to
from server.metrics import Metrics
from server.settings import Settings
from server.texts import text_vendors
from server.whatsapp_onboarding import onboarding_jobs
from storage import Storage
from storage.database import Database
from storage.jobs.worker import JobWorker, Pace

log = structlog.get_logger(__name__)

#: Below the server's, whose frames must not wait for a job (0 is usual, 19 the lowest).
NICENESS = 10
#: A handler that neither ends nor lets itself be cancelled doesn't keep the process longer.
EXIT_SECONDS = 2.0
#: What the process ends with when the database couldn't be opened; as `serve`.
NOT_STARTED = 3


def work(
    context: typer.Context,
    child: Annotated[
        bool,
        typer.Option(
            "--child", hidden=True, help="Of a server: lower priority, ends with its input."
        ),
    ] = False,
) -> None:
    """Run the jobs that wait in the database. `serve` does it by itself unless JOB_WORKER=none."""
    settings = settings_of(context)
    if child:
        os.nice(NICENESS)
        # Ctrl-C reaches all processes of a terminal; it is the server that tells us what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    with logging_to(
        sys.stderr, level=settings.log_level, form=settings.log_format, secrets=settings.secrets
    ):
        try:
            asyncio.run(_work(settings, child=child))
        except OperatorError as error:
            log.error(str(error))
            raise typer.Exit(NOT_STARTED) from None


async def _work(settings: Settings, *, child: bool) -> None:
    clock = SystemClock()
    database = await Database.open(settings.database_url.get_secret_value())
    try:
        storage = Storage(database, clock, key_ring(settings))
        async with (
            passage_index(settings) as index,
            vapi_account(settings) as vapi,
            text_vendors(settings, storage, clock) as texts,
            text_model(settings) as model,
        ):
            knowledge = knowledge_search(settings, storage, clock, Metrics(), index)
            kinds = [
                *job_kinds(settings, database, storage, clock, index, vapi, texts.senders),
                *onboarding_jobs(settings, storage, clock, texts),
                *channel_check_jobs(storage, clock, texts),
                *conversation_jobs(settings, storage, clock, texts, model, knowledge),
            ]
            await _run(settings, database, kinds, child=child)
    finally:
        await database.close()


async def _run(
    settings: Settings, database: Database, kinds: Sequence[JobKind], *, child: bool
) -> None:
    worker = JobWorker(
        database,
        SystemClock(),
        kinds,
        limits=vendor_limits(settings),
        places=settings.job_concurrency,
        pace=Pace(stop=settings.shutdown_seconds),
    )
    loop = asyncio.get_running_loop()
    stop = _Stop(loop, worker, settings.shutdown_seconds + EXIT_SECONDS)
    for number in (signal.SIGTERM,) if child else (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if child:
        threading.Thread(target=stop.when_input_ends, name="parent", daemon=True).start()
    log.info("working", database=settings.database_name, slots=settings.job_concurrency)
    await worker.run()


class _Stop:
    """Ends the worker in bounded time, whatever its handlers do."""

    def __init__(self, loop: asyncio.AbstractEventLoop, worker: JobWorker, seconds: float) -> None:
        self._loop = loop
        self._worker = worker
        self._seconds = seconds

    def __call__(self) -> None:
        """On a signal, in the event loop."""
        self._worker.stop()
        self._exit_later()

    def when_input_ends(self) -> None:
        """In a thread: our parent is gone, or has let us go, when its pipe ends."""
        # Not through sys.stdin: its lock would be held at the interpreter's end.
        while os.read(0, 4096):
            pass
        self._exit_later()
        self._loop.call_soon_threadsafe(self._worker.stop)

    def _exit_later(self) -> None:
        # A job cut off here is taken up by another worker, as after a crash.
        timer = threading.Timer(self._seconds, os._exit, (1,))
        timer.daemon = True
        timer.start()
