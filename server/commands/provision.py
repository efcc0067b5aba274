"""`coccinelle provision`: tell Twilio's numbers where we are."""

from typing import Annotated

import typer

from domain.errors import OperatorError
from providers.twilio.rest import TwilioAccount, TwilioNumbers
from server.commands.session import open_storage, run, settings_of
from server.settings import Settings
from server.twilio_numbers import (
    OWN_BIN,
    account,
    check_fallback,
    default_fallback,
    is_ours,
    our_numbers,
    wanted,
)


def provision(
    context: typer.Context,
    twilio: Annotated[bool, typer.Option("--twilio", help="The numbers at Twilio.")] = False,
    fallback_url: Annotated[
        str,
        typer.Option(
            help="TwiML for when we don't answer, not on our own host. Without: a default."
        ),
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
    address = fallback or await _fallback_of(found, number, settings)
    stored = await found.point(number, wanted(settings, address))
    lines = [
        number,
        f"  calls     POST {stored.voice_url}",
        f"  fallback  {stored.voice_fallback_method or 'POST'} {stored.voice_fallback_url}",
        f"  status    POST {stored.status_callback}",
    ]
    if stored.voice_fallback_url == default_fallback():
        lines.append(
            f"  The fallback is a default at Twilio. Better: {OWN_BIN}; then provision again"
        )
    return lines


async def _fallback_of(numbers: TwilioNumbers, number: str, settings: Settings) -> str:
    """None was given: "" to keep the number's own; a default when it has none, or one of ours."""
    known = await numbers.find(number)
    kept = known is not None and known.voice_fallback_url
    return "" if kept and not is_ours(kept, settings) else default_fallback()
