"""360dialog's hub: channels, keys and what comes back from an onboarding."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import pytest_asyncio

from domain.errors import Invalid, ProviderError
from messaging.ports import Credentials
from providers.dialog360_hub import (
    Dialog360Hub,
    Partner,
    onboarding_url,
    partner_of,
    read_redirect,
)
from providers.whatsapp import WhatsAppApi, line_of
from sandbox.cloud_api import Account
from sandbox.dialog360 import Channel, Dialog360Emulator
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY_KEY = Partner("sandboxPA", "partner-key")
BY_LOGIN = Partner("sandboxPA", user="partner@example.fr", password="password")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def emulator() -> AsyncIterator[Dialog360Emulator]:
    emulator = Dialog360Emulator()
    for name, client, permitted in (("CHsalon", "CLsalon", True), ("CHother", "CLother", False)):
        number = Account(f"10{len(emulator.channels)}00000", "1022", "+33155550100")
        emulator.add(Channel(name, client, number, permitted=permitted))
    async with emulator.running():
        yield emulator


@pytest.mark.parametrize("partner", [BY_KEY, BY_LOGIN], ids=["key", "login"])
async def test_a_channel_is_looked_up(emulator: Dialog360Emulator, partner: Partner) -> None:
    async with Dialog360Hub(emulator.url, partner, emulator.url) as hub:
        channel = await hub.channel("CHsalon")
        assert channel is not None
        assert (channel.client_id, channel.number, channel.ready) == (
            "CLsalon",
            "+33155550100",
            True,
        )
        assert await hub.channel("CHnobody") is None


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_new_key_forgets_the_old_one_and_the_webhook(
    emulator: Dialog360Emulator, wrapped: bool
) -> None:
    emulator.wraps_keys = wrapped
    async with (
        Dialog360Hub(emulator.url, BY_KEY, emulator.url) as hub,
        WhatsAppApi("http://127.0.0.1:9", "v25.0", emulator.url) as api,
    ):
        first = line_of(Credentials({}, {"d360ApiKey": (await hub.create_key("CHsalon")).api_key}))
        assert first is not None
        url = "https://voice.example.fr/webhooks/whatsapp/k"
        await api.set_webhook(first, url, {"X-Webhook-Secret": "secret"})
        assert emulator.channels["CHsalon"].webhook_headers == {"X-Webhook-Secret": "secret"}
        second = line_of(Credentials({}, {"d360ApiKey": (await hub.create_key("CHsalon")).api_key}))
        assert second is not None
        with pytest.raises(ProviderError):
            await api.webhook(first)
        assert await api.webhook(second) == ""


async def test_keys_that_arent_ours_to_make(emulator: Dialog360Emulator) -> None:
    async with Dialog360Hub(emulator.url, BY_KEY, emulator.url) as hub:
        with pytest.raises(ProviderError) as refused:
            await hub.create_key("CHother")
        assert refused.value.status == 403
    for partner in (Partner("sandboxPA", "wrong"), Partner("otherPA", "partner-key")):
        async with Dialog360Hub(emulator.url, partner, emulator.url) as hub:
            with pytest.raises(ProviderError):
                await hub.channel("CHsalon")


async def test_a_key_for_another_host_is_thrown_away(emulator: Dialog360Emulator) -> None:
    async with Dialog360Hub(emulator.url, BY_KEY, emulator.url) as hub:
        emulator.address = "https://waba-eu.360dialog.io"
        assert (await hub.create_key("CHsalon")).address == "https://waba-eu.360dialog.io"
        emulator.address = "https://360dialog.io.evil.fr"
        with pytest.raises(ProviderError):
            await hub.create_key("CHsalon")
        emulator.address = ""


async def test_what_the_settings_name() -> None:
    assert partner_of("abcPA", "key", None) == Partner("abcPA", "key")
    assert partner_of("a@b.fr", "pw", "abcPA") == Partner("abcPA", user="a@b.fr", password="pw")
    assert partner_of("a@b.fr", "pw", None) is None
    assert partner_of("abcPA", None, None) is None
    assert "key" not in repr(Partner("abcPA", "key"))


async def test_where_a_tenant_signs_up() -> None:
    now = FakeClock().now()
    url = onboarding_url(
        "abcPA", state="s" * 32, redirect_url="https://v.fr/cb", now=now, platform_secret="secret"
    )
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    stamp = str(int(now.timestamp()))
    assert urlsplit(url).path == "/onboarding/abcPA"
    assert query == {
        "redirect_url": "https://v.fr/cb",
        "state": "s" * 32,
        "io_timestamp": stamp,
        "io_signature": hmac.new(b"secret", f"abcPA|{stamp}".encode(), hashlib.sha256).hexdigest(),
    }


async def test_what_comes_back(emulator: Dialog360Emulator) -> None:
    channels = tuple(emulator.channels.values())
    came = dict(parse_qsl(emulator.redirect("s" * 32, *channels, revoked=("CHold1",))))
    redirect = read_redirect(came)
    assert (redirect.channels, redirect.revoked) == (("CHsalon", "CHother"), ("CHold1",))
    assert (redirect.client_id, redirect.state) == ("CLsalon", "s" * 32)
    for wrong in (
        {**came, "state": "short"},
        {**came, "channels": "[CH1/../x]"},
        {**came, "client": ""},
    ):
        with pytest.raises(Invalid):
            read_redirect(wrong)
