"""`coccinelle migrate`, forward and back."""

import io
import sys
from pathlib import Path

import pytest

from storage import migrations
from tests.server.test_commands import Command, coccinelle  # noqa: F401 - a fixture

HEAD = migrations.head()


def test_says_where_a_database_stands_without_making_one(
    coccinelle: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/new.sqlite3")
    assert "is empty" in coccinelle("migrate", "--status")[1]
    assert not (tmp_path / "new.sqlite3").exists()
    coccinelle("migrate", "--revision", "0003")
    assert f"at revision 0003; this version's is {HEAD}" in coccinelle("migrate", "--status")[1]
    coccinelle("migrate")
    assert f"up to date (at revision {HEAD})" in coccinelle("migrate", "--status")[1]


def test_goes_back_when_told_so_and_only_then(
    coccinelle: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    coccinelle("migrate")
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, out, _ = coccinelle("migrate", "--revision", "0003")
    assert code == 1
    assert "loses what the newer tables" in out
    assert "up to date" in coccinelle("migrate", "--status")[1]
    code, out, _ = coccinelle("migrate", "--revision", "0003", "--yes")
    assert (code, "at revision 0003" in out) == (0, True)
    code, out, _ = coccinelle("migrate", "--revision", "base", "--yes")
    assert (code, "is empty" in out) == (0, True)


def test_there_is_no_such_revision(coccinelle: Command) -> None:  # noqa: F811
    coccinelle("migrate")
    code, _, err = coccinelle("migrate", "--revision", "8888")
    assert code == 1
    assert "there is no revision 8888" in err
