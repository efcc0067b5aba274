"""Booked, or unmistakably not."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.outcome import Outcome
from storage import NewAppointment, TextTurn
from storage.appointments import shown_code
from storage.resources import NewResource
from tests.fakes.clock import FakeClock
from tests.voice.functions.shop import CALLER, Shop, both_databases

TUESDAY = "2026-11-24T14:00:00+01:00"


async def _take(shop: Shop, start: str = TUESDAY, minutes: int = 30) -> None:
    async with shop.storage.tenant(shop.tenant.id).write() as rows:
        await rows.appointments.book(
            NewAppointment(datetime.fromisoformat(start), minutes, "Atelier")
        )


@both_databases
async def test_books(shop: Shop) -> None:
    context = await shop.call()
    finished = await shop.run(
        "book_appointment",
        {
            "start": TUESDAY,
            "name": "Marc Durand",
            "email": "m a r c point durand arobase gémel point com",
            "service": "Freins",
            "notes": "Peugeot 208, bruit au freinage",
        },
        context,
    )
    (row,) = (await shop.rows())["appointments"]
    assert finished.result == {
        "status": "booked",
        "appointment_id": row.id,
        "code": shown_code(row.code),
        "spoken": "C'est réservé : demain mardi 24 à quatorze heures.",
    }
    assert finished.effect is Outcome.BOOKED
    assert (row.start_utc, row.minutes) == (datetime(2026, 11, 24, 13, tzinfo=UTC), 30)
    assert (row.customer_name, row.customer_phone) == ("Marc Durand", CALLER)
    assert row.customer_email == "marc.durand@gmail.com"
    assert (row.service, row.notes) == ("Freins", "Peugeot 208, bruit au freinage")
    assert (row.call_id, row.created_by, row.status) == (context.call_id, "sara", "confirmed")


@pytest.mark.parametrize(
    "start",
    [
        "2026-11-24T14:00",
        "2026-11-24 14:00",
        "2026-11-24T14h00",
        "2026-11-24T13:00:00Z",
        "2026-11-24T08:00:00-05:00",
    ],
)
async def test_spellings_of_a_start(shop: Shop, start: str) -> None:
    result = await shop.answer("book_appointment", {"start": start, "name": "Marc Durand"})
    assert result["status"] == "booked"
    (row,) = (await shop.rows())["appointments"]
    assert row.start_utc == datetime(2026, 11, 24, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "status"),
    [
        ("2026-11-24T12:30", "closed"),
        ("2026-11-24T11:45", "closed"),  # would last into lunch
        ("2026-11-29T10:00", "closed"),
        ("2026-11-24T14:02", "unoffered"),
        ("2027-06-01T10:00", "far"),
        ("2026-11-23T09:00", "past"),
        ("2020-01-06T10:00", "past"),
        ("mardi à deux heures", "invalid"),
        ("2026-11-24", "invalid"),
        ("2026-13-45T10:00", "invalid"),
        ("2026-03-29T02:30", "invalid"),  # the clock jumps over it
    ],
)
async def test_cannot_be_had(shop: Shop, start: str, status: str) -> None:
    finished = await shop.run("book_appointment", {"start": start, "name": "Marc Durand"})
    assert finished.result["status"] == status
    assert finished.effect is None
    assert "appointment_id" not in finished.result
    assert finished.result["spoken"]
    assert (await shop.rows())["appointments"] == []
    if status != "invalid":
        assert finished.result["spoken"].startswith("Le rendez-vous n'est pas réservé.")
        assert len(finished.result["alternatives"]) == 3
        for slot in finished.result["alternatives"]:
            assert set(slot) == {"start", "spoken"}


@both_databases
async def test_taken(shop: Shop) -> None:
    await _take(shop)
    finished = await shop.run("book_appointment", {"start": TUESDAY, "name": "Marc Durand"})
    assert finished.result["status"] == "taken"
    assert finished.effect is None
    assert "appointment_id" not in finished.result
    assert [slot["start"][11:16] for slot in finished.result["alternatives"]] == [
        "14:30",
        "15:00",
        "15:30",
    ]
    assert finished.result["spoken"] == (
        "Le rendez-vous n'est pas réservé. Ce créneau vient d'être pris. "
        "Il reste demain mardi 24 à quatorze heures trente, "
        "demain mardi 24 à quinze heures ou "
        "demain mardi 24 à quinze heures trente."
    )
    assert len((await shop.rows())["appointments"]) == 1


async def test_an_alternative_can_be_booked(shop: Shop) -> None:
    await _take(shop)
    context = await shop.call()
    refused = await shop.answer(
        "book_appointment", {"start": TUESDAY, "name": "Marc Durand"}, context
    )
    start = refused["alternatives"][1]["start"]
    booked = await shop.answer("book_appointment", {"start": start, "name": "Marc Durand"}, context)
    assert booked["status"] == "booked"


async def test_overlap_is_taken(shop: Shop) -> None:
    await _take(shop, minutes=60)
    result = await shop.answer(
        "book_appointment", {"start": "2026-11-24T14:45", "name": "Marc Durand"}
    )
    assert result["status"] == "taken"


@both_databases
async def test_what_was_refused_may_be_tried_again(shop: Shop) -> None:
    context = await shop.call()
    await _take(shop)
    arguments = {"start": TUESDAY, "name": "Marc Durand"}
    assert (await shop.answer("book_appointment", arguments, context))["status"] == "taken"
    async with shop.storage.tenant(shop.tenant.id).write() as rows:
        (other,) = (await rows.appointments.list()).items
        await rows.appointments.cancel(other.id)
    assert (await shop.answer("book_appointment", arguments, context))["status"] == "booked"


@both_databases
async def test_the_same_moment_in_other_words_is_not_taken(shop: Shop) -> None:
    """A model that adds what it has just learnt must not hear that its own slot is gone."""
    context = await shop.call()
    arguments = {"start": TUESDAY, "name": "Marc Durand"}
    first = await shop.answer("book_appointment", arguments, context)
    again = await shop.run("book_appointment", {**arguments, "notes": "Peugeot"}, context)
    assert again.result["status"] == "booked"
    assert again.result["appointment_id"] == first["appointment_id"]
    assert "corrigées" in again.result["note"]
    assert again.effect is None
    assert len((await shop.rows())["appointments"]) == 1


@both_databases
async def test_an_agent_that_was_lost_and_the_next_one_book_the_same(shop: Shop) -> None:
    """At once and in other words, with somebody else free at that moment too."""
    async with shop.storage.tenant(shop.tenant.id).write() as rows:
        for name in ("Anne", "Léa"):
            await rows.resources.add(NewResource(name))
    context = await shop.call()
    arguments = {"start": TUESDAY, "name": "Marc Durand"}
    async with asyncio.TaskGroup() as tasks:
        both = [
            tasks.create_task(shop.answer("book_appointment", {**arguments, **more}, context))
            for more in ({}, {"notes": "Peugeot"})
        ]
    assert [task.result()["status"] for task in both] == ["booked", "booked"]
    assert len({task.result()["appointment_id"] for task in both}) == 1
    assert len((await shop.rows())["appointments"]) == 1


async def test_a_call_s_own_appointment_in_the_way_is_named(shop: Shop) -> None:
    context = await shop.call()
    await shop.run("book_appointment", {"start": TUESDAY, "name": "Marc Durand"}, context)
    near = {"start": "2026-11-24T14:15", "name": "Marc Durand"}
    mine = await shop.answer("book_appointment", near, context)
    assert mine["status"] == "taken"
    assert "déjà pris pendant cet appel : demain mardi 24 à quatorze heures." in mine["note"]
    assert "note" not in await shop.answer("book_appointment", near)


async def test_another_call_hears_that_it_is_taken(shop: Shop) -> None:
    arguments = {"start": TUESDAY, "name": "Marc Durand"}
    assert (await shop.answer("book_appointment", arguments))["status"] == "booked"
    assert (await shop.answer("book_appointment", arguments))["status"] == "taken"


async def test_two_appointments_in_one_call(shop: Shop) -> None:
    context = await shop.call()
    for start in (TUESDAY, "2026-11-25T14:00"):
        result = await shop.answer(
            "book_appointment", {"start": start, "name": "Marc Durand"}, context
        )
        assert result["status"] == "booked"
    assert len((await shop.rows())["appointments"]) == 2


@pytest.mark.parametrize("name", ["", "   ", None, "inconnu", "Client", "06 39 98 12 34", "?"])
async def test_nobody_is_booked(shop: Shop, name: str | None) -> None:
    result = await shop.answer("book_appointment", {"start": TUESDAY, "name": name})
    assert result["status"] == "invalid"
    assert "name" in result["error"]
    assert result["alternatives"] == []
    assert (await shop.rows())["appointments"] == []


@pytest.mark.parametrize(
    ("said", "stored"),
    [
        ("06 39 98 76 54", "+33639987654"),
        ("0033639987654", "+33639987654"),
        (639987654, "+33639987654"),
        ("le même numéro", CALLER),
        ("caller_number", CALLER),
        ("", CALLER),
        ("null", CALLER),
        (None, CALLER),
    ],
)
async def test_phone(shop: Shop, said: object, stored: str) -> None:
    result = await shop.answer(
        "book_appointment", {"start": TUESDAY, "name": "Marc Durand", "phone": said}
    )
    assert result["status"] == "booked"
    (row,) = (await shop.rows())["appointments"]
    assert row.customer_phone == stored


@pytest.mark.parametrize("said", ["06 39 98", "zéro six trente-neuf", "06 39 98 76 54 32 10 98"])
async def test_unreadable_phone(shop: Shop, said: str) -> None:
    result = await shop.answer(
        "book_appointment", {"start": TUESDAY, "name": "Marc Durand", "phone": said}
    )
    assert result["status"] == "invalid"
    assert "chiffre par chiffre" in result["spoken"]
    assert (await shop.rows())["appointments"] == []


async def test_withheld_caller_must_leave_a_way_back(shop: Shop) -> None:
    context = await shop.call(None)
    arguments = {"start": TUESDAY, "name": "Marc Durand"}
    refused = await shop.answer("book_appointment", arguments, context)
    assert refused["status"] == "invalid"
    assert "numéro" in refused["spoken"]
    booked = await shop.answer(
        "book_appointment", {**arguments, "email": "marc@orange.fr"}, context
    )
    assert booked["status"] == "booked"
    (row,) = (await shop.rows())["appointments"]
    assert (row.customer_phone, row.customer_email) == (None, "marc@orange.fr")


async def test_unreadable_email_does_not_lose_the_booking(shop: Shop) -> None:
    result = await shop.answer(
        "book_appointment",
        {"start": TUESDAY, "name": "Marc Durand", "email": "marc point durant", "notes": "208"},
    )
    assert result["status"] == "booked"
    assert result["email_unreadable"] is True
    assert "e-mail n'a pas pu être notée" in result["spoken"]
    (row,) = (await shop.rows())["appointments"]
    assert row.customer_email is None
    assert row.notes == "208\nE-mail dicté, illisible : marc point durant"


@pytest.mark.parametrize("said", ["", "non communiqué", "null", None])
async def test_no_email_is_no_email(shop: Shop, said: str | None) -> None:
    """real-users.md §6.2 (20): never a placeholder."""
    result = await shop.answer(
        "book_appointment", {"start": TUESDAY, "name": "Marc Durand", "email": said}
    )
    assert result["status"] == "booked"
    assert "email_unreadable" not in result
    (row,) = (await shop.rows())["appointments"]
    assert (row.customer_email, row.notes) == (None, None)


@pytest.mark.parametrize(
    ("field", "limit"), [("name", 120), ("notes", 2000), ("service", 300), ("email", 300)]
)
async def test_too_long(shop: Shop, field: str, limit: int) -> None:
    arguments = {"start": TUESDAY, "name": "Marc Durand", field: "a" * (limit + 1)}
    result = await shop.answer("book_appointment", arguments)
    assert result["status"] == "invalid"
    assert field in result["error"]
    assert str(limit) in result["error"]
    assert (await shop.rows())["appointments"] == []


async def test_in_english(shop: Shop) -> None:
    result = await shop.answer(
        "book_appointment",
        {"start": TUESDAY, "name": "Mark"},
        await shop.call(locale="en-GB"),
    )
    assert result["spoken"] == "It's booked: tomorrow, Tuesday the 24th at two p.m."


async def test_a_slot_that_was_offered_can_be_booked(shop: Shop, clock: FakeClock) -> None:
    for _ in range(5):
        offered = await shop.answer("check_availability", {"part_of_day": "morning"})
        for slot in offered["slots"]:
            result = await shop.answer(
                "book_appointment", {"start": slot["start"], "name": "Marc Durand"}
            )
            assert result["status"] == "booked"
            assert slot["spoken"] in result["spoken"]
        clock.advance(timedelta(hours=13))
    assert len((await shop.rows())["appointments"]) == 25


async def test_who_writes_is_reached_where_they_write_from(shop: Shop) -> None:
    """By e-mail their address is known; by WhatsApp there may be no number at all."""
    async with shop.storage.tenant(shop.tenant.id).write() as rows:
        contact = await rows.contacts.person(email="lea@exemple.fr", source="said")
        assert contact is not None
        letters = await rows.conversations.open(
            "email", "lea@exemple.fr", contact_id=contact.id, our_address="", name=""
        )
    texts: dict[str, Any] = {"call_id": None, "contact_id": contact.id}
    turn = TextTurn(letters.id, 1)
    asked = {"start": f"{TUESDAY}", "name": "Léa Martin"}
    by_mail = await shop.call(None, **texts, text_turn=turn, email="lea@exemple.fr")
    booked = await shop.answer("book_appointment", asked, by_mail)
    assert booked["status"] == "booked"
    (row,) = (await shop.rows())["appointments"]
    assert (row.customer_email, row.contact_id) == ("lea@exemple.fr", contact.id)
    by_whatsapp = await shop.call(None, **texts, text_turn=TextTurn(letters.id, 2))
    later = {**asked, "start": asked["start"].replace("T14:", "T16:")}
    booked = await shop.answer("book_appointment", later, by_whatsapp)
    assert booked["status"] == "booked"
