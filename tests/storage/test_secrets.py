"""What tenants entrust to us: sealed, bound to its place, merged, and never in a plain column."""

import asyncio
import json
import secrets
from datetime import timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid, OperatorError
from domain.tenant import Tenant
from storage import Database, KeyRing, Storage
from storage.schema import channel_configurations as table
from storage.secrets import NoKey, Unreadable, key_version
from tests.fakes.clock import START, FakeClock

KEY_1, KEY_2 = secrets.token_bytes(32), secrets.token_bytes(32)
RING = KeyRing({1: KEY_1})
#: Long and unmistakable: what is searched for in everything that was written.
PASSWORD = "Zw7!motdepasse-tres-reconnaissable"


@pytest.fixture
def keyring() -> KeyRing:
    return RING


async def _row(database: Database, tenant: Tenant, channel: str) -> dict[str, object]:
    async with database.read() as connection:
        statement = sa.select(table).where(
            table.c.tenant_id == tenant.id, table.c.channel_type == channel
        )
        return dict((await connection.execute(statement)).mappings().one())


# ------------------------------------------------------------------------------ the key ring


texts = st.text(max_size=30)
channels = st.sampled_from(["phone", "sms", "email", "whatsapp"])


@given(st.binary(max_size=300), texts, channels)
def test_what_was_sealed_opens(plaintext: bytes, tenant: str, channel: str) -> None:
    for ring in (RING, KeyRing({7: KEY_2, 1: KEY_1})):
        sealed = ring.seal(plaintext, tenant, channel)
        assert ring.open(sealed, tenant, channel) == plaintext
        assert key_version(sealed) == ring.newest
        assert sealed.startswith(f"v1.{ring.newest}.")


@given(st.binary(min_size=1, max_size=60), st.data())
def test_any_flipped_bit_is_an_error(plaintext: bytes, data: st.DataObject) -> None:
    sealed = RING.seal(plaintext, "garage", "email").encode()
    at = data.draw(st.integers(0, len(sealed) * 8 - 1))
    flipped = bytearray(sealed)
    flipped[at // 8] ^= 1 << (at % 8)
    with pytest.raises(Unreadable):
        RING.open(flipped.decode("latin-1"), "garage", "email")


@given(st.binary(max_size=60), texts, channels, texts, channels)
def test_it_opens_in_its_place_alone(
    plaintext: bytes, tenant: str, channel: str, other: str, elsewhere: str
) -> None:
    sealed = RING.seal(plaintext, tenant, channel)
    if (other, elsewhere) != (tenant, channel):
        with pytest.raises(Unreadable):
            RING.open(sealed, other, elsewhere)


@given(st.binary(max_size=60), st.integers(2, 999_999))
def test_it_opens_as_its_own_version_alone(plaintext: bytes, version: int) -> None:
    """The very same key under another number, and the number of another key."""
    sealed = RING.seal(plaintext, "garage", "email")
    renumbered = sealed.replace("v1.1.", f"v1.{version}.", 1)
    for ring in (KeyRing({version: KEY_1}), KeyRing({1: KEY_1, version: KEY_2})):
        with pytest.raises(Unreadable):
            ring.open(renumbered, "garage", "email")


@given(st.text(max_size=80))
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(Unreadable):
        RING.open(text, "garage", "email")
    with pytest.raises(Unreadable):
        RING.open("v1.1." + text, "garage", "email")


def test_two_seals_of_the_same_differ() -> None:
    assert len({RING.seal(b"same", "garage", "email") for _ in range(200)}) == 200


def test_errors_say_where_and_which_key_and_nothing_else() -> None:
    sealed = KeyRing({3: KEY_2}).seal(PASSWORD.encode(), "garage", "email")
    with pytest.raises(Unreadable) as unknown:
        RING.open(sealed, "garage", "email")
    assert "key version 3" in str(unknown.value)
    assert "ENCRYPTION_KEYS" in str(unknown.value)
    with pytest.raises(Unreadable) as wrong:
        KeyRing({3: KEY_1}).open(sealed, "garage", "email")
    for error in (unknown, wrong):
        told = str(error.value)
        assert "tenant garage, channel email" in told
        assert PASSWORD not in told
        assert sealed.split(".")[2] not in told
        assert KEY_1.hex() not in told
        assert isinstance(error.value, OperatorError)
    # Nothing of it in the chain either, which a traceback would print.
    assert wrong.value.__cause__ is None
    assert wrong.value.__suppress_context__


def test_a_ring_shows_no_key() -> None:
    ring = KeyRing({2: KEY_2, 1: KEY_1})
    assert ring.versions == (2, 1)
    for shown in (repr(ring), str(ring), f"{ring!r}"):
        assert shown == "KeyRing(versions 2, 1)"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, "no encryption key is set"),
        ({1: b"short"}, "isn't 32 bytes"),
        ({1: b"x" * 32}, "is one character repeated"),
        ({0: KEY_1}, "a key version must be"),
        ({1_000_000: KEY_1}, "a key version must be"),
        ({2: KEY_1, 1: KEY_1}, "versions 2 and 1 have the same key"),
    ],
)
def test_rings_that_are_refused(keys: dict[int, bytes], told: str) -> None:
    with pytest.raises(OperatorError, match=told) as refused:
        KeyRing(keys)
    assert "openssl rand -hex 32" in str(refused.value) or "version must be" in told


# ----------------------------------------------------------------------------- rows.channels


async def test_secrets_come_back_and_are_merged(
    storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    handle = storage.tenant(garage.id)
    async with handle.write() as rows:
        assert await rows.channels.secrets("whatsapp") == {}
        assert not await rows.channels.has_secrets("whatsapp")
        first = {"accessToken": PASSWORD, "verifyToken": "été", "appSecret": "weg", "n": 12}
        await rows.channels.save_secrets("whatsapp", first)
        assert await rows.channels.secrets("whatsapp") == first
    clock.advance(5)
    async with handle.write() as rows:
        await rows.channels.save_secrets(
            "whatsapp",
            {"accessToken": "", "verifyToken": "••••••••able", "appSecret": None, "apiKey": "new"},
        )
    async with handle.read() as rows:
        kept = {"accessToken": PASSWORD, "verifyToken": "été", "n": 12, "apiKey": "new"}
        assert await rows.channels.secrets("whatsapp") == kept
        channel = await rows.channels.get("whatsapp")
        assert rows.channels.opened(channel) == kept
        assert channel.has_secrets
        assert PASSWORD not in repr(channel)
        assert channel.updated_at == START + timedelta(seconds=5)
        assert await rows.channels.secrets("email") == {}
    async with handle.write() as rows:
        await rows.channels.save_secrets("whatsapp", dict.fromkeys(kept))
        assert not await rows.channels.has_secrets("whatsapp")


async def test_what_keeps_everything_writes_nothing(
    storage: Storage, database: Database, garage: Tenant
) -> None:
    handle = storage.tenant(garage.id)
    async with handle.write() as rows:
        await rows.channels.save_secrets("email", {"smtp.password": PASSWORD})
    before = await _row(database, garage, "email")
    async with handle.write() as rows:
        await rows.channels.save_secrets("email", {"smtp.password": "  ", "never": ""})
        await rows.channels.save_secrets("email", {"smtp.password": PASSWORD, "gone": None})
    assert await _row(database, garage, "email") == before


async def test_unknown_types_and_values_are_refused(storage: Storage, garage: Tenant) -> None:
    async with storage.tenant(garage.id).write() as rows:
        for act in (rows.channels.secrets, rows.channels.has_secrets):
            with pytest.raises(Invalid):
                await act("fax")
        with pytest.raises(Invalid):
            await rows.channels.save_secrets("fax", {"a": "b"})
        for value in (float("nan"), object()):
            with pytest.raises(Invalid, match="JSON"):
                await rows.channels.save_secrets("email", {"a": value})
        with pytest.raises(Invalid, match="at most"):
            await rows.channels.save_secrets("email", {f"k{n}": "v" for n in range(33)})


async def test_a_password_inside_the_configuration_is_taken_out_by_whoever_saves_it(
    storage: Storage, database: Database, garage: Tenant
) -> None:
    config = {"smtp": {"host": "smtp.example", "user": "apikey", "password": PASSWORD}}
    async with storage.tenant(garage.id).write() as rows:
        saved = await rows.channels.save("email", enabled=True, config=config)
        assert saved.config == {"smtp": {"host": "smtp.example", "user": "apikey"}}
        assert await rows.channels.secrets("email") == {"smtp.password": PASSWORD}
    row = await _row(database, garage, "email")
    assert PASSWORD not in json.dumps(row, default=str)
    assert str(row["config_encrypted"]).startswith("v1.1.")


async def test_what_an_older_version_left_in_plain_is_not_shown_and_sealed_at_the_next_save(
    storage: Storage, database: Database, garage: Tenant
) -> None:
    handle = storage.tenant(garage.id)
    async with handle.write() as rows:
        await rows.channels.save("phone", enabled=True, config={})
        await rows.channels.save_secrets("phone", {"accessToken": "newer"})
    async with database.write() as connection:
        plain = {"note": "x", "apiKey": PASSWORD, "access_token": "older"}
        await connection.execute(sa.update(table).values(config_public=plain))
    async with handle.read() as rows:
        assert (await rows.channels.get("phone")).config == {"note": "x"}
        assert [each.config.get("apiKey") for each in await rows.channels.list()] == [None] * 4
    async with handle.write() as rows:
        channel = await rows.channels.get("phone")
        await rows.channels.save("phone", enabled=True, config=channel.config)
        sealed = {"accessToken": "newer", "apiKey": PASSWORD}
        assert await rows.channels.secrets("phone") == sealed
    assert (await _row(database, garage, "phone"))["config_public"] == {"note": "x"}


async def test_without_a_key_nothing_is_kept_and_nothing_read(
    storage: Storage, database: Database, garage: Tenant, clock: FakeClock
) -> None:
    keyless = Storage(database, clock).tenant(garage.id)
    for attempt in ({"smtp": {"password": PASSWORD}}, {"apiKey": PASSWORD}):
        with pytest.raises(NoKey, match="ENCRYPTION_KEYS"):
            async with keyless.write() as rows:
                await rows.channels.save("email", enabled=True, config=attempt)
    with pytest.raises(NoKey):
        async with keyless.write() as rows:
            await rows.channels.save_secrets("email", {"smtp.password": PASSWORD})
    async with keyless.read() as rows:
        assert (await rows.channels.get("email")).updated_at is None
        assert await rows.channels.secrets("email") == {}
    async with storage.tenant(garage.id).write() as rows:
        await rows.channels.save_secrets("email", {"smtp.password": PASSWORD})
    async with keyless.read() as rows:
        with pytest.raises(NoKey):
            await rows.channels.secrets("email")
        with pytest.raises(NoKey):
            rows.channels.opened(await rows.channels.get("email"))
        assert await rows.channels.has_secrets("email")
    # What has nothing to do with secrets goes on.
    async with keyless.write() as rows:
        await rows.channels.save("email", enabled=True, config={"smtp": {"password": ""}})


async def test_a_wrong_key_changes_nothing(
    storage: Storage, database: Database, garage: Tenant, clock: FakeClock
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.channels.save_secrets("email", {"smtp.password": PASSWORD})
    before = await _row(database, garage, "email")
    for ring in (KeyRing({1: KEY_2}), KeyRing({2: KEY_2})):
        other = Storage(database, clock, ring).tenant(garage.id)
        with pytest.raises(Unreadable):
            async with other.read() as rows:
                await rows.channels.secrets("email")
        with pytest.raises(Unreadable):
            async with other.write() as rows:
                await rows.channels.save(
                    "email", enabled=True, config={"host": "x", "apiKey": "new"}
                )
    assert await _row(database, garage, "email") == before


async def test_a_row_copied_to_another_tenant_or_channel_does_not_open(
    storage: Storage, database: Database, garage: Tenant, dentist: Tenant
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.channels.save_secrets("email", {"smtp.password": PASSWORD})
    stolen = (await _row(database, garage, "email"))["config_encrypted"]
    for tenant, channel in ((dentist, "email"), (garage, "whatsapp")):
        async with storage.tenant(tenant.id).write() as rows:
            await rows.channels.save(channel, enabled=True, config={})
        async with database.write() as connection:
            await connection.execute(
                sa.update(table)
                .where(table.c.tenant_id == tenant.id, table.c.channel_type == channel)
                .values(config_encrypted=stolen)
            )
        async with storage.tenant(tenant.id).read() as rows:
            with pytest.raises(Unreadable, match="was altered"):
                await rows.channels.secrets(channel)


async def test_two_who_save_at_once_both_keep_theirs(
    storage: Storage, url: str, garage: Tenant
) -> None:
    other = await Database.open(url)
    try:
        handles = (storage.tenant(garage.id), Storage(other, FakeClock(), RING).tenant(garage.id))

        async def save(number: int) -> None:
            async with handles[number % 2].write() as rows:
                await rows.channels.save_secrets("whatsapp", {f"key{number}": "v"})

        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(save(number))
        async with handles[0].read() as rows:
            assert set(await rows.channels.secrets("whatsapp")) == {f"key{n}" for n in range(8)}
    finally:
        await other.close()
