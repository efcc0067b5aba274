"""Days in figures, and lists that go on behind a cursor, on both databases."""

from datetime import UTC, date, datetime, timedelta

import pytest

from domain.errors import Invalid
from domain.outcome import Outcome
from storage import Storage
from storage.appointments import NewAppointment
from storage.call_prices import CallPrices
from storage.call_register import StreamToken
from storage.calls import CallFilter, NewCall
from storage.conversations import Received
from storage.cursors import Part
from storage.journal import JournalEntry
from storage.statistics import CallCounts, summed
from storage.text_rows import NewText
from storage.vapi_calls import VapiReport
from tests.fakes.clock import FakeClock

SHORTEST, LONGEST = date(2026, 3, 29), date(2026, 10, 25)  # of 23 and of 25 hours, in Paris


async def ring(storage: Storage, tenant_id: str, clock: FakeClock, at: datetime, n: int) -> str:
    """A call that began then; its id."""
    clock.advance((at - clock.now()).total_seconds())
    new = NewCall(
        f"CA{n:032x}", "+33639980001", "+33639980001", "+33939035760", "opened", tenant_id=tenant_id
    )
    return (await storage.operator.open_call(new, {})).call.id


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(datetime(2026, 3, 1, tzinfo=UTC))


async def test_days_on_which_clocks_change(storage: Storage, clock: FakeClock) -> None:
    tenant = await storage.operator.create_tenant("Garage du Port", timezone="Europe/Paris")
    begins = datetime(2026, 3, 28, 22, 45, tzinfo=UTC)
    for number in range(26 * 2):  # every half hour: 23:45 on Saturday to 02:15 on Monday
        await ring(storage, tenant.id, clock, begins + timedelta(minutes=30 * number), number)
    begins = datetime(2026, 10, 24, 21, 45, tzinfo=UTC)
    for number in range(27 * 2):
        await ring(storage, tenant.id, clock, begins + timedelta(minutes=30 * number), 100 + number)
    async with storage.tenant(tenant.id).read() as rows:
        spring = await rows.statistics.days(date(2026, 3, 28), date(2026, 3, 30))
        autumn = await rows.statistics.days(date(2026, 10, 24), date(2026, 10, 26))
    assert [each.calls.total for each in spring.values()] == [1, 46, 5]
    assert [each.calls.total for each in autumn.values()] == [1, 50, 3]
    assert summed(autumn.values()).calls.inbound == 54
    other = await storage.operator.create_tenant("Cabinet", timezone="Asia/Kathmandu")  # +05:45
    await ring(storage, other.id, clock, datetime(2026, 11, 1, 18, 14, 59, tzinfo=UTC), 900)
    await ring(storage, other.id, clock, datetime(2026, 11, 1, 18, 15, tzinfo=UTC), 901)
    async with storage.tenant(other.id).read() as rows:
        days = await rows.statistics.days(date(2026, 11, 1), date(2026, 11, 2))
    assert [each.calls.total for each in days.values()] == [1, 1]


async def test_what_a_day_came_to(storage: Storage, clock: FakeClock) -> None:
    tenant = await storage.operator.create_tenant("Garage du Port", timezone="Europe/Paris")
    stranger = await storage.operator.create_tenant("Cabinet", timezone="Europe/Paris")
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    await ring(storage, stranger.id, clock, noon, 1)
    for number, wait in enumerate((3.0, 4.0, 60.0), start=2):
        call = await ring(storage, tenant.id, clock, clock.now(), number)
        clock.advance(wait)
        assert await storage.operator.bind_call(call, tenant.id, "forwarded_from") is False
        await _answer(storage, call, clock)
        clock.advance(30)
        await storage.journal.finish(call, Outcome.INFORMED, clock.now())
    # Each said what its part has cost, in its own money; the others' is not known yet.
    await storage.vapi_calls.report(call, VapiReport(cost_cents=25))
    await CallPrices(storage.operator._database, clock).priced(call, 4)
    await ring(storage, tenant.id, clock, clock.now(), 9)  # goes on, unanswered
    async with storage.tenant(tenant.id).write() as rows:
        booked = await rows.appointments.book(
            NewAppointment(
                customer_name="Anne",
                start=datetime(2026, 3, 5, 9, tzinfo=UTC),
                minutes=30,
                created_by="sara",
            )
        )
        await rows.appointments.cancel(booked.id)
        await rows.outbox.put(
            NewText("sms", "+33639980001", body="Bonjour", purpose="service", even_if_off=True)
        )
        conversation = await rows.conversations.open(
            "sms", "+33639980001", contact_id=None, our_address="", name=""
        )
        await rows.conversations.receive(conversation.id, Received("Oui", "v1"))
    async with storage.tenant(tenant.id).read() as rows:
        (day,) = (await rows.statistics.days(noon.date(), noon.date())).values()
    calls = day.calls
    assert (calls.total, calls.answered, calls.ended, calls.completed) == (4, 3, 3, 3)
    assert calls.answered_within == {3: 1, 5: 2, 10: 2}
    assert calls.wait_seconds == pytest.approx(67.0, abs=0.01)
    assert calls.seconds == 90
    assert calls.outcomes == {"informed": 3}
    assert (calls.cost_cents, calls.priced) == (4, 1)
    assert (calls.vapi_cost_cents, calls.vapi_priced) == (25, 1)
    assert day.booked == {"sara": 1}
    assert day.cancelled == 1
    assert day.texts["sms"].sent == {"queued": 1}
    assert (day.texts["sms"].segments, day.texts["sms"].received) == (1, 1)
    async with storage.tenant(stranger.id).read() as rows:
        (day,) = (await rows.statistics.days(noon.date(), noon.date())).values()
    assert day.calls == CallCounts(total=1, inbound=1)
    assert (day.texts, day.booked) == ({}, {})


async def _answer(storage: Storage, call: str, clock: FakeClock) -> None:
    row = await storage.operator.get_call(call)
    assert row is not None
    token = StreamToken(f"t{row.call_sid}", clock.now() + timedelta(minutes=1))
    assert await storage.operator.reopen(call, {}, "opening", token)
    assert await storage.operator.join_stream(token.hash, row.call_sid, "live", clock.now())


async def test_a_period_has_bounds(storage: Storage) -> None:
    tenant = await storage.operator.create_tenant("Garage du Port")
    async with storage.tenant(tenant.id).read() as rows:
        with pytest.raises(Invalid, match="366"):
            await rows.statistics.days(date(2026, 1, 1), date(2027, 1, 2))
        with pytest.raises(Invalid):
            await rows.statistics.days(date(2026, 1, 2), date(2026, 1, 1))
        assert len(await rows.statistics.days(date(2028, 1, 1), date(2028, 12, 31))) == 366


async def test_words_that_were_said(storage: Storage, clock: FakeClock) -> None:
    tenant = await storage.operator.create_tenant("Garage du Port")
    said = ("Une RÉVISION de 100 % s'il vous plaît", "une révision", "un_pneu", "unXpneu")
    for number, words in enumerate(said):
        call = await ring(storage, tenant.id, clock, clock.now(), number)
        turn = JournalEntry(call, clock.now(), "turn", {"who": "caller", "text": words})
        await storage.journal.append([turn])
        clock.advance(5)
        await storage.journal.finish(call, Outcome.INFORMED, clock.now())

    async def found(search: str) -> list[str]:
        async with storage.tenant(tenant.id).read() as rows:
            page = await rows.calls.find(CallFilter(search=search), Part())
        return [(each.transcript or "").removeprefix("caller: ") for each in page.items]

    assert await found("révision") == [said[1], said[0]]
    assert await found("RÉVISION une") == [said[1], said[0]]
    assert await found("100 %") == [said[0]]
    assert await found("un_pneu") == [said[2]]
    assert await found("vidange") == []
    async with storage.tenant(tenant.id).read() as rows:
        with pytest.raises(Invalid):
            await rows.calls.find(CallFilter(search="x" * 201), Part())


async def test_a_list_goes_on_behind_its_cursor(storage: Storage, clock: FakeClock) -> None:
    tenant = await storage.operator.create_tenant("Garage du Port")
    at = clock.now()
    ids = []
    for number in range(7):  # three at one instant
        moment = at + timedelta(seconds=max(0, number - 2))
        ids.append(await ring(storage, tenant.id, clock, moment, number))
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(10):
        async with storage.tenant(tenant.id).read() as rows:
            page = await rows.calls.find(CallFilter(), Part(2, 0, cursor))
        assert page.total == 7 + (cursor is not None)
        seen += [each.id for each in page.items]
        if cursor is None:  # what comes in at the top shifts nothing
            await ring(storage, tenant.id, clock, clock.now() + timedelta(seconds=9), 99)
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(ids)
    assert len(seen) == len(set(seen)) == 7
    async with storage.tenant(tenant.id).read() as rows:
        for wrong in ("x", "é", "bm9uc2Vuc2U"):
            with pytest.raises(Invalid):
                await rows.calls.find(CallFilter(), Part(2, 0, wrong))
