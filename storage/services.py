"""What a tenant's customers book: a haircut, a visit, a first consultation."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from domain.agenda import DEFAULT_MINUTES, Service
from domain.errors import Conflict, Invalid, NotFound
from storage.agenda_values import check_numbers
from storage.schema import resources as resources_table
from storage.schema import service_resources as able_table
from storage.schema import services as table
from storage.scope import Scope, new_id

#: More than any price list has.
MAX_SERVICES = 500

#: The fields of ours by the columns that hold them, where they differ.
_COLUMNS = (
    table.c.id,
    table.c.name,
    table.c.description,
    table.c.minutes,
    table.c.before_minutes.label("before"),
    table.c.after_minutes.label("after"),
    table.c.step_minutes.label("step"),
    table.c.notice_minutes,
    table.c.horizon_days,
    table.c.daily_cap,
    table.c.price_cents,
    table.c.color,
    table.c.active,
    table.c.position,
    table.c.created_at,
)


@dataclass(frozen=True, slots=True)
class NewService:
    """Minutes; None: what the agenda's rules say. `resources`: the ids of who can do it; none
    named means all. `price_cents`: None is "on request"."""

    name: str
    description: str = ""
    minutes: int = DEFAULT_MINUTES
    before: int = 0
    after: int = 0
    step: int | None = None
    notice_minutes: int | None = None
    horizon_days: int | None = None
    daily_cap: int | None = None
    price_cents: int | None = None
    color: str | None = None
    active: bool = True
    position: int = 0
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredService(NewService):
    """As stored."""

    id: str = ""
    created_at: datetime | None = None

    def service(self) -> Service:
        """As agendas know it."""
        return Service(
            self.id,
            self.name,
            self.minutes,
            self.before,
            self.after,
            self.step,
            self.notice_minutes,
            self.horizon_days,
            self.daily_cap,
            self.resources,
            self.active,
        )


class Services:
    """A tenant's services."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def list(self) -> list[StoredService]:
        """By position and name; what was removed is left out."""
        statement = self._scope.select(table, *_COLUMNS).where(table.c.archived_at.is_(None))
        rows = await self._scope.all(statement.order_by(table.c.position, table.c.name, table.c.id))
        able = await self._able() if rows else {}
        return [StoredService(**row, resources=able.get(row["id"], ())) for row in rows]

    async def get(self, service_id: str) -> StoredService:
        """One of the tenant's; NotFound."""
        statement = self._scope.select(table, *_COLUMNS).where(
            table.c.id == service_id, table.c.archived_at.is_(None)
        )
        row = await self._scope.first(statement)
        if row is None:
            raise NotFound("no such service")
        return StoredService(**row, resources=(await self._able()).get(service_id, ()))

    async def names(self) -> dict[str, str]:
        """The names by id, those of removed ones too: old appointments have them."""
        rows = await self._scope.all(self._scope.select(table, table.c.id, table.c.name))
        return {row["id"]: row["name"] for row in rows}

    async def add(self, new: NewService) -> StoredService:
        """Store one. Invalid; Conflict when there are too many."""
        _check(new)
        # Whoever adds at the same moment waits here.
        await self._scope.update_tenant()
        if len(await self.list()) >= MAX_SERVICES:
            raise Conflict(f"there are {MAX_SERVICES} services already")
        service_id, now = new_id(), self._scope.now()
        await self._scope.insert(
            table, id=service_id, created_at=now, updated_at=now, **_values(new)
        )
        await self._set_able(service_id, new.resources)
        return await self.get(service_id)

    async def change(self, service_id: str, new: NewService) -> StoredService:
        """Replace it. What is booked stays as it was booked. NotFound; Invalid."""
        _check(new)
        await self._update(service_id, **_values(new))
        await self._set_able(service_id, new.resources)
        return await self.get(service_id)

    async def remove(self, service_id: str) -> None:
        """Offer it no more; what is booked stays booked. NotFound."""
        await self._update(service_id, archived_at=self._scope.now(), active=False)

    async def _update(self, service_id: str, **values: object) -> None:
        changed = await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == service_id, table.c.archived_at.is_(None))
            .values(updated_at=self._scope.now(), **values)
        )
        if not changed.rowcount:
            raise NotFound("no such service")

    async def _able(self) -> dict[str, tuple[str, ...]]:
        """By service, in the order of the resources. Who was removed can do nothing any more; a
        service for which nobody is left is nobody's, not everybody's."""
        rows = await self._scope.all(
            self._scope.select(able_table, able_table.c.service_id, able_table.c.resource_id)
            .join(
                resources_table,
                sa.and_(
                    resources_table.c.tenant_id == able_table.c.tenant_id,
                    resources_table.c.id == able_table.c.resource_id,
                ),
            )
            .order_by(resources_table.c.position, resources_table.c.name, resources_table.c.id)
        )
        found: dict[str, tuple[str, ...]] = {}
        for row in rows:
            found[row["service_id"]] = (*found.get(row["service_id"], ()), row["resource_id"])
        return found

    async def _set_able(self, service_id: str, resource_ids: tuple[str, ...]) -> None:
        wanted = set(resource_ids)
        known = await self._scope.all(
            self._scope.select(resources_table, resources_table.c.id).where(
                resources_table.c.id.in_(wanted), resources_table.c.archived_at.is_(None)
            )
        )
        if len(known) < len(wanted):
            raise Invalid(
                "names a resource that there isn't",
                field="resources",
                message_key="resource_unknown",
            )
        await self._scope.connection.execute(
            self._scope.delete(able_table).where(able_table.c.service_id == service_id)
        )
        await self._scope.insert_all(
            able_table,
            [{"service_id": service_id, "resource_id": each} for each in sorted(wanted)],
        )


def _check(new: NewService) -> None:
    if not new.name.strip():
        raise Invalid("must not be empty", field="name")
    check_numbers(
        new,
        "minutes",
        "before",
        "after",
        "step",
        "notice_minutes",
        "horizon_days",
        "daily_cap",
        "price_cents",
        "position",
    )


def _values(new: NewService) -> dict[str, object]:
    return {
        "name": new.name.strip(),
        "description": new.description,
        "minutes": new.minutes,
        "before_minutes": new.before,
        "after_minutes": new.after,
        "step_minutes": new.step,
        "notice_minutes": new.notice_minutes,
        "horizon_days": new.horizon_days,
        "daily_cap": new.daily_cap,
        "price_cents": new.price_cents,
        "color": new.color,
        "active": new.active,
        "position": new.position,
    }
