"""What browsers kept before there was a server for it is taken over once."""

import json
from typing import Any

import pytest

from storage import KeyRing
from tests.dashboard.api_client import Client, assert_problem
from tests.dashboard.test_api_credentials import PASSWORD, SMTP

#: real-users.md §1.4, localStorage shapes.
BLOBS: dict[str, Any] = {
    "phone_client_config": {"enabled": True, "configured": True},
    "sms_client_config": {
        "enabled": False,
        "configured": False,
        "templates": {"rdvConfirmation": True, "rdvRappel": False, "promotions": False},
    },
    "email_client_config": {
        "enabled": True,
        "configured": True,
        "smtp": SMTP,
        "templates": {"rdvConfirmation": True, "newsletter": True},
    },
    "whatsapp_client_config": {
        "enabled": True,
        "configured": True,
        "connectionMethod": "oauth",
        "whatsappNumber": "+33 6 39 98 00 09",
        "templates": {"reponseAuto": False},
    },
    "onboarding_channels": ["phone", "email"],
    "onboarding_channel_configs": {
        "phone": {
            "agent_type": "appointment_booking",
            "voice": "male",
            "assistant_name": "Léo",
            "client_phone_number": "02 61 91 00 01",
        }
    },
}


async def taken(client: Client, **body: Any) -> dict[str, Any]:
    answer = await client.send("POST", "/api/v1/import/local-storage", json=body)
    assert answer.status_code == 200, answer.text
    assert PASSWORD not in answer.text
    assert answer.json()["message"]
    return {each["type"]: each for each in answer.json()["channels"]}


def results(found: dict[str, Any]) -> list[str]:
    return [each["result"] for each in found.values()]


async def channel(client: Client, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"/api/v1/channels/{name}"))["channel"]
    return found


@pytest.mark.parametrize("as_text", [False, True])
async def test_the_four_blobs(owner: Client, as_text: bool) -> None:
    body = {name: json.dumps(blob) if as_text else blob for name, blob in BLOBS.items()}
    found = await taken(owner, **body)
    assert results(found) == ["taken"] * 4
    # On, if it was, and if it is configured: WhatsApp's button in the old page connected nothing.
    assert [each["enabled"] for each in found.values()] == [True, False, True, False]
    assert [each["configured"] for each in found.values()] == [True, False, True, False]
    sara = (await owner.phone())["config"]["sara"]
    assert (sara["agentType"], sara["voice"]) == ("appointment", "male")
    assert (sara["assistantName"], sara["language"]) == ("Léo", "fr-FR")
    assert (await owner.phone())["config"]["clientPhoneNumber"] == "02 61 91 00 01"
    email = await channel(owner, "email")
    assert "password" not in email["config"]["smtp"]
    assert "smtp.password" in email["secrets"]
    assert email["config"].keys() == {"smtp", "templates"}
    assert (await channel(owner, "sms"))["config"]["templates"]["rdvRappel"] is False


async def test_again_changes_nothing(owner: Client) -> None:
    await taken(owner, **BLOBS)
    before = [await channel(owner, name) for name in ("phone", "sms", "email", "whatsapp")]
    assert results(await taken(owner, **BLOBS)) == ["kept"] * 4
    assert [await channel(owner, each["type"]) for each in before] == before


async def test_what_was_saved_by_hand_wins(owner: Client) -> None:
    await owner.put_phone(config={"sara": {"assistantName": "Zoé"}}, enabled=False)
    found = await taken(owner, **BLOBS)
    assert results(found) == ["kept", "taken", "taken", "taken"]
    phone = await owner.phone()
    assert (phone["enabled"], phone["config"]["sara"]["assistantName"]) == (False, "Zoé")
    assert results(await taken(owner, **BLOBS, overwrite=True)) == ["taken"] * 4
    phone = await owner.phone()
    assert (phone["enabled"], phone["config"]["sara"]["assistantName"]) == (True, "Léo")


async def test_each_by_itself(owner: Client, stranger: Client) -> None:
    assert results(await taken(owner)) == ["absent"] * 4
    await stranger.put_phone(config={"clientPhoneNumber": "02 61 91 00 01"})
    found = await taken(
        owner,
        phone_client_config=BLOBS["phone_client_config"],
        onboarding_channel_configs=BLOBS["onboarding_channel_configs"],
        sms_client_config="{not json",
        email_client_config='"text"',
        whatsapp_client_config={"whatsappNumber": "Non spécifié"},
    )
    assert results(found) == ["refused", "refused", "refused", "taken"]
    assert found["phone"]["field"] == "config.clientPhoneNumber"
    assert "organisation" in found["phone"]["error"]
    assert found["sms"]["field"] == "sms_client_config"
    assert found["email"]["field"] == "email_client_config"
    assert (await owner.phone())["createdAt"] is None


async def test_a_phone_is_never_switched_off_by_it(owner: Client) -> None:
    found = await taken(owner, phone_client_config={"enabled": False}, overwrite=True)
    assert (found["phone"]["result"], found["phone"]["enabled"]) == ("taken", True)


@pytest.mark.parametrize("keyring", [None])
async def test_what_cant_be_kept_is_said(owner: Client, keyring: KeyRing | None) -> None:
    assert keyring is None
    found = await taken(owner, **BLOBS)
    assert results(found) == ["taken", "taken", "refused", "taken"]
    assert "hébergeur" in found["email"]["error"]


async def test_hostile_text_is_refused(owner: Client) -> None:
    deep = "[" * 5000 + "]" * 5000
    found = await taken(
        owner,
        sms_client_config='{"a": "\\u0000"}',
        email_client_config='{"a": ' + deep + "}",
        onboarding_channels="[[[",
    )
    assert set(results(found)) <= {"refused", "absent"}
    answer = await owner.send(
        "POST", "/api/v1/import/local-storage", json={"sms_client_config": [1]}
    )
    assert_problem(answer, 422, "sms_client_config")
