"""What somebody at the tenant's must see to."""

from dataclasses import dataclass
from datetime import datetime

from domain.errors import Invalid, NotFound
from storage.schema import TICKET_PRIORITIES
from storage.schema import tickets as table
from storage.scope import Page, Scope, new_id

_COLUMNS = (
    table.c.id,
    table.c.customer_name,
    table.c.customer_phone,
    table.c.subject,
    table.c.description,
    table.c.priority,
    table.c.category,
    table.c.status,
    table.c.call_id,
    table.c.created_by,
    table.c.created_at,
)


@dataclass(frozen=True, slots=True)
class NewTicket:
    """`category` "message" is a message taken, "rappel" a call to return."""

    customer_name: str
    subject: str
    customer_phone: str | None = None
    description: str | None = None
    priority: str = "medium"
    category: str | None = None
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """As stored."""

    id: str
    customer_name: str
    customer_phone: str | None
    subject: str
    description: str | None
    priority: str
    category: str | None
    status: str
    call_id: str | None
    created_by: str
    created_at: datetime


class Tickets:
    """A tenant's tickets."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def add(self, new: NewTicket) -> str:
        """Store one; its id. Invalid for an unknown priority."""
        if new.priority not in TICKET_PRIORITIES:
            raise Invalid(f"must be one of {', '.join(TICKET_PRIORITIES)}", field="priority")
        ticket_id = new_id()
        now = self._scope.now()
        await self._scope.insert(
            table,
            id=ticket_id,
            customer_name=new.customer_name,
            customer_phone=new.customer_phone,
            subject=new.subject,
            description=new.description,
            priority=new.priority,
            category=new.category,
            call_id=new.call_id,
            created_at=now,
            updated_at=now,
        )
        data = {
            "subject": new.subject,
            "priority": new.priority,
            "category": new.category,
            "customer_name": new.customer_name,
            "call_id": new.call_id,
        }
        self._scope.publish("ticket.created", ticket_id, data)
        return ticket_id

    async def describe(self, ticket_id: str, description: str) -> None:
        """Change what it says. NotFound when the tenant has no such ticket."""
        statement = (
            self._scope.update(table)
            .where(table.c.id == ticket_id)
            .values(description=description, updated_at=self._scope.now())
        )
        if not (await self._scope.connection.execute(statement)).rowcount:
            raise NotFound("no such ticket")

    async def get(self, ticket_id: str) -> Ticket | None:
        """One of the tenant's, or None."""
        statement = self._scope.select(table, *_COLUMNS).where(table.c.id == ticket_id)
        row = await self._scope.first(statement)
        return None if row is None else Ticket(**row)

    async def list(self, *, limit: int = 50, offset: int = 0) -> Page[Ticket]:
        """Latest first."""
        statement = self._scope.select(table, *_COLUMNS)
        order = (table.c.created_at.desc(), table.c.id)
        rows, total = await self._scope.page(statement, order, limit, offset)
        return Page([Ticket(**row) for row in rows], total)
