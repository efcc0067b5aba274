"""A tenant's agenda, put together from what is stored, and the rules that hold for all of it."""

from datetime import UTC, date, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from domain.agenda import MAX_HORIZON_DAYS, Agenda, Rules
from domain.availability import Booked
from domain.errors import Invalid
from storage.agenda_values import check_numbers, check_ranges, read, stored
from storage.day_exceptions import DayExceptions
from storage.hours import Hours
from storage.public_holidays import known_region, public_holidays
from storage.resources import Resources
from storage.schema import ON_HOLIDAYS, rendez_vous
from storage.schema import agenda_rules as table
from storage.scope import Scope
from storage.services import Services

#: Appointments in these states take no place of a daily cap.
_GIVEN_BACK = ("cancelled", "rescheduled")


class Agendas:
    """The tenant's one agenda."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def load(self) -> Agenda:
        """All of it, from yesterday on. NotFound when there is no such tenant."""
        tenant = await self._scope.tenant()
        rules = await self.rules()
        today = self._scope.now().astimezone(ZoneInfo(tenant.timezone)).date()
        # The night that began yesterday is yesterday's.
        first, last = today - timedelta(days=1), today + timedelta(days=MAX_HORIZON_DAYS + 1)
        holidays = (
            await public_holidays(rules.holiday_region, first, last) if rules.holiday_region else {}
        )
        return Agenda(
            tenant.timezone,
            tuple(await Hours(self._scope).get()),
            tuple(each.resource() for each in await Resources(self._scope).list()),
            tuple(each.service() for each in await Services(self._scope).list()),
            tuple(await DayExceptions(self._scope).list(first)),
            MappingProxyType(dict(holidays)),
            rules,
        )

    async def rules(self) -> Rules:
        """What was set, or what holds where nobody has set anything."""
        row = await self._scope.first(self._scope.select(table))
        if row is None:
            return Rules()
        return Rules(
            row["holiday_region"],
            row["on_holidays"],
            read(row["holiday_hours"]),
            row["minutes"],
            row["step_minutes"],
            row["notice_minutes"],
            row["horizon_days"],
            row["daily_cap"],
        )

    async def set_rules(self, rules: Rules) -> Rules:
        """Replace them. Invalid."""
        check_numbers(rules, "minutes", "step", "notice_minutes", "horizon_days", "daily_cap")
        check_ranges(rules.holiday_hours, "holiday_hours")
        if rules.on_holidays not in ON_HOLIDAYS:
            raise Invalid(f"must be one of {', '.join(ON_HOLIDAYS)}", field="on_holidays")
        if rules.on_holidays == "special" and not rules.holiday_hours:
            raise Invalid(
                "special hours on public holidays need holiday_hours",
                field="holiday_hours",
                message_key="holiday_hours_missing",
            )
        region = rules.holiday_region and await known_region(rules.holiday_region)
        values = {
            "holiday_region": region or None,
            "on_holidays": rules.on_holidays,
            "holiday_hours": stored(rules.holiday_hours),
            "minutes": rules.minutes,
            "step_minutes": rules.step,
            "notice_minutes": rules.notice_minutes,
            "horizon_days": rules.horizon_days,
            "daily_cap": rules.daily_cap,
            "updated_at": self._scope.now(),
        }
        # Whoever sets them at the same moment waits here.
        await self._scope.update_tenant()
        changed = await self._scope.connection.execute(self._scope.update(table).values(**values))
        if not changed.rowcount:
            await self._scope.insert(table, **values)
        return await self.rules()

    async def booked(self, first: date, last: date) -> Booked:
        """How many appointments there are on the tenant's days `first` to `last`, for daily caps:
        by day, resource and service ("" is none in particular)."""
        it = rendez_vous.c
        # A hold counts while it lasts.
        lapsed = sa.and_(it.status == "held", it.hold_until <= self._scope.now().astimezone(UTC))
        service = sa.func.coalesce(it.service_id, "")
        statement = (
            self._scope.select(
                rendez_vous,
                it.rdv_date,
                it.resource,
                service.label("service"),
                sa.func.count().label("count"),
            )
            .where(
                it.rdv_date >= first,
                it.rdv_date <= last,
                it.status.not_in(_GIVEN_BACK),
                sa.not_(lapsed),
            )
            .group_by(it.rdv_date, it.resource, service)
        )
        return {
            (row["rdv_date"], row["resource"], row["service"]): row["count"]
            for row in await self._scope.all(statement)
        }
