"""`coccinelle tenants`: the businesses that this server answers for."""

from dataclasses import dataclass
from typing import Annotated

import typer

from dashboard.api.tenants import free_number, locale_of
from domain.agent import SECTORS, normalise_sector
from domain.errors import Conflict, Invalid, NotFound
from domain.phone import normalise
from domain.tenant import DEFAULT_LOCALE, DEFAULT_TIMEZONE, Tenant
from server.commands.session import open_storage, run, settings_of
from server.settings import Settings
from server.wiring import api_settings
from storage import Storage

tenants = typer.Typer(help="The businesses that this server answers for.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What was asked for. `line` and `transfer` in E.164."""

    name: str
    timezone: str
    locale: str
    sector: str
    line: str | None
    transfer: str | None


@tenants.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="The business, as the agent says it.")],
    line: Annotated[str, typer.Option(help="The line that forwards its calls to us.")] = "",
    timezone: Annotated[str, typer.Option(help="IANA name.")] = DEFAULT_TIMEZONE,
    locale: Annotated[str, typer.Option(help="What the agent speaks.")] = DEFAULT_LOCALE,
    sector: Annotated[str, typer.Option(help=f"One of {', '.join(SECTORS)}.")] = "",
    transfer: Annotated[str, typer.Option(help="Where a caller may be transferred to.")] = "",
) -> None:
    """Create a tenant with its line and a key. The key is shown once."""
    settings = settings_of(context)
    wanted = _Wanted(
        name=name,
        timezone=timezone,
        locale=locale_of(locale),
        sector=normalise_sector(sector),
        line=_number("--line", line, settings),
        transfer=_number("--transfer", transfer, settings),
    )
    tenant, key = run(_create(settings, wanted))
    typer.echo(f"id    {tenant.id}\ncode  {tenant.code}\nkey   {key}")


@tenants.command("add-number")
def add_number(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="The tenant's id.")],
    number: Annotated[str, typer.Argument(help="A number of our Twilio account.")],
) -> None:
    """Let a Twilio number ring for one tenant alone. `provision --twilio` then points it at us."""
    for each in run(_add_number(settings_of(context), tenant, number)):
        typer.echo(each)


@tenants.command("list")
def show(context: typer.Context) -> None:
    """List them: id, code, status, sector, time zone, lines, name."""
    for row in run(_rows(settings_of(context))):
        typer.echo("\t".join(row))


def _number(option: str, text: str, settings: Settings) -> str | None:
    if not text:
        return None
    number = normalise(text, settings.default_region)
    if number is None:
        raise typer.BadParameter(f"{text!r} is no telephone number", param_hint=option)
    return number


async def _create(settings: Settings, wanted: _Wanted) -> tuple[Tenant, str]:
    async with open_storage(settings) as storage:
        await _check_numbers(storage, settings, wanted)
        operator = storage.operator
        tenant = await operator.create_tenant(
            wanted.name, wanted.timezone, wanted.locale, wanted.sector
        )
        if wanted.line or wanted.transfer:
            await _save_phone(storage, tenant, wanted)
        return tenant, await operator.create_key(tenant.id, "coccinelle tenants create")


async def _add_number(settings: Settings, tenant_id: str, text: str) -> list[str]:
    """All of the tenant's dedicated numbers."""
    async with open_storage(settings) as storage:
        operator = storage.operator
        if await operator.get_tenant(tenant_id) is None:
            raise NotFound(f"there is no tenant {tenant_id}; `coccinelle tenants list` shows them")
        number = await free_number(
            operator, api_settings(settings), text, field="NUMBER", tenant_id=tenant_id
        )
        await operator.add_number(tenant_id, number)
        return await operator.numbers(tenant_id)


async def _check_numbers(storage: Storage, settings: Settings, wanted: _Wanted) -> None:
    """Before anything is written: a line is one business's, and a transfer must not come back."""
    ours = settings.own_numbers | await storage.operator.our_numbers()
    if wanted.line is not None:
        if wanted.line in ours:
            raise Invalid("is a number of this server, not a line that forwards to it", "--line")
        if await storage.operator.is_line(wanted.line):
            raise Conflict("already belongs to another business", "--line")
        if await storage.operator.is_transfer_number(wanted.line):
            raise Invalid("takes another business's transfers: the call would come back", "--line")
    if wanted.transfer is None:
        return
    if wanted.transfer in ours:
        raise Invalid("is a number of this server: the call would come back", "--transfer")
    if wanted.transfer == wanted.line or await storage.operator.is_line(wanted.transfer):
        raise Invalid("forwards to this server: the call would come back", "--transfer")


async def _save_phone(storage: Storage, tenant: Tenant, wanted: _Wanted) -> None:
    async with storage.tenant(tenant.id).write() as rows:
        config = dict((await rows.channels.get("phone")).config)
        config["clientPhoneNumber"] = wanted.line or ""
        if wanted.transfer:
            config["transferNumber"] = wanted.transfer
        await rows.channels.save(
            "phone",
            enabled=True,
            config=config,
            configured=wanted.line is not None,
            line=wanted.line,
            transfer_number=wanted.transfer,
        )
    if wanted.line is not None:  # the operator's word needs no check
        await storage.lines.assign(tenant.id, wanted.line)


async def _rows(settings: Settings) -> list[tuple[str, ...]]:
    async with open_storage(settings) as storage:
        return [
            (
                *(tenant.id, tenant.code, tenant.status, tenant.sector, tenant.timezone),
                ",".join(await storage.operator.lines(tenant.id)),
                tenant.name,
            )
            for tenant in await storage.operator.list_tenants()
        ]
