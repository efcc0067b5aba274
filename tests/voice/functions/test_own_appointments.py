"""Found, moved and cancelled by whoever proves that it is theirs; nothing is told to others."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.outcome import Outcome
from storage import Appointment, Wish
from tests.fakes.clock import FakeClock
from tests.voice.functions.shop import Shop, both_databases

TUESDAY = "2026-11-24T14:00:00+01:00"
WEDNESDAY = "2026-11-25T10:00:00+01:00"
STRANGER = "+33639984444"
FACTS = {"name": "Élise Durand", "date": "mardi"}


async def _booked(shop: Shop, start: str = TUESDAY, name: str = "Élise Durand") -> Appointment:
    """By an earlier call of the same caller."""
    context = await shop.call()
    booked = await shop.answer("book_appointment", {"start": start, "name": name}, context)
    async with shop.storage.tenant(shop.tenant.id).read() as rows:
        found = await rows.appointments.get(booked["appointment_id"])
    assert found is not None
    return found


@both_databases
async def test_found_moved_and_cancelled(shop: Shop) -> None:
    it = await _booked(shop)
    context = await shop.call()
    found = await shop.answer(
        "find_appointment", {"name": "durand elise", "date": "24/11"}, context
    )
    assert found["status"] == "found"
    assert found["appointments"] == [
        {
            "appointment_id": it.id,
            "start": TUESDAY,
            "spoken": "demain mardi 24 à quatorze heures",
        }
    ]
    moved = await shop.run(
        "reschedule_appointment", {"start": WEDNESDAY, "appointment_id": it.id}, context
    )
    assert (moved.result["status"], moved.effect) == ("moved", Outcome.RESCHEDULED)
    assert moved.result["spoken"] == "C'est déplacé : mercredi 25 à dix heures."
    cancelled = await shop.run("cancel_appointment", {"appointment_id": it.id}, context)
    assert (cancelled.result["status"], cancelled.effect) == ("cancelled", Outcome.CANCELLED)
    (row,) = (await shop.rows())["appointments"]
    assert (row.id, row.status, row.sequence) == (it.id, "cancelled", 2)


@pytest.mark.parametrize(
    "facts",
    [
        {"name": "Mme DURAND", "date": "2026-11-24"},
        {"name": "Durand Elise", "date": "demain"},
        {"name": "élise durand", "date": "mardi 24"},
    ],
)
async def test_names_and_days_as_people_say_them(shop: Shop, facts: dict[str, str]) -> None:
    await _booked(shop)
    assert (await shop.answer("find_appointment", facts))["status"] == "found"


async def _nothing_at_all(shop: Shop) -> dict[str, Any]:
    return await shop.answer("find_appointment", FACTS, await shop.call("+33639985555"))


@pytest.mark.parametrize(
    ("facts", "caller"),
    [
        ({"name": "Paul Martin", "date": "mardi"}, None),
        ({"name": "Élise Durand", "date": "mercredi"}, None),
        ({"code": "AAAAAA"}, None),
        (FACTS, STRANGER),
        ({"appointment_id": "{id}"}, None),
        ({"appointment_id": "{id}", "name": "Paul", "date": "mardi"}, None),
    ],
)
async def test_wrong_facts_hear_what_nobody_at_all_hears(
    shop: Shop, facts: dict[str, str], caller: str | None
) -> None:
    it = await _booked(shop)
    nothing = await _nothing_at_all(shop)
    said = {name: value.format(id=it.id) for name, value in facts.items()}
    context = await (shop.call(caller) if caller else shop.call())
    assert await shop.answer("find_appointment", said, context) == nothing
    assert it.id not in str(nothing)
    for name, more in (
        ("reschedule_appointment", {"start": WEDNESDAY}),
        ("cancel_appointment", {}),
    ):
        finished = await shop.run(name, {**said, **more}, context)
        assert (finished.result, finished.effect) == (nothing, None)
    (row,) = (await shop.rows())["appointments"]
    assert row == it


@both_databases
async def test_three_tries_and_no_more(shop: Shop) -> None:
    it = await _booked(shop)
    context = await shop.call()
    for day in ("2026-11-25", "2026-11-26", "2026-11-27"):
        await shop.answer("find_appointment", {**FACTS, "date": day}, context)
    right = await shop.answer("cancel_appointment", FACTS, context)
    assert right["status"] == "not_verified"
    assert (await shop.rows())["appointments"] == [it]
    # In another call they may try again.
    assert (await shop.answer("find_appointment", FACTS))["status"] == "found"


@both_databases
async def test_call_after_call_from_one_number_gets_no_further(
    shop: Shop, bakery: Shop, clock: FakeClock
) -> None:
    it = await _booked(shop)
    for day in range(25, 28):
        context = await shop.call()
        for month in (11, 12, "01"):
            year = 2027 if month == "01" else 2026
            wrong = {**FACTS, "date": f"{year}-{month}-{day}"}
            await shop.answer("find_appointment", wrong, context)
    assert (await shop.answer("cancel_appointment", FACTS))["status"] == "not_verified"
    assert (await shop.rows())["appointments"] == [it]
    assert it.code is not None
    assert (await shop.answer("find_appointment", {"code": it.code}))["status"] == "not_verified"
    other = await shop.call(STRANGER)  # theirs are other tries, and so are another tenant's
    assert (await shop.answer("find_appointment", {"code": it.code}, other))["status"] == "found"
    elsewhere = await _booked(bakery)
    assert elsewhere.tenant_id != it.tenant_id
    assert (await bakery.answer("find_appointment", FACTS))["status"] == "found"
    clock.advance(timedelta(days=1, seconds=1))
    tomorrow = {**FACTS, "date": "2026-11-25"}
    async with shop.storage.tenant(shop.tenant.id).write() as rows:
        await rows.bookings.move(it.id, datetime.fromisoformat(WEDNESDAY))
    assert (await shop.answer("find_appointment", tomorrow))["status"] == "found"


async def test_a_list_of_names_is_nobodys(shop: Shop) -> None:
    await _booked(shop, name="Mme Durand")
    names = "Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent"
    answer = await shop.answer("find_appointment", {"name": names, "date": "mardi"})
    assert answer["status"] == "not_verified"
    assert (await shop.answer("find_appointment", FACTS))["status"] == "found"


async def test_who_withholds_their_number_is_nobody_in_particular(shop: Shop) -> None:
    """Not everybody else who ever did."""
    withheld = await shop.call(None)
    wish = {"start": TUESDAY, "name": "Élise Durand", "phone": "06 39 98 44 44"}
    assert (await shop.answer("book_appointment", wish, withheld))["status"] == "booked"
    async with shop.storage.tenant(shop.tenant.id).write() as rows:
        somebody = await rows.contacts.person(name="Paul", email="paul@exemple.fr", source="web")
        assert somebody is not None
        for number in ("", None):
            assert await rows.appointments.ahead_of_caller(number, somebody.id) == []
    assert (await shop.answer("find_appointment", FACTS, await shop.call(None)))[
        "status"
    ] == "not_verified"


async def test_the_code_alone_is_enough_from_any_telephone(shop: Shop, bakery: Shop) -> None:
    it = await _booked(shop)
    assert it.code is not None
    context = await shop.call(STRANGER)
    said = " ".join(it.code.lower())
    assert (await shop.answer("find_appointment", {"code": said}, context))["status"] == "found"
    withheld = await shop.call(None)
    assert (await shop.answer("find_appointment", {"code": said}, withheld))["status"] == "found"
    assert (await bakery.answer("find_appointment", {"code": said}))["status"] == "not_verified"


async def test_nothing_said_is_asked_for(shop: Shop) -> None:
    for said in ({}, {"name": "Élise Durand"}, {"date": "mardi"}, {"name": "?", "date": "mardi"}):
        answer = await shop.answer("find_appointment", said)
        assert answer["status"] == "invalid"
        assert answer["spoken"] == "À quel nom est le rendez-vous, et pour quel jour ?"


async def test_what_this_call_has_booked_is_known_without_a_number(shop: Shop) -> None:
    context = await shop.call(None)
    booked = await shop.answer(
        "book_appointment",
        {"start": TUESDAY, "name": "Élise Durand", "phone": "06 39 98 44 44"},
        context,
    )
    assert (await shop.answer("cancel_appointment", FACTS, context))["status"] == "cancelled"
    assert booked["status"] == "booked"


async def test_who_cant_move_keeps_what_they_have(shop: Shop) -> None:
    it = await _booked(shop)
    async with shop.storage.tenant(shop.tenant.id).write() as rows:
        await rows.bookings.book(Wish(datetime.fromisoformat(WEDNESDAY), name="Atelier"))
    finished = await shop.run("reschedule_appointment", {**FACTS, "start": WEDNESDAY})
    assert (finished.result["status"], finished.effect) == ("taken", None)
    assert finished.result["spoken"].startswith("Le rendez-vous n'est pas déplacé")
    assert len(finished.result["alternatives"]) == 3
    assert (await shop.rows())["appointments"][0].start_utc == it.start_utc


async def test_several_on_one_day_are_told_apart(shop: Shop) -> None:
    await _booked(shop)
    await _booked(shop, "2026-11-24T16:00:00+01:00")
    context = await shop.call()
    answer = await shop.answer("cancel_appointment", FACTS, context)
    assert answer["status"] == "several"
    wanted = answer["appointments"][1]["appointment_id"]
    gone = await shop.answer("cancel_appointment", {"appointment_id": wanted}, context)
    assert gone["appointment_id"] == wanted


# ------------------------------------------------------------------------------ holds, corrections


@both_databases
async def test_the_hour_that_was_asked_for_is_kept_while_they_decide(shop: Shop) -> None:
    context = await shop.call()
    asked = await shop.answer("check_availability", {"date": "2026-11-24T14:00"}, context)
    assert asked["slots"][0]["start"] == TUESDAY
    wanted = {"start": TUESDAY, "name": "Paul Martin"}
    assert (await shop.answer("book_appointment", wanted))["status"] == "taken"
    again = await shop.answer("check_availability", {"date": "2026-11-24T14:00"}, context)
    assert again["slots"][0]["start"] == TUESDAY  # free for who holds it
    booked = await shop.answer("book_appointment", {**wanted, "name": "Léa"}, context)
    assert booked["status"] == "booked"


async def test_corrections_after_a_booking_are_stored(shop: Shop) -> None:
    context = await shop.call()
    first = await shop.answer("book_appointment", {"start": TUESDAY, "name": "Léa"}, context)
    changed = {"start": TUESDAY, "name": "Léa Martin", "phone": "06 39 98 44 44"}
    second = await shop.answer("book_appointment", changed, context)
    assert second["appointment_id"] == first["appointment_id"]
    (row,) = (await shop.rows())["appointments"]
    assert (row.customer_name, row.customer_phone) == ("Léa Martin", STRANGER)
    assert row.contact_id is not None


@both_databases
async def test_with_the_second_fact_comes_what_is_known_of_them(shop: Shop) -> None:
    await _booked(shop)
    before = await shop.call()
    assert before.call_id is not None
    await shop.storage.journal.finish(before.call_id, Outcome.MESSAGE, shop.clock.now())
    wrong = await shop.answer("find_appointment", {**FACTS, "name": "Paul Martin"})
    assert "known_of_them" not in wrong
    found = await shop.answer("find_appointment", FACTS)
    assert any("un message a été pris" in line for line in found["known_of_them"])
