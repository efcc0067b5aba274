"""The `coccinelle` command: its subcommands, and what each failure says."""

import gc
from collections import UserDict
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_group

from domain.errors import CoccinelleError
from server.settings import ENV_FILE, SettingsError

#: A wrong setting or argument; as the shell's own convention has it.
WRONG_USE = 2

#: In the order in which they are listed. Each is what its module of `server.commands` is called.
COMMANDS = tuple(
    "serve work doctor provision migrate import-d1 purge tenants keys jobs knowledge secrets "
    "settings demo".split()
)

app = typer.Typer(
    help="The phone line that never goes unanswered.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class _Commands(UserDict[str, Any]):
    """Typer's, by name. One's module is loaded when it is asked for: a process of ours is started
    for a single one, often while callers wait, and what the others need takes as long as its own.
    """

    def __getitem__(self, name: str) -> Any:
        module = super().__getitem__(name)
        gc.disable()  # as in server/__main__.py
        command = getattr(import_module(f"server.commands.{module}"), module)
        gc.freeze()
        gc.enable()
        alone = typer.Typer()
        if isinstance(command, typer.Typer):
            alone.add_typer(command, name=name)
        else:
            alone.command(name)(command)
        return get_group(alone).commands[name]


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
    group = get_group(app)
    group.commands = _Commands({name: name.replace("-", "_") for name in COMMANDS})
    try:
        group()
    except SettingsError as error:
        for line in error.lines:
            typer.echo(line, err=True)
        raise SystemExit(WRONG_USE) from None
    except CoccinelleError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(1) from None
