"""The `coccinelle` command: its subcommands, and what each failure says."""

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import CoccinelleError
from server.commands.demo import demo
from server.commands.doctor import doctor
from server.commands.import_d1 import import_d1
from server.commands.jobs import jobs
from server.commands.keys import keys
from server.commands.knowledge import knowledge
from server.commands.migrate import migrate
from server.commands.provision import provision
from server.commands.purge import purge
from server.commands.secrets import secrets
from server.commands.serve import serve
from server.commands.settings import settings
from server.commands.tenants import tenants
from server.commands.work import work
from server.settings import ENV_FILE, SettingsError

#: A wrong setting or argument; as the shell's own convention has it.
WRONG_USE = 2

app = typer.Typer(
    help="The phone line that never goes unanswered.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(work)
app.command()(doctor)
app.command()(provision)
app.command()(migrate)
app.command("import-d1")(import_d1)
app.command()(purge)
app.add_typer(tenants, name="tenants")
app.add_typer(keys, name="keys")
app.add_typer(jobs, name="jobs")
app.add_typer(knowledge, name="knowledge")
app.add_typer(secrets, name="secrets")
app.command()(settings)
app.command()(demo)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("coccinelle"))
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    env_file: Annotated[Path, typer.Option(help="A file of settings, beside the environment.")] = (
        ENV_FILE
    ),
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """What holds for every command."""
    context.obj = env_file


def run() -> None:
    """0 done, 1 refused or failed, 2 wrong use or wrong settings."""
    try:
        app()
    except SettingsError as error:
        for line in error.lines:
            typer.echo(line, err=True)
        raise SystemExit(WRONG_USE) from None
    except CoccinelleError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(1) from None
