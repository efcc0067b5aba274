"""Both emulators, callers and a minimal server between them."""

import asyncio
import wave
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.brain import Brain
from sandbox.faults import Faults
from sandbox.openai_http import CHAT_MODEL
from sandbox.openai_realtime import RealtimeEmulator
from sandbox.scenario import Scenario, parse
from sandbox.world import World
from tests.sandbox.tiny_bridge import GREETING, TinyBridge
from tests.sandbox.twiml_server import ACCOUNT, NUMBER, TOKEN, TwimlServer

KEY = "sk-test"
LINE = "+33199001234"
SLOTS = {"slots": [{"start": "2030-01-08T09:00:00+01:00", "spoken": "mardi à neuf heures"}]}

SHORT = """
title = "Une courte conversation"
[tenant]
sector = "automobile"
agent_type = "appointment"
[caller]
number = "+33639981234"
voice = "marc"
[[caller.step]]
wait = "agent_speaking"
over_ms = 1000
say = "rdv_demain_14h"
[[caller.step]]
say = "oui_marc"
[expect]
outcome = "informed"
functions = ["check_availability"]
barge_ins = 1
[[model.rule]]
heard = "rdv_demain_14h"
call = { name = "check_availability", arguments = { date = "{day+1}" } }
[[model.rule]]
result = "check_availability"
say = "{result.slots.0.spoken} ?"
[[model.rule]]
heard = "oui_marc"
say = "Au revoir !"
call = { name = "end_call", arguments = {} }
"""


@asynccontextmanager
async def world_with_a_server(**options: Any) -> AsyncIterator[tuple[World, TwimlServer]]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(TwimlServer().running())
        world = await stack.enter_async_context(
            World(auth_token=TOKEN, account_sid=ACCOUNT, number=NUMBER, openai_key=KEY, **options)
        )
        world.target(server.url + "/")
        server.replies["/webhooks/twilio/voice"] = server.connect()
        server.replies["/continue"] = "<Response><Hangup/></Response>"
        server.on_stream = TinyBridge(world.openai_url, KEY, {"check_availability": SLOTS})
        yield world, server


@pytest.fixture
def short() -> Scenario:
    return parse(SHORT, "short")


async def test_a_conversation_is_heard_by_both_sides(short: Scenario, tmp_path: Path) -> None:
    events: list[dict[str, Any]] = []
    async with world_with_a_server(on_event=events.append, wav_dir=tmp_path) as (world, server):
        report = await world.call(short, line=LINE)
    assert server.requests[0][1]["ForwardedFrom"] == LINE
    assert report.clean, (report.errors, report.ear_defects)
    assert report.hung_up_by == "server"
    assert report.scenario == "short"
    assert report.heard("caller") == [
        "Je voudrais un rendez-vous demain à quatorze heures.",
        "Oui.",
    ]
    assert report.heard("agent") == [GREETING, "mardi à neuf heures ?", "Au revoir !"]
    greeting, *others = [each for each in report.utterances if each.who == "agent"]
    assert greeting.cut
    assert not any(each.cut for each in others)
    assert [each.label for each in report.turns] == ["rdv_demain_14h", "oui_marc"]
    assert all(500 < each.latency_ms < 1500 for each in report.turns)
    [barge_in] = report.barge_ins
    assert barge_in.ear_label == GREETING
    assert barge_in.ear_ms == pytest.approx(greeting.heard_ms, abs=25)
    assert barge_in.truncated_ms == pytest.approx(barge_in.ear_ms, abs=200)
    assert report.model is not None
    [session] = report.model["sessions"]
    assert [clip for turn in session["heard"] for clip in turn["clips"]] == [
        "rdv_demain_14h",
        "oui_marc",
    ]
    assert [each["name"] for each in session["functions"]] == ["check_availability", "end_call"]
    assert not any(session["defects"].values())
    assert session["script_defects"] == []
    assert report.wav is not None
    with wave.open(report.wav) as file:
        assert file.getnchannels() == 2
    check_order(events, report.call_sid)


def check_order(events: list[dict[str, Any]], call_sid: str) -> None:
    kinds = [each["event"] for each in events]
    expected = [
        *("ringing", "twiml", "answered", "stream_started", "first_sound", "agent_says"),
        *("caller_says", "barge_in", "cleared", "agent_said", "model_calls", "agent_says"),
        *("caller_says", "turn", "agent_says", "hung_up", "report"),
    ]
    rest = iter(kinds)
    assert all(kind in rest for kind in expected), kinds
    assert {each["call"] for each in events} == {call_sid}
    times = [each["ms"] for each in events]
    assert times == sorted(times)
    assert events[-1]["report"]["call_sid"] == call_sid


async def test_many_people_call_at_once_and_nobody_hears_anybody_else(short: Scenario) -> None:
    async with world_with_a_server() as (world, _):
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(world.call(short)) for _ in range(8)]
        reports = [call.result() for call in calls]
    assert len({each.tag for each in reports}) == 8
    for report in reports:
        assert report.clean, (report.errors, report.ear_defects)
        assert report.hung_up_by == "server"
        assert len(report.heard("agent")) == 3


async def test_who_rings_can_be_overridden(short: Scenario) -> None:
    async with world_with_a_server() as (world, server):
        server.replies["/webhooks/twilio/voice"] = "<Response><Reject/></Response>"
        await world.call(short, line=LINE, caller="anonymous", forwarded_from="0199 00 12 34")
        await world.call(short, line=LINE, forwarded_from="")
        with pytest.raises(ValueError, match=r"\+33100000000 is not a number"):
            await world.call(short, number="+33100000000")
    first, second = server.fields("/webhooks/twilio/voice")
    assert (first["From"], first["ForwardedFrom"]) == ("anonymous", "0199 00 12 34")
    assert "ForwardedFrom" not in second


async def test_a_stream_that_is_resumed_is_heard_on(short: Scenario) -> None:
    async with world_with_a_server() as (world, server):
        server.replies["/continue"] = [server.connect(), "<Response><Hangup/></Response>"]
        report = await world.call(short, faults=Faults(drop_stream_after_ms=600))
    assert report.streams == 2
    assert report.hung_up_by == "server"
    assert report.heard("agent")[:2] == [GREETING, GREETING]
    assert not any(report.ear_defects.values())  # the second session's voice is another's


async def test_with_a_real_model_the_caller_goes_by_the_sound_of_a_voice(short: Scenario) -> None:
    rules = short.rules
    async with (
        RealtimeEmulator("sk-real", lambda tag: Brain(rules)) as model,
        world_with_a_server(real_model=True) as (world, server),
    ):
        assert world.openai_url == ""
        server.on_stream = TinyBridge(model.url, "sk-real", {"check_availability": SLOTS})
        report = await world.call(short)
    assert report.hung_up_by == "server"
    assert report.model is None
    assert len(report.heard("caller")) == 2
    assert [each.text for each in report.utterances if each.who == "agent"] == ["", "", ""]
    assert report.barge_ins[0].cleared_ms is not None
    assert len(report.turns) == 2
    assert report.clean


async def test_the_cascades_model_knows_which_call_it_is_in(short: Scenario) -> None:
    """By the caller's number in its instructions, else by what can have been said."""
    events: list[dict[str, Any]] = []
    async with world_with_a_server(on_event=events.append) as (world, server):
        server.replies["/webhooks/twilio/voice"] = "<Response><Pause length='1'/></Response>"
        async with asyncio.TaskGroup() as tasks, httpx.AsyncClient() as http:
            calls = [
                tasks.create_task(world.call(short, caller=number))
                for number in ("+33639981234", "+33639985678")
            ]
            await wait_for_event(events, "answered", times=2)
            said = "Je voudrais un rendez-vous demain à quatorze heures."
            answers = []
            for instructions in ("Il appelle du 06 39 98 12 34.", "On ne sait pas qui appelle."):
                messages = [
                    {"role": "system", "content": instructions},
                    {"role": "user", "content": said},
                ]
                function = {"name": "check_availability", "parameters": {"type": "object"}}
                body = {
                    "model": CHAT_MODEL,
                    "messages": messages,
                    "tools": [{"type": "function", "function": function}],
                }
                answers.append(
                    await http.post(
                        f"{world.models_url}/chat/completions",
                        json=body,
                        headers={"Authorization": f"Bearer {KEY}"},
                    )
                )
        sids = [call.result().call_sid for call in calls]
    for answer in answers:
        (call,) = answer.json()["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == "check_availability"
    called = [each["call"] for each in events if each["event"] == "model_calls"]
    assert called == sids  # the first by its number, then the latest


async def wait_for_event(events: list[dict[str, Any]], name: str, times: int) -> None:
    async with asyncio.timeout(5):
        while sum(each["event"] == name for each in events) < times:
            await asyncio.sleep(0.01)
