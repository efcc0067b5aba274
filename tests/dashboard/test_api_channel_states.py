"""Channels on and off, whether they work and why not, and the addresses that owners give away."""

from dataclasses import replace
from typing import Any

import pytest

from domain.tenant import Tenant
from domain.webhook_keys import key_digest
from storage import NewCall, NewText, Storage
from tests.dashboard.api_client import (
    BOTH_DATABASES,
    SETTINGS,
    Client,
    assert_problem,
    session,
)
from tests.dashboard.test_api_credentials import EMAIL, SMTP, WHATSAPP, WHATSAPP_SECRET
from tests.fakes.clock import FakeClock

LINE = "02 61 91 00 01"
NUMBER_ID = WHATSAPP_SECRET["phoneNumberId"]


async def state(client: Client, channel: str) -> dict[str, Any]:
    """As the channel, the list and `etat` all say."""
    shown = (await client.get(f"/api/v1/channels/{channel}"))["channel"]["state"]
    listed = (await client.get("/api/v1/channels"))["channels"]
    assert next(each for each in listed if each["type"] == channel)["state"] == shown
    canaux = await client.get("/api/v1/channels/etat")
    canal = next(each for each in canaux["canaux"] if each["type"] == channel)
    assert (canal["actif"], canal["message"]) == (shown["active"], shown["message"])
    assert canaux["actifs"] == sum(each["actif"] for each in canaux["canaux"])
    assert ("bientot" in canal) is (shown["reason"] == "connecting")
    found: dict[str, Any] = {**shown, "pourquoi": canal["pourquoi"]}
    return found


async def why(client: Client, channel: str) -> tuple[str, str]:
    found = await state(client, channel)
    assert found["message"]
    return found["reason"], found["pourquoi"]


async def put(client: Client, channel: str, **body: Any) -> None:
    answer = await client.send("PUT", f"/api/v1/channels/{channel}", json=body)
    assert answer.status_code == 200, answer.text


async def prove(storage: Storage, tenant: Tenant, number: str = NUMBER_ID) -> None:
    async with storage.tenant(tenant.id).write() as rows:
        assert await rows.endpoints.take("phone_number_id", number, "whatsapp")


# ------------------------------------------------------------------------------- the states


async def test_nobody_has_configured_anything(owner: Client) -> None:
    assert await why(owner, "phone") == ("no_number", "aucun_numero")
    assert await why(owner, "sms") == ("not_offered", "hors_perimetre")
    assert await why(owner, "email") == ("not_configured", "non_configure")
    assert await why(owner, "whatsapp") == ("not_configured", "non_configure")


@BOTH_DATABASES
async def test_a_line_works_when_a_call_has_come_by_it(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    await put(owner, "phone", config={"clientPhoneNumber": LINE}, enabled=True)
    assert await why(owner, "phone") == ("number_unverified", "numero_non_verifie")
    await called(storage, garage, forwarded_from="+33261910002")
    assert await why(owner, "phone") == ("number_unverified", "numero_non_verifie")
    await called(storage, garage, forwarded_from="+33261910001")
    assert await why(owner, "phone") == ("works", "plateforme")
    await put(owner, "phone", enabled=False)
    assert await why(owner, "phone") == ("off", "desactive")
    assert "messagerie" in (await state(owner, "phone"))["message"]


async def test_a_dedicated_number_works(owner: Client, storage: Storage, garage: Tenant) -> None:
    await storage.operator.add_number(garage.id, "+33199001234")
    assert await why(owner, "phone") == ("works", "numero_dedie")


@pytest.mark.parametrize("settings", [replace(SETTINGS, sms_sender=True)])
async def test_sms(owner: Client) -> None:
    assert await why(owner, "sms") == ("off", "desactive")
    await put(owner, "sms", enabled=True)
    assert await why(owner, "sms") == ("works", "plateforme")
    await put(owner, "sms", config={"sender": "Garage"})
    assert await why(owner, "sms") == ("sends_only", "plateforme")


async def test_email_from_nothing_to_working(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    await put(owner, "email", config=EMAIL, enabled=True)
    assert await why(owner, "email") == ("sends_only", "connecte")
    async with storage.tenant(garage.id).write() as rows:
        await rows.outbox.pause("email", "535 5.7.8", "-")
    refused = await state(owner, "email")
    assert (refused["reason"], refused["code"]) == ("credentials_refused", "535 5.7.8")
    assert refused["since"]
    answer = await owner.send("POST", "/api/v1/channels/email/resume", json={})
    assert answer.json()["state"]["reason"] == "sends_only"
    async with storage.tenant(garage.id).write() as rows:
        await rows.outbox.pause("email", "no_tls", "-")
    paused = await state(owner, "email")
    assert (paused["reason"], paused["pourquoi"]) == ("paused", "gele")
    assert "chiffrée" in paused["message"]
    # The owner has acted.
    await put(owner, "email", config={"smtp": {**SMTP, "password": "autre"}})
    assert (await state(owner, "email"))["reason"] == "sends_only"


@BOTH_DATABASES
async def test_a_vendor_that_is_away(
    owner: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    await put(owner, "email", config=EMAIL, enabled=True)
    async with storage.tenant(garage.id).write() as rows:
        new = NewText(channel="email", to="lea@client.example", template="test", even_if_off=True)
        text = await rows.outbox.put(new)
        await rows.outbox.claim(text.id, text.id, vendor="smtp", sender="")
    async with storage.tenant(garage.id).write() as rows:
        await rows.outbox.put_back(await rows.outbox.get(text.id), clock.now(), "connect")
    assert await why(owner, "email") == ("vendor_down", "gele")


async def test_whatsapp_by_hand(owner: Client, storage: Storage, garage: Tenant) -> None:
    await put(owner, "whatsapp", config=WHATSAPP, configSecret=WHATSAPP_SECRET, enabled=True)
    assert await why(owner, "whatsapp") == ("number_unverified", "numero_non_verifie")
    refused = await owner.send("POST", "/api/v1/channels/whatsapp/webhook", json={})
    assert assert_problem(refused, 409)["code"] == "whatsapp_number_unproven"
    await prove(storage, garage)
    assert await why(owner, "whatsapp") == ("sends_only", "connecte")
    await put(owner, "whatsapp", configSecret={"app_secret": "app"})
    assert await why(owner, "whatsapp") == ("sends_only", "connecte")
    made = (await owner.send("POST", "/api/v1/channels/whatsapp/webhook", json={})).json()
    assert await why(owner, "whatsapp") == ("works", "connecte")
    key = made["url"].rpartition("/")[2]
    assert await storage.inbound.endpoint("key", key_digest(key)) == (garage.id, "whatsapp")
    shown = await owner.send("GET", "/api/v1/channels/whatsapp")
    assert shown.json()["channel"]["webhookUrl"] == made["url"]
    assert made["verifyToken"] not in shown.text
    again = (await owner.send("POST", "/api/v1/channels/whatsapp/webhook", json={})).json()
    assert again["url"] == made["url"]
    assert again["verifyToken"] != made["verifyToken"]
    # Another number is another's, until it is proven.
    await put(owner, "whatsapp", configSecret={"phoneNumberId": "109876543210988"})
    assert await why(owner, "whatsapp") == ("number_unverified", "numero_non_verifie")
    assert await storage.inbound.endpoint("phone_number_id", NUMBER_ID) is None


@pytest.mark.parametrize("settings", [replace(SETTINGS, whatsapp_app=True)])
async def test_whatsapp_by_the_operators_app(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    await put(owner, "whatsapp", config=WHATSAPP, configSecret=WHATSAPP_SECRET, enabled=True)
    await prove(storage, garage)
    assert await why(owner, "whatsapp") == ("works", "connecte")


async def test_whatsapp_on_its_way(
    owner: Client, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    # The old page's button, which led nowhere.
    await put(owner, "whatsapp", config={"connectionMethod": "oauth"}, enabled=True)
    assert await why(owner, "whatsapp") == ("not_configured", "non_configure")
    end = int(clock.now().timestamp()) + 60
    async with storage.tenant(garage.id).write() as rows:
        await rows.channels.save_secrets("whatsapp", {"onboardingState": f"connecting.{end}"})
    assert await why(owner, "whatsapp") == ("connecting", "en_cours")
    clock.advance(60)
    assert await why(owner, "whatsapp") == ("not_configured", "non_configure")


@BOTH_DATABASES
async def test_a_whatsapp_number_belongs_to_one_tenant(
    owner: Client, stranger: Client, storage: Storage, garage: Tenant
) -> None:
    await prove(storage, garage)
    for body in (
        {"configSecret": WHATSAPP_SECRET},
        {"config": {"phone_number_id": NUMBER_ID}, "configSecret": {"accessToken": "x"}},
    ):
        answer = await stranger.send("PUT", "/api/v1/channels/whatsapp", json=body)
        problem = assert_problem(answer, 409, "configSecret.phoneNumberId")
        assert problem["code"] == "whatsapp_number_taken"
        assert garage.name not in answer.text
    shown = (await stranger.get("/api/v1/channels/whatsapp"))["channel"]
    assert (shown["createdAt"], shown["secrets"]) == (None, {})
    await put(owner, "whatsapp", configSecret=WHATSAPP_SECRET)
    assert await storage.inbound.endpoint("phone_number_id", NUMBER_ID) == (garage.id, "whatsapp")


# ----------------------------------------------------------------------------- the switches


@BOTH_DATABASES
async def test_switches(owner: Client) -> None:
    for path, body in (("enable", {}), ("toggle", {"enabled": True})):
        prefix = "/api/channels" if path == "toggle" else "/api/v1/channels"
        answer = await owner.send("POST", f"{prefix}/email/{path}", json=body)
        assert assert_problem(answer, 400)["code"] == "channel_must_be_configured"
    await put(owner, "email", config=EMAIL, templates={"rdvRappel": "Bonjour"})
    for on in (True, True, False, False):
        answer = await owner.send("POST", "/api/channels/email/toggle", json={"enabled": on})
        told = answer.json()
        assert told.pop("message")
        assert told == {"success": True, "channelType": "email", "enabled": on}
        verb = "enable" if on else "disable"
        answer = await owner.send("POST", f"/api/v1/channels/email/{verb}")
        assert (answer.status_code, answer.json()["enabled"]) == (200, on)
        channel = (await owner.get("/api/v1/channels/email"))["channel"]
        assert (channel["enabled"], channel["templates"]) == (on, {"rdvRappel": "Bonjour"})
        assert channel["config"]["smtp"]["host"] == SMTP["host"]


@pytest.mark.parametrize("body", [{}, {"enabled": None}, {"enabled": "true"}, {"enabled": 1}])
async def test_a_toggle_says_which_way(owner: Client, body: dict[str, Any]) -> None:
    answer = await owner.send("POST", "/api/channels/phone/toggle", json=body)
    assert_problem(answer, 422, "enabled")
    assert (await owner.phone())["updatedAt"] is None


async def test_a_toggle_without_any_body_is_422(owner: Client) -> None:
    answer = await owner.send("POST", "/api/channels/phone/toggle")
    assert_problem(answer, 422, "enabled")


async def test_a_switch_keeps_the_line(owner: Client, storage: Storage, garage: Tenant) -> None:
    await put(owner, "phone", config={"clientPhoneNumber": LINE}, enabled=True)
    await owner.send("POST", "/api/channels/phone/toggle", json={"enabled": False})
    assert await storage.operator.tenant_by_line("+33261910001") == garage


async def test_the_missions_paths(owner: Client) -> None:
    answer = await owner.send("POST", "/api/channels/phone/config", json={})
    assert_problem(answer, 422, "config")
    sara = {"agent_type": "support", "new": 1}
    body = {"clientPhoneNumber": LINE, "sara": sara, "enabled": True}
    answer = await owner.send("POST", "/api/channels/phone/config", json=body)
    assert answer.json()["channelType"] == "phone"
    channel = (await owner.get("/api/channels/phone/config"))["channel"]
    assert channel == await owner.phone()
    assert channel["config"]["clientPhoneNumber"] == LINE
    assert channel["config"]["sara"]["agentType"] == "support"
    assert channel["config"]["sara"]["new"] == 1
    answer = await owner.send("PUT", "/api/channels/email/config", json={"config": EMAIL})
    assert answer.json()["configured"] is True
    assert_problem(await owner.send("GET", "/api/channels/fax/config"), 404)


async def test_agents_look_and_dont_touch(http: Any, owner: Client, garage: Tenant) -> None:
    agent = session(http, garage.id, "agent")
    assert (await agent.get("/api/v1/channels/etat"))["canaux"]
    for path in ("/api/channels/phone/toggle", "/api/v1/channels/email/inbound"):
        assert_problem(await agent.send("POST", path, json={"enabled": False}), 403)


# ---------------------------------------------------------------------------- inbound email


async def test_an_address_for_inbound_email(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    assert (await owner.get("/api/v1/channels/email/inbound"))["url"] is None
    first = (await owner.send("POST", "/api/v1/channels/email/inbound", json={})).json()
    second = (await owner.send("POST", "/api/v1/channels/email/inbound", json={})).json()
    keys = [each["url"].rpartition("/")[2] for each in (first, second)]
    assert len(set(keys)) == 2
    assert first["password"] != second["password"]
    assert await storage.inbound.endpoint("key", key_digest(keys[0])) is None
    assert await storage.inbound.endpoint("key", key_digest(keys[1])) == (garage.id, "email")
    async with storage.tenant(garage.id).read() as rows:
        kept = await rows.channels.secrets("email")
    assert kept == {"inboundKey": keys[1], "inboundPassword": second["password"]}
    shown = await owner.send("GET", "/api/v1/channels/email/inbound")
    assert (shown.json()["url"], shown.json()["user"]) == (second["url"], second["user"])
    assert second["password"] not in shown.text
    for _ in range(2):
        gone = await owner.send("DELETE", "/api/v1/channels/email/inbound")
        assert gone.status_code == 200
    assert await storage.inbound.endpoint("key", key_digest(keys[1])) is None
    assert (await owner.get("/api/v1/channels/email/inbound"))["url"] is None


@pytest.mark.parametrize("keyring", [None])
async def test_without_a_key_ring_there_is_no_address(owner: Client) -> None:
    answer = await owner.send("POST", "/api/v1/channels/email/inbound", json={})
    assert assert_problem(answer, 503, "configSecret")["code"] == "secrets_no_key"


async def test_presets(owner: Client) -> None:
    presets = (await owner.get("/api/v1/channels/email/presets"))["presets"]
    known = {each["id"]: (each["host"], each["port"], each["user"]) for each in presets}
    assert known["gmail"] == ("smtp.gmail.com", 587, None)
    assert known["outlook"] == ("smtp-mail.outlook.com", 587, None)
    assert known["sendgrid"] == ("smtp.sendgrid.net", 587, "apikey")
    assert all(each["hint"] for each in presets)


async def called(storage: Storage, tenant: Tenant, *, forwarded_from: str) -> None:
    call = NewCall(
        call_sid=f"CA{forwarded_from}",
        from_number="+33639981234",
        from_raw="",
        to_number=SETTINGS.shared_number or "",
        forwarded_from=forwarded_from,
        forwarded_from_raw="",
        tenant_id=tenant.id,
        found_by="forwarded_from",
        stage="opening",
    )
    await storage.operator.open_call(call, {"kind": "reject"}, None)
