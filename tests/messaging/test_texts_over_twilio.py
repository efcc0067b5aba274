"""A text from the API to Twilio and back: our whole server, its worker's jobs, the emulated vendor,
signed callbacks over sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
import uvicorn

from sandbox.twilio import TwilioEmulator
from sandbox.twilio_texts import Fate
from server.app import create_app
from server.clock import SystemClock
from server.job_kinds import job_kinds
from server.text_jobs import text_jobs
from server.texts import text_vendors
from storage import Database, Storage, Text
from storage.jobs.worker import JobWorker, Pace
from tests.running import ACCOUNT, TOKEN, settings

OURS, LEA, MAX = "+33757000001", "+33639980001", "+33639980002"


@dataclass
class World:
    """All of it, under way."""

    http: httpx.AsyncClient
    storage: Storage
    tenant_id: str
    twilio: TwilioEmulator

    async def send(self, to: str = LEA, message: str = "Rendez-vous mardi à 14h30") -> str:
        body = {"to": to, "message": message}
        answer = await self.http.post("/api/channels/sms/send", json=body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] == "queued"
        return str(answer.json()["messageId"])

    async def reaches(self, text_id: str, status: str) -> Text:
        async def there() -> bool:
            return (await self.text(text_id)).status == status

        await until(there)
        return await self.text(text_id)

    async def text(self, text_id: str) -> Text:
        async with self.storage.tenant(self.tenant_id).read() as rows:
            return await rows.outbox.get(text_id)


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def working(config: Any, database: Database, storage: Storage) -> AsyncIterator[None]:
    """The worker's part, with the vendors of the settings."""
    clock = SystemClock()
    async with text_vendors(config, storage, clock) as texts:
        kinds = text_jobs(config, storage, clock, texts.senders)
        names = {kind.name for kind in job_kinds(config, database, storage, clock)}
        assert {kind.name for kind in kinds} <= names
        worker = JobWorker(database, clock, kinds, pace=Pace(poll=0.02))
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(worker.run())
            try:
                yield
            finally:
                worker.stop()
                await running


@pytest_asyncio.fixture(loop_scope="session")
async def world(tmp_path: Path) -> AsyncIterator[World]:
    port = free_port()
    async with TwilioEmulator(account_sid=ACCOUNT, auth_tokens=[TOKEN], numbers=[OURS]) as twilio:
        config = settings(
            tmp_path,
            public_url=f"http://127.0.0.1:{port}",
            twilio_api_base_url=twilio.url,
            twilio_sms_from=OURS,
            job_worker="none",
        )
        app = create_app(config)
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error"))
        database = await Database.open(config.database_url.get_secret_value())
        storage = Storage(database, SystemClock())
        tenant = await storage.operator.create_tenant("Salon Lumière")
        key = await storage.operator.create_key(tenant.id)
        async with storage.tenant(tenant.id).write() as rows:
            await rows.channels.save("sms", enabled=True, config={})
            for number in (LEA, MAX):
                await rows.contacts.person(phone=number, source="operator")
        headers = {"authorization": f"Bearer {key}"}
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.serve())
            while not server.started:
                await asyncio.sleep(0.01)
            async with (
                httpx.AsyncClient(base_url=config.public_url, headers=headers) as http,
                working(config, database, storage),
            ):
                yield World(http, storage, tenant.id, twilio)
            server.should_exit = True
            await serving
        await database.close()


async def test_from_the_api_to_the_handset_and_back(world: World) -> None:
    text = await world.reaches(await world.send(), "delivered")
    assert (text.vendor, text.sender, text.attempts) == ("twilio", OURS, 1)
    (message,) = world.twilio.texts.messages.values()
    assert (message.sid, message.to_number) == (text.vendor_id, LEA)

    # Statuses in any order, several times; one that failed says why in words.
    world.twilio.texts.fates.append(Fate(("delivered", "sent", "delivered"), times=2))
    await world.reaches(await world.send(), "delivered")
    world.twilio.texts.fates.append(Fate(("sent", "undelivered"), error=30003))
    failed = await world.reaches(await world.send(), "failed")
    assert failed.reason == "Le téléphone est éteint ou hors réseau."

    # The answer is lost after Twilio took it: no second SMS, and the status resolves it.
    before = len(world.twilio.texts.messages)
    world.twilio.texts.fates.append(Fate(("sent", "delivered"), answer="cut", delay=0.4))
    lost = await world.send()
    await world.reaches(lost, "delivered")
    assert len(world.twilio.texts.messages) == before + 1
    async with world.storage.tenant(world.tenant_id).read() as rows:
        assert "unknown" in [event.status for event in await rows.outbox.events(lost)]

    # STOP to the sender: refused once, then not even asked for.
    world.twilio.texts.blocked.add((OURS, MAX))
    refused = await world.reaches(await world.send(MAX), "failed")
    again = await world.reaches(await world.send(MAX), "suppressed")
    assert (refused.code, again.code) == ("21610", "sender_blocked")
