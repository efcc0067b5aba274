"""Whole calls through a real server whose ladder begins with Vapi."""

import asyncio
import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sandbox.report import CallReport
from sandbox.vapi_faults import VapiFaults
from tests.scenarios.conftest import Business, Deployment, deployed

#: tests/scenarios/test_faults.py has a sample of them.
pytestmark = [pytest.mark.timeout(120), pytest.mark.long]

KEY = "vapi-private-key"
SECRET = "what-vapi-shows-at-our-door"
SCRIPT = str(Path(__file__).parent / "vapi_short.toml")
CALLER = ["Dites-moi, êtes-vous un robot ?", "Merci beaucoup, au revoir."]


@dataclass(frozen=True, slots=True)
class Played:
    report: CallReport
    call: dict[str, Any]

    @property
    def vapi(self) -> list[dict[str, Any]]:
        assert self.report.model is not None
        calls: list[dict[str, Any]] = self.report.model["vapi"]
        return calls

    @property
    def realtime(self) -> list[dict[str, Any]]:
        assert self.report.model is not None
        sessions: list[dict[str, Any]] = self.report.model["sessions"]
        return sessions

    def turns(self, who: str) -> list[str]:
        return [turn["text"] for turn in self.call["turns"] if turn["who"] == who]


async def play(it: Deployment, faults: VapiFaults | None = None) -> Played:
    business = await it.tenant("beaute", "reception")
    assistant_id = await _provisioned(it, business)
    if faults is not None:
        assert it.world.vapi is not None
        it.world.vapi.faults_of[assistant_id] = faults
    report = await it.world.call(SCRIPT, line=business.line)
    return Played(report, await business.the_call())


async def _provisioned(it: Deployment, business: Business) -> str:
    """The assistant that the worker makes for a tenant by itself, once it is stored."""
    path = it.log.parent / "coccinelle.sqlite3"
    for _ in range(200):
        with contextlib.closing(sqlite3.connect(path, timeout=10)) as database:
            found = database.execute(
                "SELECT assistant_id FROM channel_configurations WHERE tenant_id = ?",
                (business.id,),
            ).fetchone()
        if found is not None and found[0] is not None:
            return str(found[0])
        await asyncio.sleep(0.1)
    raise AssertionError("no assistant")


async def test_vapi_answers_dies_and_is_full(tmp_path: Path) -> None:
    async with deployed(tmp_path, vapi_key=KEY, VAPI_WEBHOOK_SECRET=SECRET) as it:
        async with asyncio.TaskGroup() as tasks:
            served = tasks.create_task(play(it))
            dying = tasks.create_task(play(it, VapiFaults(half_dead_after_s=11.0)))
            full = tasks.create_task(play(it, VapiFaults(full="201")))
        log = it.log.read_text()
        assert it.world.vapi is not None
        assert it.world.vapi.live == [], "no line of the account is kept"
    _served(served.result())
    _rescued(dying.result())
    _stepped_down(full.result())
    assert "/transport" not in log
    assert "/control/" not in log


def _served(played: Played) -> None:
    """Vapi from the greeting to the goodbye; the caller's ear and ours heard the same."""
    call, (vapi,) = played.call, played.vapi
    assert call["agent"].startswith("vapi:")
    assert call["outcome"] == "informed"
    assert call["detail"] == "ended_by_agent"
    assert played.realtime == []
    assert played.turns("agent")[0] == vapi["said"][0]["text"]
    assert played.turns("caller") == [
        "Dites-moi, êtes-vous un robot ?",
        "Merci beaucoup, au revoir.",
    ]
    assert played.turns("agent")[-1] == "Bonne journée, au revoir !"
    assert vapi["ended"] == "assistant-ended-call"
    assert not any(vapi["defects"].values())
    assert vapi["errors"] == []
    amiss = {name for name, count in played.report.ear_defects.items() if count}
    assert amiss <= {"late"}, "frames come when this machine has time for them"


def _rescued(played: Played) -> None:
    """It died in the middle of its answer: our own line, then the realtime model, which knows."""
    call, (vapi,), (session,) = played.call, played.vapi, played.realtime
    assert call["agent"].startswith("realtime:")
    assert call["outcome"] == "informed"
    assert played.turns("caller") == [
        "Dites-moi, êtes-vous un robot ?",
        "Merci beaucoup, au revoir.",
    ]
    assert CALLER[0] in session["read"]
    whole = vapi["said"][-1]["text"]
    told = played.turns("agent")[1]
    assert whole.startswith(told)
    assert told != whole, "what the caller heard of it and no more"
    assert vapi["orders"] == ["end-call"], "it isn't left talking to nobody"


def _stepped_down(played: Played) -> None:
    """A full account: the next rung, at once, and nobody notices."""
    call = played.call
    assert call["agent"].startswith("realtime:")
    assert call["outcome"] == "informed"
    assert len(played.turns("caller")) == 2
