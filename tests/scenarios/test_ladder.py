"""Calls that no agent on a stream takes, through a real server: by turns with a text model, by keys
without any, the owner's phone, the voicemail."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.brain import Brain
from sandbox.callee import Callee
from sandbox.openai_http import CHAT_MODEL, TRANSCRIPTION_MODEL, OpenAIHttpEmulator
from sandbox.report import CallReport
from sandbox.scenario import CallerScript, Scenario, Step, TenantNeeds, load
from tests.scenarios.conftest import Business, Deployment, deployed

pytestmark = pytest.mark.timeout(120)

OWNER_PHONE = "+33639980199"
KEY = "sk-sandbox"
#: Nobody listens there: the realtime model refuses every connection.
NOWHERE = "http://127.0.0.1:1/v1"

RULES = (
    {"heard": "rdv_freins_mardi", "call": {"name": "check_availability", "arguments": {}}},
    {"result": "check_availability", "say": "Très bien. C'est à quel nom ?"},
    {
        "heard": "nom_marc_durand",
        "call": {
            "name": "book_appointment",
            "arguments": {
                "start": "{memory.check_availability.slots.0.start}",
                "name": "Marc Durand",
            },
        },
    },
    {"result": "book_appointment", "status": "booked", "say": "{result.spoken}"},
    {
        "heard": "merci_au_revoir_marc",
        "say": "Au revoir !",
        "call": {"name": "end_call", "arguments": {"reason": "done"}},
    },
)


def caller(name: str, *steps: Step, callee: Callee | None = None) -> Scenario:
    """Marc, who does this, whoever answers."""
    plain = load("silence")
    script = CallerScript("+33639981234", "marc", forwarded=True, steps=steps)
    needs = TenantNeeds("automobile", "reception", OWNER_PHONE if callee else "")
    return replace(plain, name=name, caller=script, tenant=needs, callee=callee)


def over(**deed: Any) -> Step:
    """Into the middle of what is being said: prompts can be interrupted."""
    return Step(wait="agent_speaking", over_ms=200, **deed)


async def called(
    deployment: Deployment, scenario: Scenario, **config: Any
) -> tuple[Business, CallReport, dict[str, Any]]:
    needs = scenario.tenant
    business = await deployment.tenant(needs.sector, needs.agent_type, **config)
    report = await deployment.world.call(scenario, line=business.line)
    assert not report.errors, report.errors
    assert not report.gave_up
    return business, report, await business.the_call()


@pytest.mark.long  # three callers in real time
async def test_speaking_vendors_refuse_and_a_text_model_books_by_turns(tmp_path: Path) -> None:
    async with OpenAIHttpEmulator(KEY, lambda _: Brain(RULES)) as http:
        models: dict[str, Any] = {
            "OPENAI_BASE_URL": NOWHERE,
            "LLM_BASE_URL": http.url,
            "LLM_API_KEY": KEY,
            "LLM_MODEL": CHAT_MODEL,
            "STT_BASE_URL": http.url,
            "STT_API_KEY": KEY,
            "STT_MODEL": TRANSCRIPTION_MODEL,
            "TRANSFER_RING_SECONDS": "5",
        }
        there = deployed(tmp_path, worker=True, **models)
        async with there as deployment, asyncio.TaskGroup() as tasks:
            tasks.create_task(_books_with_the_model(deployment, http))
            tasks.create_task(_leaves_a_voicemail(deployment, http))
            tasks.create_task(_rings_the_owner_in_vain(deployment))


async def _books_with_the_model(deployment: Deployment, http: OpenAIHttpEmulator) -> None:
    steps = (
        over(say="rdv_freins_mardi"),
        Step(say="nom_marc_durand"),
        Step(say="merci_au_revoir_marc"),
        Step(wait_end=True),
    )
    business, report, call = await called(deployment, caller("turns", *steps))
    assert call["outcome"] == "booked", call
    assert call["agent"] == f"turns:{CHAT_MODEL}"
    (appointment,) = (await business.get("/api/v1/appointments"))["appointments"]
    assert appointment["prospect_name"] == "Marc Durand"
    (booking,) = [each for each in call["functions"] if each["name"] == "book_appointment"]
    told = [turn for turn in call["turns"] if "réservé" in turn["text"]]
    assert told[0]["at"] > booking["at"], "said after the commit"
    said = [turn["text"] for turn in call["turns"] if turn["who"] == "caller"]
    spoken = [each.text for each in report.utterances if each.who == "caller"]
    assert said == spoken
    assert report.hung_up_by == "server"
    streams = [document for document in report.twiml if "<Stream" in document]
    assert len(streams) == 1, "one look at the vendor that is dead, and no other stream"
    assert not http.asked.refusals, "the vendor refused something that we sent"


async def _leaves_a_voicemail(deployment: Deployment, http: OpenAIHttpEmulator) -> None:
    steps = (Step(say="rappelez_moi"), Step(wait="start", press="#"), Step(wait_end=True))
    business, report, call = await called(
        deployment, caller("voicemail", *steps), ladder=["voicemail"]
    )
    assert call["outcome"] == "message"
    assert "(beep)" in [each.text for each in report.utterances]
    (ticket,) = (await business.get("/api/v1/tickets"))["tickets"]
    assert ticket["customer_phone"] == "+33639981234"
    for _ in range(200):  # the worker fetches the recording and has it written down
        (ticket,) = (await business.get("/api/v1/tickets"))["tickets"]
        if "Transcription" in ticket["description"]:
            break
        await asyncio.sleep(0.1)
    assert "Vous pouvez me rappeler au même numéro" in ticket["description"]


async def _rings_the_owner_in_vain(deployment: Deployment) -> None:
    # The caller hears that they are put through, then the tone; what they say in between is lost.
    steps = (
        Step(stay_silent_ms=100),
        Step(say="rappelez_moi"),
        Step(wait="start", hang_up=True),
    )
    scenario = caller("owner", *steps, callee=Callee("no_answer"))
    business, report, call = await called(
        deployment, scenario, ladder=["transfer"], transferNumber=OWNER_PHONE
    )
    assert [dial["status"] for dial in report.dials] == ["no-answer"]
    assert call["outcome"] == "message"
    (ticket,) = (await business.get("/api/v1/tickets"))["tickets"]
    assert ticket["category"] == "message"
    assert report.hung_up_by == "caller"


async def test_without_any_model_a_slot_is_chosen_by_keys(tmp_path: Path) -> None:
    async with deployed(tmp_path, OPENAI_API_KEY="") as deployment:
        steps = (
            over(press="1"),
            over(press="2"),
            over(say="nom_marc_durand"),
            over(press="1"),
            Step(wait="agent_speaking", over_ms=3000, hang_up=True),
        )
        business, report, call = await called(deployment, caller("keys", *steps))
        assert call["outcome"] == "booked", call
        assert call["agent"] == "turns:rules"
        (appointment,) = (await business.get("/api/v1/appointments"))["appointments"]
        assert appointment["prospect_name"] == "Marc Durand"
        assert not [document for document in report.twiml if "<Stream" in document]
