import os
import socket
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from domain.errors import OperatorError
from server import settings_page
from server.__main__ import main
from server.commands.serve import listening_socket
from server.settings import Settings
from tests.databases import migrated_file


class Command(Protocol):
    def __call__(self, *arguments: str) -> tuple[int, str, str]: ...


@pytest.fixture
def coccinelle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Command:
    """The command line over a database of its own: (exit status, stdout, stderr)."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            monkeypatch.delenv(name)
    monkeypatch.setenv("DATABASE_URL", migrated_file(tmp_path / "c.sqlite3"))
    monkeypatch.setenv("TWILIO_PHONE_NUMBER", "+33939000001")

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["coccinelle", "--env-file", os.devnull, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), captured.out, captured.err

    return run


def test_migrate_creates_the_database_and_does_it_twice(
    coccinelle: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/new/c.sqlite3")
    for _ in range(2):
        code, out, _ = coccinelle("migrate")
        assert code == 0
        assert "is up to date" in out
    assert (tmp_path / "new/c.sqlite3").is_file()


def test_a_tenant_with_line_transfer_and_key(coccinelle: Command) -> None:
    code, out, _ = coccinelle(
        *("tenants", "create", "--name", "Garage du Port", "--line", "01 99 00 12 34"),
        *("--sector", "garage", "--transfer", "06 39 98 11 11", "--timezone", "Europe/Brussels"),
    )
    assert code == 0
    shown = dict(line.split() for line in out.splitlines())
    assert set(shown) == {"id", "code", "key"}
    assert shown["key"].startswith("cck_")
    code, out, _ = coccinelle("tenants", "list")
    assert out.splitlines() == [
        f"{shown['id']}\t{shown['code']}\tactive\tautomobile\tEurope/Brussels\t+33199001234"
        "\tGarage du Port"
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--line", "garage"), 2, "no telephone number"),
        (("--line", "0199001234"), 1, "already belongs to another business"),
        (("--line", "+33939000001"), 1, "a number of this server"),
        (("--line", "0639981111"), 1, "would come back"),
        (("--transfer", "+33939000001"), 1, "would come back"),
        (("--transfer", "0199001234"), 1, "would come back"),
        (("--line", "0199005678", "--transfer", "01.99.00.56.78"), 1, "would come back"),
        (("--timezone", "Mars/Olympus"), 1, "timezone"),
        (("--locale", "zz"), 1, "locale: Give a locale such as fr-FR"),
    ],
)
def test_what_a_tenant_may_not_have(
    coccinelle: Command, arguments: tuple[str, ...], code: int, said: str
) -> None:
    coccinelle(
        *("tenants", "create", "--name", "First", "--line", "0199001234"),
        *("--transfer", "0639981111"),
    )
    refused, out, err = coccinelle("tenants", "create", "--name", "Second", *arguments)
    assert (refused, out) == (code, "")
    assert said in err
    _, listed, _ = coccinelle("tenants", "list")
    assert "Second" not in listed


def test_a_number_for_a_tenant_alone(coccinelle: Command) -> None:
    _, created, _ = coccinelle("tenants", "create", "--name", "Garage")
    tenant = created.split()[1]
    assert coccinelle("tenants", "add-number", tenant, "01 99 00 00 02")[:2] == (
        0,
        "+33199000002\n",
    )
    code, out, _ = coccinelle("tenants", "add-number", tenant, "+33199000001")
    assert (code, out) == (0, "+33199000001\n+33199000002\n")


@pytest.mark.parametrize(
    ("number", "said"),
    [
        ("garage", "can't be read as a telephone number"),
        ("+33939000001", "shared number"),
        ("0199001234", "line that forwards"),
        ("0639981111", "transferred to this number"),
        ("0199000002", "belongs to another tenant"),
    ],
)
def test_what_number_a_tenant_may_not_have(coccinelle: Command, number: str, said: str) -> None:
    _, first, _ = coccinelle(
        *("tenants", "create", "--name", "First", "--line", "0199001234"),
        *("--transfer", "0639981111"),
    )
    assert coccinelle("tenants", "add-number", first.split()[1], "0199000002")[0] == 0
    _, second, _ = coccinelle("tenants", "create", "--name", "Second")
    code, out, err = coccinelle("tenants", "add-number", second.split()[1], number)
    assert (code, out) == (1, "")
    assert said in err
    # Nothing was kept: the next number is the only one.
    _, out, _ = coccinelle("tenants", "add-number", second.split()[1], "0199000003")
    assert out == "+33199000003\n"


def test_no_number_for_nobody(coccinelle: Command) -> None:
    code, out, err = coccinelle("tenants", "add-number", "nobody", "0199000002")
    assert (code, out) == (1, "")
    assert "there is no tenant nobody" in err


def test_a_key_for_a_tenant(coccinelle: Command) -> None:
    _, created, _ = coccinelle("tenants", "create", "--name", "Garage")
    tenant = created.split()[1]
    code, out, _ = coccinelle("keys", "create", tenant, "--label", "dashboard")
    assert code == 0
    assert out.startswith("cck_")
    assert out.strip() not in created


def test_no_key_for_nobody(coccinelle: Command) -> None:
    code, out, err = coccinelle("keys", "create", "nobody")
    assert (code, out) == (1, "")
    assert "nobody" in err


def test_settings_prints_both_pages(coccinelle: Command) -> None:
    assert coccinelle("settings", "--markdown")[1] == settings_page.markdown()
    assert coccinelle("settings", "--env")[1] == settings_page.env()


@pytest.mark.parametrize("command", [("serve",), ("migrate",), ("tenants", "list")])
def test_wrong_settings_stop_every_command_with_a_line_each(
    coccinelle: Command, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PORT", "eighty")
    monkeypatch.setenv("PUBLIC_URL", "voice.example.fr")
    code, out, err = coccinelle(*command)
    assert (code, out) == (2, "")
    assert [line.split()[0] for line in err.splitlines()] == ["PORT", "PUBLIC_URL"]
    assert all("Cure: " in line for line in err.splitlines())


def test_a_mistyped_setting_is_named(
    coccinelle: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.env").write_text("TWILO_AUTH_TOKEN=secret\nLOG_LEVEL=INFO\n")
    _, out, _ = coccinelle("--env-file", "my.env", "doctor")
    assert out.splitlines()[0] == "warn  TWILO_AUTH_TOKEN is no setting; TWILIO_AUTH_TOKEN is"
    assert "secret" not in out


def test_an_unreachable_database_is_one_line(
    coccinelle: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:1/none")
    code, _, err = coccinelle("migrate")
    assert code == 1
    assert "DATABASE_URL" in err
    assert "hunter2" not in err
    assert "Traceback" not in err


def test_a_taken_port_is_named_with_its_cure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OperatorError, match=r"PORT to a free port"):
            listening_socket("127.0.0.1", taken.getsockname()[1])


def test_an_address_that_is_not_ours_is_named_with_its_cure() -> None:
    with pytest.raises(OperatorError, match="HOST"):
        listening_socket("192.0.2.1", 0)


def test_purge_counts_and_removes_what_is_due(coccinelle: Command, tmp_path: Path) -> None:
    code, out, _ = coccinelle("purge")
    assert (code, out) == (0, "nothing is due\n")
    with closing(sqlite3.connect(tmp_path / "c.sqlite3")) as database, database:
        (old, new) = (datetime.now(UTC) - timedelta(days=days) for days in (400, 300))
        for name, at in (("old", old), ("new", new)):
            moment = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            database.execute(
                "INSERT INTO call_logs (id, call_sid, from_number, to_number, stage, outcome,"
                " started_at, created_at) VALUES (?, ?, '', '', 'x', 'message', ?, ?)",
                (name, name, moment, moment),
            )
    assert coccinelle("purge", "--dry-run")[1] == "calls: 1 due\n"
    assert coccinelle("purge", "--dry-run")[1] == "calls: 1 due\n"
    assert coccinelle("purge")[1] == "calls: 1\n"
    with closing(sqlite3.connect(tmp_path / "c.sqlite3")) as database:
        assert database.execute("SELECT id FROM call_logs").fetchall() == [("new",)]


def test_purge_doesnt_believe_a_clock_far_ahead(coccinelle: Command, tmp_path: Path) -> None:
    """The last purge was four hundred days ago, says the database."""
    coccinelle("purge")
    with closing(sqlite3.connect(tmp_path / "c.sqlite3")) as database, database:
        ago = datetime.now(UTC) - timedelta(days=400)
        moment = ago.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        database.execute("UPDATE retention_marks SET purged_until = ?", (moment,))
        database.execute(
            "INSERT INTO call_logs (id, call_sid, from_number, to_number, stage, outcome,"
            " started_at, created_at) VALUES ('a', 'a', '', '', 'x', 'message', ?, ?)",
            (moment, moment),
        )
    code, out, err = coccinelle("purge")
    assert (code, out) == (0, "nothing is due\n")
    assert "Held back by 392 days" in err or "Held back by 393 days" in err
    assert "--catch-up" in err
    code, out, err = coccinelle("purge", "--catch-up")
    assert (code, out, err) == (0, "calls: 1\n", "")
