"""`coccinelle purge`: remove now what would be removed in the night."""

from typing import Annotated

import typer

from server.clock import SystemClock
from server.commands.session import run, settings_of
from server.retention import purge as purge_of
from server.settings import Settings
from storage.database import Database
from storage.purge import Purged


def purge(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only.")] = False,
    catch_up: Annotated[
        bool,
        typer.Option(
            "--catch-up",
            help="Believe this machine's clock, however far it is ahead of the last purge. "
            "Look at it first.",
        ),
    ] = False,
) -> None:
    """Remove what has been kept for its time (RETENTION_… in docs/settings.md)."""
    purged = run(_purge(settings_of(context), dry_run=dry_run, catch_up=catch_up))
    for kind, count in purged.rows.items():
        typer.echo(f"{kind}: {count}" + (" due" if dry_run else ""))
    if not purged.rows:
        typer.echo("nothing is due")
    if purged.held_back:
        days = max(purged.held_back.values()).days
        typer.echo(
            f"Held back by {days} days: the clock is far ahead of the last purge, or of the newest "
            f"row. It says {SystemClock().now():%Y-%m-%d %H:%M} UTC. If that is right, add "
            "--catch-up; without it, each night goes a week further.",
            err=True,
        )


async def _purge(settings: Settings, *, dry_run: bool, catch_up: bool) -> Purged:
    database = await Database.open(settings.database_url.get_secret_value())
    try:
        purge = purge_of(settings, database, SystemClock())
        return await (purge.due(catch_up=catch_up) if dry_run else purge.run(catch_up=catch_up))
    finally:
        await database.close()
