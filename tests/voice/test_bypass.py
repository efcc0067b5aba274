"""Calls that Twilio carries to Vapi by itself; an emulated Vapi, our server on a real port."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from domain.breaker import FAILURES, Breakers, State
from domain.messages import text
from providers.vapi.assistant import Choices
from providers.vapi.rest import VapiAccount
from sandbox.brain import Brain
from sandbox.vapi import PHONE_NUMBER_ID, VapiEmulator
from sandbox.vapi_faults import Outage
from sandbox.vapi_record import CallRecord
from server.clock import SystemClock
from server.metrics import Metrics
from server.vapi_assistants import Plan, Provisioning
from storage import Database, Storage
from storage.calls import CallRow
from tests.databases import migrated_file
from tests.fakes.clock import FakeClock
from tests.running import PUBLIC_URL, french_call
from tests.voice.carrier import (
    LINE,
    OWNER_PHONE,
    Served,
    eventually,
    joined,
    serving,
    until,
)
from voice import twiml
from voice.bypass import KEY as KEY_OF_VAPI
from voice.bypass import Bypass
from voice.functions.runner import FunctionRunner
from voice.ports import BypassCall
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


async def test_a_call_at_vapi_that_dies_on_our_stream_commands_nothing_any_more(
    line: Line,
) -> None:
    phone = {"clientPhoneNumber": LINE, "vapi": {"bridge": "stream"}}
    await line.served.owner.put("/api/v1/channels/phone", {"config": phone})
    async with joined(line.served, (await line.served.twilio.ring(ForwardedFrom=LINE)).token):
        await until(lambda: line.vapi.calls and line.record.joined_at)
        record = line.record
        found = await line.storage.vapi_calls.find(record.id, serving=True)
        assert found is not None
        assert found.id == (await line.row()).id
        line.vapi.faults.close_after_s = 0.0

        async def passed() -> bool:
            return await line.storage.vapi_calls.find(record.id, serving=True) is None

        await eventually(passed)
        await until(lambda: line.served.sessions, 10)
    await line.served.everything_is_over()


async def test_whose_calls_are_recorded_has_a_stream(line: Line) -> None:
    """The greeting says so, and only on a stream of ours can it be done, and be refused."""
    await line.served.owner.put(
        "/api/v1/channels/phone",
        {"config": {"clientPhoneNumber": LINE, "recording": {"enabled": True}}},
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


async def test_a_goodbye_that_vapis_record_shows_a_moment_later(line: Line) -> None:
    await line.served.twilio.ring(ForwardedFrom=LINE)
    line.vapi.faults.ended_lag_s = 0.4
    line.record.ended = "assistant-ended-call"
    line.record.ended_at = asyncio.get_running_loop().time()
    assert (await line.served.twilio.goes_on()).verbs == ["Hangup"]
    assert (await line.row()).stage == "closing"


async def test_a_goodbye_that_vapi_tells_us_before_its_record_does(line: Line) -> None:
    await line.served.twilio.ring(ForwardedFrom=LINE)
    line.record.joined_at = 1.0
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(line.served.twilio.goes_on())
        await asyncio.sleep(0.1)
        await line.tell("status-update", status="ended", endedReason="assistant-ended-call")
    assert asked.result().verbs == ["Hangup"]
    assert (await line.row()).stage == "closing"


async def test_a_call_that_is_closing_is_not_opened_anew(line: Line) -> None:
    """Whoever asked before it was, and answers now."""
    await line.served.twilio.ring(ForwardedFrom=LINE)
    await line.tell("status-update", status="in-progress")
    await line.tell("status-update", status="ended", endedReason="assistant-said-end-call-phrase")
    row = await line.row()
    assert row.stage == "closing"
    reopened = await line.storage.operator.reopen(row.id, {}, "opening", unless="closing")
    assert reopened is None
    assert (await line.served.twilio.goes_on()).verbs == ["Hangup"]
    assert (await line.row()).stage == "closing"


async def test_a_broken_call_goes_on_with_a_stream(line: Line) -> None:
    await line.served.twilio.ring(ForwardedFrom=LINE)
    line.record.ended = "pipeline-error-openai-llm-failed"
    line.vapi.faults.full = "400"  # so that no other call at Vapi takes its place
    assert (await line.served.twilio.goes_on()).token
    # What is left of it at Vapi commands nothing any more.
    assert await line.storage.vapi_calls.find(line.record.id) is not None
    assert await line.storage.vapi_calls.find(line.record.id, serving=True) is None


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("exceeded-max-duration", "max_duration_goodbye"),
        ("silence-timed-out", "silence_goodbye"),
    ],
)
async def test_a_limit_of_vapis_is_the_end_and_no_failure(
    line: Line, reason: str, words: str
) -> None:
    for number in (1, 2):
        await line.served.twilio.ring(number, ForwardedFrom=LINE)
        line.record.ended = reason
        answer = await line.served.twilio.goes_on(number)
        assert answer.verbs == ["Say", "Hangup"]
        assert answer.first("Say").text == text("fr-FR", words)
        assert (await line.row(number)).stage == "closing"
        assert (await line.served.twilio.goes_on(number)).verbs == ["Hangup"]
    # Two failures in a row would have opened the breaker.
    assert (await line.served.twilio.ring(3, ForwardedFrom=LINE)).verbs == ["Connect", "Redirect"]


@pytest.mark.parametrize("reason", ["customer-ended-call", "phone-call-provider-closed-websocket"])
async def test_what_isnt_vapis_doing_goes_on_and_is_no_failure(line: Line, reason: str) -> None:
    for number in (1, 2):
        await line.served.twilio.ring(number, ForwardedFrom=LINE)
        line.record.ended = reason
        assert (await line.served.twilio.goes_on(number)).token
    assert (await line.served.twilio.ring(3, ForwardedFrom=LINE)).verbs == ["Connect", "Redirect"]


async def test_a_transfer(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller is taken off Vapi's stream; if that ends before, Twilio asks and rings as well."""
    monkeypatch.setattr("voice.vapi_departures.FIRST_SOUND_SECONDS", -10.0)
    monkeypatch.setattr("voice.vapi_departures.CHARACTERS_PER_SECOND", 1000)
    await line.served.twilio.ring(ForwardedFrom=LINE)
    row = await line.row()
    static = {
        "_tenant": row.tenant_id,
        "_call": line.record.id,
        "_call_id": row.id,
        "_call_sid": row.call_sid,
    }
    asked = {"id": "t1", "name": "transfer_call", "arguments": static}
    message = {"type": "tool-calls", "call": {"id": line.record.id}, "toolCallList": [asked]}
    answer = await line.served.twilio.http.post(
        "/api/vapi/functions", json={"message": message}, headers={"x-vapi-secret": SECRET}
    )
    (result,) = answer.json()["results"]
    assert result["message"]["content"] == text("fr-FR", "transfer_wait")
    await until(lambda: line.served.posted("Url="))
    assert (await line.row()).stage == "transferring"
    dialled = await line.served.twilio.goes_on()
    assert dialled.first("Dial/Number").text == OWNER_PHONE


async def test_a_transfer_that_is_asked_for_while_we_ask_why_it_ended(line: Line) -> None:
    await line.served.twilio.ring(ForwardedFrom=LINE)
    row = await line.row()
    line.record.joined_at = 1.0  # and not ended, as far as Vapi knows
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(line.served.twilio.goes_on())
        await asyncio.sleep(0.1)
        await line.storage.operator.hand_over(
            row.id, OWNER_PHONE, stage="transferring", only_from=("opening", "live")
        )
    assert asked.result().verbs == ["Dial"]


async def test_a_database_that_is_slow_is_no_failure_of_vapis(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voice.bypass.RUNG_SECONDS", 0.01)
    breakers = Breakers(FakeClock())
    row = SimpleNamespace(id="row")

    async def setup(_: object) -> object:
        await asyncio.sleep(0.05)
        return SimpleNamespace(spec=SimpleNamespace(assistant_id="a1"))

    async def link(*_: object) -> bool:
        await asyncio.sleep(0.05)
        return False

    async def opened(_: object) -> BypassCall:
        return BypassCall("v1", "<Response><Connect/></Response>")

    it = Bypass(
        calls=SimpleNamespace(open=opened),
        breakers=breakers,
        storage=SimpleNamespace(vapi_calls=SimpleNamespace(link=link)),  # type: ignore[arg-type]
        streams=SimpleNamespace(setup=setup),  # type: ignore[arg-type]
        addresses=ADDRESSES,
        metrics=Metrics(),
        clock=FakeClock(),
        default=True,
    )
    for _ in range(FAILURES):
        assert await it.answer(row) is None  # type: ignore[arg-type]
    assert breakers.state(KEY_OF_VAPI) is State.CLOSED


@asynccontextmanager
async def on_vapis_stream(line: Line) -> AsyncIterator[ClientConnection]:
    """The carrier has joined the caller to Vapi, which has told us."""
    answer = await line.served.twilio.ring(ForwardedFrom=LINE)
    stream = answer.first("Connect/Stream").attrib["url"]
    async with connect(stream, max_queue=None) as carrier:  # nobody reads what it is sent
        await carrier.send(json.dumps({"event": "connected", "protocol": "Call"}))
        start = {"streamSid": "MZ1", "callSid": french_call(1)["CallSid"], "tracks": ["inbound"]}
        await carrier.send(json.dumps({"event": "start", "streamSid": "MZ1", "start": start}))

        async def live() -> bool:
            return (await line.row()).stage == "live"

        await eventually(live)
        yield carrier


async def test_a_goodbye_on_vapis_stream_is_the_end(line: Line) -> None:
    """Nobody is told by hand: Vapi closes its stream, and Twilio asks at once."""
    async with on_vapis_stream(line) as carrier:
        (secret,) = line.vapi._controls
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {KEY}"}) as control:
            goodbye = {"type": "say", "content": "Oui.", "endCallAfterSpoken": True}
            answer = await control.post(f"{line.vapi.url}/control/{secret}", json=goodbye)
            assert answer.status_code == 200
        await carrier.wait_closed()
        assert (await line.served.twilio.goes_on()).verbs == ["Hangup"]
    assert line.record.ended == "assistant-ended-call"
    assert (await line.row()).stage == "closing"


async def test_what_was_said_and_what_it_came_to(line: Line) -> None:
    """The carrier joins; Vapi tells of it at our door by itself."""
    async with on_vapis_stream(line):
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


STREAM = '<Connect><Stream url="wss://api.vapi.ai/x/transport?a=1&amp;b=2" /></Connect>'


@pytest.mark.parametrize(
    "document",
    [
        f"<Response>{STREAM}</Response>\n",
        f'<?xml version="1.0" encoding="UTF-8"?><Response>{STREAM}</Response>',
        f"<Response>{STREAM}</Response><!-- </Response> -->",
        f"<Response>{STREAM}<!-- </Response> --></Response>",
    ],
)
def test_what_vapi_does_comes_first_and_then_we_are_asked(document: str) -> None:
    verb = f'<Redirect method="POST">{CONTINUE}</Redirect>'
    made = twiml.then_continue(ADDRESSES, document)
    assert made == f"<Response>{STREAM}{verb}</Response>"
    odd = replace(ADDRESSES, public_url="https://x.fr/a&b")
    assert "a&amp;b/webhooks" in twiml.then_continue(odd, document)


def test_what_it_says_before_is_kept() -> None:
    before = "<Response><Say>Un été &amp; vous</Say>"
    made = twiml.then_continue(ADDRESSES, f"{before}{STREAM}</Response>")
    assert made.startswith(f"{before}{STREAM}<Redirect")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "no xml",
        "<Response></Response>",
        "<Response><Hangup/></Response>",
        "<Response/>",
        "<x><Connect/></x>",
        f"<Response>{STREAM}<Hangup/></Response>",
        f"<Response>{STREAM}{STREAM}</Response>",
        '<Response><Connect action="https://api.vapi.ai/over"/></Response>',
        '<Response xmlns="urn:x"><Connect/></Response>',
        f"<Response><Gather>{STREAM}</Gather></Response>",
        f"<Response><Connect>{'<a>' * 1500}{'</a>' * 1500}</Connect></Response>",
        '<!DOCTYPE r [<!ENTITY a "b">]><Response><Connect/></Response>',
        f"<Response><Connect/>{'<Pause/>' * 3000}</Response>",
    ],
)
def test_what_is_no_document_of_a_call(document: str) -> None:
    with pytest.raises(ValueError, match="document"):
        twiml.then_continue(ADDRESSES, document)
