"""`coccinelle knowledge`: what a tenant's agent may know."""

from pathlib import Path
from typing import Annotated

import typer

from dashboard.api.knowledge import DocumentBody, new_document, new_file, status_of
from dashboard.api.upload import Upload
from domain.errors import NotFound
from domain.knowledge import Found
from server.clock import SystemClock
from server.commands.session import open_storage, run, settings_of
from server.knowledge import knowledge_search, passage_index
from server.metrics import Metrics
from server.settings import Settings
from storage import Storage
from storage.knowledge.changes import add_document, delete_document
from storage.knowledge.documents import Document, DocumentFile, NewDocument
from storage.knowledge.parsing.blocks import MAX_BYTES
from storage.scope import MAX_PAGE

knowledge = typer.Typer(help="What a tenant's agent may know.", no_args_is_help=True)

_Tenant = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]


@knowledge.command()
def add(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="A file, or the address of a page.")],
    tenant: _Tenant,
    title: Annotated[str, typer.Option(help="What it is called; its name if not given.")] = "",
    category: Annotated[str, typer.Option(help="A word of your own.")] = "",
) -> None:
    """Add a document; a worker reads it. Prints its id."""
    if source.startswith(("http://", "https://")):
        body = DocumentBody(title=title or None, url=source, category=category)
        new, file = new_document(body), None
    else:
        new, file = _read(Path(source), {"title": title, "category": category})
    typer.echo(run(_add(settings_of(context), tenant, new, file)))


@knowledge.command("list")
def show(context: typer.Context, tenant: _Tenant) -> None:
    """List them: id, status, passages, type, title, and why one can't be read."""
    for each in run(_list(settings_of(context), tenant)):
        cells = (each.id, each.status, str(each.chunk_count), each.source_type, each.title)
        typer.echo("\t".join((*cells, each.error or "-")))


@knowledge.command()
def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="As a caller would ask.")],
    tenant: _Tenant,
) -> None:
    """What the agent would find: found, ambiguous (it asks which) or nothing, and the sources."""
    found = run(_ask(settings_of(context), tenant, question))
    typer.echo(status_of(found))
    for passage in found.passages:
        place = " › ".join(filter(None, (passage.title, passage.heading)))
        typer.echo(f"{passage.text}\t{place}\t{passage.url or '-'}")


@knowledge.command()
def delete(
    context: typer.Context,
    document: Annotated[str, typer.Argument(help="Its id, from `coccinelle knowledge list`.")],
    tenant: _Tenant,
) -> None:
    """Delete one: it answers nothing from now on, and can be restored for 30 days."""
    run(_delete(settings_of(context), tenant, document))
    typer.echo("It is deleted.")


def _read(path: Path, fields: dict[str, str]) -> tuple[NewDocument, DocumentFile]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint="SOURCE") from None
    if len(data) > MAX_BYTES:
        raise typer.BadParameter(f"{path}: more than {MAX_BYTES} bytes", param_hint="SOURCE")
    if not data:
        raise typer.BadParameter(f"{path}: empty", param_hint="SOURCE")
    return new_file(Upload(path.name, "", data, fields))


async def _tenant(storage: Storage, tenant_id: str) -> str:
    if await storage.operator.get_tenant(tenant_id) is None:
        raise NotFound(f"there is no tenant {tenant_id}; `coccinelle tenants list` shows them")
    return tenant_id


async def _add(
    settings: Settings, tenant_id: str, new: NewDocument, file: DocumentFile | None
) -> str:
    async with open_storage(settings) as storage:
        handle = storage.tenant(await _tenant(storage, tenant_id))
        async with handle.write() as rows:
            return await add_document(rows, new, file)


async def _list(settings: Settings, tenant_id: str) -> list[Document]:
    async with open_storage(settings) as storage:
        handle = storage.tenant(await _tenant(storage, tenant_id))
        async with handle.read() as rows:
            return (await rows.knowledge.list(limit=MAX_PAGE)).items


async def _ask(settings: Settings, tenant_id: str, question: str) -> Found:
    async with open_storage(settings) as storage, passage_index(settings) as index:
        search = knowledge_search(settings, storage, SystemClock(), Metrics(), index)
        return await search.search(await _tenant(storage, tenant_id), question)


async def _delete(settings: Settings, tenant_id: str, document_id: str) -> None:
    async with open_storage(settings) as storage:
        handle = storage.tenant(await _tenant(storage, tenant_id))
        async with handle.write() as rows:
            if not await delete_document(rows, document_id):
                raise NotFound(f"there is no document {document_id}")
