"""Credentials go in through the pages' own shapes, and nothing but their names comes out."""

import json
import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from domain.tenant import Tenant
from storage import Database, KeyRing, Storage
from storage.schema import channel_configurations as table
from tests.dashboard.api_client import BOTH_DATABASES, SETTINGS, Client, assert_problem
from tests.shared_database import OWN_FILE

#: Long and unmistakable: what is searched for in everything that was answered or written.
PASSWORD = "Zw7!motdepasse-tres-reconnaissable"
TOKEN = "EAAG-jeton-tres-reconnaissable-9Qx4"

#: real-users.md §1.4: what the email page sends.
SMTP: dict[str, Any] = {
    "host": "smtp.gmail.com",
    "port": 587,
    "secure": True,
    "user": "contact@garage.example",
    "password": PASSWORD,
    "fromEmail": "contact@garage.example",
    "fromName": "Garage du Port",
}
EMAIL: dict[str, Any] = {
    "smtp": SMTP,
    "templates": {
        "rdvConfirmation": True,
        "rdvRappel": True,
        "newsletter": False,
        "promotions": False,
    },
}
WHATSAPP: dict[str, Any] = {
    "connectionMethod": "manual",
    "whatsappNumber": "Non spécifié",
    "templates": {"rdvConfirmation": True, "reponseAuto": True},
}
WHATSAPP_SECRET = {"accessToken": TOKEN, "phoneNumberId": "109876543210987"}


async def put(client: Client, channel: str, **body: Any) -> httpx.Response:
    return await client.send("PUT", f"/api/v1/channels/{channel}", json=body)


async def saved(client: Client, channel: str, **body: Any) -> dict[str, Any]:
    answer = await put(client, channel, **body)
    assert answer.status_code == 200, answer.text
    assert PASSWORD not in answer.text
    assert TOKEN not in answer.text
    found: dict[str, Any] = answer.json()
    return found


async def shown(client: Client, channel: str) -> dict[str, Any]:
    answer = await client.send("GET", f"/api/v1/channels/{channel}")
    assert answer.status_code == 200, answer.text
    assert PASSWORD not in answer.text
    assert TOKEN not in answer.text
    found: dict[str, Any] = answer.json()["channel"]
    return found


def files(folder: Path) -> list[bytes]:
    """The database's, its write-ahead log included."""
    return [file.read_bytes() for file in folder.glob("database.sqlite3*")]


async def secrets_of(storage: Storage, tenant: Tenant, channel: str) -> dict[str, Any]:
    async with storage.tenant(tenant.id).read() as rows:
        return await rows.channels.secrets(channel)


# --------------------------------------------------------------------------------- email


@BOTH_DATABASES
async def test_the_email_page(owner: Client, storage: Storage, garage: Tenant) -> None:
    assert (await shown(owner, "email"))["configured"] is False
    answer = await saved(owner, "email", config=EMAIL, enabled=True)
    del answer["message"]
    assert answer == {
        "success": True,
        "channelType": "email",
        "enabled": True,
        "configured": True,
    }
    channel = await shown(owner, "email")
    assert channel["config"]["smtp"] == {k: v for k, v in SMTP.items() if k != "password"}
    assert channel["config"]["templates"] == EMAIL["templates"]
    assert channel["secrets"] == {"smtp.password": "••••••••able"}
    assert (channel["enabled"], channel["configured"]) == (True, True)
    assert await secrets_of(storage, garage, "email") == {"smtp.password": PASSWORD}
    listed = (await owner.get("/api/v1/channels"))["channels"]
    assert [each["configured"] for each in listed] == [True, False, True, False]
    # What the page has read, it sends back: with an empty password, or a masked one, or none.
    for again in ("", "••••••••", "••••••••able", None):
        smtp = {**channel["config"]["smtp"], "fromName": f"Garage {again}"}
        if again is not None:
            smtp["password"] = again
        answer = await saved(owner, "email", config={**channel["config"], "smtp": smtp})
        assert answer["configured"] is True
        assert await secrets_of(storage, garage, "email") == {"smtp.password": PASSWORD}
    assert (await shown(owner, "email"))["config"]["smtp"]["fromName"] == "Garage None"
    await saved(owner, "email", config={"smtp": {"password": "new"}})
    assert await secrets_of(storage, garage, "email") == {"smtp.password": "new"}
    assert (await shown(owner, "email"))["secrets"] == {"smtp.password": "••••••••"}
    answer = await saved(owner, "email", configSecret={"smtp": {"password": None}})
    assert answer["configured"] is False
    assert await secrets_of(storage, garage, "email") == {}


@pytest.mark.parametrize("missing", ["host", "user", "password", "fromEmail"])
async def test_email_is_configured_when_all_of_it_is_there(owner: Client, missing: str) -> None:
    for value in ("", "  ", None):
        config = {"smtp": {**SMTP, missing: value}}
        assert (await saved(owner, "email", config=config, enabled=True))["configured"] is False
    assert (await saved(owner, "email", config={"smtp": SMTP}))["configured"] is True


async def test_templates_and_unknown_keys_stay(owner: Client) -> None:
    config = {**EMAIL, "later": {"deep": [1, None]}, "smtp": {**SMTP, "region": "eu"}}
    await saved(owner, "email", config=config, templates={"rdvRappel": "Bonjour"}, enabled=True)
    await saved(owner, "email", config={"smtp": {"host": "smtp.example"}})
    await saved(owner, "email", templates=None)
    channel = await shown(owner, "email")
    assert channel["templates"] == {"rdvRappel": "Bonjour"}
    assert channel["config"]["later"] == {"deep": [1, None]}
    assert channel["config"]["smtp"]["region"] == "eu"
    assert channel["config"]["smtp"]["host"] == "smtp.example"
    assert (channel["enabled"], channel["configured"]) == (True, True)


# -------------------------------------------------------------------- whatsapp, sms, phone


@BOTH_DATABASES
async def test_the_whatsapp_page(owner: Client, storage: Storage, garage: Tenant) -> None:
    answer = await saved(
        owner, "whatsapp", config=WHATSAPP, configSecret=WHATSAPP_SECRET, enabled=False
    )
    assert (answer["enabled"], answer["configured"]) == (False, True)
    channel = await shown(owner, "whatsapp")
    assert channel["config"]["whatsappNumber"] == "Non spécifié"
    assert channel["secrets"] == {"accessToken": "••••••••9Qx4", "phoneNumberId": "••••••••"}
    await saved(owner, "whatsapp", configSecret={"appSecret": "weg", "verify_token": "abc"})
    await saved(owner, "whatsapp", configSecret={"accessToken": "", "phoneNumberId": "••••"})
    kept = {**WHATSAPP_SECRET, "appSecret": "weg", "verifyToken": "abc"}
    assert await secrets_of(storage, garage, "whatsapp") == kept
    answer = await saved(owner, "whatsapp", configSecret={"access_token": None})
    assert answer["configured"] is False
    # Some pages put all of it into `config`.
    answer = await saved(owner, "whatsapp", config={**WHATSAPP, "access_token": TOKEN})
    assert answer["configured"] is True
    assert (await shown(owner, "whatsapp"))["config"].keys() == WHATSAPP.keys()


async def test_sms_is_configured_by_the_deployment(owner: Client) -> None:
    answer = await saved(owner, "sms", config={"templates": {"promotions": True}}, enabled=True)
    assert (answer["enabled"], answer["configured"]) == (True, False)
    assert (await shown(owner, "sms"))["config"]["templates"]["rdvRappel"] is True


@pytest.mark.parametrize("settings", [replace(SETTINGS, sms_sender=True)])
async def test_sms_has_a_sender(owner: Client) -> None:
    assert (await shown(owner, "sms"))["configured"] is True
    assert (await saved(owner, "sms", enabled=True))["configured"] is True
    assert (await owner.get("/api/v1/channels"))["channels"][1]["configured"] is True


async def test_the_phone_keeps_a_key_of_the_tenants_own(
    owner: Client, storage: Storage, garage: Tenant
) -> None:
    await saved(owner, "phone", configSecret={"openaiApiKey": f" {TOKEN} "}, enabled=True)
    channel = await shown(owner, "phone")
    assert channel["secrets"] == {"openaiApiKey": "••••••••9Qx4"}
    assert "openaiApiKey" not in channel["config"]
    assert await secrets_of(storage, garage, "phone") == {"openaiApiKey": TOKEN}


@pytest.mark.parametrize("key", ["clé", "a\nb", "x" * 1025, 12, ["a"]])
async def test_a_key_that_no_header_can_carry_is_refused(owner: Client, key: object) -> None:
    for sent in ({"config": {"openai_api_key": key}}, {"configSecret": {"openaiApiKey": key}}):
        answer = await put(owner, "phone", enabled=True, **sent)
        problem = assert_problem(answer, 422, "configSecret.openaiApiKey")
        assert problem["code"] == "secret_unusable"
    assert (await shown(owner, "phone"))["updatedAt"] is None


async def test_a_secret_sent_twice_differently_is_refused(owner: Client) -> None:
    answer = await put(
        owner, "whatsapp", config={"accessToken": TOKEN}, configSecret={"access_token": PASSWORD}
    )
    assert_problem(answer, 422, "accessToken")
    assert TOKEN not in answer.text
    assert PASSWORD not in answer.text
    assert (await shown(owner, "whatsapp"))["updatedAt"] is None


# ---------------------------------------------------------------- whose, and when it fails


async def test_body_and_headers_never_choose_the_tenant(
    owner: Client, stranger: Client, storage: Storage, garage: Tenant, dentist: Tenant
) -> None:
    for channel in ("phone", "sms", "email", "whatsapp"):
        answer = await stranger.send(
            "PUT",
            f"/api/v1/channels/{channel}?tenantId={garage.id}",
            json={
                "configSecret": {"apiKey": TOKEN},
                "enabled": True,
                "tenantId": garage.id,
                "tenant_id": garage.id,
            },
            headers={"x-tenant-id": garage.id, "x-voixia-tenant": garage.id},
        )
        assert answer.status_code == 200
        assert (await shown(owner, channel))["updatedAt"] is None
        assert await secrets_of(storage, garage, channel) == {}
        assert await secrets_of(storage, dentist, channel) == {"apiKey": TOKEN}


@pytest.mark.parametrize("keyring", [None])
@BOTH_DATABASES
async def test_without_a_key_ring_nothing_is_half_saved(owner: Client) -> None:
    for body in ({"config": EMAIL}, {"config": {}, "configSecret": {"x": PASSWORD}}):
        answer = await put(owner, "email", enabled=True, **body)
        problem = assert_problem(answer, 503, "configSecret")
        assert problem["code"] == "secrets_no_key"
        assert "hébergeur" in problem["error"]
        assert PASSWORD not in answer.text
    channel = await shown(owner, "email")
    assert (channel["enabled"], channel["updatedAt"]) == (False, None)
    # What isn't secret is saved all the same.
    public = {"smtp": {**SMTP, "password": ""}}
    assert (await saved(owner, "email", config=public, enabled=True))["configured"] is False


async def test_with_a_wrong_key_the_page_is_shown_and_says_so(
    owner: Client, storage: Storage, garage: Tenant, database: Database, keyring: KeyRing
) -> None:
    await saved(owner, "email", config=EMAIL, enabled=True)
    async with database.write() as connection:
        sealed = KeyRing({9: secrets.token_bytes(32)}).seal(
            b'{"smtp.password":"x"}', garage.id, "email"
        )
        await connection.execute(sa.update(table).values(config_encrypted=sealed))
    channel = await shown(owner, "email")
    assert channel["secrets"] is None
    assert "hébergeur" in channel["secretsProblem"]
    assert channel["configured"] is False
    listed = (await owner.get("/api/v1/channels"))["channels"]
    assert [each["configured"] for each in listed] == [True, False, False, False]
    answer = await put(owner, "email", config={"smtp": {"password": PASSWORD}}, enabled=False)
    assert assert_problem(answer, 503, "configSecret")["code"] == "secrets_unreadable"
    assert (await shown(owner, "email"))["enabled"] is True
    # A switch is no secret.
    assert (await saved(owner, "email", enabled=False))["enabled"] is False
    # The right key is put back.
    async with database.write() as connection:
        sealed = keyring.seal(b'{"smtp.password":"x"}', garage.id, "email")
        await connection.execute(sa.update(table).values(config_encrypted=sealed))
    assert (await shown(owner, "email"))["configured"] is True


async def test_a_refused_number_keeps_no_secret_either(
    owner: Client, stranger: Client, storage: Storage, dentist: Tenant
) -> None:
    await saved(owner, "phone", config={"clientPhoneNumber": "02 61 91 00 01"})
    answer = await put(
        stranger,
        "phone",
        config={"clientPhoneNumber": "02 61 91 00 01"},
        configSecret={"openaiApiKey": TOKEN},
    )
    assert_problem(answer, 409, "config.clientPhoneNumber")
    assert await secrets_of(storage, dentist, "phone") == {}


@BOTH_DATABASES
@OWN_FILE
async def test_no_plain_column_holds_it(
    owner: Client, database: Database, url: str, tmp_path: Path
) -> None:
    nested = {"a": [{"api_key": TOKEN}], "auth": {"pass": PASSWORD}, "motDePasse": PASSWORD}
    for channel in ("phone", "sms", "email", "whatsapp"):
        await saved(owner, channel, config={**EMAIL, **nested}, configSecret={"t": TOKEN})
        await saved(owner, channel, config=nested, enabled=True)
    async with database.read() as connection:
        rows = [dict(row) for row in (await connection.execute(sa.select(table))).mappings()]
    assert len(rows) == 4
    told = json.dumps(rows, default=str, ensure_ascii=False)
    assert "contact@garage.example" in told
    for secret in (PASSWORD, TOKEN):
        assert secret not in told
    for content in files(tmp_path):
        assert PASSWORD.encode() not in content
        assert TOKEN.encode() not in content
