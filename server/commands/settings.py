"""`coccinelle settings`: the pages that are made from the settings."""

from typing import Annotated

import typer

from server import settings_page


def settings(
    env: Annotated[bool, typer.Option("--env/--markdown", help="As .env.example.")] = False,
) -> None:
    """Print docs/settings.md (or .env.example): every variable, its form, default and meaning."""
    typer.echo(settings_page.env() if env else settings_page.markdown(), nl=False)
