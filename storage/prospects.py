"""People who may become customers (`qualified_prospects`)."""

from dataclasses import dataclass
from datetime import datetime

from domain.errors import Invalid
from storage.schema import qualified_prospects as table
from storage.scope import Page, Scope, new_id

#: A budget in whole euros fits in 64 bits with room to spare; more is a slip of the tongue.
MAX_BUDGET = 10**15

_COLUMNS = (
    table.c.id,
    table.c.name,
    table.c.phone,
    table.c.email,
    table.c.interest_type.label("interest"),
    table.c.location_preference.label("place"),
    table.c.budget_min,
    table.c.budget_max,
    table.c.property_type,
    table.c.deadline,
    table.c.notes,
    table.c.call_id,
    table.c.qualification_status.label("status"),
    table.c.created_by,
    table.c.created_at,
)


@dataclass(frozen=True, slots=True)
class NewProspect:
    """What was learnt. Budgets in whole euros; `phone` in E.164."""

    name: str = ""
    phone: str | None = None
    email: str | None = None
    interest: str | None = None
    place: str | None = None
    budget_min: int | None = None
    budget_max: int | None = None
    property_type: str | None = None
    deadline: str | None = None
    notes: str | None = None
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Prospect:
    """As stored."""

    id: str
    name: str
    phone: str | None
    email: str | None
    interest: str | None
    place: str | None
    budget_min: int | None
    budget_max: int | None
    property_type: str | None
    deadline: str | None
    notes: str | None
    call_id: str | None
    status: str
    created_by: str
    created_at: datetime


class Prospects:
    """A tenant's prospects."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def add(self, new: NewProspect) -> str:
        """Store one; its id. Invalid when a budget is out of all reason."""
        for field in ("budget_min", "budget_max"):
            value = getattr(new, field)
            if value is not None and not 0 <= value <= MAX_BUDGET:
                raise Invalid(f"must lie between 0 and {MAX_BUDGET}", field=field)
        prospect_id = new_id()
        now = self._scope.now()
        await self._scope.insert(
            table,
            id=prospect_id,
            name=new.name,
            phone=new.phone,
            email=new.email,
            interest_type=new.interest,
            location_preference=new.place,
            budget_min=new.budget_min,
            budget_max=new.budget_max,
            property_type=new.property_type,
            deadline=new.deadline,
            notes=new.notes,
            call_id=new.call_id,
            last_contact_at=now,
            created_at=now,
            updated_at=now,
        )
        data = {"name": new.name, "interest": new.interest, "call_id": new.call_id}
        self._scope.publish("prospect.qualified", prospect_id, data)
        return prospect_id

    async def get(self, prospect_id: str) -> Prospect | None:
        """One of the tenant's, or None."""
        statement = self._scope.select(table, *_COLUMNS).where(table.c.id == prospect_id)
        row = await self._scope.first(statement)
        return None if row is None else Prospect(**row)

    async def list(self, *, limit: int = 50, offset: int = 0) -> Page[Prospect]:
        """Latest first."""
        statement = self._scope.select(table, *_COLUMNS)
        order = (table.c.created_at.desc(), table.c.id)
        rows, total = await self._scope.page(statement, order, limit, offset)
        return Page([Prospect(**row) for row in rows], total)
