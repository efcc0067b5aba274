"""A whole deployment for texts: server, worker, their database, and the vendors around them."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from sandbox.brain import Brain
from sandbox.chat_mind import Conversation
from sandbox.chat_schema import Refused
from sandbox.cloud_api import Account
from sandbox.messages import Message
from sandbox.meta import MetaEmulator
from sandbox.openai_http import CHAT_MODEL, OpenAIHttpEmulator
from sandbox.smtp import Received, SmtpEmulator
from sandbox.twilio import TwilioEmulator
from server.clock import SystemClock
from storage import Database, KeyRing, Storage
from tests.databases import migrated_file
from tests.scenarios.conftest import ACCOUNT, NUMBER, free_port

ROOT = Path(__file__).parents[2]
#: Of the business whose model doesn't answer.
NO_MODEL = "Sans Modèle"
_NUMBERS = [f"+331990001{n:02d}" for n in range(20)]
_MAILBOX, _PASSWORD = "sara@salon.example", "mot-de-passe-d-application"

Rules = Sequence[Mapping[str, Any]]


@dataclass
class Town:
    """All of it, under way. `rules`: what the model does, by the name of the business."""

    url: str
    admin: str
    twilio: TwilioEmulator
    models: OpenAIHttpEmulator
    meta: MetaEmulator
    smtp: SmtpEmulator
    database: Database
    storage: Storage
    worker: subprocess.Popen[bytes]
    rules: dict[str, Rules]
    http: httpx.AsyncClient
    businesses: int = 0

    async def ask(self, key: str, method: str, path: str, body: Any = None) -> Any:
        answer = await self.http.request(
            method, path, json=body, headers={"authorization": f"Bearer {key}"}
        )
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def business(self, name: str, rules: Rules = (), **fields: Any) -> "Shop":
        """A business with SMS and a number of its own."""
        number = _NUMBERS[self.businesses]
        self.businesses += 1
        self.rules[name] = rules
        tenant = await self.ask(self.admin, "POST", "/api/tenants", {"name": name, **fields})
        path = f"/api/tenants/{tenant['id']}"
        await self.ask(self.admin, "POST", f"{path}/numbers", {"number": number})
        key = (await self.ask(self.admin, "POST", f"{path}/keys", {}))["key"]
        shop = Shop(self, tenant["id"], key, number)
        await shop.channel("sms", sender=number)
        return shop

    def mind(self, conversation: Conversation) -> Brain:
        """The model of the business that the instructions name."""
        if NO_MODEL in conversation.instructions:
            raise Refused("overloaded", status=503)
        named = [name for name in self.rules if name in conversation.instructions]
        return Brain(self.rules[max(named, key=len)])


@dataclass
class Shop:
    """One business, seen by its owner."""

    town: Town
    id: str
    key: str
    number: str
    account: Account | None = field(default=None)

    async def get(self, path: str) -> Any:
        return await self.town.ask(self.key, "GET", path)

    async def channel(self, channel: str, **config: Any) -> None:
        body = {"enabled": True, "config": config}
        await self.town.ask(self.key, "PUT", f"/api/v1/channels/{channel}", body)

    async def whatsapp(self, account: Account) -> None:
        """With its own app at Meta, that has been told where our webhook is."""
        self.account = account
        meta = self.town.meta
        meta.tokens["EAA" + self.id] = frozenset({account.phone_number_id})
        meta.add(account)
        await self.channel(
            "whatsapp",
            accessToken="EAA" + self.id,
            phoneNumberId=account.phone_number_id,
            appSecret=meta.app_secret,
            verifyToken=meta.verify_token,
        )

        async def proven() -> str | None:
            shown = await self.get("/api/v1/channels/whatsapp")
            url: str | None = (shown.get("channel") or shown).get("webhookUrl")
            return url

        url = await eventually(proven)
        assert await meta.subscribe(url)

    async def email(self) -> None:
        """By its own mail server."""
        async with self.town.storage.tenant(self.id).write() as rows:
            smtp = {
                "host": "localhost",
                "port": self.town.smtp.port,
                "user": _MAILBOX,
                "fromEmail": _MAILBOX,
                "fromName": "Salon",
            }
            await rows.channels.save(
                "email", enabled=True, config={"smtp": {**smtp, "password": _PASSWORD}}
            )

    def sms_to(self, person: str) -> list[Message]:
        """What went from this business's number to this person."""
        return [
            each
            for each in self.town.twilio.texts.messages.values()
            if (each.from_number, each.to_number) == (self.number, person)
        ]

    async def writes(self, person: str, words: str, **more: Any) -> None:
        """Somebody writes an SMS; the webhook is answered well."""
        answers = await self.town.twilio.texts.write(person, self.number, words, **more)
        assert answers
        assert all(each is not None and each.status == 200 for each in answers)

    async def answered(self, person: str, count: int = 1) -> list[Message]:
        """Once `count` SMS have gone to them."""

        async def there() -> list[Message] | None:
            sent = self.sms_to(person)
            return sent if len(sent) >= count else None

        found: list[Message] = await eventually(there)
        return found

    async def appointments(self) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = (await self.get("/api/v1/appointments"))["appointments"]
        return shown

    async def conversation(self, channel: str = "sms") -> dict[str, Any]:
        """The only one of this channel."""
        path = f"/api/v1/conversations?channel={channel}"
        (found,) = (await self.get(path))["conversations"]
        shown: dict[str, Any] = await self.get(f"/api/v1/conversations/{found['id']}")
        return shown

    def letters(self, to: str) -> list[Received]:
        return [each for each in self.town.smtp.inbox if to in each.recipients]


async def eventually(found: Callable[[], Awaitable[Any]], seconds: float = 30) -> Any:
    """The first truth that it gives."""
    async with asyncio.timeout(seconds):
        while not (value := await found()):
            await asyncio.sleep(0.05)
    return value


@asynccontextmanager
async def town(directory: Path) -> AsyncIterator[Town]:
    """`coccinelle serve` and `coccinelle work`, two processes, between emulated vendors."""
    token, admin, key = (secrets.token_hex(16) for _ in range(3))
    sealing = secrets.token_bytes(32)
    rules: dict[str, Rules] = {}
    shop: list[Town] = []
    meta = MetaEmulator({})
    twilio = TwilioEmulator(account_sid=ACCOUNT, auth_tokens=[token], numbers=[NUMBER, *_NUMBERS])
    models = OpenAIHttpEmulator(key, lambda conversation: shop[0].mind(conversation))
    smtp = SmtpEmulator({_MAILBOX: _PASSWORD})
    url = f"http://127.0.0.1:{free_port()}"
    database_url = migrated_file(directory / "coccinelle.sqlite3")
    authority = directory / "authority.pem"
    authority.write_text(smtp.authority)
    async with twilio, models, smtp, meta.running():
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "PORT": url.rpartition(":")[2],
            "PUBLIC_URL": url,
            "DATABASE_URL": database_url,
            "ADMIN_API_KEY": admin,
            "ENCRYPTION_KEY": sealing.hex(),
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": token,
            "TWILIO_PHONE_NUMBER": NUMBER,
            "TWILIO_SMS_FROM": NUMBER,
            "TWILIO_API_BASE_URL": twilio.url,
            "WHATSAPP_BASE_URL": meta.url,
            "GUARD_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
            "LLM_BASE_URL": models.url,
            "LLM_API_KEY": key,
            "LLM_MODEL": CHAT_MODEL,
            "JOB_WORKER": "none",
        }
        twilio.point_at(url)
        serve = [sys.executable, "-m", "server", "serve"]
        work = [sys.executable, "-m", "tests.scenarios.text_worker", str(authority)]
        server = _started(serve, directory, "server", environment)
        worker = _started(work, directory, "worker", environment)
        database = await Database.open(database_url)
        try:
            async with httpx.AsyncClient(base_url=url, timeout=10, trust_env=False) as http:
                await _ready(http, server)
                storage = Storage(database, SystemClock(), KeyRing({1: sealing}))
                shop.append(
                    Town(
                        url=url,
                        admin=admin,
                        twilio=twilio,
                        models=models,
                        meta=meta,
                        smtp=smtp,
                        database=database,
                        storage=storage,
                        worker=worker,
                        rules=rules,
                        http=http,
                    )
                )
                yield shop[0]
        finally:
            await database.close()
            for process in (worker, server):
                process.terminate()
            for process in (worker, server):
                try:
                    await asyncio.to_thread(process.wait, 15)
                finally:
                    process.kill()


def _started(
    command: list[str], directory: Path, name: str, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with (directory / f"{name}.log").open("wb") as errors:
        return subprocess.Popen(command, cwd=directory, stderr=errors, env=dict(environment))


async def _ready(http: httpx.AsyncClient, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, "the server has ended"
        try:
            if (await http.get("/readyz")).status_code == 200:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.05)
    raise AssertionError("the server isn't ready")
