"""What a business's days came to: calls, appointments, texts, costs, counted by the database.

Days are the tenant's. The database counts by quarters of an hour, on which midnight falls in every
zone of our time; which day a quarter belongs to is decided by the zone's own rules, so that the
days on which clocks change have their 23 or 25 hours.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from domain.errors import Invalid
from storage.schema import (
    call_logs,
    channel_messages_log,
    conversation_messages,
    conversations,
    rendez_vous,
)
from storage.scope import Scope

#: The longest period: a leap year.
MOST_DAYS: Final = 366
#: How soon a call ought to be answered, in seconds: what `answered_within` counts.
ANSWERED_WITHIN: Final = (3, 5, 10)
_QUARTER: Final = 900
_DAY: Final = timedelta(days=1)

#: A row that an appointment leaves only once it is one.
_HELD: Final = "held"


@dataclass(slots=True)
class CallCounts:
    """Calls that began. `seconds` talked in all; `wait_seconds` from the ring to the answer, of
    those that were `answered`; `answered_within`: seconds → how many were by then; `cost_cents` at
    the carrier, of those whose cost is known (`priced`), in the currency of its account;
    `vapi_cost_cents` at Vapi, of a US dollar (`vapi_priced`): the two don't add up. `outcomes` of
    those that have ended."""

    total: int = 0
    inbound: int = 0
    outbound: int = 0
    completed: int = 0
    failed: int = 0
    ended: int = 0
    answered: int = 0
    with_appointment: int = 0
    seconds: int = 0
    wait_seconds: float = 0.0
    answered_within: dict[int, int] = field(
        default_factory=lambda: dict.fromkeys(ANSWERED_WITHIN, 0)
    )
    outcomes: dict[str, int] = field(default_factory=dict)
    cost_cents: int = 0
    priced: int = 0
    vapi_cost_cents: int = 0
    vapi_priced: int = 0


@dataclass(slots=True)
class TextCounts:
    """Texts of one channel: put into the outbox, by what became of them, and `received`. What they
    cost by currency, in millionths, and in cents where rows of the earlier service say so."""

    sent: dict[str, int] = field(default_factory=dict)
    received: int = 0
    segments: int = 0
    cost_micros: dict[str, int] = field(default_factory=dict)
    cost_cents: int = 0


@dataclass(slots=True)
class DayCounts:
    """One day of the tenant's, or several."""

    calls: CallCounts = field(default_factory=CallCounts)
    texts: dict[str, TextCounts] = field(default_factory=dict)
    booked: dict[str, int] = field(default_factory=dict)  # by whom → appointments made
    cancelled: int = 0

    def channel(self, name: str) -> TextCounts:
        """Of one channel."""
        return self.texts.setdefault(name, TextCounts())


class Statistics:
    """A tenant's figures."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def days(self, first: date, last: date) -> dict[date, DayCounts]:
        """Each day from `first` to `last`, both included, in the tenant's zone. Invalid for more
        than 366."""
        if not first <= last:
            raise Invalid("must not lie before date_from", field="date_to")
        if (last - first).days >= MOST_DAYS:
            raise Invalid(f"must lie within {MOST_DAYS} days of date_from", field="date_to")
        zone = ZoneInfo((await self._scope.tenant()).timezone)
        found = {day: DayCounts() for day in _each(first, last)}
        period = _Period(self._scope.connection.dialect.name, zone, first, last)
        await self._calls(found, period)
        await self._texts(found, period)
        await self._received(found, period)
        await self._appointments(found, period)
        return found

    def now(self) -> datetime:
        """By the server's clock."""
        return self._scope.now()

    async def today(self) -> date:
        """In the tenant's zone."""
        return self._scope.now().astimezone(ZoneInfo((await self._scope.tenant()).timezone)).date()

    async def calls(self, first: date | None = None, last: date | None = None) -> CallCounts:
        """All calls together that began in these days of the tenant's, both included."""
        zone = ZoneInfo((await self._scope.tenant()).timezone)
        it = call_logs.c
        keys, figures = _call_figures(_Period(self._scope.connection.dialect.name, zone))
        columns = [figure.label(name) for name, figure in figures.items()]
        statement = self._scope.select(call_logs, *keys, *columns).group_by(*keys)
        if first is not None:
            statement = statement.where(it.started_at >= _midnight(first, zone))
        if last is not None:
            statement = statement.where(it.started_at < _midnight(last + _DAY, zone))
        counts = CallCounts()
        for row in await self._scope.all(statement):
            _add_calls(counts, row)
        return counts

    async def _calls(self, found: Mapping[date, DayCounts], period: "_Period") -> None:
        keys, figures = _call_figures(period)
        at = call_logs.c.started_at
        for day, row in await self._counted(period, call_logs, at, keys, figures):
            _add_calls(found[day].calls, row)

    async def _texts(self, found: Mapping[date, DayCounts], period: "_Period") -> None:
        it = channel_messages_log.c
        figures = {
            "total": sa.func.count(),
            "segments": sa.func.coalesce(sa.func.sum(it.segments), 0),
            "micros": sa.func.coalesce(sa.func.sum(it.price_micros), 0),
            "cents": sa.func.coalesce(sa.func.sum(it.cost_cents), 0),
        }
        keys = (it.channel_type, it.status, it.price_currency)
        for day, row in await self._counted(
            period, channel_messages_log, it.created_at, keys, figures
        ):
            counts = found[day].channel(row["channel_type"])
            status = row["status"]
            counts.sent[status] = counts.sent.get(status, 0) + int(row["total"])
            counts.segments += int(row["segments"])
            counts.cost_cents += int(row["cents"])
            if row["price_currency"]:
                currency = row["price_currency"]
                counts.cost_micros[currency] = counts.cost_micros.get(currency, 0) + int(
                    row["micros"]
                )

    async def _received(self, found: Mapping[date, DayCounts], period: "_Period") -> None:
        it = conversation_messages.c
        quarter = period.quarter(it.created_at)
        statement = (
            self._scope.select(
                conversation_messages, quarter, conversations.c.channel, sa.func.count()
            )
            .join(
                conversations,
                sa.and_(
                    conversations.c.tenant_id == it.tenant_id,
                    conversations.c.id == it.conversation_id,
                ),
            )
            .where(it.author == "customer", *period.within(it.created_at))
            .group_by(sa.text("1"), conversations.c.channel)
        )
        for at, channel, count in (await self._scope.connection.execute(statement)).all():
            found[period.day(at)].channel(channel).received += int(count)

    async def _appointments(self, found: Mapping[date, DayCounts], period: "_Period") -> None:
        it = rendez_vous.c
        figures = {"total": _count(it.status != _HELD)}
        for day, row in await self._counted(
            period, rendez_vous, it.created_at, (it.created_by,), figures
        ):
            if row["total"]:
                by = row["created_by"] or ""
                found[day].booked[by] = found[day].booked.get(by, 0) + int(row["total"])
        for day, row in await self._counted(
            period, rendez_vous, it.cancelled_at, (), {"total": sa.func.count()}
        ):
            found[day].cancelled += int(row["total"])

    async def _counted(
        self,
        period: "_Period",
        table: sa.Table,
        at: sa.Column[Any],
        keys: tuple[sa.Column[Any], ...],
        figures: Mapping[str, sa.ColumnElement[Any]],
    ) -> list[tuple[date, sa.RowMapping]]:
        """The figures of each quarter of an hour and each combination of `keys`, with its day."""
        columns = [figure.label(name) for name, figure in figures.items()]
        statement = (
            self._scope.select(table, period.quarter(at).label("quarter"), *keys, *columns)
            .where(*period.within(at))
            .group_by(sa.text("1"), *keys)
        )
        rows = await self._scope.all(statement)
        return [(period.day(row["quarter"]), row) for row in rows]


@dataclass(frozen=True, slots=True)
class _Period:
    """Days in a zone, as both databases count them."""

    dialect: str
    zone: ZoneInfo
    first: date = date.min
    last: date = date.min

    def seconds(self, at: sa.ColumnElement[Any]) -> sa.ColumnElement[float]:
        """Since 1970, as a number."""
        if self.dialect == "sqlite":
            # 2440587.5: the Julian day on which 1970 began.
            days: sa.ColumnElement[float] = sa.func.julianday(at, type_=sa.Float())
            return (days - sa.literal(2440587.5, sa.Float())) * 86400
        return sa.cast(sa.extract("epoch", at), sa.Float())

    def quarter(self, at: sa.ColumnElement[Any]) -> sa.ColumnElement[int]:
        """Which quarter of an hour since 1970."""
        if self.dialect == "sqlite":
            # By whole seconds, and so without rounding.
            whole = sa.cast(sa.func.strftime("%s", at, type_=sa.String()), sa.Integer)
            return whole.op("/", return_type=sa.Integer())(sa.literal_column(str(_QUARTER)))
        quarters = sa.extract("epoch", at) / sa.literal_column(str(_QUARTER))
        return sa.cast(sa.func.floor(quarters), sa.BigInteger)

    def within(self, at: sa.Column[Any]) -> tuple[sa.ColumnElement[bool], ...]:
        """From the first midnight to the last."""
        ends = _midnight(self.last + _DAY, self.zone)
        return at >= _midnight(self.first, self.zone), at < ends

    def day(self, quarter: int) -> date:
        """Whose quarter this is."""
        return datetime.fromtimestamp(int(quarter) * _QUARTER, UTC).astimezone(self.zone).date()


def summed(days: Iterable[DayCounts]) -> DayCounts:
    """All of them together."""
    total = DayCounts()
    for each in days:
        _add_dataclass(total.calls, each.calls)
        for name, counts in each.texts.items():
            _add_dataclass(total.channel(name), counts)
        _add_mapping(total.booked, each.booked)
        total.cancelled += each.cancelled
    return total


def _call_figures(
    period: _Period,
) -> tuple[tuple[sa.Column[Any], ...], Mapping[str, sa.ColumnElement[Any]]]:
    """By what calls are told apart, and what is summed up of them."""
    it = call_logs.c
    waited = period.seconds(it.answered_at) - period.seconds(it.started_at)
    figures: dict[str, sa.ColumnElement[Any]] = {
        "total": sa.func.count(),
        "answered": sa.func.count(it.answered_at),
        "with_appointment": _count(it.rdv_created.is_(sa.true())),
        "seconds": sa.func.coalesce(sa.func.sum(it.duration_seconds), 0),
        "wait_seconds": sa.func.coalesce(sa.func.sum(waited), 0),
        "cost_cents": sa.func.coalesce(sa.func.sum(it.cost_cents), 0),
        "priced": sa.func.count(it.cost_cents),
        "vapi_cost_cents": sa.func.coalesce(sa.func.sum(it.vapi_cost_cents), 0),
        "vapi_priced": sa.func.count(it.vapi_cost_cents),
        # SQLite's days are exact to 40 µs.
        **{f"within_{each}": _count(waited < each + 0.001) for each in ANSWERED_WITHIN},
    }
    return (it.direction, it.call_status, it.outcome), figures


_SUMMED: Final = (
    "answered",
    "with_appointment",
    "seconds",
    "cost_cents",
    "priced",
    "vapi_cost_cents",
    "vapi_priced",
)


def _add_calls(counts: CallCounts, row: sa.RowMapping) -> None:
    total = int(row["total"])
    counts.total += total
    setattr(counts, row["direction"], getattr(counts, row["direction"]) + total)
    if row["call_status"] in ("completed", "failed"):
        name = str(row["call_status"])
        setattr(counts, name, getattr(counts, name) + total)
    if row["outcome"] is not None:
        counts.ended += total
        counts.outcomes[row["outcome"]] = counts.outcomes.get(row["outcome"], 0) + total
    for name in _SUMMED:
        setattr(counts, name, getattr(counts, name) + int(row[name]))
    counts.wait_seconds += float(row["wait_seconds"])
    for each in ANSWERED_WITHIN:
        counts.answered_within[each] += int(row[f"within_{each}"])


def _add_dataclass(total: Any, more: Any) -> None:
    for name in type(total).__slots__:
        value = getattr(more, name)
        if isinstance(value, dict):
            _add_mapping(getattr(total, name), value)
        else:
            setattr(total, name, getattr(total, name) + value)


def _add_mapping(total: dict[Any, int], more: Mapping[Any, int]) -> None:
    for key, value in more.items():
        total[key] = total.get(key, 0) + value


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def _each(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))
