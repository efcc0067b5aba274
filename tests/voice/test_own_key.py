"""A tenant's own key of OpenAI pays for its calls; one that can't be opened loses none."""

import asyncio
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.running import Owner
from tests.voice.carrier import KEY, LINE, Served, serving, talking, until

RING_KEY = secrets.token_hex(32)
#: A key that the model's emulator refuses.
OTHER = "sk-somebody-elses-key-0123456789"


async def _bring(owner: Owner, key: str | None) -> None:
    await owner.put("/api/v1/channels/phone", {"configSecret": {"openaiApiKey": key}})


def _spoil(directory: Path) -> None:
    """As if the key that sealed it were lost."""
    with closing(sqlite3.connect(directory / "test.sqlite3")) as connection, connection:
        (sealed,) = connection.execute(
            "SELECT config_encrypted FROM channel_configurations WHERE config_encrypted IS NOT NULL"
        ).fetchone()
        connection.execute(
            "UPDATE channel_configurations SET config_encrypted = ?",
            (sealed.replace("v1.1.", "v1.9."),),
        )


async def _unreadable(served: Served) -> float:
    """How often the metrics say that a key couldn't be opened."""
    return await served.metric('events_total{event="own_keys_unreadable",label=""}')


async def test_the_tenants_own_key_is_shown_to_the_vendor(tmp_path: Path) -> None:
    async with serving(tmp_path, openai_api_key=OTHER, encryption_key=RING_KEY) as served:
        await _bring(served.owner, KEY)
        async with talking(served) as line:
            await line.stops()
        assert len(served.sessions) == 1
        assert served.model.refusals == []
        assert await _unreadable(served) == 0


async def test_without_one_the_deployments_is(tmp_path: Path) -> None:
    async with serving(tmp_path, encryption_key=RING_KEY) as served:
        await _bring(served.owner, OTHER)
        await _bring(served.owner, None)
        async with talking(served) as line:
            await line.stops()
        assert served.model.refusals == []


async def test_one_that_does_not_open_loses_no_call(tmp_path: Path) -> None:
    async with serving(tmp_path, encryption_key=RING_KEY) as served:
        await _bring(served.owner, OTHER)
        _spoil(tmp_path)
        async with talking(served) as line:
            await line.stops()
        assert len(served.sessions) == 1
        assert await _unreadable(served) > 0


async def test_one_that_is_refused_is_not_replaced(
    tmp_path: Path,
) -> None:
    """Nobody else pays for a tenant whose key has expired: its callers are answered by turns."""
    async with serving(tmp_path, encryption_key=RING_KEY) as served:
        await _bring(served.owner, OTHER)
        answer = await served.twilio.ring(1, ForwardedFrom=LINE)
        assert answer.token
        await until(lambda: served.model.refusals)
        await asyncio.sleep(0.3)
        assert {status for status, _ in served.model.refusals} == {401}
        assert served.sessions == []
        await served.twilio.reports_the_end()
