"""`coccinelle import-d1`: take over the data of the earlier service."""

import json
from pathlib import Path
from typing import Annotated

import typer

from server.clock import SystemClock
from server.commands.session import run, settings_of
from server.key_ring import key_ring
from server.settings import Settings
from storage.d1 import Report, Takeover, open_export
from storage.database import Database

#: Some rows were refused.
REFUSED = 1


def import_d1(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(help="A SQLite database, or what `wrangler d1 export` wrote.")
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say it, store nothing.")] = False,
    create_tenants: Annotated[
        bool, typer.Option("--create-tenants", help="Those of the export's table `tenants`, too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The report for programs.")] = False,
) -> None:
    """Import the six tables of the earlier service. Run again, it adds what is missing.

    Ends with 0 when every row is kept or there already, with 1 when one was refused.
    """
    report = run(_import(settings_of(context), file, dry_run, create_tenants))
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        for line in report.lines():
            typer.echo(line)
        if report.refusals:
            typer.echo(f"{report.refusals} rows were refused: exit status {REFUSED}.")
    if report.refusals:
        raise typer.Exit(REFUSED)


async def _import(settings: Settings, file: Path, dry_run: bool, create_tenants: bool) -> Report:
    export = open_export(file)
    try:
        database = await Database.open(settings.database_url.get_secret_value())
        try:
            takeover = Takeover(
                database,
                SystemClock(),
                key_ring(settings),
                region=settings.default_region,
                own_numbers=settings.own_numbers,
                dry_run=dry_run,
            )
            return await takeover.run(export, create_tenants=create_tenants)
        finally:
            await database.close()
    finally:
        export.close()
