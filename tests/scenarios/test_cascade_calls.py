"""Whole calls by the cascade alone: the real server, models behind OpenAI's HTTP API."""

from pathlib import Path
from typing import Any

import pytest

from domain.messages import text
from sandbox.openai_http import VOICES
from sandbox.report import CallReport
from sandbox.scenario import load, names
from tests.scenarios.conftest import Deployment, deployed

#: tests/scenarios/test_faults.py has a sample of them.
pytestmark = [pytest.mark.timeout(150), pytest.mark.long]

SHORT = str(Path(__file__).parent / "cascade_short.toml")
#: The issue's 2.5 s at the ear.
SILENCE_MS = 2500
#: 120 ms of speech, 60 ms to `clear`, and the carrier's frame before and after; a busy machine.
CLEARED_MS = 250


async def play(it: Deployment, name: str) -> tuple[CallReport, dict[str, Any], list[Any]]:
    """The report, the call and the appointments of a tenant whose ladder is the cascade."""
    scenario = load(name)
    business = await it.tenant(
        scenario.tenant.sector, scenario.tenant.agent_type, ladder=["cascade"]
    )
    report = await it.world.call(name, line=business.line)
    call = await business.the_call()
    return report, call, (await business.get("/api/v1/appointments"))["appointments"]


def agents(call: dict[str, Any]) -> str:
    return " ".join(turn["text"] for turn in call["turns"] if turn["who"] == "agent")


def prompt(report: CallReport) -> None:
    """Nobody waits for a word, and who speaks isn't talked over."""
    assert all(turn.latency_ms < SILENCE_MS for turn in report.turns), report.turns
    assert all(each.latency_ms is not None for each in report.barge_ins)
    assert all((each.latency_ms or 0) < CLEARED_MS for each in report.barge_ins), report.barge_ins


async def test_a_booking_with_a_back_channel_in_the_greeting(tmp_path: Path) -> None:
    async with deployed(tmp_path, cascade=True) as it:
        report, call, booked = await play(it, SHORT)
        speeches = it.world.models.asked.speeches
        refusals = it.world.models.asked.refusals
    assert call["outcome"] == "booked", (call["turns"], call["functions"], report.utterances)
    assert len(booked) == 1
    assert not refusals
    prompt(report)
    (over,) = report.barge_ins
    assert over.label == "oui_marc"
    # The greeting went on where it was cut, and the "oui" is nobody's answer.
    assert "Que puis-je faire pour vous ?" in agents(call)
    said = [turn["text"] for turn in call["turns"] if turn["who"] == "caller"]
    assert said == ["Je voudrais un rendez-vous demain à quatorze heures."]
    assert "jamais" not in agents(call)
    # Our own lines are spoken by the synthesiser from the start on, in both voices.
    assert {voice for words, voice in speeches if words == text("fr", "hold_1")} == set(VOICES)


@pytest.mark.parametrize("name", ["appointment", "hesitation", "spelled_email", "interruption"])
async def test_the_sandbox_s_conversations(tmp_path: Path, name: str) -> None:
    assert name in names()
    async with deployed(tmp_path, cascade=True) as it:
        report, call, _ = await play(it, name)
    assert call["outcome"] == load(name).expect.outcome
    prompt(report)
