"""People: one row per person, whatever channel they come by.

Each address is one person's, by the primary key of `contact_addresses`, however many write at
once. A number that a carrier shows or a caller dictates proposes who somebody is; two people become
one only when a vendor's message bears both addresses, or the business says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa

from domain.errors import Conflict, Invalid, NotFound
from domain.folding import unaccented
from domain.people import fuller_name, names_seen, plain_name, searchable
from domain.phone import normalise
from storage.contact_claims import Key, claim, hold, keys_of, owners_of
from storage.contact_merge import absorb, propose
from storage.cursors import cursor_of, position
from storage.history import ASSISTANT, Change, differences, history, remember
from storage.schema import CHANNEL_TYPES, PROOFS, contact_proposals
from storage.schema import contact_addresses as addresses
from storage.schema import contacts as table
from storage.scope import MAX_PAGE, Scope
from storage.timeline import TimelineItem, timeline

#: How an address was learnt → how well we know that it is theirs. "web" is a form that anybody can
#: fill in, "import" another system's word.
SOURCES: Final[Mapping[str, str]] = {
    "said": "said",
    "web": "said",
    "import": "said",
    "call": "call",
    "message": "message",
    "operator": "operator",
}
#: Both addresses of one message, or of what the business says, are the same person's.
_PROVING: Final = frozenset({"message", "operator"})
_LONGEST_NOTES: Final = 10_000

_COLUMNS = (
    table.c.id,
    table.c.name,
    table.c.names,
    table.c.language,
    table.c.preferred_channel,
    table.c.notes,
    table.c.source,
    table.c.version,
    table.c.last_seen_at,
    table.c.created_at,
    table.c.updated_at,
)
_EDITABLE = frozenset({"name", "language", "preferred_channel", "notes"})


@dataclass(frozen=True, slots=True)
class Address:
    """`kind` phone | email | whatsapp | whatsapp_id; `proof` said | call | message | operator."""

    kind: str
    value: str
    proof: str
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class Contact:
    """A person. `name` is the one to use, `names` all that were heard on their addresses."""

    id: str
    name: str
    names: tuple[str, ...]
    language: str | None
    preferred_channel: str | None
    notes: str | None
    source: str | None
    version: int
    last_seen_at: datetime
    created_at: datetime
    updated_at: datetime
    addresses: tuple[Address, ...] = ()

    def address(self, kind: str) -> str | None:
        """The best known one of a kind, the latest of equals; None without."""
        known = [each for each in self.addresses if each.kind == kind]
        best = max(known, key=lambda it: (PROOFS.index(it.proof), it.last_seen_at), default=None)
        return None if best is None else best.value

    def proven(self, kind: str) -> str | None:
        """The same, of those that they used or the business gave: not what somebody dictated."""
        used = tuple(each for each in self.addresses if each.proof != "said")
        return replace(self, addresses=used).address(kind)


@dataclass(frozen=True, slots=True)
class Proposal:
    """Two people who may be one, and why somebody might think so."""

    id: str
    contact_id: str
    other_id: str
    reason: str
    call_id: str | None
    created_at: datetime


class Contacts:
    """A tenant's people."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    # ------------------------------------------------------------------- find or create

    async def person(
        self,
        *,
        name: str | None = None,
        phone: str | None = None,
        email: str | None = None,
        whatsapp: str | None = None,
        source: str,
    ) -> Contact | None:
        """Whoever has one of these addresses, made if nobody has. None when nothing identifies
        anybody: a withheld number and a name are no person.

        `whatsapp` is a number or a business-scoped user id, or both with a space between. `source`
        is a key of SOURCES; Invalid otherwise. Addresses that belong to two people make these one
        when the source proves it, else a proposal. A name never replaces another person's who has
        the same telephone: it is added to `names`.
        """
        if source not in SOURCES:
            raise Invalid(f"must be one of {', '.join(SOURCES)}", field="source")
        keys = keys_of(phone, email, whatsapp)
        if not keys:
            return None
        main, owners = await claim(self._scope, keys, source, SOURCES[source])
        for other in sorted({owner for owner in owners.values() if owner != main}):
            if source in _PROVING:
                main = await self._join(main, other, source)
            else:
                await propose(self._scope, main, other, source)
        await self._seen(main, keys, plain_name(name), source)
        return await self._found(main)

    async def of(
        self, *, phone: str | None = None, email: str | None = None, whatsapp: str | None = None
    ) -> Contact | None:
        """Whoever has one of these addresses; nothing is written."""
        keys = keys_of(phone, email, whatsapp)
        owners = await owners_of(self._scope, keys)
        first = next((owners[key] for key in keys if key in owners), None)
        return None if first is None else await self.get(first)

    async def _join(self, one: str, other: str, actor: str) -> str:
        """The elder of two who are one; the younger is merged into it."""
        statement = self._scope.select(table, table.c.id).where(table.c.id.in_((one, other)))
        rows = await self._scope.all(statement.order_by(table.c.created_at, table.c.id))
        if len(rows) < 2:
            return one
        elder, younger = (row["id"] for row in rows)
        await absorb(self._scope, elder, younger, actor)
        return str(elder)

    async def _seen(self, contact_id: str, keys: list[Key], name: str, source: str) -> None:
        now = self._scope.now()
        row = await self._row(contact_id)
        values: dict[str, Any] = {"last_seen_at": max(now, row["last_seen_at"])}
        names = names_seen(list(row["names"]), name)
        better = fuller_name(row["name"], name) if name else row["name"]
        if names != row["names"] or better != row["name"]:
            values |= {
                "names": names,
                "name": better,
                "folded": searchable(better, names),
            }
        await self._scope.connection.execute(
            self._scope.update(table).where(table.c.id == contact_id).values(**values)
        )
        proof = SOURCES[source]
        weaker = PROOFS[: PROOFS.index(proof) + 1]
        for kind, value in keys:
            await self._scope.connection.execute(
                self._scope.update(addresses)
                .where(
                    addresses.c.kind == kind,
                    addresses.c.value == value,
                    addresses.c.contact_id == contact_id,
                )
                .values(
                    last_seen_at=now,
                    proof=sa.case((addresses.c.proof.in_(weaker), proof), else_=addresses.c.proof),
                )
            )

    # -------------------------------------------------------------------------- reading

    async def get(self, contact_id: str) -> Contact | None:
        """One of the tenant's, or None. One that was merged is found as whom it became."""
        row = await self._scope.first(
            self._scope.select(table, table.c.id, table.c.merged_into).where(
                table.c.id == contact_id
            )
        )
        if row is None:
            return None
        found = await self._many([row["merged_into"] or row["id"]])
        return found[0] if found else None

    async def _found(self, contact_id: str) -> Contact:
        (contact,) = await self._many([contact_id])
        return contact

    async def _row(self, contact_id: str) -> sa.RowMapping:
        statement = self._scope.select(table, *_COLUMNS).where(
            table.c.id == contact_id, table.c.merged_into.is_(None)
        )
        row = await self._scope.first(statement)
        if row is None:
            raise NotFound("no such contact")
        return row

    async def _many(self, ids: list[str]) -> list[Contact]:
        """In the order of `ids`, with their addresses."""
        if not ids:
            return []
        rows = await self._scope.all(
            self._scope.select(table, *_COLUMNS).where(table.c.id.in_(ids))
        )
        statement = self._scope.select(
            addresses,
            addresses.c.contact_id,
            addresses.c.kind,
            addresses.c.value,
            addresses.c.proof,
            addresses.c.last_seen_at,
        ).where(addresses.c.contact_id.in_(ids))
        theirs: dict[str, list[Address]] = {}
        order = (addresses.c.kind, addresses.c.created_at, addresses.c.value)
        for each in await self._scope.all(statement.order_by(*order)):
            values = dict(each)
            theirs.setdefault(values.pop("contact_id"), []).append(Address(**values))
        by_id = {row["id"]: row for row in rows}
        return [
            Contact(
                **{**by_id[it], "names": tuple(by_id[it]["names"])},
                addresses=tuple(theirs.get(it, ())),
            )
            for it in ids
            if it in by_id
        ]

    async def list(
        self,
        *,
        search: str | None = None,
        channel: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> tuple[list[Contact], str | None]:
        """People, whoever was heard of last first; the cursor of the next page, None at the end.

        `search` is part of a name or of an address; a telephone number in any spelling finds its
        owner. `channel`: who prefers it. Invalid for a bad limit or cursor."""
        if not 1 <= limit <= MAX_PAGE:
            raise Invalid(f"must lie between 1 and {MAX_PAGE}", field="limit")
        statement = self._scope.select(table, table.c.id, table.c.last_seen_at).where(
            table.c.merged_into.is_(None)
        )
        if channel:
            statement = statement.where(table.c.preferred_channel == channel)
        if search and search.strip():
            statement = statement.where(self._matches(search.strip()))
        if cursor:
            at, last = position(cursor)
            statement = statement.where(
                sa.or_(
                    table.c.last_seen_at < at,
                    sa.and_(table.c.last_seen_at == at, table.c.id > last),
                )
            )
        order = (table.c.last_seen_at.desc(), table.c.id)
        rows = await self._scope.all(statement.order_by(*order).limit(limit + 1))
        page = rows[:limit]
        following = None
        if len(rows) > limit:
            following = cursor_of(page[-1]["last_seen_at"], page[-1]["id"])
        return await self._many([row["id"] for row in page]), following

    def _matches(self, search: str) -> sa.ColumnElement[bool]:
        part = addresses.c.value.contains(search.casefold(), autoescape=True)
        number = normalise(search)
        if number is not None:
            part = sa.or_(part, addresses.c.value == number)
        has_address = (
            sa.exists()
            .where(
                addresses.c.tenant_id == self._scope.tenant_id,
                addresses.c.contact_id == table.c.id,
                part,
            )
            .correlate(table)
        )
        return sa.or_(has_address, table.c.folded.contains(unaccented(search), autoescape=True))

    async def history(self, contact_id: str) -> Sequence[Change]:
        """What was changed and merged, the earliest first."""
        return await history(self._scope, contact_id=contact_id)

    async def timeline(
        self, contact_id: str, *, limit: int = 50, cursor: str | None = None
    ) -> tuple[Sequence[TimelineItem], str | None]:
        """What happened with them on any channel, the latest first; the next page's cursor."""
        return await timeline(self._scope, contact_id, limit, cursor)

    async def proposals(self, contact_id: str | None = None) -> Sequence[Proposal]:
        """Who may be one person with whom, undecided, the latest first."""
        it = contact_proposals.c
        statement = self._scope.select(
            contact_proposals,
            it.id,
            it.contact_id,
            it.other_id,
            it.reason,
            it.call_id,
            it.created_at,
        ).where(it.declined_at.is_(None))
        if contact_id is not None:
            statement = statement.where(
                sa.or_(it.contact_id == contact_id, it.other_id == contact_id)
            )
        order = (it.created_at.desc(), it.id)
        rows = await self._scope.all(statement.order_by(*order).limit(MAX_PAGE))
        return [Proposal(**row) for row in rows]

    # ------------------------------------------------------------------------- changing

    async def update(
        self,
        contact_id: str,
        changes: Mapping[str, Any],
        *,
        actor: str,
        version: int | None = None,
    ) -> Contact:
        """Change name, language, preferred_channel or notes. With `version`, Conflict when
        somebody else was first; without it the last one wins, and the history has both."""
        if not await hold(self._scope, [contact_id]):
            raise NotFound("no such contact")
        unknown = changes.keys() - _EDITABLE
        if unknown:
            raise Invalid("can't be changed", field=min(unknown))
        _check(changes)
        row = await self._row(contact_id)
        if version is not None and version != row["version"]:
            raise Conflict(
                "somebody else has changed this contact meanwhile", message_key="changed_meanwhile"
            )
        values = dict(changes)
        if "name" in values:
            values["name"] = plain_name(values["name"])
            values["names"] = names_seen(list(row["names"]), values["name"])
            values["folded"] = searchable(values["name"], values["names"])
        changed = differences(dict(row), {name: values[name] for name in changes})
        if changed:
            await self._scope.connection.execute(
                self._scope.update(table)
                .where(table.c.id == contact_id)
                .values(**values, version=row["version"] + 1, updated_at=self._scope.now())
            )
            await remember(self._scope, actor, "updated", changed, contact_id=contact_id)
            self._scope.publish("contact.updated", contact_id, {"fields": sorted(changed)})
        return await self._found(contact_id)

    async def merge(self, contact_id: str, other_id: str, *, actor: str = ASSISTANT) -> Contact:
        """The business says that both are one: `contact_id` stays, and all that was the other's
        is its. NotFound when one of them isn't the tenant's; Invalid for one with itself."""
        if contact_id == other_id:
            raise Invalid("a contact can't be merged with itself", field="other_id")
        await absorb(self._scope, contact_id, other_id, actor)
        return await self._found(contact_id)

    async def suggest(
        self, contact_id: str, other_id: str, reason: str, call_id: str | None = None
    ) -> None:
        """Two who may be one: a caller dictated another's number, say."""
        if contact_id != other_id:
            await propose(self._scope, contact_id, other_id, reason, call_id)

    async def decline(self, proposal_id: str) -> None:
        """They are two people. NotFound when there is no such proposal."""
        statement = (
            self._scope.update(contact_proposals)
            .where(contact_proposals.c.id == proposal_id)
            .values(declined_at=self._scope.now())
        )
        if not (await self._scope.connection.execute(statement)).rowcount:
            raise NotFound("no such proposal")


def _check(changes: Mapping[str, Any]) -> None:
    channel = changes.get("preferred_channel")
    if channel is not None and channel not in CHANNEL_TYPES:
        raise Invalid(f"must be one of {', '.join(CHANNEL_TYPES)}", field="preferred_channel")
    if len(changes.get("notes") or "") > _LONGEST_NOTES:
        raise Invalid(f"must not be longer than {_LONGEST_NOTES} characters", field="notes")
