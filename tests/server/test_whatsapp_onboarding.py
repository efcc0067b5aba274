"""Connecting a number by 360dialog: whose it becomes, and whose it doesn't."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette

from domain.channel_state import onboarding_runs
from domain.jobs import Again, Job
from domain.webhook_keys import key_digest
from messaging.ports import Credentials, OutgoingText
from sandbox.cloud_api import Account, Person
from sandbox.dialog360 import Channel, Dialog360Emulator
from sandbox.meta import MetaEmulator
from server.settings import Settings
from server.texts import TextVendors, text_vendors
from server.whatsapp_onboarding import (
    CALLBACK,
    CONNECT,
    STATE_LIVES,
    Onboarding,
    onboarding,
    onboarding_jobs,
)
from storage import Database, Storage
from storage.secrets import KeyRing
from tests.fakes.clock import FakeClock


class World:
    """A deployment with 360dialog's partner account, and two tenants."""

    def __init__(self, storage: Storage, clock: FakeClock, hub: Dialog360Emulator) -> None:
        self.storage, self.clock, self.hub = storage, clock, hub
        self.salon = self.garage = ""
        self.way: Onboarding
        self.settings: Settings
        self.vendors: TextVendors

    async def state(self, tenant_id: str) -> str:
        url = await self.way.begin(tenant_id)
        return parse_qs(urlsplit(url).query)["state"][0]

    async def back(self, state: str, *channels: Channel, revoked: tuple[str, ...] = ()) -> int:
        app = Starlette(routes=self.way.routes())
        query = self.hub.redirect(state, *channels, revoked=revoked)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://us") as browser:
            answer = await browser.get(f"{CALLBACK}?{query}&code=ignored")
        assert state not in answer.text
        return answer.status_code

    async def work(
        self, tenant_id: str, *channels: Channel, client: str = "", revoked: tuple[str, ...] = ()
    ) -> Again | None:
        _, kind = onboarding_jobs(self.settings, self.storage, self.clock, self.vendors)
        payload = {
            "tenant_id": tenant_id,
            "client_id": client or (channels[0].client_id if channels else "CLnone"),
            "channels": [channel.id for channel in channels],
            "revoked": list(revoked),
            "until": (self.clock.now() + STATE_LIVES).isoformat(),
        }
        return await kind.handler(Job("1", CONNECT, payload, 1, tenant_id))

    async def credentials(self, tenant_id: str) -> Credentials:
        async with self.storage.tenant(tenant_id).read() as rows:
            channel = await rows.channels.get("whatsapp")
            return Credentials(channel.config, rows.channels.opened(channel))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock, emulator = FakeClock(), Dialog360Emulator(now=lambda: 1764081000.0)
    database = await Database.open(f"sqlite:///{tmp_path}/onboarding.sqlite3")
    storage = Storage(database, clock, KeyRing({1: hashlib.sha256(b"test").digest()}))
    world = World(storage, clock, emulator)
    async with emulator.running() as url:
        world.settings = Settings.of(
            public_url="http://127.0.0.1",
            dialog360_base_url=url,
            dialog360_hub_base_url=url,
            whatsapp_360dialog_client_id="sandboxPA",
            whatsapp_360dialog_client_secret="partner-key",
            whatsapp_360dialog_platform_secret="platform",
        )
        way = onboarding(world.settings, storage, clock)
        assert way is not None
        world.way = way
        for name in ("salon", "garage"):
            tenant = await storage.operator.create_tenant(name)
            setattr(world, name, tenant.id)
            emulator.add(
                Channel(f"CH{name}", f"CL{name}", Account(f"1{name}", "1022", "+33155550100"))
            )
        async with text_vendors(world.settings, storage, clock) as vendors:
            world.vendors = vendors
            yield world
    await database.close()


async def test_a_number_is_connected_and_its_webhook_carries_our_secret(world: World) -> None:
    channel = world.hub.channels["CHsalon"]
    assert await world.back(await world.state(world.salon), channel) == 200
    now = world.clock.now().timestamp()
    assert onboarding_runs((await world.credentials(world.salon)).secrets, now)
    assert await world.work(world.salon, channel) is None
    kept = await world.credentials(world.salon)
    assert kept.secrets["d360ApiKey"] == channel.api_key
    assert kept.config["whatsappNumber"] == "+33155550100"
    key = channel.webhook_url.rpartition("/")[2]
    assert channel.webhook_url == f"http://127.0.0.1/webhooks/whatsapp/{key}"
    assert channel.webhook_headers == {"x-webhook-secret": kept.secrets["webhookSecret"]}
    assert await world.storage.inbound.endpoint("key", key_digest(key)) == (
        world.salon,
        "whatsapp",
    )
    assert "onboardingState" not in kept.secrets
    # It sends.
    world.hub.api.people.append(Person("+33612345678", "FR.1", wrote_at=1764081000.0))
    text = OutgoingText("f" * 32, world.salon, "whatsapp", "+33612345678", "Bonjour")
    assert (await world.vendors.senders["whatsapp"].send(text, kept)).vendor_id
    # Once more, as after a crash: no second key, and the webhook is there again.
    before, channel.webhook_url = channel.api_key, ""
    await world.work(world.salon, channel)
    assert channel.api_key == before
    assert channel.webhook_url
    async with world.storage.tenant(world.salon).read() as rows:
        assert (await rows.channels.get("whatsapp")).configured


async def test_a_state_is_good_once_in_time_and_for_its_tenant(world: World) -> None:
    channel = world.hub.channels["CHsalon"]
    state = await world.state(world.salon)
    assert await world.back(state[:-1] + ("a" if state[-1] != "a" else "b"), channel) == 400
    assert await world.back(state.replace(world.salon, world.garage), channel) == 400
    assert await world.back(state.replace(world.salon, "0" * 32), channel) == 400
    assert await world.back(state, channel) == 200
    assert await world.back(state, channel) == 400
    older, newer = await world.state(world.salon), await world.state(world.salon)
    assert await world.back(older, channel) == 400
    world.clock.advance(STATE_LIVES)
    world.clock.advance(1)
    assert await world.back(newer, channel) == 400


async def test_nobody_gets_anothers_number(world: World) -> None:
    salons = world.hub.channels["CHsalon"]
    # Of another client than came back; then named rightly, but another tenant's already.
    await world.work(world.garage, salons, client="CLgarage")
    assert salons.api_key == ""
    await world.work(world.salon, salons)
    key = salons.api_key
    await world.work(world.garage, salons)
    assert salons.api_key == key
    assert "d360ApiKey" not in (await world.credentials(world.garage)).secrets
    # What somebody else claims to take back stays.
    await world.work(world.garage, revoked=("CHsalon",))
    assert "d360ApiKey" in (await world.credentials(world.salon)).secrets
    await world.work(world.salon, revoked=("CHsalon",))
    assert "d360ApiKey" not in (await world.credentials(world.salon)).secrets


async def test_a_number_that_isnt_running_is_looked_at_again(world: World) -> None:
    channel = world.hub.channels["CHsalon"]
    channel.status = "pending"
    again = await world.work(world.salon, channel)
    assert isinstance(again, Again)
    assert channel.api_key == ""
    channel.status = "running"
    assert await world.work(world.salon, channel) is None
    assert channel.api_key


async def test_a_number_is_whose_token_opens_it(tmp_path: Path) -> None:
    number = "106540352242922"
    meta = MetaEmulator({"EAAGsalon": frozenset({number}), "EAAGother": frozenset()})
    meta.add(Account(number, "1022", "+33155550100"))
    clock = FakeClock()
    database = await Database.open(f"sqlite:///{tmp_path}/proving.sqlite3")
    storage = Storage(database, clock, KeyRing({1: hashlib.sha256(b"test").digest()}))
    tenants = [(await storage.operator.create_tenant(name)).id for name in ("Salon", "Autre")]
    async with meta.running() as graph:
        settings = Settings.of(whatsapp_base_url=graph)
        assert onboarding(settings, storage, clock) is None
        async with text_vendors(settings, storage, clock) as vendors:
            (kind,) = onboarding_jobs(settings, storage, clock, vendors)
            for tenant, token in zip(tenants[::-1], ("EAAGother", "EAAGsalon"), strict=True):
                async with storage.tenant(tenant).write() as rows:
                    given = {"accessToken": token, "phoneNumberId": number}
                    await rows.channels.save_secrets("whatsapp", given)
                for _ in range(2):
                    await kind.handler(Job("1", kind.name, {"tenant_id": tenant}, 1, tenant))
        found = await storage.inbound.endpoint("phone_number_id", number)
        assert found == (tenants[0], "whatsapp")
        async with storage.tenant(tenants[0]).read() as rows:
            key = (await rows.channels.secrets("whatsapp"))["webhookKey"]
        assert await storage.inbound.endpoint("key", key_digest(key)) == found
        async with storage.tenant(tenants[1]).read() as rows:
            assert "webhookKey" not in await rows.channels.secrets("whatsapp")
            pause = await rows.outbox.paused("whatsapp")
            assert pause is not None
            # Once, however often it was asked.
            assert len((await rows.notifications.list(unread=True, limit=9, offset=0))[0]) == 1
    await database.close()
