"""What fails in the background of the whole application ends only itself."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from domain.errors import OperatorError
from tests.running import french_call, running
from tests.voice.carrier import eventually

LINE = "+33199001234"


def sql(directory: Path, statement: str) -> None:
    """Somebody else does this to the database."""
    with closing(sqlite3.connect(directory / "test.sqlite3", isolation_level=None)) as other:
        other.execute(statement)


async def test_an_agent_that_cannot_be_prepared_ends_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise OperatorError("the database is away")

    async with running(tmp_path) as twilio:
        await twilio.tenant("Garage du Port", LINE)
        with monkeypatch.context() as patched:
            patched.setattr("voice.streams.Streams.setup", broken)
            assert (await twilio.ring(1, ForwardedFrom=LINE)).verbs == ["Connect"]
            await asyncio.sleep(0.2)
        assert (await twilio.ring(2, ForwardedFrom=LINE)).verbs == ["Connect"]


async def test_the_sweeper_and_the_journal_outlive_a_broken_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voice.background.AGAIN_SECONDS", 0.05)
    monkeypatch.setattr("voice.endings.SWEEP_SECONDS", 0.05)
    monkeypatch.setattr("voice.endings.UNSEEN", timedelta(0))
    monkeypatch.setattr("voice.endings.CLAIMED", timedelta(0))
    async with running(tmp_path) as twilio:
        owner = await twilio.tenant("Garage du Port", LINE)
        await twilio.ring(1, ForwardedFrom=LINE)
        await asyncio.to_thread(
            sql, tmp_path, "UPDATE call_logs SET started_at = 'no instant at all'"
        )
        await asyncio.sleep(0.3)
        await asyncio.to_thread(
            sql, tmp_path, "UPDATE call_logs SET started_at = '2020-01-01T00:00:00.000000Z'"
        )

        async def swept() -> bool:
            return bool((await owner.get("/api/v1/calls"))["calls"][0]["outcome"])

        await eventually(swept)
        assert (await twilio.ring(2, ForwardedFrom=LINE)).verbs == ["Connect"]


async def test_no_webhook_is_answered_from_a_database_that_is_away(tmp_path: Path) -> None:
    async with running(tmp_path) as twilio:
        owner = await twilio.tenant("Garage du Port", LINE)
        await twilio.ring(1, ForwardedFrom=LINE)
        (call,) = (await owner.get("/api/v1/calls"))["calls"]
        await asyncio.to_thread(sql, tmp_path, "ALTER TABLE call_logs RENAME TO gone")
        transfer = f"voice/transfer/{call['id']}"
        for path in (
            *("voice", f"voice/tenant/{call['id']}", "voice/continue", transfer),
            *(f"{transfer}/announce", f"{transfer}/accept", f"{transfer}/done"),
        ):
            response = await twilio.post(path, french_call(2, ForwardedFrom=LINE))
            assert response.status_code == 503, path
