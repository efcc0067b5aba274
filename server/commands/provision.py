"""`coccinelle provision`: tell Twilio's numbers where we are."""

from typing import Annotated

import typer

from domain.errors import OperatorError
from providers.twilio.rest import TwilioAccount, TwilioNumbers
from server.commands.session import open_storage, run, settings_of
from server.settings import Settings
from server.twilio_numbers import (
    NEEDS_FALLBACK,
    account,
    check_fallback,
    is_ours,
    our_numbers,
    wanted,
)


def provision(
    context: typer.Context,
    twilio: Annotated[bool, typer.Option("--twilio", help="The numbers at Twilio.")] = False,
    fallback_url: Annotated[
        str, typer.Option(help="TwiML for when we don't answer; never on our own host.")
    ] = "",
) -> None:
    """Set the addresses that our numbers call, read them back and compare."""
    if not twilio:
        raise typer.BadParameter("say what to provision: --twilio")
    settings = settings_of(context)
    if not settings.is_set("public_url"):
        raise OperatorError("PUBLIC_URL is not set: Twilio must be told where the world reaches us")
    fallback = fallback_url or settings.twilio_fallback_url or ""
    if fallback:
        check_fallback(fallback, settings)
    for line in run(_provision(settings, fallback)):
        typer.echo(line)


async def _provision(settings: Settings, fallback: str) -> list[str]:
    async with open_storage(settings) as storage:
        numbers = await our_numbers(settings, storage)
    if not numbers:
        raise OperatorError("there is no number: set TWILIO_PHONE_NUMBER")
    async with account(settings) as twilio:
        return [
            line for number in numbers for line in await _point(twilio, number, settings, fallback)
        ]


async def _point(
    twilio: TwilioAccount, number: str, settings: Settings, fallback: str
) -> list[str]:
    found = TwilioNumbers(twilio)
    if not fallback:
        await _require_fallback(found, number, settings)
    stored = await found.point(number, wanted(settings, fallback))
    return [
        number,
        f"  calls     POST {stored.voice_url}",
        f"  fallback  {stored.voice_fallback_method or 'POST'} {stored.voice_fallback_url}",
        f"  status    POST {stored.status_callback}",
    ]


async def _require_fallback(numbers: TwilioNumbers, number: str, settings: Settings) -> None:
    """None was given: the number must have one already, and not ours."""
    known = await numbers.find(number)
    if known is not None and (
        not known.voice_fallback_url or is_ours(known.voice_fallback_url, settings)
    ):
        raise OperatorError(f"{number}: {NEEDS_FALLBACK}")
