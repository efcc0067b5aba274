"""What happened, in figures: by day and channel, and in the pages' shapes."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Literal, TypedDict

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.auth import tenant_access
from dashboard.api.body import json_response
from dashboard.api.operations import operation
from dashboard.api.periods import Period, days_of
from dashboard.api.query import read_query
from domain.permissions import May
from storage import Storage
from storage.statistics import CallCounts, DayCounts, TextCounts, summed

#: What is shown when nobody says from when to when.
DEFAULT_DAYS = 30

_DELIVERED = ("delivered", "read")
_FAILED = ("failed", "expired")


class StatisticsQuery(msgspec.Struct, frozen=True):
    """Days in the tenant's zone, both included, 366 at most; the last 30 without any."""

    date_from: str | None = None
    date_to: str | None = None
    period: Period | None = None


class CallFigures(TypedDict):
    """`answered_within`: seconds → how many were answered by then; `cost_cents` at the carrier, in
    the currency of its account, null: of none is it known, `priced` of how many it is;
    `vapi_cost_cents` likewise at Vapi, of a US dollar."""

    total: int
    inbound: int
    outbound: int
    ended: int
    completed: int
    failed: int
    answered: int
    answered_within: dict[str, int]
    average_wait_seconds: float | None
    duration_seconds: int
    with_appointment: int
    outcomes: dict[str, int]
    cost_cents: int | None
    priced: int
    vapi_cost_cents: int | None
    vapi_priced: int


class CostFigure(TypedDict):
    """In units of the currency."""

    amount: float
    currency: str


class TextFigures(TypedDict):
    """`sent`: by what became of them; `costs` as vendors said."""

    channel: str
    sent: dict[str, int]
    received: int
    segments: int
    costs: list[CostFigure]


class AppointmentFigures(TypedDict):
    """Those that were made, by whom, and those that were cancelled, on these days."""

    booked: int
    by: dict[str, int]
    cancelled: int


class Figures(TypedDict):
    """Of a day, or of all."""

    calls: CallFigures
    appointments: AppointmentFigures
    texts: list[TextFigures]


class DayFigures(Figures):
    """Of one day."""

    date: str


class StatisticsPeriod(TypedDict):
    """Both days included."""

    date_from: str
    date_to: str
    timezone: str


class StatisticsAnswer(TypedDict):
    """Day by day, and all together."""

    success: bool
    period: StatisticsPeriod
    days: list[DayFigures]
    total: Figures


class CallStats(TypedDict):
    """`conversion_rate`: of how many calls an appointment came, as "12.5%"."""

    total_calls: int
    completed_calls: int
    failed_calls: int
    avg_duration_seconds: int
    total_duration_seconds: int
    inbound_calls: int
    outbound_calls: int
    appointments_created: int
    conversion_rate: str


class CallStatsAnswer(TypedDict):
    """All calls, unless a period is named."""

    success: bool
    stats: CallStats


class ChannelMessagesStats(TypedDict):
    """Costs null: in several currencies, see `costs` of `/api/v1/stats`."""

    channel_type: str
    total_messages: int
    delivered: int
    failed: int
    total_cost_cents: int | None


class ChannelCallsStats(TypedDict):
    """`total_duration` in seconds; the costs are the carrier's."""

    total_calls: int
    completed_calls: int
    total_duration: int
    total_cost_cents: int


class ChannelStatsAnswer(TypedDict):
    """The last 30 days, today included."""

    success: bool
    period: Literal["last_30_days"]
    messages: list[ChannelMessagesStats]
    calls: ChannelCallsStats
    totalCostCents: int | None


class Statistics:
    """The handlers."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    @operation("Show statistics", may=May.VIEW, query=StatisticsQuery, answer=StatisticsAnswer)
    async def index(self, request: Request) -> Response:
        """Calls by when they began, appointments by when they were made or cancelled, texts by when
        they were written; days are the tenant's."""
        tenant, query = tenant_access(request).tenant, read_query(request, StatisticsQuery)
        async with self._storage.tenant(tenant.id).read() as rows:
            today = await rows.statistics.today()
            first, last = days_of(request, query.period, today, tenant.timezone)
            last = last or today
            first = first or last - timedelta(days=DEFAULT_DAYS - 1)
            days = await rows.statistics.days(first, last)
        return json_response(
            {
                "success": True,
                "period": {
                    "date_from": first.isoformat(),
                    "date_to": last.isoformat(),
                    "timezone": tenant.timezone,
                },
                "days": [{"date": day.isoformat(), **_figures(of)} for day, of in days.items()],
                "total": _figures(summed(days.values())),
            }
        )

    @operation(
        "Show statistics of calls", may=May.VIEW, query=StatisticsQuery, answer=CallStatsAnswer
    )
    async def calls(self, request: Request) -> Response:
        """As the pages read them; of all calls, unless a period is named."""
        tenant, query = tenant_access(request).tenant, read_query(request, StatisticsQuery)
        async with self._storage.tenant(tenant.id).read() as rows:
            today = await rows.statistics.today()
            first, last = days_of(request, query.period, today, tenant.timezone)
            counts = await rows.statistics.calls(first, last)
        rate = 100 * counts.with_appointment / counts.total if counts.total else 0.0
        stats: CallStats = {
            "total_calls": counts.total,
            "completed_calls": counts.completed,
            "failed_calls": counts.failed,
            "avg_duration_seconds": round(counts.seconds / counts.completed)
            if counts.completed
            else 0,
            "total_duration_seconds": counts.seconds,
            "inbound_calls": counts.inbound,
            "outbound_calls": counts.outbound,
            "appointments_created": counts.with_appointment,
            "conversion_rate": f"{rate:.1f}%",
        }
        return json_response({"success": True, "stats": stats})

    @operation("Show statistics of channels", may=May.VIEW, answer=ChannelStatsAnswer)
    async def channels(self, request: Request) -> Response:
        """As the pages read them: the last 30 days."""
        tenant = tenant_access(request).tenant
        async with self._storage.tenant(tenant.id).read() as rows:
            today = await rows.statistics.today()
            first = today - timedelta(days=DEFAULT_DAYS - 1)
            total = summed((await rows.statistics.days(first, today)).values())
        messages = [_messages(name, of) for name, of in sorted(total.texts.items())]
        costs = [each["total_cost_cents"] for each in messages]
        known = [each for each in costs if each is not None]
        mixed = len(known) < len(costs) or len(_currencies(total)) > 1
        answer: ChannelStatsAnswer = {
            "success": True,
            "period": "last_30_days",
            "messages": messages,
            "calls": {
                "total_calls": total.calls.total,
                "completed_calls": total.calls.completed,
                "total_duration": total.calls.seconds,
                "total_cost_cents": total.calls.cost_cents,
            },
            "totalCostCents": None if mixed else sum(known) + total.calls.cost_cents,
        }
        return json_response(answer)


def _figures(of: DayCounts) -> Figures:
    return {
        "calls": _calls(of.calls),
        "appointments": {
            "booked": sum(of.booked.values()),
            "by": of.booked,
            "cancelled": of.cancelled,
        },
        "texts": [_texts(name, counts) for name, counts in sorted(of.texts.items())],
    }


def _calls(of: CallCounts) -> CallFigures:
    return {
        "total": of.total,
        "inbound": of.inbound,
        "outbound": of.outbound,
        "ended": of.ended,
        "completed": of.completed,
        "failed": of.failed,
        "answered": of.answered,
        "answered_within": {str(each): count for each, count in of.answered_within.items()},
        "average_wait_seconds": round(of.wait_seconds / of.answered, 2) if of.answered else None,
        "duration_seconds": of.seconds,
        "with_appointment": of.with_appointment,
        "outcomes": of.outcomes,
        "cost_cents": of.cost_cents if of.priced else None,
        "priced": of.priced,
        "vapi_cost_cents": of.vapi_cost_cents if of.vapi_priced else None,
        "vapi_priced": of.vapi_priced,
    }


def _texts(channel: str, of: TextCounts) -> TextFigures:
    costs: list[CostFigure] = [
        {"amount": micros / 1_000_000, "currency": currency}
        for currency, micros in sorted(_costs(of).items())
    ]
    return {
        "channel": channel,
        "sent": of.sent,
        "received": of.received,
        "segments": of.segments,
        "costs": costs,
    }


def _costs(of: TextCounts) -> Mapping[str, int]:
    """Millionths, by currency. The earlier service's cents were of euros (D1's schema)."""
    costs = dict(of.cost_micros)
    if of.cost_cents:
        costs["EUR"] = costs.get("EUR", 0) + of.cost_cents * 10_000
    return costs


def _currencies(total: DayCounts) -> set[str]:
    return {currency for of in total.texts.values() for currency in _costs(of)}


def _messages(channel: str, of: TextCounts) -> ChannelMessagesStats:
    costs = _costs(of)
    cents = round(sum(costs.values()) / 10_000) if len(costs) <= 1 else None
    return {
        "channel_type": channel,
        "total_messages": sum(of.sent.values()),
        "delivered": sum(of.sent.get(status, 0) for status in _DELIVERED),
        "failed": sum(of.sent.get(status, 0) for status in _FAILED),
        "total_cost_cents": cents,
    }
