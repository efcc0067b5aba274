"""All that is held about somebody, as it is stored (GDPR art. 15 and 20)."""

from collections.abc import Mapping
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Any, Final

import sqlalchemy as sa

from storage.columns import iso_instant
from storage.contact_claims import Key
from storage.persons.finding import BELONGS, Person, find, nothing, unrouted, whose
from storage.schema import inbound_texts, metadata
from storage.scope import Scope

#: Columns (and whole tables) that aren't given away, and why.
OMITTED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "stream_tokens": "hashes that opened a call's audio for seconds",
        "rendez_vous_cells": "the same times once more, in pieces",
        "rendez_vous_requests": "digests of requests, against repetition",
        "dead_jobs": "ids of rows that are exported themselves",
        "live_events": "announcements of what is exported itself, for a day",
        "*.tenant_id": "whose rows these are, the same everywhere",
        "rendez_vous.link_token": "opens the appointment to whoever has it",
        "contacts.folded": "the names once more, for searching",
        "*.arguments_hash": "a digest of the arguments, which are exported",
        "*.address_hash": "keyed by a secret: the address is exported",
        "*.dedupe_key": "ids of rows once more, against repetition",
        "*.request_key": "the same",
        "*.event_key": "the same",
        "*.claimed_by": "a process of ours",
        "*.node_id": "a process of ours",
        "*.lane": "the address or the conversation once more",
        "rendez_vous.holder": "which call or page was booking",
        "inbound_texts.candidates": "other businesses",
        "inbound_texts.vendor_key": "an id once more, against repetition",
        "sender_blocks": "a carrier's note about one of our senders, nobody's of the business",
    }
)


def omitted(table: str, column: str) -> bool:
    """Whether a column stays out of an export."""
    return bool({table, f"{table}.{column}", f"*.{column}"} & OMITTED.keys())


async def export(scope: Scope, keys: list[Key]) -> tuple[Person, dict[str, list[dict[str, Any]]]]:
    """Who it is, and by table the rows that are theirs; tables without one are absent. Conflict
    when there are too many for one answer (`finding.MOST_ROWS` of a kind)."""
    person = await find(scope, keys)
    found: dict[str, list[dict[str, Any]]] = {}
    for name in BELONGS:
        table = metadata.tables[name]
        columns = [column for column in table.c if not omitted(name, column.name)]
        if not columns or name in OMITTED:
            continue
        theirs = whose(scope, person, table)
        order = [column for column in table.primary_key.columns if column.name != "tenant_id"]
        statement = sa.select(*columns).where(theirs).order_by(*order)
        rows = [] if nothing(theirs) else [_row(row) for row in await scope.all(statement)]
        if table is inbound_texts:
            rows += [
                {name: value for name, value in _row(row).items() if not omitted(table.name, name)}
                for row in await unrouted(scope, person)
            ]
        if rows:
            found[name] = rows
    return person, found


def _row(row: sa.RowMapping) -> dict[str, Any]:
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso_instant(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return value
