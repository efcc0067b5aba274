"""A naive agenda, minute by minute, and random requests to it and to the real one."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations, count
from typing import Any
from zoneinfo import ZoneInfo

from domain.agenda import OpeningRange, Rules
from domain.errors import Conflict, Invalid, NotFound
from storage import Appointment, Change, NewAppointment, TenantHandle, TenantRows, Unavailable, Wish
from storage.resources import NewResource
from storage.services import NewService
from tests.fakes.clock import FakeClock

ZONE = ZoneInfo("Europe/Paris")
#: The Friday before clocks go forward.
BEGIN = datetime(2027, 3, 26, 6, 0, tzinfo=UTC)
DAYS = 4
CAP = 3
HOLD = timedelta(minutes=5)


@dataclass
class Booked:
    """What the model knows of one appointment. Times are minutes since BEGIN."""

    id: str
    resource: str
    start: int
    minutes: int
    before: int
    after: int
    service: str
    status: str = "confirmed"
    until: datetime | None = None
    holder: str | None = None

    @property
    def span(self) -> tuple[int, int]:
        first, last = self.start - self.before, self.start + self.minutes + self.after
        return first - first % 5, last + -last % 5

    def lives(self, now: datetime) -> bool:
        if self.status == "held":
            return self.until is not None and self.until > now
        return self.status == "confirmed"


def instant(minute: int) -> datetime:
    return BEGIN + timedelta(minutes=minute)


def local_day(minute: int) -> date:
    return instant(minute).astimezone(ZONE).date()


@dataclass
class Model:
    """Says of each request what must come of it."""

    now: datetime
    resources: tuple[str, ...]
    rows: dict[str, Booked] = field(default_factory=dict)

    def free(self, wanted: Booked, ignoring: set[str]) -> bool:
        first, last = wanted.span
        for each in self.rows.values():
            if each.id in ignoring or not each.lives(self.now):
                continue
            shared = each.resource == wanted.resource or "" in (each.resource, wanted.resource)
            if shared and first < each.span[1] and each.span[0] < last:
                return False
        return True

    def held_by(self, holder: str | None) -> set[str]:
        return {
            each.id
            for each in self.rows.values()
            if holder is not None and each.status == "held" and each.holder == holder
        }

    def forget(self, ids: set[str]) -> None:
        for each in ids:
            del self.rows[each]

    def cap_reached(self, minute: int, service: str, ignoring: set[str]) -> bool:
        same = [
            each
            for each in self.rows.values()
            if each.service == service
            and each.lives(self.now)
            and each.id not in ignoring
            and local_day(each.start) == local_day(minute)
        ]
        return len(same) >= CAP

    def assert_sound(self) -> None:
        """Nobody overlaps, whatever was asked."""
        alive = [each for each in self.rows.values() if each.lives(self.now)]
        for one, other in combinations(alive, 2):
            if one.resource == other.resource or "" in (one.resource, other.resource):
                assert one.span[1] <= other.span[0] or other.span[1] <= one.span[0]


class Trial:
    """Random requests, one after the other, each judged by the model."""

    def __init__(self, handle: TenantHandle, clock: FakeClock, seed: int) -> None:
        self.handle = handle
        self.clock = clock
        self.dice = random.Random(seed)
        self.keys: dict[str, tuple[NewAppointment, str]] = {}
        self.numbers = count()
        self.told: dict[str, int] = {}
        self.model = Model(clock.now(), ())
        self.service = ""

    async def prepare(self) -> None:
        async with self.handle.write() as rows:
            await rows.hours.replace([OpeningRange(day, time(0), time(0)) for day in range(1, 8)])
            await rows.agenda.set_rules(Rules(step=5, horizon_days=60))
            ids = [(await rows.resources.add(NewResource(name))).id for name in ("Ana", "Bob")]
            service = NewService("Vidange", minutes=30, before=5, after=10, daily_cap=CAP)
            self.service = (await rows.services.add(service)).id
        self.model = Model(self.clock.now(), tuple(ids))

    async def run(self, steps: int) -> None:
        verbs: list[tuple[Callable[[], Awaitable[str]], int]] = [
            (self.book, 30),
            (self.hold, 14),
            (self.confirm, 12),
            (self.release, 3),
            (self.wish, 14),
            (self.move, 16),
            (self.cancel, 12),
            (self.repeat, 8),
            (self.misuse, 3),
            (self.wait, 12),
        ]
        for step in range(steps):
            (verb,) = self.dice.choices([v for v, _ in verbs], [w for _, w in verbs])
            self.model.now = self.clock.now()
            outcome = f"{verb.__name__} {await verb()}"
            self.told[outcome] = self.told.get(outcome, 0) + 1
            if step % 25 == 0:
                await self.compare()
        await self.compare()

    # ------------------------------------------------------------------------------ requests

    def _minute(self) -> int:
        elapsed = int((self.clock.now() - BEGIN).total_seconds() // 60)
        ahead = self.dice.randrange(-120, 48 * 60)
        step = self.dice.choice((5, 5, 5, 15, 30, 1))
        return (elapsed + ahead) // step * step

    def _new(self, **more: Any) -> NewAppointment:
        ana, bob = self.model.resources
        who: dict[str, Any] = self.dice.choice(
            [
                {"resource": ana},
                {"resource": bob},
                {"resources": (ana, bob)},
                {"resources": (bob, ana)},
                {"resource": ""},
            ]
        )
        return NewAppointment(
            instant(self._minute()),
            self.dice.choice((5, 20, 30, 45, 90, 7)),
            f"Client {next(self.numbers)}",
            before=self.dice.choice((0, 0, 5, 10, 3)),
            after=self.dice.choice((0, 0, 5, 15)),
            **{**who, **more},
        )

    def _as_model(self, new: NewAppointment, resource: str) -> Booked:
        minute = int((new.start - BEGIN).total_seconds() // 60)
        return Booked(
            "",
            resource,
            minute,
            new.minutes,
            new.before,
            new.after,
            "",
            "held" if new.hold_until else "confirmed",
            new.hold_until,
            new.holder,
        )

    async def _try(self, work: Callable[[TenantRows], Awaitable[Any]]) -> Any:
        """What came of it: an appointment, or the error, with its transaction undone or, as some
        callers do, kept."""
        try:
            async with self.handle.write() as rows:
                if self.dice.random() < 0.5:
                    return await work(rows)
                try:
                    return await work(rows)
                except (Conflict, Invalid, NotFound) as error:
                    return error
        except (Conflict, Invalid, NotFound) as error:
            return error

    async def book(self, **more: Any) -> str:
        if self.dice.random() < 0.5:
            more["request_key"] = f"key {next(self.numbers)}"
        return await self._book(self._new(**more))

    async def _book(self, new: NewAppointment) -> str:
        mine = self.model.held_by(new.holder)
        options = [self._as_model(new, each) for each in new.candidates]
        expected = next((each for each in options if self.model.free(each, mine)), None)
        answer = await self._try(lambda rows: rows.appointments.book(new))
        if new.start < self.model.now:
            assert isinstance(answer, Invalid), answer
            return "past"
        if expected is None:
            assert isinstance(answer, Conflict), answer
            return "taken"
        assert isinstance(answer, Appointment), answer
        assert (answer.resource, answer.start_utc) == (expected.resource, new.start)
        self.model.forget(mine)
        self.model.rows[answer.id] = replace(expected, id=answer.id)
        if new.request_key is not None:
            self.keys[new.request_key] = (new, answer.id)
        return "done"

    async def hold(self) -> str:
        holder = self.dice.choice(("call 1", "call 2", "call 3", None))
        return await self.book(hold_until=self.model.now + HOLD, holder=holder)

    async def confirm(self) -> str:
        held = [each for each in self.model.rows.values() if each.status == "held"]
        if not held:
            return "nothing"
        it = self.dice.choice(held)
        wrong = self.dice.random() < 0.2
        details = self._new(holder="somebody else" if wrong else it.holder)
        answer = await self._try(lambda rows: rows.appointments.confirm_hold(it.id, details))
        if wrong or not it.lives(self.model.now):
            assert isinstance(answer, Conflict), answer
            return "refused"
        assert isinstance(answer, Appointment), answer
        assert (answer.status, answer.customer_name) == ("confirmed", details.customer_name)
        it.status, it.until = "confirmed", None
        return "done"

    async def release(self) -> str:
        holder = self.dice.choice(("call 1", "call 2", "call 3"))
        mine = self.model.held_by(holder)
        await self._try(lambda rows: rows.appointments.release(holder))
        self.model.forget(mine)
        return "done" if mine else "nothing"

    async def wish(self) -> str:
        """Through the agenda, with its daily cap."""
        minute = self._minute()
        whom = self.dice.choice((None, *self.model.resources))
        wish = Wish(
            instant(minute), name="Léa", service_id=self.service, resource=whom, holder="call 1"
        )
        mine = self.model.held_by("call 1")
        candidates = self.model.resources if whom is None else (whom,)
        options = {each: Booked("", each, minute, 30, 5, 10, self.service) for each in candidates}
        free = {each for each, it in options.items() if self.model.free(it, mine)}
        answer = await self._try(lambda rows: rows.bookings.book(wish))
        full = self.model.cap_reached(minute, self.service, mine)
        if instant(minute) < self.model.now or minute % 5 or not free or full:
            assert isinstance(answer, Unavailable), answer
            for slot in answer.alternatives:
                self._assert_free(slot.start, slot.resource)
            return answer.why
        assert isinstance(answer, Appointment), (answer, options)
        assert answer.resource in free
        self.model.forget(mine)
        self.model.rows[answer.id] = replace(options[answer.resource], id=answer.id)
        return "done"

    def _assert_free(self, start: datetime, resource: str) -> None:
        minute = int((start - BEGIN).total_seconds() // 60)
        offered = Booked("", resource, minute, 30, 5, 10, self.service)
        assert self.model.free(offered, set())
        assert not self.model.cap_reached(minute, self.service, set())

    async def move(self) -> str:
        if not self.model.rows:
            return "nothing"
        it = self.dice.choice(list(self.model.rows.values()))
        start = instant(self._minute())
        whom = self.dice.choice((None, None, self.model.resources, ("",)))
        new = replace(it, start=int((start - BEGIN).total_seconds() // 60))
        candidates = (it.resource,) if whom is None else whom
        options = [replace(new, resource=each) for each in candidates]
        answer = await self._try(
            lambda rows: rows.appointments.reschedule(it.id, start, resources=whom)
        )
        if it.status == "held" and not it.lives(self.model.now) and isinstance(answer, NotFound):
            return "lapsed"
        if start < self.model.now:
            assert isinstance(answer, Invalid), answer
            return "past"
        if it.status != "confirmed":
            assert isinstance(answer, Conflict), answer
            return "refused"
        expected = next((each for each in options if self.model.free(each, {it.id})), None)
        if new.start == it.start and it.resource in candidates:
            expected = it
        if expected is None:
            assert isinstance(answer, Conflict), answer
            return "taken"
        assert isinstance(answer, Appointment), answer
        assert (answer.id, answer.start_utc) == (it.id, start)
        assert answer.resource == expected.resource
        it.start, it.resource = expected.start, expected.resource
        return "done"

    async def cancel(self) -> str:
        if not self.model.rows:
            return "nothing"
        it = self.dice.choice(list(self.model.rows.values()))
        if it.status == "held":
            return "held"
        answer = await self._try(
            lambda rows: rows.appointments.cancel(it.id, change=Change("rest"))
        )
        assert isinstance(answer, Appointment), answer
        it.status = "cancelled"
        return "done"

    async def repeat(self) -> str:
        """The same request again, whatever became of its appointment."""
        if not self.keys:
            return "nothing"
        new, appointment_id = self.dice.choice(list(self.keys.values()))
        it = self.model.rows.get(appointment_id)
        if it is None or (it.status == "held" and not it.lives(self.model.now)):
            return "over"  # a hold that lapsed, and its key with it
        answer = await self._try(lambda rows: rows.appointments.book(new))
        assert isinstance(answer, Appointment), answer
        assert (answer.id, answer.status) == (appointment_id, it.status)
        return "done"

    async def misuse(self) -> str:
        """Another request under the same key."""
        if not self.keys:
            return "nothing"
        new, appointment_id = self.dice.choice(list(self.keys.values()))
        it = self.model.rows.get(appointment_id)
        if it is None or (it.status == "held" and not it.lives(self.model.now)):
            return "over"
        other = replace(new, customer_name="Somebody else")
        answer = await self._try(lambda rows: rows.appointments.book(other))
        assert isinstance(answer, Conflict), answer
        return "refused"

    async def wait(self) -> str:
        self.clock.advance(timedelta(minutes=self.dice.choice((0, 1, 1, 3, 6, 20))))
        return "done"

    # ------------------------------------------------------------------------------ comparing

    async def compare(self) -> None:
        """What the database says is taken, and what the model says."""
        now = self.model.now = self.clock.now()
        self.model.assert_sound()
        expected: dict[str, list[tuple[datetime, datetime]]] = {}
        for each in self.model.rows.values():
            if each.lives(now):
                span = (
                    instant(each.start - each.before),
                    instant(each.start + each.minutes + each.after),
                )
                expected.setdefault(each.resource, []).append(span)
        async with self.handle.read() as rows:
            far = timedelta(days=400)
            busy = await rows.appointments.busy(BEGIN - far, BEGIN + far)
        assert busy == {resource: sorted(spans) for resource, spans in expected.items()}
