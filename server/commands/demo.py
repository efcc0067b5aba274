"""`coccinelle demo`: a call, live, against emulated vendors."""

import asyncio

import typer

from server.clock import SystemClock
from server.demo.play import play
from server.demo.show import Screen
from server.settings import load

#: As a shell reports a program that Ctrl-C ended.
INTERRUPTED = 130


def demo() -> None:
    """Let a simulated caller book an appointment over the real server, and show it."""
    # What is exported counts, `.env` doesn't: a deployment's keys must not pay for a demo.
    settings = load(env_file=None)
    key = settings.openai_api_key
    try:
        reached = play(
            key.get_secret_value() if key else None,
            settings.openai_base_url,
            SystemClock(),
            Screen(),
        )
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(INTERRUPTED) from None
    if not reached:
        raise typer.Exit(1)
