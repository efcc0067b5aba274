"""`coccinelle jobs`: what waits, what is dead, and what to do about it."""

import json
from typing import Annotated

import typer

from server.commands.session import open_storage, run, settings_of
from server.settings import Settings
from storage.jobs.dead_letters import DeadLetter
from storage.jobs.queue import Counts, Waiting

jobs = typer.Typer(help="Jobs that wait in the database, and dead ones.", no_args_is_help=True)

_Most = Annotated[int, typer.Option("--limit", min=1, help="No more than so many.")]
_Id = Annotated[str, typer.Argument(help="The dead job's id, from `coccinelle jobs dead`.")]


@jobs.command("list")
def show(context: typer.Context, limit: _Most = 100) -> None:
    """What waits or runs: id, state, kind, tenant, key, due, attempts. The last line counts all."""
    counts, waiting = run(_waiting(settings_of(context), limit))
    for job in waiting:
        state = "running" if job.running else "waiting"
        due = job.run_at.isoformat(timespec="seconds") if job.run_at else "at once"
        _row(job.id, state, job.kind, job.tenant_id, job.key, due, f"{job.attempts} attempts")
    typer.echo(
        f"{counts.waiting} waiting, {counts.running} running, {counts.dead} dead; "
        f"the first one that is due has waited {counts.oldest:.0f} s"
    )


@jobs.command()
def dead(context: typer.Context, limit: _Most = 100) -> None:
    """Jobs that nobody tries any more: id, died at, kind, tenant, key, attempts, payload, error."""
    for letter in run(_dead(settings_of(context), limit)):
        _row(
            letter.id,
            letter.died_at.isoformat(timespec="seconds"),
            letter.kind,
            letter.tenant_id,
            letter.key,
            f"{letter.attempts} attempts",
            json.dumps(letter.payload),
            letter.error,
        )


@jobs.command()
def replay(context: typer.Context, job: _Id) -> None:
    """Let a dead job run again, at once and with all its attempts."""
    letter = run(_replay(settings_of(context), job))
    typer.echo(f"{letter.kind} runs again.")


@jobs.command()
def discard(context: typer.Context, job: _Id) -> None:
    """Forget a dead job."""
    letter = run(_discard(settings_of(context), job))
    typer.echo(f"{letter.kind} is forgotten.")


def _row(*cells: str | None) -> None:
    typer.echo("\t".join(cell or "-" for cell in cells))


async def _waiting(settings: Settings, limit: int) -> tuple[Counts, list[Waiting]]:
    async with open_storage(settings) as storage:
        return await storage.jobs.counts(), await storage.jobs.waiting(limit)


async def _dead(settings: Settings, limit: int) -> list[DeadLetter]:
    async with open_storage(settings) as storage:
        return await storage.jobs.dead(limit)


async def _replay(settings: Settings, letter_id: str) -> DeadLetter:
    async with open_storage(settings) as storage:
        return await storage.jobs.replay(letter_id)


async def _discard(settings: Settings, letter_id: str) -> DeadLetter:
    async with open_storage(settings) as storage:
        return await storage.jobs.discard(letter_id)
