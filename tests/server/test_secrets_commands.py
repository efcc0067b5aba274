"""`coccinelle secrets` and what `doctor` says of them; nothing that is secret is ever printed."""

import asyncio
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server.__main__ import main
from server.commands.session import open_storage
from server.doctor import check_secrets
from server.key_ring import key_ring
from server.settings import Settings
from tests.databases import migrated_file

OLD, NEW = secrets.token_hex(32), secrets.token_hex(32)
PASSWORD = "Zw7!motdepasse-tres-reconnaissable"
Coccinelle = Callable[..., tuple[int, str]]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return migrated_file(tmp_path / "c.sqlite3")


@pytest.fixture
def coccinelle(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], url: str
) -> Coccinelle:
    """With this ring: (exit status, all that was said)."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", url)

    def run(ring: str, *arguments: str) -> tuple[int, str]:
        monkeypatch.setenv("ENCRYPTION_KEYS", ring)
        monkeypatch.setattr(sys, "argv", ["coccinelle", "--env-file", os.devnull, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = "".join(capfd.readouterr())
        assert not [each for each in (OLD, NEW, PASSWORD) if each in said]
        return (ended.value.code if isinstance(ended.value.code, int) else 0), said

    return run


def _settings(url: str, ring: str) -> Settings:
    return Settings.of(database_url=url, encryption_keys=ring)


async def _entrust(url: str, ring: str) -> str:
    async with open_storage(_settings(url, ring)) as storage:
        tenant = await storage.operator.create_tenant("Garage du Port")
        async with storage.tenant(tenant.id).write() as rows:
            await rows.channels.save_secrets("email", {"smtp.password": PASSWORD})
        return tenant.id


async def _doctor(url: str, ring: str) -> list[tuple[str, str]]:
    async with open_storage(_settings(url, ring)) as storage:
        return [(each.level, f"{each.what} {each.cure}") for each in await check_secrets(storage)]


def test_a_rotation_from_the_command_line(coccinelle: Coccinelle, url: str) -> None:
    both = f"2:{NEW},1:{OLD}"
    code, said = coccinelle(both, "secrets", "status")
    assert (code, said.splitlines()) == (
        0,
        ["ENCRYPTION_KEYS: 2, 1 (the first seals)", "nothing is sealed"],
    )
    assert asyncio.run(_doctor(url, both)) == []
    tenant = asyncio.run(_entrust(url, f"1:{OLD}"))
    code, said = coccinelle(both, "secrets", "status")
    assert code == 0
    assert "version 1: 1\n1 to be sealed with the newest key" in said
    ((level, told),) = asyncio.run(_doctor(url, both))
    assert level == "warn"
    assert "`coccinelle secrets rotate`" in told
    assert coccinelle(both, "secrets", "rotate") == (0, "1 sealed anew.\n")
    assert coccinelle(both, "secrets", "rotate") == (0, "0 sealed anew.\n")
    code, said = coccinelle(f"2:{NEW}", "secrets", "status")
    assert (code, said.splitlines()[1:]) == (0, ["version 2: 1"])
    assert asyncio.run(_doctor(url, f"2:{NEW}")) == [("ok", "all 1 sealed credentials open ")]
    # The key of version 2 is lost.
    code, said = coccinelle(f"1:{OLD}", "secrets", "status")
    assert code == 1
    assert f"tenant {tenant}, channel email," in said
    assert "key version 2" in said
    assert coccinelle(f"1:{OLD}", "secrets", "rotate")[0] == 1
    ((level, told),) = asyncio.run(_doctor(url, f"1:{OLD}"))
    assert level == "fail"
    assert "put the key of version 2 back" in told
    assert coccinelle(f"1:{OLD}", "secrets", "forget", tenant, "email") == (0, "Forgotten.\n")
    assert coccinelle(f"1:{OLD}", "secrets", "forget", tenant, "email")[0] == 1
    assert coccinelle(f"1:{OLD}", "secrets", "status")[0] == 0


def test_with_a_wrong_key_doctor_names_a_few(url: str) -> None:
    async def scene() -> list[tuple[str, str]]:
        for _ in range(7):
            await _entrust(url, f"1:{OLD}")
        return await _doctor(url, f"1:{NEW}")

    found = asyncio.run(scene())
    assert [level for level, _ in found] == ["fail"] * 6
    assert "set the right key for version 1" in found[0][1]
    assert "2 more" in found[5][1]


def test_a_weak_key_starts_nothing(coccinelle: Coccinelle) -> None:
    code, said = coccinelle("1:" + "0123456789abcdef" * 4, "secrets", "status")
    assert code == 2
    assert "is too weak" in said
    assert "openssl rand -hex 32" in said


def test_the_ring_of_the_settings() -> None:
    ring = key_ring(Settings.of(encryption_keys=f"2:{NEW},1:{OLD}"))
    assert ring is not None
    assert ring.versions == (2, 1)
    alone = key_ring(Settings.of(encryption_key=OLD))
    assert alone is not None
    assert ring.open(alone.seal(b"x", "t", "email"), "t", "email") == b"x"
    assert key_ring(Settings.of()) is None
