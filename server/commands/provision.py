"""`coccinelle provision`: tell Twilio's numbers where we are, and Vapi's assistants what to be."""

from datetime import datetime
from typing import Annotated

import typer

from domain.errors import OperatorError, ProviderError
from providers.twilio.rest import TwilioAccount, TwilioNumbers
from server.accounts import vapi_account
from server.clock import SystemClock
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
from server.vapi_assistants import Provisioning, plan


def provision(
    context: typer.Context,
    twilio: Annotated[bool, typer.Option("--twilio", help="The numbers at Twilio.")] = False,
    fallback_url: Annotated[
        str,
        typer.Option(
            help="TwiML for when we don't answer, not on our own host. Without: a default."
        ),
    ] = "",
    vapi: Annotated[bool, typer.Option("--vapi", help="The tenants' assistants at Vapi.")] = False,
    tenant: Annotated[str, typer.Option(help="With --vapi: this tenant's alone, by its id.")] = "",
) -> None:
    """Set the addresses that our numbers call, read them back and compare; bring assistants up to
    date."""
    if not (twilio or vapi):
        raise typer.BadParameter("say what to provision: --twilio, --vapi or both")
    settings = settings_of(context)
    if not settings.is_set("public_url"):
        raise OperatorError("PUBLIC_URL is not set: others must be told where they reach us")
    if twilio:
        _provision_numbers(settings, fallback_url)
    if vapi and not run(_provision_assistants(settings, tenant)):
        raise typer.Exit(1)


def _provision_numbers(settings: Settings, fallback_url: str) -> None:
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


async def _provision_assistants(settings: Settings, tenant_id: str) -> bool:
    """Whether all went well."""
    for name in ("vapi_api_key", "vapi_webhook_secret"):
        if not settings.is_set(name):
            raise OperatorError(f"{name.upper()} is not set: Vapi and we wouldn't know each other")
    well = True
    async with open_storage(settings) as storage, vapi_account(settings) as vapi:
        assert vapi is not None, "its key is set"
        provisioning = Provisioning(storage, SystemClock(), vapi, plan(settings))
        if tenant_id and await storage.operator.get_tenant(tenant_id) is None:
            raise OperatorError(f"there is no tenant {tenant_id}; `coccinelle tenants list`")
        for each in [tenant_id] if tenant_id else await storage.assistants.active_tenants():
            try:
                done = await provisioning.provision(each, check=True)
            except ProviderError as error:
                done, well = f"failed: {error}", False
            if isinstance(done, datetime):
                done = "being made by another process"
            typer.echo(f"{each}\t{done}")
    return well


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
