"""`coccinelle migrate`: bring the database up to date without starting the server."""

import typer

from server.commands.session import open_storage, run, settings_of
from server.settings import Settings


def migrate(context: typer.Context) -> None:
    """Create the database or bring it up to date. `serve` does the same at its start."""
    settings = settings_of(context)
    run(_migrate(settings))
    typer.echo(f"{settings.database_name} is up to date.")


async def _migrate(settings: Settings) -> None:
    async with open_storage(settings):
        pass
