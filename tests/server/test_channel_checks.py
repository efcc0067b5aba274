"""A mail server that was saved is tried out: who is refused rests and is told, once."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from domain.channel_state import EMAIL_CHECK
from domain.jobs import Again, Job
from domain.mail_servers import MailServer
from messaging.ports import OutgoingText
from providers.guarded import GuardedDoor, GuardLimits
from providers.smtp import Letter, SmtpTexts
from sandbox.smtp import SmtpEmulator
from server.channel_checks import LOOK_FOR, MailChecking
from storage import Database, Storage
from storage.secrets import KeyRing
from tests.fakes.clock import FakeClock

USER, PASSWORD = "salon@example.fr", "mot-de-passe-1234"


def no_letter(_text: OutgoingText, _server: MailServer) -> Letter:
    raise AssertionError("nothing is sent")


class World:
    """A salon with a mail server of its own."""

    def __init__(
        self, storage: Storage, clock: FakeClock, tenant_id: str, email: SmtpTexts
    ) -> None:
        self.storage, self.clock, self.tenant_id = storage, clock, tenant_id
        self.checking = MailChecking(storage, clock, email)

    async def save(self, port: int, password: str) -> None:
        smtp = {"host": "127.0.0.1", "port": port, "user": USER, "fromEmail": USER}
        config: dict[str, Any] = {"smtp": {**smtp, "password": password}}
        async with self.storage.tenant(self.tenant_id).write() as rows:
            await rows.channels.save("email", enabled=True, config=config)

    async def check(self) -> Again | None:
        self.clock.advance(1)
        payload = {"tenant_id": self.tenant_id}
        return await self.checking.run(Job("1", EMAIL_CHECK, payload, 1, self.tenant_id))

    async def paused(self) -> str:
        async with self.storage.tenant(self.tenant_id).read() as rows:
            pause = await rows.outbox.paused("email")
        return "" if pause is None else pause.code

    async def told(self) -> int:
        async with self.storage.tenant(self.tenant_id).read() as rows:
            return len((await rows.notifications.list(unread=True, limit=10, offset=0))[0])


@pytest.fixture
async def server() -> AsyncIterator[SmtpEmulator]:
    async with SmtpEmulator({USER: PASSWORD}) as emulator:
        yield emulator


@pytest.fixture
async def world(tmp_path: Path, server: SmtpEmulator) -> AsyncIterator[World]:
    clock = FakeClock()
    database = await Database.open(f"sqlite:///{tmp_path}/checks.sqlite3")
    storage = Storage(database, clock, KeyRing({1: hashlib.sha256(b"test").digest()}))
    tenant = await storage.operator.create_tenant("Salon")
    door = GuardedDoor(["127.0.0.0/8"], limits=GuardLimits(floor=0.0), trust=server.trust)
    yield World(storage, clock, tenant.id, SmtpTexts(door, no_letter, trust=server.trust))
    await database.close()


async def test_a_refused_password_pauses_the_channel_until_it_is_mended(
    world: World, server: SmtpEmulator
) -> None:
    await world.save(server.port, "faux")
    for _ in range(2):
        assert await world.check() is None
        assert (await world.paused()).startswith("535")
    assert await world.told() == 1
    await world.save(server.port, PASSWORD)
    assert await world.check() is None
    assert (await world.paused(), await world.told()) == ("", 1)
    assert server.inbox == []


async def test_a_server_that_is_away_is_looked_at_for_a_while(world: World) -> None:
    await world.save(1, PASSWORD)
    assert await world.check() is not None
    world.clock.advance(LOOK_FOR.total_seconds())
    assert await world.check() is None
    assert await world.paused() == ""


async def test_what_is_incomplete_is_left_alone(world: World) -> None:
    assert await world.check() is None
    await world.save(1, "")
    assert await world.check() is None
    assert await world.paused() == ""
