"""A tenant's agenda, put together from what is stored, and the rules that hold for all of it."""

import asyncio
import re
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo

from domain.agenda import MAX_HORIZON_DAYS, Agenda, Rules
from domain.availability import Slot, days
from domain.errors import Invalid
from storage.agenda_values import check_numbers, check_ranges, read, stored
from storage.appointments import Appointments
from storage.day_exceptions import DayExceptions
from storage.hours import Hours
from storage.public_holidays import known_region, public_holidays
from storage.resources import Resources
from storage.schema import ON_HOLIDAYS
from storage.schema import agenda_rules as table
from storage.scope import Scope
from storage.services import Services

_DAY = timedelta(days=1)
_WEEK = timedelta(days=6)
#: How much is read and computed at once: as many appointments as a busy tenant has in it take
#: a few milliseconds to read.
_MONTH = timedelta(days=27)


#: An appointment tomorrow may be reminded of before the holidays that come first.
_RUN_OF_HOLIDAYS: Final = timedelta(days=14)
_COUNTRY: Final = re.compile(r"[A-Za-z]{2,3}[-_]([A-Za-z]{2})")


class Agendas:
    """The tenant's one agenda."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._appointments = Appointments(scope)

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

    async def public_holidays(self) -> Collection[date]:
        """Those around now on which nobody is written to unasked: of the region that was set, else
        of the country in the tenant's locale ("fr-FR"): who works on them hasn't said so for those
        who are written to."""
        tenant, rules = await self._scope.tenant(), await self.rules()
        region = rules.holiday_region or _country(tenant.locale)
        today = self._scope.now().astimezone(ZoneInfo(tenant.timezone)).date()
        last = today + timedelta(days=MAX_HORIZON_DAYS + 1)
        if not region:
            return ()
        return (await public_holidays(region, today - _RUN_OF_HOLIDAYS, last)).keys()

    async def today(self) -> date:
        """What day it is where the tenant is."""
        tenant = await self._scope.tenant()
        return self._scope.now().astimezone(ZoneInfo(tenant.timezone)).date()

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

    async def free_time(
        self,
        first: date | None = None,
        last: date | None = None,
        *,
        service_id: str | None = None,
        resource: str | None = None,
        part_of_day: str | None = None,
    ) -> list[Slot]:
        """The free slots from `first` (today) to `last` (a week later), in order. Invalid for a
        service or a resource that there isn't.

        Reads and computes a month at a time, and lets the loop run after each day of it: however
        much is asked, no frame of a call in this process waits for it.
        """
        agenda = await self.load()
        service = agenda.plain() if service_id is None else agenda.service(service_id)
        if service is None:
            raise Invalid("no such service", field="service_id", message_key="service_unknown")
        if resource is not None and resource not in {each.id for each in agenda.resources}:
            raise Invalid("no such resource", field="resource_id", message_key="resource_unknown")
        now = self._scope.now()
        today = now.astimezone(ZoneInfo(agenda.timezone)).date()
        first = max(first or today, today)
        last = min(last or first + _WEEK, today + timedelta(days=agenda.horizon(service)))
        found: list[Slot] = []
        while first <= last:
            end = min(first + _MONTH, last)
            busy = await self._appointments.busy(
                _midnight(agenda, first - _DAY), _midnight(agenda, end + 2 * _DAY)
            )
            booked = await self._appointments.booked(first, end)
            of_month = days(
                agenda,
                service,
                busy,
                now,
                first,
                end,
                resource=resource,
                part_of_day=part_of_day,
                booked=booked,
            )
            found += await gathered(of_month)
            first = end + _DAY
        return found


async def gathered(pieces: Iterable[list[Slot]]) -> list[Slot]:
    """What `domain.availability.days` yields, in one list; other tasks run after each day, which
    takes ten resources less than a millisecond (`make bench-agenda`)."""
    found: list[Slot] = []
    for each in pieces:
        found += each
        await asyncio.sleep(0)
    return found


def _midnight(agenda: Agenda, day: date) -> datetime:
    return datetime.combine(day, time.min, ZoneInfo(agenda.timezone)).astimezone(UTC)


def _country(locale: str) -> str:
    """Of a BCP 47 tag; "" without."""
    found = _COUNTRY.fullmatch(locale)
    return found[1].upper() if found else ""
