"""`coccinelle migrate`: bring the database up to date, or back, without starting the server."""

from typing import Annotated

import typer

from server.commands.session import run, settings_of
from server.settings import Settings
from storage.database import SchemaState, move_schema, schema_state
from storage.migrations import SERVER_VERSION, is_earlier


def migrate(
    context: typer.Context,
    revision: Annotated[
        str, typer.Option(help="To this one, forward or back; `base` undoes all.")
    ] = "head",
    status: Annotated[bool, typer.Option("--status", help="Say where it stands only.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask before going back.")] = False,
) -> None:
    """Create the database or bring it up to date. `serve` does the same at its start."""
    settings = settings_of(context)
    url = settings.database_url.get_secret_value()
    state = run(schema_state(url))
    if status:
        typer.echo(_described(settings, state))
        return
    if state.known and is_earlier(revision, state.revision) and not yes:
        typer.confirm(
            f"Going back from {state.revision} to {revision} loses what the newer tables and "
            "columns hold, and no server of this version may run meanwhile. Go on?",
            abort=True,
        )
    typer.echo(_described(settings, run(move_schema(url, revision))))


def _described(settings: Settings, state: SchemaState) -> str:
    name = settings.database_name
    if state.revision is None:
        return f"{name} is empty."
    at = f"at revision {state.revision}"
    if not state.known:
        oldest = state.oldest_server or "a newer version"
        return (
            f"{name} is {at}, which a newer version has applied; servers from {oldest} on can "
            f"run on it, this is {SERVER_VERSION}."
        )
    if state.revision == state.head:
        return f"{name} is up to date ({at})."
    return f"{name} is {at}; this version's is {state.head}."
