"""`coccinelle doctor`: what would keep calls from being answered."""

import typer

from server.clock import SystemClock
from server.commands.session import env_file_of, run, settings_of
from server.doctor import examine
from server.doctor_findings import Finding
from server.doctor_models import examine_models
from server.settings import Settings, unknown

_COLOURS = {"ok": typer.colors.GREEN, "warn": typer.colors.YELLOW, "fail": typer.colors.RED}


def doctor(context: typer.Context) -> None:
    """Check settings, database, our own address, Twilio, OpenAI, the clock and the cascade."""
    settings = settings_of(context)
    for mistake in unknown(env_file_of(context)):
        _print(Finding("warn", mistake, "correct its name in the file of settings"))
    if not run(_examine(settings)):
        raise typer.Exit(1)


async def _examine(settings: Settings) -> bool:
    """Whether nothing failed."""
    well = True
    clock = SystemClock()
    for examination in (examine(settings, clock), examine_models(settings, clock)):
        async for finding in examination:
            _print(finding)
            well = well and finding.level != "fail"
    return well


def _print(finding: Finding) -> None:
    level = typer.style(f"{finding.level:<4}", fg=_COLOURS[finding.level])
    typer.echo(f"{level}  {finding.what}")
    if finding.cure:
        typer.echo(f"      → {finding.cure}")
