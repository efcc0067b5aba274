"""`coccinelle demo`: a call, live, against emulated vendors."""

import asyncio
from typing import Annotated

import typer

from server.clock import SystemClock
from server.demo.breakdowns import FAULTS
from server.demo.play import play
from server.demo.show import Screen
from server.settings import load

#: As a shell reports a program that Ctrl-C ended.
INTERRUPTED = 130


def _known(name: str | None) -> str | None:
    if name is not None and name not in FAULTS:
        raise typer.BadParameter(f"there are: {', '.join(FAULTS)}")
    return name


def demo(
    fault: Annotated[
        str | None,
        typer.Option(callback=_known, help=f"A vendor breaks down: {', '.join(FAULTS)}."),
    ] = None,
) -> None:
    """Let a simulated caller book an appointment over the real server, and show it."""
    # What is exported counts, `.env` doesn't: a deployment's keys must not pay for a demo.
    settings = load(env_file=None)
    # A real model breaks down when it wants to.
    key = settings.openai_api_key if fault is None else None
    try:
        reached = play(
            key.get_secret_value() if key else None,
            settings.openai_base_url,
            SystemClock(),
            Screen(),
            FAULTS[fault] if fault else None,
        )
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(INTERRUPTED) from None
    if not reached:
        raise typer.Exit(1)
