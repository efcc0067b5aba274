"""The tenant's free time: which slots to offer a caller who listens."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from domain.agenda import Agenda, Resource, Service
from domain.availability import Slot, days, free_slots, slot_at
from domain.folding import unaccented
from domain.spoken import spoken_instant
from storage import TenantRows
from storage.agenda import gathered
from storage.functions import TextTurn
from voice.functions.context import CallContext

#: How many slots a caller can be read at once, and how far around a full day we look.
MAX_SLOTS = 5
_DAYS_BEFORE = timedelta(days=7)
_DAYS_AFTER = timedelta(days=14)
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)
#: Words that name nothing by themselves: "avec le docteur Martin", "un rendez-vous pour une coupe".
_SMALL_WORDS = frozenset(
    "le la les l un une des du de d pour avec chez au aux et en rendez vous rdv the a an for with "
    "of appointment to".split()
)


@dataclass(frozen=True, slots=True)
class Diary:
    """What one caller asks about: of a tenant's agenda, one service, with anyone or with one.

    `unknown`: they named somebody who isn't there, or several at once.
    """

    rows: TenantRows
    context: CallContext
    agenda: Agenda
    service: Service
    resource: str | None = None
    unknown: bool = False

    @classmethod
    async def open(
        cls,
        rows: TenantRows,
        context: CallContext,
        service: str | None = None,
        resource: str | None = None,
    ) -> "Diary":
        """For what they want and whom they want, in their words."""
        agenda = await rows.agenda.load()
        meant = named_service(agenda, service) or agenda.plain()
        who = named_resource(agenda, resource)
        able = who is not None and agenda.able(meant, who.id)
        return cls(
            rows,
            context,
            agenda,
            meant,
            who.id if who is not None and able else None,
            unknown=resource is not None and not able,
        )

    @property
    def horizon(self) -> date:
        """The last day that can be booked."""
        return self.context.today() + timedelta(days=self.agenda.horizon(self.service))

    async def free(self, first: date, last: date, part: str | None = None) -> list[Slot]:
        """Free slots from `first` to `last`, both included, oldest first; never past ones."""
        first, last = max(first, self.context.today()), min(last, self.horizon)
        if first > last:
            return []
        busy, booked = await self._taken(first, last)
        # Calls' audio runs on this loop: it comes through after each day.
        return await gathered(
            days(
                self.agenda,
                self.service,
                busy,
                self.context.clock.now(),
                first,
                last,
                resource=self.resource,
                part_of_day=part,
                booked=booked,
            )
        )

    def opens(self, day: date) -> bool:
        """Whether anything could be booked that day if nobody had booked yet."""
        now = self.context.clock.now()
        return bool(
            free_slots(self.agenda, self.service, {}, now, day, day, resource=self.resource)
        )

    async def at(self, start: datetime) -> Slot | None:
        """This very moment if it can be booked now, on the grid of `free` or off it."""
        busy, booked = await self._taken(start.date(), start.date())
        now = self.context.clock.now()
        return slot_at(
            self.agenda, self.service, busy, start, now, resource=self.resource, booked=booked
        )

    async def soonest(self, part: str | None = None) -> list[Slot]:
        """The first days that together have MAX_SLOTS free slots: all slots of those days."""
        found: list[Slot] = []
        day = self.context.today()
        while day <= self.horizon:
            for slot in await self.free(day, day + _WEEK - _DAY, part):
                if len(found) >= MAX_SLOTS and slot.start.date() != found[-1].start.date():
                    return found
                found.append(slot)
            if len(found) >= MAX_SLOTS:
                return found
            day += _WEEK
        return found

    async def around(self, wanted: datetime, part: str | None = None) -> list[Slot]:
        """Free slots of the days around an instant, or of the soonest days if there are none."""
        day = min(max(wanted.date(), self.context.today()), self.horizon)
        slots = await self.free(day - _DAYS_BEFORE, day + _DAYS_AFTER, part)
        if part is not None:  # the same day at another time is near, too
            slots = sorted({*slots, *await self.free(day, day)}, key=_start)
        return slots or await self.soonest()

    def shown(self, slot: Slot) -> dict[str, Any]:
        """{start, spoken, resource?} as the agent reads it."""
        return shown(slot, self.agenda, self.context)

    async def _taken(self, first: date, last: date) -> tuple[Any, Any]:
        """Busy times and counts of these days, and of the nights around them."""
        holder = holder_of(self.context)
        appointments = self.rows.appointments
        zone = self.agenda.timezone
        busy = await appointments.busy(
            _midnight(first - _DAY, zone), _midnight(last + 2 * _DAY, zone), holder=holder
        )
        return busy, await appointments.booked(first, last, holder=holder)


def shown(slot: Slot, agenda: Agenda, context: CallContext) -> dict[str, Any]:
    """{start, spoken, resource?}: who would take it, where there are several."""
    result = {
        "start": slot.start.isoformat(),
        "spoken": spoken_instant(slot.start, context.today(), context.locale),
    }
    names = {each.id: each.name for each in agenda.resources if each.active}
    if len(names) < 2 or slot.resource not in names:
        return result
    return {**result, "resource": names[slot.resource]}


def offered(slots: Sequence[Slot], agenda: Agenda, context: CallContext) -> list[dict[str, Any]]:
    """What can be offered instead of a moment that can't be had."""
    return [shown(slot, agenda, context) for slot in slots]


def named_service(agenda: Agenda, said: str | None) -> Service | None:
    """The one service that somebody means by these words; None when it is none or several."""
    active = [each for each in agenda.services if each.active]
    found = _named(said, [each.name for each in active])
    return None if found is None else active[found]


def named_resource(agenda: Agenda, said: str | None) -> Resource | None:
    """The one resource that somebody means; None when it is none or several."""
    active = [each for each in agenda.resources if each.active]
    found = _named(said, [each.name for each in active])
    return None if found is None else active[found]


def _named(said: str | None, names: Sequence[str]) -> int | None:
    """The index of the name that is meant: the same words, else the only one that has all of them
    or whose words are all among them."""
    wanted = _words(said or "")
    if not wanted:
        return None
    words = [_words(name) for name in names]
    for match in (
        [at for at, name in enumerate(words) if name == wanted],
        [at for at, name in enumerate(words) if name and (name <= wanted or wanted <= name)],
    ):
        if len(match) == 1:
            return match[0]
    return None


def _words(text: str) -> frozenset[str]:
    plain = "".join(c if c.isalnum() else " " for c in unaccented(text))
    return frozenset(plain.split()) - _SMALL_WORDS


def holder_of(context: CallContext) -> str:
    """Whose holds they are."""
    occasion = context.occasion
    if isinstance(occasion, TextTurn):
        return f"conversation:{occasion.conversation_id}"
    return f"call:{occasion}"


def spread(slots: Sequence[Slot], count: int) -> list[Slot]:
    """At most `count` of them, evenly, the first and the last always among them."""
    if len(slots) <= count:
        return list(slots)
    step = (len(slots) - 1) / (count - 1)
    return [slots[round(index * step)] for index in range(count)]


def thinned(slots: Sequence[Slot], per_day: int = 2) -> list[Slot]:
    """At most `per_day` of each day."""
    days = groupby(slots, key=lambda slot: slot.start.date())
    return [slot for _, day in days for slot in spread(list(day), per_day)]


def _midnight(day: date, timezone: str) -> datetime:
    return datetime.combine(day, time.min, ZoneInfo(timezone)).astimezone(UTC)


def _start(slot: Slot) -> datetime:
    return slot.start
