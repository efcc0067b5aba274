"""The Vapi leg over real sockets: the emulator at the other end, frames in real time."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from domain.errors import OperatorError, ProviderError
from providers.vapi import leg as leg_module
from providers.vapi.connector import VapiConnector
from providers.vapi.rest import FULL
from sandbox.vapi_faults import Outage, VapiFaults
from server.clock import SystemClock
from tests.fakes.vapi_calls import (
    FACTS,
    GREETING,
    KEY,
    Line,
    Vendor,
    assistant,
    ear,
    line,
    spec,
    vendor,
)
from voice import events as ev
from voice.agents import is_the_vendors
from voice.ports import AgentConnector, AgentLeg, CallFacts

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = " ".join(["Je vous explique tout cela très longuement."] * 8)
RULES: list[dict[str, Any]] = [
    {"heard": "oui_marc", "say": "Parfait."},
    {"heard": "non_marc", "say": LONG},
    {"note": "Touches", "say": "Vous avez tapé un."},
    {"note": "Answer the caller", "say": "Oui ?"},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Vendor]:
    async with vendor() as it:
        yield it


@pytest.fixture
def it(running: Vendor) -> Vendor:
    it = running.fresh()
    it.rules = RULES
    return it


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _no_task_is_left(running: Vendor) -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0.05)
    left = [repr(each) for each in asyncio.all_tasks() - before]
    ours = [each for each in left if "providers/" in each or "picows" in each]
    assert ours == []


async def test_a_conversation(it: Vendor, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with line(it) as call:
        await call.hears(ev.ResponseDone)
        assert call.events[0] == ev.AgentReady(greets=True)
        kinds = [type(each) for each in call.events if not isinstance(each, ev.AgentText)]
        assert kinds == [ev.AgentReady, ev.ResponseStarted, ev.ResponseDone]
        assert not ear(GREETING, call.audio()).defects.any()
        await call.until(lambda: call.words() == [GREETING])
        call.speak("oui_marc")
        await call.hears(ev.CallerSpeechStarted)
        await call.hears(ev.CallerSpeechStopped)
        assert (await call.hears(ev.CallerSaid)).text == "Oui."
        done = await call.hears(ev.ResponseDone, 2)
        assert not ear("Parfait.", call.audio(done.response_id)).defects.any()
        await call.until(lambda: call.words() == [GREETING, "Parfait."])
        assert not call.record.defects.any(), "every frame of the caller's arrived"
        assert [each.clips for each in call.record.heard] == [("oui_marc",)]
        started = [each.response_id for each in call.of(ev.ResponseStarted)]
        assert started == [each.response_id for each in call.of(ev.ResponseDone)]
        assert call.leg.messages_unknown == (0, 0)
        sent_ms = len(call.audio()) / 8
        said_ms = sum(each.whole_ms for each in call.record.said)
        assert sent_ms <= said_ms + 2 * 200, "and next to no silence with it"
    assert call.record.faults_seen == []
    assert call.record.ended == "customer-ended-call"
    _nothing_is_logged(call, caplog)


def _nothing_is_logged(call: Line, caplog: pytest.LogCaptureFixture) -> None:
    theirs = ("uvicorn", "websockets")  # the emulator's
    ours = [each for each in caplog.records if not each.name.startswith(theirs)]
    text = "\n".join(each.getMessage() for each in ours)
    assert f"{call.record.id}/transport" not in text
    assert "/control/" not in text
    assert KEY not in text
    assert GREETING not in text


async def test_the_call_is_made_as_ordered_and_remembered(it: Vendor) -> None:
    agent: AgentConnector = it.connector
    leg: AgentLeg = await agent.connect(spec(assistant(it.vapi)))
    (record,) = it.vapi.calls.values()
    assert it.remembered == [(FACTS, record.id)]
    assert leg.name.startswith("vapi:")
    assert record.request["customer"]["number"] == FACTS.caller_number
    overrides = record.request["assistantOverrides"]
    values = overrides["variableValues"]
    assert (values["call_id"], values["call_sid"], values["tenant_id"]) == ("call-1", "CA1", "t_42")
    assert "firstMessageMode" not in overrides
    assert "model" not in overrides, "it would replace the stored one"
    await leg.close()


async def test_an_interruption(it: Vendor) -> None:
    async with line(it) as call:
        await call.hears(ev.ResponseDone)
        call.speak("non_marc")
        await call.hears(ev.ResponseStarted, 2)
        await call.until(lambda: len(call.audio("vapi-2")) > 8 * 600)
        call.speak("oui_marc")
        await call.hears(ev.CallerSpeechStarted, 2)
        call.leg.interrupt([("vapi-2", 600.0, 700.0)], cancel=False)
        done = await call.hears(ev.ResponseDone, 2)
        assert (done.response_id, done.status) == ("vapi-2", "cancelled")
        sent = len(call.audio("vapi-2"))
        await call.hears(ev.ResponseDone, 3)
        assert len(call.audio("vapi-2")) == sent, "nothing of it came afterwards"
        assert call.words()[-1] == "Parfait."
        assert 0 < len(call.words()[1]) < len(LONG) / 2, "not what nobody heard"
        (interrupted,) = [each for each in call.record.said if each.interrupted]
        assert interrupted.sent_ms < interrupted.whole_ms / 2


async def test_orders(it: Vendor) -> None:
    async with line(it) as call:
        await call.hears(ev.ResponseDone)
        call.leg.say("Allô ?")
        await call.hears(ev.ResponseDone, 2)
        await call.until(lambda: call.words()[-1] == "Allô ?")
        call.leg.tell("[Touches du clavier : 1]", "user")
        call.leg.respond()
        await call.hears(ev.ResponseDone, 3)
        await call.until(lambda: call.words()[-1] == "Vous avez tapé un.")
        call.leg.tell("L'appelant est pressé.", "system")
        await call.until(lambda: len(call.record.orders) == 3)
        call.leg.respond()
        await call.hears(ev.ResponseDone, 4)
        await call.until(lambda: call.words()[-1] == "Oui ?")
        assert call.record.read == [
            ("user", "[Touches du clavier : 1]"),
            ("system", "L'appelant est pressé."),
            ("system", "Answer the caller now, in the language of the conversation."),
        ]
        assert call.record.faults_seen == []


async def test_one_that_takes_over_is_told_and_waits(it: Vendor) -> None:
    history = (("assistant", "Bonjour."), ("user", "Je voudrais un rendez-vous."))
    async with line(it, resumed=True, history=history) as call:
        assert call.events[0] == ev.AgentReady(greets=False)
        await call.until(lambda: len(call.record.read) == 2)
        assert tuple(call.record.read) == history
        await asyncio.sleep(0.3)
        assert call.audio() == b"", "it doesn't greet again"
        call.leg.say("Oui ?")
        await call.hears(ev.ResponseDone)
        assert call.words() == ["Oui ?"]


async def test_garbage_duplicates_and_disorder(it: Vendor) -> None:
    it.vapi.faults = VapiFaults(garbage=True, duplicates=True, shuffle=True)
    async with line(it) as call:
        await call.hears(ev.ResponseDone)
        call.speak("oui_marc")
        await call.hears(ev.CallerSaid)
        await call.until(lambda: "Parfait." in call.words())
        assert len(call.of(ev.CallerSaid)) == 1
        assert call.of(ev.AgentGone) == []
        unknown, malformed = call.leg.messages_unknown
        assert unknown > 0
        assert malformed > 0


# ------------------------------------------------------------------------- how it can be lost


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        (VapiFaults(close_after_s=0.2), "closed by the vendor: 1011"),
        (VapiFaults(close_after_s=0.2, close_code=None), "connection lost"),
        (VapiFaults(close_at_event=3), "closed by the vendor: 1011"),
    ],
)
async def test_a_socket_that_is_closed(faults: VapiFaults, reason: str, it: Vendor) -> None:
    it.vapi.faults = faults
    async with line(it) as call:
        lost = await call.hears(ev.AgentGone)
        assert lost.reason == reason
        count = len(call.heard)
        await asyncio.sleep(0.1)
        assert len(call.heard) == count, "after it nothing follows"


async def test_a_half_dead_socket_while_it_speaks_is_noticed_in_time(it: Vendor) -> None:
    """2.5 s from the fault to our own line, of which the heart's share is next to nothing; and the
    call doesn't go on at Vapi."""
    async with line(it) as call:
        await call.hears(ev.ResponseDone)
        await asyncio.sleep(0.4)  # by now it has been seen to send silence
        call.leg.say(LONG)
        await call.until(lambda: len(call.audio("vapi-2")) > 8 * 200)
        began = asyncio.get_running_loop().time()
        call.vapi.faults.half_dead_after_s = 0.0
        assert (await call.hears(ev.AgentGone)).reason == "stalled"
        at = next(when for when, each in call.times if isinstance(each, ev.AgentGone))
        assert 1.0 < at - began < 1.8
        await call.until(lambda: not call.vapi.live)
        assert call.record.orders[-1] == {"type": "end-call"}


async def test_an_assistant_that_ends_the_call(it: Vendor) -> None:
    """Its goodbye is on the line: the call ends as with any other agent, and nobody takes over."""
    async with line(it, stored={"endCallPhrases": ["au revoir"]}) as call:
        await call.hears(ev.ResponseDone)
        call.leg.say("Au revoir.")
        called = await call.hears(ev.FunctionCalled)
        assert (called.name, called.arguments) == ("end_call", "{}")
        assert called.function_call_id == f"{call.record.id}-end"
        done = call.of(ev.ResponseDone)[-1]
        assert not ear("Au revoir.", call.audio(done.response_id)).defects.any()
        await asyncio.sleep(0.2)
        assert call.of(ev.AgentGone) == []
        call.leg.say("Vous êtes là ?")  # it isn't
        assert call.of(ev.AgentGone) == [ev.AgentGone("ended by the assistant")]


# ------------------------------------------------------------------------------- connecting


@pytest.mark.parametrize(
    ("faults", "code", "vendors"),
    [
        (VapiFaults(full="400"), FULL, True),
        (VapiFaults(full="201"), FULL, True),
        (VapiFaults(outages=[Outage(503, "/call")]), "", True),
        (VapiFaults(outages=[Outage(429, "/call")]), "", True),
        (VapiFaults(outages=[Outage(400, "/call")]), "", False),
        (VapiFaults(outages=[Outage(garbage=True, path="/call")]), "unexpected_answer", False),
        (VapiFaults(refuse_socket=503), "handshake", True),
        (VapiFaults(refuse_socket=403), "handshake", True),
    ],
)
async def test_what_keeps_it_from_connecting(
    faults: VapiFaults, code: str, vendors: bool, it: Vendor
) -> None:
    it.vapi.faults = faults
    with pytest.raises(ProviderError) as failed:
        await it.connector.connect(spec(assistant(it.vapi)))
    assert failed.value.code == code
    assert is_the_vendors(failed.value) is vendors
    await asyncio.sleep(0.05)
    assert it.vapi.live == [], "and no line is kept"


async def test_given_up_while_the_socket_hangs_gives_the_line_back(it: Vendor) -> None:
    it.vapi.faults = VapiFaults(handshake_s=0.5)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await it.connector.connect(spec(assistant(it.vapi)))
    await asyncio.sleep(0.1)
    assert it.vapi.live == []
    (record,) = it.vapi.calls.values()
    assert record.ended == "customer-ended-call"


@pytest.mark.parametrize("stored", [False, OperatorError("the database is away")])
async def test_a_call_that_isnt_stored_isnt_joined(
    stored: bool | OperatorError, it: Vendor
) -> None:
    async def remember(_facts: CallFacts, _call_id: str) -> bool:
        if isinstance(stored, OperatorError):
            raise stored
        return stored

    ended: list[str] = []
    connector = VapiConnector(
        it.account, SystemClock(), lambda name, _: ended.append(name), remember
    )
    with pytest.raises(ProviderError) as failed:
        await connector.connect(spec(assistant(it.vapi)))
    assert failed.value.code == ("not_remembered" if stored else "call_over")
    (record,) = it.vapi.calls.values()
    assert record.joined_at is None
    assert ended == ["vapi.end_call"]


async def test_a_tenant_without_an_assistant(it: Vendor) -> None:
    with pytest.raises(ProviderError) as failed:
        await it.connector.connect(spec(None))
    assert not is_the_vendors(failed.value)
    assert it.vapi.requests == []


async def test_a_withheld_number(it: Vendor) -> None:
    facts = CallFacts("call-1", "CA1", "t_42", None)
    leg = await it.connector.connect(spec(assistant(it.vapi), call=facts))
    (record,) = it.vapi.calls.values()
    assert "customer" not in record.request
    await leg.close()


async def test_an_address_elsewhere_isnt_joined(it: Vendor) -> None:
    it.vapi.transport_url = "ws://169.254.169.254/x"
    with pytest.raises(ProviderError) as failed:
        await it.connector.connect(spec(assistant(it.vapi)))
    assert failed.value.code == "unexpected_address"


async def test_what_came_before_anybody_listened_is_delivered_in_order(it: Vendor) -> None:
    leg = await it.connector.connect(spec(assistant(it.vapi)))
    await asyncio.sleep(0.4)
    call = Line(it.vapi, leg)
    leg.listen(call)
    assert call.heard[0] == ev.AgentReady(greets=True)
    assert len(call.audio()) > 8 * 150
    await leg.close()
    count = len(call.heard)
    await leg.close()
    await asyncio.sleep(0.1)
    assert len(call.heard) == count


async def test_nobody_who_listens_for_too_long(it: Vendor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leg_module, "MAX_KEPT_AUDIO", 2000)
    leg = await it.connector.connect(spec(assistant(it.vapi)))
    await asyncio.sleep(0.4)
    assert not leg.is_open
    call = Line(it.vapi, leg)
    leg.listen(call)
    assert call.events[-1] == ev.AgentGone("nobody listens")
    await leg.close()


async def test_a_hostile_payload_writes_nothing_but_audio(it: Vendor) -> None:
    async with line(it, talks=False) as call:
        for payload in ("", "é", "=", "AAAA\u0000", '"},{"', "A" * 7):
            call.leg.hear(payload)
        call.leg.hear(base64.b64encode(bytes(160)).decode())
        await call.until(lambda: call.record.frames_in > 0)
        assert call.record.orders == []
        assert call.record.faults_seen == []
