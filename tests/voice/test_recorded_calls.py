"""A call over a real stream whose business records: announced, then asked for, and only then."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.voice.carrier import Served, greeted, serving, talking, until


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


def _recordings(served: Served) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(served.directory / "test.sqlite3")) as database:
        return list(database.execute("SELECT source, state FROM recordings"))


async def _calls(served: Served, **config: object) -> str:
    """The greeting that the caller has heard to its end."""
    response = await served.twilio.http.put(
        "/api/v1/channels/phone", headers=served.owner.headers, json={"config": config}
    )
    assert response.status_code == 200, response.text
    async with talking(served) as line:
        await greeted(served)
        if config:
            await until(lambda: _recordings(served))
        said = str((await served.call())["turns"][0]["text"])
        await line.stops()
    await served.everything_is_over()
    return said


async def test_recorded_after_the_notice(served: Served) -> None:
    said = await _calls(served, recording={"enabled": True})
    assert "Cet appel est enregistré" in said
    ((source, _),) = _recordings(served)
    assert source == "call"


async def test_not_recorded_by_default(served: Served) -> None:
    assert "enregistré" not in await _calls(served)
    assert _recordings(served) == []
