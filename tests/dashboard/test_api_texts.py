"""Texts over the API: only to people who are known, honest about what became of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from dashboard.api import ApiSettings
from domain.permissions import May
from domain.tenant import Tenant
from storage import Report, Storage
from storage.conversations import Received
from tests.dashboard.api_client import SETTINGS, Client, session
from tests.fakes.clock import FakeClock

LEA = "+33639980001"
RDV = {"rdvDate": "2026-11-24", "rdvTime": "14:30"}


@pytest.fixture
def settings() -> ApiSettings:
    return replace(
        SETTINGS,
        allowed_countries=frozenset({"FR"}),
        texts_per_day=3,
        sms_prices="EUR FR=0.05",
        public_url="https://call.example",
    )


@pytest_asyncio.fixture(loop_scope="session")
async def lea(storage: Storage, garage: Tenant) -> str:
    """A contact of the garage, whose channels are all switched on."""
    async with storage.tenant(garage.id).write() as rows:
        for channel in ("sms", "email", "whatsapp"):
            await rows.channels.save(channel, enabled=True, config={})
        contact = await rows.contacts.person(
            name="Léa Martin", phone=LEA, email="lea@example.fr", source="operator"
        )
    assert contact is not None
    return contact.id


async def send(client: Client, channel: str = "sms", **body: Any) -> Any:
    headers = body.pop("headers", {})
    answer = await client.send("POST", f"/api/channels/{channel}/send", json=body, headers=headers)
    return answer.status_code, answer.json()


async def test_a_template_is_queued_and_can_be_read(
    owner: Client, lea: str, storage: Storage, garage: Tenant
) -> None:
    status, answer = await send(owner, to="06 39 98 00 01", template="rdvRappel", variables=RDV)
    assert (status, answer["success"], answer["status"]) == (202, True, "queued")
    assert (answer["segments"], answer["encoding"]) == (1, "GSM-7")
    message_id = answer["messageId"]
    listed = await owner.get("/api/v1/messages?channel=sms&status=queued")
    (message,) = listed["messages"]
    assert message["content"] == (
        "Garage du Port : rappel de votre rendez-vous du mardi 24 novembre à 14h30."
    )
    assert (message["id"], message["contactId"], message["to"]) == (message_id, lea, LEA)
    async with storage.tenant(garage.id).write() as rows:
        await rows.outbox.report(message_id, Report("failed", "twilio", "failed", code="30003"))
    shown = await owner.get(f"/api/v1/messages/{message_id}")
    assert shown["message"]["error"] == "Le téléphone est éteint ou hors réseau."
    assert [event["status"] for event in shown["events"]] == ["queued", "failed"]
    assert (await owner.get("/api/v1/messages?status=queued"))["pagination"]["total"] == 0


async def test_who_isnt_known_isnt_written_to(owner: Client, lea: str) -> None:
    status, answer = await send(owner, to="+33639980009", template="rdvRappel", variables=RDV)
    assert (status, answer["field"]) == (422, "to")
    assert "contacts" in answer["error"]
    for to, channel in (("+41791234567", "sms"), ("3615", "sms"), ("a@b.fr, c@d.fr", "email")):
        assert (await send(owner, channel, to=to, template="test"))[0] == 422
    assert (await send(owner, "phone", to=LEA, template="test"))[0] == 404


async def test_a_contacts_address_is_found(owner: Client, lea: str) -> None:
    status, answer = await send(owner, "email", contactId=lea, template="rdvRappel", variables=RDV)
    assert status == 202
    shown = await owner.get(f"/api/v1/messages/{answer['messageId']}")
    message = shown["message"]
    assert message["to"] == "lea@example.fr"
    assert message["content"].startswith("Bonjour Léa Martin,\n\n")


async def test_values_that_are_missing_block_it(owner: Client, lea: str) -> None:
    status, answer = await send(owner, to=LEA, template="rdvRappel", variables={})
    assert (status, answer["code"]) == (422, "template_value_missing")
    assert (await owner.get("/api/v1/messages"))["messages"] == []


async def test_the_same_key_sends_once(owner: Client, lea: str) -> None:
    key = {"idempotency-key": "abc"}
    first = await send(owner, to=LEA, message="Bonjour", headers=key)
    assert await send(owner, to=LEA, message="Bonjour", headers=key) == first
    assert (await send(owner, to=LEA, message="Autre", headers=key))[0] == 409
    assert (await owner.get("/api/v1/messages"))["pagination"]["total"] == 1


async def test_a_day_has_so_many(owner: Client, lea: str, clock: FakeClock) -> None:
    for _ in range(3):
        assert (await send(owner, to=LEA, message="Bonjour"))[0] == 202
    status, answer = await send(owner, to=LEA, message="Bonjour")
    assert (status, answer["code"]) == (429, "text_too_many")
    clock.advance(86_400)
    assert (await send(owner, to=LEA, message="Bonjour"))[0] == 202


async def test_free_words_need_a_right(http: Any, owner: Client, garage: Tenant, lea: str) -> None:
    agent = session(http, garage.id, "agent")
    assert (await send(agent, to=LEA, message="Bonjour"))[0] == 403
    assert (await send(agent, to=LEA, template="rdvRappel", variables=RDV))[0] == 202
    assert (await send(owner, to=LEA, message="Bonjour", tenantId="another"))[0] == 403
    assert May.SEND_FREE.value == "send_free"


async def test_whatsapp_takes_free_words_within_the_window(
    owner: Client, lea: str, storage: Storage, garage: Tenant, clock: FakeClock
) -> None:
    status, answer = await send(owner, "whatsapp", to=LEA, message="Bonjour")
    assert (status, answer["code"]) == (422, "text_window")
    async with storage.tenant(garage.id).write() as rows:
        conversation = await rows.conversations.open(
            "whatsapp", LEA, contact_id=lea, our_address="", name=""
        )
        await rows.conversations.receive(conversation.id, Received("Bonjour", "wamid.1"))
    assert (await send(owner, "whatsapp", to=LEA, message="Bonjour"))[0] == 202
    clock.advance(timedelta(hours=25).total_seconds())
    assert (await send(owner, "whatsapp", to=LEA, message="Bonjour"))[0] == 422


async def test_what_may_not_go_says_so(owner: Client, lea: str) -> None:
    stop = {
        "channel": "sms",
        "purpose": "service",
        "decision": "withdrawn",
        "source": "au comptoir",
        "wording": "Plus de SMS, merci",
        "to": LEA,
    }
    answer = await owner.send("POST", "/api/v1/consents", json=stop)
    assert answer.json()["state"] == {"sms": {"service": "withdrawn"}}
    status, sent = await send(owner, to=LEA, template="rdvRappel", variables=RDV)
    assert (status, sent["success"], sent["status"]) == (202, False, "suppressed")
    assert "ne plus recevoir" in sent["error"]
    status, offer = await send(
        owner, "email", to="lea@example.fr", template="promotions", variables={"offre": "-20 %"}
    )
    assert (offer["status"], "accord" in offer["error"]) == ("suppressed", True)
    (line,) = (await owner.get(f"/api/v1/consents?contactId={lea}"))["consents"]
    assert (line["wording"], line["source"]) == ("Plus de SMS, merci", "au comptoir")


async def test_a_channel_is_tried_before_it_is_switched_on(owner: Client) -> None:
    path = "/api/v1/channels/sms/test"
    answer = await owner.send("POST", path, json={"toNumber": LEA})
    assert (answer.status_code, answer.json()["success"]) == (202, True)
    assert (await owner.send("POST", path, json={})).json()["error"].startswith("Numéro de dest")
    named = {"channel": "email", "to": "moi@example.fr"}
    assert (await owner.send("POST", "/api/channels/test", json=named)).status_code == 202
    tries = [await owner.send("POST", path, json={"toNumber": LEA}) for _ in range(5)]
    assert tries[-1].status_code == 429


async def test_one_that_waits_can_be_cancelled(owner: Client, lea: str) -> None:
    _, answer = await send(owner, to=LEA, message="Bonjour")
    path = f"/api/v1/messages/{answer['messageId']}"
    cancelled = await owner.send("DELETE", path)
    assert cancelled.json()["message"]["status"] == "cancelled"
    assert (await owner.send("DELETE", path)).status_code == 409
    assert (await owner.send("GET", "/api/v1/messages/nothing")).status_code == 404


async def test_what_an_sms_costs_is_shown_before(owner: Client) -> None:
    body = {"message": "Être là à l’heure, ça compte. " * 5, "to": LEA}
    answer = await owner.send("POST", "/api/v1/messages/preview", json=body)
    preview = answer.json()["preview"]
    assert (preview["encoding"], preview["segments"], preview["plainSegments"]) == ("UCS-2", 3, 1)
    assert preview["strangers"] == ["Ê", "’", "ç"]
    assert preview["price"] == {"amount": 0.05, "currency": "EUR"}


async def test_templates_are_kept_in_versions(owner: Client, stranger: Client) -> None:
    path = "/api/v1/templates/sms/rdvRappel"
    before = (await owner.get(path))["template"]
    assert (before["own"], before["version"]) == (False, 0)
    body = {"body": "{{companyName}} : {{ rdvDate }} à {{rdvTime}}", "version": 0}
    saved = (await owner.send("PUT", path, json=body)).json()["template"]
    assert (saved["body"], saved["version"]) == ("{{entreprise}} : {{date}} à {{heure}}", 1)
    assert (await owner.send("PUT", path, json=body)).status_code == 409
    wrong = await owner.send("PUT", path, json={"body": "Bonjour {{prenon}}"})
    assert wrong.status_code == 422
    assert "{{prenom}}" in wrong.json()["detail"]
    assert (await stranger.get(path))["template"]["own"] is False
    reset = (await owner.send("DELETE", path)).json()
    assert (reset["template"]["own"], len(reset["versions"])) == (False, 2)
    assert (await owner.send("GET", "/api/v1/templates/sms/nothing")).status_code == 404
    listed = await owner.get("/api/v1/templates")
    assert {"rdvConfirmation", "promotions", "newsletter", "reponseAuto"} <= {
        each["key"] for each in listed["templates"]
    }


async def test_a_preview_shows_samples_and_price(owner: Client) -> None:
    path = "/api/v1/templates/sms/rdvRappel/preview"
    answer = await owner.send("POST", path, json={"body": "{{client}} le {{date}} à {{heure}}"})
    preview = answer.json()["preview"]
    assert preview["body"] == "Léa Martin le mardi 24 novembre à 14h30"
    assert preview["sms"]["segments"] == 1
    mail = await owner.send("POST", "/api/v1/templates/email/rdvRappel/preview", json={})
    assert "<p>Bonjour Léa Martin,</p>" in mail.json()["preview"]["html"]


async def test_a_contact_vouches_for_no_other_address(owner: Client, lea: str) -> None:
    for channel, stranger in (("sms", "+33639980099"), ("email", "stranger@example.fr")):
        status, answer = await send(
            owner, channel, to=stranger, contactId=lea, subject="Bonjour", message="Bonjour"
        )
        assert (status, answer["code"]) == (422, "text_recipient_unknown")


async def test_tries_are_of_the_days_texts(owner: Client, lea: str) -> None:
    for _ in range(3):
        assert (await send(owner, to=LEA, message="Bonjour"))[0] == 202
    answer = await owner.send(
        "POST", "/api/v1/channels/sms/test", json={"toNumber": "+33639980099"}
    )
    assert (answer.status_code, answer.json()["code"]) == (429, "text_too_many")
