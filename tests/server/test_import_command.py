"""`coccinelle import-d1`, as it is typed."""

import json
from pathlib import Path

from tests.server.test_commands import Command, coccinelle  # noqa: F401 - a fixture
from tests.storage import d1_export as d1


def test_says_what_it_kept_and_ends_with_zero(
    coccinelle: Command,  # noqa: F811
    tmp_path: Path,
) -> None:
    path = d1.dump(tmp_path / "export.sql", d1.whole())
    code, out, _ = coccinelle("import-d1", str(path), "--create-tenants")
    assert code == 0
    assert "call_logs: 1 kept, 0 already there, 0 refused" in out
    code, out, _ = coccinelle("import-d1", str(path))
    assert code == 0
    assert "call_logs: 0 kept, 1 already there, 0 refused" in out
    assert d1.GARAGE in coccinelle("tenants", "list")[1]


def test_says_what_it_refused_and_ends_with_one(
    coccinelle: Command,  # noqa: F811
    tmp_path: Path,
) -> None:
    path = d1.database(tmp_path / "export.db", d1.whole())
    code, out, _ = coccinelle("import-d1", str(path), "--json", "--dry-run")
    assert code == 1
    report = json.loads(out)
    assert (report["refused"], report["dry_run"]) == (6, True)
    (refused,) = report["tables"]["tickets"]["refused"]
    assert refused["ids"] == ["ticket_1"]
    code, out, _ = coccinelle("import-d1", str(path))
    assert code == 1
    assert "6 rows were refused: exit status 1." in out


def test_what_is_no_export_is_one_line(
    coccinelle: Command,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff")
    code, _, err = coccinelle("import-d1", str(tmp_path / "photo"))
    assert code == 1
    assert "neither a SQLite database nor SQL" in err
    assert "Traceback" not in err
