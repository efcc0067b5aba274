"""Two rows of one person become one; or somebody is asked whether they are."""

from typing import Any

import sqlalchemy as sa

from domain.errors import NotFound
from domain.people import searchable
from storage.conflicts import insert_unless_taken
from storage.history import remember
from storage.schema import contact_proposals as proposals
from storage.schema import contacts as table
from storage.schema import metadata
from storage.scope import Scope, new_id

#: Everything that refers to a person does so by a column of this name: a table that comes later is
#: moved unasked.
_REFERENCE = "contact_id"
_NOT_MOVED = frozenset({proposals.name})


async def absorb(scope: Scope, winner_id: str, loser_id: str, actor: str) -> None:
    """All that is the loser's becomes the winner's. NotFound when one isn't there (any more)."""
    rows = await scope.all(
        scope.select(table)
        .where(table.c.id.in_((winner_id, loser_id)), table.c.merged_into.is_(None))
        .order_by(table.c.id)  # whoever merges the same two locks them in the same order
        .with_for_update()
    )
    by_id = {row["id"]: row for row in rows}
    if len(by_id) < 2:
        raise NotFound("no such contact")
    winner, loser = by_id[winner_id], by_id[loser_id]
    for other in metadata.sorted_tables:
        if _REFERENCE in other.c and "tenant_id" in other.c and other.name not in _NOT_MOVED:
            await _move(scope, other, winner_id, loser_id)
    await _forget_proposals(scope, loser_id)
    now = scope.now()
    await scope.connection.execute(
        scope.update(table)
        .where(table.c.merged_into == loser_id)
        .values(merged_into=winner_id, updated_at=now)
    )
    await scope.connection.execute(
        scope.update(table)
        .where(table.c.id == loser_id)
        .values(merged_into=winner_id, name="", names=[], folded="", notes=None, updated_at=now)
    )
    await scope.connection.execute(
        scope.update(table)
        .where(table.c.id == winner_id)
        .values(**_together(winner, loser), version=winner["version"] + 1, updated_at=now)
    )
    merged = {
        "merged": [loser_id, winner_id],
        "name": [loser["name"], winner["name"] or loser["name"]],
    }
    await remember(scope, actor, "merged", merged, contact_id=winner_id)
    scope.publish("contact.merged", winner_id, {"merged": loser_id})


def _together(winner: sa.RowMapping, loser: sa.RowMapping) -> dict[str, Any]:
    """What is known of either; where both say something, the winner is right."""
    names = [*winner["names"], *(each for each in loser["names"] if each not in winner["names"])]
    notes = [each for each in (winner["notes"], loser["notes"]) if each]
    name = winner["name"] or loser["name"]
    return {
        "name": name,
        "names": names,
        "folded": searchable(name, names),
        "notes": "\n\n".join(notes) or None,
        "language": winner["language"] or loser["language"],
        "preferred_channel": winner["preferred_channel"] or loser["preferred_channel"],
        "last_seen_at": max(winner["last_seen_at"], loser["last_seen_at"]),
    }


async def _move(scope: Scope, other: sa.Table, winner_id: str, loser_id: str) -> None:
    """Rows that the winner has already under the same unique key are the same fact: the winner's
    stays."""
    column = other.c[_REFERENCE]
    for key in _unique_keys(other):
        twin = other.alias()
        same = [twin.c[name] == other.c[name] for name in key if name != _REFERENCE]
        await scope.connection.execute(
            scope.delete(other).where(
                column == loser_id,
                sa.exists().where(twin.c[_REFERENCE] == winner_id, *same),
            )
        )
    await scope.connection.execute(
        scope.update(other).where(column == loser_id).values({_REFERENCE: winner_id})
    )


def _unique_keys(other: sa.Table) -> list[list[str]]:
    keys = [other.primary_key, *other.constraints, *(i for i in other.indexes if i.unique)]
    unique = (sa.PrimaryKeyConstraint, sa.UniqueConstraint, sa.Index)
    names = [[column.name for column in key.columns] for key in keys if isinstance(key, unique)]
    return [key for key in names if _REFERENCE in key]


async def _forget_proposals(scope: Scope, loser_id: str) -> None:
    await scope.connection.execute(
        scope.delete(proposals).where(
            sa.or_(proposals.c.contact_id == loser_id, proposals.c.other_id == loser_id)
        )
    )


async def propose(
    scope: Scope, one: str, other: str, reason: str, call_id: str | None = None
) -> None:
    """Ask whether two people are one, once: who has declined isn't asked again."""
    first, second = sorted((one, other))
    row = {
        "id": new_id(),
        "tenant_id": scope.tenant_id,
        "contact_id": first,
        "other_id": second,
        "reason": reason,
        "call_id": call_id,
        "created_at": scope.now(),
    }
    if await insert_unless_taken(scope.connection, proposals, row):
        scope.publish("contact.proposed", first, {"other_id": second})
