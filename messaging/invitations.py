"""Appointments as iCalendar (RFC 5545, 5546): a confirmation that calendars take in, a change that
they follow, and a feed of many. Pure.

An appointment keeps its UID for ever, and its SEQUENCE grows with each change: a calendar that has
it changes what it has. Times are in UTC, which every program shows on its owner's clock.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from icalendar import Calendar, Event, vCalAddress, vText

Method = Literal["REQUEST", "CANCEL", "PUBLISH"]

PRODUCT: Final = "-//Coccinelle//Coccinelle//FR"
#: To be raised when the same entries are written otherwise: programs then read them again.
FORM: Final = 1
#: How often a program may read a feed again (RFC 7986 §5.7).
REFRESH: Final = timedelta(minutes=15)
#: What a calendar shows in a list; longer texts are cut.
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Person:
    """An e-mail address, checked by whoever gives it, and a name."""

    email: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One appointment. Instants are aware; `changed` is when it was last changed. `url` leads to
    its page."""

    uid: str
    sequence: int
    start: datetime
    end: datetime
    summary: str
    changed: datetime
    created: datetime | None = None
    cancelled: bool = False
    description: str = ""
    location: str = ""
    url: str = ""


def invitation(
    entry: Entry, *, organizer: Person | None = None, attendee: Person | None = None
) -> tuple[Method, bytes]:
    """A file for one appointment, and its method, which an e-mail's `text/calendar` part repeats.

    With an organizer (the address that the e-mail comes from) and an attendee it is a request, or
    the cancellation of one; otherwise (a download) it is published: RFC 5546 asks for both in a
    request.
    """
    method: Method = "PUBLISH"
    if organizer is not None and attendee is not None:
        method = "CANCEL" if entry.cancelled else "REQUEST"
    calendar = _calendar()
    calendar.add("method", method)
    event = _event(entry)
    if organizer is not None:
        event["organizer"] = _address(organizer)
    if attendee is not None:
        address = _address(attendee)
        # They have agreed on it already: nobody is asked, and nobody answers by e-mail.
        address.params["PARTSTAT"] = "ACCEPTED"
        address.params["RSVP"] = "FALSE"
        event.add("attendee", address)
    calendar.add_component(event)
    return method, _bytes(calendar)


def feed(name: str, entries: Iterable[Entry]) -> bytes:
    """A calendar to subscribe to. The same entries make the same bytes."""
    return b"".join(feed_pieces(name, entries))


def feed_pieces(name: str, entries: Iterable[Entry]) -> Iterator[bytes]:
    """`feed` in pieces, an entry each: one takes a quarter of a millisecond, thousands of them what
    nobody may keep a loop for that carries audio."""
    calendar = _calendar()
    calendar.add("method", "PUBLISH")
    calendar.add("x-wr-calname", _one_line(name))
    calendar.add("name", _one_line(name))
    calendar.add("refresh-interval", REFRESH, parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", "PT15M")
    head, end, _ = _bytes(calendar).partition(b"END:VCALENDAR\r\n")
    yield head
    for entry in entries:
        yield _bytes(_event(entry))
    yield end


def _bytes(component: Calendar | Event) -> bytes:
    written: bytes = component.to_ical()
    return written


def _calendar() -> Calendar:
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("calscale", "GREGORIAN")
    return calendar


def _event(entry: Entry) -> Event:
    event = Event()
    event.add("uid", entry.uid)
    event.add("sequence", entry.sequence)
    # When this revision was made: the same file each time it is asked for.
    event.add("dtstamp", _instant(entry.changed))
    event.add("last-modified", _instant(entry.changed))
    if entry.created is not None:
        event.add("created", _instant(entry.created))
    event.add("dtstart", _instant(entry.start))
    event.add("dtend", _instant(entry.end))
    event.add("summary", _one_line(entry.summary))
    event.add("status", "CANCELLED" if entry.cancelled else "CONFIRMED")
    event.add("transp", "TRANSPARENT" if entry.cancelled else "OPAQUE")
    for name, text in (("description", _clean(entry.description)), ("url", entry.url)):
        if text:
            event.add(name, text)
    if entry.location:
        event.add("location", _one_line(entry.location))
    return event


def _instant(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)


def _address(person: Person) -> vCalAddress:
    address = vCalAddress(f"mailto:{person.email}")
    name = _one_line(person.name).replace('"', "'")
    if name:
        address.params["CN"] = vText(name)
    return address


def _one_line(text: str) -> str:
    return " ".join(_clean(text).split())


def _clean(text: str) -> str:
    """Without control characters, which no text value has (RFC 5545 §3.3.11)."""
    return "".join(c for c in text if c == "\n" or c.isprintable())[:_LONGEST]
