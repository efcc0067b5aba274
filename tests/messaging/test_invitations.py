"""Appointments as iCalendar, read back by its grammar rather than by the library that wrote it."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from messaging.invitations import Entry, Person, feed, feed_pieces, invitation

ENTRY = Entry(
    uid="abc@tenant",
    sequence=2,
    start=datetime(2026, 11, 24, 14, 30, tzinfo=ZoneInfo("Europe/Paris")),
    end=datetime(2026, 11, 24, 15, 0, tzinfo=ZoneInfo("Europe/Paris")),
    summary="Vidange – Garage du Port, Marseille; quai n° 2",
    changed=datetime(2026, 11, 20, 9, 0, 0, 123456, tzinfo=UTC),
    description="Première ligne\nSeconde \\ ligne",
    location="2, quai du Port",
)
US = Person("rdv@garage.example", 'Garage "du Port"; SARL')
THEM = Person("marie@example.org", "Marie\r\nATTENDEE:mailto:evil@example.org")


def lines(data: bytes) -> list[str]:
    """Unfolded (RFC 5545 §3.1), after checking that it was folded as it must be."""
    assert data.endswith(b"\r\n")
    folded = data.split(b"\r\n")[:-1]
    assert all(len(line) <= 75 for line in folded), "octets"
    assert b"\n" not in b"".join(folded)
    assert all(line.decode() or True for line in folded), "no character is cut in two"
    return data.decode().replace("\r\n ", "").split("\r\n")[:-1]


def test_a_request_with_a_stable_uid_and_its_revision() -> None:
    method, data = invitation(ENTRY, organizer=US, attendee=THEM)
    assert method == "REQUEST"
    found = lines(data)
    assert "METHOD:REQUEST" in found
    assert "UID:abc@tenant" in found
    assert "SEQUENCE:2" in found
    assert "DTSTART:20261124T133000Z" in found
    assert "DTEND:20261124T140000Z" in found
    assert "DTSTAMP:20261120T090000Z" in found
    assert "STATUS:CONFIRMED" in found
    assert "SUMMARY:Vidange – Garage du Port\\, Marseille\\; quai n° 2" in found
    assert "DESCRIPTION:Première ligne\\nSeconde \\\\ ligne" in found
    assert "LOCATION:2\\, quai du Port" in found
    (organizer,) = [line for line in found if line.startswith("ORGANIZER")]
    assert organizer == "ORGANIZER;CN=\"Garage 'du Port'; SARL\":mailto:rdv@garage.example"
    (attendee,) = [line for line in found if line.startswith("ATTENDEE")]
    assert attendee.endswith(":mailto:marie@example.org")
    assert "RSVP=FALSE" in attendee


def test_a_cancellation() -> None:
    method, data = invitation(
        replace(ENTRY, cancelled=True, sequence=3), organizer=US, attendee=THEM
    )
    assert method == "CANCEL"
    assert {"METHOD:CANCEL", "STATUS:CANCELLED", "SEQUENCE:3", "UID:abc@tenant"} <= set(lines(data))


def test_a_download_is_published() -> None:
    method, data = invitation(ENTRY)
    assert method == "PUBLISH"
    assert not any(line.startswith(("ORGANIZER", "ATTENDEE")) for line in lines(data))


def test_the_same_appointment_makes_the_same_file() -> None:
    assert invitation(ENTRY) == invitation(ENTRY)
    assert feed("Garage", [ENTRY]) == feed("Garage", [ENTRY])


@given(text=st.text(max_size=200))
def test_nothing_that_people_write_adds_a_line(text: str) -> None:
    entry = replace(ENTRY, summary=text, description=text, location=text)
    names = [line.partition(":")[0].partition(";")[0] for line in lines(invitation(ENTRY)[1])]
    person = Person("a@b.example", text)
    _, data = invitation(entry, organizer=person, attendee=person)
    allowed = {*names, "ORGANIZER", "ATTENDEE"}
    found = [line.partition(":")[0].partition(";")[0] for line in lines(data)]
    assert set(found) <= allowed
    assert len(found) == len(set(found)) + found.count("BEGIN") + found.count("END") - 2


def test_a_feed_is_written_entry_by_entry() -> None:
    entries = [replace(ENTRY, uid=f"{number}@garage", summary="é;," * 40) for number in range(3)]
    pieces = list(feed_pieces("Garage; é", entries))
    assert len(pieces) == 1 + 3 + 1
    whole = b"".join(pieces)
    assert whole == feed("Garage; é", entries)
    read = Calendar.from_ical(whole)
    assert [str(event["uid"]) for event in read.walk("VEVENT")] == [e.uid for e in entries]
    assert whole.startswith(b"BEGIN:VCALENDAR\r\n")
    assert whole.endswith(b"END:VEVENT\r\nEND:VCALENDAR\r\n")
    assert lines(whole)
