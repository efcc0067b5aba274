"""When a tenant's other calendars are busy."""

from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from storage.schema import external_busy as spans
from storage.schema import external_calendars as calendars
from storage.scope import Scope

#: How long the last good reading of a calendar that can't be read any more keeps times busy. Its
#: owner has been told since the first day; a calendar that was given up must not close the agenda
#: for ever, and one that was unreachable for a long weekend must not open it.
TRUSTED_FOR: Final = timedelta(days=7)

Spans = dict[str, list[tuple[datetime, datetime]]]


async def external_busy(scope: Scope, start_utc: datetime, end_utc: datetime) -> Spans:
    """By resource ("" is everybody's), (start, end) in UTC, by start."""
    statement = (
        scope.select(spans, calendars.c.resource, spans.c.starts_at, spans.c.ends_at)
        .join(
            calendars,
            sa.and_(
                calendars.c.tenant_id == spans.c.tenant_id, calendars.c.id == spans.c.calendar_id
            ),
        )
        .where(
            spans.c.starts_at < end_utc,
            spans.c.ends_at > start_utc,
            calendars.c.enabled,
            calendars.c.fetched_at > scope.now() - TRUSTED_FOR,
        )
    )
    found: Spans = {}
    for row in await scope.all(statement.order_by(spans.c.starts_at)):
        found.setdefault(row["resource"], []).append((row["starts_at"], row["ends_at"]))
    return found
