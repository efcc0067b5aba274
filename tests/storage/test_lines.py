"""Claims of lines, and what checks do to them, on both databases."""

import asyncio
from datetime import timedelta

import pytest

from domain.errors import CallerError, Conflict, NotFound
from domain.lines import CHECK_LASTS, Returned
from domain.tenant import Tenant
from storage import Line, LineCheck, Storage
from tests.fakes.clock import FakeClock

LINE, TRUNK, OURS = "+33261910077", "+33261910000", "+33199000000"


async def claim(storage: Storage, tenant: Tenant, line: str | None = LINE) -> None:
    async with storage.tenant(tenant.id).write() as rows:
        await rows.channels.save("phone", enabled=True, config={}, line=line)


async def line_of(storage: Storage, tenant: Tenant) -> Line | None:
    async with storage.tenant(tenant.id).read() as rows:
        lines = await rows.lines.list()
    return lines[0] if lines else None


async def begin(storage: Storage, tenant: Tenant, line: str = LINE) -> LineCheck:
    kind = await storage.lines.kind_of_check(tenant.id, line)
    async with storage.tenant(tenant.id).write() as rows:
        return await rows.lines.begin(line, kind)


async def now(storage: Storage, check: LineCheck) -> LineCheck:
    async with storage.tenant(check.tenant_id).read() as rows:
        return await rows.lines.check(check.id)


async def told(storage: Storage, tenant: Tenant) -> list[str]:
    async with storage.tenant(tenant.id).read() as rows:
        return [each.kind for each in (await rows.notifications.list())[0]]


async def test_claims_lapse_unless_they_are_proven(
    storage: Storage, clock: FakeClock, garage: Tenant, dentist: Tenant
) -> None:
    await claim(storage, garage)
    await storage.lines.assign(dentist.id, "+33261910078")
    clock.advance(timedelta(days=24).total_seconds())
    assert await storage.lines.lapse() == 0
    assert await storage.lines.lapse() == 0
    assert await told(storage, garage) == ["line_lapses"]  # once
    clock.advance(timedelta(days=7).total_seconds())
    assert await storage.lines.lapse() == 1
    assert await line_of(storage, garage) is None
    assert sorted(await told(storage, garage)) == ["line_lapsed", "line_lapses"]
    assert await line_of(storage, dentist) is not None
    assert await told(storage, dentist) == []
    await claim(storage, dentist)  # it is free again


async def test_what_the_operator_gave_stays(
    storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    await claim(storage, garage)
    await storage.lines.assign(dentist.id, LINE)
    assert await told(storage, garage) == ["number_lost"]
    await claim(storage, dentist, None)
    line = await line_of(storage, dentist)
    assert line is not None
    assert line.proof == "operator"
    with pytest.raises(Conflict):
        await claim(storage, garage)
    with pytest.raises(Conflict) as proven:
        await begin(storage, garage)
    assert proven.value.message_key == "line_proven"
    with pytest.raises(NotFound):
        await storage.lines.assign("nobody", LINE)


async def test_one_check_in_the_whole_deployment(
    storage: Storage, clock: FakeClock, garage: Tenant, dentist: Tenant
) -> None:
    first, second = await begin(storage, garage), await begin(storage, dentist, "+33261910078")
    started = await asyncio.gather(
        storage.lines.start(first.id, OURS), storage.lines.start(second.id, OURS)
    )
    assert sum(each is not None for each in started) == 1
    (running,) = [each for each in started if each is not None]
    waiting = second if running.id == first.id else first
    # The node of the one that runs dies: what waits isn't kept for ever.
    assert await storage.lines.start(waiting.id, OURS) is None
    clock.advance((CHECK_LASTS + timedelta(minutes=2)).total_seconds())
    assert await storage.lines.start(waiting.id, OURS) is not None
    ended = await now(storage, running)
    assert (ended.state, ended.verdict, ended.reason) == ("done", "unknown", "interrupted")
    await storage.lines.finish(waiting.id, "unknown")


async def test_a_call_that_comes_back_is_taken_once_and_in_time(
    storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    await claim(storage, garage)
    check = await begin(storage, garage)
    call = Returned(OURS, TRUNK)
    assert not await storage.lines.returned("CA1", call, {OURS})  # nobody has called yet
    await storage.lines.start(check.id, OURS)
    assert not await storage.lines.returned("CA1", Returned("+33639980001", LINE), {OURS})
    assert await storage.lines.returned("CA1", call, {OURS})
    assert await storage.lines.returned("CA1", call, {OURS})  # delivered twice
    assert not await storage.lines.returned("CA2", call, {OURS})
    await storage.lines.ended(check.id, "completed")  # our own leg's end says nothing any more
    assert (await now(storage, check)).verdict == "works"
    line = await line_of(storage, garage)
    assert line is not None
    assert (line.proof, line.forwarded_as) == ("forwarding", TRUNK)
    found = await storage.operator.tenant_by_line(TRUNK)
    assert found is not None
    assert found.id == garage.id

    late = await begin(storage, garage)
    await storage.lines.start(late.id, OURS)
    clock.advance(CHECK_LASTS.total_seconds() + 1)
    assert not await storage.lines.returned("CA3", call, {OURS})
    await storage.lines.finish(late.id, "unknown")


async def test_a_form_that_another_line_has_is_no_form(
    storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    await claim(storage, garage)
    await claim(storage, dentist, TRUNK)
    check = await begin(storage, garage)
    await storage.lines.start(check.id, OURS)
    assert await storage.lines.returned("CA1", Returned(OURS, TRUNK), {OURS})
    ended = await now(storage, check)
    assert (ended.verdict, ended.reason) == ("hidden", "shared_form")
    found = await storage.operator.tenant_by_line(TRUNK)
    assert found is not None
    assert found.id == dentist.id


async def test_a_code_is_tried_five_times_and_for_half_an_hour(
    storage: Storage, clock: FakeClock, garage: Tenant, dentist: Tenant
) -> None:
    await claim(storage, garage)
    check = await begin(storage, dentist)
    assert check.kind == "code"
    with pytest.raises(Conflict):
        await storage.lines.prove(dentist.id, check.id, "123456")  # nothing was spoken yet
    await storage.lines.start(check.id, OURS, "123456")
    await storage.lines.ended(check.id, "completed")
    with pytest.raises(NotFound):
        await storage.lines.prove(garage.id, check.id, "123456")
    for _ in range(5):
        assert not await storage.lines.prove(dentist.id, check.id, "000000")
    with pytest.raises(Conflict):
        await storage.lines.prove(dentist.id, check.id, "123456")
    again = await begin(storage, dentist)
    await storage.lines.start(again.id, OURS, "654321")
    await storage.lines.ended(again.id, "completed")
    clock.advance(timedelta(minutes=31).total_seconds())
    with pytest.raises(Conflict):
        await storage.lines.prove(dentist.id, again.id, "654321")
    assert await told(storage, garage) == []
    third = await begin(storage, dentist)
    await storage.lines.finish(third.id, "unknown")
    with pytest.raises(CallerError) as limit:
        await begin(storage, dentist)
    assert limit.value.status == 429


async def test_what_may_be_spent_on_a_day(
    storage: Storage, clock: FakeClock, garage: Tenant
) -> None:
    async def spend(micros: int, cap: int | None = 100, *, always: bool = False) -> bool:
        async with storage.tenant(garage.id).write() as rows:
            return await rows.spending.spend(micros, cap, always=always)

    async def today() -> int:
        async with storage.tenant(garage.id).read() as rows:
            return await rows.spending.today()

    assert not await spend(101)
    assert await spend(60)
    at_once = await asyncio.gather(*(spend(30) for _ in range(4)))
    assert (at_once.count(True), await today()) == (1, 90)
    assert await spend(50, always=True)
    assert not await spend(1)
    async with storage.tenant(garage.id).write() as rows:
        await rows.spending.set_cap(1000)
    assert await spend(500)
    async with storage.tenant(garage.id).write() as rows:
        await rows.spending.set_cap(None)
    assert not await spend(1)
    assert await spend(1, None)
    clock.advance(timedelta(days=1).total_seconds())
    assert await today() == 0
    assert await spend(100)
