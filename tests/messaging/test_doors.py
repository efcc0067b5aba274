"""The doors of texts over HTTP: authentic or refused, recorded once, 503 when nothing is stored."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
import sqlalchemy as sa
from starlette.applications import Starlette

from domain.errors import OperatorError
from domain.tenant import Tenant
from domain.webhook_keys import EMAIL_USER, key_digest
from messaging.doors import Operators, TextDoors
from messaging.receiving import Receiving
from providers.meta_signature import WhatsAppProof
from storage import Database, Storage
from storage.schema import inbound_texts
from storage.text_rows import NewText
from tests.fakes.clock import FakeClock

SECRET, TOKEN, NUMBER_ID = "app-secret-of-the-operator", "verify-me-please", "106500000000001"
KEY = "k" * 43


@pytest.fixture
def dropped() -> list[str]:
    return []


@pytest.fixture
def doors(storage: Storage, clock: FakeClock, dropped: list[str]) -> TextDoors:
    return TextDoors(
        storage=storage,
        receiving=Receiving(storage, clock),
        clock=clock,
        proof=WhatsAppProof(),
        operators=Operators(SECRET, TOKEN),
        count=dropped.append,
    )


@pytest_asyncio.fixture(loop_scope="session")
async def http(doors: TextDoors) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=doors.routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def recorded(database: Database) -> list[tuple[str, str | None]]:
    async with database.read() as connection:
        rows = await connection.execute(
            sa.select(inbound_texts.c.vendor_key, inbound_texts.c.tenant_id).order_by(
                inbound_texts.c.vendor_key
            )
        )
        return [(row[0], row[1]) for row in rows]


def envelope(*values: dict[str, Any]) -> bytes:
    changes = [{"field": "messages", "value": value} for value in values]
    entry = [{"id": "WABA", "changes": changes}]
    return json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()


def message(wamid: str, words: str, number_id: str = NUMBER_ID) -> dict[str, Any]:
    return {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "33155550100", "phone_number_id": number_id},
        "contacts": [{"profile": {"name": "Léa"}, "wa_id": "33639981234"}],
        "messages": [
            {
                "from": "33639981234",
                "id": wamid,
                "timestamp": "1795000000",
                "type": "text",
                "text": {"body": words},
            }
        ],
    }


def signed(body: bytes, secret: str = SECRET) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"x-hub-signature-256": f"sha256={digest}", "content-type": "application/json"}


async def has_number(storage: Storage, tenant: Tenant, **secrets: str) -> None:
    async with storage.tenant(tenant.id).write() as rows:
        await rows.channels.save("whatsapp", enabled=True, config={})
        await rows.channels.save_secrets("whatsapp", secrets)
        assert await rows.endpoints.take("phone_number_id", NUMBER_ID, "whatsapp")
        assert await rows.endpoints.take("key", key_digest(KEY), "whatsapp")


# ------------------------------------------------------------------------------- WhatsApp


async def test_the_operators_app_brings_each_number_to_its_tenant(
    http: httpx.AsyncClient,
    storage: Storage,
    database: Database,
    garage: Tenant,
    dropped: list[str],
) -> None:
    await has_number(storage, garage, accessToken="EAAG-token")
    body = envelope(message("wamid.A", "déjà là ?"), message("wamid.B", "x", "999"))
    answer = await http.post("/webhooks/whatsapp", content=body, headers=signed(body))
    assert answer.status_code == 200
    assert await recorded(database) == [(f"whatsapp:{garage.id}:wamid.A", garage.id)]
    assert dropped == ["whatsapp.unknown_number"]


@pytest.mark.parametrize("header", [{}, {"x-hub-signature-256": "sha256=" + "0" * 64}])
async def test_what_meta_didnt_sign_is_refused_and_not_stored(
    http: httpx.AsyncClient,
    storage: Storage,
    database: Database,
    garage: Tenant,
    header: dict[str, str],
) -> None:
    await has_number(storage, garage)
    body = envelope(message("wamid.A", "x"))
    assert (await http.post("/webhooks/whatsapp", content=body, headers=header)).status_code == 401
    assert await recorded(database) == []


async def test_a_tenant_with_its_own_app_isnt_the_operators_to_speak_for(
    http: httpx.AsyncClient,
    storage: Storage,
    database: Database,
    garage: Tenant,
    dropped: list[str],
) -> None:
    await has_number(storage, garage, appSecret="a-secret-of-the-tenants-own")
    body = envelope(message("wamid.A", "x"))
    await http.post("/webhooks/whatsapp", content=body, headers=signed(body))
    assert await recorded(database) == []
    assert dropped == ["whatsapp.foreign_number"]
    own = signed(body, "a-secret-of-the-tenants-own")
    answer = await http.post(f"/webhooks/whatsapp/{KEY}", content=body, headers=own)
    assert answer.status_code == 200
    assert len(await recorded(database)) == 1


async def test_an_own_address_takes_its_own_numbers_only(
    http: httpx.AsyncClient,
    storage: Storage,
    database: Database,
    garage: Tenant,
) -> None:
    await has_number(storage, garage, webhookSecret="s" * 40)
    body = envelope(message("wamid.A", "x", "999"))
    headers = {"x-webhook-secret": "s" * 40}
    answer = await http.post(f"/webhooks/whatsapp/{KEY}", content=body, headers=headers)
    assert answer.status_code == 200
    assert await recorded(database) == []
    assert (
        await http.post(f"/webhooks/whatsapp/{KEY}", content=body, headers={})
    ).status_code == 401
    assert (await http.post("/webhooks/whatsapp/other", content=body)).status_code == 404


async def test_a_channel_at_360dialog_whose_number_nobody_named(
    http: httpx.AsyncClient, storage: Storage, database: Database, garage: Tenant
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.channels.save_secrets("whatsapp", {"webhookSecret": "s" * 40})
        assert await rows.endpoints.take("key", key_digest(KEY), "whatsapp")
    body, address = envelope(message("wamid.A", "x")), f"/webhooks/whatsapp/{KEY}"
    await http.post(address, content=body, headers={"x-webhook-secret": "t" * 40})
    assert await recorded(database) == []
    await http.post(address, content=body, headers={"x-webhook-secret": "s" * 40})
    assert len(await recorded(database)) == 1


async def test_metas_question_is_answered_to_who_knows_the_token(
    http: httpx.AsyncClient, storage: Storage, garage: Tenant
) -> None:
    await has_number(storage, garage, verifyToken="the-tenants-own")
    ask = {"hub.mode": "subscribe", "hub.challenge": "42"}
    for path, token in (
        ("/webhooks/whatsapp", TOKEN),
        (f"/webhooks/whatsapp/{KEY}", "the-tenants-own"),
    ):
        good = await http.get(path, params={**ask, "hub.verify_token": token})
        assert (good.status_code, good.text) == (200, "42")
        assert (await http.get(path, params={**ask, "hub.verify_token": "x"})).status_code == 403


async def test_a_status_moves_a_text_and_an_unknown_one_harms_nobody(
    http: httpx.AsyncClient, storage: Storage, database: Database, garage: Tenant
) -> None:
    await has_number(storage, garage)
    async with storage.tenant(garage.id).write() as rows:
        text = await rows.outbox.put(
            NewText(channel="whatsapp", to="+33639981234", body="Bonjour", even_if_off=True)
        )

    def status(wamid: str, opaque: str) -> dict[str, Any]:
        return {
            "id": wamid,
            "status": "delivered",
            "timestamp": "1795000003",
            "recipient_id": "33639981234",
            "biz_opaque_callback_data": opaque,
        }

    value = {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": NUMBER_ID},
        "statuses": [
            status("wamid.X", "text:unknown"),
            {"id": 7},
            status("wamid.T", f"text:{text.id}"),
        ],
    }
    body = envelope(value)
    answer = await http.post("/webhooks/whatsapp", content=body, headers=signed(body))
    assert answer.status_code == 200
    async with storage.tenant(garage.id).read() as rows:
        assert (await rows.outbox.get(text.id)).status == "delivered"


async def test_no_marketing_please_is_kept(
    http: httpx.AsyncClient, storage: Storage, garage: Tenant
) -> None:
    await has_number(storage, garage)
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"phone_number_id": NUMBER_ID},
        "user_preferences": [
            {
                "wa_id": "33639981234",
                "category": "marketing_messages",
                "value": "stop",
                "timestamp": 1795000000,
            }
        ],
    }
    entry = [{"id": "W", "changes": [{"field": "user_preferences", "value": value}]}]
    body = json.dumps({"object": "whatsapp_business_account", "entry": entry}).encode()
    await http.post("/webhooks/whatsapp", content=body, headers=signed(body))
    async with storage.tenant(garage.id).read() as rows:
        refusal = await rows.consents.refusal("whatsapp", "+33639981234", "marketing")
    assert refusal == "opted_out"


async def test_storage_that_fails_makes_the_vendor_come_again(
    http: httpx.AsyncClient,
    storage: Storage,
    garage: Tenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await has_number(storage, garage)

    async def away(*_: object) -> int:
        raise OperatorError("the database is away")

    monkeypatch.setattr(storage.inbound, "record", away)
    body = envelope(message("wamid.A", "x"))
    answer = await http.post("/webhooks/whatsapp", content=body, headers=signed(body))
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


async def test_garbage_that_is_signed_is_refused_without_harm(http: httpx.AsyncClient) -> None:
    for body in (b"", b"[]", b"{", b'{"object":"page"}', b"\xff" * 10):
        answer = await http.post("/webhooks/whatsapp", content=body, headers=signed(body))
        assert answer.status_code == 422


# ---------------------------------------------------------------------------------- e-mail


RAW = (
    b"From: =?utf-8?q?L=C3=A9a?= <lea@exemple.fr>\r\nTo: t@inbound.example\r\n"
    b"Subject: Rendez-vous\r\nMessage-ID: <1@exemple.fr>\r\nContent-Type: text/plain\r\n\r\n"
    b"Bonjour, une place jeudi ?\r\n"
)


def basic(password: str, user: str = EMAIL_USER) -> dict[str, str]:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorization": f"Basic {pair}"}


async def test_a_mail_needs_the_key_and_the_password(
    http: httpx.AsyncClient, storage: Storage, database: Database, garage: Tenant
) -> None:
    async with storage.tenant(garage.id).write() as rows:
        await rows.channels.save("email", enabled=True, config={})
        await rows.channels.save_secrets("email", {"inboundPassword": "p" * 40})
        assert await rows.endpoints.take("key", key_digest(KEY), "email")
    path = f"/webhooks/email/{KEY}"
    kind = {"content-type": "message/rfc822"}
    assert (await http.post(path, content=RAW, headers=kind)).status_code == 401
    bad = {**kind, **basic("x")}
    assert (await http.post(path, content=RAW, headers=bad)).status_code == 401
    good = {**kind, **basic("p" * 40)}
    for _ in range(2):
        assert (await http.post(path, content=RAW, headers=good)).status_code == 200
    assert await recorded(database) == [(f"email:{garage.id}:<1@exemple.fr>", garage.id)]
    # A form, as Inbound Parse sends it.
    form = {
        "headers": "From: lea@exemple.fr\nMessage-ID: <2@exemple.fr>\nSubject: Re",
        "from": "lea@exemple.fr",
        "text": "Et vendredi ?",
        "envelope": json.dumps({"from": "lea@exemple.fr", "to": ["t@inbound.example"]}),
    }
    files = {"attachment1": ("devis.pdf", b"%PDF", "application/pdf")}
    answer = await http.post(path, data=form, files=files, headers=basic("p" * 40))
    assert answer.status_code == 200
    assert len(await recorded(database)) == 2
    assert (await http.post("/webhooks/email/nobody", content=RAW, headers=good)).status_code == 404


async def test_a_whatsapp_key_opens_no_mailbox(
    http: httpx.AsyncClient, storage: Storage, garage: Tenant
) -> None:
    await has_number(storage, garage, inboundPassword="p" * 40)
    answer = await http.post(f"/webhooks/email/{KEY}", content=RAW, headers=basic("p" * 40))
    assert answer.status_code == 404
