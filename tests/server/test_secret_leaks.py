"""What tenants entrust to us is nowhere in the clear: in no table, no file, no line of the log.

The whole application on either database: saving, reading, rotating, and all that can fail.
"""

import base64
import io
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from server.commands.session import open_storage
from server.logs import logging_to
from storage import Database
from tests.databases import migrated_file
from tests.running import Owner, Twilio, running, settings

KEYS = [secrets.token_hex(32) for _ in range(3)]
FIRST, PROMOTED, WRONG = f"1:{KEYS[0]}", f"2:{KEYS[1]},1:{KEYS[0]}", f"3:{KEYS[2]}"
LINE = "+33199001234"
#: By where each is put. Long and unmistakable.
PLAIN = {
    name: f"Zw7!{name}-{secrets.token_hex(6)}"
    for name in ("smtp", "accessToken", "appSecret", "openaiApiKey", "nested", "refused", "failed")
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return migrated_file(tmp_path / "test.sqlite3")
    migrated: str = request.getfixturevalue("migrated_postgres_url")
    return migrated


@asynccontextmanager
async def as_before(
    directory: Path, known: tuple[str, str], **values: Any
) -> AsyncIterator[tuple[Twilio, Owner]]:
    """The server, started anew for the same tenant: (id, key)."""
    async with running(directory, **values) as twilio:
        owner = Owner(twilio, known[0], "", known[1])
        yield twilio, owner


async def _put(owner: Owner, channel: str, **body: Any) -> httpx.Response:
    path = f"/api/v1/channels/{channel}"
    answer = await owner._http.put(path, json=body, headers=owner.headers)
    assert not [plain for plain in PLAIN.values() if plain in answer.text]
    return answer


async def _look(owner: Owner) -> None:
    for path in ("", "/phone", "/sms", "/email", "/whatsapp"):
        told = str(await owner.get(f"/api/v1/channels{path}"))
        assert not [plain for plain in PLAIN.values() if plain in told]


async def _entrust(owner: Owner) -> None:
    smtp = {"host": "smtp.gmail.com", "user": "apikey", "password": PLAIN["smtp"]}
    deep = {"vendors": [{"api_key": PLAIN["nested"]}]}
    pages: dict[str, dict[str, Any]] = {
        "email": {"config": {"smtp": smtp, **deep}},
        "whatsapp": {
            "config": {"connectionMethod": "manual", "access_token": PLAIN["accessToken"]},
            "configSecret": {"appSecret": PLAIN["appSecret"], "phoneNumberId": "1"},
        },
        "sms": {"config": deep, "templates": {"rdvRappel": "Bonjour"}},
        "phone": {"configSecret": {"openaiApiKey": PLAIN["openaiApiKey"]}},
    }
    for channel, body in pages.items():
        assert (await _put(owner, channel, enabled=True, **body)).status_code == 200


async def _fail_to_store(owner: Owner, url: str) -> None:
    """The table is away, in the middle of everything."""
    database = await Database.open(url)
    try:
        for statement in (
            "ALTER TABLE channel_configurations RENAME TO gone",
            "ALTER TABLE gone RENAME TO channel_configurations",
        ):
            async with database.write() as connection:
                await connection.execute(sa.text(statement))
            sent = {"password": PLAIN["failed"]}
            if statement.endswith("gone"):
                try:
                    answer = await _put(owner, "email", config={"smtp": sent})
                    assert answer.status_code == 503
                except sa.exc.ProgrammingError as error:  # as uvicorn would
                    logging.getLogger("uvicorn.error").error("Exception", exc_info=error)
    finally:
        await database.close()


async def _everything(url: str) -> str:
    """Every column of every table."""
    database = await Database.open(url)
    try:
        async with database.read() as connection:
            names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
            told = []
            for name in names:
                quoted = connection.dialect.identifier_preparer.quote(name)
                statement = sa.select(sa.text("*")).select_from(sa.text(quoted))
                told += [str(row) for row in await connection.execute(statement)]
            return "\n".join(told)
    finally:
        await database.close()


def _files(directory: Path) -> bytes:
    """The database's, its write-ahead log included."""
    return b"".join(file.read_bytes() for file in directory.iterdir() if file.is_file())


async def _live_through_it(tmp_path: Path, url: str) -> bytes:
    """Everything that can happen to secrets; what the database's files held in the middle of it."""
    async with running(tmp_path, database_url=url, encryption_keys=FIRST) as twilio:
        owner = await twilio.tenant("Garage du Port", LINE)
        known = (owner.id, owner.headers["Authorization"].removeprefix("Bearer "))
        await _entrust(owner)
        await _look(owner)
        await _fail_to_store(owner, url)
        refused = await _put(owner, "phone", configSecret={"openaiApiKey": PLAIN["refused"] + "é"})
        assert refused.status_code == 422
        await twilio.ring(1, ForwardedFrom=LINE)
        on_disk = _files(tmp_path)
    async with as_before(tmp_path, known, database_url=url, encryption_keys=PROMOTED) as (_, owner):
        await _look(owner)
        given = settings(tmp_path, database_url=url, encryption_keys=PROMOTED)
        async with open_storage(given) as storage:
            assert (await storage.sealed_rows.reseal()).count == 4
        await _look(owner)
    for ring in ({"encryption_keys": WRONG}, {}):
        async with as_before(tmp_path, known, database_url=url, **ring) as (twilio, owner):
            await _look(owner)
            answer = await _put(owner, "email", config={"smtp": {"password": PLAIN["failed"]}})
            assert answer.status_code == 503
            await twilio.ring(2, ForwardedFrom=LINE)
    return on_disk


async def test_nothing_leaks(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("uvicorn", "uvicorn.error"):  # a test before may have configured uvicorn's own
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        monkeypatch.setattr(logging.getLogger(name), "disabled", False)
    stream = io.StringIO()
    known = settings(tmp_path, encryption_keys=f"{PROMOTED},{WRONG}").secrets
    with logging_to(stream, level="DEBUG", secrets=known):
        on_disk = await _live_through_it(tmp_path, url)
    log = stream.getvalue()  # all of it: the lines are written by a thread
    told = await _everything(url)
    on_disk += _files(tmp_path)
    # What was looked through is what was written.
    assert told.count("v1.2.") == 4
    assert "smtp.gmail.com" in told
    for event in ("secrets.unreadable", "secrets.no_key", "channel_configurations"):
        assert event in log
    if url.startswith("sqlite"):
        assert b"smtp.gmail.com" in on_disk
    for plain in (*PLAIN.values(), *KEYS):
        for form in (plain, base64.b64encode(plain.encode()).decode()[:-4]):
            assert form not in log
            assert form not in told
            assert form.encode() not in on_disk
