"""What a tenant sets: channels, lines, opening hours."""

import asyncio
from datetime import time, timedelta

import pytest

from domain.agenda import DEFAULT_HOURS, OpeningRange
from domain.errors import Conflict, Invalid, NotFound
from domain.tenant import Tenant
from storage import Channel, Database, OperatorStore, Storage
from tests.fakes.clock import START, FakeClock

LINE = "+33299000001"


async def _save(storage: Storage, tenant: Tenant, line: str | None, **more: object) -> Channel:
    async with storage.tenant(tenant.id).write() as rows:
        return await rows.channels.save(
            "phone", enabled=True, config={}, line=line, **more  # type: ignore[arg-type]
        )  # fmt: skip


# ------------------------------------------------------------------------------ channels


async def test_before_anything_is_saved_the_pages_defaults_are_given(
    storage: Storage, garage: Tenant
) -> None:
    async with storage.tenant(garage.id).read() as rows:
        channels = await rows.channels.list()
        assert [channel.type for channel in channels] == ["phone", "sms", "email", "whatsapp"]
        assert [channel.configured for channel in channels] == [True, False, False, False]
        assert [channel.enabled for channel in channels] == [True, False, False, False]
        assert channels[0].config["sara"]["agentType"] == "reception"
        assert channels[1].config["templates"]["rdvConfirmation"] is True
        assert channels[0] == await rows.channels.get("phone")
        assert (channels[0].created_at, channels[0].updated_at) == (None, None)
        # Nobody who changes what they got changes it for others.
        channels[0].config["sara"]["agentType"] = "support"
        assert (await rows.channels.get("phone")).config["sara"]["agentType"] == "reception"


async def test_an_agent_that_nobody_configured_speaks_the_tenants_language(
    storage: Storage, operator: OperatorStore, garage: Tenant
) -> None:
    english = await operator.create_tenant("The Harbour Garage", locale="en-GB")
    for tenant, language in ((garage, "fr-FR"), (english, "en-GB")):
        async with storage.tenant(tenant.id).read() as rows:
            for phone in (await rows.channels.get("phone"), (await rows.channels.list())[0]):
                assert phone.config["sara"]["language"] == language


async def test_what_is_saved_comes_back_unknown_keys_included(
    storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    config = {
        "clientPhoneNumber": "02 99 00 00 01",
        "sara": {"voice": "male", "ttsProvider": "google", "scripts": {"reception": "« Allô »"}},
        "zzz": [1, None, {"deep": True}],
        "aaa": 0.5,
    }
    async with storage.tenant(garage.id).write() as rows:
        saved = await rows.channels.save(
            "phone", enabled=True, config=config, templates={"a": "b"}, line=LINE
        )
    assert (saved.type, saved.enabled, saved.configured) == ("phone", True, True)
    assert saved.config == config
    assert list(saved.config) == list(config)
    assert (saved.created_at, saved.updated_at) == (START, START)
    clock.advance(5)
    async with storage.tenant(garage.id).write() as rows:
        again = await rows.channels.save("phone", enabled=False, config={}, line=LINE)
        assert (await rows.channels.list())[0] == again == await rows.channels.get("phone")
    assert (again.enabled, again.config, again.templates) == (False, {}, {"a": "b"})
    assert (again.created_at, again.updated_at) == (START, START + timedelta(seconds=5))


async def test_configured_is_said_not_assumed(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        saved = await rows.channels.save("sms", enabled=True, config={})
        assert not saved.configured
        saved = await rows.channels.save("sms", enabled=True, config={}, configured=True)
        assert saved.configured
        saved = await rows.channels.save("sms", enabled=True, config={})
        assert saved.configured


async def test_there_are_four_channels(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        with pytest.raises(Invalid, match="type"):
            await rows.channels.get("fax")
        with pytest.raises(Invalid, match="type"):
            await rows.channels.save("fax", enabled=True, config={})


async def test_a_line_belongs_to_one_tenant(
    storage: Storage, operator: OperatorStore, garage: Tenant, dentist: Tenant
) -> None:
    await _save(storage, garage, LINE)
    await _save(storage, garage, LINE)  # saving a page again is no conflict with oneself
    with pytest.raises(Conflict) as caught:
        await _save(storage, dentist, LINE)
    assert caught.value.field == "config.clientPhoneNumber"
    async with storage.tenant(dentist.id).read() as rows:
        assert (await rows.channels.get("phone")).created_at is None  # nothing was half-saved
    assert await operator.tenant_by_line(LINE) == garage


async def test_a_line_that_is_given_up_is_free(
    storage: Storage, operator: OperatorStore, garage: Tenant, dentist: Tenant
) -> None:
    await _save(storage, garage, LINE)
    await _save(storage, garage, "+33299000002")
    assert await operator.lines(garage.id) == ["+33299000002"]
    await _save(storage, dentist, LINE)
    assert await operator.tenant_by_line(LINE) == dentist
    await _save(storage, dentist, None)
    assert not await operator.is_line(LINE)
    async with storage.tenant(garage.id).write() as rows:  # another channel has no line
        await rows.channels.save("sms", enabled=True, config={})
    assert await operator.lines(garage.id) == ["+33299000002"]


async def test_of_two_tenants_who_claim_a_line_at_once_one_gets_it(
    url: str, storage: Storage, operator: OperatorStore, garage: Tenant, dentist: Tenant
) -> None:
    other = await Database.open(url)
    results: list[str] = []

    async def claim(through: Storage, tenant: Tenant) -> None:
        try:
            await _save(through, tenant, LINE)
            results.append(tenant.id)
        except Conflict:
            results.append("conflict")

    async with asyncio.TaskGroup() as group:
        group.create_task(claim(storage, garage))
        group.create_task(claim(Storage(other, FakeClock()), dentist))
    await other.close()
    assert results.count("conflict") == 1
    owner = await operator.tenant_by_line(LINE)
    assert owner is not None
    assert owner.id in results


async def test_transfer_numbers_are_known(
    storage: Storage, operator: OperatorStore, garage: Tenant
) -> None:
    await _save(storage, garage, LINE, transfer_number="+33639980000")
    assert await operator.is_transfer_number("+33639980000")
    assert not await operator.is_transfer_number(LINE)
    await _save(storage, garage, LINE)
    assert not await operator.is_transfer_number("+33639980000")


# --------------------------------------------------------------------------------- hours


def _range(day: int, opens: str, closes: str) -> OpeningRange:
    return OpeningRange(day, time.fromisoformat(opens), time.fromisoformat(closes))


async def test_without_hours_a_tenant_has_the_usual_ones(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).read() as rows:
        assert await rows.hours.get() == list(DEFAULT_HOURS)
        assert await rows.hours.is_default()


async def test_hours_are_replaced_as_a_whole(storage: Storage, garage: Tenant) -> None:
    week = [_range(6, "08:00", "12:30"), _range(1, "14:00", "18:00"), _range(1, "09:00", "12:00")]
    async with storage.tenant(garage.id).write() as rows:
        await rows.hours.replace(week)
        assert await rows.hours.get() == [week[2], week[1], week[0]]
        assert not await rows.hours.is_default()
        await rows.hours.replace([_range(2, "09:00", "10:00")])
        assert await rows.hours.get() == [_range(2, "09:00", "10:00")]


async def test_closed_all_week_is_not_the_default(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.hours.replace([])
    async with storage.tenant(garage.id).read() as rows:
        assert await rows.hours.get() == []
        assert not await rows.hours.is_default()


async def test_a_range_may_run_past_midnight(storage: Storage, garage: Tenant) -> None:
    weeks = (
        [_range(1, "18:00", "02:00"), _range(2, "18:00", "02:00")],
        [_range(5, "18:00", "00:00"), _range(6, "00:00", "02:00")],
        [_range(1, "06:00", "12:00"), _range(7, "22:00", "06:00")],
        [_range(day, "00:00", "00:00") for day in range(1, 8)],
        [_range(1, "09:00", "12:00"), _range(1, "12:00", "14:00")],
    )
    for week in weeks:
        async with storage.tenant(garage.id).write() as rows:
            await rows.hours.replace(reversed(week))
            assert await rows.hours.get() == week


async def test_hours_that_make_no_sense_change_nothing(storage: Storage, garage: Tenant) -> None:
    weeks = (
        [_range(0, "09:00", "12:00")],
        [_range(8, "09:00", "12:00")],
        [_range(1, "09:00:30", "12:00")],
        [_range(1, "09:00", "12:00"), _range(1, "09:00", "12:00")],
        [_range(1, "09:00", "12:00"), _range(1, "11:55", "14:00")],
        [_range(1, "18:00", "02:00"), _range(2, "01:00", "03:00")],
        [_range(1, "09:00", "09:00"), _range(2, "08:00", "09:00")],
        [_range(7, "22:00", "06:00"), _range(1, "05:00", "12:00")],
    )
    for week in weeks:
        async with storage.tenant(garage.id).write() as rows:
            with pytest.raises(Invalid, match="hours"):
                await rows.hours.replace(week)
            assert await rows.hours.is_default(), week


async def test_hours_saved_twice_at_once_are_one_of_both(
    url: str, storage: Storage, garage: Tenant
) -> None:
    other = await Database.open(url)
    weeks = [[_range(day, "09:00", "12:00") for day in days] for days in ((1, 2, 3), (2, 3, 4))]

    async def replace(through: Storage, week: list[OpeningRange]) -> None:
        for _ in range(5):
            async with through.tenant(garage.id).write() as rows:
                await rows.hours.replace(week)

    async with asyncio.TaskGroup() as group:
        group.create_task(replace(storage, weeks[0]))
        group.create_task(replace(Storage(other, FakeClock()), weeks[1]))
    await other.close()
    async with storage.tenant(garage.id).read() as rows:
        assert await rows.hours.get() in weeks


async def test_nobody_has_no_hours(storage: Storage) -> None:
    async with storage.tenant("nobody").write() as rows:
        for refused in (rows.hours.get(), rows.hours.is_default(), rows.hours.replace([])):
            with pytest.raises(NotFound):
                await refused
        with pytest.raises(NotFound):
            await rows.tenant()
