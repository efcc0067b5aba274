"""From when to when: days in the tenant's zone, by name or by date."""

from datetime import date, timedelta
from typing import Final, Literal

from starlette.requests import Request

from dashboard.api.query import day
from domain.errors import Invalid

#: What pages may say (real-users.md §1.6 has the parameter, and no list): all end today.
Period = Literal[
    "today",
    "yesterday",
    "week",
    "month",
    "quarter",
    "year",
    "7d",
    "30d",
    "90d",
    "last_7_days",
    "last_30_days",
    "last_90_days",
    "all",
]

_BACK: Final = {
    "today": 0,
    "week": 6,
    "7d": 6,
    "last_7_days": 6,
    "month": 29,
    "30d": 29,
    "last_30_days": 29,
    "quarter": 89,
    "90d": 89,
    "last_90_days": 89,
    "year": 364,
}


def days_of(
    request: Request, period: str | None, today: date, timezone: str
) -> tuple[date | None, date | None]:
    """The first and the last day, None: open. `date_from` and `date_to` count before `period`.
    Raises Invalid."""
    query = request.query_params
    first, last = day(query, "date_from", timezone), day(query, "date_to", timezone)
    if first is not None and last is not None and last < first:
        raise Invalid(
            "date_to lies before date_from.", field="date_to", message_key="filter_invalid"
        )
    if first is not None or last is not None or period in (None, "all"):
        return first, last
    if period == "yesterday":
        return today - timedelta(days=1), today - timedelta(days=1)
    return today - timedelta(days=_BACK[str(period)]), today
