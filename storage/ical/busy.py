"""When a calendar says that its owner is busy: iCalendar (RFC 5545) in, spans of time out. Pure.

Whatever can't be understood is read towards "busy", and noted: a time that is wrongly kept free is
booked over. What its owner marked as free, or cancelled, isn't busy.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, Final

from dateutil.rrule import rrulestr
from icalendar import Calendar, Component
from icalendar.error import BrokenCalendarProperty

from storage.ical.zones import instant_of, zone_of

#: A full calendar of ten years has a tenth of this.
MAX_EVENTS: Final = 50_000
#: What lies within the window, of all events together.
MAX_SPANS: Final = 40_000
#: How many occurrences are counted through to reach the window: daily since 1972.
MAX_STEPS: Final = 20_000
#: All events together: what the child's processor time bears.
MAX_ALL_STEPS: Final = 1_000_000
#: Notes are for a person to read.
MAX_NOTES: Final = 20
_LONGEST_NAME: Final = 60
#: More often than daily, nobody's appointments recur; a rule by seconds would never end.
_TOO_OFTEN: Final = frozenset({"SECONDLY", "MINUTELY", "HOURLY"})
#: What Outlook says of time that is its owner's to give.
#: https://learn.microsoft.com/openspecs/exchange_server_protocols/ms-oxcical (2.1.3.1.1.20.31)
_FREE_AT_OUTLOOK: Final = frozenset({"FREE", "WORKINGELSEWHERE"})

#: Beyond these, times are mistakes, and arithmetic overflows.
_FIRST_YEAR: Final = 1900
_LAST_YEAR: Final = 9000
_LONGEST: Final = timedelta(days=10_000)
#: An event whose length can't be read takes as long as most.
_UNKNOWN_LENGTH: Final = timedelta(hours=1)

#: What the libraries say of a rule that makes no sense.
_UNFOLLOWED: Final = (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError)

Span = tuple[datetime, datetime]


class NotReadable(Exception):
    """`reason`: not_a_calendar, broken, too_many."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class BusyTimes:
    """`spans` in UTC, merged, by start. `events`: how many were read. `notes`: what was read with a
    grain of salt (zone:<name>, recurrence, event)."""

    spans: list[Span] = field(default_factory=list)
    events: int = 0
    notes: list[str] = field(default_factory=list)


def busy_times(data: bytes, zone: tzinfo, start: datetime, end: datetime, ours: str) -> BusyTimes:
    """All that is busy between two instants. `zone`: the tenant's, for days and floating times;
    `ours`: what UIDs of the tenant's own appointments end with, which came from us and are no news.
    Raises NotReadable."""
    reading = _Reading(zone, start, end)
    for calendar in _calendars(data):
        reading.read(calendar)
    spans = (span for uid, span in reading.spans if not (ours and uid.endswith(ours)))
    return BusyTimes(merged(spans), reading.events, reading.notes)


def merged(spans: Iterable[Span]) -> list[Span]:
    """The same time, in spans that neither overlap nor touch."""
    out: list[Span] = []
    for start, end in sorted(spans):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((start, end))
    return out


def _calendars(data: bytes) -> Sequence[Component]:
    text = _decoded(data)
    if "BEGIN:VCALENDAR" not in text[:4096].upper():
        raise NotReadable("not_a_calendar")
    if text.upper().count("BEGIN:VEVENT") > MAX_EVENTS:
        raise NotReadable("too_many")
    if not text.upper().rstrip("\x00 \r\n\t").endswith("END:VCALENDAR"):
        raise NotReadable("broken")  # it ends in the middle of something
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # vendors' prefixes of zones
            found: Sequence[Component] = Calendar.from_ical(text, multiple=True)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise NotReadable("broken") from error
    return found


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


class _Reading:
    """One calendar file being read."""

    def __init__(self, zone: tzinfo, start: datetime, end: datetime) -> None:
        self._zone = zone
        self._start = start
        self._end = end
        self._defined: dict[str, tzinfo] = {}
        self._steps = 0
        self.events = 0
        self.notes: list[str] = []
        self.spans: list[tuple[str, Span]] = []

    def read(self, calendar: Component) -> None:
        """Note the spans of all events."""
        for each in calendar.walk("VTIMEZONE"):
            self._define(each)
        masters: list[Component] = []
        moved: dict[str, set[datetime]] = {}
        for event in calendar.walk("VEVENT"):
            self.events += 1
            if "RECURRENCE-ID" not in event:
                masters.append(event)
                continue
            at = self._moment(event, "RECURRENCE-ID")
            if at is not None:
                moved.setdefault(_uid(event), set()).add(self._instant(at))
            if "RRULE" in event or event["RECURRENCE-ID"].params.get("RANGE"):
                self._note("recurrence")
            self._guarded(event, set())
        for event in masters:
            self._guarded(event, moved.get(_uid(event), set()))

    def _guarded(self, event: Component, moved: set[datetime]) -> None:
        try:
            if "RECURRENCE-ID" in event:
                self._once(event)
            else:
                self._master(event, moved)
        except NotReadable:
            raise
        except Exception:  # noqa: BLE001 - a library about one broken or hostile event
            self._note("event")

    def _define(self, component: Component) -> None:
        name = str(component.get("TZID", ""))
        try:
            self._defined[name] = component.to_tz(lookup_tzid=False)  # type: ignore[attr-defined]
        except Exception:  # noqa: BLE001 - a library about a broken or hostile definition
            self._note(f"zone:{name}")

    def _note(self, what: str) -> None:
        what = "".join(c for c in what if c.isprintable())[:_LONGEST_NAME]
        if what not in self.notes and len(self.notes) < MAX_NOTES:
            self.notes.append(what)

    # ---------------------------------------------------------------------------- one event

    def _once(self, event: Component) -> None:
        """An event that stands alone, or in the place of one of a series."""
        if not _is_busy(event):
            return
        start = self._moment(event, "DTSTART")
        if start is None:
            self._note("event")
            return
        self._keep(_uid(event), start, self._length(event, start))

    def _master(self, event: Component, moved: set[datetime]) -> None:
        if not _is_busy(event):
            return
        if "RRULE" not in event and "RDATE" not in event:
            self._once(event)
            return
        start = self._moment(event, "DTSTART")
        if start is None:
            self._note("event")
            return
        uid, length = _uid(event), self._length(event, start)
        gone, gone_days = self._excluded(event)
        for each in self._occurrences(event, start, length):
            instant = self._instant(each)
            if instant in moved or instant in gone or _day_of(each) in gone_days:
                continue
            self._keep(uid, each, length)
        for span in self._periods(event):
            self._span(uid, *span)

    def _keep(self, uid: str, start: date, length: timedelta) -> None:
        """`start` with a time and `length` of it, or whole days of the tenant's calendar."""
        if isinstance(start, datetime):
            instant = self._instant(start)
            self._span(uid, instant, instant + length)
        else:
            days = max(1, length.days)
            self._span(uid, self._instant(start), self._instant(start + timedelta(days=days)))

    def _span(self, uid: str, start: datetime, end: datetime) -> None:
        start, end = max(start, self._start), min(end, self._end)
        if start < end:
            if len(self.spans) >= MAX_SPANS:
                raise NotReadable("too_many")
            self.spans.append((uid, (start, end)))

    # ----------------------------------------------------------------------------- moments

    def _moment(self, event: Component, name: str) -> date | None:
        """A day, or a time with its zone; None when there is none that can be read."""
        value = event.get(name)
        if value is None or isinstance(value, list):
            return None
        return self._zoned(_value(value), value.params.get("TZID"))

    def _zoned(self, moment: Any, tzid: str | None) -> date | None:
        if not isinstance(moment, date) or not _FIRST_YEAR < moment.year < _LAST_YEAR:
            return None
        if not isinstance(moment, datetime):
            return moment
        if moment.tzinfo is UTC or (moment.tzinfo is not None and not tzid):
            return moment.astimezone(UTC)
        zone: tzinfo | None = self._zone
        if tzid:
            zone = zone_of(str(tzid), self._defined)
            if zone is None:
                self._note(f"zone:{tzid}")
                zone = self._zone
        return moment.replace(tzinfo=zone)

    def _instant(self, moment: date) -> datetime:
        if not isinstance(moment, datetime):
            return instant_of(datetime(moment.year, moment.month, moment.day), self._zone)  # noqa: DTZ001 - a wall clock's time
        assert moment.tzinfo is not None
        return instant_of(moment, moment.tzinfo)

    def _length(self, event: Component, start: date) -> timedelta:
        end = self._moment(event, "DTEND")
        if end is not None:
            if not isinstance(start, datetime):
                last = end.date() if isinstance(end, datetime) else end
                return min(max(last - start, timedelta(days=1)), _LONGEST)
            return min(max(self._instant(end) - self._instant(start), timedelta(0)), _LONGEST)
        duration = _value(event.get("DURATION"))
        if isinstance(duration, timedelta):
            return min(max(duration, timedelta(0)), _LONGEST)
        if "DURATION" in event or "DTEND" in event:
            self._note("event")
            return timedelta(days=1) if not isinstance(start, datetime) else _UNKNOWN_LENGTH
        # RFC 5545 §3.6.1: without an end, a day is a day and a moment a moment.
        return timedelta(0) if isinstance(start, datetime) else timedelta(days=1)

    # --------------------------------------------------------------------------- recurring

    def _occurrences(self, event: Component, start: date, length: timedelta) -> Iterator[date]:
        """The first one, and those of all rules that may reach into the window."""
        yield start
        # Rules count on the wall clock: "every Monday at nine" stays at nine.
        wall = _wall(start)
        reach = length + timedelta(days=2)  # zones are at most 26 hours apart
        first, last = _wall(self._start) - reach, _wall(self._end) + timedelta(days=2)
        for rule in _listed(event.get("RRULE")):
            for at in self._rule(rule, wall, start, last):
                if at != wall and at >= first:
                    yield _like(start, at)
        for moment in self._dates(event, "RDATE"):
            if moment != start:
                yield moment

    def _rule(self, rule: Any, wall: datetime, start: date, last: datetime) -> Iterator[datetime]:
        try:
            frequency = str(next(iter(_listed(rule.get("FREQ"))), "")).upper()
            if frequency in _TOO_OFTEN:
                self._note("recurrence")
                return
            text = _without_until(rule)
            until = self._until(rule, start)
            for step, at in enumerate(rrulestr(text, dtstart=wall)):
                self._steps += 1
                if self._steps > MAX_ALL_STEPS:
                    raise NotReadable("too_many")
                if at > last or (until is not None and at > until):
                    return
                if step == MAX_STEPS:
                    self._note("recurrence")
                    return
                yield at
        except _UNFOLLOWED:
            self._note("recurrence")

    def _until(self, rule: Any, start: date) -> datetime | None:
        """UNTIL on the wall clock of the event: it is written in UTC (§3.3.10)."""
        until = next(iter(_listed(rule.get("UNTIL"))), None)
        if until is None:
            return None
        if not isinstance(until, datetime):
            return datetime(until.year, until.month, until.day, 23, 59, 59)  # noqa: DTZ001 - as above
        if until.tzinfo is not None and isinstance(start, datetime):
            until = until.astimezone(start.tzinfo)
        return until.replace(tzinfo=None)

    def _excluded(self, event: Component) -> tuple[set[datetime], set[date]]:
        """EXDATE, as instants, and as days: some write a day where the event has a time."""
        instants, days = set[datetime](), set[date]()
        for moment in self._dates(event, "EXDATE"):
            if isinstance(moment, datetime):
                instants.add(self._instant(moment))
            else:
                days.add(moment)
        return instants, days

    def _dates(self, event: Component, name: str) -> Iterator[date]:
        for values in _listed(event.get(name)):
            tzid = getattr(values, "params", {}).get("TZID")
            for value in getattr(values, "dts", ()):
                moment = self._zoned(value.dt, tzid)
                if moment is not None:
                    yield moment

    def _periods(self, event: Component) -> Iterator[Span]:
        """RDATE;VALUE=PERIOD."""
        for values in _listed(event.get("RDATE")):
            tzid = getattr(values, "params", {}).get("TZID")
            for value in getattr(values, "dts", ()):
                if isinstance(value.dt, tuple):
                    start, end = self._zoned(value.dt[0], tzid), value.dt[1]
                    if start is None:
                        continue
                    begins = self._instant(start)
                    until = None if isinstance(end, timedelta) else self._zoned(end, tzid)
                    yield begins, self._instant(until) if until else begins + end


def _value(found: Any) -> Any:
    """What the library made of a value; None for what it couldn't read."""
    try:
        return getattr(found, "dt", None)
    except BrokenCalendarProperty:
        return None


def _is_busy(event: Component) -> bool:
    def said(name: str) -> str:
        return str(event.get(name, "")).strip().upper()

    return not (
        said("STATUS") == "CANCELLED"
        or said("TRANSP") == "TRANSPARENT"
        or said("X-MICROSOFT-CDO-BUSYSTATUS") in _FREE_AT_OUTLOOK
    )


def _uid(event: Component) -> str:
    return str(event.get("UID", ""))


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _wall(moment: date) -> datetime:
    if isinstance(moment, datetime):
        return moment.replace(tzinfo=None)
    return datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001 - a wall clock's time


def _like(start: date, wall: datetime) -> date:
    """An occurrence of the same kind as the first: a day, or a time in the same zone."""
    return wall.replace(tzinfo=start.tzinfo) if isinstance(start, datetime) else wall.date()


def _day_of(moment: date) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def _without_until(rule: Any) -> str:
    kept = {name: value for name, value in rule.items() if name.upper() != "UNTIL"}
    return str(type(rule)(kept).to_ical().decode())
