"""Rotating keys: everything is sealed anew where it stands, while old and new servers go on."""

import asyncio
import secrets

import pytest
import sqlalchemy as sa

from domain.tenant import Tenant
from storage import Database, KeyRing, Storage, sealed_rows
from storage.schema import channel_configurations as table
from storage.schema import metadata
from storage.sealed_rows import SealedRows
from storage.secrets import NoKey, key_version
from tests.fakes.clock import FakeClock

OLD, NEW = secrets.token_bytes(32), secrets.token_bytes(32)
#: The three steps of docs/deploy.md, and where they lead.
BEFORE = KeyRing({1: OLD})
BEHIND = KeyRing({1: OLD, 2: NEW})
PROMOTED = KeyRing({2: NEW, 1: OLD})
AFTER = KeyRing({2: NEW})
CHANNELS = ("phone", "sms", "email", "whatsapp")


@pytest.fixture
def keyring() -> KeyRing:
    return BEFORE


async def _save(storage: Storage, tenant: Tenant, channel: str, value: str) -> None:
    async with storage.tenant(tenant.id).write() as rows:
        await rows.channels.save_secrets(channel, {"apiKey": value})


async def _all(storage: Storage, *tenants: Tenant) -> dict[str, object]:
    found = {}
    for tenant in tenants:
        async with storage.tenant(tenant.id).read() as rows:
            for channel in CHANNELS:
                found[f"{tenant.id}/{channel}"] = await rows.channels.secrets(channel)
    return found


async def _versions(database: Database) -> set[int | None]:
    async with database.read() as connection:
        column = table.c.config_encrypted
        rows = await connection.execute(sa.select(column).where(column.is_not(None)))
        return {key_version(sealed) for sealed in rows.scalars()}


async def test_at_each_step_old_and_new_servers_read_and_write_everything(
    database: Database, clock: FakeClock, storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    for tenant in (garage, dentist):
        for channel in CHANNELS:
            await _save(storage, tenant, channel, f"{tenant.id}-{channel}")
    expected = await _all(storage, garage, dentist)
    # Servers are restarted one by one: during each step some have the ring before it.
    for round_, (earlier, later) in enumerate(
        [(BEFORE, BEHIND), (BEHIND, PROMOTED), (PROMOTED, AFTER)]
    ):
        old, new = Storage(database, clock, earlier), Storage(database, clock, later)
        if later is AFTER:  # the third step, when `secrets status` says that nothing waits
            assert (await old.sealed_rows.reseal()).unopened == ()
            assert not await old.sealed_rows.waiting()
            assert await _versions(database) == {2}
        for number, (writer, reader) in enumerate([(old, new), (new, old)]):
            value = f"saved in round {round_}.{number}"
            await _save(writer, garage, "email", value)
            expected[f"{garage.id}/email"] = {"apiKey": value}
            assert await _all(reader, garage, dentist) == expected
            assert await _all(writer, garage, dentist) == expected
    assert await _versions(database) == {2}
    assert await _all(Storage(database, clock, AFTER), garage, dentist) == expected


async def test_resealing_changes_the_sealed_text_alone_and_once(
    database: Database, storage: Storage, garage: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_rows, "BATCH", 2)
    for channel in CHANNELS:
        await _save(storage, garage, channel, channel)

    async def rows() -> list[dict[str, object]]:
        async with database.read() as connection:
            found = await connection.execute(sa.select(table).order_by(table.c.id))
            return [dict(row) for row in found.mappings()]

    before = await rows()
    sealed = SealedRows(database, PROMOTED)
    assert await sealed.waiting()
    census = await sealed.census()
    assert (census.versions, census.waiting, census.unopened) == ({1: 4}, 4, ())
    assert (await sealed.reseal()).count == 4
    after = await rows()
    for old, new in zip(before, after, strict=True):
        assert {name for name in old if old[name] != new[name]} == {"config_encrypted"}
    assert not await sealed.waiting()
    assert (await sealed.reseal()).count == 0
    assert await rows() == after
    census = await sealed.census()
    assert (census.versions, census.waiting) == ({2: 4}, 0)


async def test_on_either_side_of_a_rolling_restart_nobody_undoes_the_others_work(
    database: Database, clock: FakeClock, storage: Storage, garage: Tenant
) -> None:
    await _save(storage, garage, "email", "old")
    await _save(Storage(database, clock, PROMOTED), garage, "phone", "new")
    behind, promoted = SealedRows(database, BEHIND), SealedRows(database, PROMOTED)
    assert not await behind.waiting(older_only=True)
    assert (await behind.reseal(older_only=True)).count == 0
    assert await _versions(database) == {1, 2}
    assert await promoted.waiting(older_only=True)
    assert (await promoted.reseal(older_only=True)).count == 1
    assert await _versions(database) == {2}
    # Who means it can go back.
    assert await behind.waiting()
    assert (await behind.reseal()).count == 2
    assert await _versions(database) == {1}


async def test_who_saves_in_between_wins(
    database: Database,
    clock: FakeClock,
    storage: Storage,
    garage: Tenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await _save(storage, garage, "email", "before")
    await _save(storage, garage, "phone", "untouched")
    sealed = SealedRows(database, PROMOTED)
    replace = sealed._replace

    async def after_a_save(place: object, anew: object) -> int:
        await _save(storage, garage, "email", "in between")
        return await replace(place, anew)  # type: ignore[arg-type]

    monkeypatch.setattr(sealed, "_replace", after_a_save)
    assert (await sealed.reseal()).count == 1
    found = await _all(Storage(database, clock, PROMOTED), garage)
    assert found[f"{garage.id}/email"] == {"apiKey": "in between"}
    assert found[f"{garage.id}/phone"] == {"apiKey": "untouched"}
    assert await sealed.waiting()  # the saved one, with the old key: the next round's
    monkeypatch.undo()
    assert (await sealed.reseal()).count == 1


async def test_several_at_once_while_tenants_save(
    database: Database, clock: FakeClock, storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    for tenant in (garage, dentist):
        for channel in CHANNELS:
            await _save(storage, tenant, channel, "0")
    promoted = Storage(database, clock, PROMOTED)

    async def save_on() -> None:
        for number in range(1, 6):
            await _save((storage_behind, promoted)[number % 2], garage, "email", str(number))

    storage_behind = Storage(database, clock, BEHIND)
    async with asyncio.TaskGroup() as group:
        group.create_task(save_on())
        for _ in range(3):
            group.create_task(SealedRows(database, PROMOTED).reseal())
    await promoted.sealed_rows.reseal()
    found = await _all(Storage(database, clock, AFTER), garage, dentist)
    assert found.pop(f"{garage.id}/email") == {"apiKey": "5"}
    assert set(map(str, found.values())) == {"{'apiKey': '0'}"}


async def test_what_does_not_open_is_named_left_alone_and_stops_nothing(
    database: Database, clock: FakeClock, storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    await _save(storage, garage, "email", "lost-with-its-key")
    await _save(Storage(database, clock, AFTER), dentist, "email", "fine")
    third = SealedRows(database, KeyRing({3: secrets.token_bytes(32), 2: NEW}))
    done = await third.reseal()
    assert done.count == 1
    (lost,) = done.unopened
    assert (lost.tenant_id, lost.channel) == (garage.id, "email")
    assert "key version 1" in lost.reason
    census = await third.census()
    assert (census.versions, census.waiting) == ({1: 1, 3: 1}, 0)
    assert census.unopened == (lost,)
    # The key is found again, or the tenant is asked again.
    assert (await SealedRows(database, BEHIND).census()).unopened != ()
    assert await third.forget(garage.id, "email")
    assert not await third.forget(garage.id, "email")
    assert (await third.census()).unopened == ()


async def test_rows_that_are_no_sealed_text_at_all(
    database: Database, storage: Storage, garage: Tenant
) -> None:
    await _save(storage, garage, "email", "x")
    async with database.write() as connection:
        plain = sa.update(table).where(table.c.tenant_id == garage.id)
        await connection.execute(plain.values(config_encrypted='{"password":"Zw7-plain"}'))
    sealed = SealedRows(database, BEFORE)
    assert await sealed.waiting()
    census = await sealed.census()
    assert census.versions == {None: 1}
    assert "Zw7" not in repr(census)
    assert (await sealed.reseal()).count == 0


async def test_without_a_key_ring(database: Database, storage: Storage, garage: Tenant) -> None:
    await _save(storage, garage, "email", "x")
    sealed = SealedRows(database, None)
    census = await sealed.census()
    assert (census.versions, census.waiting) == ({1: 1}, 0)
    assert "ENCRYPTION_KEYS" in census.unopened[0].reason
    assert not await sealed.waiting()
    with pytest.raises(NoKey):
        await sealed.reseal()


async def test_every_column_of_sealed_texts_is_known() -> None:
    """What isn't rotated is lost with its key."""
    named = {str(place.column) for place in sealed_rows.PLACES}
    sealed = {
        str(column)
        for each in metadata.tables.values()
        for column in each.columns
        if column.name.endswith(("_encrypted", "sealed"))
    }
    assert sealed == named


async def test_the_addresses_of_calendars_are_given_the_newest_key(
    database: Database, clock: FakeClock, storage: Storage, garage: Tenant
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        added = await rows.calendars.add("https://calendar.example/s3cret.ics", "", "", "")
    rotation = SealedRows(database, PROMOTED)
    assert await rotation.waiting(older_only=True)
    assert (await rotation.census()).versions == {1: 1}
    assert (await rotation.reseal()).count == 1
    assert not await rotation.waiting()
    async with Storage(database, clock, AFTER).tenant(garage.id).read() as rows:
        source = await rows.calendars.source(added.id)
    assert source is not None
    assert source.url == "https://calendar.example/s3cret.ics"
    assert await rotation.forget(garage.id, f"calendar:{added.id}")
    async with storage.tenant(garage.id).read() as rows:
        assert await rows.calendars.external() == []
