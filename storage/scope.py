"""One tenant's view of the database: every statement built here carries the tenant's id."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.clock import Clock
from domain.errors import Invalid, NotFound
from domain.tenant import Tenant
from storage.live_events import NewEvent
from storage.schema import tenants
from storage.secrets import KeyRing, NoKey

T = TypeVar("T")

#: The longest page that a list gives.
MAX_PAGE = 500

#: The columns that make a `Tenant`.
TENANT_COLUMNS = (
    tenants.c.id,
    tenants.c.name,
    tenants.c.code,
    tenants.c.timezone,
    tenants.c.locale,
    tenants.c.sector,
    tenants.c.status,
)


class Page(NamedTuple, Generic[T]):
    """A part of a list, and how long the list is in all."""

    items: list[T]
    total: int


def new_id() -> str:
    """32 hexadecimal digits, random."""
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Scope:
    """A tenant on a connection, in a transaction. The nouns build their statements with it and
    with nothing else, so that no statement can forget whose rows it is about."""

    connection: AsyncConnection
    tenant_id: str
    clock: Clock
    keyring: KeyRing | None = None
    published: list[NewEvent] = field(default_factory=list)
    #: `table:id` of what this transaction inserted one by one, and the actions that it put into
    #: the audit log (`storage.audit`).
    inserted: list[str] = field(default_factory=list)
    audited: list[str] = field(default_factory=list)

    @property
    def keys(self) -> KeyRing:
        """What seals and opens the tenant's secrets; NoKey when there is none."""
        if self.keyring is None:
            raise NoKey
        return self.keyring

    def now(self) -> datetime:
        """The instant for `created_at` and its like."""
        return self.clock.now()

    def publish(self, kind: str, subject: str | None, data: Mapping[str, Any]) -> None:
        """Tell the tenant's dashboards, once this transaction is committed (`storage.events`)."""
        self.published.append(NewEvent(self.tenant_id, self.now(), kind, subject, data))

    def select(self, table: sa.Table, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        """SELECT these columns (all, if none) of the tenant's rows."""
        chosen = columns or tuple(table.c)
        return sa.select(*chosen).where(table.c.tenant_id == self.tenant_id)

    def update(self, table: sa.Table) -> sa.Update:
        """UPDATE of the tenant's rows."""
        return sa.update(table).where(table.c.tenant_id == self.tenant_id)

    def delete(self, table: sa.Table) -> sa.Delete:
        """DELETE of the tenant's rows."""
        return sa.delete(table).where(table.c.tenant_id == self.tenant_id)

    async def insert(self, table: sa.Table, **values: Any) -> None:
        """INSERT one row of the tenant."""
        await self.connection.execute(sa.insert(table).values(tenant_id=self.tenant_id, **values))
        if "id" in values:
            self.inserted.append(f"{table.name}:{values['id']}")

    async def insert_all(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """INSERT rows of the tenant, in one go."""
        if rows:
            owned = [{**row, "tenant_id": self.tenant_id} for row in rows]
            await self.connection.execute(sa.insert(table), owned)

    async def update_tenant(self, **values: Any) -> None:
        """Change the tenant itself; who else would, waits until this transaction ends. NotFound
        when there is none."""
        changed = await self.connection.execute(
            sa.update(tenants)
            .where(tenants.c.id == self.tenant_id)
            .values(updated_at=self.now(), **values)
        )
        if not changed.rowcount:
            raise NotFound("no such tenant")

    async def first(self, statement: sa.Select[Any]) -> sa.RowMapping | None:
        """The first row, or None."""
        row: sa.RowMapping | None = (await self.connection.execute(statement)).mappings().first()
        return row

    async def all(self, statement: sa.Select[Any]) -> Sequence[sa.RowMapping]:
        """All rows."""
        rows: Sequence[sa.RowMapping] = (await self.connection.execute(statement)).mappings().all()
        return rows

    async def page(
        self,
        statement: sa.Select[Any],
        order_by: Sequence[sa.ColumnElement[Any]],
        limit: int,
        offset: int,
    ) -> tuple[Sequence[sa.RowMapping], int]:
        """`limit` rows from the `offset`-th on, and the number of all. Invalid out of bounds."""
        if not 1 <= limit <= MAX_PAGE:
            raise Invalid(f"must lie between 1 and {MAX_PAGE}", field="limit")
        if offset < 0:
            raise Invalid("must not be negative", field="offset")
        count = sa.select(sa.func.count()).select_from(statement.order_by(None).subquery())
        total = (await self.connection.execute(count)).scalar_one()
        rows = await self.all(statement.order_by(*order_by).limit(limit).offset(offset))
        return rows, total

    async def tenant(self) -> Tenant:
        """The tenant itself; NotFound when there is none."""
        row = await self.first(sa.select(*TENANT_COLUMNS).where(tenants.c.id == self.tenant_id))
        if row is None:
            raise NotFound("no such tenant")
        return Tenant(**row)
