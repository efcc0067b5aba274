"""A stream whose call another node has adopted: it ends, hangs up and transfers nothing more."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from storage.call_register import CallRegister
from tests.voice.carrier import LINE, Served, eventually, greeted, joined, serving
from voice.endings import TRANSFERRING


def adopted(served: Served) -> None:
    """By a node that took this one for dead."""
    with closing(sqlite3.connect(served.directory / "test.sqlite3", timeout=5)) as database:
        database.execute("UPDATE call_logs SET node_id = 'another'")
        database.commit()


async def test_the_carriers_stop_is_no_end_of_the_call(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        said = await served.twilio.ring(ForwardedFrom=LINE)
        async with joined(served, said.token) as line:
            await greeted(served)
            adopted(served)
            await line.stops()  # what a redirected call's stream is sent
        await served.everything_is_over()
        assert (await served.call())["outcome"] is None
        again = await served.twilio.goes_on()
        async with joined(served, again.token, stream=2) as line:
            await greeted(served, turns=2)
            await line.stops()
        assert await served.outcome()


async def test_a_transfer_that_another_has_begun_is_not_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node was frozen between the row and the carrier."""
    set_stage = CallRegister.set_stage

    async def frozen(register: CallRegister, call_id: str, stage: str, **only: Any) -> bool:
        done = await set_stage(register, call_id, stage, **only)
        if stage == TRANSFERRING:
            adopted(served)
        return done

    monkeypatch.setattr(CallRegister, "set_stage", frozen)
    async with serving(tmp_path) as served:
        said = await served.twilio.ring(ForwardedFrom=LINE)
        async with joined(served, said.token) as line:
            await greeted(served)
            await line.presses("9#")
            assert await line.is_closed() == 1000
        assert served.posted("Url=") == []
        assert (await served.twilio.goes_on()).verbs == ["Dial"]


@pytest.mark.parametrize(("keys", "would_post"), [("8#", "Status=completed"), ("9#", "Url=")])
async def test_neither_hangs_up_nor_transfers(tmp_path: Path, keys: str, would_post: str) -> None:
    async with serving(tmp_path) as served:
        said = await served.twilio.ring(ForwardedFrom=LINE)
        async with joined(served, said.token) as line:
            await greeted(served)
            adopted(served)
            await line.presses(keys)
            assert await line.is_closed() == 1000
        assert served.posted(would_post) == []
        assert (await served.call())["outcome"] is None
        assert (await served.twilio.goes_on()).verbs == ["Connect"], "as if it hadn't been asked"

        async def no_stream() -> bool:
            return await served.live() == 0

        await eventually(no_stream)
