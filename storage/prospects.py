"""People who may become customers (`qualified_prospects`)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from domain.errors import Invalid, NotFound
from domain.people import email_address, plain_name
from domain.phone import normalise
from domain.qualification import Answers, Qualification, joined, qualify
from storage.conflicts import unless_taken
from storage.contacts import Contacts
from storage.history import ASSISTANT, Change, history, remember
from storage.notifications import Notifications
from storage.record_changes import change
from storage.schema import PROSPECT_STATUSES
from storage.schema import qualified_prospects as table
from storage.scope import Page, Scope, new_id

#: A budget in whole euros fits in 64 bits with room to spare; more is a slip of the tongue.
MAX_BUDGET: Final = 10**15

_COLUMNS = (
    table.c.id,
    table.c.name,
    table.c.first_name,
    table.c.last_name,
    table.c.phone,
    table.c.email,
    table.c.source,
    table.c.interest_type.label("interest"),
    table.c.location_preference.label("place"),
    table.c.budget_min,
    table.c.budget_max,
    table.c.property_type,
    table.c.deadline,
    table.c.notes,
    table.c.call_id,
    table.c.qualification_status.label("status"),
    table.c.qualification_score.label("score"),
    table.c.score_reasons,
    table.c.missing,
    table.c.answers,
    table.c.assigned_to,
    table.c.contact_id,
    table.c.created_by,
    table.c.created_at,
    table.c.updated_at,
    table.c.last_contact_at,
    table.c.next_follow_up_at,
    table.c.converted_at,
    table.c.version,
)
#: Names of ours → columns, where they differ.
_NAMED: Final[Mapping[str, str]] = {
    "interest": "interest_type",
    "place": "location_preference",
    "status": "qualification_status",
}
_EDITABLE = frozenset(
    """
    name first_name last_name phone email interest place budget_min budget_max property_type
    deadline notes status assigned_to next_follow_up_at
    """.split()
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
    source: str = "phone"
    created_by: str = "sara"
    first_name: str | None = None
    last_name: str | None = None


@dataclass(frozen=True, slots=True)
class Prospect:
    """As stored. `score` 0 to 100 with its `score_reasons`; `missing` are questions to ask yet;
    `version` rises with each change."""

    id: str
    name: str
    first_name: str | None
    last_name: str | None
    phone: str | None
    email: str | None
    source: str
    interest: str | None
    place: str | None
    budget_min: int | None
    budget_max: int | None
    property_type: str | None
    deadline: str | None
    notes: str | None
    call_id: str | None
    status: str
    score: int
    score_reasons: list[str]
    missing: list[str]
    answers: dict[str, Any]
    assigned_to: str | None
    contact_id: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    last_contact_at: datetime | None
    next_follow_up_at: datetime | None
    converted_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class Interview:
    """What somebody told in one conversation, as far as it has come: `key` is the conversation's,
    `interest` the project in their words. `real_estate`: whose questions are asked."""

    key: str
    answers: Answers
    real_estate: bool
    interest: str | None = None
    notes: str | None = None
    call_id: str | None = None
    contact_id: str | None = None
    source: str = "phone"


@dataclass(frozen=True, slots=True)
class ProspectFilter:
    """What a list shows; None is everything."""

    status: str | None = None
    assigned_to: str | None = None
    contact_id: str | None = None
    search: str | None = None
    least_score: int | None = None
    statuses: tuple[str, ...] = field(default=())


class Prospects:
    """A tenant's prospects."""

    def __init__(
        self,
        scope: Scope,
        contacts: Contacts | None = None,
        notifications: Notifications | None = None,
    ) -> None:
        self._scope = scope
        self._contacts = contacts or Contacts(scope)
        self._notifications = notifications or Notifications(scope)

    async def add(self, new: NewProspect, *, contact_source: str = "said") -> str:
        """Store one; its id. They become a contact, by the `contact_source` of their addresses.
        Invalid when a budget is out of all reason."""
        _check_budgets(asdict(new))
        person = await self._contacts.person(
            name=new.name, phone=new.phone, email=new.email, source=contact_source
        )
        prospect_id = new_id()
        now = self._scope.now()
        await self._scope.insert(
            table,
            id=prospect_id,
            **_columns(asdict(new)),
            contact_id=None if person is None else person.id,
            last_contact_at=now,
            created_at=now,
            updated_at=now,
        )
        actor = ASSISTANT if new.created_by == "sara" else new.created_by
        await remember(self._scope, actor, "created", {}, prospect_id=prospect_id)
        self._told(prospect_id, new.name, new.interest, new.call_id)
        return prospect_id

    async def same_person(self, phone: str | None, email: str | None) -> Prospect | None:
        """The latest prospect with this number, however it is written, or this address."""
        number, address = normalise(phone), email_address(email)
        person = await self._contacts.of(phone=number, email=address)
        same: list[sa.ColumnElement[bool]] = []
        if number is not None:
            same.append(table.c.phone == number)
        if address is not None:
            same.append(sa.func.lower(table.c.email) == address)
        if person is not None:
            same.append(table.c.contact_id == person.id)
        if not same:
            return None
        statement = self._scope.select(table, *_COLUMNS).where(sa.or_(*same))
        row = await self._scope.first(statement.order_by(table.c.created_at.desc(), table.c.id))
        return None if row is None else Prospect(**row)

    # -------------------------------------------------------------------- qualification

    async def interview(self, it: Interview) -> tuple[Prospect, Qualification]:
        """Keep what a conversation has told so far, in the one row that it has, and judge it. What
        was said before stays unless it was corrected. The business is told when somebody becomes
        promising, once. Invalid when a budget is out of all reason."""
        _check_budgets({"budget_min": it.answers.budget_min, "budget_max": it.answers.budget_max})
        prospect_id, created = await self._row_of(it)
        locked = self._scope.select(table).where(table.c.id == prospect_id).with_for_update()
        before = await self._scope.first(locked)
        assert before is not None, "it is there, and nobody deletes it while we hold it"
        answers = joined(Answers(**before["answers"]), it.answers)
        judged = qualify(answers, real_estate=it.real_estate)
        values = {**_told_values(it, answers, judged, before), "last_contact_at": self._scope.now()}
        changed = await change(
            self._scope,
            table,
            {"prospect_id": prospect_id},
            values,
            actor=ASSISTANT,
            action="created" if created else "qualified",
        )
        prospect = await self.get(prospect_id)
        assert prospect is not None
        if changed:
            self._told(prospect_id, prospect.name, prospect.interest, prospect.call_id)
        await self._tell_owner(prospect, judged)
        return prospect, judged

    async def _row_of(self, it: Interview) -> tuple[str, bool]:
        """The conversation's row, made if it has none."""
        now = self._scope.now()
        row = {
            "id": new_id(),
            "tenant_id": self._scope.tenant_id,
            "name": "",
            "source": it.source,
            "call_id": it.call_id,
            "request_key": it.key,
            "created_at": now,
            "updated_at": now,
        }
        insert = unless_taken(self._scope.connection, table, table.c.id)
        if (await self._scope.connection.execute(insert, row)).first() is not None:
            return str(row["id"]), True
        found = await self._scope.first(
            self._scope.select(table, table.c.id).where(table.c.request_key == it.key)
        )
        if found is None:
            raise Invalid("belongs to another conversation", field="key")
        return str(found["id"]), False

    async def _tell_owner(self, prospect: Prospect, judged: Qualification) -> None:
        kind = "prospect_hot" if judged.hot else "prospect_new"
        values = {
            "who": prospect.name,
            "phone": prospect.phone or prospect.email or "",
            "subject": " ".join(filter(None, (prospect.interest, prospect.place))),
            "score": str(judged.score),
        }
        key = f"{kind}:{prospect.id}"
        await self._notifications.tell(kind, subject_id=prospect.id, values=values, key=key)

    def _told(self, prospect_id: str, name: str, interest: str | None, call_id: str | None) -> None:
        data = {"name": name, "interest": interest, "call_id": call_id}
        self._scope.publish("prospect.qualified", prospect_id, data)

    # ------------------------------------------------------------------------- changing

    async def update(
        self,
        prospect_id: str,
        changes: Mapping[str, Any],
        *,
        actor: str,
        version: int | None = None,
    ) -> Prospect:
        """Change it. With `version`, Conflict when somebody else was first. Invalid for a wrong
        value, NotFound when the tenant has no such prospect."""
        before = await self.get(prospect_id)
        if before is None:
            raise NotFound("no such prospect")
        unknown = changes.keys() - _EDITABLE
        if unknown:
            raise Invalid("can't be changed", field=min(unknown))
        values = _columns(_checked(changes))
        status = changes.get("status")
        if status is not None:
            now = self._scope.now()
            values["converted_to_client"] = status == "converted"
            values["converted_at"] = now if status == "converted" else None
            values["last_contact_at"] = now
        if status == before.status:  # once converted, it stays converted at that instant
            values.pop("converted_at", None)
        await change(
            self._scope, table, {"prospect_id": prospect_id}, values, actor=actor, version=version
        )
        after = await self.get(prospect_id)
        assert after is not None, "it has just been changed"
        self._scope.publish("prospect.updated", prospect_id, {"status": after.status})
        return after

    async def delete(self, prospect_id: str) -> None:
        """Remove it with its history. NotFound when the tenant has no such prospect."""
        statement = self._scope.delete(table).where(table.c.id == prospect_id)
        if not (await self._scope.connection.execute(statement)).rowcount:
            raise NotFound("no such prospect")
        self._scope.publish("prospect.deleted", prospect_id, {})

    # -------------------------------------------------------------------------- reading

    async def get(self, prospect_id: str) -> Prospect | None:
        """One of the tenant's, or None."""
        statement = self._scope.select(table, *_COLUMNS).where(table.c.id == prospect_id)
        row = await self._scope.first(statement)
        return None if row is None else Prospect(**row)

    async def list(
        self, wanted: ProspectFilter | None = None, *, limit: int = 50, offset: int = 0
    ) -> Page[Prospect]:
        """Latest first."""
        statement = self._scope.select(table, *_COLUMNS).where(*_conditions(wanted))
        order = (table.c.created_at.desc(), table.c.id)
        rows, total = await self._scope.page(statement, order, limit, offset)
        return Page([Prospect(**row) for row in rows], total)

    async def history(self, prospect_id: str) -> Sequence[Change]:
        """Who changed what, the earliest first."""
        return await history(self._scope, prospect_id=prospect_id)


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    return {_NAMED.get(name, name): value for name, value in values.items()}


def _check_budgets(values: Mapping[str, Any]) -> None:
    for name in ("budget_min", "budget_max"):
        value = values.get(name)
        if value is not None and not 0 <= value <= MAX_BUDGET:
            raise Invalid(f"must lie between 0 and {MAX_BUDGET}", field=name)


def _checked(changes: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(changes)
    _check_budgets(values)
    if "status" in values and values["status"] not in PROSPECT_STATUSES:
        raise Invalid(f"must be one of {', '.join(PROSPECT_STATUSES)}", field="status")
    for name, read in (("phone", normalise), ("email", email_address)):
        if values.get(name):
            values[name] = read(values[name])
            if values[name] is None:
                raise Invalid("can't be read", field=name)
    if "first_name" in values and "last_name" in values:
        values["name"] = plain_name(f"{values['first_name'] or ''} {values['last_name'] or ''}")
    return values


def _told_values(
    it: Interview, answers: Answers, judged: Qualification, before: sa.RowMapping
) -> dict[str, Any]:
    """The columns after this answer. A state that somebody of the business has set stays."""
    known = {
        each.name: getattr(answers, each.name)
        for each in fields(Answers)
        if getattr(answers, each.name) is not None
    }
    status = before["qualification_status"]
    complete = not set(judged.missing) - {"name", "phone"}
    if status == "new" and (judged.hot or complete):
        status = "qualified"
    return {
        "name": answers.name or before["name"],
        "phone": answers.phone or before["phone"],
        "email": answers.email or before["email"],
        "interest_type": it.interest or before["interest_type"],
        "location_preference": answers.place,
        "budget_min": answers.budget_min,
        "budget_max": answers.budget_max,
        "property_type": answers.property_type,
        "deadline": answers.deadline,
        "notes": _notes(before["notes"], it.notes),
        "call_id": it.call_id or before["call_id"],
        "contact_id": it.contact_id or before["contact_id"],
        "answers": known,
        "qualification_score": judged.score,
        "qualification_status": status,
        "score_reasons": list(judged.reasons),
        "missing": list(judged.missing),
    }


def _notes(earlier: str | None, later: str | None) -> str | None:
    if earlier and later and later not in earlier:
        return later if earlier in later else f"{earlier}\n{later}"
    return earlier or later


def _conditions(wanted: ProspectFilter | None) -> list[sa.ColumnElement[bool]]:
    if wanted is None:
        return []
    names = {"status": "qualification_status", "assigned_to": "assigned_to"}
    names["contact_id"] = "contact_id"
    found = [
        table.c[column] == getattr(wanted, name)
        for name, column in names.items()
        if getattr(wanted, name) is not None
    ]
    if wanted.statuses:
        found.append(table.c.qualification_status.in_(wanted.statuses))
    if wanted.least_score is not None:
        found.append(table.c.qualification_score >= wanted.least_score)
    if wanted.search:
        found.append(_matches(wanted.search))
    return found


def _matches(search: str) -> sa.ColumnElement[bool]:
    columns = (table.c.name, table.c.email, table.c.location_preference, table.c.notes)
    found = [column.icontains(search, autoescape=True) for column in columns]
    number = normalise(search)
    if number is not None:
        found.append(table.c.phone == number)
    return sa.or_(*found)
