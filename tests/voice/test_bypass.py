"""Calls that Twilio carries to Vapi by itself; an emulated Vapi, our server on a real port."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from providers.vapi.assistant import Choices
from providers.vapi.rest import VapiAccount
from sandbox.brain import Brain
from sandbox.vapi import PHONE_NUMBER_ID, VapiEmulator
from sandbox.vapi_faults import Outage
from sandbox.vapi_record import CallRecord
from server.clock import SystemClock
from server.vapi_assistants import Plan, Provisioning
from storage import Database, Storage
from storage.calls import CallRow
from tests.databases import migrated_file
from tests.running import PUBLIC_URL, french_call
from tests.voice.carrier import LINE, Served, eventually, serving
from voice import twiml
from voice.functions.runner import FunctionRunner
from voice.twiml import Addresses

KEY = "vapi-private-key"
SECRET = "a-vapi-secret-of-some-length"
ADDRESSES = Addresses(PUBLIC_URL, "wss://voice.example.fr/media-stream")
CONTINUE = f"{PUBLIC_URL}/webhooks/twilio/voice/continue"


@dataclass
class Line:
    served: Served
    vapi: VapiEmulator
    storage: Storage

    @property
    def record(self) -> CallRecord:
        return list(self.vapi.calls.values())[-1]

    async def row(self, number: int = 1) -> CallRow:
        row = await self.storage.operator.call_by_sid(french_call(number)["CallSid"])
        assert row is not None
        return row

    async def tell(self, kind: str, **fields: Any) -> None:
        message = {"type": kind, "call": {"id": self.record.id}, **fields}
        answer = await self.served.twilio.http.post(
            "/api/vapi/events", json={"message": message}, headers={"x-vapi-secret": SECRET}
        )
        assert answer.status_code == 200, answer.text


@pytest.fixture
async def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    monkeypatch.setattr("voice.endings.STREAM_FIRST_SECONDS", 0.2)
    url = migrated_file(tmp_path / "test.sqlite3")
    async with (
        VapiEmulator(KEY, lambda _: Brain([])) as vapi,
        serving(
            tmp_path,
            database_url=url,
            vapi_api_key=KEY,
            vapi_base_url=vapi.url,
            vapi_webhook_secret=SECRET,
            vapi_phone_number_id=PHONE_NUMBER_ID,
            vapi_bridge="bypass",
        ) as served,
        VapiAccount(vapi.url, KEY) as account,
    ):
        database = await Database.open(url)
        try:
            storage = Storage(database, SystemClock())
            voices = {"female": "azure:fr-FR-DeniseNeural", "male": "azure:fr-FR-HenriNeural"}
            plan = Plan(
                Choices("openai:gpt-5.4-mini", "deepgram:nova-3", voices),
                f"http://127.0.0.1:{served.port}",
                SECRET,
                900.0,
                FunctionRunner().specs,
            )
            provisioning = Provisioning(storage, SystemClock(), account, plan)
            assert await provisioning.provision(served.owner.id) == "created"
            yield Line(served, vapi, storage)
        finally:
            await database.close()


async def test_twilio_is_given_vapis_document_and_where_to_go_on(line: Line) -> None:
    answer = await line.served.twilio.ring(ForwardedFrom=LINE)
    assert answer.verbs == ["Connect", "Redirect"]
    assert answer.first("Redirect").text == CONTINUE
    assert answer.first("Connect/Stream").attrib["url"].endswith(f"/{line.record.id}/transport")
    row = await line.row()
    asked = line.record.request
    async with line.storage.tenant(str(row.tenant_id)).read() as rows:
        assert asked["assistantId"] == await rows.assistants.usable()
    assert asked["customer"]["number"] == "+33639981234"
    values = asked["assistantOverrides"]["variableValues"]
    assert (values["call_id"], values["call_sid"]) == (row.id, row.call_sid)
    assert "+33639981234" in values["about_call"]
    found = await line.storage.vapi_calls.find(line.record.id)
    assert found is not None
    assert found.id == row.id
    assert line.record.id not in json.dumps(row.opening)  # the key to the call isn't kept


async def test_a_withheld_number(line: Line) -> None:
    await line.served.twilio.ring(ForwardedFrom=LINE, From="anonymous")
    assert "customer" not in line.record.request
    assert line.vapi.refusals == []


async def test_a_vendor_that_hangs_costs_a_second_and_a_half(line: Line) -> None:
    line.vapi.faults.outages.append(Outage(path="/call", hang_s=6.0))
    began = time.monotonic()
    answer = await line.served.twilio.ring(ForwardedFrom=LINE)
    assert time.monotonic() - began < 1.9
    assert answer.token
    assert (await line.row()).opening["without"] == ["vapi"]


@pytest.mark.parametrize("full", ["400", "201"])
async def test_a_full_account_is_a_step_down(line: Line, full: str) -> None:
    line.vapi.faults.full = full
    assert (await line.served.twilio.ring(ForwardedFrom=LINE)).token
    # Two in a row, and nobody asks it for a while.
    assert (await line.served.twilio.ring(2, ForwardedFrom=LINE)).token
    asked = len(line.vapi.requests)
    assert (await line.served.twilio.ring(3, ForwardedFrom=LINE)).token
    assert len(line.vapi.requests) == asked
    assert (await line.row(3)).opening.get("without") is None


async def test_a_tenant_chooses_for_itself(line: Line) -> None:
    await line.served.owner.put(
        "/api/v1/channels/phone",
        {"config": {"clientPhoneNumber": LINE, "vapi": {"bridge": "stream"}}},
    )
    assert (await line.served.twilio.ring(ForwardedFrom=LINE)).token


async def test_an_answer_that_was_lost_is_a_stream(line: Line) -> None:
    assert (await line.served.twilio.ring(ForwardedFrom=LINE)).verbs == ["Connect", "Redirect"]
    assert (await line.served.twilio.ring(ForwardedFrom=LINE)).token
    assert len(line.vapi.calls) == 1


async def test_an_assistant_that_has_said_goodbye_ends_the_call(line: Line) -> None:
    await line.served.twilio.ring(ForwardedFrom=LINE)
    line.record.ended = "assistant-ended-call"
    assert (await line.served.twilio.goes_on()).verbs == ["Hangup"]
    assert (await line.row()).stage == "closing"


async def test_a_broken_call_goes_on_with_a_stream(line: Line) -> None:
    await line.served.twilio.ring(ForwardedFrom=LINE)
    line.record.ended = "pipeline-error-openai-llm-failed"
    assert (await line.served.twilio.goes_on()).token


async def test_what_was_said_and_what_it_came_to(line: Line) -> None:
    """The carrier joins; Vapi tells of it at our door by itself."""
    answer = await line.served.twilio.ring(ForwardedFrom=LINE)
    stream = answer.first("Connect/Stream").attrib["url"]
    async with connect(stream) as carrier:
        await carrier.send(json.dumps({"event": "connected", "protocol": "Call"}))
        start = {"streamSid": "MZ1", "callSid": french_call(1)["CallSid"], "tracks": ["inbound"]}
        await carrier.send(json.dumps({"event": "start", "streamSid": "MZ1", "start": start}))

        async def live() -> bool:
            return (await line.row()).stage == "live"

        await eventually(live)
        await line.tell("transcript", role="user", transcriptType="final", transcript="Un devis ?")
        await line.tell("transcript", role="user", transcriptType="partial", transcript="Un")
        await line.tell("transcript", role="assistant", transcript="C'est noté.")
        await line.tell(
            "end-of-call-report",
            endedReason="customer-ended-call",
            cost=0.25,
            analysis={"summary": "Un devis."},
        )
        # Before the carrier hangs up: the emulator then tells the end in its own words.
        assert await line.served.outcome() == "informed"
        call = await line.served.call()
        row = await line.row()
    assert row.transcript is not None
    assert "caller: Un devis ?" in row.transcript
    assert "caller: Un\n" not in row.transcript
    assert row.agent == "vapi:bypass"
    assert row.summary == "Un devis."
    assert row.vapi_cost_cents == 25
    assert call["outcome"] == "informed"


def test_a_document_is_taken_as_it_is() -> None:
    stream = '<Connect><Stream url="wss://api.vapi.ai/x/transport?a=1&amp;b=2"/></Connect>'
    made = twiml.then_continue(ADDRESSES, f"<Response>{stream}</Response>\n")
    verb = f'<Redirect method="POST">{CONTINUE}</Redirect>'
    assert made == f"<Response>{stream}{verb}</Response>\n"
    odd = replace(ADDRESSES, public_url="https://x.fr/a&b")
    assert "a&amp;b/webhooks" in twiml.then_continue(odd, f"<Response>{stream}</Response>")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "no xml",
        "<Response></Response>",
        "<Response><Hangup/></Response>",
        "<Response/>",
        "<x><Connect/></x>",
        '<!DOCTYPE r [<!ENTITY a "b">]><Response><Connect/></Response>',
        f"<Response><Connect/>{'<Pause/>' * 3000}</Response>",
    ],
)
def test_what_is_no_document_of_a_call(document: str) -> None:
    with pytest.raises(ValueError, match="document"):
        twiml.then_continue(ADDRESSES, document)
