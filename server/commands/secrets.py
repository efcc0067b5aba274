"""`coccinelle secrets`: which keys tenants' credentials are sealed with, and rotating them."""

from typing import Annotated

import typer

from domain.errors import NotFound, OperatorError
from server.commands.session import open_storage, run, settings_of
from server.settings import Settings
from storage.sealed_rows import Census, Unopened

secrets = typer.Typer(
    help="Keys of what tenants entrust to us (docs/deploy.md, Rotating keys).",
    no_args_is_help=True,
)


@secrets.command()
def status(context: typer.Context) -> None:
    """Say which key versions are in use, and whether everything opens."""
    settings = settings_of(context)
    census = run(_census(settings))
    ring = ", ".join(map(str, settings.ring_keys)) or "none"
    typer.echo(f"ENCRYPTION_KEYS: {ring}" + (" (the first seals)" if settings.ring_keys else ""))
    for version, count in sorted(census.versions.items(), key=lambda each: -(each[0] or 0)):
        typer.echo(f"version {version or 'unknown'}: {count}")
    if not census.versions:
        typer.echo("nothing is sealed")
    if census.waiting:
        typer.echo(f"{census.waiting} to be sealed with the newest key: coccinelle secrets rotate")
    _refuse(census.unopened)


@secrets.command()
def rotate(context: typer.Context) -> None:
    """Seal everything with the first of ENCRYPTION_KEYS. Calls and tenants go on meanwhile."""
    count, unopened = run(_reseal(settings_of(context)))
    typer.echo(f"{count} sealed anew.")
    _refuse(unopened)


@secrets.command()
def forget(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="The tenant's id.")],
    channel: Annotated[str, typer.Argument(help="phone, sms, email or whatsapp.")],
) -> None:
    """Throw away a channel's credentials whose key is lost; its tenant enters them again."""
    run(_forget(settings_of(context), tenant, channel))
    typer.echo("Forgotten.")


def _refuse(unopened: tuple[Unopened, ...]) -> None:
    """Ends with an error when something doesn't open."""
    if unopened:
        raise OperatorError("\n".join(each.reason for each in unopened))


async def _census(settings: Settings) -> Census:
    async with open_storage(settings) as storage:
        return await storage.sealed_rows.census()


async def _reseal(settings: Settings) -> tuple[int, tuple[Unopened, ...]]:
    async with open_storage(settings) as storage:
        done = await storage.sealed_rows.reseal()
    return done.count, done.unopened


async def _forget(settings: Settings, tenant_id: str, channel: str) -> None:
    async with open_storage(settings) as storage:
        if not await storage.sealed_rows.forget(tenant_id, channel):
            raise NotFound("this tenant has no credentials on this channel")
