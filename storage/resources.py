"""Who or what a tenant's customers book: staff, rooms, vehicles."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from domain.agenda import Kind, OpeningRange, Resource
from domain.errors import Conflict, Invalid, NotFound
from storage.agenda_values import check_numbers
from storage.appointments import Appointments
from storage.hours import check_week
from storage.schema import RESOURCE_KINDS, rendez_vous, services
from storage.schema import resource_hours as hours_table
from storage.schema import resources as table
from storage.schema import service_resources as able_table
from storage.scope import Scope, new_id

#: More than any tenant has; bounds what one request computes.
MAX_RESOURCES = 200

_COLUMNS = (
    table.c.id,
    table.c.name,
    table.c.kind,
    table.c.active,
    table.c.position,
    table.c.color,
    table.c.hours_set_at,
    table.c.created_at,
)


@dataclass(frozen=True, slots=True)
class NewResource:
    """`position` orders them, `color` is "#rrggbb" on the pages' calendar. Who isn't `active` is
    offered to nobody and keeps what was booked."""

    name: str
    kind: Kind = "staff"
    active: bool = True
    position: int = 0
    color: str | None = None


@dataclass(frozen=True, slots=True)
class StoredResource(NewResource):
    """`hours` None: the business's."""

    id: str = ""
    hours: tuple[OpeningRange, ...] | None = None
    created_at: datetime | None = None

    def resource(self) -> Resource:
        """As agendas know it."""
        return Resource(self.id, self.name, self.kind, self.hours, self.active)


class Resources:
    """A tenant's resources."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def list(self) -> list[StoredResource]:
        """By position and name; what was removed is left out."""
        statement = self._scope.select(table, *_COLUMNS).where(table.c.archived_at.is_(None))
        rows = await self._scope.all(statement.order_by(table.c.position, table.c.name, table.c.id))
        hours = await self._hours() if any(row["hours_set_at"] for row in rows) else {}
        return [_stored(row, hours.get(row["id"], ())) for row in rows]

    async def names(self) -> dict[str, str]:
        """The names by id, those of removed ones too: old appointments have them."""
        rows = await self._scope.all(self._scope.select(table, table.c.id, table.c.name))
        return {row["id"]: row["name"] for row in rows}

    async def get(self, resource_id: str) -> StoredResource:
        """One of the tenant's; NotFound."""
        statement = self._scope.select(table, *_COLUMNS).where(
            table.c.id == resource_id, table.c.archived_at.is_(None)
        )
        row = await self._scope.first(statement)
        if row is None:
            raise NotFound("no such resource")
        hours = await self._hours() if row["hours_set_at"] else {}
        return _stored(row, hours.get(resource_id, ()))

    async def add(self, new: NewResource) -> StoredResource:
        """Store one. Invalid; Conflict when there are too many."""
        _check(new)
        # Whoever adds at the same moment waits here.
        await self._scope.update_tenant()
        if len(await self.list()) >= MAX_RESOURCES:
            raise Conflict(f"there are {MAX_RESOURCES} resources already")
        resource_id, now = new_id(), self._scope.now()
        await self._scope.insert(
            table, id=resource_id, created_at=now, updated_at=now, **_values(new)
        )
        return await self.get(resource_id)

    async def change(self, resource_id: str, new: NewResource) -> StoredResource:
        """Replace all but its hours. NotFound; Invalid."""
        _check(new)
        await self._update(resource_id, **_values(new))
        return await self.get(resource_id)

    async def set_hours(
        self, resource_id: str, ranges: Iterable[OpeningRange] | None
    ) -> StoredResource:
        """Its own week; none at all means never, None the business's hours. Raises Invalid when
        two overlap; NotFound."""
        wanted = sorted(ranges or (), key=lambda each: (each.day, each.opens))
        check_week(wanted)
        now = self._scope.now()
        await self._update(resource_id, hours_set_at=None if ranges is None else now)
        await self._scope.connection.execute(
            self._scope.delete(hours_table).where(hours_table.c.resource_id == resource_id)
        )
        await self._scope.insert_all(
            hours_table,
            [
                {
                    "resource_id": resource_id,
                    "day": each.day,
                    "opens": each.opens,
                    "closes": each.closes,
                }
                for each in wanted
            ],
        )
        return await self.get(resource_id)

    async def remove(self, resource_id: str) -> None:
        """Take it out of the agenda. NotFound; Conflict while appointments are to come, or while
        there is a service that nobody else can do."""
        await Appointments(self._scope).lock()  # nobody books it while we look
        await self.get(resource_id)
        await self._refuse_the_only_one(resource_id)
        ahead = self._scope.select(rendez_vous, rendez_vous.c.id).where(
            rendez_vous.c.resource == resource_id,
            rendez_vous.c.starts_at > self._scope.now(),
            rendez_vous.c.status == "confirmed",
        )
        if await self._scope.first(ahead.limit(1)) is not None:
            raise Conflict(
                "it has appointments to come: move or cancel them first, or set active to false",
                message_key="resource_has_appointments",
            )
        await self._update(resource_id, archived_at=self._scope.now(), active=False)
        await self._scope.connection.execute(
            self._scope.delete(able_table).where(able_table.c.resource_id == resource_id)
        )

    async def _refuse_the_only_one(self, resource_id: str) -> None:
        """A service that names nobody would be everybody's."""
        others = able_table.alias()
        mine = (
            self._scope.select(able_table, services.c.name)
            .join(
                services,
                sa.and_(
                    services.c.tenant_id == able_table.c.tenant_id,
                    services.c.id == able_table.c.service_id,
                    services.c.archived_at.is_(None),
                ),
            )
            .where(
                able_table.c.resource_id == resource_id,
                ~sa.exists().where(
                    others.c.tenant_id == able_table.c.tenant_id,
                    others.c.service_id == able_table.c.service_id,
                    others.c.resource_id != resource_id,
                ),
            )
        )
        row = await self._scope.first(mine.limit(1))
        if row is not None:
            raise Conflict(
                f"nobody else can do the service {row['name']}: name somebody for it first",
                message_key="resource_only_one",
            )

    async def _update(self, resource_id: str, **values: object) -> None:
        changed = await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == resource_id, table.c.archived_at.is_(None))
            .values(updated_at=self._scope.now(), **values)
        )
        if not changed.rowcount:
            raise NotFound("no such resource")

    async def _hours(self) -> dict[str, tuple[OpeningRange, ...]]:
        columns = hours_table.c
        statement = self._scope.select(hours_table).order_by(columns.day, columns.opens)
        found: dict[str, tuple[OpeningRange, ...]] = {}
        for row in await self._scope.all(statement):
            opening = OpeningRange(row["day"], row["opens"], row["closes"])
            found[row["resource_id"]] = (*found.get(row["resource_id"], ()), opening)
        return found


def _check(new: NewResource) -> None:
    if new.kind not in RESOURCE_KINDS:
        raise Invalid(f"must be one of {', '.join(RESOURCE_KINDS)}", field="kind")
    if not new.name.strip():
        raise Invalid("must not be empty", field="name")
    check_numbers(new, "position")


def _values(new: NewResource) -> dict[str, object]:
    return {
        "name": new.name.strip(),
        "kind": new.kind,
        "active": new.active,
        "position": new.position,
        "color": new.color,
    }


def _stored(row: sa.RowMapping, hours: tuple[OpeningRange, ...]) -> StoredResource:
    values = {name: row[name] for name in row if name != "hours_set_at"}
    return StoredResource(**values, hours=hours if row["hours_set_at"] else None)
