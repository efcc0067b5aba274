import json
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.server.test_commands import Command, coccinelle

__all__ = ["coccinelle"]  # the fixture


def execute(directory: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(directory / "c.sqlite3")) as connection, connection:
        connection.execute(statement, values)


def test_what_waits_and_what_is_dead_is_seen_replayed_and_discarded(
    coccinelle: Command, tmp_path: Path
) -> None:
    now = "2026-11-23T09:00:00.000000Z"
    execute(
        tmp_path,
        "INSERT INTO jobs (kind, key, payload, run_at, created_at) VALUES (?, ?, ?, ?, ?)",
        *("test.waits", "/k", "{}", now, now),
    )
    for letter in ("a", "b"):
        execute(
            tmp_path,
            "INSERT INTO dead_jobs (id, kind, payload, attempts, error, died_at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            *(letter, "test.dead", json.dumps({"id": letter}), 3, "TenantError: wrong", now),
        )
    code, out, _ = coccinelle("jobs", "dead")
    assert code == 0
    assert [line.split("\t") for line in out.splitlines()] == [
        [
            *(letter, "2026-11-23T09:00:00+00:00", "test.dead", "-", "-", "3 attempts"),
            *(f'{{"id": "{letter}"}}', "TenantError: wrong"),
        ]
        for letter in ("a", "b")
    ]
    assert coccinelle("jobs", "replay", "a")[:2] == (0, "test.dead runs again.\n")
    assert coccinelle("jobs", "discard", "b")[:2] == (0, "test.dead is forgotten.\n")
    code, _, err = coccinelle("jobs", "replay", "a")
    assert code == 1
    assert "coccinelle jobs dead" in err
    assert coccinelle("jobs", "dead")[1] == ""
    code, out, _ = coccinelle("jobs", "list")
    *rows, last = [line.split("\t") for line in out.splitlines()]
    assert [row[1:] for row in rows] == [
        ["waiting", "test.waits", "-", "k", "2026-11-23T09:00:00+00:00", "0 attempts"],
        ["waiting", "test.dead", "-", "-", "at once", "0 attempts"],
    ]
    assert last[0].startswith("2 waiting, 0 running, 0 dead;")
