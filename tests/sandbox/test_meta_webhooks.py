"""What Meta and 360dialog send: signed as documented, repeated, and readable by us."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from messaging.inbound_whatsapp import read_whatsapp
from providers.meta_signature import WhatsAppProof
from sandbox.cloud_api import Account, Fate, Person
from sandbox.dialog360 import Channel, Dialog360Emulator
from sandbox.loopback_http import serving
from sandbox.meta import MetaEmulator

pytestmark = pytest.mark.asyncio(loop_scope="module")

LEA = Person("+33612345678", "FR.1410018717833190")


class Door:
    """A webhook that verifies and keeps what it gets."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.proof = WhatsAppProof("platform")
        self.url = ""

    async def meta(self, request: Request) -> Response:
        if request.method == "GET":
            answer = self.proof.challenge(request.query_params, ["verify"])
            return PlainTextResponse(answer or "", 200 if answer else 403)
        body = await request.body()
        genuine = self.proof.metas(body, request.headers, ["app"])
        return self._kept(body, genuine)

    async def dialog360(self, request: Request) -> Response:
        body = await request.body()
        return self._kept(body, self.proof.dialog360s(body, request.headers, "s3cret"))

    def _kept(self, body: bytes, genuine: bool) -> Response:
        if genuine:
            self.bodies.append(body)
        return Response(status_code=200 if genuine else 401)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def door() -> AsyncIterator[Door]:
    door = Door()
    routes = [
        Route("/meta", door.meta, methods=["GET", "POST"]),
        Route("/360", door.dialog360, methods=["POST"]),
    ]
    async with serving(Starlette(routes=routes)) as port:
        door.url = f"http://127.0.0.1:{port}"
        yield door


async def test_metas_webhooks(door: Door) -> None:
    emulator = MetaEmulator({"t": frozenset({"1"})}, app_secret="app", verify_token="verify")
    account = emulator.add(Account("1", "2", "+33155550100"))
    emulator.api.people.append(LEA)
    async with emulator.running() as url, httpx.AsyncClient(trust_env=False) as http:
        assert not await emulator.subscribe(f"{door.url}/360")
        assert await emulator.subscribe(f"{door.url}/meta")
        assert await emulator.writes(account, LEA, text="Déjà là ?", times=20) == [200] * 20
        assert len(set(door.bodies)) == 1
        assert door.bodies[0].isascii()
        (message,) = read_whatsapp(door.bodies[0]).messages
        assert message.text == "Déjà là ?"
        assert await emulator.post(b"{}", signature="") == [401]
        assert await emulator.post(b"{}", signature="sha256=" + "0" * 64) == [401]

        door.bodies.clear()
        emulator.api.fates.append(Fate(statuses=("read", "sent"), times=2))
        body = {"messaging_product": "whatsapp", "to": "33612345678", "type": "text"}
        sent = await http.post(
            f"{url}/v25.0/1/messages",
            json=body | {"text": {"body": "Oui"}, "biz_opaque_callback_data": "text:1"},
            headers={"Authorization": "Bearer t"},
        )
        assert sent.status_code == 200
        await emulator.tell()
        statuses = [read_whatsapp(each).statuses[0] for each in door.bodies]
        assert [each.status for each in statuses] == ["read", "read", "sent", "sent"]
        assert {each.text_id for each in statuses} == {"1"}
        for path, token, code in (
            ("v25.0/1", "x", 190),
            ("v25.0/9", "t", 100),
            ("v9.0/1", "t", 2635),
        ):
            refused = await http.post(
                f"{url}/{path}/messages", json=body, headers={"Authorization": f"Bearer {token}"}
            )
            assert refused.json()["error"]["code"] == code
    door.bodies.clear()


async def test_360dialogs_webhooks(door: Door) -> None:
    emulator = Dialog360Emulator(platform_secret="platform")
    channel = emulator.add(Channel("CH", "CL", Account("3", "2", "+33155550100"), api_key="k"))
    async with emulator.running():
        channel.webhook_url = f"{door.url}/360"
        assert await emulator.writes(channel, LEA, text="Oui") == [401]
        channel.webhook_headers = {"X-Webhook-Secret": "s3cret"}
        assert await emulator.writes(channel, LEA, text="Oui", times=3) == [200] * 3
        body = door.bodies[0]
        assert await emulator.post(channel, body, signed="prefixed") == [200]
        emulator.platform_secret = "other"
        assert await emulator.post(channel, body) == [401]
    await asyncio.sleep(0)
