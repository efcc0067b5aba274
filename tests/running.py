"""Our whole application inside the test's event loop, and Twilio's side of its webhooks."""

import base64
import hashlib
import hmac
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
from starlette.applications import Starlette

from domain.clock import Clock
from server.app import create_app
from server.settings import Settings
from tests.databases import migrated_file

ACCOUNT = "AC" + "0" * 32
TOKEN = "0123456789abcdef0123456789abcdef"
NUMBER = "+33199000000"
PUBLIC_URL = "https://voice.example.fr"
ADMIN = "operator-key-operator-key"


def settings(directory: Path, **values: Any) -> Settings:
    """A deployment on SQLite whose model can't be reached, unless told otherwise."""
    return Settings.of(
        **{
            "public_url": PUBLIC_URL,
            "database_url": migrated_file(directory / "test.sqlite3"),
            "admin_api_key": ADMIN,
            "twilio_account_sid": ACCOUNT,
            "twilio_auth_token": TOKEN,
            "twilio_phone_number": NUMBER,
            "twilio_api_base_url": "http://127.0.0.1:1",
            "openai_api_key": "sk-test",
            "openai_base_url": "http://127.0.0.1:1/v1",
            **values,
        }
    )


def sign(url: str, form: Mapping[str, str], token: str = TOKEN) -> str:
    """X-Twilio-Signature, computed by the rule and not by our code."""
    text = url + "".join(key + form[key] for key in sorted(form))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), hashlib.sha1)).decode()


def french_call(number: int = 1, **fields: str) -> dict[str, str]:
    """A call as Twilio sends it from France: city, state and zip are blank."""
    form = {
        "AccountSid": ACCOUNT,
        "ApiVersion": "2010-04-01",
        "CallSid": f"CA{number:032x}",
        "CallStatus": "ringing",
        "Direction": "inbound",
        "From": "+33639981234",
        "To": NUMBER,
        "Caller": "+33639981234",
        "Called": NUMBER,
    }
    for side in ("From", "To", "Caller", "Called"):
        form |= {f"{side}City": "", f"{side}State": "", f"{side}Zip": "", f"{side}Country": "FR"}
    return {**form, **fields}


class Twilio:
    """Sends signed webhooks to the application."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url=PUBLIC_URL, timeout=30
        )

    async def post(self, path: str, form: Mapping[str, str], **headers: str) -> httpx.Response:
        url = path if path.startswith("http") else f"{PUBLIC_URL}/webhooks/twilio/{path}"
        signed = {"X-Twilio-Signature": sign(url, form), **headers}
        return await self.http.post(url, data=dict(form), headers=signed)

    async def ring(self, number: int = 1, **fields: str) -> "Answer":
        response = await self.post("voice", french_call(number, **fields))
        assert response.status_code == 200, response.text
        return Answer(response.text)

    async def operator(self, method: str, path: str, json: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {ADMIN}"}
        response = await self.http.request(method, path, json=json, headers=headers)
        assert response.is_success, response.text
        return response.json()

    async def tenant(self, name: str, line: str | None = None, **config: Any) -> "Owner":
        """A tenant with a key and, if asked, a line that forwards to us."""
        numbers = config.pop("numbers", [])
        created = await self.operator("POST", "/api/tenants", {"name": name, "numbers": numbers})
        key = (await self.operator("POST", f"/api/tenants/{created['id']}/keys", {}))["key"]
        owner = Owner(self, created["id"], created["code"], key)
        if line or config:
            if line:
                config["clientPhoneNumber"] = line
            await owner.put("/api/v1/channels/phone", {"config": config, "enabled": True})
        return owner


class Owner:
    """A tenant's key in use."""

    def __init__(self, twilio: Twilio, tenant_id: str, code: str, key: str) -> None:
        self.id, self.code = tenant_id, code
        self._http = twilio.http
        self.headers = {"Authorization": f"Bearer {key}"}

    async def get(self, path: str) -> Any:
        response = await self._http.get(path, headers=self.headers)
        assert response.is_success, response.text
        return response.json()

    async def put(self, path: str, body: Any) -> Any:
        response = await self._http.put(path, json=body, headers=self.headers)
        assert response.is_success, response.text
        return response.json()


class Answer:
    """TwiML, as a carrier reads it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root = ElementTree.fromstring(text)  # noqa: S314 - our own XML

    @property
    def verbs(self) -> list[str]:
        return [verb.tag for verb in self.root]

    def first(self, path: str) -> ElementTree.Element:
        found = self.root.find(path)
        assert found is not None, f"{path} in {self.text}"
        return found

    @property
    def said(self) -> str:
        return " ".join(say.text or "" for say in self.root.iter("Say"))

    @property
    def token(self) -> str:
        return self.first("Connect/Stream/Parameter[@name='token']").attrib["value"]

    @property
    def action(self) -> str:
        (verb,) = [each for each in self.root.iter() if "action" in each.attrib]
        return verb.attrib["action"]


@asynccontextmanager
async def running(
    directory: Path, clock: Clock | None = None, **values: Any
) -> AsyncIterator[Twilio]:
    """The application started, its lifespan included."""
    app = create_app(settings(directory, **values), clock)
    async with app.router.lifespan_context(app):
        twilio = Twilio(app)
        async with twilio.http:
            yield twilio


#: For clients of loopback, which speak no TLS: reading the system's certificates takes each of them
#: 28 ms of the processor.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
