"""Which slots the agent may offer."""

from datetime import UTC, datetime, time, timedelta

import pytest

from domain.agenda import OpeningRange
from storage import NewAppointment
from tests.fakes.clock import FakeClock
from tests.voice.functions.shop import Shop


def _starts(result: dict) -> list[str]:
    return [slot["start"] for slot in result["slots"]]


def _days(result: dict) -> set[str]:
    return {slot["start"][:10] for slot in result["slots"]}


async def _fill(shop: Shop, *days: str, start: time = time(9), hours: int = 9) -> None:
    """Take all of these days (2026-11-24) of the winter clock, from `start`, in one block."""
    async with shop.storage.tenant(shop.tenant.id).write() as rows:
        for day in days:
            begin = datetime.fromisoformat(f"{day}T{start:%H:%M}+01:00")
            await rows.appointments.book(NewAppointment(begin, hours * 60, "Atelier"))


async def _open(shop: Shop, *ranges: OpeningRange) -> None:
    async with shop.storage.tenant(shop.tenant.id).write() as rows:
        await rows.hours.replace(ranges)


async def test_soonest(shop: Shop) -> None:
    result = await shop.answer("check_availability")
    assert result["slots"][0] == {
        "start": "2026-11-23T09:30:00+01:00",
        "spoken": "aujourd'hui lundi 23 novembre à neuf heures trente",
    }
    assert len(result["slots"]) == 5
    assert _days(result) == {"2026-11-23"}
    assert result["slots"][-1]["start"] == "2026-11-23T17:30:00+01:00"
    assert "13 créneaux" in result["note"]


async def test_soonest_crosses_a_weekend(shop: Shop, clock: FakeClock) -> None:
    clock.advance(timedelta(days=4, hours=8))  # Friday, 17:10
    result = await shop.answer("check_availability")
    assert result["slots"][0]["start"] == "2026-11-27T17:30:00+01:00"
    assert _days(result) == {"2026-11-27", "2026-11-30"}


@pytest.mark.parametrize(
    ("said", "first", "last", "count"),
    [
        ("2026-11-24", "2026-11-24T09:00:00+01:00", "2026-11-24T17:30:00+01:00", 14),
        ("demain", "2026-11-24T09:00:00+01:00", "2026-11-24T17:30:00+01:00", 14),
        ("mardi prochain", "2026-11-24T09:00:00+01:00", "2026-11-24T17:30:00+01:00", 14),
        ("24/11", "2026-11-24T09:00:00+01:00", "2026-11-24T17:30:00+01:00", 14),
        ("mardi matin", "2026-11-24T09:00:00+01:00", "2026-11-24T11:30:00+01:00", 6),
        ("2026-11-23", "2026-11-23T09:30:00+01:00", "2026-11-23T17:30:00+01:00", 13),
    ],
)
async def test_a_day(shop: Shop, said: str, first: str, last: str, count: int) -> None:
    """Whole: six half hours in the morning and eight in the afternoon, less what is past."""
    result = await shop.answer("check_availability", {"date": said})
    assert (_starts(result)[0], _starts(result)[-1]) == (first, last)
    assert len(result["slots"]) == count
    assert "note" not in result
    assert _starts(result) == sorted(_starts(result))


@pytest.mark.parametrize("part", ["afternoon", "après-midi", "l'après-midi"])
async def test_part_of_day(shop: Shop, part: str) -> None:
    result = await shop.answer("check_availability", {"date": "2026-11-24", "part_of_day": part})
    assert _starts(result)[0] == "2026-11-24T14:00:00+01:00"
    assert all(start >= "2026-11-24T14:00" for start in _starts(result))


async def test_the_hour_that_was_named_is_among_them(shop: Shop) -> None:
    result = await shop.answer("check_availability", {"date": "2026-11-24T14:30"})
    assert _starts(result)[0] == "2026-11-24T14:30:00+01:00"
    assert len(result["slots"]) == 5
    assert "note" not in result


async def test_an_hour_off_the_grid_can_be_had(shop: Shop) -> None:
    result = await shop.answer("check_availability", {"date": "2026-11-24T14:15"})
    assert _starts(result)[0] == "2026-11-24T14:15:00+01:00"


async def test_the_hour_that_was_named_is_taken(shop: Shop) -> None:
    await _fill(shop, "2026-11-24", start=time(14, 30), hours=1)
    result = await shop.answer("check_availability", {"date": "2026-11-24T14:45"})
    assert "2026-11-24T14:00:00+01:00" in _starts(result)
    assert "2026-11-24T15:30:00+01:00" in _starts(result)
    assert not {"2026-11-24T14:30:00+01:00", "2026-11-24T14:45:00+01:00"} & set(_starts(result))
    assert "Pas libre" in result["note"]


async def test_full_day(shop: Shop) -> None:
    await _fill(shop, "2026-11-25")
    result = await shop.answer("check_availability", {"date": "2026-11-25"})
    assert {"2026-11-24", "2026-11-26"} <= _days(result)
    assert "2026-11-25" not in _days(result)
    assert result["note"].startswith("Plus rien de libre le mercredi 25")


async def test_closed_day(shop: Shop) -> None:
    result = await shop.answer("check_availability", {"date": "2026-11-29"})
    assert {"2026-11-27", "2026-11-30"} <= _days(result)
    assert result["note"].startswith("Fermé le dimanche 29")


async def test_full_afternoon(shop: Shop) -> None:
    await _fill(shop, "2026-11-25", start=time(14), hours=4)
    result = await shop.answer(
        "check_availability", {"date": "2026-11-25", "part_of_day": "afternoon"}
    )
    assert "2026-11-25T11:30:00+01:00" in _starts(result)  # the same day, a little earlier
    assert any(start.startswith("2026-11-24T1") for start in _starts(result))
    assert "à ce moment de la journée" in result["note"]


async def test_past_day(shop: Shop) -> None:
    result = await shop.answer("check_availability", {"date": "2026-11-20"})
    assert _starts(result)[0] == "2026-11-23T09:30:00+01:00"
    assert "passée" in result["note"]


async def test_beyond_the_horizon(shop: Shop) -> None:
    result = await shop.answer("check_availability", {"date": "2027-06-01"})
    assert "2027-01-22" in _days(result)
    assert "le vendredi 22 janvier" in result["note"]


async def test_nothing_at_all(shop: Shop) -> None:
    day_long = [OpeningRange(1, time(9), time(9, 15))]  # too short for any appointment
    await _open(shop, *day_long)
    result = await shop.answer("check_availability")
    assert result["slots"] == []
    assert "60 prochains jours" in result["note"]


async def test_own_hours(shop: Shop) -> None:
    await _open(shop, OpeningRange(6, time(10), time(11)))
    result = await shop.answer("check_availability")
    assert _starts(result)[:2] == ["2026-11-28T10:00:00+01:00", "2026-11-28T10:30:00+01:00"]


async def test_unreadable_day(shop: Shop) -> None:
    result = await shop.answer("check_availability", {"date": "le jour des cerises"})
    assert result["status"] == "invalid"
    assert result["slots"] == []
    assert "quel jour" in result["spoken"]
    assert "YYYY-MM-DD" in result["error"]


async def test_taken_slots_are_not_offered(shop: Shop) -> None:
    await _fill(shop, "2026-11-24", start=time(9), hours=3)
    result = await shop.answer(
        "check_availability", {"date": "2026-11-24", "part_of_day": "morning"}
    )
    assert "2026-11-24" not in {s[:10] for s in _starts(result) if s < "2026-11-24T12"}


async def test_another_tenants_bookings_are_not_ours(shop: Shop, bakery: Shop) -> None:
    await _fill(bakery, "2026-11-24")
    result = await shop.answer("check_availability", {"date": "2026-11-24"})
    assert _starts(result)[0] == "2026-11-24T09:00:00+01:00"
    assert "note" not in result or "Plus rien" not in result["note"]


async def test_is_fresh_each_time(shop: Shop) -> None:
    context = await shop.call()
    before = await shop.answer("check_availability", {"date": "2026-11-24"}, context)
    await _fill(shop, "2026-11-24")
    after = await shop.answer("check_availability", {"date": "2026-11-24"}, context)
    assert _days(before) == {"2026-11-24"}
    assert "2026-11-24" not in _days(after)


async def test_in_english(shop: Shop) -> None:
    result = await shop.answer(
        "check_availability", {"date": "tomorrow"}, await shop.call(locale="en-GB")
    )
    assert result["slots"][0]["spoken"] == "tomorrow, Tuesday the 24th at nine a.m."


@pytest.mark.parametrize(
    ("timezone", "first"),
    [
        ("Europe/Paris", "2026-11-23T09:30:00+01:00"),
        ("Indian/Reunion", "2026-11-23T14:00:00+04:00"),  # 12:10 there: lunch
        ("America/Cayenne", "2026-11-23T09:00:00-03:00"),  # 5:10 there
        ("Pacific/Noumea", "2026-11-24T09:00:00+11:00"),  # 19:10 there: tomorrow
        ("Pacific/Tahiti", "2026-11-23T09:00:00-10:00"),  # 22:10 of the day before
    ],
)
async def test_the_tenants_own_clock(
    shop: Shop, clock: FakeClock, timezone: str, first: str
) -> None:
    tenant = await shop.storage.operator.create_tenant("Ailleurs", timezone=timezone)
    result = await Shop(shop.storage, tenant, clock).answer("check_availability")
    assert _starts(result)[0] == first


async def test_the_night_of_the_time_change(shop: Shop) -> None:
    friday = FakeClock(datetime(2026, 10, 23, 20, 0, tzinfo=UTC))
    result = await Shop(shop.storage, shop.tenant, friday).answer("check_availability")
    assert _starts(result)[0] == "2026-10-26T09:00:00+01:00"  # Monday, on winter time
