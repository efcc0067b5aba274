"""`coccinelle keys`: the API keys of tenants."""

from typing import Annotated

import typer

from domain.errors import NotFound
from server.commands.session import open_storage, run, settings_of
from server.settings import Settings

keys = typer.Typer(help="API keys of tenants.", no_args_is_help=True)


@keys.command()
def create(
    context: typer.Context,
    tenant: Annotated[str, typer.Argument(help="The tenant's id.")],
    label: Annotated[str, typer.Option(help="What the key is for.")] = "",
) -> None:
    """Create a key. It is shown once; only its hash is stored."""
    typer.echo(run(_create(settings_of(context), tenant, label)))


async def _create(settings: Settings, tenant_id: str, label: str) -> str:
    async with open_storage(settings) as storage:
        if await storage.operator.get_tenant(tenant_id) is None:
            raise NotFound(f"there is no tenant {tenant_id}; `coccinelle tenants list` shows them")
        return await storage.operator.create_key(tenant_id, label)
