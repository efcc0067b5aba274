"""A tenant's calendars: the feeds it gives out, and those elsewhere whose busy times it keeps free.

The address of a calendar elsewhere is a secret (whoever has Google's "secret address" reads the
whole calendar): it is sealed, and nobody gets it back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from domain.errors import Invalid, NotFound
from storage.calendars.feeds import COLUMNS as FEED_COLUMNS
from storage.calendars.feeds import Feed, new_token, token_hash
from storage.calendars.spans import Spans, external_busy
from storage.schema import calendar_feeds
from storage.schema import external_busy as spans
from storage.schema import external_calendars as table
from storage.scope import Scope, new_id

#: A calendar per person, and some; a tenant's jobs share the machine with calls.
MOST_CALENDARS: Final = 30
MOST_FEEDS: Final = 50

#: What addresses are sealed for begins with this (`sealed_as`).
CALENDAR_PREFIX: Final = "calendar:"

Span = tuple[datetime, datetime]

_COLUMNS = (
    table.c.id,
    table.c.label,
    table.c.resource,
    table.c.host,
    table.c.enabled,
    table.c.state,
    table.c.state_since,
    table.c.error,
    table.c.error_detail,
    table.c.failures,
    table.c.attempted_at,
    table.c.fetched_at,
    table.c.events,
    table.c.notes,
    table.c.revision,
    table.c.created_at,
)


@dataclass(frozen=True, slots=True)
class ExternalCalendar:
    """`resource` "" keeps everybody busy. `state` new, ok or broken since `state_since`; `error` is
    a key of the catalogue. `fetched_at`: when it was last read with success. `events` it had then;
    `notes` say what was read with a grain of salt. `revision` changes with the address."""

    id: str
    label: str
    resource: str
    host: str
    enabled: bool
    state: str
    state_since: datetime
    error: str | None
    error_detail: str | None
    failures: int
    attempted_at: datetime | None
    fetched_at: datetime | None
    events: int
    notes: list[str]
    revision: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Source:
    """What a worker needs to read one. `read_as` says for which zone the last version was read,
    `expanded_until` how far; `etag` and `last_modified` are what the server said of it."""

    revision: int
    url: str = field(repr=False)
    etag: str = ""
    last_modified: str = ""
    read_as: str = ""
    expanded_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Success:
    """A reading. `spans` None: nothing has changed since the last one."""

    spans: Sequence[Span] | None
    events: int = 0
    notes: Sequence[str] = ()
    etag: str = ""
    last_modified: str = ""
    read_as: str = ""
    expanded_until: datetime | None = None


class Calendars:
    """A tenant's feeds and external calendars."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def busy(self, start_utc: datetime, end_utc: datetime) -> Spans:
        """When the tenant's other calendars are busy: by resource ("" is everybody's), (start, end)
        in UTC, by start. A calendar that couldn't be read for TRUSTED_FOR counts no longer."""
        return await external_busy(self._scope, start_utc, end_utc)

    # -------------------------------------------------------------------------------- feeds

    async def feeds(self) -> Sequence[Feed]:
        """All, oldest first."""
        statement = self._scope.select(calendar_feeds, *FEED_COLUMNS)
        rows = await self._scope.all(
            statement.order_by(calendar_feeds.c.created_at, calendar_feeds.c.id)
        )
        return [Feed(**row) for row in rows]

    async def add_feed(
        self, label: str, *, resource: str | None = None, show_names: bool = False
    ) -> tuple[Feed, str]:
        """A new one and its token, which nobody can read again."""
        await self._refuse_beyond(calendar_feeds, MOST_FEEDS)
        token, now, feed_id = new_token(), self._scope.now(), new_id()
        await self._scope.insert(
            calendar_feeds,
            id=feed_id,
            token_hash=token_hash(token),
            label=label,
            resource=resource,
            show_names=show_names,
            created_at=now,
        )
        return Feed(feed_id, label, resource, show_names, now, None), token

    async def remove_feed(self, feed_id: str) -> bool:
        """Its address opens nothing from now on; False when there is none."""
        gone = await self._scope.connection.execute(
            self._scope.delete(calendar_feeds).where(calendar_feeds.c.id == feed_id)
        )
        return gone.rowcount > 0

    # ----------------------------------------------------------------------------- external

    async def external(self) -> Sequence[ExternalCalendar]:
        """All, oldest first."""
        statement = self._scope.select(table, *_COLUMNS).order_by(table.c.created_at, table.c.id)
        return [ExternalCalendar(**row) for row in await self._scope.all(statement)]

    async def get(self, calendar_id: str) -> ExternalCalendar | None:
        """One of the tenant's, or None."""
        statement = self._scope.select(table, *_COLUMNS).where(table.c.id == calendar_id)
        row = await self._scope.first(statement)
        return None if row is None else ExternalCalendar(**row)

    async def add(self, url: str, host: str, label: str, resource: str) -> ExternalCalendar:
        """A calendar to be read. `host` is what may be shown of `url`. NoKey without a key ring."""
        await self._refuse_beyond(table, MOST_CALENDARS)
        calendar_id, now = new_id(), self._scope.now()
        await self._scope.insert(
            table,
            id=calendar_id,
            label=label,
            resource=resource,
            url_sealed=self._seal(calendar_id, url),
            host=host,
            state_since=now,
            created_at=now,
            updated_at=now,
        )
        return await self._existing(calendar_id)

    async def change(
        self,
        calendar_id: str,
        *,
        label: str | None = None,
        resource: str | None = None,
        enabled: bool | None = None,
        address: tuple[str, str] | None = None,
    ) -> ExternalCalendar:
        """None: as it was. `address` is (url, host): what was busy at the old one counts until the
        new one is read. NotFound."""
        old = await self._existing(calendar_id)
        values: dict[str, Any] = {
            "label": old.label if label is None else label,
            "resource": old.resource if resource is None else resource,
            "enabled": old.enabled if enabled is None else enabled,
        }
        if address is not None:
            url, host = address
            values |= {
                "url_sealed": self._seal(calendar_id, url),
                "host": host,
                "revision": old.revision + 1,
                "state": "new",
                "state_since": self._scope.now(),
                "error": None,
                "error_detail": None,
                "failures": 0,
                "etag": "",
                "last_modified": "",
                "read_as": "",
            }
        await self._update(calendar_id, values)
        return await self._existing(calendar_id)

    async def remove(self, calendar_id: str) -> bool:
        """With its busy times; False when there is none."""
        gone = await self._scope.connection.execute(
            self._scope.delete(table).where(table.c.id == calendar_id)
        )
        return gone.rowcount > 0

    # --------------------------------------------------------------------------- being read

    async def source(self, calendar_id: str) -> Source | None:
        """What is to be fetched; None when there is nothing (any more). NoKey, Unreadable."""
        statement = self._scope.select(
            table,
            table.c.revision,
            table.c.url_sealed,
            table.c.etag,
            table.c.last_modified,
            table.c.read_as,
            table.c.expanded_until,
        ).where(table.c.id == calendar_id, table.c.enabled)
        row = await self._scope.first(statement)
        if row is None:
            return None
        values = dict(row)
        sealed = values.pop("url_sealed")
        opened = self._scope.keys.open(sealed, self._scope.tenant_id, sealed_as(calendar_id))
        return Source(url=opened.decode(), **values)

    async def succeeded(self, calendar_id: str, revision: int, it: Success) -> bool:
        """Store a reading, its busy times in place of the last ones; False when the calendar was
        changed meanwhile."""
        old = await self.get(calendar_id)
        if old is None or old.revision != revision:
            return False
        now = self._scope.now()
        values: dict[str, Any] = {
            "state": "ok",
            "state_since": old.state_since if old.state == "ok" else now,
            "error": None,
            "error_detail": None,
            "failures": 0,
            "attempted_at": now,
            "fetched_at": now,
        }
        if it.spans is not None:
            await self._replace(calendar_id, it.spans)
            values |= {
                "events": it.events,
                "notes": list(it.notes),
                "etag": it.etag,
                "last_modified": it.last_modified,
                "read_as": it.read_as,
                "expanded_until": it.expanded_until,
            }
        await self._update(calendar_id, values)
        if old.state == "broken":
            self._scope.publish("calendar.ok", calendar_id, {"label": old.label})
        return True

    async def failed(
        self, calendar_id: str, revision: int, error: str, detail: str | None, *, patience: int
    ) -> bool:
        """It couldn't be read; what was busy stays so (see TRUSTED_FOR). It counts as broken with
        the `patience`-th failure in a row. True when it has just become so."""
        old = await self.get(calendar_id)
        if old is None or old.revision != revision:
            return False
        now, failures = self._scope.now(), old.failures + 1
        broken = failures >= patience
        became = broken and old.state != "broken"
        values: dict[str, Any] = {
            "failures": failures,
            "attempted_at": now,
            "error": error,
            "error_detail": detail,
        }
        if became:
            values |= {"state": "broken", "state_since": now}
        await self._update(calendar_id, values)
        if became:
            self._scope.publish("calendar.broken", calendar_id, {"label": old.label, "code": error})
        return became

    async def _replace(self, calendar_id: str, new: Sequence[Span]) -> None:
        """Only what differs is written: of thousands of times, a reading changes a few."""
        statement = self._scope.select(spans, spans.c.starts_at, spans.c.ends_at)
        rows = await self._scope.all(statement.where(spans.c.calendar_id == calendar_id))
        old = {(row["starts_at"], row["ends_at"]) for row in rows}
        gone, added = old - set(new), set(new) - old
        if gone:
            # A calendar's spans begin at different moments: the start names one.
            bound = (
                self._scope.delete(spans)
                .where(spans.c.calendar_id == calendar_id)
                .where(spans.c.starts_at == sa.bindparam("gone", type_=spans.c.starts_at.type))
            )
            await self._scope.connection.execute(bound, [{"gone": each[0]} for each in gone])
        await self._scope.insert_all(
            spans,
            [
                {"calendar_id": calendar_id, "starts_at": start, "ends_at": end}
                for start, end in sorted(added)
            ],
        )

    # -------------------------------------------------------------------------- for ourselves

    def _seal(self, calendar_id: str, url: str) -> str:
        return self._scope.keys.seal(url.encode(), self._scope.tenant_id, sealed_as(calendar_id))

    async def _update(self, calendar_id: str, values: Mapping[str, Any]) -> None:
        await self._scope.connection.execute(
            self._scope.update(table)
            .where(table.c.id == calendar_id)
            .values(updated_at=self._scope.now(), **values)
        )

    async def _existing(self, calendar_id: str) -> ExternalCalendar:
        found = await self.get(calendar_id)
        if found is None:
            raise NotFound("no such calendar", message_key="calendar_unknown")
        return found

    async def _refuse_beyond(self, of: sa.Table, most: int) -> None:
        statement = self._scope.select(of, sa.func.count().label("count"))
        row = await self._scope.first(statement)
        if row is not None and row["count"] >= most:
            raise Invalid(f"there are {most} already", message_key="calendars_too_many")


def sealed_as(calendar_id: str) -> str:
    """What an address is sealed for, in the place of a channel (`storage.secrets`)."""
    return CALENDAR_PREFIX + calendar_id
