"""What somebody at the tenant's must see to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from domain.errors import Invalid, NotFound
from domain.messages import text
from domain.people import email_address
from domain.phone import normalise
from domain.tickets import is_urgent, told_as
from storage.contacts import Contacts
from storage.history import ASSISTANT, Change, history, remember
from storage.notifications import Notifications
from storage.record_changes import change
from storage.schema import TICKET_PRIORITIES, TICKET_STATUSES
from storage.schema import tickets as table
from storage.scope import Page, Scope, new_id

#: States in which nobody has to do anything any more.
DONE: Final = frozenset({"resolved", "closed"})

_COLUMNS = (
    table.c.id,
    table.c.customer_name,
    table.c.customer_phone,
    table.c.customer_email,
    table.c.subject,
    table.c.description,
    table.c.priority,
    table.c.category,
    table.c.status,
    table.c.assigned_to,
    table.c.assigned_at,
    table.c.resolution_notes,
    table.c.resolved_at,
    table.c.closed_at,
    table.c.callback_when,
    table.c.contact_id,
    table.c.call_id,
    table.c.created_by,
    table.c.created_at,
    table.c.updated_at,
    table.c.version,
)
_EDITABLE = frozenset(
    """
    customer_name customer_phone customer_email subject description priority category status
    assigned_to resolution_notes callback_when
    """.split()
)


@dataclass(frozen=True, slots=True)
class NewTicket:
    """`category` "message" is a message taken, "rappel" a call to return (`domain.tickets`), then
    `callback_when` says when, in the caller's words."""

    customer_name: str
    subject: str
    customer_phone: str | None = None
    description: str | None = None
    priority: str = "medium"
    category: str | None = None
    call_id: str | None = None
    callback_when: str | None = None
    customer_email: str | None = None
    created_by: str = "sara"
    contact_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """As stored. `version` rises with each change."""

    id: str
    customer_name: str
    customer_phone: str | None
    customer_email: str | None
    subject: str
    description: str | None
    priority: str
    category: str | None
    status: str
    assigned_to: str | None
    assigned_at: datetime | None
    resolution_notes: str | None
    resolved_at: datetime | None
    closed_at: datetime | None
    callback_when: str | None
    contact_id: str | None
    call_id: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class TicketFilter:
    """What a list shows; None is everything. `unfinished`: somebody still has to act."""

    status: str | None = None
    priority: str | None = None
    category: str | None = None
    assigned_to: str | None = None
    contact_id: str | None = None
    call_id: str | None = None
    search: str | None = None
    unfinished: bool = False


class Tickets:
    """A tenant's tickets."""

    def __init__(
        self,
        scope: Scope,
        contacts: Contacts | None = None,
        notifications: Notifications | None = None,
    ) -> None:
        self._scope = scope
        self._contacts = contacts or Contacts(scope)
        self._notifications = notifications or Notifications(scope)

    async def add(
        self,
        new: NewTicket,
        *,
        source: str = "said",
        kind: str | None = None,
    ) -> str:
        """Store one; its id. The customer becomes a contact unless it names one, by the `source`
        of their number (`storage.contacts.SOURCES`), and the business is told, as `kind` of
        notification or as the ticket's own. Invalid for an unknown priority."""
        if new.priority not in TICKET_PRIORITIES:
            raise Invalid(f"must be one of {', '.join(TICKET_PRIORITIES)}", field="priority")
        priority = "urgent" if is_urgent(new.subject, new.description) else new.priority
        ticket_id = new_id()
        now = self._scope.now()
        await self._scope.insert(
            table,
            id=ticket_id,
            customer_name=new.customer_name,
            customer_phone=new.customer_phone,
            customer_email=new.customer_email,
            subject=new.subject,
            description=new.description,
            priority=priority,
            category=new.category,
            callback_when=new.callback_when,
            call_id=new.call_id,
            contact_id=new.contact_id or await self._contact(new, source),
            created_by=new.created_by,
            created_at=now,
            updated_at=now,
        )
        actor = ASSISTANT if new.created_by == "sara" else new.created_by
        await remember(self._scope, actor, "created", {}, ticket_id=ticket_id)
        data = {
            "subject": new.subject,
            "priority": priority,
            "category": new.category,
            "customer_name": new.customer_name,
            "call_id": new.call_id,
        }
        self._scope.publish("ticket.created", ticket_id, data)
        if actor == ASSISTANT:  # who enters a ticket by hand knows of it
            urgent = priority == "urgent"
            await self._notifications.tell(
                told_as(new.category, priority) if urgent or kind is None else kind,
                subject_id=ticket_id,
                values=_values(new),
            )
        return ticket_id

    async def _contact(self, new: NewTicket, source: str) -> str | None:
        unknown = {text(locale, "unknown_caller") for locale in ("fr", "en")}
        person = await self._contacts.person(
            name=None if new.customer_name in unknown else new.customer_name,
            phone=new.customer_phone,
            email=new.customer_email,
            source=source,
        )
        return None if person is None else person.id

    async def describe(self, ticket_id: str, description: str) -> None:
        """Change what it says. NotFound when the tenant has no such ticket."""
        statement = (
            self._scope.update(table)
            .where(table.c.id == ticket_id)
            .values(description=description, updated_at=self._scope.now())
        )
        if not (await self._scope.connection.execute(statement)).rowcount:
            raise NotFound("no such ticket")

    async def update(
        self,
        ticket_id: str,
        changes: Mapping[str, Any],
        *,
        actor: str,
        version: int | None = None,
    ) -> Ticket:
        """Change it. With `version`, Conflict when somebody else was first. Invalid for a wrong
        value, NotFound when the tenant has no such ticket."""
        before = await self.get(ticket_id)
        if before is None:
            raise NotFound("no such ticket")
        unknown = changes.keys() - _EDITABLE
        if unknown:
            raise Invalid("can't be changed", field=min(unknown))
        values = {**_checked(changes), **self._instants(before, changes)}
        changed = await change(
            self._scope, table, {"ticket_id": ticket_id}, values, actor=actor, version=version
        )
        after = await self.get(ticket_id)
        assert after is not None, "it has just been changed"
        if changed:
            data = {"status": after.status, "fields": sorted(changed)}
            self._scope.publish("ticket.updated", ticket_id, data)
        return after

    def _instants(self, before: Ticket, changes: Mapping[str, Any]) -> dict[str, Any]:
        now, values = self._scope.now(), dict[str, Any]()
        status = changes.get("status", before.status)
        if status != before.status:
            values["resolved_at"] = (before.resolved_at or now) if status in DONE else None
            values["closed_at"] = now if status == "closed" else None
        assigned = changes.get("assigned_to", before.assigned_to)
        if assigned != before.assigned_to:
            values["assigned_at"] = now if assigned else None
        return values

    async def get(self, ticket_id: str) -> Ticket | None:
        """One of the tenant's, or None."""
        statement = self._scope.select(table, *_COLUMNS).where(table.c.id == ticket_id)
        row = await self._scope.first(statement)
        return None if row is None else Ticket(**row)

    async def list(
        self, wanted: TicketFilter | None = None, *, limit: int = 50, offset: int = 0
    ) -> Page[Ticket]:
        """Latest first."""
        statement = self._scope.select(table, *_COLUMNS).where(*_conditions(wanted))
        order = (table.c.created_at.desc(), table.c.id)
        rows, total = await self._scope.page(statement, order, limit, offset)
        return Page([Ticket(**row) for row in rows], total)

    async def history(self, ticket_id: str) -> Sequence[Change]:
        """Who changed what, the earliest first."""
        return await history(self._scope, ticket_id=ticket_id)


def _conditions(wanted: TicketFilter | None) -> list[sa.ColumnElement[bool]]:
    if wanted is None:
        return []
    names = ("status", "priority", "category", "assigned_to", "contact_id", "call_id")
    found = [
        table.c[name] == getattr(wanted, name)
        for name in names
        if getattr(wanted, name) is not None
    ]
    if wanted.unfinished:
        found.append(table.c.status.not_in(DONE))
    if wanted.search:
        columns = (table.c.subject, table.c.description, table.c.customer_name)
        search = [column.icontains(wanted.search, autoescape=True) for column in columns]
        number = normalise(wanted.search)
        if number is not None:
            search.append(table.c.customer_phone == number)
        found.append(sa.or_(*search))
    return found


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(changes)
    for name, allowed in (("status", TICKET_STATUSES), ("priority", TICKET_PRIORITIES)):
        if name in values and values[name] not in allowed:
            raise Invalid(f"must be one of {', '.join(allowed)}", field=name)
    for name, read in (("customer_phone", normalise), ("customer_email", email_address)):
        if values.get(name):
            values[name] = read(values[name])
            if values[name] is None:
                raise Invalid("can't be read", field=name)
    return values


def _values(new: NewTicket) -> dict[str, str]:
    return {
        "who": new.customer_name,
        "phone": new.customer_phone or new.customer_email or "",
        "when": new.callback_when or "",
        "subject": new.subject,
        "reason": new.description or "",
    }
